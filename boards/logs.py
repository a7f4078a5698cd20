"""What the tools said: problems that a build must not pass over, utilisation, timing, the critical path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .board import Family

#: yosys folds a netlist to constants after this warning and still exits with 0.
_CONFLICT = re.compile(r"^.*driver-driver conflict.*$", re.IGNORECASE | re.MULTILINE)
_MAPPED = re.compile(
    r"^(?:mapping memory (?P<name>\S+) via (?P<cell>\S+)|using FF mapping for memory (?P<ff>\S+))$", re.MULTILINE
)
_BANK = re.compile(r"\.lane\d+\.bank$")
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
    banks = {name: cell for name, cell in memory_cells(yosys_log).items() if _BANK.search(name)}
    for name, cell in banks.items():
        if cell not in family.block_cells:
            return f"synapse words are not in block RAM: yosys made {cell} of {name}"
    if len(banks) != lanes:
        return f"synapse words are not in block RAM: yosys mapped {len(banks)} banks of {lanes}"
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
    """Cells used, by manifest field."""
    return {field: int(report["utilization"][cell]["used"]) for field, cell in family.cells.items()}


def critical_path(report: dict[str, Any]) -> str:
    """Slowest path between registers, in the words of the source: start, end, where the time goes, lines on the way."""
    inside = [path for path in report["critical_paths"] if _edge(path["from"]) and path["from"] == path["to"]]
    if not inside:
        return ""
    steps = max(inside, key=_length)["path"]
    routing = sum(step["delay"] for step in steps if step["type"] == "routing")
    lines: list[str] = []
    for step in steps:
        lines += [line for source in step.get("sources", []) if (line := _line(source)) and line not in lines]
    text = f"{_words(steps[0]['from']['cell'])} to {_words(steps[-1]['to']['cell'])}: "
    text += f"{sum(step['delay'] for step in steps):.1f} ns, {routing:.1f} ns of it routing"
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
    return re.split(r"_(?:TRELLIS_|LUT4|PFUMX|L6MUX|CCU2C|DPR16|MULT18)|\.\$|\.\d+\.\d+(?:\$|$)", name)[0]
