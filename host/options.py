"""Options and helpers that several commands share."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from solsa.contract import PRESETS, ConfigError

from .encoders import KINDS
from .files import STDOUT

#: Whether the command that runs now shows results only; set by --quiet and by --json -.
_quiet = False


def _completed(names: Iterable[str]) -> Callable[[str], list[str]]:
    """Completion of a shell: the names that begin as typed."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]  # typer knows it by this name


PresetOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=f"One of {', '.join(PRESETS)}.", autocompletion=_completed(PRESETS)),
]


def _json_asked(path: Path | None) -> Path | None:
    """JSON on standard output has it for itself."""
    if path == STDOUT:
        set_quiet(True)
    return path


def set_quiet(value: bool) -> None:
    """Show nothing (but errors) from now on, or everything again."""
    global _quiet
    _quiet = _quiet or value


def new_call() -> None:
    """Forget what an earlier call in this process asked for."""
    global _quiet
    _quiet = False


JsonOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the result as JSON; - is the terminal.", callback=_json_asked),
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Print nothing but errors.", callback=set_quiet, expose_value=False),
]
SweepOption = Annotated[
    Path | None, typer.Option("--from-sweep", metavar="STUDY", help="Take a trial of a sweep; needs --trial.")
]
TrialOption = Annotated[int | None, typer.Option("--trial", metavar="N", min=0, help="Number of that trial.")]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Make spikes or currents of the values; NAME:option=value sets an option.",
        autocompletion=_completed(KINDS),
    ),
]
BinsOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Steps of the longest recording of event lists (100).")
]
BaudOption = Annotated[int, typer.Option(metavar="N", min=1, help="Bits per second of the serial port.")]


def console() -> Console:
    """Where a command prints; nothing appears there after --quiet."""
    return Console(highlight=False, soft_wrap=False, quiet=_quiet)


def optional(module: str, name: str, extra: str) -> Any:
    """Attribute of a part of solsa that needs optional packages; ConfigError that says how to install them."""
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"this needs {error.name}: pip install 'solsa[{extra}]'") from None


def chosen_trial(study: Path | None, trial: int | None, **others: object) -> tuple[Path, int] | None:
    """Study and trial that a command is to use, None for neither.

    Raises
    ------
    ConfigError
        For one without the other, or together with an option (given by its name) that it stands in place of.
    """
    if study is None and trial is None:
        return None
    if study is None or trial is None:
        raise ConfigError("--from-sweep STUDY and --trial N go together")
    for name, value in others.items():
        if value is not None:
            raise ConfigError(f"--{name} and --from-sweep exclude each other: the trial says it")
    return study, trial
