"""Makes a failing case small: fewer steps, simpler numbers, a smaller network; it must still fail, anyhow.

Steps and numbers come first because they cost no build. Hypothesis' own shrinker does not know that another geometry
costs seconds and another stimulus nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from solsa.contract import BankKind, ConfigError, Formats, NetworkConfig, NeuronUnit, Parameters

from .lockstep import Mismatch
from .random_networks import Case
from .records import Ints, StepInput

#: Geometries that may be built, and seconds, to shrink one case.
BUILDS, SECONDS = 25, 150.0
#: Runs a case: the first word that differs, or what else went wrong, or None.
Check = Callable[[Case], Mismatch | str | None]


@dataclass
class Shrinker:
    """Shrinks one failing case.

    Parameters
    ----------
    check : callable
        Runs a case.
    case : Case
        Fails.
    builds : int
        Other geometries that may be built.
    seconds : float
        After this time the smallest case so far is taken.
    """

    check: Check
    case: Case
    builds: int = field(default_factory=lambda: BUILDS)
    seconds: float = field(default_factory=lambda: SECONDS)
    mismatch: Mismatch | str | None = None
    _seen: set[str] = field(default_factory=set)

    def run(self) -> Case:
        """Smallest case found; its mismatch is in :attr:`mismatch`."""
        self._deadline = time.monotonic() + self.seconds
        self._seen.add(self.case.config.config_hash)
        if not self._fails(self.case):
            raise ValueError("the case does not fail")
        self._fewer_steps()
        changed = True
        while changed and time.monotonic() < self._deadline:
            changed = any(self._fails(smaller) for smaller in _smaller_networks(self.case))
        self._fewer_steps()
        self._simpler_numbers()
        return self.case

    def _fails(self, case: Case) -> bool:
        """Take a case if it fails; one that cannot be built within the budget does not."""
        if time.monotonic() >= self._deadline:
            return False
        name = case.config.config_hash
        if name not in self._seen:
            if self.builds <= 0:
                return False
            self.builds -= 1
            self._seen.add(name)
        found = self.check(case)
        if found is None:
            return False
        end = found.step + 1 if isinstance(found, Mismatch) else len(case.stimuli)
        self.case, self.mismatch = replace(case, stimuli=case.stimuli[:end]), found
        return True

    def _fewer_steps(self) -> None:
        """Drop runs of steps, long ones first."""
        size = max(1, len(self.case.stimuli) // 2)
        while True:
            start = 0
            while start < len(self.case.stimuli):
                steps = self.case.stimuli
                rest = steps[:start] + steps[start + size :]
                if not (rest and self._fails(replace(self.case, stimuli=rest))):
                    start += size
            if size == 1:
                return
            size //= 2

    def _simpler_numbers(self) -> None:
        for layer in range(self.case.config.depth):
            for row in range(self.case.config.post(layer)):
                self._fails(replace(self.case, weights=_without(self.case.weights, layer, row)))
        for at in range(len(self.case.stimuli)):
            one = self.case.stimuli[at]
            for simpler in (replace(one, inputs=np.zeros_like(one.inputs)), replace(one, adapt=False, learn=False),
                            replace(one, adapt=False), replace(one, label=0)):  # fmt: skip
                steps = [*self.case.stimuli]
                if at < len(steps):
                    steps[at] = simpler
                    self._fails(replace(self.case, stimuli=steps))


def _without(weights: list[Ints], layer: int, row: int) -> list[Ints]:
    """Weights with one row of zeros."""
    changed = [w.copy() for w in weights]
    changed[layer][row] = 0
    return changed


def _smaller_networks(case: Case) -> Iterator[Case]:
    """Cases with something smaller about their network, the largest cut first."""
    config, p = case.config, case.parameters
    depth = config.depth
    if depth > 1:
        yield from _valid(case, lambda: _layers_dropped(case, slice(1, None)))
        yield from _valid(case, lambda: _layers_dropped(case, slice(None, -1)))
    for i, size in enumerate(config.layers):
        for smaller in sorted({1, size // 2, size - 1} - {0, size}):
            layers = (*config.layers[:i], smaller, *config.layers[i + 1 :])
            yield from _valid(case, lambda layers=layers: _resized(case, layers))  # type: ignore[misc]
    for lanes in (1, config.lanes // 2):
        if 0 < lanes < config.lanes:
            yield from _valid(case, lambda lanes=lanes: replace(case, config=config.with_(lanes=lanes)))  # type: ignore[misc]
    if config.groups > 1:
        half = config.groups // 2
        fewer = p.with_(lam=tuple(r[:half] for r in p.lam), a=tuple(r[:half] for r in p.a))
        yield from _valid(case, lambda: replace(case, config=config.with_(groups=half), parameters=fewer))
    if config.surrogate_entries > 4:
        table = p.with_(surrogate=p.surrogate[:4])
        yield from _valid(case, lambda: replace(case, config=config.with_(surrogate_entries=4), parameters=table))
    if config.max_steps > 4:
        short = p.with_(schedule=tuple(step for step in p.schedule if step < 4))
        yield from _valid(case, lambda: replace(case, config=config.with_(max_steps=4), parameters=short))
    if config.recurrent:
        off = config.with_(recurrent=False)
        yield from _valid(case, lambda: replace(case, config=off, weights=_weights(case, off)))
    for simpler in ({"bank": BankKind.DUAL_PORT}, {"neuron_unit": NeuronUnit.PIPELINED}):
        if any(getattr(config, name) is not kind for name, kind in simpler.items()):
            yield from _valid(case, lambda simpler=simpler: replace(case, config=config.with_(**simpler)))  # type: ignore[misc]
    if config.formats != Formats():
        yield from _valid(case, lambda: replace(case, config=config.with_(formats=Formats())))


def _valid(case: Case, make: Callable[[], Case]) -> Iterator[Case]:
    """The made case if its numbers still fit its formats."""
    try:
        made = make()
        made.parameters.check(made.config)
    except ConfigError:
        return
    fmt, x = made.config.formats.weight, made.config.formats.input
    if any(w.min() < fmt.min or w.max() > fmt.max for w in made.weights):
        return
    if any(one.inputs.min() < x.min or one.inputs.max() > x.max for one in made.stimuli):
        return
    yield made


def _resized(case: Case, layers: tuple[int, ...]) -> Case:
    config = case.config.with_(layers=layers)
    return Case(config, case.parameters, _weights(case, config), _fitted(case.stimuli, layers))


def _weights(case: Case, config: NetworkConfig, first: int = 0) -> list[Ints]:
    """Weights of a case, cut for a smaller configuration whose first layer is ``first``."""
    cut = []
    for i in range(config.depth):
        w, below = case.weights[first + i], case.config.layers[first + i]
        pres = [*range(config.layers[i]), *range(below, below + config.own(i))]
        cut.append(w[: config.post(i), pres])
    return cut


def _layers_dropped(case: Case, keep: slice) -> Case:
    p, config = case.parameters, case.config
    layers = config.layers[keep]
    rows = {name: getattr(p, name)[keep] for name in ("theta", "rho", "lam", "a", "rate", "adapt_rate", "norm")}
    made: tuple[NetworkConfig, Parameters] = config.with_(layers=layers), p.with_(**rows)
    return Case(*made, _weights(case, made[0], keep.start or 0), _fitted(case.stimuli, layers))


def _fitted(stimuli: list[StepInput], layers: tuple[int, ...]) -> list[StepInput]:
    """The same steps for other sizes of the input and the readout."""
    return [
        replace(
            one,
            inputs=np.resize(one.inputs, layers[0]),
            label=min(one.label, layers[-1] - 1),
            target=None if one.target is None else np.resize(one.target, layers[-1]),
        )
        for one in stimuli
    ]
