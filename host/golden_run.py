"""The golden model's copy of a training run, in a second process beside the device's."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from .data import Dataset
from .device import Device
from .errors import RunFailed
from .network import Network
from .train import learn


class GoldenRun:
    """Trains a network on the golden model. A context manager: leaving it ends the process.

    Parameters
    ----------
    network : Network
        Where to start; the object here stays as it is.
    dataset : Dataset
        Training data.
    epochs : int
        Epochs in total.
    """

    def __init__(self, network: Network, dataset: Dataset, epochs: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the threads of the progress bar
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_train, args=(theirs, network, dataset, epochs), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.join()
        self._pipe.close()

    def result(self) -> Network:
        """Wait for the trained network; RunFailed if the process ended without it."""
        try:
            found: Network | str = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RunFailed(f"the golden model's process ended with status {self._process.exitcode}") from None
        if isinstance(found, str):
            raise RunFailed(f"the golden model failed: {found}")
        return found


def _train(pipe: Connection, network: Network, dataset: Dataset, epochs: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process answers an interrupt, and ends this one
    try:
        with Device.open("golden", network.config) as device:
            learn(device, network, dataset, epochs)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
    else:
        pipe.send(network)
