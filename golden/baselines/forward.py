"""Forward equations and traces of one time step, compiled.

:class:`~solsa.golden.float_ref.FloatCore` says the same in NumPy, one array operation at a time, and is what this file
is tested against. It takes 0.1 ms or more per step; a comparison of rules needs some 10^9 steps, hence the loops.

Arrays of all layers are padded to the largest layer, so that a network of any depth has the same types: ``[L, M]`` for
neurons, ``[L, M, N]`` for synapses. The pre signals of a recurrent hidden layer are those of the layer below, then its
own spikes of the step before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: What is kept of the past. Nothing; eps per synapse; one filtered signal per pre and group (OTTT, DECOLLE); that, and
#: the eligibility of every hidden synapse filtered as the readout filters (e-prop).
NOTHING, SYNAPSE, PRE, FILTERED = 0, 1, 2, 3
#: What tells a hidden neuron its error: the weights above, a fixed random readout of its own layer, nothing.
ABOVE, LOCAL, SILENT = 0, 1, 2

#: Sums may be reordered, which is what vector instructions need; nothing else of IEEE 754 is given up.
compiled = njit(cache=True, fastmath={"reassoc", "contract", "nsz"})


class Net(NamedTuple):
    """What a network is: sizes [L+1], pres [L] (own spikes included), weights [L, M, N], constants [L, G].

    ``local`` [L, C, M] are the fixed random readouts of DECOLLE, empty for other rules.
    """

    sizes: NDArray[np.int64]
    pres: NDArray[np.int64]
    weight: Array
    a: Array
    lam: Array
    local: Array


class Constants(NamedTuple):
    """Numbers that do not change while a network learns. Flags are 0 or 1."""

    theta: float
    rho: float
    width: float
    peak: float
    recurrent: int
    #: ``target`` readout: delta = V - y instead of softmax(V) - y.
    regression: int
    trace: int
    signal: int
    #: Whether k has the term -rho*h.
    reset_term: int
    adapt: int
    a_min: float
    a_max: float
    #: Gradients are summed over the sample and applied at its end.
    accumulate: int
    #: What a row's rate is divided by the running mean of, index of online.FORMS; the mean at which the rate is as
    #: given, per layer, 0: always; the largest power of two that it changes by.
    normalise: int
    reference: Array
    largest: int
    #: A sample learns no more after this many scheduled steps with at least this margin; 0 is never.
    stop_after: int
    stop_margin: float
    #: Last steps of a sample that its decision sums the readout over; 0 is all of them.
    window: int
    #: Hidden errors are multiplied with H, h as the readout's membrane filters it, not with h of the step.
    gate: int


class State(NamedTuple):
    """Everything that a sample starts with as zero, and buffers; padded as the module says."""

    pre: Array
    current: Array
    membrane: Array
    spike: Array
    h: Array
    F: Array
    P: Array
    eps: Array
    J: Array
    A: Array
    delta: Array
    #: e-prop: eligibility after the first and the second filter of the readout.
    once: Array
    twice: Array
    grad: Array
    grad_a: Array
    score: Array
    #: H, h as the readout's membrane filters it.
    gate: Array


@compiled
def reset(s: Any) -> None:
    """Start a sample."""
    s.current.fill(0.0)
    s.membrane.fill(0.0)
    s.spike.fill(0.0)
    s.h.fill(0.0)
    s.F.fill(0.0)
    s.P.fill(0.0)
    s.eps.fill(0.0)
    s.J.fill(0.0)
    s.A.fill(0.0)
    s.once.fill(0.0)
    s.twice.fill(0.0)
    s.grad.fill(0.0)
    s.grad_a.fill(0.0)
    s.score.fill(0.0)
    s.gate.fill(0.0)


@compiled
def forward(net: Any, c: Any, s: Any, x: Any, learn: bool) -> None:
    """Advance every layer by a step, the traces of the rule too if it learns; x [N of layer 0]."""
    depth = net.sizes.size - 1
    for layer in range(depth):
        below, posts, pres = net.sizes[layer], net.sizes[layer + 1], net.pres[layer]
        pre = s.pre[layer]
        signal = x if layer == 0 else s.spike[layer - 1]
        for j in range(below):
            pre[j] = signal[j]
        for j in range(below, pres):
            pre[j] = s.spike[layer, j - below]
        if learn and c.trace != NOTHING:
            _traces(net, c, s, layer, posts, pres)
        _neurons(net, c, s, layer, posts, pres, layer < depth - 1)
        if learn and c.trace == FILTERED and layer < depth - 1:
            _eligibilities(net, s, layer, posts, pres, depth - 1)
        if learn and c.gate and layer < depth - 1:
            _gates(net, s, layer, posts, depth - 1)
    last, score = s.membrane[depth - 1], s.score
    for i in range(net.sizes[depth]):
        score[i] += last[i]


@compiled
def _traces(net: Any, c: Any, s: Any, layer: int, posts: int, pres: int) -> None:
    """F, then P or eps, then J and A, from I and h of the step before."""
    groups, pre = net.a.shape[1], s.pre[layer]
    for g in range(groups):
        a, lam, F = net.a[layer, g], net.lam[layer, g], s.F[layer, g]
        for j in range(pres):
            F[j] = a * F[j] + pre[j]
        if c.trace != SYNAPSE:
            P = s.P[layer, g]
            for j in range(pres):
                P[j] = lam * P[j] + F[j]
    for i in range(posts):
        g = i % groups
        k = net.lam[layer, g] - c.reset_term * c.rho * s.h[layer, i]
        if c.trace == SYNAPSE:
            eps, F = s.eps[layer, i], s.F[layer, g]
            for j in range(pres):
                eps[j] = k * eps[j] + F[j]
        s.J[layer, i] = net.a[layer, g] * s.J[layer, i] + s.current[layer, i]
        s.A[layer, i] = k * s.A[layer, i] + s.J[layer, i]


@compiled
def _neurons(net: Any, c: Any, s: Any, layer: int, posts: int, pres: int, spiking: bool) -> None:
    groups, pre = net.a.shape[1], s.pre[layer]
    for i in range(posts):
        g, row, total = i % groups, net.weight[layer, i], 0.0
        for j in range(pres):
            total += row[j] * pre[j]
        current = net.a[layer, g] * s.current[layer, i] + total
        membrane = net.lam[layer, g] * s.membrane[layer, i] + current - c.rho * s.spike[layer, i]
        s.current[layer, i], s.membrane[layer, i] = current, membrane
        if spiking:
            distance = membrane - c.theta
            s.spike[layer, i] = 1.0 if distance > 0.0 else 0.0
            scaled = distance / c.width
            s.h[layer, i] = c.peak * np.exp(-0.5 * scaled * scaled)


@compiled
def _eligibilities(net: Any, s: Any, layer: int, posts: int, pres: int, last: int) -> None:
    """e_ij = h_i P_j through the two filters of the readout, whose groups must be alike."""
    groups, a, lam = net.a.shape[1], net.a[last, 0], net.lam[last, 0]
    for i in range(posts):
        h, P, once, twice = s.h[layer, i], s.P[layer, i % groups], s.once[layer, i], s.twice[layer, i]
        for j in range(pres):
            once[j] = a * once[j] + h * P[j]
            twice[j] = lam * twice[j] + once[j]


@compiled
def _gates(net: Any, s: Any, layer: int, posts: int, last: int) -> None:
    """H = lam*H + h with lam of the readout's first group."""
    for i in range(posts):
        s.gate[layer, i] = net.lam[last, 0] * s.gate[layer, i] + s.h[layer, i]


@compiled
def decide_from(c: Any, s: Any, t: int, steps: int) -> None:
    """Forget the score before the first step that counts for the decision."""
    if c.window and t == steps - c.window:
        s.score[:] = 0.0


@compiled
def softmax_error(values: Any, label: int, n: int, out: Any) -> None:
    """out = softmax(values) - one-hot(label)."""
    top = values[0]
    for i in range(1, n):
        top = max(top, values[i])
    total = 0.0
    for i in range(n):
        out[i] = np.exp(values[i] - top)
        total += out[i]
    for i in range(n):
        out[i] /= total
    out[label] -= 1.0


@compiled
def readout_error(net: Any, c: Any, s: Any, label: int, target: Any, out: Any) -> None:
    """Derivative of the readout's loss by its membranes, [C]."""
    last = net.sizes.size - 2
    if c.regression:
        for i in range(net.sizes[last + 1]):
            out[i] = s.membrane[last, i] - target[i]
    else:
        softmax_error(s.membrane[last], label, net.sizes[last + 1], out)
