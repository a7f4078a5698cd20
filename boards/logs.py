"""What the tools said: problems that a build must not pass over, utilisation, timing, the critical path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from typing import Any

from .board import Family

#: yosys folds a netlist to constants after this warning and still exits with 0.
_CONFLICT = re.compile(r"^.*driver-driver conflict.*$", re.IGNORECASE | re.MULTILINE)
_MAPPED = re.compile(
    r"^(?:mapping memory (?P<name>\S+) via (?P<cell>\S+)|using FF mapping for memory (?P<ff>\S+))$", re.MULTILINE
)
#: What yosys and nextpnr append to the name of a register, by the cell that it became.
_APPENDED = re.compile(r"_(?:TRELLIS_|LUT|PFUMX|L6MUX|CCU2C|DPR16|MULT|SB_|DFF|ALU|MUX2|RAM16)|\.\$|\.\d+\.\d+(?:\$|$)")
#: A bank may be of several memories, the largest first (rtl/bank.py).
_BANK = re.compile(r"\.lane(?P<lane>\d+)\.bank(?:\.(?:memory(?P<part>\d*)|\w+))?$")
_ERROR = re.compile(r"^\s*(?:ERROR|FATAL|error)\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Timing:
    """Result of place and route."""

    clock_mhz: float
    fmax_mhz: float


def driver_conflict(yosys_log: str) -> str:
    """First driver conflict in a yosys log, or an empty string."""
    found = _CONFLICT.search(yosys_log)
    return " ".join(found[0].split()) if found else ""


def memory_cells(yosys_log: str) -> dict[str, str]:
    """What every memory became: a block RAM, a LUT RAM, or ``FF``."""
    return {m["name"] or m["ff"]: m["cell"] or "FF" for m in _MAPPED.finditer(yosys_log)}


def lost_banks(yosys_log: str, family: Family, lanes: int) -> str:
    """Why the banks of synapse words are not in block RAM, or an empty string."""
    found = set()
    for name, cell in memory_cells(yosys_log).items():
        bank = _BANK.search(name)
        if bank is None:
            continue
        # a last part of a few words may be cheaper in LUTs
        if cell not in family.block_cells and (cell == "FF" or bank["part"] in (None, "", "0")):
            return f"synapse words are not in block RAM: yosys made {cell} of {name}"
        found.add(bank["lane"])
    if len(found) != lanes:
        return f"synapse words are not in block RAM: yosys mapped {len(found)} banks of {lanes}"
    return ""


def first_error(log: str) -> str:
    """First error line of a tool, or an empty string."""
    found = _ERROR.search(log)
    return " ".join(found[0].split()) if found else ""


def timing(report: dict[str, Any]) -> Timing:
    """Slowest clock against its constraint, from nextpnr's report."""
    clocks = report["fmax"].values()
    if not clocks:
        raise ValueError("nextpnr reports no clock")
    worst = min(clocks, key=lambda clock: clock["achieved"] / clock["constraint"])
    return Timing(clock_mhz=round(worst["constraint"], 2), fmax_mhz=round(worst["achieved"], 2))


def utilization(report: dict[str, Any], family: Family) -> dict[str, int]:
    """Cells used, by manifest field; 0 for a kind that the chip does not have."""
    used = {cell: int(entry["used"]) for cell, entry in report["utilization"].items()}
    count = {field: sum(w * used.get(cell, 0) for cell, w in cells.items()) for field, cells in family.cells.items()}
    return {"spram": 0, **{field: ceil(number) for field, number in count.items()}}


@dataclass(frozen=True)
class PathStep:
    """Part of a path: where it ends, what takes the time, nanoseconds, their sum so far, lines of the source."""

    where: str
    kind: str
    ns: float
    total: float
    lines: tuple[str, ...]


def path_steps(report: dict[str, Any]) -> list[PathStep]:
    """Slowest path between registers, in the words of the source; empty if there is none."""
    inside = [path for path in report["critical_paths"] if _edge(path["from"]) and path["from"] == path["to"]]
    if not inside:
        return []
    steps, total = [], 0.0
    for part in max(inside, key=_length)["path"]:
        total += part["delay"]
        lines = dict.fromkeys(filter(None, map(_line, part.get("sources", []))))
        steps.append(PathStep(_words(part["to"]["cell"]), part["type"], part["delay"], total, tuple(lines)))
    return [PathStep(_words(_first(inside)), "", 0.0, 0.0, ()), *steps]


def _first(paths: list[dict[str, Any]]) -> str:
    name: str = max(paths, key=_length)["path"][0]["from"]["cell"]
    return name


def critical_path(report: dict[str, Any]) -> str:
    """Slowest path between registers in one line: start, end, where the time goes, lines of the source on the way."""
    steps = path_steps(report)
    if not steps:
        return ""
    routing = sum(step.ns for step in steps if step.kind == "routing")
    lines = list(dict.fromkeys(line for step in steps for line in step.lines))
    text = f"{steps[0].where} to {steps[-1].where}: {steps[-1].total:.1f} ns, {routing:.1f} ns of it routing"
    return f"{text}, through {', '.join(lines)}" if lines else text


def slowest(report: dict[str, Any], count: int = 5) -> dict[str, float]:
    """Registers whose inputs arrive last, with nanoseconds: what limits the clock next, once the slowest is cured.

    Bits of a register and its copies in other lanes count once.
    """
    ends: dict[str, float] = {}
    for net in report.get("detailed_net_timings", ()):
        for end in net["endpoints"]:
            if end["event"].startswith(("posedge", "negedge")):
                name = re.sub(r"\d+", "#", _words(end["cell"]))
                ends[name] = max(ends.get(name, 0.0), *end["delay"])
    worst = sorted(ends, key=lambda name: -ends[name])[:count]
    return {name: round(ends[name], 1) for name in worst}


def _length(path: dict[str, Any]) -> float:
    return sum(step["delay"] for step in path["path"])


def _edge(clock: str) -> bool:
    return clock.startswith(("posedge", "negedge"))


def _line(source: str) -> str:
    """``rtl/adapt.py:75`` of a source reference inside the design, else an empty string."""
    found = re.search(r"(?:^|/)((?:rtl|boards)/\w+\.py:\d+)", source)
    return found[1] if found else ""


def _words(cell: str) -> str:
    """Name of a register or memory, without what the tools appended and without unnamed signals."""
    name = re.sub(r"\$\d+", "", cell.removeprefix("device."))
    return _APPENDED.split(name)[0]
