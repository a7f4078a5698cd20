"""The workers of a sweep: a Dask cluster, made here of local processes or given by the address of its scheduler.

Dask runs the jobs of a lost worker again. What is left for us is to start it quietly, to say in one line why it cannot
be reached, and to hand finished jobs to the sweep one after the other.
"""

from __future__ import annotations

import logging
import queue
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import dask
from distributed import Client, Future, LocalCluster
from distributed.comm import get_address_host_port
from distributed.scheduler import KilledWorker

from solsa.contract import ConfigError

from .errors import RunFailed
from .sweep_jobs import disagreement, worker_versions
from .train import versions

#: Seconds that a scheduler, and then its first worker, is waited for.
PATIENCE = 10
#: Jobs that stand ready for each thread of the workers, so that none waits for the client.
READY = 2


class Workers:
    """Runs jobs on worker processes. A context manager.

    Parameters
    ----------
    count : int
        Local processes, unless there is a scheduler.
    scheduler : str, optional
        Address such as ``tcp://host:8786``.

    Raises
    ------
    ConfigError
        If the scheduler cannot be reached, has no workers, or they run another solsa.
    """

    def __init__(self, count: int, scheduler: str | None = None) -> None:
        self.scheduler = scheduler
        self._done: queue.Queue[tuple[str, Future]] = queue.Queue()
        self._futures: dict[str, Future] = {}
        self._run = uuid.uuid4().hex[:8]  # the jobs of a client that was killed may still be on the workers
        with ExitStack() as stack:
            _silence(stack)
            if scheduler is not None:
                _check_address(scheduler)
            stack.enter_context(dask.config.set({
                "distributed.worker.daemon": True,
                "distributed.admin.large-graph-warning-threshold": "1GB",  # a data set travels with its job
            }))  # fmt: skip
            address: Any = scheduler
            if scheduler is None:
                address = stack.enter_context(
                    LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
                                 silence_logs=logging.CRITICAL, memory_limit=0)
                )  # fmt: skip
            try:
                self._client = stack.enter_context(Client(address, timeout=PATIENCE, set_as_default=False))
            except (OSError, ValueError, ImportError) as error:
                reason = " ".join(str(error).split()) or type(error).__name__
                raise ConfigError(f"scheduler {scheduler}: cannot be reached ({reason})") from None
            self._check()
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def threads(self) -> int:
        """Jobs that the workers run at a time now."""
        try:
            return sum(self._client.nthreads().values())
        except (OSError, RuntimeError, CancelledError):
            raise self._lost() from None

    @property
    def waiting(self) -> int:
        """Jobs that have not come back."""
        return len(self._futures)

    @property
    def hungry(self) -> bool:
        """Whether there should be more jobs."""
        return self.waiting < READY * max(1, self.threads)

    def submit(self, key: str, job: Callable[..., dict[str, Any]], *arguments: Any) -> None:
        """Hand a job to the workers; it comes back from :meth:`next` under its key."""
        future = self._client.submit(job, *arguments, versions(), key=f"solsa-{self._run}-{key}", pure=False)
        self._futures[key] = future
        future.add_done_callback(lambda done: self._done.put((key, done)))

    def next(self, seconds: float) -> tuple[str, dict[str, Any]] | None:
        """A job that is done with its result, or None if there is none within this time.

        Raises
        ------
        RunFailed
            If the scheduler is lost.
        """
        try:
            key, future = self._done.get(timeout=seconds)
        except queue.Empty:
            if self._client.status != "running":
                raise self._lost() from None
            return None
        del self._futures[key]
        if future.status == "finished":
            try:
                found: dict[str, Any] = future.result()
            except (OSError, RuntimeError, CancelledError):  # the scheduler went while the result was on its way
                raise self._lost() from None
            future.release()
            return key, found
        if future.status == "error":
            problem = future.exception()
            future.release()
            if isinstance(problem, KilledWorker):
                return key, {"failed": f"{problem.allowed_failures + 1} workers died of it"}
            return key, {"failed": " ".join(f"{type(problem).__name__}: {problem}".split())}
        raise self._lost()

    def _lost(self) -> RunFailed:
        return RunFailed(f"scheduler {self.scheduler or 'of the local processes'}: lost; the same command goes on")

    def _check(self) -> None:
        where = f"scheduler {self.scheduler}"
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise ConfigError(f"{where}: has no worker; start some with: dask worker {self.scheduler}") from None
        if self.scheduler is None:
            return
        found = self._client.run(worker_versions, on_error="return")
        for address, theirs in found.items():
            if isinstance(theirs, BaseException):
                raise ConfigError(f"{where}: worker {address} cannot run solsa ({theirs})")
            other = disagreement(versions(), theirs)
            if other:
                raise ConfigError(f"{where}: worker {address} {other}")


def _check_address(address: str) -> None:
    """Raise ConfigError for an address that cannot be one; a client would take half a minute to give up on it."""
    try:
        get_address_host_port(address, strict=True)
    except ValueError as error:
        raise ConfigError(f"scheduler {address}: not an address such as tcp://host:8786 ({error})") from None


def _silence(stack: ExitStack) -> None:
    """No log lines between ours: what matters of them is told by an exception."""
    for name in ("asyncio", "distributed", "tornado", *logging.root.manager.loggerDict):
        if name.split(".")[0] in ("asyncio", "distributed", "tornado"):
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
