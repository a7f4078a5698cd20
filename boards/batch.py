"""Many boards, one build at a time: ``python -m solsa.boards.batch``, as ``make bench-fpga`` starts it.

Resumable because a build is: what an earlier run has finished is taken from ``build/`` (boards/build.py) in a second,
and one that was cut leaves nothing behind. A board that fails is said and the next one built.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from math import inf, nan
from pathlib import Path
from typing import Any

from solsa.contract import ConfigError, preset

from .build import build_board
from .catalogue import find_board
from .tools import BuildError

#: What docs/performance.md and docs/boards.md show, small ones first.
DEFAULT = (
    "icebreaker", "tang_nano_9k", "ulx3s_85f:vowels", "ulx3s_25f", "icesugar_pro", "colorlight_i9", "ecpix5_45f",
    "tang_nano_20k", "ulx3s_85f", "ulx3s_85f:flagship@80",
)  # fmt: skip
#: Held while a batch runs.
LOCK = ".batch.lock"
Build = Callable[..., dict[str, Any]]


def parse(text: str) -> tuple[str, str | None, float | None]:
    """Board, preset and clock in MHz of ``BOARD``, ``BOARD:PRESET`` or ``BOARD:PRESET@MHZ``.

    Raises
    ------
    ConfigError
        For an unknown board or preset, or a clock that is no number above 0.
    """
    rest, at, mhz = text.partition("@")
    board, _, name = rest.partition(":")
    find_board(board)
    if name:
        preset(name)
    if not at:
        return board, name or None, None
    try:
        clock = float(mhz)
    except ValueError:
        clock = nan
    if not 0 < clock < inf:
        raise ConfigError(f"{text}: {mhz!r} is no clock, allowed a number of MHz above 0")
    return board, name or None, clock


def run(builds: Sequence[str], results: Path, say: Callable[[str], None], build: Build = build_board) -> list[str]:
    """Build one after the other and write every manifest as soon as it is there.

    Parameters
    ----------
    builds : sequence of str
        ``BOARD``, ``BOARD:PRESET`` or ``BOARD:PRESET@MHZ``.
    results : Path
        Folder of the manifests: ``BOARD.json`` or ``BOARD-PRESET.json``.
    say : callable
        Called with a line.
    build : callable
        In place of :func:`~solsa.boards.build.build_board`.

    Returns
    -------
    list of str
        What failed, a line each.

    Raises
    ------
    ConfigError
        Before anything is built: for an unknown board or preset, a folder that cannot be written, or a batch that
        writes there already.
    """
    parsed = [parse(text) for text in builds]
    try:
        results.mkdir(parents=True, exist_ok=True)
        lock = (results / LOCK).open("w")
    except OSError as error:
        raise ConfigError(f"{results}: cannot be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{results}: another batch writes there, allowed is one at a time") from None
        return [line for item in parsed if (line := _one(*item, results, say, build))]


def _one(
    board: str, name: str | None, mhz: float | None, results: Path, say: Callable[[str], None], build: Build
) -> str:
    """Build one; what is wrong with it, or an empty string."""
    title = f"{board}-{name}" if name else board
    say(f"{datetime.now():%H:%M:%S} {title}")
    try:
        found = build(board, name, clock_mhz=mhz, say=say)
    except (BuildError, ConfigError) as error:
        say(f"{title}: {error}")
        return f"{title}: {error}"
    part = results / f".{title}.{os.getpid()}.part"
    part.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    os.replace(part, results / f"{title}.json")
    say(f"{title}: {found['problem'] or str(found['fmax_mhz']) + ' MHz'}")
    return f"{title}: {found['problem']}" if found["problem"] else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 if every build is good, 1 if one is not, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="python -m solsa.boards.batch", description="Build boards one at a time.")
    parser.add_argument("builds", nargs="*", metavar="BOARD[:PRESET[@MHZ]]", help="without any: those of the documents")
    parser.add_argument("--results", type=Path, required=True, metavar="DIR", help="folder of the manifests")
    chosen = parser.parse_args(arguments)
    try:
        failed = run(chosen.builds or DEFAULT, chosen.results, lambda line: print(line, flush=True))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
