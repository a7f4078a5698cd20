"""Finished runs of a benchmark, one record each, so that an interrupted benchmark goes on where it was."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .files import OutputError, make_folder

FILE = "runs.sqlite"


class Store:
    """Records by key, kept in a folder. A context manager.

    Parameters
    ----------
    folder : Path
        Made if need be.

    Raises
    ------
    OutputError
        If the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder, "--work")
        try:
            self._db = sqlite3.connect(folder / FILE)
            self._db.execute("CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, record TEXT NOT NULL)")
        except sqlite3.Error as error:
            raise OutputError(f"--work {folder}: {FILE} cannot be used ({error})") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._db.close()

    def get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        """The record of a run, or None if it has not been finished."""
        row = self._db.execute("SELECT record FROM runs WHERE key = ?", (_text(key),)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, key: dict[str, Any], record: dict[str, Any]) -> None:
        """Keep a finished run; on disk when this returns."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (_text(key), json.dumps(record)))


def _text(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
