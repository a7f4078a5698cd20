"""Stored vectors: every past failure and every geometry that hides hazards, again in lockstep.

A vector that was found with a planted bug must fail with it, at the same word, and pass without.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from solsa.contract import ConfigError
from solsa.sim.planted import BUGS, bug, planted
from solsa.sim.pysim import PysimCore
from solsa.sim.vectors import read_vector
from solsa.sim.verify import run_case

FOLDER = Path(__file__).resolve().parent / "vectors"
VECTORS = sorted(FOLDER.glob("*.json"))
PLANTED = [path for path in VECTORS if path.name.startswith("planted-")]


def test_there_are_vectors() -> None:
    """One per planted bug, and others."""
    assert {path.stem.removeprefix("planted-") for path in PLANTED} == set(BUGS)
    assert len(VECTORS) >= len(PLANTED) + 5


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_passes(path: Path) -> None:
    """The core as it is equals golden."""
    case = read_vector(path).case
    assert run_case(case, PysimCore(case.config)) is None


@pytest.mark.parametrize("path", PLANTED, ids=lambda p: p.stem)
def test_fails_with_its_bug(path: Path) -> None:
    """The planted bug is found, at the word that is stored."""
    vector = read_vector(path)
    assert vector.planted is not None
    package = planted(bug(vector.planted))
    core = PysimCore(vector.case.config, make_core=lambda: package.core.Core(vector.case.config, observe=True))
    assert str(run_case(vector.case, core)) == vector.mismatch


@pytest.mark.parametrize(
    ("text", "message"), [("{}", "'format'"), ("[", "not a stored vector"), ('{"format": 9}', "allowed 1")]
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_vector(path)
    assert "\n" not in str(caught.value)
