"""Lockstep checker: golden model and a core run the same stimulus; every retired word is compared when it retires."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from solsa.contract import Layout, NetworkConfig, Parameters, Space
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

    def __post_init__(self) -> None:
        self.golden = GoldenCore(self.config, self.parameters, self.weights)
        load_core(self.backend, self.config, self.parameters, self.weights)

    def step(self, stimulus: StepInput) -> Mismatch | None:
        """Run one time step on both and compare; returns the first word that differs."""
        s, adapt = stimulus, stimulus.adapt and stimulus.learn
        if s.reset:
            self.golden.reset_sample()
        expected = self.golden.step(s.inputs, label=s.label, target=s.target, learn=s.learn, adapt=s.adapt)
        assert expected is not None
        got = self.backend.step(
            s.inputs, label=s.label, target=s.target, reset=s.reset, learn=s.learn, adapt=s.adapt
        )  # fmt: skip
        found = self._compare(expected, got, adapt)
        self.clocks.append((s.learn, expected.updated, self.backend.step_clocks))
        self.steps += 1
        return found

    def _compare(self, expected: StepTrace, got: Records, adapt: bool) -> Mismatch | None:
        names = ("kind", "layer", "post", "pre", "value")
        kind, layer, post, pre, value = (got[name].astype(np.int64) for name in names)
        wanted = np.full(len(got), np.iinfo(np.int64).min)
        for k in Kind:
            for index in np.unique(layer[kind == k]):
                here = np.flatnonzero((kind == k) & (layer == index))
                wanted[here] = self._expected(k, int(index), expected, post[here], pre[here])
        self.words += len(got)
        wrong = np.flatnonzero(wanted != value)
        if len(wrong):
            i = wrong[0]
            where = (Kind(kind[i]).name.lower(), int(layer[i]), int(post[i]), int(pre[i]))
            return Mismatch(self.steps, *where, int(wanted[i]), int(value[i]))
        return self._complete(expected, kind, layer, post, pre, adapt)

    @staticmethod
    def _expected(kind: Kind, layer: int, trace: StepTrace, post: Ints, pre: Ints) -> Ints | int:
        if kind is Kind.RNG:
            return trace.rng
        if kind is Kind.UPDATES:
            return trace.updates
        if kind is Kind.SCORE:
            return trace.score[post]
        words: Ints = getattr(trace.layers[layer], _FIELDS[kind])
        return words[post, pre] if words.ndim == 2 else words[post]

    def _complete(
        self, expected: StepTrace, kind: Ints, layer: Ints, post: Ints, pre: Ints, adapt: bool
    ) -> Mismatch | None:
        """Every word that the step had to change must have been retired exactly once."""
        for k in Kind:
            for index in range(self.config.depth):
                words = self._due(k, index, expected, adapt)
                here = (kind == k) & (layer == index)
                count = int(here.sum())
                distinct = len(np.unique(post[here] << 32 | pre[here]))
                if count != words or distinct != words:
                    got = f"{count} words, {distinct} different"
                    return Mismatch(self.steps, k.name.lower(), index, -1, -1, f"{words} words", got)
        return None

    def _due(self, kind: Kind, layer: int, trace: StepTrace, adapt: bool) -> int:
        c = self.config
        last = layer == c.depth - 1
        if kind is Kind.TRACE:
            return c.pre(layer) * c.post(layer) * trace.learned
        if kind is Kind.WEIGHT:
            return c.pre(layer) * c.post(layer) * trace.updated
        if kind is Kind.FILTER:
            return c.used_groups(layer) * c.pre(layer) * trace.learned
        if kind in _NEURON_KINDS:
            return c.post(layer)
        if kind in (Kind.DELTA, Kind.RATE_STEP):
            return c.post(layer) * trace.updated
        if kind is Kind.CONSTANT:
            return c.used_groups(layer) * (trace.updated and adapt)
        if kind is Kind.SCORE:
            return c.post(layer) * last
        return int(layer == 0)


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
        status = backend.write(space, index, int(value))
        if status != Status.OK:
            raise RuntimeError(f"space {space} index {index} value {value}: {Status(status).name}")

    p = parameters
    for address, value in (*p.constant_words(), *rate_words(p.rate, p.adapt_rate), *p.start_words()):
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
