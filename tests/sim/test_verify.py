"""The lockstep checker on random networks, and that it catches what it must."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from solsa.contract import ConfigError, preset
from solsa.sim.lockstep import Lockstep
from solsa.sim.planted import BUGS, Bug, bug, planted
from solsa.sim.pysim import PysimCore
from solsa.sim.random_networks import random_case, stimulus
from solsa.sim.verify import run_verify


def test_random_networks_are_equal() -> None:
    """Ten random networks, every word; the issue's twenty and more run with `solsa verify`."""
    reports: list[dict[str, object]] = []
    result = run_verify(None, 10, 3, reports.append)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert result["networks"] == 10
    assert result["steps"] == 10 * 120
    assert result["words_compared"] > 100_000
    assert reports[-1]["done"] == 10


WORD = r"\w+ at step \d+, layer \d, post -?\d+, pre -?\d+: expected .+, got .+"


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_caught_and_named(name: str) -> None:
    """Each planted bug makes the checker stop at a word that it names."""
    case = random_case(1, 0, config=preset("tiny"))
    core = PysimCore(case.config, make_core=lambda: planted(bug(name)).core.Core(case.config, observe=True))
    checker = Lockstep(case.config, case.parameters, case.weights, core)
    found = next(found for found in map(checker.step, stimulus(case)) if found)
    assert re.fullmatch(WORD, str(found))


def test_planted_bug_ends_the_command_with_status_1() -> None:
    """The compiled core with a planted bug, through the installed program."""
    done = subprocess.run(
        [sys.executable, "-c", "from solsa.host.cli import main; main()", "verify", "--preset", "tiny",
         "--seed", "1", "--plant", "weight-wraps"], capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search("weight" + WORD[3:], done.stderr)


def test_unknown_bug_and_missing_text() -> None:
    """A bug that does not exist, or whose text is gone from the RTL, is refused."""
    with pytest.raises(ConfigError, match="allowed: trace-floor"):
        run_verify("tiny", 0, 1, plant="nonsense")
    with pytest.raises(ValueError, match="occurs 0 times"):
        planted(Bug("lane.py", "no such text", "", "nothing"))
