"""What the command line shows: progress while it runs, tables before and after."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .train import Progress as Sample


def table(console: Console, rows: Iterable[tuple[str, object]]) -> None:
    """Print names and values in two columns; rows with the value None are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            grid.add_row(name, str(value))
    console.print(grid)


def numbers(
    console: Console,
    head: tuple[str, ...],
    rows: Iterable[tuple[str, int | None, int | None]],
    total: tuple[str, int, int] | None = None,
) -> None:
    """Print a name and two numbers per row, a dash for none, and a last row apart from the others."""
    grid = Table(box=SIMPLE_HEAD, show_edge=False, show_footer=total is not None, padding=(0, 2, 0, 0))
    for i, name in enumerate(head):
        grid.add_column(
            name, footer=_number(total[i]) if total else "", justify="right" if i else "left",
            style="" if i else "dim", min_width=18 if not i else 12,
        )  # fmt: skip
    for row in rows:
        grid.add_row(*map(_number, row))
    console.print()
    console.print(grid)


def _number(value: str | int | None) -> str:
    return value if isinstance(value, str) else "-" if value is None else f"{value:,}"


class Bar:
    """One progress bar in a terminal, nothing elsewhere. A context manager.

    Parameters
    ----------
    console : Console
        Where to draw.
    total : int
        Units of work.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def update(self, done: int, description: str, note: str, total: int | None = None) -> None:
        """Show the state of the work."""
        self._bar.update(self._task, completed=done, description=description, note=note, total=total)


class LearnDisplay:
    """Progress of a training run: a bar per run (in a terminal) and a line per epoch.

    ``online`` is the share of training samples decided right while they were being learned.

    Parameters
    ----------
    console : Console
        Where to print.
    epochs : int
        Last epoch of the run.
    per_epoch : int
        Samples of one epoch, training and test.
    first : int
        Epochs done before.
    label : str
        In front of every line, empty for the main run.
    """

    def __init__(self, console: Console, epochs: int, per_epoch: int, first: int = 0, label: str = "") -> None:
        self.console = console
        self._epochs, self._first, self._label = epochs, first, label
        self._bar = Bar(console, per_epoch * (epochs - first))
        self._began = time.perf_counter()
        self._done = 0
        self._width = len(str(epochs))
        self._online_accuracy = 0.0
        self._epoch_began = self._began
        self._samples = 0

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.__exit__(kind, error, at)

    def __call__(self, at: Sample) -> None:
        """Take one sample's progress."""
        self._done += 1
        self._samples += 1
        accuracy = at.correct / at.done
        if at.done == at.total or self._done % 8 == 0:
            speed = self._done / max(1e-9, time.perf_counter() - self._began)
            head = f"{self._label}epoch {at.epoch}/{self._epochs} {at.phase:5}"
            self._bar.update(self._done, head, f"accuracy {accuracy:.3f}  {speed:.0f} samples/s")
        if at.done < at.total:
            return
        if at.phase == "train":
            self._online_accuracy = accuracy
            return
        now = time.perf_counter()
        seconds, self._epoch_began = now - self._epoch_began, now
        self.console.print(
            f"{self._label}epoch {at.epoch:{self._width}}/{self._epochs}  online {self._online_accuracy:.3f}  "
            f"test [bold]{accuracy:.3f}[/]  {self._samples / seconds:.0f} samples/s",
            highlight=False,
        )
        self._samples = 0


def accuracy_table(console: Console, class_names: tuple[str, ...], labels: Any, decisions: Any) -> None:
    """Print how many samples of every class were decided right, and what they were taken for."""
    grid = Table(box=None, padding=(0, 2))
    grid.add_column("class", overflow="fold")
    grid.add_column("right", justify="right")
    grid.add_column("taken for")
    for k, name in enumerate(class_names):
        of_class = decisions[labels == k]
        wrong = [(int((of_class == j).sum()), other) for j, other in enumerate(class_names) if j != k]
        taken = sorted((count, other) for count, other in wrong if count)[::-1]
        text = ", ".join(f"{other} ({count})" for count, other in taken[:4])
        grid.add_row(name, f"{int((of_class == k).sum())}/{len(of_class)}", text)
    console.print(grid)
