"""What a mutant is."""

from __future__ import annotations

from dataclasses import dataclass

from solsa.sim.planted import Bug


@dataclass(frozen=True)
class Mutant(Bug):
    """A planted bug (sim/planted.py) and what is expected of the tests.

    Attributes
    ----------
    equivalent : str
        Why no test can notice it; empty for a bug. A mutant that is called equivalent and killed is an error.
    word : str
        State word that the lockstep checker must name (quick subset of tests/integration/test_planted.py).
    extreme : bool
        The quick subset needs stimuli from the ends of the ranges.
    """

    equivalent: str = ""
    word: str = ""
    extreme: bool = False
