"""All mutants: the planted bugs of `solsa verify --plant`, the core's, the serial unit's and the link's."""

from __future__ import annotations

from solsa.sim.planted import BUGS

from .core_mutants import CORE_MUTANTS
from .link_mutants import LINK_MUTANTS
from .mutant import Mutant
from .serial_mutants import SERIAL_MUTANTS

#: Words that the checker names for the bugs of sim/planted.py, and those that need extreme stimuli.
_WORDS = {"trace-floor": "trace", "weight-wraps": "weight", "random-tap": "weight"}
_EXTREME = {"weight-wraps"}

PLANTED: dict[str, Mutant] = {
    name: Mutant(b.file, b.old, b.new, b.about, word=_WORDS.get(name, ""), extreme=name in _EXTREME)
    for name, b in BUGS.items()
}
MUTANTS: dict[str, Mutant] = {**PLANTED, **CORE_MUTANTS, **SERIAL_MUTANTS, **LINK_MUTANTS}
assert len(MUTANTS) == sum(map(len, (PLANTED, CORE_MUTANTS, SERIAL_MUTANTS, LINK_MUTANTS))), "a name is taken twice"
