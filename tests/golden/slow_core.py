"""A second model of the core, written from SPEC section 1 and the operations table: plain integers, loops over posts
and pre-synaptic signals, nothing shared with solsa.golden but the containers for the comparison.

A dropped bit is always dropped by :meth:`SlowCore._drop`, which looks up shift and rounding by the name of the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from solsa.contract import Format, NetworkConfig, Parameters, Readout, Rounding
from solsa.golden import LayerState, StepTrace


def dropped(value: int, shift: int, rounding: Rounding, random: int = 0) -> int:
    """Value / 2**shift, rounded; by the definition of each rounding."""
    size = 2**shift
    if rounding is Rounding.EXACT:
        assert value % size == 0
        return value // size
    if rounding is Rounding.FLOOR:
        return value // size
    if rounding is Rounding.TOWARD_ZERO:
        return value // size if value >= 0 else -(-value // size)
    if rounding is Rounding.HALF_UP:
        return (2 * value + size) // (2 * size)
    assert 0 <= random < size
    return (value + random) // size


def clamp(value: int, fmt: Format) -> int:
    """Nearest value of the format."""
    low = -(2 ** (fmt.width - 1)) if fmt.signed else 0
    high = low + 2**fmt.width - 1
    return low if value < low else high if value > high else value


def xorshift(word: int) -> int:
    """Marsaglia's xorshift32 (13, 17, 5)."""
    word = (word ^ (word << 13)) % 2**32
    word = word ^ (word >> 17)
    return (word ^ (word << 5)) % 2**32


def splitmix_words(count: int) -> list[int]:
    """Upper halves of the splitmix64 sequence from seed 0 (Steele, Lea, Flood 2014)."""
    found, state = [], 0
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        found.append((z ^ (z >> 31)) >> 32)
    return found


HASH_WORDS = splitmix_words(12)


def post_constant(post: int) -> int:
    """XOR of one word per set bit of the index."""
    word = 0
    for bit, constant in enumerate(HASH_WORDS):
        if post & (1 << bit):
            word ^= constant
    return word


def slow_softmax(membranes: Sequence[int], frac: int, out_frac: int) -> list[int]:
    """2**(-(max - V) * log2 e), by a table on 8 bits of the fraction and a shift, times floor(2**32 / sum)."""
    top, weights = max(membranes), []
    for v in membranes:
        power = (top - v) * 23637 // 2**14
        whole, fraction = divmod(power, 2**frac)
        index = fraction * 256 // 2**frac
        entry = round(2.0 ** (-(index + 0.5) / 256) * 65535)
        weights.append(0 if whole >= 16 else entry // 2**whole)
    reciprocal = 2**32 // sum(weights)
    return [dropped(e * reciprocal, 32 - out_frac, Rounding.HALF_UP) for e in weights]


class SlowLayer:
    """Lists of one layer."""

    def __init__(self, posts: int, pres: int, groups: int) -> None:
        def zeros(*shape: int) -> Any:
            return 0 if not shape else [zeros(*shape[1:]) for _ in range(shape[0])]

        self.w, self.eps, self.F = zeros(posts, pres), zeros(posts, pres), zeros(groups, pres)
        self.I, self.V, self.s, self.h, self.k = (zeros(posts) for _ in range(5))
        self.J, self.A, self.delta, self.g, self.m = (zeros(posts) for _ in range(5))
        self.a: list[int] = []


class SlowCore:
    """The model. Same arguments as GoldenCore."""

    def __init__(self, config: NetworkConfig, parameters: Parameters, weights: Sequence[Any]) -> None:
        self.config, self.p, self.ops = config, parameters, config.formats.operations()
        self.ops |= config.formats.option_operations()
        self.layers = []
        for i in range(config.depth):
            posts = config.layers[i + 1]
            pres = config.layers[i] + (posts if config.recurrent and i + 1 < config.depth else 0)
            layer = SlowLayer(posts, pres, min(config.groups, posts))
            layer.w = [[int(v) for v in row] for row in weights[i]]
            layer.a = list(parameters.a[i])
            self.layers.append(layer)
        self.score = [0] * config.layers[-1]
        self.rng, self.updates = parameters.rng, 0
        self.t, self.new_neurons, self.new_traces = 0, True, True
        self.points, self.probe, self.S = 0, False, [0] * config.max_steps

    def _drop(self, name: str, value: int, shift: int | None = None, random: int = 0) -> int:
        row = self.ops[name]
        return dropped(value, row.shift if shift is None else shift, row.rounding, random)

    def reset(self) -> None:
        """New sample."""
        self.t, self.new_neurons, self.new_traces = 0, True, True
        self.score, self.points = [0] * len(self.score), 0

    def step(self, x: Sequence[int], label: int, target: Any, learn: bool, adapt: bool) -> StepTrace:
        """One time step."""
        f, wanted = self.config.formats, self.p.stop_points
        if wanted and self.points >= wanted and not self.probe:
            learn = False
        signals = [int(v) for v in x]
        for index in range(self.config.depth):
            self._layer(index, signals, learn)
            signals = [s * f.spike for s in self.layers[index].s]
        last = self.layers[-1]
        for i, v in enumerate(last.s if self.config.readout is Readout.SPIKE else last.V):
            self.score[i] = clamp(self.score[i] + v, f.score)
        self.new_neurons = False
        self.new_traces = self.new_traces and not learn
        now = self.t
        probed = self.probe and learn and now < self.config.max_steps
        updated = not self.probe and learn and now in self.p.schedule
        if updated and wanted:
            rest = [v for i, v in enumerate(self.score) if i != label] or [-(2 ** (f.score.width - 1))]
            self.points += all(self.score[label] - v >= self.p.stop_margin for v in rest)
            updated = self.points < wanted
        if probed:
            self._probe(now, label, target)
        if updated:
            self._learn(label, target, adapt)
        self.t = min(now + 1, self.config.max_steps)
        return self._trace(now, learn, updated, probed)

    def _probe(self, now: int, label: int, target: Any) -> None:
        """Learn with a copy of the weights, and sum |g*eps|; only delta and g are kept."""
        means = [[*n.m] for n in self.layers]
        kept = [[[*row] for row in n.w] for n in self.layers], means, self.rng, self.updates
        self._learn(label, target, False)
        weights, means, self.rng, self.updates = kept
        total = 0
        for n, w, m in zip(self.layers, weights, means, strict=True):
            n.w, n.m = w, m
            total += sum(abs(g * e) for g, row in zip(n.g, n.eps, strict=True) for e in row)
        self.S[now] = min(self.S[now] + total // 2 ** self.ops["weight_step"].shift, 2**31 - 1)

    def _layer(self, index: int, x: list[int], learn: bool) -> None:
        f, p, n = self.config.formats, self.p, self.layers[index]
        spiking = index + 1 < self.config.depth or self.config.readout is Readout.SPIKE
        if self.new_neurons:
            n.I, n.V, n.s, n.h = ([0] * len(n.V) for _ in range(4))
        if self.config.recurrent and index + 1 < self.config.depth:
            x = x + [s * f.spike for s in n.s]
        if learn:
            if self.new_traces:
                n.F = [[0] * len(row) for row in n.F]
                n.eps = [[0] * len(row) for row in n.eps]
                n.J, n.A = [0] * len(n.J), [0] * len(n.A)
            for g, row in enumerate(n.F):
                for j in range(len(row)):
                    x_in_trace = x[j] * 2 ** (f.trace.frac - f.input.frac)
                    row[j] = clamp(self._drop("filter_decay", (n.a[g] >> 8) * row[j]) + x_in_trace, f.trace)
        for i in range(len(n.V)):
            g = i % self.config.groups
            a, lam = n.a[g] // 256, p.lam[index][g]
            if learn:
                for j in range(len(x)):
                    n.eps[i][j] = clamp(self._drop("trace_decay", n.k[i] * n.eps[i][j]) + n.F[g][j], f.trace)
                old_current = self._drop("filter_trace_in", n.I[i])
                n.J[i] = clamp(self._drop("filter_trace_decay", a * n.J[i]) + old_current, f.filter_trace)
                j_in_a = self._drop("adapt_trace_in", n.J[i])
                n.A[i] = clamp(self._drop("adapt_trace_decay", n.k[i] * n.A[i]) + j_in_a, f.adapt_trace)
            total = sum(n.w[i][j] * x[j] for j in range(len(x)))
            n.I[i] = clamp(self._drop("current_decay", a * n.I[i]) + self._drop("current_sum", total), f.current)
            reset = p.rho[index] * n.s[i]
            n.V[i] = clamp(self._drop("membrane_decay", lam * n.V[i]) + n.I[i] - reset, f.membrane)
            n.s[i], h = 0, 0
            if spiking:
                distance = n.V[i] - p.theta[index]
                n.s[i] = int(distance > 0)
                h = p.surrogate[min(abs(distance) // 2**p.surrogate_shift, len(p.surrogate) - 1)]
            lam_in_k, reset_in_k = self._drop("gain_decay", lam), self._drop("gain_reset", p.rho[index] * h)
            n.k[i] = clamp(lam_in_k - reset_in_k, f.gain)
            if self.config.filtered_surrogate and index + 1 < self.config.depth:
                h = clamp(self._drop("surrogate_decay", p.lam[-1][0] * n.h[i]) + h, f.filtered_surrogate)
            n.h[i] = h

    def _readout(self, label: int, target: Any) -> list[int]:
        f, n = self.config.formats, self.layers[-1]
        if self.config.readout is Readout.TARGET:
            to_v, to_delta = 2 ** (f.membrane.frac - f.target.frac), 2 ** (f.delta.frac - f.membrane.frac)
            return [clamp((v - int(y) * to_v) * to_delta, f.delta) for v, y in zip(n.V, target, strict=True)]
        hot = [int(i == label) for i in range(len(n.V))]
        if self.config.readout is Readout.SPIKE:
            return [(s - y) * h for s, y, h in zip(n.s, hot, n.h, strict=True)]
        p = slow_softmax(n.V, f.membrane.frac, f.delta.frac)
        return [pi - y * 2**f.delta.frac for pi, y in zip(p, hot, strict=True)]

    def _learn(self, label: int, target: Any, adapt: bool) -> None:
        f, p = self.config.formats, self.p
        delta = self._readout(label, target)
        for index in reversed(range(self.config.depth)):
            n = self.layers[index]
            n.delta = delta
            if index:
                h, delta = self.layers[index - 1].h, []
                for j in range(len(h)):
                    e = self._drop("error", sum(n.w[i][j] * n.delta[i] for i in range(len(n.delta))))
                    delta.append(clamp(self._drop("hidden_delta", h[j] * clamp(e, f.delta)), f.delta))
        for index, n in enumerate(self.layers):
            mantissa = p.rate[index][0]
            self.rng = xorshift(self.rng)
            bits = self.ops["weight_step"].shift
            for i in range(len(n.delta)):
                shift = p.rate[index][1] + self._offset(index, n.m[i])
                n.g[i] = clamp(self._drop("rate_step", n.delta[i] * mantissa, min(max(shift, 0), 31)), f.rate_step)
                n.m[i] = self._mean(n.m[i], n.delta[i])
                state = self.rng
                for j in range(len(n.w[i])):
                    state = xorshift(state)
                    random = (state ^ post_constant(i)) >> (32 - bits)
                    n.w[i][j] = clamp(
                        n.w[i][j] - self._drop("weight_step", n.g[i] * n.eps[i][j], random=random), f.weight
                    )  # fmt: skip
            if adapt:
                mantissa, shift = p.adapt_rate[index]
                for g in range(len(n.F)):
                    total = sum(n.delta[i] * n.A[i] for i in range(g, len(n.A), self.config.groups))
                    q = clamp(self._drop("adapt_sum", total, shift), f.adapt_sum)
                    a = n.a[g] - self._drop("adapt_step", q * mantissa)
                    n.a[g] = min(max(a, p.a_min * 256), p.a_max * 256)
        self.updates += 1

    def _offset(self, index: int, mean: int) -> int:
        """Powers of two by which a post's rate is divided, by the length of its running mean in bits."""
        reference, limit = self.p.norm[index] if self.p.norm else (0, 0)
        length = len(f"{mean:b}") if mean else reference
        return max(-limit, min(limit, length - reference))

    def _mean(self, mean: int, delta: int) -> int:
        """Running mean of |delta| after an update, 8 more bits than delta; |delta| of a negative one is one less."""
        if not self.config.normalise:
            return 0
        now = (delta if delta >= 0 else -delta - 1) * 256
        return mean + (now - mean) // 2**self.p.norm_shift if mean else now

    def _trace(self, step: int, learned: bool, updated: bool, probed: bool) -> StepTrace:
        def array(values: Any) -> Any:
            return np.array(values, dtype=np.int64)

        layers = [
            LayerState(
                weight=array(n.w), trace=array(n.eps), filter=array(n.F), current=array(n.I), membrane=array(n.V),
                spike=array(n.s), surrogate=array(n.h), gain=array(n.k), filter_trace=array(n.J),
                adapt_trace=array(n.A), delta=array(n.delta), rate_step=array(n.g), a=array(n.a),
                mean_error=array(n.m),
            )
            for n in self.layers
        ]  # fmt: skip
        return StepTrace(step, learned, updated, layers, array(self.score), self.rng, self.updates, probed)
