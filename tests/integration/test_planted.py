"""Bugs planted into the RTL: the lockstep checker must find each of them and name the word.

The quick part of `make mutation` (tests/mutation): those mutants of its catalogue that say which word is the first to
differ. Golden stays as it is.
"""

from __future__ import annotations

import pytest
from mutation.catalogue import MUTANTS
from mutation.mutant import Mutant
from networks import NARROW, make_case

from solsa.contract import preset
from solsa.sim.lockstep import Lockstep, Mismatch
from solsa.sim.planted import planted
from solsa.sim.pysim import PysimCore

CONFIG = preset("tiny").with_(surrogate_entries=16)  # fewer words to load
LEARN = "RLLLLLLLr..RLLLLLL"
NAMED = [name for name, mutant in MUTANTS.items() if mutant.word]
#: These retire too few words: the checker names the layer and counts.
COUNTED = {"filter-forgotten", "score-forgotten"}


def run(mutant: Mutant | None, *, extreme: bool = False) -> Mismatch | None:
    """First word in which the changed core differs from the golden model.

    ``extreme`` drives narrow words into saturation; else hardly any word saturates.
    """
    config = CONFIG.with_(formats=NARROW) if extreme else CONFIG
    case = make_case(config, 7, LEARN, extreme=extreme)
    parameters = case.parameters
    if extreme:
        # neurons that fire, filters that hardly decay, an update at every step
        mild, slow = make_case(config, 7, LEARN).parameters, (65000 << 8,) * config.groups
        parameters = mild.with_(schedule=tuple(range(config.max_steps)), a=(slow,) * config.depth)
    make = None if mutant is None else lambda: planted(mutant).core.Core(config, observe=True)
    checker = Lockstep(config, parameters, case.weights, PysimCore(config, make_core=make))
    return next(filter(None, map(checker.step, case.stimuli)), None)


@pytest.mark.parametrize("extreme", [False, True])
def test_nothing_planted(extreme: bool) -> None:
    """The stimuli below find nothing in the core as it is."""
    assert run(None, extreme=extreme) is None


@pytest.mark.parametrize("name", NAMED)
def test_planted_bug_is_named(name: str) -> None:
    mutant = MUTANTS[name]
    found = run(mutant, extreme=mutant.extreme)
    assert found is not None, "not found"
    assert found.kind == mutant.word, str(found)
    layer = f"layer {found.layer}"
    assert 0 <= found.layer < CONFIG.depth
    assert 0 <= found.step < len(LEARN)
    if name in COUNTED:
        assert str(found).startswith(f"{found.kind} at step {found.step}, {layer}, post -1, pre -1: expected ")
        assert "words" in str(found)
        return
    assert 0 <= found.post < CONFIG.post(found.layer)
    assert 0 <= found.pre < CONFIG.pre(found.layer)
    where = f"step {found.step}, {layer}, post {found.post}, pre {found.pre}"
    assert str(found) == f"{found.kind} at {where}: expected {found.expected}, got {found.got}"
    assert isinstance(found.expected, int)
    assert isinstance(found.got, int)
    assert found.expected != found.got


def test_the_exact_word_of_a_planted_bug() -> None:
    """One bug whose first victim is known beforehand: F of the step before is zero at the first step."""
    case = make_case(CONFIG, 7, LEARN)
    found = run(MUTANTS["filter-before"])
    first = next(j for j, x in enumerate(case.stimuli[0].inputs) if x)
    f = CONFIG.formats
    wanted = int(case.stimuli[0].inputs[first]) << (f.trace.frac - f.input.frac)
    assert found == Mismatch(step=0, kind="trace", layer=0, post=0, pre=first, expected=wanted, got=0)
