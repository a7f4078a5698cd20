"""Lockstep checker: golden model and a core run the same stimulus; every retired word is compared when it retires."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solsa.contract import Layout, NetworkConfig, Parameters, Register, Space
from solsa.contract.parameters import rate_words
from solsa.contract.wire import Status
from solsa.golden import GoldenCore, StepTrace

from .records import CoreBackend, Ints, Kind, Records, StepInput

#: Kinds with one word per neuron and the LayerState field that holds it.
_NEURON_KINDS = {
    Kind.CURRENT: "current",
    Kind.MEMBRANE: "membrane",
    Kind.SPIKE: "spike",
    Kind.SURROGATE: "surrogate",
    Kind.GAIN: "gain",
    Kind.FILTER_TRACE: "filter_trace",
    Kind.ADAPT_TRACE: "adapt_trace",
}
_FIELDS = {
    Kind.TRACE: "trace", Kind.WEIGHT: "weight", Kind.FILTER: "filter", **_NEURON_KINDS,
    Kind.DELTA: "delta", Kind.RATE_STEP: "rate_step", Kind.CONSTANT: "a",
    Kind.MEAN_ERROR: "mean_error",
}  # fmt: skip


@dataclass(frozen=True)
class Mismatch:
    """First word that differs.

    Attributes
    ----------
    step : int
        Index of the time step since the start of the run.
    kind : str
        Name of the state word.
    layer, post, pre : int
        Where it belongs; ``post`` is the group for ``filter`` and ``constant``.
    expected, got : int or str
        Golden's word and the core's.
    """

    step: int
    kind: str
    layer: int
    post: int
    pre: int
    expected: int | str
    got: int | str

    def __str__(self) -> str:
        place = f"step {self.step}, layer {self.layer}, post {self.post}, pre {self.pre}"
        return f"{self.kind} at {place}: expected {self.expected}, got {self.got}"


@dataclass
class Lockstep:
    """Runs a core beside the golden model.

    Parameters
    ----------
    config : NetworkConfig
        Of both.
    parameters : Parameters
        Programmed into both.
    weights : list of int64 arrays [M, N]
        Start weights of both.
    backend : CoreBackend
        Core after reset.
    """

    config: NetworkConfig
    parameters: Parameters
    weights: list[Ints]
    backend: CoreBackend
    steps: int = 0
    words: int = 0
    clocks: list[tuple[bool, bool, int]] = field(default_factory=list)
    #: golden's words after the last step
    trace: StepTrace | None = None

    def __post_init__(self) -> None:
        self.golden = GoldenCore(self.config, self.parameters, self.weights)
        self._places = _Places(self.config)
        load_core(self.backend, self.config, self.parameters, self.weights)

    def step(self, stimulus: StepInput) -> Mismatch | None:
        """Run one time step on both and compare; returns the first word that differs."""
        s, adapt = stimulus, stimulus.adapt and stimulus.learn
        if s.probe != self.golden.state.probe:
            self.golden.state.probe = s.probe
            _write(self.backend, Space.REGISTER, Register.PROBE, int(s.probe))
        if s.reset:
            self.golden.reset_sample()
        expected = self.golden.step(s.inputs, label=s.label, target=s.target, learn=s.learn, adapt=s.adapt)
        assert expected is not None
        self.trace = expected
        got = self.backend.step(
            s.inputs, label=s.label, target=s.target, reset=s.reset, learn=s.learn, adapt=s.adapt
        )  # fmt: skip
        found = self._compare(expected, got, adapt)
        self.clocks.append((expected.learned, expected.updated, self.backend.step_clocks))
        self.steps += 1
        return found

    def _compare(self, expected: StepTrace, got: Records, adapt: bool) -> Mismatch | None:
        places, count = self._places, len(got)
        kind, layer, post, pre = (got[name].astype(np.int64) for name in ("kind", "layer", "post", "pre"))
        value = got["value"]
        self.words += count
        inside = (post >= 0) & (post < places.rows[kind, layer]) & (pre >= 0) & (pre < places.columns[kind, layer])
        if not inside.all():
            i = int(np.argmin(inside))
            where = (Kind(kind[i]).name.lower(), int(layer[i]), int(post[i]), int(pre[i]))
            return Mismatch(self.steps, *where, "no such word", int(value[i]))
        index = places.start[kind, layer] + post * places.columns[kind, layer] + pre
        wanted = places.flatten(expected)[index]
        wrong = wanted != value
        if wrong.any():
            i = int(np.argmax(wrong))
            where = (Kind(kind[i]).name.lower(), int(layer[i]), int(post[i]), int(pre[i]))
            return Mismatch(self.steps, *where, int(wanted[i]), int(value[i]))
        # Every word that the step had to change must have been retired exactly once.
        times, due = np.bincount(index, minlength=places.words), places.due(expected, adapt)
        if not np.array_equal(times, due):
            return self._incomplete(int(np.argmax(times != due)), times, due)
        return None

    def _incomplete(self, at: int, times: Ints, due: Ints) -> Mismatch:
        """How often the words of the kind and layer at flat index ``at`` were retired."""
        kind, layer, words = next(part for part in self._places.parts if part[2].start <= at < part[2].stop)
        had, distinct = int(times[words].sum()), int(np.count_nonzero(times[words]))
        got = f"{had} words, {distinct} different"
        return Mismatch(self.steps, kind.name.lower(), layer, -1, -1, f"{int(due[words].sum())} words", got)


class _Places:
    """One flat index for every word that a step may retire: kind by kind, layer by layer, row by row."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        shape = (len(Kind), config.depth)
        self.rows, self.columns, self.start = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        self.words = 0
        self.parts: list[tuple[Kind, int, slice]] = []
        for kind in Kind:
            for layer in range(config.depth):
                rows, columns = self._shape(kind, layer)
                self.rows[kind, layer], self.columns[kind, layer], self.start[kind, layer] = rows, columns, self.words
                self.parts.append((kind, layer, slice(self.words, self.words + rows * columns)))
                self.words += rows * columns
        self._due: dict[tuple[bool, bool, bool, bool], Ints] = {}

    def _shape(self, kind: Kind, layer: int) -> tuple[int, int]:
        c = self.config
        if kind in (Kind.TRACE, Kind.WEIGHT):
            return c.post(layer), c.pre(layer)
        if kind is Kind.FILTER:
            return c.used_groups(layer), c.pre(layer)
        if kind is Kind.CONSTANT:
            return c.used_groups(layer), 1
        if kind is Kind.SCORE:
            return (c.outputs if layer == c.depth - 1 else 0), 1
        if kind in (Kind.RNG, Kind.UPDATES):
            return int(layer == 0), 1
        return c.post(layer), 1

    def flatten(self, trace: StepTrace) -> Ints:
        """Golden's words by flat index."""
        parts: list[Ints] = []
        for kind in Kind:
            if kind is Kind.SCORE:
                parts.append(trace.score)
            elif kind in (Kind.RNG, Kind.UPDATES):
                parts.append(np.array([trace.rng if kind is Kind.RNG else trace.updates], dtype=np.int64))
            else:
                for i, layer in enumerate(trace.layers):
                    words: Ints = getattr(layer, _FIELDS[kind]).ravel()
                    parts.append(words[: self.config.used_groups(i)] if kind is Kind.CONSTANT else words)
        return np.concatenate(parts)

    def due(self, trace: StepTrace, adapt: bool) -> Ints:
        """How often each word is retired in a step, by flat index: once or not at all."""
        key = (trace.learned, trace.updated, trace.probed, adapt)
        if key not in self._due:
            wanted = dict.fromkeys((*_NEURON_KINDS, Kind.SCORE, Kind.RNG, Kind.UPDATES), 1)
            wanted |= dict.fromkeys((Kind.TRACE, Kind.FILTER), int(trace.learned))
            wanted |= dict.fromkeys((Kind.DELTA, Kind.RATE_STEP), int(trace.updated or trace.probed))
            wanted[Kind.WEIGHT] = int(trace.updated)
            wanted[Kind.CONSTANT] = int(trace.updated and adapt)
            wanted[Kind.MEAN_ERROR] = int(trace.updated and self.config.normalise)
            found = np.zeros(self.words, dtype=np.int64)
            for kind, _, words in self.parts:
                found[words] = wanted[kind]
            self._due[key] = found
        return self._due[key]


def load_core(backend: CoreBackend, config: NetworkConfig, parameters: Parameters, weights: list[Ints]) -> None:
    """Program a core through its bus.

    Raises
    ------
    RuntimeError
        If the core refuses a word.
    """
    parameters.check(config)
    layout = Layout(config)

    def write(space: int, index: int, value: int) -> None:
        _write(backend, space, index, value)

    p = parameters
    words = (*p.constant_words(), *p.option_words(config), *rate_words(p.rate, p.adapt_rate), *p.start_words())
    for address, value in words:
        write(Space.REGISTER, address, value)
    for i in range(config.depth):
        for post in range(config.post(i)):
            for pre in range(config.pre(i)):
                lane, at = layout.synapse_address(i, post, pre)
                write(Space.WEIGHT, at * config.lanes + lane, weights[i][post, pre])
    for index, value in enumerate(p.surrogate):
        write(Space.SURROGATE, index, value)
    for step in range(config.max_steps):
        write(Space.SCHEDULE, step, int(step in p.schedule))


def _write(backend: CoreBackend, space: int, index: int, value: int) -> None:
    """Write a word over the bus; RuntimeError if the core refuses it."""
    status = backend.write(space, index, int(value))
    if status != Status.OK:
        raise RuntimeError(f"space {space} index {index} value {value}: {Status(status).name}")
