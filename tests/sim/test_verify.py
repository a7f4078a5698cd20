"""The lockstep checker on random networks, and that it catches what it must."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from solsa.contract import ConfigError, preset
from solsa.host.golden_device import GoldenDevice
from solsa.sim.coverage import POINTS
from solsa.sim.lockstep import Lockstep
from solsa.sim.planted import BUGS, Bug, bug, planted
from solsa.sim.pysim import PysimCore
from solsa.sim.strategies import random_case
from solsa.sim.vectors import read_vector
from solsa.sim.verify import core_of, run_case, run_verify


@pytest.mark.slow
@pytest.mark.parametrize("networks", [3, pytest.param(10, marks=pytest.mark.long)])
def test_random_networks_are_equal(networks: int, tmp_path: Path) -> None:
    """Random networks, every word, and one complete device behind its link; more run with `solsa verify`."""
    reports: list[dict[str, object]] = []
    result = run_verify(None, networks, 3, reports.append, reference=GoldenDevice, failures=tmp_path)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert result["networks"] == networks
    assert result["words_compared"] > 100_000 * networks
    assert result["device_requests"] == 4000
    assert result["cpu_seconds"] > 0
    assert reports[-1]["done"] == networks + 1
    assert set(result["coverage"]) == set(POINTS)
    assert result["coverage_percent"] > (80 if networks == 10 else 60)
    assert result["stored_vectors"] == []
    assert not list(tmp_path.iterdir())


WORD = r"\w+ at step \d+, layer \d, post -?\d+, pre -?\d+: expected .+, got .+"


#: Bugs in what every core has; those of an option are caught in their stored vectors (test_vectors.py).
OF_EVERY_CORE = [
    name for name in BUGS if not name.startswith(("stop-", "lead-", "probe-", "own-", "norm-", "filtered-"))
]


@pytest.mark.parametrize("name", OF_EVERY_CORE)
def test_planted_bug_is_caught_and_named(name: str) -> None:
    """Each planted bug makes the checker stop at a word that it names."""
    case = random_case(1, 0, config=preset("tiny"), steps=120)
    core = PysimCore(case.config, make_core=lambda: planted(bug(name)).core.Core(case.config, observe=True))
    checker = Lockstep(case.config, case.parameters, case.weights, core)
    found = next(found for found in map(checker.step, case.stimuli) if found)
    assert re.fullmatch(WORD, str(found))


def test_planted_bug_ends_the_command_with_status_1(tmp_path: Path) -> None:
    """The compiled core with a planted bug, through the installed program; the stored vector needs the bug to fail."""
    done = subprocess.run(
        [sys.executable, "-c", "from solsa.host.cli import main; main()", "verify", "--preset", "tiny",
         "--seed", "1", "--plant", "weight-wraps", "--no-shrink"], capture_output=True, text=True, timeout=300,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert re.search("weight" + WORD[3:], done.stderr)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_failure_is_shrunk_and_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored case is smaller than the network that failed, fails with the bug, and passes without."""
    monkeypatch.setattr("solsa.sim.shrink.BUILDS", 2)
    result = run_verify("tiny", 0, 1, plant="lane-swap", failures=tmp_path, steps=60)
    assert result["mismatches"] == 1
    (path,) = map(Path, result["stored_vectors"])
    vector = read_vector(path)
    assert vector.planted == "lane-swap"
    assert len(vector.case.stimuli) < 10
    assert str(run_case(vector.case, core_of(vector.case.config, "lane-swap"))) == vector.mismatch
    assert run_case(vector.case, core_of(vector.case.config)) is None


def test_unknown_bug_and_missing_text() -> None:
    """A bug that does not exist, or whose text is gone from the RTL, is refused."""
    with pytest.raises(ConfigError, match="allowed: trace-floor"):
        run_verify("tiny", 0, 1, plant="nonsense")
    with pytest.raises(ValueError, match="occurs 0 times"):
        planted(Bug("lane.py", "no such text", "", "nothing"))
