"""Rules for all tests: no silent skips in CI, deterministic Hypothesis there, one seed for random stimuli."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import hypothesis
import pytest

# `make` sets it when CI is true: a test skipped for want of a tool would otherwise look like a pass.
NO_SKIP = os.environ.get("SOLSA_NO_SKIP", "") not in ("", "0")
SEED = int(os.environ.get("SOLSA_SEED", "20240122"))

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if NO_SKIP else "dev"))


# What a script starts in the background ignores Ctrl-C, and so would the programs that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Name what changes the outcome of a run."""
    profile = hypothesis.settings.get_current_profile_name()
    return f"solsa: seed {SEED} (SOLSA_SEED), hypothesis profile {profile}, skips {'fail' if NO_SKIP else 'allowed'}"


@pytest.fixture
def seed() -> int:
    """Seed for every random stimulus of a test; change it with SOLSA_SEED to look further."""
    return SEED


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not NO_SKIP or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: skipped, but SOLSA_NO_SKIP is set: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself (pytest.importorskip) into an error."""
    report = yield
    _refuse_skip(report)
    return report
