"""The golden core against a slow second model, against arithmetic by hand, and against the float reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import FORMATS, make_case
from slow_core import SlowCore

from solsa.contract import ConfigError, Format, Formats, NetworkConfig, Parameters, Readout, preset
from solsa.golden import GoldenCore
from solsa.golden.float_ref import FloatCore

PATTERNS = ("RLLLLL", "r...LL..LL", "RL.LRL..Lr.L", "LLLrLLLLLLLL")


@settings(max_examples=250)
@given(
    layers=st.lists(st.integers(1, 7), min_size=2, max_size=4).map(tuple),
    groups=st.sampled_from([1, 2, 4, 8]),
    readout=st.sampled_from(Readout),
    formats=st.sampled_from(sorted(FORMATS)),
    pattern=st.sampled_from(PATTERNS),
    adapt=st.booleans(),
    extreme=st.booleans(),
    recurrent=st.booleans(),
    filtered=st.booleans(),
    points=st.sampled_from((0, 0, 1, 2)),
    margin=st.sampled_from((-(2**13), 0, 1, 2**10)),
    norm=st.none() | st.tuples(st.integers(10, 31), st.integers(0, 7), st.integers(0, 8)),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_the_slow_model(
    layers: tuple[int, ...], groups: int, readout: Readout, formats: str, pattern: str, adapt: bool, extreme: bool,
    recurrent: bool, filtered: bool, points: int, margin: int, norm: tuple[int, int, int] | None, seed: int,
) -> None:  # fmt: skip
    """Every word of every step, also with groups that have no post (M < G) and beyond the schedule table."""
    config = NetworkConfig(
        layers=layers, groups=groups, readout=readout, formats=FORMATS[formats], max_steps=8, surrogate_entries=16,
        early_stop=readout is not Readout.TARGET, probe=True, recurrent=recurrent and len(layers) > 2,
        normalise=norm is not None, filtered_surrogate=filtered and len(layers) > 2,
    )  # fmt: skip
    case = make_case(config, seed, pattern, adapt=adapt, extreme=extreme)
    parameters = case.parameters.with_(stop_margin=margin, stop_points=points if config.early_stop else 0)
    if norm is not None:
        parameters = parameters.with_(norm=(norm[:2],) * config.depth, norm_shift=norm[2])
    golden, slow = GoldenCore(config, parameters, case.weights), SlowCore(config, parameters, case.weights)
    for i, s in enumerate(case.stimuli):
        golden.state.probe = slow.probe = i % 7 in (3, 4)
        if s.reset:
            golden.reset_sample()
            slow.reset()
        mine = golden.step(s.inputs, label=s.label, target=s.target, learn=s.learn, adapt=s.adapt)
        assert mine is not None
        assert mine.difference(slow.step(s.inputs, s.label, s.target, s.learn, s.adapt)) is None
    assert golden.state.changes.tolist() == slow.S
    assert golden.state.right == slow.points


@pytest.mark.parametrize("readout", Readout, ids=lambda r: r.value)
def test_the_random_cases_are_not_trivial(readout: Readout) -> None:
    """The networks above fire, are silent, learn and saturate, else their equality would say little."""
    fired, changed, saturated = set(), 0, 0
    for seed in range(6):
        config = NetworkConfig(layers=(4, 7, 5), groups=2, readout=readout, formats=FORMATS["narrow"], max_steps=8)
        case = make_case(config, seed, "RLLLLLLL", extreme=seed % 2 == 1)
        golden = GoldenCore(config, case.parameters, case.weights)
        for s in case.stimuli:
            trace = golden.step(s.inputs, label=s.label, target=s.target, learn=True, adapt=True)
            assert trace is not None
            fired |= set(trace.layers[0].spike.tolist())
            top = config.formats.trace.max
            saturated += int((trace.layers[0].trace == top).sum())
        changed += sum(int((x.weight != w).sum()) for x, w in zip(golden.state.layers, case.weights, strict=True))
    assert fired == {0, 1}
    assert changed > 20
    assert saturated > 20


# -- by hand ---------------------------------------------------------------------------------------------------------
def test_three_steps_by_hand() -> None:
    """One input, one hidden neuron, a target readout of one neuron; all arithmetic written out.

    Formats: w .13, F and eps .8, x .5, I and V .12, k .14, delta .14, g .20, J .8, A .6, score .12, y .12.
    """
    config = NetworkConfig(layers=(1, 1, 1), groups=1, readout=Readout.TARGET, max_steps=4, surrogate_entries=4)
    p = Parameters(
        theta=(4096, 4096), rho=(4096, 4096),  # 1.0
        lam=((32768,), (32768,)),  # 0.5
        a=((49152 << 8,), (16384 << 8,)),  # 0.75 and 0.25
        surrogate=(16384, 8192, 4096, 0), surrogate_shift=11,  # 1, 1/2, 1/4, 0 over |V - theta| in halves
        rate=((32768, 11), (16384, 10)), adapt_rate=((512, 2), (0, 0)),
        a_min=0, a_max=65535, schedule=(2,), rng=1,
    )  # fmt: skip
    core = GoldenCore(config, p, [np.array([[8192]]), np.array([[4096]])])  # w = 1.0 and 0.5

    def words(layer: int, *names: str) -> list[int]:
        state = core.state.layers[layer]
        return [int(getattr(state, name).flat[0]) for name in names]

    forward = ("filter", "trace", "current", "membrane", "spike", "surrogate", "gain", "filter_trace", "adapt_trace")

    # step 0, x = 1.25 = 40: everything starts from zero.
    core.step(np.array([40]), target=np.array([0]), learn=True, adapt=True)
    # F = 40 << 3 = 320, eps = F; I = [8192*40 / 2**6] = 5120, V = I; V > 4096, |V - theta| = 1024 >> 11 = 0: h = 16384;
    # k = (32768 >> 2) - [4096*16384 / 2**12] = 8192 - 16384 = -8192; J = I of before = 0, A = 0.
    assert words(0, *forward) == [320, 320, 5120, 5120, 1, 16384, -8192, 0, 0]
    # layer 1 sees a spike, 1.0 = 32: F = 256; I = [4096*32 / 64] = 2048; no spike, no reset: k = 8192.
    assert words(1, *forward) == [256, 256, 2048, 2048, 0, 0, 8192, 0, 0]
    assert core.state.score.tolist() == [2048]

    # step 1, x = -0.5 = -16
    core.step(np.array([-16]), target=np.array([0]), learn=True, adapt=True)
    # F = [0.75*320] - 128 = 240 - 128 = 112; eps = [-8192*320 / 2**14] + 112 = -160 + 112 = -48;
    # I = [0.75*5120] + [8192*-16 / 64] = 3840 - 2048 = 1792; V = [0.5*5120] + 1792 - 4096 = 2560 + 1792 - 4096 = 256;
    # |256 - 4096| = 3840 >> 11 = 1: h = 8192; k = 8192 - [4096*8192 / 4096] = 0;
    # J = 0 + (5120 >> 4) = 320; A = 0 + (320 >> 2) = 80.
    assert words(0, *forward) == [112, -48, 1792, 256, 0, 8192, 0, 320, 80]
    # layer 1, no spike: F = [0.25*256] = 64; eps = [8192*256 / 2**14] + 64 = 128 + 64 = 192; I = [0.25*2048] = 512;
    # V = 1024 + 512 = 1536; J = 2048 >> 4 = 128; A = 128 >> 2 = 32.
    assert words(1, *forward) == [64, 192, 512, 1536, 0, 0, 8192, 128, 32]
    assert core.state.score.tolist() == [2048 + 1536]

    # step 2, x = 3.0 = 96, y = 0.25 = 1024; scheduled.
    core.step(np.array([96]), target=np.array([1024]), learn=True, adapt=True)
    # F = [0.75*112] + 768 = 84 + 768 = 852; eps = 0*-48 + 852; I = 1344 + 12288 = 13632; V = 128 + 13632 - 0 = 13760;
    # |13760 - 4096| = 9664 >> 11 = 4, last entry 3: h = 0; k = 8192;
    # J = [0.75*320] + (1792 >> 4) = 240 + 112 = 352; A = 0*80 + (352 >> 2) = 88.
    assert words(0, *forward) == [852, 852, 13632, 13760, 1, 0, 8192, 352, 88]
    # layer 1, spike: F = 16 + 256 = 272; eps = 96 + 272 = 368; I = 128 + 2048 = 2176; V = 768 + 2176 = 2944;
    # J = [0.25*128] + (512 >> 4) = 32 + 32 = 64; A = [0.5*32] + (64 >> 2) = 16 + 16 = 32.
    assert words(1, *forward) == [272, 368, 2176, 2944, 0, 0, 8192, 64, 32]
    assert core.state.score.tolist() == [2048 + 1536 + 2944]

    # delta of the readout = (2944 - 1024) << 2 = 7680; below: h = 0, so 0.
    assert words(1, "delta") == [7680]
    assert words(0, "delta", "rate_step", "a") == [0, 0, 49152 << 8]
    # layer 1: g = [7680*16384 / 2**10] = 122880; step = [122880*368 / 2**15] = 1380 exactly, no random bit matters.
    assert 122880 * 368 == 1380 << 15
    assert words(1, "rate_step", "weight") == [122880, 4096 - 1380]
    # layer 0: g = 0, and random bits alone never carry into the weight.
    assert words(0, "weight") == [8192]
    # two layers were updated: the generator advanced twice from 1. 1 -> 0x42021 is Marsaglia's 270369.
    second = 270369
    second ^= second << 13 & 0xFFFFFFFF
    second ^= second >> 17
    second ^= second << 5 & 0xFFFFFFFF
    assert (core.state.rng, core.state.updates, core.state.step) == (second, 1, 3)


@pytest.mark.parametrize(("mantissa", "expected"), [(300, 32768 - 9600 / 256), (65535, 24576.125), (0, 32768)])
def test_a_filter_constant_by_hand(mantissa: int, expected: float) -> None:
    """a' = a - [q*mantissa / 2**8] with q = [sum delta*A / 2**shift] over the group's posts."""
    core = _adapting(mantissa)
    # step 0: I = 4096, 2048, -4096. step 1, x = 0: I = V = half of that: 2048, 1024, -2048 (lam = 0).
    # J = I of before >> 4 = 256, 128, -256; A = J >> 2 = 64, 32, -64; delta = (V - y) << 2 = 8192, 0, -8192.
    layer = core.state.layers[0]
    assert layer.adapt_trace.tolist() == [64, 32, -64]
    assert layer.delta.tolist() == [8192, 0, -8192]
    # group 0 holds posts 0 and 2: 2*64*8192 = 2**20; >> 7 = 8192; times mantissa, >> 8. Group 1: delta = 0.
    assert layer.a.tolist() == [(32768 << 8) - (8192 * mantissa >> 8), 32768 << 8]
    assert layer.a[0] / 256 == expected


def test_a_filter_constant_is_clipped() -> None:
    """Both limits, u0.16, also of a group whose gradient is zero; the upper limit wins over the lower."""
    assert _adapting(65535, a_min=30000).state.layers[0].a.tolist() == [30000 << 8, 32768 << 8]
    assert _adapting(0, a_max=20000).state.layers[0].a.tolist() == [20000 << 8] * 2
    core = _adapting(0, a_min=100, a_max=50, check=False)
    assert core.state.layers[0].a.tolist() == [50 << 8] * 2


def _adapting(mantissa: int, *, a_min: int = 0, a_max: int = 65535, check: bool = True) -> GoldenCore:
    """Two steps of three readout neurons in two groups with an update of the constants at the second."""
    config = NetworkConfig(layers=(1, 3), groups=2, readout=Readout.TARGET, max_steps=4, surrogate_entries=4)
    p = Parameters(
        theta=(4096,), rho=(0,), lam=((0, 0),), a=((32768 << 8, 32768 << 8),), surrogate=(0, 0, 0, 0),
        surrogate_shift=0, rate=((0, 0),), adapt_rate=((mantissa, 7),), schedule=(1,),
    )  # fmt: skip
    core = GoldenCore(config, p, [np.array([[8192], [4096], [-8192]])])
    core.set_parameters(p.with_(a_min=a_min, a_max=a_max), check=check)
    for x in (32, 0):
        core.step(np.array([x]), target=np.array([0, 1024, 0]), learn=True, adapt=True)
    return core


# -- refusals --------------------------------------------------------------------------------------------------------
def test_refuses_weights_that_do_not_fit() -> None:
    config = preset("tiny")
    case = make_case(config, 0, "R")
    core = GoldenCore(config, case.parameters, case.weights)
    with pytest.raises(ValueError, match="weights of 1 layers given, the network has 2"):
        core.load_weights(case.weights[:1])
    with pytest.raises(ValueError, match=r"weights of layer 1 have shape \(5, 3\), needed \(3, 5\)"):
        core.load_weights([case.weights[0], case.weights[0]])
    with pytest.raises(ValueError, match="weights of layer 0 exceed -32768 to 32767"):
        core.load_weights([np.full((5, 3), 32768), case.weights[1]])
    with pytest.raises(ConfigError, match="rng is 0"):
        core.set_parameters(case.parameters.with_(rng=0))
    scheduled = case.parameters.with_(schedule=(0,))
    core.set_parameters(scheduled)
    with pytest.raises(ValueError, match="label 3, allowed 0 to 2"):
        core.step(np.zeros(3), label=3, learn=True)
    core = GoldenCore(config.with_(readout=Readout.TARGET), scheduled, case.weights)
    with pytest.raises(ValueError, match="needs a target"):
        core.step(np.zeros(3), learn=True)


def test_a_difference_is_named() -> None:
    """StepTrace.difference names step, layer, word and index."""
    config = preset("tiny")
    case = make_case(config, 3, "R")
    core = GoldenCore(config, case.parameters, case.weights)
    one = core.step(case.stimuli[0].inputs, learn=True)
    assert one is not None
    other = core.snapshot(0, True, one.updated)
    assert one.difference(other) is None
    other.layers[1].trace[2, 4] += 1
    was = one.layers[1].trace[2, 4]
    assert one.difference(other) == f"step 0 layer 1 trace[2, 4]: {was} against {was + 1}"
    other = core.snapshot(0, True, one.updated)
    other.score[1] += 1
    assert "step 0 score" in str(one.difference(other))
    other = core.snapshot(5, True, one.updated)
    assert one.difference(other) == "step 0 step: 0 against 5"


# -- near the float core ---------------------------------------------------------------------------------------------
STEPS = 12
SIZES = (6, 9, 4)
DECAY_A, DECAY_LAM = (0.75, 0.5), (0.6875, 0.75)
ETA = (2.0**-6, 2.0**-6)


def _formats(more: int) -> Formats:
    """Generous ranges; all fraction bits grow with ``more``."""
    return Formats(
        weight=Format(16 + more, 11 + more), trace=Format(16 + more, 7 + more), current=Format(20 + more, 9 + more),
        membrane=Format(20 + more, 9 + more), threshold=Format(20 + more, 9 + more), gain=Format(12 + more, 10 + more),
        delta=Format(14 + more, 9 + more), rate_step=Format(16 + more, 14 + more),
        filter_trace=Format(20 + more, 8 + more), adapt_trace=Format(20 + more, 8 + more),
        score=Format(26, 9 + more), target=Format(16, 9),
    )  # fmt: skip


def _differences(readout: Readout, more: int, seed: int) -> dict[str, float]:
    """Largest difference of every word between integer core and float core over a sample that learns twice."""
    rng = np.random.default_rng(seed)
    config = NetworkConfig(
        layers=SIZES, groups=2, readout=readout, max_steps=16, surrogate_entries=4, formats=_formats(more)
    )
    f = config.formats
    # On the coarsest grid, so that both cores start equal.
    grid = 2.0**6
    shapes = zip(SIZES[1:], SIZES[:-1], strict=True)
    weights = [np.round(rng.normal(0.1, 1.2 / np.sqrt(n), (m, n)) * grid) / grid for m, n in shapes]
    inputs = rng.integers(-40, 80, (STEPS, SIZES[0]))
    labels, targets = rng.integers(0, SIZES[-1], STEPS), rng.integers(-512, 512, (STEPS, SIZES[-1]))
    heights = (0.875, 0.5, 0.125, 0.0)
    parameters = Parameters(
        theta=(f.threshold.from_float(0.75),) * 2, rho=(f.threshold.one,) * 2,
        lam=(tuple(f.decay.from_float(v) for v in DECAY_LAM),) * 2,
        a=(tuple(f.adaptive.from_float(v) for v in DECAY_A),) * 2,
        surrogate=tuple(round(h * f.surrogate.one) for h in heights), surrogate_shift=f.membrane.frac - 1,
        rate=tuple((32768, 21 - (f.rate_step.frac - f.delta.frac)) for _ in ETA), adapt_rate=((0, 0),) * 2,
        schedule=(5, 10),
    )  # fmt: skip
    golden = GoldenCore(config, parameters, [np.round(w * f.weight.one).astype(np.int64) for w in weights])

    def surrogate(distance: Any) -> Any:
        return np.array(heights)[np.minimum(np.floor(distance * 2), 3).astype(int)]

    exact = FloatCore(
        SIZES, 2, readout.value, weights, np.array([DECAY_A] * 2), np.array([DECAY_LAM] * 2), surrogate=surrogate,
        theta=0.75, rho=1.0, eta=ETA,
    )  # fmt: skip
    worst: dict[str, float] = {}
    for t in range(STEPS):
        mine = golden.step(inputs[t], label=int(labels[t]), target=targets[t], learn=True)
        wanted = targets[t] / 512 if readout is Readout.TARGET else int(labels[t])
        theirs = exact.step(inputs[t] / 32, wanted, learn=True, scheduled=t in parameters.schedule)
        assert mine is not None
        for i, layer in enumerate(mine.layers):
            assert layer.spike.tolist() == theirs.spikes[i].tolist(), f"step {t}: another spike, take another seed"
            pairs = [
                ("current", layer.current / f.current.one, theirs.current[i]),
                ("membrane", layer.membrane / f.membrane.one, theirs.membrane[i]),
                ("surrogate", layer.surrogate / f.surrogate.one, theirs.surrogate[i]),
                ("filter", layer.filter / f.trace.one, theirs.F[i]),
                ("trace", layer.trace / f.trace.one, theirs.eps[i]),
                ("filter_trace", layer.filter_trace / f.filter_trace.one, theirs.J[i]),
                ("adapt_trace", layer.adapt_trace / f.adapt_trace.one, theirs.A[i]),
                ("weight", layer.weight / f.weight.one, exact.weights[i]),
            ]
            if mine.updated:
                pairs.append(("delta", layer.delta / f.delta.one, theirs.delta[i]))
            for name, a, b in pairs:
                worst[name] = max(worst.get(name, 0.0), float(np.abs(a - b).max()))
        if t == 4:  # before the first update, the bound below is exact
            worst |= {f"{name} before": worst[name] for name in ("current", "membrane", "trace")}
    worst["moved"] = max(float(np.abs(a - b).max()) for a, b in zip(exact.weights, weights, strict=True))
    return worst


#: Seeds whose integer and float cores fire the same spikes in all four formats.
SEEDS = {Readout.MEMBRANE: 4, Readout.SPIKE: 21, Readout.TARGET: 1}


@pytest.mark.parametrize("readout", Readout, ids=lambda r: r.value)
def test_comes_near_the_float_core(readout: Readout) -> None:
    """While the spikes agree, the integer core differs from the float core by rounding alone, and ever less.

    Before an update, with u = 2**-frac of V: |dI| <= (1 + 1/2)/(1 - a) u and |dV| <= (|dI| + u)/(1 - lam); with a and
    lam at most 0.75 that is 6 u and 28 u. |dF| <= 1/(1 - a) = 4 units of the trace at any time. After two updates the
    differences stay below a twentieth of what the weights moved, and fall at least 16-fold over six more fraction bits
    (8-fold for the softmax, whose table of 256 entries does not grow).
    """
    runs = {more: _differences(readout, more, seed=SEEDS[readout]) for more in (0, 2, 4, 6)}
    for more, worst in runs.items():
        assert worst["current before"] <= 6 * 2.0 ** -(9 + more)
        assert worst["membrane before"] <= 28 * 2.0 ** -(9 + more)
        assert worst["filter"] <= 4 * 2.0 ** -(7 + more)
        assert worst["surrogate"] == 0
        assert worst["moved"] > 0.05
        assert worst["weight"] < worst["moved"] / 20
    first, last = runs[0], runs[6]
    for name in first.keys() - {"surrogate", "moved"}:
        fold = 8 if readout is Readout.MEMBRANE and name == "delta" else 16
        assert last[name] <= first[name] / fold, name
        assert [runs[m][name] for m in runs] == sorted((runs[m][name] for m in runs), reverse=True), name
