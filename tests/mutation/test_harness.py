"""The mutation harness itself: what it calls killed, a survivor, a hang and an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutation import killers
from mutation.automatic import candidates, sample
from mutation.catalogue import MUTANTS
from mutation.harness import Harness, Outcome
from mutation.mutant import Mutant
from mutation.report import page, result
from solsa.sim.planted import RTL, changed

TEST = "tests/rtl/test_uart.py::test_divisor_is_checked"


def test_every_text_occurs_once() -> None:
    """A change of the RTL that removes a mutant's text must bring the catalogue along."""
    texts = {path.name: path.read_text() for path in RTL.glob("*.py")}
    lost = []
    for name, mutant in MUTANTS.items():
        try:
            compile(changed(mutant, texts[mutant.file]), mutant.file, "exec")
        except ValueError as error:
            lost.append(f"{name}: {error}")
    assert not lost, "\n".join(lost)


def test_the_catalogue_covers_every_file() -> None:
    assert len(MUTANTS) >= 80
    assert {mutant.file for mutant in MUTANTS.values()} == {path.name for path in RTL.glob("[!_]*.py")}
    changes = [(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS.values()]
    assert len(set(changes)) == len(changes)


def test_the_killers_exist() -> None:
    """A name that is gone would select nothing."""
    root = RTL.parent
    for stage in killers.control_stages():
        for node in stage:
            path, _, name = node.partition("::")
            text = (root / path).read_text()
            assert f"def {name.split('[')[0]}(" in text if name else text


def test_automatic_mutants_compile_and_differ() -> None:
    every = candidates()
    assert len(every) > 100
    assert {name.rsplit("-", 1)[1] for name in every} == {"comparison", "constant", "saturate", "mux"}
    for name, mutant in every.items():
        compile(mutant.new, name, "exec")
        assert mutant.old != mutant.new
    assert sample(5, 1) == sample(5, 1) != sample(5, 2)


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    """One cheap test as the only killer."""
    monkeypatch.setattr(killers, "stages", lambda file: [[TEST]])
    return Harness(1, cache=tmp_path, bound=2.0)


def outcome(harness: Harness, old: str, new: str, equivalent: str = "") -> Outcome:
    return harness.run("planted", Mutant("uart.py", old, new, "about", equivalent=equivalent))


def test_killed_and_survived(harness: Harness) -> None:
    bug = ("MIN_DIVISOR = 4", "MIN_DIVISOR = 3")
    killed = outcome(harness, *bug)
    assert (killed.killer.split("[")[0], killed.problem) == (TEST, "")
    assert outcome(harness, *bug) == killed  # stored
    assert "called equivalent, but" in outcome(harness, *bug, equivalent="wrong").problem
    survivor = ("Serial line, 8N1,", "Serial line (8N1),")
    assert outcome(harness, *survivor).problem == "survives, and nothing says why"
    explained = outcome(harness, *survivor, equivalent="a comment")
    assert (explained.killer, explained.problem) == ("", "")
    assert not list((harness.cache / "work").iterdir())
    found = result([killed, explained], seed=1, seconds=2.0, control_tests=3)
    assert (found["mutants"], found["killed"], found["equivalent"], found["unexplained"]) == (2, 1, 1, 0)
    assert "a comment" in page(found)


def test_the_killer_of_an_earlier_run_comes_first(harness: Harness) -> None:
    first = f"{TEST}[9]"
    harness.usual, harness.before = {first: 1.0}, {"planted": first}
    stages: list[list[str]] = []
    harness._stages = lambda tree, wanted: (
        stages.extend(wanted) or {"killer": first, "why": "", "stillborn": False, "seconds": 0.0, "tests": 1}
    )  # type: ignore[method-assign]
    outcome(harness, "MIN_DIVISOR = 4", "MIN_DIVISOR = 3")
    assert stages == [[first], [TEST]]
    harness.usual = {}  # a test that is gone since
    outcome(harness, "MIN_DIVISOR = 4", "MIN_DIVISOR = 2")
    assert stages[2:] == [[TEST]]


def test_a_hang_is_killed(harness: Harness) -> None:
    found = outcome(harness, "    if not isinstance(divisor, int)", "    while True:\n        pass\n    if not divisor")
    assert found.killer
    assert found.why.startswith("BoundError: hangs")


def test_text_that_is_gone_and_designs_that_do_not_elaborate_are_errors(harness: Harness) -> None:
    gone = outcome(harness, "no such text", "")
    assert not gone.killed
    assert gone.problem == "rtl/uart.py: 'no such text' occurs 0 times, needed once"
    broken = outcome(harness, "import annotations", "import annotations, nonsense")
    assert broken.problem.startswith("cannot be elaborated")
