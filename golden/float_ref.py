"""Float64 reference of the SOLSA rule: what the integer model and the chip approximate.

One `FloatCore` is a network of leaky integrate-and-fire layers that learns forward in time.
Nothing here is rounded or saturated, so a difference between this file and the integer model is
the price of the number formats, and a difference between this file and autodiff
(`tests/golden/test_float_rule.py`) is an error in the rule.

The equations are those of arXiv 2307.11314 with the project's own choices, as written down in
`docs/`. For layer l with N pre signals and M posts, post i in filter group g(i) = i mod G::

    F_gj[t]   = a_g F_gj[t-1] + x_j[t]
    I_i[t]    = a_g I_i[t-1] + sum_j w_ij x_j[t]
    V_i[t]    = lam_g V_i[t-1] + I_i[t] - rho s_i[t-1]
    s_i[t]    = V_i[t] > theta
    h_i[t]    = surrogate(|V_i[t] - theta|)
    k_i[t]    = lam_g - rho h_i[t-1]
    eps_ij[t] = k_i[t] eps_ij[t-1] + F_gj[t]
    J_i[t]    = a_g J_i[t-1] + I_i[t-1]
    A_i[t]    = k_i[t] A_i[t-1] + J_i[t]

Layers run in order within a step, so layer l+1 sees the spikes that layer l fires in this step. A recurrent hidden
layer has its own spikes of t-1 as further pre signals, after those from below; its error passes down only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FloatArray", "FloatCore", "FloatStep", "Readout", "Surrogate", "gaussian_surrogate"]

FloatArray = NDArray[np.float64]
Readout = Literal["membrane", "spike", "target"]
Surrogate = Callable[[FloatArray], FloatArray]

#: Readouts whose last layer neither spikes nor resets: its membrane is the output.
NON_SPIKING: tuple[Readout, ...] = ("membrane", "target")


def gaussian_surrogate(width: float, peak: float = 1.0) -> Surrogate:
    """Gaussian stand-in for the derivative of the threshold.

    Parameters
    ----------
    width : float
        Standard deviation, in units of the membrane. Positive.
    peak : float
        Value at the threshold.

    Returns
    -------
    callable
        ``distance -> h``: maps ``|V - theta|`` of any shape to ``h`` of the same shape.
    """
    if width <= 0:
        raise ValueError(f"surrogate width must be positive, got {width}")

    def surrogate(distance: FloatArray) -> FloatArray:
        value: FloatArray = peak * np.exp(-0.5 * (distance / width) ** 2)
        return value

    return surrogate


@dataclass(frozen=True, eq=False)
class FloatStep:
    """Every state array after one step; a tuple entry per layer, all arrays copies.

    The weights and filter constants are not part of it: read `FloatCore.weights` and
    `FloatCore.a`, which already hold this step's update.
    """

    #: Synaptic current I, [M] per layer.
    current: tuple[FloatArray, ...]
    #: Membrane potential V, [M] per layer.
    membrane: tuple[FloatArray, ...]
    #: Spikes s, 0.0 or 1.0, [M] per layer; zeros in a non-spiking last layer.
    spikes: tuple[FloatArray, ...]
    #: Surrogate derivative h, [M] per layer; zeros in a non-spiking last layer.
    surrogate: tuple[FloatArray, ...]
    #: Filtered pre signals F, [G, N] per layer.
    F: tuple[FloatArray, ...]
    #: Synapse traces eps = dV_i/dw_ij, [M, N] per layer.
    eps: tuple[FloatArray, ...]
    #: Filter traces of the current J = dI_i/da, [M] per layer.
    J: tuple[FloatArray, ...]
    #: Filter traces of the membrane A = dV_i/da, [M] per layer.
    A: tuple[FloatArray, ...]
    #: Error delta, [M] per layer; zeros unless this step was scheduled with learning on.
    delta: tuple[FloatArray, ...]
    #: What the readout adds to a sample's score: last membrane or last spikes, [M].
    output: FloatArray


class FloatCore:
    """SOLSA in float64, any number of layers.

    Parameters
    ----------
    layers : sequence of int
        Sizes from the input to the readout, such as ``(12, 64, 9)``: two layers of synapses.
    groups : int
        Filter groups G in each layer; post i belongs to group ``i % G``.
    readout : {"membrane", "spike", "target"}
        ``membrane``: cross-entropy of softmax(V), last layer without spikes and reset.
        ``spike``: squared error of the spikes, through the surrogate.
        ``target``: squared error of the membrane against a signal, last layer without spikes and
        reset.
    weights : sequence of array_like
        One [M, N] array per layer; copied.
    a, lam : array_like
        Decay per step of the synaptic current and of the membrane, [layers, G], in [0, 1).
    rho : float
        Soft reset: what a spike takes from the membrane one step later.
    theta : float
        Threshold.
    surrogate : callable
        ``h = surrogate(|V - theta|)``, elementwise; see `gaussian_surrogate`.
    eta : float or sequence of float
        Learning rate of the weights, one for all layers or one per layer. Writable between steps.
    eta_a : float or sequence of float
        Learning rate of the filter constants; a layer with 0 keeps its ``a`` untouched.
    a_min, a_max : float
        Range of an adapted ``a``, ``0 <= a_min <= a_max < 1``.
    recurrent : bool
        Hidden layers see their own spikes of the step before; their weights are [M, N + M].
    reference : sequence of float
        Rates per post, one number per layer: the rate of a post is divided by two for every bit that its running mean
        of |delta|, before this update, has more than this number, and vice versa; 0: the layer keeps one rate.
        Empty: off.
    limit, memory : int, float
        Largest power of two by which a rate differs; updates that the mean reaches back.

    Raises
    ------
    ValueError
        If a shape, name or range does not fit; the message says which.
    """

    def __init__(
        self,
        layers: Sequence[int],
        groups: int,
        readout: Readout,
        weights: Sequence[ArrayLike],
        a: ArrayLike,
        lam: ArrayLike,
        *,
        surrogate: Surrogate,
        rho: float = 1.0,
        theta: float = 1.0,
        eta: float | Sequence[float] = 0.0,
        eta_a: float | Sequence[float] = 0.0,
        a_min: float = 0.0,
        a_max: float = 1.0 - 2.0**-12,
        recurrent: bool = False,
        filtered_surrogate: bool = False,
        reference: Sequence[float] = (),
        limit: int = 2,
        memory: float = 64.0,
    ) -> None:
        self.layers = tuple(int(size) for size in layers)
        self.depth = len(self.layers) - 1
        if self.depth < 1 or min(self.layers) < 1:
            raise ValueError(f"layers must name at least two positive sizes, got {self.layers}")
        if groups < 1:
            raise ValueError(f"groups must be at least 1, got {groups}")
        if readout not in ("membrane", "spike", "target"):
            raise ValueError(f"unknown readout {readout!r}")
        if not 0.0 <= a_min <= a_max < 1.0:
            raise ValueError(f"need 0 <= a_min <= a_max < 1, got {a_min} and {a_max}")
        self.groups = int(groups)
        self.readout: Readout = readout
        self.rho = float(rho)
        self.theta = float(theta)
        self.surrogate_of = surrogate
        self.filters = filtered_surrogate
        self.a_min = float(a_min)
        self.a_max = float(a_max)

        self.weights = [np.array(w, dtype=np.float64) for w in weights]
        shapes = [w.shape for w in self.weights]
        own = [m if recurrent and i < self.depth - 1 else 0 for i, m in enumerate(self.layers[1:])]
        #: Pre signals of every layer, own spikes included.
        self.pres = tuple(n + m for n, m in zip(self.layers[:-1], own, strict=True))
        wanted = list(zip(self.layers[1:], self.pres, strict=True))
        if shapes != wanted:
            raise ValueError(f"weights must have shapes {wanted}, got {shapes}")
        self.a = self._constants("a", a)
        self.lam = self._constants("lam", lam)
        self.eta = self._rates("eta", eta)
        self.eta_a = self._rates("eta_a", eta_a)
        #: Filter group of every post, [M] per layer.
        self.group_of = [np.arange(size) % self.groups for size in self.layers[1:]]
        self.reference = self._rates("reference", tuple(reference) or 0.0)
        self.limit, self.memory = limit, memory
        #: Running mean of |delta|, [M] per layer; kept over samples.
        self.mean_error = [np.zeros(size) for size in self.layers[1:]]
        self.reset()

    def _constants(self, name: str, values: ArrayLike) -> FloatArray:
        """Check and copy per-group constants, [layers, G]."""
        array = np.array(values, dtype=np.float64)
        if array.shape != (self.depth, self.groups):
            raise ValueError(f"{name} must have shape {(self.depth, self.groups)}, got {array.shape}")
        if np.any(array < 0.0) or np.any(array >= 1.0):
            raise ValueError(f"{name} must lie in [0, 1)")
        return array

    def _rates(self, name: str, values: float | Sequence[float]) -> FloatArray:
        """Spread one learning rate over the layers, or check one per layer, [layers]."""
        array = np.array(values, dtype=np.float64)
        if array.shape not in ((), (self.depth,)):
            raise ValueError(f"{name} must be one number or {self.depth}, got shape {array.shape}")
        return np.broadcast_to(array, (self.depth,)).copy()

    def reset(self) -> None:
        """Start a sample: every state and trace to zero; weights and ``a`` stay."""
        posts, pres = self.layers[1:], self.pres
        self.current = [np.zeros(m) for m in posts]
        self.membrane = [np.zeros(m) for m in posts]
        self.spikes = [np.zeros(m) for m in posts]
        self.surrogate = [np.zeros(m) for m in posts]
        #: H of hidden layers, h without the option.
        self.filtered = [np.zeros(m) for m in posts]
        self.F = [np.zeros((self.groups, n)) for n in pres]
        self.eps = [np.zeros((m, n)) for m, n in zip(posts, pres, strict=True)]
        self.J = [np.zeros(m) for m in posts]
        self.A = [np.zeros(m) for m in posts]
        self.delta = [np.zeros(m) for m in posts]

    def step(
        self,
        x: ArrayLike,
        target: int | ArrayLike | None = None,
        learn: bool = False,
        scheduled: bool = False,
    ) -> FloatStep:
        """Advance one time step, and update the weights if it is a scheduled one.

        Parameters
        ----------
        x : array_like
            Input signals, [layers[0]].
        target : int or array_like, optional
            Class index (readouts ``membrane`` and ``spike``) or a vector [layers[-1]]. Needed when
            the step is scheduled with learning on.
        learn : bool
            Advance the traces. Off is inference: the traces keep whatever they held, so a sample
            that switches it off part-way must not switch it on again.
        scheduled : bool
            With `learn`: form the error and update the weights and filter constants.

        Returns
        -------
        FloatStep
            Copies of all state arrays after the step.

        Raises
        ------
        ValueError
            If `x` or `target` has the wrong shape, or a scheduled step has no target.
        """
        pre = np.array(x, dtype=np.float64)
        if pre.shape != (self.layers[0],):
            raise ValueError(f"input must have shape {(self.layers[0],)}, got {pre.shape}")
        for layer in range(self.depth):
            pre = self._with_own(layer, pre)
            if learn:
                self._advance_traces(layer, pre)
            self._advance_neurons(layer, pre)
            pre = self.spikes[layer]
        if learn and scheduled:
            self.delta = self._errors(self._target_vector(target))
            self._update()
        else:
            self.delta = [np.zeros(m) for m in self.layers[1:]]
        return self._snapshot()

    def _with_own(self, layer: int, pre: FloatArray) -> FloatArray:
        """Append the layer's own spikes of t-1 if it is recurrent."""
        own = self.pres[layer] - self.layers[layer]
        return np.concatenate([pre, self.spikes[layer][:own]])

    def _spiking(self, layer: int) -> bool:
        """Tell whether the posts of a layer spike: all do except under a membrane readout."""
        return layer < self.depth - 1 or self.readout not in NON_SPIKING

    def _trace_decay(self, layer: int) -> FloatArray:
        """Decay of eps and A, k_i[t] = lam_g - rho h_i[t-1], [M]; h is 0 if nothing spikes."""
        lam = self.lam[layer, self.group_of[layer]]
        return lam - self.rho * self.surrogate[layer]

    def _advance_traces(self, layer: int, pre: FloatArray) -> None:
        """Advance F, eps, J and A; runs before the neurons since it needs I and h of t-1."""
        group = self.group_of[layer]
        k = self._trace_decay(layer)
        self.F[layer] = self.a[layer][:, None] * self.F[layer] + pre
        self.eps[layer] = k[:, None] * self.eps[layer] + self.F[layer][group]
        self.J[layer] = self.a[layer, group] * self.J[layer] + self.current[layer]
        self.A[layer] = k * self.A[layer] + self.J[layer]

    def _advance_neurons(self, layer: int, pre: FloatArray) -> None:
        """Integrate, fire, and keep the surrogate for the next step's traces."""
        group = self.group_of[layer]
        a, lam = self.a[layer, group], self.lam[layer, group]
        self.current[layer] = a * self.current[layer] + self.weights[layer] @ pre
        self.membrane[layer] = lam * self.membrane[layer] + self.current[layer] - self.rho * self.spikes[layer]
        if self._spiking(layer):
            distance = self.membrane[layer] - self.theta
            self.spikes[layer] = (distance > 0.0).astype(np.float64)
            self.surrogate[layer] = self.surrogate_of(np.abs(distance))
            before = self.lam[-1, 0] * self.filtered[layer] if self.filters else 0.0
            self.filtered[layer] = before + self.surrogate[layer]

    def _target_vector(self, target: int | ArrayLike | None) -> FloatArray:
        """Turn a class index into a one-hot vector, or check a vector, [layers[-1]]."""
        if target is None:
            raise ValueError("a scheduled step needs a target")
        size = self.layers[-1]
        vector = np.array(target, dtype=np.float64)
        if vector.shape == () and self.readout != "target":
            if not (float(vector).is_integer() and 0 <= vector < size):
                raise ValueError(f"class must be an integer in 0..{size - 1}, got {target}")
            vector = np.eye(size)[int(vector)]
        if vector.shape != (size,):
            raise ValueError(f"target must have shape {(size,)}, got {vector.shape}")
        return vector

    def _errors(self, target: FloatArray) -> list[FloatArray]:
        """Same-step error of every layer, from the weights before this step's update.

        Last layer: softmax(V) - y, (s - y) h, or V - y; the derivative by V of the readout's loss.
        Hidden: delta_j = h_j (or H_j) sum_i w_ij delta_i over the layer above; own spikes of t-1 carry no error back.
        """
        last = self.depth - 1
        if self.readout == "membrane":
            power = np.exp(self.membrane[last] - self.membrane[last].max())
            delta = power / power.sum() - target
        elif self.readout == "spike":
            delta = (self.spikes[last] - target) * self.surrogate[last]
        else:
            delta = self.membrane[last] - target
        deltas = [delta]
        for layer in range(last, 0, -1):
            delta = self.filtered[layer - 1] * (self.weights[layer][:, : self.layers[layer]].T @ delta)
            deltas.insert(0, delta)
        return deltas

    def _update(self) -> None:
        """All weights, w_ij -= eta delta_i eps_ij; then a_g -= eta_a sum_i in g delta_i A_i."""
        for layer, delta in enumerate(self.delta):
            self.weights[layer] -= (self._eta(layer) * delta)[:, None] * self.eps[layer]
        for layer, delta in enumerate(self.delta):
            if self.eta_a[layer] == 0.0:
                continue
            slope = np.bincount(self.group_of[layer], delta * self.A[layer], self.groups)
            self.a[layer] = np.clip(self.a[layer] - self.eta_a[layer] * slope, self.a_min, self.a_max)

    def _eta(self, layer: int) -> FloatArray:
        """Rate of every post, [M]; its running mean of |delta| then moves on, the first one counts whole."""
        mean, size, reference = self.mean_error[layer], np.abs(self.delta[layer]), self.reference[layer]
        self.mean_error[layer] = np.where(mean > 0.0, mean + (size - mean) / self.memory, size)
        if reference == 0.0:
            return np.full(len(size), self.eta[layer])
        bits = np.frexp(mean)[1] - np.frexp(reference)[1]
        scaled: FloatArray = self.eta[layer] * 2.0 ** -np.where(mean > 0.0, np.clip(bits, -self.limit, self.limit), 0)
        return scaled

    def _snapshot(self) -> FloatStep:
        """Copy the state so that later steps cannot change what a caller holds."""

        def copies(arrays: list[FloatArray]) -> tuple[FloatArray, ...]:
            return tuple(array.copy() for array in arrays)

        last = self.spikes if self._spiking(self.depth - 1) else self.membrane
        return FloatStep(
            current=copies(self.current),
            membrane=copies(self.membrane),
            spikes=copies(self.spikes),
            surrogate=copies(self.surrogate),
            F=copies(self.F),
            eps=copies(self.eps),
            J=copies(self.J),
            A=copies(self.A),
            delta=copies(self.delta),
            output=last[-1].copy(),
        )
