"""A sweep on a Dask cluster of two worker processes: the results of local ones, and nothing lost when some are killed.

The processes are started as Dask's documentation says; the scheduler is a plain one that knows nothing of sweeps.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import distributed
import pytest
from sweep_tools import SPACE, toy_space

from solsa.contract import ConfigError
from solsa.host.sweep_cluster import Workers
from solsa.host.sweep_study import Trial, read_study

BIN = Path(sys.executable).parent
#: A tenth of a second or more per trial: time enough to kill something in the middle.
SLOW = SPACE.replace("epochs = 3", "epochs = 12")
TRIALS = 24
#: Seconds after which something hangs; a loaded machine may take minutes to start a process.
LIMIT = 240.0


class Cluster:
    """A scheduler and its workers as processes of this test."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        until(self.file.exists)
        self.address: str = json.loads(self.file.read_text())["address"]

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory",
                           str(self.folder))  # fmt: skip

    def wait_for_workers(self, count: int) -> None:
        """Else the first one may have done all the trials before the second one has started."""
        with distributed.Client(self.address) as client:
            client.wait_for_workers(count, timeout=LIMIT)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(BIN / "dask"), *arguments, "--scheduler-file", str(self.file)]
        with (self.folder / f"log{len(self.processes)}").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder)
    yield made
    made.stop()


def until(true: Callable[[], Any], client: subprocess.Popen[Any] | None = None) -> None:
    """Wait; a client that has ended with an error says it."""
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end
        assert client is None or not client.poll(), client.communicate()[1]
        time.sleep(0.05)


def command(space: Path, study: Path, *more: str) -> list[str]:
    return [str(BIN / "solsa"), "sweep", str(space), "--study", str(study), "--trials", str(TRIALS), "--sampler",
            "tpe", "--seed", "3", "--json", str(study.with_suffix(".json")), *more]  # fmt: skip


def finished(study: Path) -> dict[int, Trial]:
    try:
        return {trial.number: trial for trial in read_study(study)[1] if trial.complete}
    except ConfigError:  # not there yet
        return {}


@pytest.mark.long
def test_a_killed_worker_and_a_killed_client_lose_nothing(tmp_path: Path, cluster: Cluster) -> None:
    """Two local processes undisturbed; a cluster with one worker and then the client killed: equal results."""
    first, second = cluster.worker(), cluster.worker()
    cluster.wait_for_workers(2)
    space = toy_space(tmp_path, SLOW)
    local, far = tmp_path / "local.db", tmp_path / "far.db"
    there = command(space, far, "--scheduler", cluster.address)
    client = subprocess.Popen(there, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(lambda: {trial.training["pid"] for trial in finished(far).values() if trial.training}
          == {first.pid, second.pid}, client)  # fmt: skip
    first.kill()
    at_kill = finished(far)
    until(lambda: len(finished(far)) >= len(at_kill) + 3, client)
    client.send_signal(signal.SIGKILL)
    client.wait()
    kept = finished(far)
    assert len(at_kill) + 3 <= len(kept) < TRIALS
    unfinished = [trial.number for trial in read_study(far)[1] if trial.running]
    assert unfinished

    subprocess.run(there, check=True, capture_output=True, timeout=LIMIT)
    subprocess.run(command(space, local, "--workers", "2"), check=True, capture_output=True, timeout=LIMIT)
    after = finished(far)
    assert sorted(after) == list(range(TRIALS))
    # what had a result was not run again: process and time of its training are still the same
    assert {number: after[number] for number in kept} == kept
    # what was running was, on the worker that is left, as was everything since the first one died
    late = {trial.training["pid"] for number, trial in after.items() if number not in at_kill and trial.training}
    assert late == {second.pid}
    ours, theirs = (json.loads(path.with_suffix(".json").read_text()) for path in (local, far))
    assert ours["results_sha256"] == theirs["results_sha256"]
    assert [row["weight_sha256"] for row in ours["rows"]] == [row["weight_sha256"] for row in theirs["rows"]]
    assert ours["front"] == theirs["front"]


def test_a_lost_scheduler_is_one_line_and_the_study_goes_on(tmp_path: Path, cluster: Cluster) -> None:
    cluster.worker()
    space, study = toy_space(tmp_path, SLOW), tmp_path / "s.db"
    there = command(space, study, "--scheduler", cluster.address)
    client = subprocess.Popen(there, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until(lambda: finished(study), client)
    cluster.processes[0].kill()
    _, errors = client.communicate(timeout=LIMIT)
    assert client.returncode == 1
    assert errors.splitlines() == [f"solsa: error: scheduler {cluster.address}: lost; the same command goes on"]
    kept = finished(study)
    again = subprocess.run(there, capture_output=True, text=True, timeout=LIMIT)
    assert again.returncode == 2
    assert again.stderr.startswith(f"solsa: error: scheduler {cluster.address}: cannot be reached (")
    assert len(again.stderr.splitlines()) == 1
    assert finished(study) == kept


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("nonsense", "scheduler nonsense: not an address such as tcp://host:8786"),
        ("foo://bar:1", "scheduler foo://bar:1: not an address such as tcp://host:8786"),
    ],
)
def test_a_scheduler_that_cannot_be_one(address: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Workers(1, address)
