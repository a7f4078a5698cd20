"""What the commands of a study share: options, errors in one line, a result kept after every part of it."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from .errors import FAILED, USER_ERRORS, WRONG_USE, stop
from .files import OutputError, check_file, write_json
from .train import versions

#: Options that count something.
_COUNTS = ("seeds", "epochs", "samples")


class StudyParser(argparse.ArgumentParser):
    """Command line of ``python -m MODULE`` with ``--seeds``, ``--epochs`` and ``--json``; what is wrong is one line.

    Parameters
    ----------
    module, doc : str
        Name and docstring of the module.
    seeds : int
        Default of ``--seeds``.
    epochs : int, optional
        Default of ``--epochs``; without it those of the recipe.
    """

    def __init__(self, module: str, doc: str | None, *, seeds: int, epochs: int | None = None) -> None:
        super().__init__(prog=f"python -m {module}", description=(doc or "").split("\n", 1)[0])
        self.add_argument("--seeds", type=int, default=seeds)
        self.add_argument("--epochs", type=int, default=epochs, help=None if epochs else "instead of the usual ones")
        self.add_argument("--json", type=Path, metavar="FILE")

    def error(self, message: str) -> NoReturn:
        """In place of the usage."""
        stop(message, WRONG_USE)

    def parse(self) -> argparse.Namespace:
        """Arguments; ends the program if a count is below 1."""
        options = self.parse_args()
        for name in _COUNTS:
            value = getattr(options, name, None)
            if value is not None and value < 1:
                stop(f"--{name} {value}, allowed is 1 or more", WRONG_USE)
        return options


def known(names: Iterable[str], allowed: Iterable[str], what: str = "data set") -> None:
    """End the program at the first unknown name."""
    if unknown := [name for name in names if name not in allowed]:
        stop(f"{what} {unknown[0]!r}, allowed: {', '.join(allowed)}", WRONG_USE)


@contextmanager
def in_one_line(**files: Path | None) -> Iterator[None]:
    """Check the files that will be written, by the names of their options; errors within end the program."""
    try:
        for name, path in files.items():
            check_file(path, f"--{name}")
        yield
    except USER_ERRORS as error:
        stop(str(error), WRONG_USE)
    except OSError as error:
        stop(str(error), FAILED)


def rows_of(path: Path | None, part: str = "results") -> dict[str, Any]:
    """Rows of an earlier result, for those that are not measured again; OutputError for a file that holds none."""
    if path is None or not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()).get(part, {}))
    except (ValueError, TypeError, AttributeError):
        raise OutputError(f"{path}: holds no result, allowed is one of this command or a new file") from None


def summed(accuracies: list[float]) -> dict[str, Any]:
    """Accuracies of some runs, their mean and deviation."""
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    return {"accuracies": accuracies, "mean": statistics.mean(accuracies), "deviation": spread}


def keep(path: Path | None, **found: Any) -> None:
    """Write what was found so far, with versions and date, if there is a file for it."""
    if path:
        write_json(path, {**found, "versions": versions(), "date": datetime.now(UTC).isoformat(timespec="seconds")})
