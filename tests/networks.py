"""Random networks with their parameters, weights and stimuli, for tests of every layer of the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solsa.contract import Format, Formats, NetworkConfig, Parameters, Readout
from solsa.golden.arith import Ints
from solsa.sim.records import StepInput

#: Formats as narrow as they are useful: every saturation is reached soon.
NARROW = Formats(
    weight=Format(8, 6), trace=Format(10, 6), input=Format(6, 3), current=Format(14, 8), membrane=Format(14, 8),
    threshold=Format(14, 8), gain=Format(12, 10), delta=Format(12, 10), rate_step=Format(12, 12),
    filter_trace=Format(14, 6), adapt_trace=Format(14, 4), adapt_sum=Format(16, 12), score=Format(16, 8),
    target=Format(10, 6),
)  # fmt: skip
#: Formats as wide as the contract allows.
WIDE = Formats(
    weight=Format(24, 20), trace=Format(24, 16), input=Format(8, 6), current=Format(32, 15), membrane=Format(32, 15),
    threshold=Format(32, 15), gain=Format(18, 16), delta=Format(24, 15), rate_step=Format(24, 22),
    filter_trace=Format(32, 12), adapt_trace=Format(32, 10), adapt_sum=Format(32, 24), score=Format(32, 15),
    target=Format(16, 12),
)  # fmt: skip
FORMATS = {"default": Formats(), "narrow": NARROW, "wide": WIDE}


@dataclass(frozen=True)
class Case:
    """A network and what happens to it."""

    config: NetworkConfig
    parameters: Parameters
    weights: list[Ints]
    stimuli: list[StepInput]


def make_parameters(config: NetworkConfig, rng: np.random.Generator, *, extreme: bool = False) -> Parameters:
    """Parameters that keep neurons firing now and then; ``extreme`` draws from the whole range of the registers."""
    f, depth, groups = config.formats, config.depth, config.groups

    def table(low: int, high: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(int(v) for v in rng.integers(low, high, groups)) for _ in range(depth))

    entries = config.surrogate_entries
    steps = tuple(int(v) for v in np.flatnonzero(rng.random(config.max_steps) < 0.5))
    one = f.threshold.one
    if extreme:
        theta = [int(v) for v in rng.integers(f.threshold.min, f.threshold.max + 1, depth)]
        rho = [int(v) for v in rng.integers(0, f.threshold.max + 1, depth)]
        rates = [(int(rng.integers(1 << 16)), int(rng.integers(32))) for _ in range(2 * depth)]
        a_min, a_max = sorted(int(v) for v in rng.integers(0, 1 << 16, 2))
        lam, a = table(0, 1 << 16), table(0, 1 << 24)
        surrogate, shift = rng.integers(0, f.surrogate.max + 1, entries), int(rng.integers(32))
    else:
        theta = [int(v) for v in rng.integers(one // 4, 2 * one, depth)]
        rho = [int(v) for v in rng.integers(one // 2, 2 * one, depth)]
        weight_shift = 14 - (f.rate_step.frac - f.delta.frac)
        rates = [(int(rng.integers(1 << 14, 1 << 16)), int(weight_shift + rng.integers(0, 3))) for _ in range(depth)]
        rates += [(int(rng.integers(1 << 16)), int(rng.integers(0, 8))) for _ in range(depth)]
        a_min, a_max = 6000, 65000
        lam, a = table(20000, 65000), table(5000 << 8, 65500 << 8)
        middles = (np.arange(entries) + 0.5) / entries
        surrogate = np.round(np.exp(-0.5 * (3 * middles) ** 2) * f.surrogate.one)
        shift = max(0, f.membrane.frac + 1 - (entries.bit_length() - 1))
    return Parameters(
        theta=tuple(theta), rho=tuple(rho), lam=lam, a=a, surrogate=tuple(int(v) for v in surrogate),
        surrogate_shift=shift, rate=tuple(rates[:depth]), adapt_rate=tuple(rates[depth:]), a_min=a_min, a_max=a_max,
        schedule=steps, rng=int(rng.integers(1, 1 << 32)),
    )  # fmt: skip


def make_weights(config: NetworkConfig, rng: np.random.Generator, *, extreme: bool = False) -> list[Ints]:
    """Weights of every layer."""
    fmt, found = config.formats.weight, []
    for i in range(config.depth):
        shape = (config.post(i), config.pre(i))
        if extreme:
            found.append(rng.choice([fmt.min, fmt.max, 0, 1, -1], shape).astype(np.int64))
        else:
            normal = rng.normal(0.2, 1.5 / np.sqrt(shape[1]), shape) * fmt.one
            found.append(np.clip(np.round(normal), fmt.min, fmt.max).astype(np.int64))
    return found


def make_stimuli(
    config: NetworkConfig, rng: np.random.Generator, learn: str, *, adapt: bool = True, extreme: bool = False
) -> list[StepInput]:
    """Steps of one or more samples.

    Parameters
    ----------
    learn : str
        One letter per step: ``L`` learns, ``.`` does not, ``R`` and ``r`` reset before the one and the other.
    """
    f, found = config.formats, []
    for letter in learn:
        shape = config.inputs
        if extreme:
            inputs = rng.choice([f.input.min, f.input.max, 0], shape)
        else:
            inputs = np.clip(np.round(rng.normal(0.5, 0.8, shape) * f.input.one), f.input.min, f.input.max)
            inputs[rng.random(shape) < 0.4] = 0
        target = None
        if config.readout is Readout.TARGET:
            bound = (f.target.min, f.target.max) if extreme else (-f.target.one, f.target.one)
            target = rng.integers(bound[0], bound[1] + 1, config.outputs)
        found.append(
            StepInput(
                inputs.astype(np.int64), label=int(rng.integers(config.outputs)), target=target,
                reset=letter in "Rr", learn=letter in "LR", adapt=adapt,
            )
        )  # fmt: skip
    return found


def make_case(config: NetworkConfig, seed: int, learn: str, *, adapt: bool = True, extreme: bool = False) -> Case:
    """Everything of the above from one seed."""
    rng = np.random.default_rng(seed)
    return Case(
        config,
        make_parameters(config, rng, extreme=extreme),
        make_weights(config, rng, extreme=extreme),
        make_stimuli(config, rng, learn, adapt=adapt, extreme=extreme),
    )
