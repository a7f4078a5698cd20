"""Formats and cases for tests of every layer of the package; solsa.sim.strategies says what a random network is."""

from __future__ import annotations

from collections.abc import Iterator

from solsa.contract import Formats
from solsa.sim.coverage import Observer
from solsa.sim.lockstep import Lockstep
from solsa.sim.random_networks import Case, StepInput, make_case
from solsa.sim.strategies import NARROW, WIDE

FORMATS = {"default": Formats(), "narrow": NARROW, "wide": WIDE}

__all__ = ["FORMATS", "NARROW", "WIDE", "Case", "make_case", "observed"]


def observed(run: Lockstep, observer: Observer, case: Case) -> Iterator[StepInput]:
    """Every step of a case after it has run, with all words equal to golden's, and been counted."""
    for one in case.stimuli:
        found = run.step(one)
        assert found is None, str(found)
        assert run.trace is not None
        observer.step(one, run.trace)
        yield one
