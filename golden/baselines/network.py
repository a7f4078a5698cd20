"""One network that learns by one rule: the arrays behind the compiled loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solsa.golden.baselines import bptt, online
from solsa.golden.baselines.forward import Array, Constants, Net, State
from solsa.golden.baselines.rules import FILTERED, LOCAL, SYNAPSE, Rule

Ints = NDArray[np.int64]
#: Standard deviation of DECOLLE's random readouts times the root of the layer's size.
_LOCAL_SD = 1.0


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples one after the other.

    Attributes
    ----------
    x : [steps of all samples, channels]
    starts : [samples + 1]
    labels : [samples]
    targets : [steps of all samples, outputs]; no rows unless the readout follows a signal.
    """

    x: Array
    starts: Ints
    labels: Ints
    targets: Array

    @classmethod
    def pack(cls, inputs: Sequence[ArrayLike], labels: ArrayLike, targets: Sequence[ArrayLike] = ()) -> Samples:
        """From one [T, channels] array per sample, its class, and perhaps its [T, outputs] target."""
        parts = [np.asarray(x, dtype=np.float64) for x in inputs]
        starts = np.concatenate([[0], np.cumsum([len(x) for x in parts])]).astype(np.int64)
        wanted = np.concatenate([np.asarray(y, dtype=np.float64) for y in targets]) if targets else np.zeros((0, 1))
        return cls(np.concatenate(parts), starts, np.asarray(labels, dtype=np.int64), np.ascontiguousarray(wanted))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> Ints:
        """Steps of every sample."""
        return np.diff(self.starts)

    @property
    def longest(self) -> int:
        """Steps of the longest sample."""
        return int(self.lengths.max())


@dataclass(frozen=True, kw_only=True)
class Options:
    """Switches beyond the rule.

    Filters that adapt, early stop, rates per post (a form of :data:`solsa.golden.baselines.online.FORMS`, the means at
    which rates are as given, per layer, and the largest power of two), own spikes as pre signals, a readout that
    follows a signal, how many last steps decide, hidden errors with the filtered h.
    """

    adapt: bool = False
    a_max: float = 1.0 - 2.0**-12
    stop_after: int = 0
    stop_margin: float = 0.0
    normalise: str = ""
    reference: tuple[float, ...] = ()
    largest: int = 10
    recurrent: bool = False
    regression: bool = False
    window: int = 0
    filtered_surrogate: bool = False


@dataclass(frozen=True)
class Epoch:
    """What an epoch of learning counted: accuracy or mean squared error while learning, updates."""

    accuracy: float
    error: float
    updates: int


class RuleNetwork:
    """A network in float64 that learns by a rule.

    Parameters
    ----------
    layers : sequence of int
        Sizes from the input to the readout.
    weights : sequence of array_like
        [M, N] per layer; [M, N + M] for a recurrent hidden layer. Copied.
    a, lam : array_like
        [L, G].
    rule : Rule
        From :data:`solsa.golden.baselines.rules.RULES`.
    theta, rho, width, peak : float
        Threshold, soft reset, width of the Gaussian surrogate, its value at the threshold.
    options : Options
        Switches.
    seed : int
        Of the fixed random readouts (DECOLLE).

    Raises
    ------
    ValueError
        If a shape does not fit, or e-prop's readout has groups of different constants.
    """

    def __init__(
        self,
        layers: Sequence[int],
        weights: Sequence[ArrayLike],
        a: ArrayLike,
        lam: ArrayLike,
        rule: Rule,
        *,
        theta: float = 1.0,
        rho: float = 1.0,
        width: float = 0.5,
        peak: float = 1.0,
        options: Options | None = None,
        seed: int = 0,
    ) -> None:
        options = options or Options()
        self.rule, self.options = rule, options
        sizes, depth = [int(n) for n in layers], len(layers) - 1
        own = [sizes[i + 1] if options.recurrent and i < depth - 1 else 0 for i in range(depth)]
        pres = [sizes[i] + own[i] for i in range(depth)]
        given = [np.array(w, dtype=np.float64) for w in weights]
        wanted = [(sizes[i + 1], pres[i]) for i in range(depth)]
        if [w.shape for w in given] != wanted:
            raise ValueError(f"weights have shapes {[w.shape for w in given]}, needed are {wanted}")
        constants = [np.array(v, dtype=np.float64) for v in (a, lam)]
        groups = constants[0].shape[-1]
        if any(v.shape != (depth, groups) for v in constants):
            raise ValueError(f"a and lam have shapes {[v.shape for v in constants]}, needed is [{depth}, groups]")
        if rule.trace == FILTERED and any(np.ptp(v[-1]) for v in constants):
            raise ValueError("e-prop filters as the readout does, whose groups must have the same constants")
        posts, pre = max(sizes[1:]), max(pres)
        weight = np.zeros((depth, posts, pre))
        for i, w in enumerate(given):
            weight[i, : w.shape[0], : w.shape[1]] = w
        local = np.zeros((depth if rule.signal == LOCAL else 0, sizes[-1], posts))
        for i in range(len(local) - 1):
            local[i, :, : sizes[i + 1]] = np.random.default_rng([seed, 7, i]).normal(
                0.0, _LOCAL_SD / np.sqrt(sizes[i + 1]), (sizes[-1], sizes[i + 1])
            )
        self._net = Net(np.array(sizes), np.array(pres), weight, constants[0], constants[1], local)
        self._c = Constants(
            theta=float(theta), rho=float(rho), width=float(width), peak=float(peak),
            recurrent=int(options.recurrent), regression=int(options.regression), trace=rule.trace, signal=rule.signal,
            reset_term=int(rule.reset_term), adapt=int(options.adapt), a_min=0.0, a_max=float(options.a_max),
            accumulate=int(rule.accumulate), normalise=online.FORMS.index(options.normalise),
            reference=np.array(options.reference or (1.0,) * depth), largest=options.largest,
            stop_after=int(options.stop_after), stop_margin=float(options.stop_margin), window=int(options.window),
            gate=int(options.filtered_surrogate),
        )  # fmt: skip
        synapses, none = (depth, posts, pre), (depth, 0, 0)
        filters = (depth, groups, pre)
        shapes = {
            "pre": (depth, pre), "F": filters, "P": filters, "eps": synapses if rule.trace == SYNAPSE else none,
            "once": synapses if rule.trace == FILTERED else none, "twice": synapses if rule.trace == FILTERED else none,
            "grad": synapses if rule.accumulate else none, "grad_a": (depth, groups), "score": (sizes[-1],),
        }  # fmt: skip
        self._state = State(**{name: np.zeros(shapes.get(name, (depth, posts))) for name in State._fields})
        self._power = np.zeros((depth, posts))
        self._history: bptt.History | None = None

    @property
    def weights(self) -> list[Array]:
        """Copies of the weights, [M, N] per layer."""
        n = self._net
        return [n.weight[i, : n.sizes[i + 1], : n.pres[i]].copy() for i in range(len(n.pres))]

    @property
    def a(self) -> Array:
        """Copy of the filter constants, [L, G]."""
        return self._net.a.copy()

    @property
    def means(self) -> list[Array]:
        """Copies of the running means that rates are divided by, [M] per layer; 0 before the first update."""
        return [self._power[i, : self._net.sizes[i + 1]].copy() for i in range(len(self._net.pres))]

    @property
    def local_readouts(self) -> list[Array]:
        """Copies of DECOLLE's fixed random readouts, [C, M] per hidden layer; none for other rules."""
        n = self._net
        return [n.local[i, :, : n.sizes[i + 1]].copy() for i in range(len(n.local) - 1)]

    def epoch(
        self, samples: Samples, order: ArrayLike, schedule: ArrayLike, eta: ArrayLike, eta_a: ArrayLike | None = None
    ) -> Epoch:
        """Learn samples in an order.

        Parameters
        ----------
        samples : Samples
            To learn from.
        order : int [n]
            Indices of samples.
        schedule : bool [steps of the longest sample]
            Where errors are formed, and for online rules weights updated.
        eta, eta_a : [L]
            Rates of weights and filter constants.
        """
        depth = len(self._net.pres)
        rates = np.array(eta, dtype=np.float64)
        slow = np.zeros(depth) if eta_a is None else np.array(eta_a, dtype=np.float64)
        where = np.array(schedule, dtype=np.int64)
        chosen = np.array(order, dtype=np.int64)
        if rates.shape != (depth,) or slow.shape != (depth,) or len(where) < samples.longest:
            raise ValueError(f"needed are {depth} rates and a schedule of {samples.longest} steps")
        common = (self._power, samples.x, samples.starts, samples.labels, samples.targets, chosen, where, rates, slow)
        if self.rule.backward:
            found = bptt.epoch(self._net, self._c, self._state, self._past(samples.longest), *common)
        else:
            found = online.epoch(self._net, self._c, self._state, *common)
        error = found[2] / found[3] if found[3] else 0.0
        return Epoch(float(found[0]) / max(1, len(chosen)), float(error), int(found[1]))

    def evaluate(self, samples: Samples) -> tuple[Array, float]:
        """Scores [samples, outputs] without learning, and the mean squared error (0 unless a signal is followed)."""
        scores = np.zeros((len(samples), int(self._net.sizes[-1])))
        quiet = self._c._replace(trace=0)
        total = online.evaluate(self._net, quiet, self._state, samples.x, samples.starts, samples.targets, scores)
        return scores, float(total) / max(1, samples.targets.size)

    def accuracy(self, samples: Samples) -> float:
        """Share of samples whose largest score is that of their class."""
        return float(np.mean(self.evaluate(samples)[0].argmax(1) == samples.labels))

    def probe(self, samples: Samples, order: ArrayLike, eta: ArrayLike) -> Array:
        """S[t] = sum of |dw| that an update at step t would make, over samples; no weight changes. [longest]."""
        if self.rule.backward:
            raise ValueError("a rule that goes back in time has no update per step")
        out = np.zeros(samples.longest)
        online.probe(
            self._net, self._c, self._state, samples.x, samples.starts, samples.labels, samples.targets,
            np.array(order, dtype=np.int64), np.array(eta, dtype=np.float64), out,
        )  # fmt: skip
        return out

    def _past(self, steps: int) -> bptt.History:
        if self._history is None or len(self._history.delta) < steps:
            s: Any = self._state
            self._history = bptt.History(
                np.zeros((steps, *s.pre.shape)), np.zeros((steps, *s.current.shape)),
                np.zeros((steps, *s.h.shape)), np.zeros((steps, len(s.score))),
            )  # fmt: skip
        return self._history
