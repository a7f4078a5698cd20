"""The frame of the command line: groups of commands whose help is terse and whose errors are one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand

from .errors import OneLineErrors


class _Terse:
    """Help without the type of a flag, which newer typers print as ``<bool>``."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Options and arguments; see :meth:`typer.core.TyperCommand.get_params`."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in found:
            if getattr(parameter, "is_flag", False) and parameter.metavar is None:
                parameter.metavar = ""
        return found


class Command(_Terse, TyperCommand):
    """A command."""


class Group(_Terse, OneLineErrors):
    """A group of commands."""


class Program(typer.Typer):
    """``typer.Typer`` with these commands and groups, and no stack traces of its own."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(cls=Group, pretty_exceptions_enable=False, rich_markup_mode="rich", **settings)

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Register a command; see :meth:`typer.Typer.command`."""
        return super().command(name, cls=Command, **settings)
