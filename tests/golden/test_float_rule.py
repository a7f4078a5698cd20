"""The hand-written gradient of `float_ref` against autodiff of the plain forward equations.

`readout_loss` below runs only the neuron equations, without one trace, under the PyPI package
`autograd`, whose derivative of the threshold is the surrogate. What the two must agree on:

- last layer: delta_i eps_ij is the full back-propagation-through-time gradient of the step's loss;
- hidden layers: delta_i eps_ij is that gradient with the cross-step term removed, that is with the
  state of t-1 of every LATER layer detached, so that a spike acts on later layers in its own step
  only (the one thing SOLSA leaves out); the spikes that a recurrent layer sees of itself are
  detached as well, its own soft reset is not;
- delta_i A_i, summed over a filter group, is the same for the constant ``a`` of the group.
"""

from copy import copy
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.extend import defvjp, primitive
from autograd.tracer import getval

from solsa.golden.float_ref import FloatArray, FloatCore, FloatStep, Readout, gaussian_surrogate

#: Rounding of a float64 sum over some tens of steps, relative to the largest gradient entry.
TOLERANCE = 1e-12
STEPS = 14
THETA = 0.8
SURROGATE = gaussian_surrogate(width=1.5, peak=0.9)
READOUTS: tuple[Readout, ...] = ("membrane", "spike", "target")
SHAPES = ((6, 4), (5, 8, 4), (5, 9, 7, 4), (5, 8, 7, 6, 4))


@primitive
def heaviside(distance: FloatArray) -> FloatArray:
    """Threshold of V - theta, [M]; its derivative is the surrogate."""
    return (distance > 0.0).astype(np.float64)


defvjp(heaviside, lambda _, distance: lambda g: g * SURROGATE(np.abs(distance)))


@dataclass(frozen=True)
class Case:
    """A random network with one sample for it."""

    layers: tuple[int, ...]
    groups: int
    readout: Readout
    rho: float
    weights: list[FloatArray]
    a: FloatArray
    lam: FloatArray
    inputs: FloatArray
    target: FloatArray
    recurrent: bool = False

    @property
    def depth(self) -> int:
        """Number of layers of synapses."""
        return len(self.layers) - 1

    def core(self, kind: type[FloatCore] = FloatCore, **rates: Any) -> FloatCore:
        """Build the network under test, or a wrong variant of it."""
        return kind(
            self.layers,
            self.groups,
            self.readout,
            self.weights,
            self.a,
            self.lam,
            surrogate=SURROGATE,
            rho=self.rho,
            theta=THETA,
            recurrent=self.recurrent,
            **rates,
        )


def make_case(
    layers: tuple[int, ...], groups: int, readout: Readout, rho: float = 1.0, seed: int = 0, recurrent: bool = False
) -> Case:
    """Draw a network whose neurons fire now and then, graded inputs, and a target vector."""
    rng = np.random.default_rng(seed)
    shape = (len(layers) - 1, groups)
    own = [m if recurrent else 0 for m in layers[1:-1]] + [0]
    sizes = zip(layers[1:], layers[:-1], own, strict=True)
    weights = [rng.normal(0.1, 1.2 / np.sqrt(n), (m, n + o)) for m, n, o in sizes]
    # A probability vector, so that no error of the spike readout is exactly zero.
    target = rng.normal(size=layers[-1]) if readout == "target" else rng.dirichlet(np.ones(layers[-1]))
    return Case(
        layers,
        groups,
        readout,
        rho,
        weights,
        a=rng.uniform(0.2, 0.8, shape),
        lam=rng.uniform(0.4, 0.9, shape),
        inputs=rng.normal(0.3, 1.0, (STEPS, layers[0])),
        target=target,
        recurrent=recurrent,
    )


def readout_loss(case: Case, weights: list[Any], a: list[Any], detach_after: int | None = None) -> Any:
    """Loss of the last step, from the forward equations alone.

    Parameters
    ----------
    case : Case
        Constants, inputs and target.
    weights, a : list
        One [M, N] and one [G] array per layer; any of them may be an autograd box.
    detach_after : int, optional
        Cut every path through the state of t-1 in the layers after this one, and through own spikes as pre signals.

    Returns
    -------
    scalar
        Cross-entropy, or half the squared error of the spikes or of the membrane.
    """
    sizes = case.layers[1:]
    current: list[Any] = [np.zeros(m) for m in sizes]
    membrane: list[Any] = [np.zeros(m) for m in sizes]
    spikes: list[Any] = [np.zeros(m) for m in sizes]
    for x in case.inputs:
        pre: Any = x
        for layer, size in enumerate(sizes):
            group = np.arange(size) % case.groups
            old = [current[layer], membrane[layer], spikes[layer]]
            if case.recurrent and layer < case.depth - 1:
                pre = anp.concatenate([pre, old[2] if detach_after is None else getval(old[2])])
            if detach_after is not None and layer > detach_after:
                old = [getval(state) for state in old]
            current[layer] = a[layer][group] * old[0] + anp.dot(weights[layer], pre)
            membrane[layer] = case.lam[layer, group] * old[1] + current[layer] - case.rho * old[2]
            if layer < case.depth - 1 or case.readout == "spike":
                spikes[layer] = heaviside(membrane[layer] - THETA)
            pre = spikes[layer]
    if case.readout == "membrane":
        v = membrane[-1]
        return anp.log(anp.sum(anp.exp(v))) - anp.sum(case.target * v)
    output = spikes[-1] if case.readout == "spike" else membrane[-1]
    return 0.5 * anp.sum((output - case.target) ** 2)


def autodiff(case: Case, layer: int, full: bool = False) -> tuple[FloatArray, FloatArray]:
    """Gradients of the last step's loss by one layer's weights [M, N] and constants a [G].

    `full` keeps the cross-step term: back-propagation through time without any cut.
    """
    cut = None if full else layer

    def loss(w: Any, a: Any) -> Any:
        weights: list[Any] = list(case.weights)
        constants: list[Any] = list(case.a)
        weights[layer], constants[layer] = w, a
        return readout_loss(case, weights, constants, cut)

    arguments = (case.weights[layer], case.a[layer])
    return grad(loss, 0)(*arguments), grad(loss, 1)(*arguments)


def by_hand(core: FloatCore, case: Case) -> list[tuple[FloatArray, FloatArray]]:
    """Run the sample and form delta_i eps_ij and the group sums of delta_i A_i, per layer."""
    for x in case.inputs[:-1]:
        core.step(x, learn=True)
    step = core.step(case.inputs[-1], case.target, learn=True, scheduled=True)
    gradients = []
    for layer, size in enumerate(case.layers[1:]):
        slope = step.delta[layer] * step.A[layer]
        group = np.arange(size) % case.groups
        gradients.append(
            (
                step.delta[layer][:, None] * step.eps[layer],
                np.array([slope[group == g].sum() for g in range(case.groups)]),
            )
        )
    return gradients


def mismatch(found: FloatArray, wanted: FloatArray) -> float:
    """Largest difference, relative to the largest wanted entry."""
    scale = np.abs(wanted).max()
    assert scale > 1e-6, "a gradient that vanishes would compare equal to anything"
    return float(np.abs(found - wanted).max() / scale)


def worst_mismatch(case: Case, kind: type[FloatCore] = FloatCore) -> float:
    """Largest relative difference over all layers, weights and constants."""
    worst = 0.0
    for layer, found in enumerate(by_hand(case.core(kind), case)):
        for mine, theirs in zip(found, autodiff(case, layer), strict=True):
            worst = max(worst, mismatch(mine, theirs))
    return worst


@pytest.mark.parametrize("rho", [1.0, 0.6])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("layers", SHAPES, ids=lambda layers: "-".join(map(str, layers)))
def test_gradient_equals_autodiff(layers: tuple[int, ...], readout: Readout, groups: int, rho: float) -> None:
    """Weights and filter constants of every layer, all readouts, deep nets included."""
    case = make_case(layers, groups, readout, rho)
    assert worst_mismatch(case) < TOLERANCE


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("layers", SHAPES[1:], ids=lambda layers: "-".join(map(str, layers)))
def test_gradient_of_a_recurrent_network(layers: tuple[int, ...], readout: Readout) -> None:
    """Own spikes of the step before are pre signals like the others."""
    assert worst_mismatch(make_case(layers, 2, readout, recurrent=True)) < TOLERANCE


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("layers", SHAPES[1:], ids=lambda layers: "-".join(map(str, layers)))
def test_last_layer_is_full_bptt(layers: tuple[int, ...], recurrent: bool, readout: Readout) -> None:
    """Nothing is cut for the last layer; a hidden layer does differ from uncut BPTT."""
    case = make_case(layers, 2, readout, recurrent=recurrent)
    gradients = by_hand(case.core(), case)
    last = case.depth - 1
    for mine, theirs in zip(gradients[last], autodiff(case, last, full=True), strict=True):
        assert mismatch(mine, theirs) < TOLERANCE
    for mine, theirs in zip(gradients[0], autodiff(case, 0, full=True), strict=True):
        assert mismatch(mine, theirs) > 1e-3


def test_reference_of_the_check_is_the_network() -> None:
    """The autodiff forward pass ends in the same loss, and its neurons do fire."""
    case = make_case((5, 9, 7, 4), 2, "spike")
    core = case.core()
    fired = [core.step(x).spikes for x in case.inputs]
    for layer in range(case.depth):
        rate = float(np.mean([spikes[layer] for spikes in fired]))
        assert 0.05 < rate < 0.95
    loss = readout_loss(case, list(case.weights), list(case.a))
    assert loss == 0.5 * np.sum((fired[-1][-1] - case.target) ** 2)


class LateFilter(FloatCore):
    """Planted error: eps takes F_j[t-1] instead of F_j[t]."""

    def _advance_traces(self, layer: int, pre: FloatArray) -> None:
        late = self.F[layer][self.group_of[layer]].copy()
        eps = self._trace_decay(layer)[:, None] * self.eps[layer] + late
        super()._advance_traces(layer, pre)
        self.eps[layer] = eps


class NoResetTerm(FloatCore):
    """Planted error: the traces ignore the soft reset, k = lam."""

    def _trace_decay(self, layer: int) -> FloatArray:
        lam: FloatArray = self.lam[layer, self.group_of[layer]]
        return lam


class EarlyCurrent(FloatCore):
    """Planted error: J takes I_i[t] instead of I_i[t-1]."""

    def _advance_traces(self, layer: int, pre: FloatArray) -> None:
        kept = self.current[layer]
        group = self.group_of[layer]
        self.current[layer] = self.a[layer, group] * kept + self.weights[layer] @ pre
        super()._advance_traces(layer, pre)
        self.current[layer] = kept


class ForgottenSurrogate(FloatCore):
    """Planted error: the hidden error is passed back without h."""

    def _errors(self, target: FloatArray) -> list[FloatArray]:
        kept = self.filtered[:-1]
        self.filtered[:-1] = [np.ones_like(h) for h in kept]
        deltas = super()._errors(target)
        self.filtered[:-1] = kept
        return deltas


class FirstGroupOnly(FloatCore):
    """Planted error: every post's trace is driven by the filter word of group 0."""

    def _advance_traces(self, layer: int, pre: FloatArray) -> None:
        kept = self.eps[layer]
        super()._advance_traces(layer, pre)
        self.eps[layer] = self._trace_decay(layer)[:, None] * kept + self.F[layer][0]


class SameStep(FloatCore):
    """Planted error: a layer sees the spikes of its own that it is about to fire."""

    def _with_own(self, layer: int, pre: FloatArray) -> FloatArray:
        found = super()._with_own(layer, pre)
        kept = [copy(array) for array in (self.current[layer], self.membrane[layer], self.surrogate[layer])]
        before = self.spikes[layer]
        self._advance_neurons(layer, found)
        ahead = np.concatenate([pre, self.spikes[layer][: len(found) - len(pre)]])
        self.current[layer], self.membrane[layer], self.surrogate[layer] = kept
        self.spikes[layer] = before
        return ahead


class ErrorToItself(FloatCore):
    """Planted error: the layer below takes its errors from the weights of own spikes."""

    def _errors(self, target: FloatArray) -> list[FloatArray]:
        kept = self.weights
        self.weights = [np.roll(w, n, axis=1) for w, n in zip(kept, self.layers, strict=False)]
        deltas = super()._errors(target)
        self.weights = kept
        return deltas


@pytest.mark.parametrize("planted", [SameStep, ErrorToItself])
def test_planted_error_of_recurrence_is_caught(planted: type[FloatCore]) -> None:
    assert worst_mismatch(make_case((5, 9, 7, 4), 2, "membrane", recurrent=True), planted) > 1e-3


@pytest.mark.parametrize("planted", [LateFilter, NoResetTerm, EarlyCurrent, ForgottenSurrogate, FirstGroupOnly])
@pytest.mark.parametrize("readout", READOUTS)
def test_planted_error_is_caught(planted: type[FloatCore], readout: Readout) -> None:
    """The check above fails by far on a rule that is wrong in one term."""
    assert worst_mismatch(make_case((5, 9, 7, 4), 2, readout), planted) > 1e-3


def run_sample(core: FloatCore, case: Case, schedule: set[int]) -> list[FloatStep]:
    """Every step of the sample with learning on."""
    return [core.step(x, case.target, learn=True, scheduled=t in schedule) for t, x in enumerate(case.inputs)]


@pytest.mark.parametrize("readout", READOUTS)
def test_update_order(readout: Readout) -> None:
    """Deltas from the old weights, then all weights, then a."""
    case = make_case((5, 9, 7, 4), 2, readout)
    eta, eta_a = (0.03, 0.02, 0.01), (0.002, 0.0, 0.001)
    core = case.core(eta=eta, eta_a=eta_a, a_min=0.1, a_max=0.9)
    step = run_sample(core, case, {STEPS - 1})[-1]
    for layer in range(case.depth):
        if layer < case.depth - 1:
            back = case.weights[layer + 1].T @ step.delta[layer + 1]
            np.testing.assert_allclose(step.delta[layer], step.surrogate[layer] * back, rtol=1e-13)
        moved = core.weights[layer] - case.weights[layer]
        wanted = -eta[layer] * step.delta[layer][:, None] * step.eps[layer]
        np.testing.assert_allclose(moved, wanted, rtol=1e-9, atol=1e-15)
        slope = step.delta[layer] * step.A[layer]
        sums = np.array([slope[g :: case.groups].sum() for g in range(case.groups)])
        wanted_a = np.clip(case.a[layer] - eta_a[layer] * sums, 0.1, 0.9)
        np.testing.assert_allclose(core.a[layer], wanted_a, rtol=1e-13)
    assert np.array_equal(core.a[1], case.a[1])
    assert not np.array_equal(core.a[0], case.a[0])


def test_only_scheduled_steps_learn() -> None:
    """Weights and a move at scheduled steps with learning on, and at no other."""
    case = make_case((5, 8, 4), 2, "membrane")
    core = case.core(eta=0.01, eta_a=0.001)
    changed = set()
    for t, x in enumerate(case.inputs):
        before = [*(w.copy() for w in core.weights), core.a.copy()]
        step = core.step(x, case.target, learn=True, scheduled=t in (4, 9))
        if any(not np.array_equal(old, new) for old, new in zip(before, [*core.weights, core.a], strict=True)):
            changed.add(t)
        assert (t in (4, 9)) == any(delta.any() for delta in step.delta)
    assert changed == {4, 9}
    before = [w.copy() for w in core.weights]
    core.step(case.inputs[0], case.target, learn=False, scheduled=True)
    for old, new in zip(before, core.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_adapted_constants_stay_in_range() -> None:
    """A huge learning rate ends on the bounds, never outside."""
    case = make_case((5, 8, 4), 4, "membrane")
    core = case.core(eta_a=1e6, a_min=0.25, a_max=0.75)
    run_sample(core, case, {STEPS - 1})
    assert set(np.unique(core.a)) == {0.25, 0.75}


def test_current_form_equals_filter_form() -> None:
    """While weights stand still I_i is sum_j w_ij F_j, and inference is the same without traces."""
    case = make_case((5, 8, 4), 2, "membrane")
    learning, silent = case.core(), case.core()
    for step in run_sample(learning, case, set()):
        for layer, size in enumerate(case.layers[1:]):
            filtered = step.F[layer][np.arange(size) % case.groups]
            current = np.sum(case.weights[layer] * filtered, axis=1)
            np.testing.assert_allclose(step.current[layer], current, rtol=0, atol=1e-12)
    for x in case.inputs:
        quiet = silent.step(x)
    for name in ("current", "membrane", "spikes", "surrogate"):
        for mine, theirs in zip(getattr(quiet, name), getattr(step, name), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert not any(eps.any() for eps in quiet.eps)


def test_reset_forgets_the_sample() -> None:
    """Two runs with a reset in between are equal, trace by trace."""
    case = make_case((5, 8, 4), 2, "spike")
    core = case.core()
    first = run_sample(core, case, set())
    core.reset()
    second = run_sample(core, case, set())
    for one, two in zip(first, second, strict=True):
        for name in ("current", "membrane", "spikes", "surrogate", "F", "eps", "J", "A"):
            for mine, theirs in zip(getattr(one, name), getattr(two, name), strict=True):
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"weights": [np.zeros((8, 5)), np.zeros((4, 9))]}, "weights must have shapes"),
        ({"a": np.full((2, 1), 0.5)}, "a must have shape"),
        ({"lam": np.full((2, 2), 1.0)}, "lam must lie in"),
        ({"readout": "vote"}, "unknown readout"),
        ({"eta": [0.1, 0.1, 0.1]}, "eta must be one number or 2"),
        ({"a_max": 1.0}, "a_min <= a_max < 1"),
    ],
)
def test_a_wrong_argument_is_named(change: dict[str, Any], complaint: str) -> None:
    """Every refusal says which argument and why."""
    case = make_case((5, 8, 4), 2, "membrane")
    arguments: dict[str, Any] = {
        "layers": case.layers,
        "groups": 2,
        "readout": "membrane",
        "weights": case.weights,
        "a": case.a,
        "lam": case.lam,
        "surrogate": SURROGATE,
    }
    with pytest.raises(ValueError, match=complaint):
        FloatCore(**(arguments | change))


def test_a_scheduled_step_needs_a_target() -> None:
    """Learning without a target would silently learn nothing."""
    core = make_case((5, 8, 4), 2, "membrane").core()
    with pytest.raises(ValueError, match="needs a target"):
        core.step(np.zeros(5), learn=True, scheduled=True)
