"""Backpropagation through time with a surrogate gradient, reset and recurrence included; compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from solsa.golden.baselines.forward import Array, compiled, decide_from, forward, readout_error, reset
from solsa.golden.baselines.online import apply


class History(NamedTuple):
    """What a whole sample leaves for the way back: [T, L, N], [T, L, M] and the readout's errors [T, C]."""

    pre: Array
    current: Array
    h: Array
    delta: Array


@compiled
def gradients(net: Any, c: Any, s: Any, past: Any, steps: int) -> None:
    """Add a sample's gradients to s.grad and s.grad_a, from the last step to the first.

    With dots for the step after: gV = dE/dV + lam gV. + gs h, gI = gV + a gI., gs = sum w gI above - rho gV. + own gI.
    """
    depth, groups = net.sizes.size - 1, net.a.shape[1]
    gV, gI, gs = np.zeros_like(s.membrane), np.zeros_like(s.membrane), np.zeros(s.membrane.shape[1])
    for t in range(steps - 1, -1, -1):
        for layer in range(depth - 1, -1, -1):
            posts, pres, below = net.sizes[layer + 1], net.pres[layer], net.sizes[layer]
            if layer < depth - 1:
                gs[:posts] = 0.0
                for i in range(net.sizes[layer + 2]):
                    d, row = gI[layer + 1, i], net.weight[layer + 1, i]
                    for j in range(posts):
                        gs[j] += d * row[j]
                if pres > below:  # own spikes of this step act on the next one, whose gI is still here
                    for i in range(posts):
                        d, row = gI[layer, i], net.weight[layer, i]
                        for j in range(posts):
                            gs[j] += d * row[below + j]
            for i in range(posts):
                g = i % groups
                if layer < depth - 1:
                    direct = (gs[i] - c.rho * gV[layer, i]) * past.h[t, layer, i]
                else:
                    direct = past.delta[t, i]
                gV[layer, i] = direct + net.lam[layer, g] * gV[layer, i]
                gI[layer, i] = gV[layer, i] + net.a[layer, g] * gI[layer, i]
                if t:
                    s.grad_a[layer, g] += gI[layer, i] * past.current[t - 1, layer, i]
                d, grad, pre = gI[layer, i], s.grad[layer, i], past.pre[t, layer]
                for j in range(pres):
                    grad[j] += d * pre[j]


@compiled
def epoch(
    net: Any, c: Any, s: Any, past: Any, power: Any, x: Any, starts: Any, labels: Any, targets: Any, order: Any,
    schedule: Any, eta: Any, eta_a: Any,
) -> Any:  # fmt: skip
    """Like :func:`solsa.golden.baselines.online.epoch`; errors count at the scheduled steps, one update per sample."""
    found = np.zeros(4)
    last, classes = net.sizes.size - 2, net.sizes[net.sizes.size - 1]
    nothing = np.zeros(classes)
    for n in order:
        reset(s)
        steps = starts[n + 1] - starts[n]
        for t in range(steps):
            row = starts[n] + t
            decide_from(c, s, t, steps)
            forward(net, c, s, x[row], False)
            past.pre[t], past.current[t], past.h[t] = s.pre, s.current, s.h
            target = targets[row] if c.regression else nothing
            past.delta[t] = 0.0
            if schedule[t]:
                readout_error(net, c, s, labels[n], target, past.delta[t])
            if c.regression:
                for i in range(classes):
                    found[2] += (s.membrane[last, i] - target[i]) ** 2
                found[3] += classes
        gradients(net, c, s, past, steps)
        apply(net, c, s, power, eta, eta_a)
        found[0] += np.argmax(s.score[:classes]) == labels[n]
        found[1] += 1
    return found
