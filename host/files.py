"""Result files: checked before a run starts, written in one step after it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

#: Standard output, where a file could be.
STDOUT = Path("-")


class OutputError(ValueError):
    """A path that results cannot be written to; the message is one line."""


class RunFolderError(ValueError):
    """A folder without a run to show, or with a damaged one; the message is one line."""


def check_file(path: Path | None, option: str) -> None:
    """Raise OutputError unless a file could be written at this path; ``-`` is standard output."""
    if path is None or path == STDOUT:
        return
    if path.is_dir():
        raise OutputError(f"{option} {path}: is a folder, a file is needed")
    if not path.parent.is_dir():
        raise OutputError(f"{option} {path}: the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{option} {path}: the folder {path.parent} is not writable")


def make_folder(path: Path | None, option: str) -> None:
    """Create a folder for results, or raise OutputError."""
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{option} {path}: cannot be made a folder ({error.strerror})") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"{option} {path}: is not writable")


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Create or replace a file in one step: ``write`` fills a temporary file beside it, which is then moved."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            write(out)
            out.flush()
            os.fsync(out.fileno())  # a power cut must not leave the new name with the old or no content
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # mkstemp makes files private
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file in one step, or to standard output."""
    text = json.dumps(content, indent=2, allow_nan=False)
    if path == STDOUT:
        print(text)
        return
    write_atomically(path, lambda out: out.write((text + "\n").encode()))
