"""The golden model's steps as compiled loops: the words of :class:`~solsa.golden.core.GoldenCore`, many times faster.

The plain core is the reference and says what is meant; ``tests/golden/test_compiled.py`` holds this file to it, word by
word. Every line of :func:`_forward` and :func:`_update` stands for the NumPy line of the same order there. Needs numba
(the ``bench`` extra).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from solsa.contract import NetworkConfig, Parameters, Readout
from solsa.contract.formats import (
    ADAPT_GUARD,
    EXP_INDEX_BITS,
    EXP_WIDTH,
    LOG2E,
    LOG2E_FRAC,
    MEAN_GUARD,
    RECIPROCAL_BITS,
    Format,
)
from solsa.contract.random import MASK32, XORSHIFT, post_hash
from solsa.contract.registers import SHIFT_BITS

from .arith import Ints, exp_table
from .core import GoldenCore

_compiled = njit(cache=True)
_LEFT, _RIGHT, _LAST = XORSHIFT
LARGEST_SHIFT = (1 << SHIFT_BITS) - 1
_EXP = exp_table()
#: Readouts as numbers.
_MEMBRANE, _SPIKE, _TARGET = 0, 1, 2
_READOUTS = {Readout.MEMBRANE: _MEMBRANE, Readout.SPIKE: _SPIKE, Readout.TARGET: _TARGET}


class _Limits(NamedTuple):
    """Least and largest word of the stores."""

    trace: tuple[int, int]
    current: tuple[int, int]
    membrane: tuple[int, int]
    gain: tuple[int, int]
    filter_trace: tuple[int, int]
    adapt_trace: tuple[int, int]
    score: tuple[int, int]
    delta: tuple[int, int]
    rate_step: tuple[int, int]
    weight: tuple[int, int]
    adapt_sum: tuple[int, int]
    filtered_surrogate: tuple[int, int]


class _Shifts(NamedTuple):
    """Dropped bits, as the rows of Formats.operations name them, and fraction bits."""

    filter_decay: int
    trace_decay: int
    current_sum: int
    current_decay: int
    membrane_decay: int
    gain_decay: int
    gain_reset: int
    filter_trace_in: int
    filter_trace_decay: int
    adapt_trace_in: int
    adapt_trace_decay: int
    error: int
    hidden_delta: int
    weight_step: int
    adapt_step: int
    surrogate_decay: int
    #: From input to trace, from target to membrane, from membrane to delta.
    signal_in: int
    target_in: int
    target_out: int
    spike: int
    membrane_frac: int
    delta_frac: int


class _Constants(NamedTuple):
    """What the registers hold: [L, G], [L], table, [L, 2] (mantissa, shift), limits."""

    lam: Ints
    theta: Ints
    rho: Ints
    table: Ints
    table_shift: int
    rate: Ints
    adapt_rate: Ints
    #: Option filtered_surrogate: lam of the readout, 0 without.
    filtered: int
    #: Option normalise: built in, shift of the means, (reference, limit) [L, 2].
    normalise: bool
    norm_shift: int
    norm: Ints
    a_low: int
    a_high: int
    readout: int
    schedule: Ints
    hashes: Ints


class _State(NamedTuple):
    """Every field of LayerState for all layers, padded to the largest one: the same types for every network.

    [L, M, N] for synapses, [L, G, N] for ``filter``, [L, G] for ``a``, [L, M] for the others; layer sizes [L + 1],
    pre-synaptic signals [L], and the signals of one layer [N].
    """

    sizes: Ints
    pres: Ints
    signals: Ints
    weight: Ints
    trace: Ints
    filter: Ints
    current: Ints
    membrane: Ints
    spike: Ints
    surrogate: Ints
    gain: Ints
    filter_trace: Ints
    adapt_trace: Ints
    delta: Ints
    rate_step: Ints
    a: Ints
    mean_error: Ints


#: Fields of _State before those of LayerState.
_WORDS = 3


class CompiledCore(GoldenCore):
    """A golden core whose samples run compiled.

    Single steps, what is watched, probes and samples that may stop early run as in the plain one.
    """

    def __init__(self, config: NetworkConfig, parameters: Parameters, weights: list[Ints] | None = None) -> None:
        super().__init__(config, parameters, weights)
        self._limits, self._shifts = _limits(config), _shifts(config)
        self._padded = _padded(config)
        self._hashes = np.array([post_hash(i) for i in range(max(config.layers[1:]))], dtype=np.int64)
        self._registers()

    def set_parameters(self, parameters: Parameters, *, check: bool = True) -> None:
        """Program new parameters; see the plain core."""
        super().set_parameters(parameters, check=check)
        self._registers()

    def run(
        self,
        inputs: Ints,
        *,
        label: int = 0,
        targets: Ints | None = None,
        learn: bool = False,
        adapt: bool = False,
    ) -> None:
        """Advance by the steps of inputs [T, N]; see the plain core."""
        if self.watch is not None or self.state.probe or self.parameters.stop_points:
            super().run(inputs, label=label, targets=targets, learn=learn, adapt=adapt)
            return
        if learn and self.config.readout is Readout.TARGET and targets is None:
            raise ValueError("the target readout needs a target at every learning step")
        if learn and self.config.readout is not Readout.TARGET and not 0 <= label < self.config.outputs:
            raise ValueError(f"label {label}, allowed 0 to {self.config.outputs - 1}")
        s = self.state
        x = np.ascontiguousarray(inputs, dtype=np.int64)
        wanted = np.zeros((0, 0), dtype=np.int64) if targets is None else np.ascontiguousarray(targets, dtype=np.int64)
        for words, layer in self._views():
            words[:] = layer
        found = _run(
            self._padded, self._limits, self._shifts, self._constants, s.score, x, label, wanted, learn, adapt,
            np.array([s.step, s.rng, s.fresh_neurons, s.fresh_traces, s.updates], dtype=np.int64),
        )  # fmt: skip
        s.step, s.rng, s.updates = int(found[0]), int(found[1]), int(found[4])
        s.fresh_neurons, s.fresh_traces = bool(found[2]), bool(found[3])
        for words, layer in self._views():
            layer[:] = words

    def _views(self) -> Iterator[tuple[Ints, Ints]]:
        """Every array of the state beside its place in the padded ones."""
        for index, layer in enumerate(self.state.layers):
            for name in _State._fields[_WORDS:]:
                own = getattr(layer, name)
                yield getattr(self._padded, name)[(index, *(slice(n) for n in own.shape))], own

    def _registers(self) -> None:
        p, c = self.parameters, self.config
        schedule = np.zeros(c.max_steps + 1, dtype=np.int64)
        schedule[list(p.schedule)] = 1
        self._constants = _Constants(
            lam=np.array(p.lam, dtype=np.int64), theta=np.array(p.theta, dtype=np.int64),
            rho=np.array(p.rho, dtype=np.int64), table=self._table, table_shift=p.surrogate_shift,
            rate=np.array(p.rate, dtype=np.int64), adapt_rate=np.array(p.adapt_rate, dtype=np.int64),
            filtered=p.lam[-1][0] if c.filtered_surrogate else 0,
            normalise=c.normalise, norm_shift=p.norm_shift,
            norm=np.array(p.norm or ((0, 0),) * c.depth, dtype=np.int64),
            a_low=p.a_min << ADAPT_GUARD, a_high=p.a_max << ADAPT_GUARD, readout=_READOUTS[c.readout],
            schedule=schedule, hashes=self._hashes,
        )  # fmt: skip


def _padded(config: NetworkConfig) -> _State:
    counts = [config.pre(i) for i in range(config.depth)]
    depth, posts, pres = config.depth, max(config.layers[1:]), max(counts)
    shapes = {
        "weight": (depth, posts, pres), "trace": (depth, posts, pres), "filter": (depth, config.groups, pres),
        "a": (depth, config.groups),
    }  # fmt: skip
    zero = {name: np.zeros(shapes.get(name, (depth, posts)), dtype=np.int64) for name in _State._fields[_WORDS:]}
    return _State(
        sizes=np.array(config.layers, dtype=np.int64), pres=np.array(counts, dtype=np.int64),
        signals=np.zeros(pres, dtype=np.int64), **zero,
    )  # fmt: skip


def _limits(config: NetworkConfig) -> _Limits:
    found: dict[str, Format] = {name: getattr(config.formats, name) for name in _Limits._fields}
    return _Limits(**{name: (f.min, f.max) for name, f in found.items()})


def _shifts(config: NetworkConfig) -> _Shifts:
    f, ops = config.formats, config.formats.operations() | config.formats.option_operations()
    named = {name: ops[name].shift for name in _Shifts._fields if name in ops}
    return _Shifts(
        **named, signal_in=f.trace.frac - f.input.frac, target_in=f.membrane.frac - f.target.frac,
        target_out=f.delta.frac - f.membrane.frac, spike=f.spike, membrane_frac=f.membrane.frac,
        delta_frac=f.delta.frac,
    )  # fmt: skip


@_compiled
def _zero(value: int, shift: int) -> int:
    """Right shift, toward zero."""
    return (value + ((value >> 63) & ((1 << shift) - 1))) >> shift


@_compiled
def _half(value: int, shift: int) -> int:
    """Right shift, half up."""
    return value if shift == 0 else (value + (1 << (shift - 1))) >> shift


@_compiled
def _clamp(value: int, limit: tuple[int, int]) -> int:
    return min(max(value, limit[0]), limit[1])


@_compiled
def _next(state: int) -> int:
    state ^= (state << _LEFT) & MASK32
    state ^= state >> _RIGHT
    return state ^ ((state << _LAST) & MASK32)


@_compiled
def _run(
    s: Any, limit: Any, shift: Any, c: Any, score: Any, inputs: Any, label: int, targets: Any, learn: bool, adapt: bool,
    control: Any,
) -> Any:  # fmt: skip
    """Steps of a sample; ``control`` is step, generator, two flags of a fresh state and updates, before and after."""
    depth = s.sizes.size - 1
    last = depth - 1
    none = np.zeros(1, dtype=np.int64)
    for t in range(inputs.shape[0]):
        for layer in range(depth):
            below, signals = s.sizes[layer], s.signals
            for j in range(below):
                signals[j] = inputs[t, j] if layer == 0 else s.spike[layer - 1, j] * shift.spike
            for j in range(below, s.pres[layer]):
                signals[j] = 0 if control[2] else s.spike[layer, j - below] * shift.spike
            _forward(s, limit, shift, c, layer, signals, learn, control[2], control[3])
        for i in range(score.size):
            value = s.spike[last, i] if c.readout == _SPIKE else s.membrane[last, i]
            score[i] = _clamp(score[i] + value, limit.score)
        control[2] = 0
        if learn:
            control[3] = 0
            if c.schedule[control[0]]:
                _update(s, limit, shift, c, label, targets[t] if c.readout == _TARGET else none, adapt, control)
        control[0] = min(control[0] + 1, c.schedule.size - 1)
    return control


@_compiled
def _forward(
    s: Any, limit: Any, shift: Any, c: Any, layer: int, signals: Any, learn: bool, fresh: int, fresh_traces: int
) -> None:
    weight, eps, F, k = s.weight[layer], s.trace[layer], s.filter[layer], s.gain[layer]
    current, membrane, spike, h = s.current[layer], s.membrane[layer], s.spike[layer], s.surrogate[layer]
    J, A, theta, rho = s.filter_trace[layer], s.adapt_trace[layer], c.theta[layer], c.rho[layer]
    posts, pres, groups = s.sizes[layer + 1], s.pres[layer], s.a.shape[1]
    spiking = layer < s.sizes.size - 2 or c.readout == _SPIKE
    filtered = c.filtered if layer < s.sizes.size - 2 else 0
    if learn:
        for g in range(min(groups, posts)):
            a = s.a[layer, g] >> ADAPT_GUARD
            for j in range(pres):
                decayed = 0 if fresh_traces else _zero(a * F[g, j], shift.filter_decay)
                F[g, j] = _clamp(decayed + (signals[j] << shift.signal_in), limit.trace)
    for i in range(posts):
        g = i % groups
        a, lam = s.a[layer, g] >> ADAPT_GUARD, c.lam[layer, g]
        before = 0 if fresh else current[i]
        if learn:
            row, source = eps[i], F[g]
            if fresh_traces:
                row[:] = source
                J[i] = _clamp(before >> shift.filter_trace_in, limit.filter_trace)
                A[i] = _clamp(J[i] >> shift.adapt_trace_in, limit.adapt_trace)
            else:
                gain, low, high = k[i], limit.trace[0], limit.trace[1]
                for j in range(pres):
                    row[j] = min(max(_zero(gain * row[j], shift.trace_decay) + source[j], low), high)
                J[i] = _clamp(
                    _zero(a * J[i], shift.filter_trace_decay) + (before >> shift.filter_trace_in), limit.filter_trace
                )
                A[i] = _clamp(
                    _zero(gain * A[i], shift.adapt_trace_decay) + (J[i] >> shift.adapt_trace_in), limit.adapt_trace
                )
        total, weights = 0, weight[i]
        for j in range(pres):
            total += weights[j] * signals[j]
        now = _clamp(_zero(a * before, shift.current_decay) + _half(total, shift.current_sum), limit.current)
        current[i] = now
        if not fresh:
            now += _zero(lam * membrane[i], shift.membrane_decay) - rho * spike[i]
        membrane[i] = _clamp(now, limit.membrane)
        kept = lam >> shift.gain_decay
        if spiking:
            distance = membrane[i] - theta
            spike[i] = 1 if distance > 0 else 0
            slope = c.table[min(abs(distance) >> c.table_shift, c.table.size - 1)]
            kept -= (rho * slope) >> shift.gain_reset
            if filtered and not fresh:
                slope += _zero(filtered * h[i], shift.surrogate_decay)
            h[i] = min(slope, limit.filtered_surrogate[1])
        k[i] = _clamp(kept, limit.gain)


@_compiled
def _softmax(membrane: Any, classes: int, frac: int, out_frac: int, out: Any) -> None:
    top, total = membrane[:classes].max(), 0
    for i in range(classes):
        power = ((top - membrane[i]) * LOG2E) >> LOG2E_FRAC
        whole, index = power >> frac, (power & ((1 << frac) - 1)) >> (frac - EXP_INDEX_BITS)
        out[i] = 0 if whole >= EXP_WIDTH else _EXP[index] >> whole
        total += out[i]
    reciprocal = (1 << RECIPROCAL_BITS) // total
    for i in range(classes):
        out[i] = _half(out[i] * reciprocal, RECIPROCAL_BITS - out_frac)


@_compiled
def _readout_error(s: Any, limit: Any, shift: Any, c: Any, label: int, target: Any, out: Any) -> None:
    last = s.sizes.size - 2
    membrane, one, classes = s.membrane[last], 1 << shift.delta_frac, s.sizes[last + 1]
    if c.readout == _MEMBRANE:
        _softmax(membrane, classes, shift.membrane_frac, shift.delta_frac, out)
        out[label] -= one
        return
    for i in range(classes):
        if c.readout == _TARGET:
            out[i] = _clamp((membrane[i] - (target[i] << shift.target_in)) << shift.target_out, limit.delta)
        else:
            out[i] = (s.spike[last, i] - (1 if i == label else 0)) * s.surrogate[last, i]


@_compiled
def _update(s: Any, limit: Any, shift: Any, c: Any, label: int, target: Any, adapt: bool, control: Any) -> None:
    depth = s.sizes.size - 1
    _readout_error(s, limit, shift, c, label, target, s.delta[depth - 1])
    for layer in range(depth - 1, 0, -1):
        weight, above, below, h = s.weight[layer], s.delta[layer], s.delta[layer - 1], s.surrogate[layer - 1]
        for j in range(s.sizes[layer]):
            total = 0
            for i in range(s.sizes[layer + 1]):
                total += weight[i, j] * above[i]
            error = _clamp(_half(total, shift.error), limit.delta)
            below[j] = _clamp(_half(h[j] * error, shift.hidden_delta), limit.delta)
    for layer in range(depth):
        weight, eps, delta, step = s.weight[layer], s.trace[layer], s.delta[layer], s.rate_step[layer]
        mantissa, bits, drop = c.rate[layer, 0], c.rate[layer, 1], shift.weight_step
        control[1] = state = _next(control[1])
        words = np.empty(s.pres[layer], dtype=np.int64)
        for j in range(words.size):
            words[j] = state = _next(state)
        for i in range(s.sizes[layer + 1]):
            if c.normalise:
                bits = _normalised(s, c, layer, i)
            step[i] = rate = _clamp(_half(delta[i] * mantissa, bits), limit.rate_step)
            mask, row, trace = c.hashes[i], weight[i], eps[i]
            for j in range(words.size):
                change = (rate * trace[j] + ((words[j] ^ mask) >> (32 - drop))) >> drop
                row[j] = min(max(row[j] - change, limit.weight[0]), limit.weight[1])
        if adapt:
            _adapt(s, limit, shift, c, layer)
    control[4] += 1


@_compiled
def _normalised(s: Any, c: Any, layer: int, i: int) -> int:
    """Shift of a post's rate by the mean before this update, which moves on."""
    mean, bits, shift, limit = s.mean_error[layer, i], 0, c.rate[layer, 1], c.norm[layer, 1]
    magnitude = (s.delta[layer, i] ^ (s.delta[layer, i] >> 63)) << MEAN_GUARD
    if mean == 0:
        s.mean_error[layer, i] = magnitude
        return shift
    while mean >> bits:
        bits += 1
    s.mean_error[layer, i] = mean + ((magnitude - mean) >> c.norm_shift)
    return min(max(shift + min(max(bits - c.norm[layer, 0], -limit), limit), 0), LARGEST_SHIFT)


@_compiled
def _adapt(s: Any, limit: Any, shift: Any, c: Any, layer: int) -> None:
    a, delta, A, posts = s.a[layer], s.delta[layer], s.adapt_trace[layer], s.sizes[layer + 1]
    for g in range(min(a.size, posts)):
        total = 0
        for i in range(g, posts, a.size):
            total += delta[i] * A[i]
        total = _clamp(total >> c.adapt_rate[layer, 1], limit.adapt_sum)
        a[g] = min(max(a[g] - ((total * c.adapt_rate[layer, 0]) >> shift.adapt_step), c.a_low), c.a_high)
