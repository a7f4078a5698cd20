"""Options and helpers that several commands share."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from solsa.contract import PRESETS, ConfigError

PresetOption = Annotated[str | None, typer.Option(metavar="NAME", help=f"One of {', '.join(PRESETS)}.")]
JsonOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON.")]
BaudOption = Annotated[int, typer.Option(metavar="N", min=1, help="Bits per second of the serial port.")]


def optional(module: str, name: str, extra: str) -> Any:
    """Attribute of a part of solsa that needs optional packages; ConfigError that says how to install them."""
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"this needs {error.name}: pip install 'solsa[{extra}]'") from None
