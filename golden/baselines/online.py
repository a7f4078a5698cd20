"""Rules that learn forward in time: same-step errors, updates at scheduled steps, probe sweeps; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from solsa.golden.baselines.forward import (
    FILTERED,
    LOCAL,
    SILENT,
    SYNAPSE,
    compiled,
    decide_from,
    forward,
    readout_error,
    reset,
    softmax_error,
)  # fmt: skip

#: Rates per post. ``row``: by the root of the running mean square of the gradient row, this update's included.
#: ``error``: by the running mean of |delta| before this update, as the device does.
FORMS = ("", "row", "error")
_ROW = FORMS.index("row")
#: Memory of the running mean, per update.
_KEEP = 1.0 - 2.0**-6


@compiled
def errors(net: Any, c: Any, s: Any, label: int, target: Any) -> None:
    """delta of every layer in this step, from the weights before its update.

    The hidden delta holds the factor h, or H with the option ``filtered_surrogate``; not for e-prop, whose eligibility
    has it already.
    """
    last = net.sizes.size - 2
    readout_error(net, c, s, label, target, s.delta[last])
    if c.signal == SILENT:
        return
    for layer in range(last - 1, -1, -1):
        posts, below = net.sizes[layer + 1], s.delta[layer]
        below[:posts] = 0.0
        if c.signal == LOCAL:
            _local_error(net, c, s, layer, posts, label, target)
        else:
            for i in range(net.sizes[layer + 2]):
                d, row = s.delta[layer + 1, i], net.weight[layer + 1, i]
                if c.trace == FILTERED and layer + 1 < last:
                    d *= s.h[layer + 1, i]
                for j in range(posts):
                    below[j] += d * row[j]
        if c.trace != FILTERED:
            for j in range(posts):
                below[j] *= s.gate[layer, j] if c.gate else s.h[layer, j]


@compiled
def _local_error(net: Any, c: Any, s: Any, layer: int, posts: int, label: int, target: Any) -> None:
    classes, below = net.sizes[net.sizes.size - 1], s.delta[layer]
    values, error = np.zeros(classes), np.zeros(classes)
    for i in range(classes):
        for j in range(posts):
            values[i] += net.local[layer, i, j] * s.spike[layer, j]
    if c.regression:
        for i in range(classes):
            error[i] = values[i] - target[i]
    else:
        softmax_error(values, label, classes, error)
    for i in range(classes):
        for j in range(posts):
            below[j] += error[i] * net.local[layer, i, j]


@compiled
def first_layer(net: Any, c: Any) -> int:
    """First layer that learns."""
    return net.sizes.size - 2 if c.signal == SILENT else 0


@compiled
def traces(net: Any, c: Any, s: Any, layer: int) -> Any:
    """What delta of a layer is multiplied with, [M or G, N], and how many rows it has."""
    if c.trace == SYNAPSE:
        return s.eps[layer], net.sizes[layer + 1]
    if c.trace == FILTERED and layer < net.sizes.size - 2:
        return s.twice[layer], net.sizes[layer + 1]
    return s.P[layer], net.a.shape[1]


@compiled
def scaled_rate(c: Any, power: Any, layer: int, i: int, eta: float, now: float) -> float:
    """Rate of a row, divided by a power of two that follows from its running mean of ``now``."""
    before, reference = power[layer, i], c.reference[layer]
    power[layer, i] = now if before == 0.0 else _KEEP * before + (1.0 - _KEEP) * now
    mean = power[layer, i] if c.normalise == _ROW else before
    if mean == 0.0 or reference == 0.0:
        return eta
    if c.normalise == _ROW:
        exponent = np.rint(0.5 * np.log2(mean) - np.log2(reference))
    else:  # bits of the mean above those of the reference
        exponent = np.floor(np.log2(mean)) - np.floor(np.log2(reference))
    return eta * 2.0 ** -min(c.largest, max(-c.largest, exponent))


@compiled
def update(net: Any, c: Any, s: Any, power: Any, eta: Any, eta_a: Any) -> None:
    """Weights, or their gradients, and filter constants from this step's errors and traces."""
    groups = net.a.shape[1]
    for layer in range(first_layer(net, c), net.sizes.size - 1):
        pres = net.pres[layer]
        every, rows = traces(net, c, s, layer)
        for i in range(net.sizes[layer + 1]):
            d, trace = s.delta[layer, i], every[i % rows]
            s.grad_a[layer, i % groups] += d * s.A[layer, i]
            if c.accumulate:
                grad = s.grad[layer, i]
                for j in range(pres):
                    grad[j] += d * trace[j]
                continue
            if c.normalise:
                now = abs(d)
                if c.normalise == _ROW:
                    now = 0.0
                    for j in range(pres):
                        now += trace[j] * trace[j]
                    now *= d * d / pres
                step = scaled_rate(c, power, layer, i, eta[layer], now) * d
            else:
                step = eta[layer] * d
            row = net.weight[layer, i]
            for j in range(pres):
                row[j] -= step * trace[j]
    if not c.accumulate:
        adapt(net, c, s, eta_a)


@compiled
def apply(net: Any, c: Any, s: Any, power: Any, eta: Any, eta_a: Any) -> None:
    """Apply summed gradients at the end of a sample."""
    for layer in range(first_layer(net, c), net.sizes.size - 1):
        pres = net.pres[layer]
        for i in range(net.sizes[layer + 1]):
            grad, row, square = s.grad[layer, i], net.weight[layer, i], 0.0
            if c.normalise:
                for j in range(pres):
                    square += grad[j] * grad[j]
                square /= pres
                rate = scaled_rate(c, power, layer, i, eta[layer], square)
            else:
                rate = eta[layer]
            for j in range(pres):
                row[j] -= rate * grad[j]
    adapt(net, c, s, eta_a)


@compiled
def adapt(net: Any, c: Any, s: Any, eta_a: Any) -> None:
    """a_g -= eta_a sum_(i in g) delta_i A_i, clipped; the sums start anew."""
    for layer in range(net.sizes.size - 1):
        for g in range(net.a.shape[1]):
            if c.adapt and eta_a[layer] != 0.0:
                net.a[layer, g] = min(c.a_max, max(c.a_min, net.a[layer, g] - eta_a[layer] * s.grad_a[layer, g]))
            s.grad_a[layer, g] = 0.0


@compiled
def margin(values: Any, label: int, n: int) -> float:
    """How far the readout of the class lies above all others."""
    other = -np.inf
    for i in range(n):
        if i != label:
            other = max(other, values[i])
    return values[label] - other


@compiled
def epoch(
    net: Any, c: Any, s: Any, power: Any, x: Any, starts: Any, labels: Any, targets: Any, order: Any, schedule: Any,
    eta: Any, eta_a: Any,
) -> Any:  # fmt: skip
    """Learn samples in an order; returns [right while learning, updates, summed squared error, steps of it].

    x [steps of all samples, N], starts [samples + 1], labels [samples], targets like x but [.., C] (or no rows),
    schedule [steps of the longest sample], 1 where weights are updated.
    """
    found = np.zeros(4)
    last, classes = net.sizes.size - 2, net.sizes[net.sizes.size - 1]
    nothing = np.zeros(classes)
    for n in order:
        reset(s)
        sure, learning, label = 0, True, labels[n]
        steps = starts[n + 1] - starts[n]
        for t in range(steps):
            row = starts[n] + t
            decide_from(c, s, t, steps)
            forward(net, c, s, x[row], learning)
            target = targets[row] if c.regression else nothing
            if c.regression:
                for i in range(classes):
                    found[2] += (s.membrane[last, i] - target[i]) ** 2
                found[3] += classes
            if learning and schedule[t]:
                if c.stop_after and not c.regression:
                    sure += margin(s.membrane[last], label, classes) >= c.stop_margin
                errors(net, c, s, label, target)
                update(net, c, s, power, eta, eta_a)
                found[1] += 1 - c.accumulate
                if c.stop_after and sure >= c.stop_after:
                    learning = False
        if c.accumulate:
            apply(net, c, s, power, eta, eta_a)
            found[1] += 1
        found[0] += np.argmax(s.score[:classes]) == label
    return found


@compiled
def probe(
    net: Any, c: Any, s: Any, x: Any, starts: Any, labels: Any, targets: Any, order: Any, eta: Any, out: Any
) -> None:
    """Add to out[t] what an update at step t would change, S[t] = sum |dw|, without changing a weight."""
    nothing = np.zeros(net.sizes[net.sizes.size - 1])
    for n in order:
        reset(s)
        for t in range(starts[n + 1] - starts[n]):
            row = starts[n] + t
            forward(net, c, s, x[row], True)
            errors(net, c, s, labels[n], targets[row] if c.regression else nothing)
            for layer in range(first_layer(net, c), net.sizes.size - 1):
                every, rows = traces(net, c, s, layer)
                for i in range(net.sizes[layer + 1]):
                    total, trace = 0.0, every[i % rows]
                    for j in range(net.pres[layer]):
                        total += abs(trace[j])
                    out[t] += eta[layer] * abs(s.delta[layer, i]) * total


@compiled
def evaluate(net: Any, c: Any, s: Any, x: Any, starts: Any, targets: Any, scores: Any) -> float:
    """Readout summed over each sample's steps into scores [samples, C]; returns the summed squared error."""
    total, classes, last = 0.0, net.sizes[net.sizes.size - 1], net.sizes.size - 2
    for n in range(starts.size - 1):
        reset(s)
        steps = starts[n + 1] - starts[n]
        for t in range(steps):
            row = starts[n] + t
            decide_from(c, s, t, steps)
            forward(net, c, s, x[row], False)
            if c.regression:
                for i in range(classes):
                    total += (s.membrane[last, i] - targets[row, i]) ** 2
        scores[n] = s.score[:classes]
    return total
