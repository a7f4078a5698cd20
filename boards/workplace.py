"""A hidden folder beside the result, so that a result is whole or absent, however a build ends."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .manifest import MANIFEST
from .tools import BuildError


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """Folder beside ``target`` to work in, removed in the end whatever happens; BuildError if it cannot be made."""
    work = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob(f".{target.name}.*.part"):  # of builds that were killed
            if not _alive(int(old.suffixes[-2][1:])):
                shutil.rmtree(old, ignore_errors=True)
        work.mkdir()
    except OSError as error:
        raise BuildError(f"cannot build in {target.parent}: {error.strerror}") from None
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def keep(work: Path, names: dict[str, str], result: Path) -> None:
    """Copy what exists of some files under other names."""
    for name, kept in names.items():
        if (work / name).exists():
            shutil.copyfile(work / name, result / kept)


def keep_failed(work: Path, names: dict[str, str], target: Path) -> Path:
    """Copy the logs of a failed build beside the place of its result; returns the folder."""
    failed = target.with_name(f"{target.name}-failed")
    shutil.rmtree(failed, ignore_errors=True)
    failed.mkdir()
    keep(work, names, failed)
    return failed


def move_in(result: Path, target: Path) -> None:
    """Put a complete result in place; if another process was faster, its result is as good."""
    if target.exists() and not (target / MANIFEST).exists():
        shutil.rmtree(target)
    try:
        os.replace(result, target)
    except OSError as error:
        if not (target / MANIFEST).exists():
            raise BuildError(f"cannot write {target}: {error.strerror}") from None


def sweep(work: Path, names: Iterable[str]) -> None:
    """Remove files if they exist."""
    for name in names:
        (work / name).unlink(missing_ok=True)
