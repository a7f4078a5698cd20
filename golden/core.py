"""The golden model: one time step of SOLSA on integers, equal to the RTL bit by bit.

Equations: SPEC section 1 (arXiv 2307.11314 and the terms that docs/decisions/ names); number formats and roundings:
:mod:`solsa.contract.formats`. The code follows the order in which the hardware's state changes become visible:
filter traces, eligibility traces, neurons, readout error, backward pass, weights, filter constants.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from solsa.contract import Format, NetworkConfig, Parameters, Readout
from solsa.contract.formats import ADAPT_GUARD, MEAN_GUARD, Rounding
from solsa.contract.random import xorshift32
from solsa.contract.registers import SHIFT_BITS

from .arith import Ints, drop, random_bits, saturate, softmax, surrogate_index
from .state import CoreState, LayerState, StepTrace, posts_of_group


class GoldenCore:
    """Bit-exact model of a core.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    parameters : Parameters
        Thresholds, constants, tables, rates and schedule.
    weights : list of int64 arrays [M, N], optional
        Start weights in format ``weight``; zero without.
    """

    #: Called before every store that may saturate: name of the store (a row of Formats.operations where one belongs
    #: to it), values, least and largest value that is kept. For coverage; None costs nothing.
    watch: Callable[[str, Ints, int, int], None] | None = None

    def __init__(self, config: NetworkConfig, parameters: Parameters, weights: list[Ints] | None = None) -> None:
        parameters.check(config)
        self.config = config
        self.parameters = parameters
        self.state = CoreState.start(config, parameters)
        if weights is not None:
            self.load_weights(weights)
        self._ops = config.formats.operations()
        self._groups = [posts_of_group(config, i) for i in range(config.depth)]
        self._table = np.array(parameters.surrogate, dtype=np.int64)
        self._lam = [np.array(parameters.lam[i], dtype=np.int64)[self._groups[i]] for i in range(config.depth)]

    def load_weights(self, weights: list[Ints]) -> None:
        """Replace the weights; ValueError if a shape or value does not fit."""
        fmt = self.config.formats.weight
        if len(weights) != self.config.depth:
            raise ValueError(f"weights of {len(weights)} layers given, the network has {self.config.depth}")
        for i, (layer, new) in enumerate(zip(self.state.layers, weights, strict=True)):
            if new.shape != layer.weight.shape:
                raise ValueError(f"weights of layer {i} have shape {new.shape}, needed {layer.weight.shape}")
            if new.size and (new.min() < fmt.min or new.max() > fmt.max):
                raise ValueError(f"weights of layer {i} exceed {fmt.min} to {fmt.max}")
            layer.weight[:] = new

    def set_parameters(self, parameters: Parameters, *, check: bool = True) -> None:
        """Program new parameters without touching weights, adaptive constants or the random generator.

        Without ``check`` the values are taken as the registers of a device hold them: each fits its register, but the
        lower limit of the constants may lie above the upper one, which then wins.
        """
        if check:
            parameters.check(self.config)
        self.parameters = parameters
        self.state.schedule = set(parameters.schedule)
        self._table = np.array(parameters.surrogate, dtype=np.int64)
        self._lam = [np.array(row, dtype=np.int64)[g] for row, g in zip(parameters.lam, self._groups, strict=True)]

    def load_mean_errors(self, means: list[Ints] | None = None) -> None:
        """Replace the running means of |delta| (option normalise); zero, as after reset, without."""
        for i, layer in enumerate(self.state.layers):
            layer.mean_error[:] = 0 if means is None else means[i]

    def reset_sample(self) -> None:
        """Start a new sample: state counts as zero from the next step on, the memories keep their words until then."""
        s = self.state
        s.fresh_neurons = s.fresh_traces = True
        s.step = s.right = 0
        s.score[:] = 0

    @property
    def stopped(self) -> bool:
        """Whether the rest of the sample learns no more (early stop); a probe measures it all the same."""
        return not self.state.probe and 0 < self.parameters.stop_points <= self.state.right

    def step(
        self,
        inputs: Ints,
        *,
        label: int = 0,
        target: Ints | None = None,
        learn: bool = False,
        adapt: bool = False,
        trace: bool = True,
    ) -> StepTrace | None:
        """Advance by one time step.

        Parameters
        ----------
        inputs : int array [N of layer 0]
            Graded inputs, format ``input``.
        label : int
            Class, for the readouts ``membrane`` and ``spike``.
        target : int array [M of the last layer], optional
            Target, format ``target``, for that readout.
        learn : bool
            Advance the traces and update at scheduled steps.
        adapt : bool
            Adapt the filter constants at scheduled steps.
        trace : bool
            Return a copy of every state word.
        """
        s, depth = self.state, self.config.depth
        learn = learn and not self.stopped
        signals = np.asarray(inputs, dtype=np.int64)
        for i in range(depth):
            self._forward(i, self._with_own(i, signals), learn)
            signals = s.layers[i].spike * self.config.formats.spike
        last = s.layers[-1]
        readout = last.spike if self.config.spiking(depth - 1) else last.membrane
        s.score = self._store("score", s.score + readout, self.config.formats.score)
        s.fresh_neurons = False
        if learn:
            s.fresh_traces = False
        probed = learn and s.probe and s.step < self.config.max_steps
        updated = learn and not s.probe and s.step in s.schedule
        if updated and self.parameters.stop_points:
            s.right += self._leads(label)
            updated = not self.stopped
        if probed:
            self._errors(label, target)
            self._measure()
        if updated:
            self._update(label, target, adapt)
        index = s.step
        s.step = min(s.step + 1, self.config.max_steps)
        return self.snapshot(index, learn, updated, probed) if trace else None

    def run(
        self,
        inputs: Ints,
        *,
        label: int = 0,
        targets: Ints | None = None,
        learn: bool = False,
        adapt: bool = False,
    ) -> None:
        """Advance by the steps of inputs [T, N], and targets [T, M] for that readout; see :meth:`step`."""
        for t, x in enumerate(inputs):
            target = None if targets is None else targets[t]
            self.step(x, label=label, target=target, learn=learn, adapt=adapt, trace=False)

    def snapshot(self, step: int, learned: bool, updated: bool, probed: bool = False) -> StepTrace:
        """Copy of every state word."""
        s = self.state
        return StepTrace(step, learned, updated, [x.copy() for x in s.layers], s.score.copy(), s.rng, s.updates, probed)

    def _store(self, name: str, value: Ints, fmt: Format) -> Ints:
        """Saturate a value to the format in which it is stored."""
        if self.watch is not None:
            self.watch(name, value, fmt.min, fmt.max)
        return saturate(value, fmt)

    # -- one layer forward -------------------------------------------------------------------------------------------
    def _with_own(self, index: int, signals: Ints) -> Ints:
        """Signals from below, then the layer's own spikes of the step before (option ``recurrent``)."""
        if not self.config.own(index):
            return signals
        own = self.state.layers[index].spike
        before = np.zeros_like(own) if self.state.fresh_neurons else own * self.config.formats.spike
        return np.concatenate([signals, before])

    def _forward(self, index: int, signals: Ints, learn: bool) -> None:
        f, ops, p, s = self.config.formats, self._ops, self.parameters, self.state
        layer, group = s.layers[index], self._groups[index]
        a = layer.a >> ADAPT_GUARD
        a_post = a[group]
        zero = Rounding.TOWARD_ZERO
        old_current = np.zeros_like(layer.current) if s.fresh_neurons else layer.current

        if learn:
            self._advance_traces(layer, group, a, a_post, old_current, signals)

        total = drop(layer.weight @ signals, ops["current_sum"].shift, Rounding.HALF_UP)
        decayed = drop(a_post * old_current, ops["current_decay"].shift, zero)
        layer.current = self._store("current_decay", decayed + total, f.current)
        membrane = layer.current
        if not s.fresh_neurons:
            decayed = drop(self._lam[index] * layer.membrane, ops["membrane_decay"].shift, zero)
            membrane = decayed + layer.current - p.rho[index] * layer.spike
        layer.membrane = self._store("membrane_decay", membrane, f.membrane)

        lam = self._lam[index] >> ops["gain_decay"].shift
        if self.config.spiking(index):
            theta = p.theta[index]
            layer.spike = (layer.membrane > theta).astype(np.int64)
            h = self._table[surrogate_index(layer.membrane, theta, p.surrogate_shift, self.config.surrogate_entries)]
            reset = (p.rho[index] * h) >> ops["gain_reset"].shift
            layer.surrogate = self._filtered(layer, h) if self._filters(index) else h
            layer.gain = self._store("gain_reset", lam - reset, f.gain)
        else:
            layer.gain = self._store("gain_decay", lam, f.gain)

    def _filters(self, index: int) -> bool:
        """Whether a layer's word ``surrogate`` is H (option ``filtered_surrogate``)."""
        return self.config.filtered_surrogate and index < self.config.depth - 1

    def _filtered(self, layer: LayerState, h: Ints) -> Ints:
        """H = [lam*H] + h with lam of the readout's group 0."""
        op = self.config.formats.option_operations()["surrogate_decay"]
        before = np.zeros_like(layer.surrogate) if self.state.fresh_neurons else layer.surrogate
        kept = drop(self.parameters.lam[-1][0] * before, op.shift, op.rounding)
        return self._store("surrogate_decay", kept + h, self.config.formats.filtered_surrogate)

    def _advance_traces(
        self, layer: LayerState, group: Ints, a: Ints, a_post: Ints, old_current: Ints, signals: Ints
    ) -> None:
        f, ops, fresh = self.config.formats, self._ops, self.state.fresh_traces
        zero = Rounding.TOWARD_ZERO
        used = layer.filter.shape[0]
        current_in = old_current >> ops["filter_trace_in"].shift
        signal_in = (signals << (f.trace.frac - f.input.frac))[None, :]
        if fresh:
            layer.filter = np.repeat(self._store("filter_start", signal_in, f.trace), used, axis=0)
            layer.trace = layer.filter[group % used]
            layer.filter_trace = self._store("filter_trace_in", current_in, f.filter_trace)
            entering = layer.filter_trace >> ops["adapt_trace_in"].shift
            layer.adapt_trace = self._store("adapt_trace_in", entering, f.adapt_trace)
            return
        decayed = drop(a[:used, None] * layer.filter, ops["filter_decay"].shift, zero)
        layer.filter = self._store("filter_decay", decayed + signal_in, f.trace)
        kept = drop(layer.gain[:, None] * layer.trace, ops["trace_decay"].shift, zero)
        layer.trace = self._store("trace_decay", kept + layer.filter[group], f.trace)
        old = drop(a_post * layer.filter_trace, ops["filter_trace_decay"].shift, zero)
        layer.filter_trace = self._store("filter_trace_decay", old + current_in, f.filter_trace)
        old = drop(layer.gain * layer.adapt_trace, ops["adapt_trace_decay"].shift, zero)
        entering = layer.filter_trace >> ops["adapt_trace_in"].shift
        layer.adapt_trace = self._store("adapt_trace_decay", old + entering, f.adapt_trace)

    # -- errors and updates ------------------------------------------------------------------------------------------
    def _readout_error(self, label: int, target: Ints | None) -> Ints:
        """delta of the last layer, format ``delta``."""
        f, layer = self.config.formats, self.state.layers[-1]
        if self.config.readout is Readout.TARGET:
            if target is None:
                raise ValueError("the target readout needs a target at every learning step")
            wanted = np.asarray(target, dtype=np.int64) << (f.membrane.frac - f.target.frac)
            difference = (layer.membrane - wanted) << (f.delta.frac - f.membrane.frac)
            return self._store("target_error", difference, f.delta)
        if not 0 <= label < self.config.outputs:
            raise ValueError(f"label {label}, allowed 0 to {self.config.outputs - 1}")
        one_hot = np.zeros(self.config.outputs, dtype=np.int64)
        one_hot[label] = 1
        if self.config.readout is Readout.SPIKE:
            return (layer.spike - one_hot) * layer.surrogate
        return softmax(layer.membrane, f.membrane.frac, f.delta.frac) - one_hot * f.delta.one

    def _leads(self, label: int) -> bool:
        """Whether the label's score is above every other one by the margin of the early stop."""
        score = self.state.score
        others = np.delete(score, label)
        return bool(score[label] - others.max(initial=self.config.formats.score.min) >= self.parameters.stop_margin)

    def _errors(self, label: int, target: Ints | None) -> None:
        """delta and g of every layer, from the last one down."""
        f, ops, s, p = self.config.formats, self._ops, self.state, self.parameters
        delta = self._readout_error(label, target)
        for index in range(self.config.depth - 1, -1, -1):
            layer = s.layers[index]
            layer.delta = delta
            if index:
                below = s.layers[index - 1]
                summed = layer.weight[:, : below.surrogate.size].T @ delta  # own spikes come after
                error = drop(summed, ops["error"].shift, Rounding.HALF_UP)
                product = below.surrogate * self._store("error", error, f.delta)
                rounded = drop(product, ops["hidden_delta"].shift, Rounding.HALF_UP)
                delta = self._store("hidden_delta", rounded, f.delta)
        for index, (layer, (mantissa, shift)) in enumerate(zip(s.layers, p.rate, strict=True)):
            product = layer.delta * mantissa
            if self.config.normalise:
                shifts = self._normalised(index, shift)
                rounded = (product + ((1 << shifts) >> 1)) >> shifts
            else:
                rounded = drop(product, shift, Rounding.HALF_UP)
            layer.rate_step = self._store("rate_step", rounded, f.rate_step)

    def _normalised(self, index: int, shift: int) -> Ints:
        """Shift of the rate of every post: one more per bit of its running mean above the reference, and vice versa.

        The mean is that of the updates before this one. A post without one keeps the rate of its layer.
        """
        mean, norm = self.state.layers[index].mean_error, self.parameters.norm
        reference, limit = norm[index] if norm else (0, 0)
        bits = np.frexp(mean.astype(np.float64))[1].astype(np.int64)  # exact: the mean has fewer than 53 bits
        more = np.where(mean > 0, np.clip(bits - reference, -limit, limit), 0)
        return np.clip(shift + more, 0, (1 << SHIFT_BITS) - 1)

    def _advance_means(self) -> None:
        """Running means of |delta|; the first one counts whole."""
        for layer in self.state.layers:
            magnitude = (layer.delta ^ (layer.delta >> 63)) << MEAN_GUARD  # -1 counts as 0: no carry
            moved = layer.mean_error + ((magnitude - layer.mean_error) >> self.parameters.norm_shift)
            layer.mean_error = np.where(layer.mean_error > 0, moved, magnitude)

    def _measure(self) -> None:
        """Add what an update would change to S of the step: the sum of |g*eps|, exact until it is stored."""
        s, op = self.state, self.config.formats.option_operations()["change"]
        moved = sum(int(np.abs(x.rate_step[:, None] * x.trace).sum()) for x in s.layers)
        total = s.changes[s.step] + (moved >> op.shift)
        s.changes[s.step] = self._store("change", np.array([total]), self.config.formats.change)[0]

    def _update(self, label: int, target: Ints | None, adapt: bool) -> None:
        f, ops, s = self.config.formats, self._ops, self.state
        self._errors(label, target)
        if self.config.normalise:
            self._advance_means()
        for index, layer in enumerate(s.layers):
            s.rng = xorshift32(s.rng)
            posts, pres = layer.weight.shape
            bits = ops["weight_step"].shift
            change = drop(
                layer.rate_step[:, None] * layer.trace, bits, Rounding.STOCHASTIC,
                random_bits(s.rng, posts, pres, bits),
            )  # fmt: skip
            layer.weight = self._store("weight_step", layer.weight - change, f.weight)
            if adapt:
                self._adapt(index)
        s.updates += 1

    def _adapt(self, index: int) -> None:
        f, ops, p, layer = self.config.formats, self._ops, self.parameters, self.state.layers[index]
        mantissa, shift = p.adapt_rate[index]
        product = layer.delta * layer.adapt_trace
        for g in range(self.config.used_groups(index)):
            summed = product[self._groups[index] == g].sum() >> shift
            total = self._store("adapt_sum", summed, f.adapt_sum)
            stepped = int(layer.a[g]) - ((int(total) * mantissa) >> ops["adapt_step"].shift)
            low, high = p.a_min << ADAPT_GUARD, p.a_max << ADAPT_GUARD
            if self.watch is not None:
                self.watch("adapt_step", np.array(stepped), low, high)
            layer.a[g] = min(max(stepped, low), high)
