"""A bitstream into a board."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from solsa.contract import ConfigError

from .board import Board
from .catalogue import find_board
from .manifest import MANIFEST, Manifest
from .tools import BuildError, find_program

#: Seconds after which a programmer counts as stuck.
TIME_LIMIT = 300
#: Other names of the same tool.
_ALSO = {"openFPGALoader": ("openfpgaloader-cli", "openfpgaloader")}


def program_board(
    board: str,
    bitstream: Path | None = None,
    *,
    folder: Path = Path("build"),
    say: Callable[[str], None] | None = None,
) -> Path:
    """Load a bitstream; returns its path.

    Parameters
    ----------
    board : str
        Name of a board.
    bitstream : Path, optional
        Without it the newest that was built for this board in ``folder``.
    folder : Path
        Where builds are.
    say : callable, optional
        Called with the command before it runs.

    Raises
    ------
    ConfigError
        For an unknown board, no bitstream, a missing tool.
    BuildError
        If the tool fails, which mostly means that no board is connected.
    """
    chosen = find_board(board)
    file = _newest(chosen, folder) if bitstream is None else bitstream
    if not file.is_file():
        raise ConfigError(f"bitstream {file}: no such file")
    with file.open("rb"):  # a clear line for one that cannot be read
        pass
    tool = chosen.programmer
    named = os.environ.get(tool.variable)
    names = (named,) if named else (tool.program, *_ALSO.get(tool.program, ()))
    program = next(filter(None, map(find_program, names)), None)
    if program is None:
        raise ConfigError(f"{names[0]} is not installed, needed to program {board}: install {tool.package}")
    command = [program, *tool.arguments, str(file)]
    if say:
        say(" ".join([Path(program).name, *command[1:]]))
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{board}: {Path(program).name} did not end in {TIME_LIMIT} s") from None
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
        words = next((line for line in lines if "error" in line.lower() or "fail" in line.lower()), "")
        words = words or (lines[-1] if lines else f"exit status {done.returncode}")
        raise BuildError(f"{board}: {Path(program).name} failed ({words}); is {tool.cable} connected?")
    return file


def _newest(board: Board, folder: Path) -> Path:
    """Bitstream of the newest good build."""
    found = []
    for path in folder.glob(f"{board.name}-*/{MANIFEST}"):
        try:
            manifest = Manifest.read(path)
        except (TypeError, ValueError):  # of another version of solsa
            continue
        file = path.parent / Path(manifest.bitstream).name
        if manifest.board == board.name and manifest.bitstream and file.is_file():
            found.append((manifest.date, file))
    if not found:
        raise ConfigError(f"no bitstream for {board.name} in {folder}: run solsa build {board.name}, or name a file")
    return max(found)[1]
