"""What holds for every command: help of 80 columns, --quiet, --json, completion, errors without a stack trace."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from command_line import solsa
from toy_data import toy_arrays

from solsa.host.cli import app

SOLSA = Path(sys.executable).with_name("solsa")


def leaves(group: Any, *prefix: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, *prefix, name)
        else:
            yield (*prefix, name)


COMMANDS = sorted(leaves(typer.main.get_command(app)))


def test_there_are_commands() -> None:
    assert {("learn",), ("verify",), ("report",), ("watch",)} <= set(COMMANDS)


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_help_fits_80_columns(command: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        result = solsa(*command, flag)
        assert result.exit_code == 0
        assert max(len(line) for line in result.stdout.splitlines()) <= 80
        assert "Traceback" not in result.stdout
        if command:
            assert "--json" in result.stdout
            assert "Example" in result.stdout
        assert "--quiet" in result.stdout
        assert "<bool>" not in result.stdout


def test_a_group_without_a_command_shows_its_help() -> None:
    for group in ("data", "nir", "bench"):
        result = solsa(group)
        assert (result.exit_code, result.stderr) == (2, "")
        assert "Commands" in result.stdout


def test_the_version() -> None:
    assert re.fullmatch(r"solsa \d+\.\d+\.\d+, contract \d+\n", solsa("--version").stdout)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    np.savez(folder / "toy.npz", **toy_arrays())
    assert solsa("learn", folder / "toy.npz", "--epochs", 1, "--out", folder / "run").exit_code == 0
    assert solsa("nir", "export", folder / "run" / "network.npz", "--out", folder / "a.nir").exit_code == 0
    return folder / "run"


def lines(run: Path) -> dict[str, list[object]]:
    return {
        "learn": ["learn", run.parent / "toy.npz", "--epochs", 1],
        "eval": ["eval", run / "network.npz", run.parent / "toy.npz"],
        "info": ["info", "--preset", "tiny"],
        "report": ["report", run],
        "devices": ["devices", "/dev/ttyNONE0"],
        "data": ["data", "show", run.parent / "toy.npz"],
        "export": ["nir", "export", run / "network.npz", "--out", run.parent / "b.nir"],
        "import": ["nir", "import", run.parent / "a.nir"],
    }


@pytest.mark.parametrize("name", ["learn", "eval", "info", "report", "devices", "data", "export", "import"])
def test_quiet_is_quiet_and_json_is_json(run: Path, name: str) -> None:
    words = lines(run)[name]
    assert solsa(*words).stdout != ""
    for quiet in ([*words, "--quiet"], [*words, "-q"], ["--quiet", *words]):
        result = solsa(*quiet)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    result = solsa(*words, "--json", "-")
    assert result.exit_code == 0
    assert isinstance(json.loads(result.stdout), dict)
    assert solsa(*words).stdout != ""  # the call after it is not quiet


def test_quiet_says_errors(run: Path) -> None:
    result = solsa("learn", "nothing.npz", "--quiet")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("solsa: error: nothing.npz: no such file or folder")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    environment = dict(os.environ) | {"_SOLSA_COMPLETE": f"source_{shell}"}
    script = subprocess.run([SOLSA], env=environment, capture_output=True, text=True)
    assert script.returncode == 0
    assert "solsa" in script.stdout
    if shell == "bash":
        for begun, at, word in (
            ("solsa ver", 1, "verify"), ("solsa learn --preset v", 3, "vowels"), ("solsa learn --encoder r", 3, "rate")
        ):  # fmt: skip
            environment |= {"_SOLSA_COMPLETE": "complete_bash", "COMP_WORDS": begun, "COMP_CWORD": str(at)}
            words = subprocess.run([SOLSA], env=environment, capture_output=True, text=True)
            assert words.stdout.split() == [word]


def test_an_error_on_a_terminal_breaks_between_words(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environment = dict(os.environ) | {"COLUMNS": "80", "LINES": "24"}
    done = subprocess.run([SOLSA, "learn", "JapaneseVowel"], env=environment, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    text = os.read(ours, 4096).decode().replace("\r", "")
    os.close(ours)
    assert done.returncode == 2
    assert text.startswith("solsa: error: unknown data set 'JapaneseVowel'; did you mean JapaneseVowels?")
    assert len(text.splitlines()) > 1
    assert max(len(line) for line in text.splitlines()) <= 80
