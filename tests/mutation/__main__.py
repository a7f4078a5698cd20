"""`make mutation`: every mutant against its tests; exit status 1 for a survivor that nothing explains.

Run as ``python -m tests.mutation``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from .automatic import sample
from .catalogue import MUTANTS
from .harness import Harness, HarnessError, Outcome
from .report import page, result

#: As tests/conftest.py.
SEED = int(os.environ.get("SOLSA_SEED", "20240122"))


def say(line: str) -> None:
    """A line at once, also into a pipe."""
    print(line, flush=True)


def show(outcome: Outcome, done: int, total: int) -> None:
    """One line per mutant."""
    if outcome.problem:
        verdict = f"PROBLEM: {outcome.problem}"
    elif outcome.killed:
        verdict = f"killed by {outcome.killer.split('/')[-1]}, {outcome.seconds:.1f} s"
    else:
        verdict = "equivalent" if outcome.equivalent else "survives"
        verdict += f", {outcome.tests} tests, {outcome.seconds:.1f} s"
    say(f"[{done:3}/{total}] {outcome.file:14} {outcome.name}: {verdict}")


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants or files of rtl/ (all)")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time (2)")
    parser.add_argument("--automatic", type=int, default=0, metavar="N", help="N automatic mutants as well (0)")
    parser.add_argument("--fresh", action="store_true", help="ignore outcomes of earlier runs in .cache/mutation")
    parser.add_argument("--before", type=Path, metavar="FILE", help="figures of an earlier run: try its killers first")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page")
    options = parser.parse_args()
    chosen = {n: m for n, m in MUTANTS.items() if not options.names or {n, m.file} & set(options.names)}
    unknown = set(options.names) - set(MUTANTS) - {m.file for m in MUTANTS.values()}
    if unknown or options.workers < 1:
        reason = f"{min(unknown)} is no mutant and no file of rtl/" if unknown else "--workers must be 1 or more"
        sys.stderr.write(f"mutation: {reason}\n")
        return 2
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the pytest runs must not outlive this program
    try:
        before = json.loads(options.before.read_text())["rows"] if options.before else []
        killers = {row["name"]: row["killer"] for row in before if "killer" in row}
        harness = Harness(options.workers, fresh=options.fresh, before=killers)
        harness.control(say)
        outcomes = harness.run_all(chosen, show)
        if options.automatic:
            outcomes += harness.run_all(sample(options.automatic, SEED), show, automatic=True)
    except HarnessError as error:
        sys.stderr.write(f"mutation: {error}\n")
        return 1
    found = result(outcomes, seed=SEED, seconds=time.monotonic() - started, control_tests=len(harness.usual))
    for path, text in ((options.json, json.dumps(found, indent=1) + "\n"), (options.markdown, page(found))):
        if path:
            path.write_text(text)
    problems = [o for o in outcomes if o.problem]
    say(f"{found['mutants']} mutants: {found['killed']} killed, {found['equivalent']} equivalent, "
        f"{found['unexplained']} survivors without explanation, {len(problems)} problems, "
        f"{found['wall_seconds']:.0f} s")  # fmt: skip
    for outcome in problems:
        sys.stderr.write(f"mutation: {outcome.name} (rtl/{outcome.file}): {outcome.problem}\n")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
