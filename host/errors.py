"""User errors as one line and exit status 2, failed runs as one line and exit status 1; never a stack trace."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from solsa.contract import ConfigError

from .data_files import DataError
from .files import OutputError, RunFolderError
from .network import NetworkError
from .options import new_call
from .transport import DeviceError

#: Mistakes of the user: exit status 2.
USER_ERRORS = (ConfigError, DataError, DeviceError, NetworkError, OutputError, RunFolderError)
FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130


class RunFailed(Exception):
    """A run that began well and could not be finished, or whose check failed; the message is one line."""


class RunInterrupted(Exception):
    """A run that was asked to stop and has saved what it had; the message says how to go on."""


class OneLineErrors(TyperGroup):
    """Command group that reports every error as ``solsa: error: ...`` in one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line; see :class:`typer.core.TyperGroup`."""
        new_call()
        try:
            status = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except USER_ERRORS as error:
            stop(str(error), WRONG_USE)
        except (RunFailed, OSError) as error:
            stop(str(error), FAILED)
        except RunInterrupted as error:
            stop(str(error), INTERRUPTED)
        except (typer.Abort, KeyboardInterrupt):
            stop("interrupted", INTERRUPTED)
        except Exception as error:
            # Usage errors of click, which typer exports or vendors depending on its version.
            if not hasattr(error, "format_message"):
                raise
            message = error.format_message()
            if not message:  # a group without a command, whose help has been printed
                sys.exit(WRONG_USE)
            stop(message, WRONG_USE)
        if status == INTERRUPTED:  # newer typers answer an interrupt with this status and no word
            stop("interrupted", INTERRUPTED)
        sys.exit(status if isinstance(status, int) else 0)


def stop(message: str, status: int) -> NoReturn:
    """Print one line on stderr, on a terminal broken between words, and exit."""
    line = f"solsa: error: {' '.join(message.split())}"
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns
        line = textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    print(line, file=sys.stderr)
    sys.exit(status)
