"""docs/verification.md: the test plan, with the last result of every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
Found = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A row of the plan.

    Attributes
    ----------
    claim, how, command : str
        What is claimed, how it is tested, and by which command.
    file : str
        Where the command keeps its result.
    result : callable
        The result in a few words.
    short : str
        The claim in the README's table, if it is there.
    """

    claim: str
    how: str
    command: str
    file: str
    result: Callable[[Found], str]
    short: str = ""


def _verify(v: Found) -> str:
    return (f"{v['networks']} networks, {v['steps']:,} steps, {v['words_compared']:,} words: {v['mismatches']} "
            f"mismatches; {v['device_requests']:,} requests, {v['device_bytes_compared']:,} bytes of replies; "
            f"{v['wall_seconds'] / 60:.1f} min")  # fmt: skip


def _coverage(v: Found) -> str:
    return f"{v['coverage_percent']:g} % of {v['coverage_points']} points"


def _tests(t: Found) -> str:
    return f"{t['passed']} of {t['tests']} pass, {t['wall_seconds']:.0f} s"


def _mutation(m: Found) -> str:
    return (f"{m['mutants']} mutants: {m['killed']} killed, {m['equivalent']} explained as equivalent, "
            f"{m['unexplained']} unexplained survivors")  # fmt: skip


def _formal(f: Found) -> str:
    proofs = f["proofs"]
    unbounded = sum(p["mode"] == "unbounded" for p in proofs)
    controls = sum(len(p["controls"]) for p in proofs)
    return (f"{sum(p['good'] for p in proofs)} of {len(proofs)} proofs hold ({unbounded} unbounded), "
            f"{controls} negative controls; {f['wall_seconds'] / 60:.1f} min")  # fmt: skip


def _netlist(n: Found) -> str:
    rows = [f"{r['board']} `{r['preset']}`: {r['cells_total']:,} cells, {r['words_compared']:,} words, "
            f"{r['mismatch'] or r['problem'] or 'all equal'}" for r in n["runs"]]  # fmt: skip
    return "; ".join(rows)


def _toggle(t: Found) -> str:
    total = t["total"]
    return (f"{total['toggled_percent_after_waivers']:g} % of {total['bits'] - total['waived']:,} bits "
            f"({total['toggled_percent']:g} % of all {total['bits']:,}; {total['waived']:,} waived with reasons), "
            f"lines {total['lines_percent']:g} %")  # fmt: skip


PLAN = (
    Claim("Every state word of the RTL equals the golden model's at every time step, learning included",
          "hypothesis strategies draw geometry, widths, units, rates, schedules, readouts, inputs and weights, "
          "extremes among them; the observation port names every word that is written, the memories are "
          "read back in the end; complete devices get random requests. A failure is made small and becomes a "
          "stored vector (tests/sim/vectors)", "`solsa verify --random 200 --seed 7`", "verify-200.json", _verify,
          "RTL against golden, random networks"),
    Claim("The random runs have seen what they must", "functional coverage: readouts, units, geometries, every store "
          "that can saturate (both ends), schedules, every opcode and error reply", "the same run", "verify-200.json",
          _coverage),
    Claim("Arithmetic is the number table's", "every rounding and overflow of the table: all operands at small widths, "
          "corners at full widths, golden against RTL; a wrong golden constant and a wrong RTL constant are caught",
          "`make arith`", "tests-arith.json", _tests),
    Claim("The complete device behaves at its pins", "cocotb 2 with its own UART driver and monitor: boot, load, "
          "learn, read back, noise, on Verilator and on Icarus; 4 to 64 clocks per bit, gaps, baud rates 2 % off; "
          "planted bugs fail", "`make pins`", "tests-pins.json", _tests),
    Claim("The tests notice bugs", "mutants of the RTL, each against the tests of its file; table in "
          "[mutation.md](mutation.md)", "`make mutation`", "mutation.json", _mutation, "Planted bugs"),
    Claim("What random tests cannot exhaust is proved", "sby: frame decoder, stream rules, order, addresses, hazards, "
          "softmax divider, arbiter; each with a cover and with controls that must fail", "`make formal`",
          "formal.json", _formal, "Proofs"),
    Claim("Synthesis changed nothing", "the netlist of a board's build, cell by cell, learns behind its pins; a "
          "netlist with a changed look-up table, multiplier or swapped flip-flops, and the known miscompile of yosys, "
          "are caught (tests/integration/test_netlist.py)", "`make netlist`", "netlist.json", _netlist,
          "Netlists against golden"),
    Claim("No line or bit of the RTL lies idle", "Verilator's line and toggle coverage over learning runs and devices",
          "`make coverage`", "toggle.json", _toggle),
)  # fmt: skip


def _load(name: str) -> Found | None:
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else None


def verification() -> str:
    """Text of docs/verification.md."""
    lines = ["# Verification", "",
             "Generated by `docs/generate.py`; each result was written into `docs/results` by the command beside it. "
             "`make verification` runs all of them (about an hour on two cores); `make test` holds shorter versions.",
             "",
             "| claim | how it is tested | command | last result | date |", "|---|---|---|---|---|"]  # fmt: skip
    for row in PLAN:
        found = _load(row.file)
        result, date = (row.result(found), found["date"][:10]) if found else ("not run yet", "")
        lines.append(f"| {row.claim} | {row.how} | {row.command} | {result} | {date} |")
    lines += _formal_table(_load("formal.json")) + _toggle_table(_load("toggle.json"))
    lines += _points_table(_load("verify-200.json"))
    return "\n".join(lines) + "\n"


def _formal_table(found: Found | None) -> list[str]:
    if not found:
        return []
    lines = ["", "## Proofs", "", "A proof counts if it passes, its cover is reached, and every control fails. "
             "Lemmas that an induction needs are proved with the claims and left out of the controls, which so fail on "
             "a claim. The proofs hold for the geometries named; the serial unit of small chips has none.", "",
             "| proof | claim | what it says | kind | result | seconds | controls that fail as they must |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for p in found["proofs"]:
        depth = f"{p['mode']}, depth {p['depth']}" if p["depth"] else p["mode"]
        controls = "; ".join(f"{c['about']} ({c['result']})" for c in p["controls"])
        cells = (p["name"], str(p["claim"]), f"{p['unit']}: {p['says']}", f"{depth}, {p['engine']}",
                 f"{p['result']}, cover {p['cover']['result']}", f"{p['seconds']:g}", controls)  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def _toggle_table(found: Found | None) -> list[str]:
    if not found:
        return []
    lines = ["", "## Toggle and line coverage", "", "| unit | bits | toggled % | waived | % after waivers | lines % |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for name, row in [*found["units"].items(), ("total", found["total"])]:
        lines.append(f"| {name} | {row['bits']:,} | {row['toggled_percent']:g} | {row['waived']} | "
                     f"{row['toggled_percent_after_waivers']:g} | {row['lines_percent']:g} |")  # fmt: skip
    lines += ["", "Waived:", ""]
    lines += [f"- {w['bits']} bits: {w['reason']} (`{w['pattern']}`)" for w in found["waivers"]]
    return lines


def _points_table(found: Found | None) -> list[str]:
    if not found:
        return []
    lines = ["", "## Functional coverage", "", "Steps, networks or requests in which a point was hit.", "",
             "| point | hits |", "|---|---|"]  # fmt: skip
    return lines + [f"| {name} | {count:,} |" for name, count in found["coverage"].items()]
