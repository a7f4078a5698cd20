"""The case that golden model and core run: network, parameters, weights, stimuli; and how its arrays are filled.

What a random network may be is defined by the strategies in :mod:`solsa.sim.strategies`; they draw the few numbers that
matter (geometry, widths, rates, styles, seeds) and leave the arrays to the functions here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from solsa.contract import NetworkConfig, Parameters, Readout

from .records import Ints, StepInput

#: How the inputs of a sample look.
INPUT_STYLES = ("mild", "dense", "sparse", "silent", "all_max", "all_min", "alternating", "ends")
#: How the weights of a layer look; ``high`` and ``low`` are all at one end of the format.
WEIGHT_STYLES = ("mild", "uniform", "small", "spiky", "ends", "high", "low")
#: Who learns when in a sample; see :func:`_letters`.
LEARN_STYLES = ("always", "never", "late", "early", "toggled")


@dataclass(frozen=True)
class Case:
    """A network and what happens to it.

    Attributes
    ----------
    config, parameters, weights
        What golden model and core are loaded with.
    stimuli : list of StepInput
        One per time step.
    """

    config: NetworkConfig
    parameters: Parameters
    weights: list[Ints]
    stimuli: list[StepInput]


@dataclass(frozen=True)
class Sample:
    """Plan of one sample of a stimulus.

    Attributes
    ----------
    steps : int
        Time steps.
    style, learn : str
        Of :data:`INPUT_STYLES` and :data:`LEARN_STYLES`.
    adapt : bool
        Adapt the filter constants at scheduled steps.
    reset : bool
        Begin with a sample reset; without, the sample before goes on.
    probe : bool
        Measure the changes of updates instead of making them, if the network can.
    """

    steps: int
    style: str
    learn: str
    adapt: bool
    reset: bool = True
    #: option probe: measure instead of learning
    probe: bool = False


# -- parameters -------------------------------------------------------------------------------------------------------
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
        theta = [f.threshold.saturate(int(v)) for v in rng.integers(one // 4, 2 * one, depth)]
        rho = [f.threshold.saturate(int(v)) for v in rng.integers(one // 2, 2 * one, depth)]
        weight_shift = 14 - (f.rate_step.frac - f.delta.frac)
        shifts = [min(31, max(0, int(weight_shift + rng.integers(0, 3)))) for _ in range(depth)]
        rates = [(int(rng.integers(1 << 14, 1 << 16)), shift) for shift in shifts]
        rates += [(int(rng.integers(1 << 16)), int(rng.integers(0, 8))) for _ in range(depth)]
        a_min, a_max = 6000, 65000
        lam, a = table(20000, 65000), table(5000 << 8, 65500 << 8)
        surrogate = np.array(bell(config))
        shift = bell_shift(config)
    return Parameters(
        theta=tuple(theta), rho=tuple(rho), lam=lam, a=a, surrogate=tuple(int(v) for v in surrogate),
        surrogate_shift=shift, rate=tuple(rates[:depth]), adapt_rate=tuple(rates[depth:]), a_min=a_min, a_max=a_max,
        schedule=steps, rng=int(rng.integers(1, 1 << 32)),
    )  # fmt: skip


def bell(config: NetworkConfig) -> tuple[int, ...]:
    """Surrogate table with the usual Gaussian."""
    entries = config.surrogate_entries
    middles = (np.arange(entries) + 0.5) / entries
    return tuple(int(v) for v in np.round(np.exp(-0.5 * (3 * middles) ** 2) * config.formats.surrogate.one))


def bell_shift(config: NetworkConfig) -> int:
    """Shift with which :func:`bell` reaches over two thresholds of 1.0."""
    return max(0, config.formats.membrane.frac + 1 - (config.surrogate_entries.bit_length() - 1))


# -- weights ----------------------------------------------------------------------------------------------------------
def make_weights(config: NetworkConfig, rng: np.random.Generator, *, extreme: bool = False) -> list[Ints]:
    """Weights of every layer, ``mild`` or from the ends of the format."""
    return [layer_weights(config, i, rng, "ends" if extreme else "mild") for i in range(config.depth)]


def layer_weights(config: NetworkConfig, layer: int, rng: np.random.Generator, style: str) -> Ints:
    """Weights [M, N] of a layer in one of :data:`WEIGHT_STYLES`."""
    fmt, shape = config.formats.weight, (config.post(layer), config.pre(layer))
    if style == "ends":
        return rng.choice([fmt.min, fmt.max, 0, 1, -1], shape).astype(np.int64)
    if style in ("high", "low"):
        return np.full(shape, fmt.max if style == "high" else fmt.min, dtype=np.int64)
    if style == "mild":
        normal = rng.normal(0.2, 1.5 / np.sqrt(shape[1]), shape) * fmt.one
        return np.clip(np.round(normal), fmt.min, fmt.max).astype(np.int64)
    reach = fmt.max // 16 + 1 if style == "small" else fmt.max
    weights = rng.integers(-reach, reach + 1, shape)
    if style == "spiky":
        weights[rng.random(shape) < 0.05] = fmt.max
        weights[rng.random(shape) < 0.05] = fmt.min
    return weights


# -- stimuli ----------------------------------------------------------------------------------------------------------
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
    for step, letter in enumerate(learn):
        inputs = make_inputs(config, rng, "ends" if extreme else "mild", step)
        target = None
        if config.readout is Readout.TARGET:
            bound = (f.target.min, f.target.max) if extreme else (-f.target.one, f.target.one)
            target = rng.integers(max(bound[0], f.target.min), min(bound[1], f.target.max) + 1, config.outputs)
        found.append(
            StepInput(
                inputs, label=int(rng.integers(config.outputs)), target=target,
                reset=letter in "Rr", learn=letter in "LR", adapt=adapt,
            )
        )  # fmt: skip
    return found


def make_inputs(config: NetworkConfig, rng: np.random.Generator, style: str, step: int) -> Ints:
    """Inputs [N] of a step in one of :data:`INPUT_STYLES`."""
    fmt, count = config.formats.input, config.inputs
    if style == "mild":
        normal = np.clip(np.round(rng.normal(0.5, 0.8, count) * fmt.one), fmt.min, fmt.max)
        return np.where(rng.random(count) < 0.4, 0, normal).astype(np.int64)
    if style == "ends":
        return rng.choice([fmt.min, fmt.max, 0], count).astype(np.int64)
    same = {"silent": 0, "all_max": fmt.max, "all_min": fmt.min, "alternating": fmt.max if step % 2 else fmt.min}
    if style in same:
        return np.full(count, same[style], dtype=np.int64)
    values = rng.integers(fmt.min, fmt.max + 1, count)
    return values * (rng.random(count) < 0.3) if style == "sparse" else values


def stimulate(config: NetworkConfig, plan: tuple[Sample, ...], seed: int, steps: int) -> list[StepInput]:
    """Stimulus of ``steps`` steps: the planned samples, again and again with new values."""
    rng, made = np.random.default_rng(seed), list[StepInput]()
    while len(made) < steps:
        for sample in plan:
            made += _sample_steps(config, sample, rng)
    return made[:steps]


def _sample_steps(config: NetworkConfig, sample: Sample, rng: np.random.Generator) -> Iterator[StepInput]:
    label, fmt = int(rng.integers(config.outputs)), config.formats.target
    reach = fmt.max if rng.random() < 0.5 else min(fmt.one, fmt.max)
    for step, learn in enumerate(_letters(sample, rng)):
        inputs = make_inputs(config, rng, sample.style, step)
        target = rng.integers(-reach - 1, reach + 1, config.outputs) if config.readout is Readout.TARGET else None
        yield StepInput(
            inputs, label, target, sample.reset and step == 0, learn, sample.adapt, sample.probe and config.probe
        )


def _letters(sample: Sample, rng: np.random.Generator) -> list[bool]:
    """Whether each step of a sample learns."""
    change = int(rng.integers(sample.steps + 1))
    if sample.learn == "toggled":
        return [bool(v) for v in rng.random(sample.steps) < 0.5]
    learns = {"always": range(sample.steps), "late": range(change, sample.steps), "early": range(change)}
    return [step in learns.get(sample.learn, ()) for step in range(sample.steps)]


def make_case(config: NetworkConfig, seed: int, learn: str, *, adapt: bool = True, extreme: bool = False) -> Case:
    """Case of a given geometry and a given pattern of learning steps, everything else from one seed."""
    rng = np.random.default_rng(seed)
    return Case(
        config,
        make_parameters(config, rng, extreme=extreme),
        make_weights(config, rng, extreme=extreme),
        make_stimuli(config, rng, learn, adapt=adapt, extreme=extreme),
    )
