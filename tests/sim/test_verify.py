"""The lockstep checker on random networks, and that it catches what it must."""

from __future__ import annotations

import re

import pytest

from solsa.contract import ConfigError
from solsa.sim.planted import BUGS, Bug, planted
from solsa.sim.verify import run_verify


def test_random_networks_are_equal() -> None:
    """Ten random networks, every word; the issue's twenty and more run with `solsa verify`."""
    reports: list[dict[str, object]] = []
    result = run_verify(None, 6, 3, reports.append)
    assert result["mismatches"] == 0, result["first_mismatch"]
    assert result["networks"] == 6
    assert result["steps"] == 6 * 120
    assert result["words_compared"] > 100_000
    assert reports[-1]["done"] == 6


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_caught_and_named(name: str) -> None:
    """Each planted bug makes the checker stop at a word that it names."""
    result = run_verify("tiny", 0, 1, plant=name)
    assert result["mismatches"] == 1
    word = r"\w+ at step \d+, layer \d, post -?\d+, pre -?\d+: expected .+, got .+"
    assert re.search(word, str(result["first_mismatch"]))


def test_unknown_bug_and_missing_text() -> None:
    """A bug that does not exist, or whose text is gone from the RTL, is refused."""
    with pytest.raises(ConfigError, match="allowed: trace-floor"):
        run_verify("tiny", 0, 1, plant="nonsense")
    with pytest.raises(ValueError, match="occurs 0 times"):
        planted(Bug("lane.py", "no such text", "", "nothing"))
