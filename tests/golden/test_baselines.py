"""Every learning rule of golden/baselines against what it was published as.

That is autodiff of the plain forward equations with the paths cut that the rule leaves out, or its update equation
written down in NumPy. `readout_losses` below runs only the neuron equations, without one trace. What each rule must
equal, for the sum over the scheduled steps of the readout's loss:

- bptt: no path is cut, own spikes (recurrent) and filter constants included;
- eprop: the reset is cut (Bellec et al. 2020, eq. 4 with the eligibility of a LIF neuron; one hidden layer);
  this and the rules below take own spikes as signals and send no error through them;
- ostl, solsa: a layer acts on those above it only within a step (Bohnstingl et al. 2022, eq. 12; arXiv 2307.11314);
- ottt: that, and the reset is cut (Xiao et al. 2022, eq. 7 and 8);
- decolle: the loss of a fixed random readout of the layer's own spikes, the reset cut (Kaiser et al. 2020, eq. 7);
- fixed: only the readout learns.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.extend import defvjp, primitive
from autograd.tracer import getval

from solsa.contract import PRESETS, Layout
from solsa.golden.baselines.network import Options, RuleNetwork, Samples
from solsa.golden.baselines.rules import RULES, multiplies, state_bits
from solsa.golden.float_ref import FloatArray, FloatCore, gaussian_surrogate

STEPS, WIDTH, THETA = 12, 0.8, 0.7
SURROGATE = gaussian_surrogate(WIDTH)
LABEL = 2
#: Rounding of float64 sums, relative to the largest entry.
TOLERANCE = 1e-11


@primitive
def heaviside(distance: FloatArray) -> FloatArray:
    return (distance > 0.0).astype(np.float64)


defvjp(heaviside, lambda _, distance: lambda g: g * SURROGATE(np.abs(distance)))


class Case:
    """A random network and samples for it; groups of the readout have one constant, as e-prop wants."""

    def __init__(self, layers: tuple[int, ...] = (5, 8, 4), recurrent: bool = False, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.layers, self.groups, self.recurrent = layers, 2, recurrent
        depth = len(layers) - 1
        own = [layers[i + 1] if recurrent and i < depth - 1 else 0 for i in range(depth)]
        self.weights = [
            rng.normal(0.1, 1.2 / np.sqrt(layers[i]), (layers[i + 1], layers[i] + own[i])) for i in range(depth)
        ]
        self.a, self.lam = rng.uniform(0.2, 0.7, (depth, 2)), rng.uniform(0.4, 0.9, (depth, 2))
        self.a[-1], self.lam[-1] = self.a[-1, 0], self.lam[-1, 0]
        self.inputs = [rng.normal(0.3, 1.0, (STEPS, layers[0])), rng.normal(0.3, 1.0, (STEPS - 3, layers[0]))]
        self.targets = [rng.normal(size=(len(x), layers[-1])) for x in self.inputs]
        self.schedule = np.zeros(STEPS, dtype=bool)
        self.schedule[[2, 5, 8, 11]] = True

    def samples(self, count: int = 1, targets: bool = False) -> Samples:
        wanted = self.targets[:count] if targets else []
        return Samples.pack(self.inputs[:count], [LABEL, 1][:count], wanted)

    def network(self, rule: str, **options: Any) -> RuleNetwork:
        peak = options.pop("peak", 1.0)
        return RuleNetwork(
            self.layers, self.weights, self.a, self.lam, RULES[rule], theta=THETA, width=WIDTH, peak=peak,
            options=Options(recurrent=self.recurrent, **options),
        )  # fmt: skip

    def gradients(self, rule: str, schedule: np.ndarray | None = None, **options: Any) -> list[FloatArray]:
        """What one sample at rate 1 takes from the weights."""
        net = self.network(rule, **options)
        where = self.schedule if schedule is None else schedule
        net.epoch(self.samples(targets=options.get("regression", False)), [0], where, np.ones(len(self.weights)))
        return [before - after for before, after in zip(self.weights, net.weights, strict=True)]


def readout_losses(
    case: Case, weights: list[Any], a: Any, *, cut: int | None = None, reset: bool = True, local: Any = None,
    regression: bool = False, own: bool = True,
) -> list[Any]:  # fmt: skip
    """Loss of every step, from the forward equations alone.

    `cut`: every path through the state of t-1 in the layers after this one is cut; `reset`: the gradient follows the
    reset; `own`: it follows own spikes as pre signals; `local`: the loss is that of this readout [C, M] of the first
    layer's spikes.
    """
    sizes = case.layers[1:]
    current: list[Any] = [np.zeros(m) for m in sizes]
    membrane: list[Any] = [np.zeros(m) for m in sizes]
    spikes: list[Any] = [np.zeros(m) for m in sizes]
    losses = []
    for t, x in enumerate(case.inputs[0]):
        pre: Any = x
        for layer, size in enumerate(sizes):
            group = np.arange(size) % case.groups
            old = [current[layer], membrane[layer], spikes[layer]]
            if case.recurrent and layer < len(sizes) - 1:
                pre = anp.concatenate([pre, old[2] if own else getval(old[2])])
            if cut is not None and layer > cut:
                old = [getval(state) for state in old]
            taken = old[2] if reset else getval(old[2])
            current[layer] = a[layer][group] * old[0] + anp.dot(weights[layer], pre)
            membrane[layer] = case.lam[layer, group] * old[1] + current[layer] - taken
            if layer < len(sizes) - 1:
                spikes[layer] = heaviside(membrane[layer] - THETA)
            pre = spikes[layer]
        v = membrane[-1] if local is None else anp.dot(local, spikes[0])
        if regression:
            losses.append(0.5 * anp.sum((v - case.targets[0][t]) ** 2))
        else:
            losses.append(anp.log(anp.sum(anp.exp(v))) - v[LABEL])
    return losses


def autodiff(case: Case, layer: int, schedule: np.ndarray | None = None, **how: Any) -> FloatArray:
    """Gradient of the scheduled steps' losses by one layer's weights."""
    where = np.flatnonzero(case.schedule if schedule is None else schedule)

    def loss(w: Any) -> Any:
        weights: list[Any] = list(case.weights)
        weights[layer] = w
        losses = readout_losses(case, weights, case.a, **how)
        return sum(losses[t] for t in where)

    found: FloatArray = grad(loss)(case.weights[layer])
    return found


def assert_close(ours: FloatArray, wanted: FloatArray) -> None:
    assert np.abs(wanted).max() > 1e-3
    assert np.abs(ours - wanted).max() <= TOLERANCE * np.abs(wanted).max()


@pytest.mark.parametrize("layers", [(5, 8, 4), (5, 8, 7, 4)])
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("regression", [False, True])
def test_bptt_is_the_whole_gradient(layers: tuple[int, ...], recurrent: bool, regression: bool) -> None:
    case = Case(layers, recurrent)
    found = case.gradients("bptt", regression=regression)
    for layer, ours in enumerate(found):
        assert_close(ours, autodiff(case, layer, regression=regression))


def test_bptt_adapts_filters_by_the_whole_gradient() -> None:
    case = Case()
    net = case.network("bptt", adapt=True)
    net.epoch(case.samples(), [0], case.schedule, np.zeros(2), np.full(2, 1e-3))

    def loss(a: Any) -> Any:
        losses = readout_losses(case, case.weights, a)
        return sum(losses[t] for t in np.flatnonzero(case.schedule))

    assert_close((case.a - net.a) / 1e-3, grad(loss)(case.a))


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("recurrent", [False, True])
def test_eprop_is_the_gradient_without_the_reset(recurrent: bool, regression: bool) -> None:
    case = Case(recurrent=recurrent)
    for layer, ours in enumerate(case.gradients("eprop", regression=regression)):
        assert_close(ours, autodiff(case, layer, reset=False, own=False, regression=regression))


@pytest.mark.parametrize(("rule", "reset"), [("ostl", True), ("ottt", False)])
@pytest.mark.parametrize("layers", [(5, 8, 4), (5, 8, 7, 4)])
@pytest.mark.parametrize("recurrent", [False, True])
def test_same_step_rules_are_the_gradient_with_cut_paths(
    rule: str, reset: bool, layers: tuple[int, ...], recurrent: bool
) -> None:
    case = Case(layers, recurrent)
    for layer, ours in enumerate(case.gradients(rule)):
        assert_close(ours, autodiff(case, layer, cut=layer, reset=reset, own=False))


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("ostl", {"reset": False}),
        ("ottt", {"reset": True}),
        ("bptt", {"cut": 0}),
        ("eprop", {"reset": True}),
        ("eprop", {"reset": False, "cut": 0}),
    ],
)
def test_another_rules_gradient_is_told_apart(rule: str, wrong: dict[str, Any]) -> None:
    """Each comparison above fails when a path is cut, or not cut, against the rule."""
    case = Case()
    ours, other = case.gradients(rule)[0], autodiff(case, 0, **wrong)
    assert np.abs(ours - other).max() > 1e-3 * np.abs(other).max()


def test_ottt_equals_its_published_equation() -> None:
    """Xiao et al. 2022: sum over t of delta h (outer) presynaptic trace; here the trace passes both filters."""
    case = Case()
    net, wanted = FloatCore(case.layers, 2, "membrane", case.weights, case.a, case.lam, surrogate=SURROGATE,
                            theta=THETA), np.zeros_like(case.weights[0])  # fmt: skip
    F, trace = np.zeros((2, 5)), np.zeros((2, 5))
    for t, x in enumerate(case.inputs[0]):
        state = net.step(x)
        F = case.a[0][:, None] * F + x
        trace = case.lam[0][:, None] * trace + F
        if case.schedule[t]:
            p = np.exp(state.membrane[1] - state.membrane[1].max())
            error = p / p.sum() - np.eye(4)[LABEL]
            delta = state.surrogate[0] * (case.weights[1].T @ error)
            wanted += delta[:, None] * trace[np.arange(8) % 2]
    assert_close(case.gradients("ottt")[0], wanted)


def test_decolle_follows_its_local_readout() -> None:
    case = Case()
    net = case.network("decolle")
    local = net.local_readouts[0]
    only = np.zeros(STEPS, dtype=bool)
    only[7] = True
    hidden, readout = case.gradients("decolle", only)
    assert_close(hidden, autodiff(case, 0, only, reset=False, local=local))
    assert_close(readout, autodiff(case, 1, only))


def test_a_fixed_hidden_layer_stays() -> None:
    case = Case()
    only = np.zeros(STEPS, dtype=bool)
    only[9] = True
    hidden, readout = case.gradients("fixed", only)
    assert not hidden.any()
    assert_close(readout, autodiff(case, 1, only))


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("layers", [(5, 8, 4), (5, 8, 7, 4)])
@pytest.mark.parametrize(("recurrent", "filtered"), [(False, False), (True, False), (False, True)])
def test_solsa_learns_as_the_float_reference(
    layers: tuple[int, ...], recurrent: bool, filtered: bool, regression: bool
) -> None:
    """Two samples of different length, updates within the sample, filters that adapt: the same words."""
    case, depth = Case(layers, recurrent), len(layers) - 1
    eta, eta_a = np.full(depth, 0.05), np.full(depth, 0.002)
    net = case.network("solsa", adapt=True, regression=regression, filtered_surrogate=filtered)
    data = case.samples(2, targets=True)
    core = FloatCore(layers, 2, "target" if regression else "membrane", case.weights, case.a, case.lam,
                     surrogate=SURROGATE, theta=THETA, eta=eta, eta_a=eta_a, recurrent=recurrent,
                     filtered_surrogate=filtered)  # fmt: skip
    net.epoch(data, [1, 0], case.schedule, eta, eta_a)
    for n in (1, 0):
        core.reset()
        for t, x in enumerate(case.inputs[n]):
            target: Any = case.targets[n][t] if regression else int(data.labels[n])
            core.step(x, target, learn=True, scheduled=bool(case.schedule[t]))
    for ours, wanted in zip((*net.weights, net.a), (*core.weights, core.a), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-10, atol=1e-12)
    assert np.abs(net.a - case.a).max() > 1e-5
    scores, _ = net.evaluate(data)
    core.reset()
    total = sum(core.step(x).output for x in case.inputs[0])
    np.testing.assert_allclose(scores[0], total, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layers", [(5, 8, 4), (5, 8, 7, 4)])
@pytest.mark.parametrize("peak", [1.0, 0.3])
def test_filtered_h_passes_the_filters_of_the_readout(layers: tuple[int, ...], peak: float) -> None:
    """Option filtered_surrogate: hidden errors have the factor sum_t' lam^(t - t') h[t'], lam that of the readout."""
    case, depth, t = Case(layers), len(layers) - 1, STEPS - 2
    core = FloatCore(layers, 2, "membrane", case.weights, case.a, case.lam,
                     surrogate=gaussian_surrogate(WIDTH, peak), theta=THETA)  # fmt: skip
    lam = case.lam[-1, 0]
    states = [core.step(x, learn=True) for x in case.inputs[0][: t + 1]]
    power = np.exp(states[-1].output - states[-1].output.max())
    deltas = [power / power.sum() - np.eye(4)[LABEL]]
    for layer in range(depth - 1, 0, -1):
        gate = sum(lam ** (t - n) * state.surrogate[layer - 1] for n, state in enumerate(states))
        deltas.insert(0, gate * (case.weights[layer].T @ deltas[0]))
    only = np.arange(STEPS) == t
    ours, plain = (
        case.gradients("solsa", only, filtered_surrogate=True, peak=peak),
        case.gradients("solsa", only, peak=peak),
    )
    for layer, (gradient, delta) in enumerate(zip(ours, deltas, strict=True)):
        assert_close(gradient, delta[:, None] * states[-1].eps[layer])
    assert np.abs(ours[0] - plain[0]).max() > 1e-3 * np.abs(ours[0]).max()


def test_a_lower_peak_only_scales_errors_where_the_reset_is_left_out() -> None:
    case, only = Case(), np.arange(STEPS) == 8
    for rule, same in (("ottt", True), ("eprop", True), ("decolle", True), ("ostl", False), ("bptt", False)):
        whole, low = case.gradients(rule, only)[0], case.gradients(rule, only, peak=0.25)[0]
        assert np.allclose(0.25 * whole, low, rtol=1e-9, atol=1e-12) == same


def test_probe_says_what_an_update_would_change() -> None:
    case, eta = Case(), np.array([0.3, 0.2])
    changes = case.network("solsa").probe(case.samples(), [0], eta)
    for t in (0, 4, 11):
        only = np.arange(STEPS) == t
        net = case.network("solsa")
        net.epoch(case.samples(), [0], only, eta)
        moved = sum(np.abs(b - w).sum() for b, w in zip(case.weights, net.weights, strict=True))
        assert changes[t] == pytest.approx(moved, rel=1e-10)


def test_early_stop_ends_the_updates_of_a_sure_sample() -> None:
    case, rates = Case(), np.full(2, 1e-9)
    sure = {"stop_after": 2, "stop_margin": -1e9}
    assert case.network("solsa", **sure).epoch(case.samples(), [0], case.schedule, rates).updates == 2
    unsure = {"stop_after": 2, "stop_margin": 1e9}
    assert case.network("solsa", **unsure).epoch(case.samples(), [0], case.schedule, rates).updates == 4


def test_the_decision_can_be_that_of_the_last_steps() -> None:
    case = Case()
    scores, _ = case.network("solsa", window=3).evaluate(case.samples())
    core = FloatCore(case.layers, 2, "membrane", case.weights, case.a, case.lam, surrogate=SURROGATE, theta=THETA)
    outputs = [core.step(x).output for x in case.inputs[0]]
    np.testing.assert_allclose(scores[0], sum(outputs[-3:]), rtol=1e-10)


def test_rate_per_post_divides_by_the_nearest_power_of_two() -> None:
    case, only = Case(), np.arange(STEPS) == 6
    plain, scaled = case.gradients("solsa", only), case.gradients("solsa", only, normalise="row")
    for a, b in zip(plain, scaled, strict=True):
        size = np.sqrt((a**2).mean(1))
        wanted = 2.0 ** np.clip(-np.rint(np.log2(size)), -10, 10)
        np.testing.assert_allclose(b, a * wanted[:, None], rtol=1e-9, atol=1e-10)


def test_rate_per_post_by_the_mean_error_before() -> None:
    """The first update is as given, the second divided by a power of two; a layer with reference 0 keeps its rate."""
    case, both = Case(), np.arange(STEPS) >= STEPS - 2
    options = {"normalise": "error", "reference": (2.0**-4, 0.0), "largest": 3}
    first, last = (np.arange(STEPS) == t for t in (STEPS - 2, STEPS - 1))
    for schedule, same in ((first, True), (last, True), (both, False)):
        plain, scaled = case.gradients("solsa", schedule), case.gradients("solsa", schedule, **options)
        assert np.array_equal(plain[0], scaled[0]) == same
        np.testing.assert_allclose(plain[1], scaled[1], rtol=1e-9)


def test_costs_agree_with_the_layout() -> None:
    config = PRESETS["vowels"]
    layout = Layout(config)
    assert state_bits(RULES["solsa"], config, 29, adapt=True) == sum(layout.state_bits().values())
    assert state_bits(RULES["bptt"], config, 29) == sum(layout.bptt_bits(29).values())
    assert state_bits(RULES["ottt"], config, 29) == state_bits(RULES["ottt"], config, 290)
    own = config.with_(filtered_surrogate=True)
    assert state_bits(RULES["solsa"], own, 29) == state_bits(RULES["solsa"], config, 29) + (64 + 9) * 5
    assert multiplies(RULES["solsa"], own, 0.3) == multiplies(RULES["solsa"], config, 0.3) + 64
    cost = {name: multiplies(rule, config, 0.3) for name, rule in RULES.items()}
    assert cost["fixed"] < cost["ottt"] < cost["solsa"] < cost["eprop"]


def test_wrong_shapes_are_refused() -> None:
    case = Case()
    with pytest.raises(ValueError, match="weights have shapes") as raised:
        RuleNetwork((5, 8, 3), case.weights, case.a, case.lam, RULES["solsa"])
    assert "(3, 8)" in str(raised.value)
    case.a[-1, 1] += 0.1
    with pytest.raises(ValueError, match="e-prop"):
        case.network("eprop")
