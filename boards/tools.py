"""The programs that a build runs: where they are, which versions, and that they end when the build does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from solsa.contract import ConfigError

from .board import Board, Tool

ROOT = Path(__file__).resolve().parent.parent
#: Seconds after which a build counts as stuck.
TIME_LIMIT = 4 * 3600


class BuildError(OSError):
    """A tool failed or a folder cannot be written; the message is one line. An OSError, so the host needs no import."""


def find_tools(board: Board) -> tuple[dict[str, str], dict[str, str]]:
    """(Environment in which a build finds its tools, versions of tools that the user named).

    Raises
    ------
    ConfigError
        For a missing tool.
    """
    environment, own = dict(os.environ), {}
    environment.setdefault("YOWASP_CACHE_DIR", str(_yowasp_cache()))
    for tool in board.family.tools:
        named = os.environ.get(tool.variable)
        program = find_program(named or tool.program)
        if program is None:
            raise ConfigError(_missing(board, tool, named))
        environment[tool.variable] = program
        if named:
            own[tool.package] = _version(program)
    return environment, own


def find_program(name: str) -> str | None:
    """Path of a program: beside this Python (a virtual environment need not be active), then on the path."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def _missing(board: Board, tool: Tool, named: str | None) -> str:
    if named:
        return f"{tool.variable}={named} names no program, needed to build for {board.name}"
    return f"{tool.program} is not installed, needed to build for {board.name}: pip install 'solsa[boards]'"


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return ((done.stdout + done.stderr).strip().splitlines() or ["unknown"])[0]


def _yowasp_cache() -> Path:
    """Where the tools keep their compiled WebAssembly: in a source tree .cache/yowasp, else the user's cache."""
    if (ROOT / "pyproject.toml").exists() and os.access(ROOT, os.W_OK):
        return ROOT / ".cache" / "yowasp"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "solsa" / "yowasp"


def run_script(command: list[str], folder: Path, environment: dict[str, str], log: IO[bytes]) -> int:
    """Exit status of a script. If this process is interrupted, the tools that the script started end with it."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if main else None
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(TIME_LIMIT)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if main:
            signal.signal(signal.SIGTERM, before)
