"""Random networks and stimuli for the lockstep checker: odd sizes, all readouts, extremes on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from solsa.contract import Format, Formats, NetworkConfig, Parameters, Readout

from .records import Ints, StepInput

#: Steps per random network.
STEPS = 120


@dataclass(frozen=True)
class Case:
    """One random network.

    Attributes
    ----------
    config, parameters, weights
        What golden model and core are loaded with.
    seed : int
        Draws the stimulus.
    steps : int
        Time steps to run.
    """

    config: NetworkConfig
    parameters: Parameters
    weights: list[Ints]
    seed: int
    steps: int = STEPS


def random_case(seed: int, index: int, *, config: NetworkConfig | None = None, steps: int = STEPS) -> Case:
    """Draw network ``index`` of a run.

    Parameters
    ----------
    seed, index : int
        Together they fix everything.
    config : NetworkConfig, optional
        Geometry to use instead of a random one.
    """
    rng = np.random.default_rng([seed, index])
    config = config or random_config(rng, index)
    return Case(config, random_parameters(config, rng), random_weights(config, rng), int(rng.integers(1 << 31)), steps)


def random_config(rng: np.random.Generator, index: int) -> NetworkConfig:
    """Geometry and widths; the readouts take turns."""
    depth = int(rng.integers(1, 4))
    # Small layers on purpose: fewer posts than lanes, groups or pipeline stages is where hazards hide.
    layers = tuple(int(rng.integers(1, 6 if rng.random() < 0.4 else 24)) for _ in range(depth + 1))
    return NetworkConfig(
        layers=layers,
        lanes=int(rng.choice([1, 2, 4, 8])),
        groups=int(rng.choice([1, 2, 4, 8])),
        readout=list(Readout)[index % len(Readout)],
        max_steps=int(rng.choice([4, 16, 64])),
        surrogate_entries=int(rng.choice([16, 64])),
        frame_bytes=256,
        formats=random_formats(rng),
    )


def random_formats(rng: np.random.Generator) -> Formats:
    """Widths around the defaults, narrow ones among them so that saturation is common."""
    while True:
        weight_frac = int(rng.integers(6, 14))
        trace_frac = int(rng.integers(5, 11))
        membrane_frac = int(rng.integers(8, 13))
        delta_frac = int(rng.integers(membrane_frac, 15))
        rate_frac = int(rng.integers(weight_frac - trace_frac + 3, 22)) if trace_frac < weight_frac else 16
        membrane = Format(int(rng.integers(membrane_frac + 3, 25)), membrane_frac)
        formats = Formats(
            weight=Format(int(rng.integers(weight_frac + 1, 19)), weight_frac),
            trace=Format(int(rng.integers(trace_frac + 2, 21)), trace_frac),
            input=Format(8, int(rng.integers(2, min(trace_frac, 6) + 1))),
            current=membrane,
            membrane=Format(int(rng.integers(membrane_frac + 3, 25)), membrane_frac),
            threshold=Format(membrane_frac + int(rng.integers(2, 6)), membrane_frac),
            delta=Format(delta_frac + int(rng.integers(2, 5)), delta_frac),
            rate_step=Format(int(rng.integers(10, 19)), rate_frac),
            filter_trace=Format(int(rng.integers(12, 25)), int(rng.integers(4, min(membrane_frac, 9) + 1))),
            adapt_trace=Format(int(rng.integers(12, 25)), int(rng.integers(2, 5))),
            score=Format(int(rng.integers(18, 33)), membrane_frac),
            target=Format(16, min(membrane_frac, 12)),
        )
        if not formats.problems():
            return formats


def random_parameters(config: NetworkConfig, rng: np.random.Generator) -> Parameters:
    """Constants, tables, rates and schedule, extremes included."""
    f, depth, groups = config.formats, config.depth, config.groups

    def constants(top: int) -> tuple[tuple[int, ...], ...]:
        rows = rng.integers(0, top + 1, (depth, groups))
        rows[rng.random((depth, groups)) < 0.1] = top
        return tuple(tuple(int(v) for v in row) for row in rows)

    def rates() -> tuple[tuple[int, int], ...]:
        return tuple((int(rng.integers(0, 1 << 16)), int(rng.integers(4, 26))) for _ in range(depth))

    def level(low: int) -> int:
        """Mostly near 1.0, where neurons fire now and then and k keeps its sign; sometimes anywhere."""
        if rng.random() < 0.2:
            return int(rng.integers(low, f.threshold.max + 1))
        return f.threshold.saturate(int(f.threshold.one * 2.0 ** rng.uniform(-4, 2)))

    low, high = sorted(int(v) for v in rng.integers(0, f.decay.max + 1, 2))
    return Parameters(
        theta=tuple(level(f.threshold.min) for _ in range(depth)),
        rho=tuple(level(0) for _ in range(depth)),
        lam=constants(f.decay.max),
        a=constants(f.adaptive.max),
        surrogate=tuple(int(v) for v in rng.integers(0, f.surrogate.max + 1, config.surrogate_entries)),
        surrogate_shift=int(rng.integers(0, f.membrane.frac)),
        rate=rates(),
        adapt_rate=rates(),
        a_min=low,
        a_max=high,
        schedule=tuple(int(v) for v in np.flatnonzero(rng.random(config.max_steps) < rng.choice([0.2, 0.5, 0.8]))),
        rng=int(rng.integers(1, 1 << 32)),
    )


def random_weights(config: NetworkConfig, rng: np.random.Generator) -> list[Ints]:
    """Weights over their whole range, some at its ends."""
    fmt, made = config.formats.weight, []
    for layer in range(config.depth):
        shape = (config.post(layer), config.pre(layer))
        reach = int(rng.choice([fmt.max, fmt.max // 4 + 1, fmt.max // 16 + 1]))
        weights = rng.integers(-reach, reach + 1, shape)
        weights[rng.random(shape) < 0.05] = fmt.max
        weights[rng.random(shape) < 0.05] = fmt.min
        made.append(weights)
    return made


def stimulus(case: Case) -> Iterator[StepInput]:
    """Inputs of every step: sparse, dense, silent, all-max, all-min and alternating samples; learning on and off."""
    rng = np.random.default_rng(case.seed)
    config, fmt = case.config, case.config.formats.input
    target_fmt = config.formats.target
    style, learn, adapt, label = 0, True, False, 0
    for step in range(case.steps):
        reset = step == 0 or rng.random() < 0.08
        if reset:
            style = int(rng.integers(0, 7))
            learn, adapt = bool(rng.random() < 0.8), bool(rng.random() < 0.5)
            label = int(rng.integers(config.outputs))
        elif rng.random() < 0.05:
            learn = not learn
        values = rng.integers(fmt.min, fmt.max + 1, config.inputs)
        if style == 1:
            values[:] = 0
        elif style == 2:
            values[:] = fmt.max
        elif style == 3:
            values[:] = fmt.min
        elif style == 4:
            values[:] = fmt.max if step % 2 else fmt.min
        elif style == 5:
            values *= rng.random(config.inputs) < 0.3
        target = rng.integers(target_fmt.min, target_fmt.max + 1, config.outputs)
        needs_target = config.readout is Readout.TARGET
        yield StepInput(values, label, target if needs_target else None, bool(reset), learn, adapt)
