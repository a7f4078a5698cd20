"""The command line as a test calls it: in this process, 80 columns wide, without colours."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from solsa.host.cli import app


def solsa(*args: object) -> Result:
    """What a call gave."""
    return CliRunner().invoke(app, [str(a) for a in args], env={"COLUMNS": "80", "TERM": "dumb"})


def good(*args: object) -> str:
    """What a call printed that must succeed."""
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
