"""A small sweep, and the command line as a test calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from toy_data import toy_arrays
from typer.testing import CliRunner, Result

from solsa.host.cli import app

SPACE = """dataset = "toy.npz"
[space]
epochs = 3
hidden = [4, 6, "5-3"]
groups = [1, 2]
formats.weight = ["16.13", "12.9"]
rate_hidden = { low = 0.004, high = 0.06, log = true }
"""


def toy_space(folder: Path, text: str = SPACE) -> Path:
    """A search space over a toy data set beside it."""
    np.savez(folder / "toy.npz", **toy_arrays(n=40))
    (folder / "toy.toml").write_text(text)
    return folder / "toy.toml"


def solsa(*args: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args], env={"COLUMNS": "80", "TERM": "dumb"})


def good(*args: object) -> str:
    result = solsa(*args)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def bad(*args: object, status: int = 2) -> str:
    """The line that a mistake is answered with."""
    result = solsa(*args)
    assert result.exit_code == status, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("solsa: error: ")
    return lines[0].removeprefix("solsa: error: ")
