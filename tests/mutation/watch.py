"""pytest plugin of a run on a mutant: bounds the time of every test and writes down what failed.

A mutant may hang where no watchdog looks (a combinational loop never ends a clock), so a test that takes far more
processor time than on the real RTL counts as failed. Processor time, because the machine may be busy.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

REPORT = Path(os.environ["MUTATION_REPORT"])
#: Processor seconds per test: so much, and so many times what the test took on the real RTL.
SECONDS, TIMES = float(os.environ.get("MUTATION_BOUND", "15")), 4.0
USUAL: dict[str, float] = json.loads(os.environ.get("MUTATION_SECONDS", "{}"))

failed: list[dict[str, Any]] = []
seconds: dict[str, float] = {}


class BoundError(BaseException):
    """A test takes too long. Not an Exception: no test may catch it."""


def _ring(number: int, frame: FrameType | None) -> None:
    raise BoundError("hangs: far more processor time than on the real RTL")


def pytest_configure() -> None:
    import solsa.rtl

    here = Path(solsa.rtl.__file__ or "").resolve()
    if Path.cwd() not in here.parents:
        raise pytest.UsageError(f"{here} is not the mutated RTL of {Path.cwd()}")
    signal.signal(signal.SIGPROF, _ring)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    signal.setitimer(signal.ITIMER_PROF, SECONDS + TIMES * USUAL.get(item.nodeid, 0.0))
    before = os.times()
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        after = os.times()
        seconds[item.nodeid] = round(after.user + after.system - before.user - before.system, 3)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    report = yield
    if report.failed and call.excinfo is not None:
        failed.append({
            "test": item.nodeid,
            "why": f"{call.excinfo.typename}: {call.excinfo.value}".splitlines()[0][:200],
            # A design that cannot be elaborated is no bug that a test has to find.
            "stillborn": any(entry.name == "elaborate" for entry in call.excinfo.traceback),
        })  # fmt: skip
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    if report.failed:
        why = str(report.longrepr).strip().splitlines()[-1][:200]
        failed.append({"test": collector.nodeid, "why": why, "stillborn": True})
    return report


def pytest_sessionfinish() -> None:
    REPORT.write_text(json.dumps({"failed": failed, "seconds": seconds}))
