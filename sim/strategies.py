"""Hypothesis strategies: the one definition of what a random network is.

Tests use them with ``@given``. ``solsa verify`` draws from them by seed and index (:func:`draw`), the same network on
every machine and in every process.
"""

from __future__ import annotations

from random import Random
from typing import Any, TypeVar

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.control import BuildContext
from hypothesis.errors import StopTest, UnsatisfiedAssumption
from hypothesis.internal.conjecture.data import ConjectureData
from hypothesis.internal.conjecture.providers import HypothesisProvider

from solsa.contract import (
    OPTIONS,
    PIPELINED_ONLY,
    BankKind,
    ConfigError,
    Format,
    Formats,
    NetworkConfig,
    NeuronUnit,
    Parameters,
    Readout,
)

from .random_networks import (
    INPUT_STYLES,
    LEARN_STYLES,
    WEIGHT_STYLES,
    Case,
    Sample,
    bell,
    bell_shift,
    layer_weights,
    make_parameters,
    stimulate,
)

Drawn = TypeVar("Drawn")
Draw = Any  # hypothesis' draw function of a composite strategy
#: Words that a random network shall compare, and within which steps it must stay for that.
WORDS, MIN_STEPS, MAX_STEPS = 1_000_000, 350, 1500

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


class _Repeatable(HypothesisProvider):
    """Hypothesis' own choices without those that depend on which modules happen to be loaded."""

    def _maybe_draw_constant(self, *args: Any, **named: Any) -> None:
        """No constant from the source code of the process."""


def draw(strategy: st.SearchStrategy[Drawn], *key: int) -> Drawn:
    """One value of a strategy, fixed by ``key`` alone.

    ``@given`` would begin with the simplest value, change values that came before and count runs; a network of a run
    must depend on seed and index only.
    """
    attempt = 0
    while True:
        data = ConjectureData(random=Random(repr((*key, attempt))), provider=_Repeatable)
        try:
            with BuildContext(data, wrapped_test=draw):
                return data.draw(strategy)
        except (StopTest, UnsatisfiedAssumption):
            attempt += 1


def _edges(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers of a range, its ends among them often."""
    return st.one_of(st.integers(low, high), st.integers(low, high), st.sampled_from((low, high)))


# -- geometry and widths ----------------------------------------------------------------------------------------------
@st.composite
def formats(draw: Draw) -> Formats:
    """Widths: the defaults, narrow, wide, and anything between, narrow often so that saturation is common."""
    known = draw(st.sampled_from((Formats(), NARROW, WIDE, None, None, None, None)))
    if known is not None:
        return known
    number = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    weight_frac, trace_frac = number(6, 14), number(5, 11)
    membrane_frac = number(8, 13)
    delta_frac = number(membrane_frac, 15)
    rate_frac = number(max(0, weight_frac - trace_frac + 1), 22)
    gain_frac = number(6, 16)
    made = Formats(
        weight=Format(weight_frac + number(-1, 4), weight_frac),
        trace=Format(trace_frac + number(2, 9), trace_frac),
        input=Format(8, number(2, min(trace_frac, 6))),
        current=Format(membrane_frac + number(3, 12), membrane_frac),
        membrane=Format(membrane_frac + number(3, 12), membrane_frac),
        # From below 1.0 (every k saturates) to more than is needed.
        gain=Format(min(18, gain_frac + number(-1, 4)), gain_frac),
        threshold=Format(membrane_frac + number(2, 5), membrane_frac),
        delta=Format(delta_frac + number(2, 4), delta_frac),
        rate_step=Format(number(10, 18), rate_frac),
        filter_trace=Format(number(8, 24), number(4, min(membrane_frac, 9))),
        adapt_trace=Format(number(8, 24), number(2, 4)),
        adapt_sum=Format(number(8, 24), 20),
        score=Format(number(14, 32), membrane_frac),
        target=Format(16, number(6, min(membrane_frac, 12))),
    )
    assume(not made.problems())
    return made


@st.composite
def layer_sizes(draw: Draw) -> tuple[int, ...]:
    """Sizes of one to four layers, small often: fewer posts than lanes, groups or stages is where bugs hide."""
    most = draw(st.sampled_from((4, 4, 9, 24, 24, 72)))
    return tuple(draw(st.lists(_edges(1, most), min_size=2, max_size=5 if most < 72 else 4)))


def units(readout: Readout) -> st.SearchStrategy[NeuronUnit]:
    """Neuron units that have the readout; a third of the networks use the serial one."""
    serial = [] if readout is Readout.TARGET else [NeuronUnit.SERIAL]
    return st.sampled_from((NeuronUnit.PIPELINED, NeuronUnit.PIPELINED, *serial))


def options(readout: Readout, layers: tuple[int, ...], unit: NeuronUnit) -> st.SearchStrategy[dict[str, bool]]:
    """Options of learning that readout, layers and neuron unit allow, each in a third of the networks."""
    some = st.sampled_from((True, False, False))
    refused = {
        "early_stop": readout is Readout.TARGET,
        "recurrent": len(layers) == 2,
        **dict.fromkeys(PIPELINED_ONLY, unit is NeuronUnit.SERIAL),
        "stream": True,  # of the link, not of the core
    }
    refused["filtered_surrogate"] |= len(layers) == 2
    return st.fixed_dictionaries({name: some for name in OPTIONS if not refused.get(name)})


@st.composite
def networks(draw: Draw, readout: Readout | None = None) -> NetworkConfig:
    """Geometry and widths; any readout unless one is given."""
    layers = draw(layer_sizes())
    readout = readout or draw(st.sampled_from(tuple(Readout)))
    lanes = draw(st.sampled_from((1, 2, 4, 8, 16) if max(layers) > 8 else (1, 2, 4, 8)))
    step_bytes = layers[0] + 2 * layers[-1] + 11
    unit = draw(units(readout))
    try:
        return NetworkConfig(
            layers=layers,
            lanes=lanes,
            groups=draw(st.sampled_from((1, 2, 4, 8))),
            readout=readout,
            max_steps=draw(st.sampled_from((16, 2, 4, 64))),
            surrogate_entries=draw(st.sampled_from((16, 4, 64))),
            frame_bytes=max(256, 1 << max(step_bytes, 8 * layers[-1] + 7).bit_length()),
            neuron_unit=unit,
            bank=draw(st.sampled_from(BankKind)),
            formats=draw(formats()),
            **draw(options(readout, layers, unit)),
        )
    except ConfigError:  # a sum that golden's 64 bits do not hold
        assume(False)
        raise


# -- parameters -------------------------------------------------------------------------------------------------------
def rates(top_shift: int = 31) -> st.SearchStrategy[tuple[int, int]]:
    """(mantissa, shift) of a learning rate: none, the largest, and what lies between."""
    return st.tuples(_edges(0, (1 << 16) - 1), st.integers(0, top_shift))


def schedules(steps: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Scheduled steps: all, none, the last, every second, any."""
    some = st.lists(st.integers(0, steps - 1), unique=True, min_size=1, max_size=min(8, steps))
    return st.one_of(
        st.just(tuple(range(steps))), st.just(()), st.just((steps - 1,)), st.just(tuple(range(0, steps, 2))),
        some.map(lambda found: tuple(sorted(found))),
    )  # fmt: skip


@st.composite
def parameters(draw: Draw, config: NetworkConfig, *, mild: bool = False) -> Parameters:
    """Constants, tables, rates and schedule: working networks, the whole range of the registers, and mixtures.

    ``mild`` allows only working networks that are updated at half of their steps.
    """
    f, depth, groups = config.formats, config.depth, config.groups
    style = "mild" if mild else draw(st.sampled_from(("mild", "mixed", "mixed", "extreme")))
    base = make_parameters(config, np.random.default_rng(draw(st.integers(0, 1 << 31))), extreme=style == "extreme")
    base = base.with_(rng=draw(st.integers(1, (1 << 32) - 1)), **(draw(stops(config)) if config.early_stop else {}))
    base = base.with_(**(draw(norms(config)) if config.normalise else {}))
    if mild:
        return base
    base = base.with_(schedule=draw(schedules(config.max_steps)))
    if style != "mixed":
        return base
    top, one = f.threshold.max, f.threshold.one

    def level(low: int) -> int:
        """Mostly near 1.0, where neurons fire now and then and k keeps its sign; sometimes anywhere."""
        return f.threshold.saturate(draw(st.one_of(st.integers(one // 16, 4 * one), _edges(low, top))))

    def constants(most: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(draw(_edges(0, most)) for _ in range(groups)) for _ in range(depth))

    low, high = sorted((draw(_edges(0, f.decay.max)), draw(_edges(0, f.decay.max))))
    tables = st.sampled_from((bell(config), (f.surrogate.max,) * config.surrogate_entries, base.surrogate))
    return base.with_(
        theta=tuple(level(f.threshold.min) for _ in range(depth)),
        rho=tuple(level(0) for _ in range(depth)),
        lam=constants(f.decay.max),
        a=constants(f.adaptive.max),
        surrogate=draw(tables),
        surrogate_shift=draw(st.one_of(st.just(bell_shift(config)), _edges(0, 31))),
        # rates per neuron reach the lower end of the shift only from a small one
        rate=tuple(
            draw(st.one_of(rates(5 if config.normalise else 31), rates(), st.just(base.rate[i]))) for i in range(depth)
        ),
        adapt_rate=tuple(draw(rates()) for _ in range(depth)),
        a_min=low,
        a_max=high,
    )


@st.composite
def stops(draw: Draw, config: NetworkConfig) -> dict[str, int]:
    """Registers of the early stop: off, or any margin, near zero often, after one step or several."""
    score = config.formats.score
    margin = draw(st.one_of(st.just(0), st.integers(-score.one, score.one), _edges(score.min, score.max)))
    return {"stop_margin": score.saturate(margin), "stop_points": draw(st.sampled_from((0, 1, 1, 2, 3, 255)))}


@st.composite
def norms(draw: Draw, config: NetworkConfig) -> dict[str, Any]:
    """Registers of the rates per neuron: off, or a reference anywhere, near the means often, and any limit."""
    if draw(st.sampled_from((True, False, False))):
        return {}
    top = config.formats.mean_error.width
    pairs = st.tuples(st.one_of(st.integers(top - 10, top - 2), _edges(0, 31)), _edges(0, 7))
    return {"norm": tuple(draw(pairs) for _ in range(config.depth)), "norm_shift": draw(_edges(0, 8))}


# -- what happens -----------------------------------------------------------------------------------------------------
def samples() -> st.SearchStrategy[Sample]:
    """Plan of one sample."""
    return st.builds(
        Sample,
        steps=st.one_of(st.integers(1, 12), st.integers(8, 40)),
        style=st.sampled_from(INPUT_STYLES),
        learn=st.sampled_from(("always", "always", "late", *LEARN_STYLES)),
        adapt=st.booleans(),
        reset=st.sampled_from((True, True, True, False)),
        probe=st.sampled_from((False, False, True)),
    )


def enough_steps(config: NetworkConfig) -> int:
    """Steps that compare about WORDS words, were they all scheduled."""
    pres = sum(config.pre(i) for i in range(config.depth))
    per_step = 2 * config.synapses + config.groups * pres + 9 * sum(config.layers[1:])
    return min(MAX_STEPS, max(MIN_STEPS, WORDS // per_step))


@st.composite
def cases(
    draw: Draw, config: NetworkConfig | None = None, *, readout: Readout | None = None, steps: int | None = None
) -> Case:
    """A network, its parameters and weights, and what happens to it; a given ``config`` gets a network that works."""
    made = config or draw(networks(readout))
    constants = draw(parameters(made, mild=config is not None))
    some = WEIGHT_STYLES if config is None else ("spiky", "ends")
    styles = [draw(st.sampled_from(some)) for _ in range(made.depth)]
    rng = np.random.default_rng(draw(st.integers(0, 1 << 31)))
    weights = [layer_weights(made, layer, rng, style) for layer, style in enumerate(styles)]
    plan = tuple(draw(st.lists(samples(), min_size=4, max_size=12)))
    if config is not None:
        plan = (Sample(20, "mild", "always", adapt=True), *plan)
    seed = draw(st.integers(0, 1 << 31))
    return Case(made, constants, weights, stimulate(made, plan, seed, steps or enough_steps(made)))


@st.composite
def devices(draw: Draw, readout: Readout) -> NetworkConfig:
    """Small complete devices: what counts there are requests, so the frames are short."""
    layers = tuple(draw(st.lists(_edges(1, 6), min_size=2, max_size=4)))
    unit = draw(units(readout))
    return NetworkConfig(
        layers=layers,
        lanes=draw(st.sampled_from((1, 2, 4))),
        groups=draw(st.sampled_from((1, 2, 4, 8))),
        readout=readout,
        max_steps=draw(st.sampled_from((4, 16))),
        surrogate_entries=draw(st.sampled_from((4, 16))),
        frame_bytes=draw(st.sampled_from((64, 128, 256))),
        neuron_unit=unit,
        bank=draw(st.sampled_from(BankKind)),
        formats=draw(st.sampled_from((Formats(), NARROW, WIDE))),
        **draw(options(readout, layers, unit)),
    )


def random_case(seed: int, index: int, *, config: NetworkConfig | None = None, steps: int | None = None) -> Case:
    """Network ``index`` of a run; the readouts take turns.

    Parameters
    ----------
    seed, index : int
        Together they fix everything.
    config : NetworkConfig, optional
        Geometry to use instead of a random one.
    steps : int, optional
        Time steps instead of as many as compare about WORDS words.
    """
    return draw(cases(config, readout=tuple(Readout)[index % len(Readout)], steps=steps), seed, index)
