"""Checkpoints of a training run: network files written now and then, the newest kept, found again by ``--resume``.

A checkpoint is a network file (host/network.py) that may stand within an epoch. ``network.npz`` of the last whole epoch
lies beside it; both are written in one step, so a run that is killed at any moment leaves only whole files.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from solsa.contract import ConfigError

from .network import Network, NetworkError

NETWORK_FILE = "network.npz"
PATTERN = "checkpoint-*.npz"
#: Checkpoints that stay while a run goes on.
KEEP = 3
#: Seconds between two of them: reading a network back takes a small part of one.
EVERY = "60s"


@dataclass(frozen=True)
class Every:
    """Distance of two checkpoints: so many samples, or so many seconds."""

    samples: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Every:
        """Read ``100`` (samples) or ``60s``; raises ConfigError."""
        match = re.fullmatch(r"([0-9]{1,9})(s?)", text)
        if match is None or int(match[1]) == 0:
            raise ConfigError(f"--checkpoint {text!r}, allowed are samples, such as 100, or seconds, such as 60s")
        return cls(seconds=float(match[1])) if match[2] else cls(samples=int(match[1]))


class Checkpoints:
    """Writes the checkpoints of one run. As a context manager it turns SIGINT and SIGTERM into a last checkpoint.

    Parameters
    ----------
    folder : Path
        Where they go.
    every : Every
        Distance of two checkpoints.
    keep : int
        How many stay.
    """

    def __init__(self, folder: Path, every: Every, keep: int = KEEP) -> None:
        self._folder, self._every, self._keep = folder, every, keep
        self._samples, self._last = 0, time.monotonic()
        self._handlers: dict[int, Any] = {}
        #: A signal has asked the run to stop.
        self.stopping = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:  # the second time does not wait for the end of a sample
            raise KeyboardInterrupt
        self.stopping = True

    def due(self) -> bool:
        """Whether a checkpoint is wanted now; to be asked after every sample."""
        self._samples += 1
        if self._every.samples is not None:
            return self.stopping or self._samples >= self._every.samples
        return self.stopping or time.monotonic() - self._last >= (self._every.seconds or 0.0)

    def save(self, network: Network) -> None:
        """Write one and delete the oldest."""
        for rest in self._folder.glob(f".{PATTERN}.*"):  # of a write that was killed
            rest.unlink(missing_ok=True)
        network.save(self._folder / f"checkpoint-{network.epochs_done:04}-{network.samples_done:07}.npz")
        self._samples, self._last = 0, time.monotonic()
        for _, path in _newest(self._folder.glob(PATTERN))[self._keep :]:
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete all: the run is over, and its network stored."""
        for path in self._folder.glob(PATTERN):
            path.unlink(missing_ok=True)


def load_newest(folder: Path, say: Callable[[str], None]) -> tuple[Path, Network]:
    """Newest network file or checkpoint of a folder; ``say`` is called with a line per damaged one on the way.

    Raises
    ------
    NetworkError
        If there is none, or no whole one.
    """
    found = _newest([*folder.glob(PATTERN), *folder.glob(NETWORK_FILE)])
    problems = []
    for _, path in found:
        try:
            network = Network.load(path)
        except NetworkError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            say(f"left out: {problem}")
        return path, network
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise NetworkError(f"{folder}: no whole network file or checkpoint; {problems[0]}{more}")
    raise NetworkError(f"{folder}: holds no {NETWORK_FILE} and no checkpoint to go on from")


def _newest(paths: Any) -> list[tuple[tuple[int, str], Path]]:
    """Files by time of writing, the newest first."""
    dated = []
    for path in paths:
        try:
            dated.append(((path.stat().st_mtime_ns, path.name), path))
        except FileNotFoundError:
            continue
    return sorted(dated, reverse=True)
