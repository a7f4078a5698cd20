"""Activity of a netlist: toggles of its nets, operations of its multipliers and memories, counted in simulation.

Counters are written into the netlist's Verilog and read through the harness. In every clock the settled level of each
net is compared with that of the clock before: glitches within a clock are not seen, and nothing else is approximated.
Two sets of counters, chosen by the level of the LED that is lit during a time step, keep the core's work apart from
the line's.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solsa.contract import NetworkConfig

from .build import CPP
from .device import SERIAL_HEADER
from .netlist import CELLS, LEVEL, Netlist, NetlistDevice, verilate, wrapper
from .netlist_cells import NET, Cell, cells

HARNESS = CELLS / "activity.cpp"
#: Nets compared at a time, and such groups per process: a compiler's time grows faster than a process.
_WORD, _WORDS = 32, 32


@dataclass(frozen=True)
class Kinds:
    """What is counted of a family's cells.

    Attributes
    ----------
    nets : dict
        (Cells, ports) whose nets count, per counter. Nets that lead nowhere do not.
    operands : (str, str)
        Multipliers and their operands: a clock in which one changes is an operation.
    accesses : dict
        Condition under which a port of a memory works in a clock, per counter, cells and name: ports in braces.
    pads : (str, str)
        Output pads and their inputs.
    clocked : str
        Flip-flops.
    clock : str
        Their clock.
    """

    nets: dict[str, tuple[str, str]]
    operands: tuple[str, str]
    accesses: dict[str, tuple[tuple[str, str], ...]]
    pads: tuple[str, str]
    clocked: str
    clock: str


KINDS = {
    "ice40": Kinds(
        {
            "lut": ("SB_LUT4", "O"),
            "carry": ("SB_CARRY", "CO"),
            "flip_flop": ("SB_DFF\\w*", "Q"),
            "memory": ("SB_RAM40_4K|SB_SPRAM256KA", "RDATA|DATAOUT"),
            "product": ("SB_MAC16", "O"),
        },
        ("SB_MAC16", "A|B"),
        {
            "block_ram": (("SB_RAM40_4K", "{RCLKE} & {RE}"), ("SB_RAM40_4K", "{WCLKE} & {WE}")),
            "large_ram": (("SB_SPRAM256KA", "{CHIPSELECT} & ~{STANDBY} & ~{SLEEP}"),),
        },
        ("SB_IO_OUT", "D_OUT_0"),
        "SB_DFF\\w*",
        "C",
    ),
    "ecp5": Kinds(
        {
            "lut": ("LUT4|PFUMX|L6MUX21", "Z"),
            "carry": ("CCU2C", "S0|S1|COUT"),
            "flip_flop": ("TRELLIS_FF", "Q"),
            "memory": ("DP16KD|TRELLIS_DPR16X4", r"DO|DO[AB]\d+"),
            "product": ("MULT18X18D", r"P\d+"),
        },
        ("MULT18X18D", r"[AB]\d+"),
        {"block_ram": (("DP16KD", "{CEA}"), ("DP16KD", "{CEB}")), "large_ram": ()},
        ("TRELLIS_IO_OUT", "I"),
        "TRELLIS_FF",
        "CLK",
    ),
}
#: Nets of these count as toggles of a pad besides.
PAD, MULTIPLY = "pad", "multiply"


def counters(family: str) -> list[str]:
    """Names of the counters of one set, in their order."""
    kinds = KINDS[family]
    return ["clocks", *kinds.nets, PAD, MULTIPLY, *kinds.accesses]


def flip_flops(family: str, found: dict[str, int]) -> int:
    """Flip-flops among cells by type."""
    return sum(count for kind, count in found.items() if re.fullmatch(KINDS[family].clocked, kind))


def counted_nets(text: str, family: str) -> dict[str, list[str]]:
    """Nets that are compared, per counter: each once, and only those that a cell takes in.

    Parameters
    ----------
    text : str
        Module ``netlist``.
    family : str
        A key of :data:`KINDS`.
    """
    kinds, found = KINDS[family], cells(text)
    used = Counter(net for cell in found for port in cell.ports.values() for net in NET.findall(port))
    nets = {}
    for name, (pattern, ports) in kinds.nets.items():
        mine = [net for cell in found if re.fullmatch(pattern, cell.kind) for net in cell.nets(ports)]
        nets[name] = [net for net in dict.fromkeys(mine) if used[net] > 1]
    pads = [cell for cell in found if cell.kind == kinds.pads[0]]
    nets[PAD] = [net for cell in pads for net in cell.nets(kinds.pads[1])]
    return nets


def instrument(text: str, family: str, nets: dict[str, list[str]] | None = None) -> str:
    """The module with counters: port ``counting`` in, port ``counts`` out, 64 bits per counter, set 0 first.

    Parameters
    ----------
    text : str
        Module ``netlist``.
    family : str
        A key of :data:`KINDS`.
    nets : dict, optional
        What is compared instead of :func:`counted_nets` (planted mistakes).
    """
    kinds, found = KINDS[family], cells(text)
    nets = counted_nets(text, family) if nets is None else nets
    clock = next(cell.ports[kinds.clock] for cell in found if re.fullmatch(kinds.clocked, cell.kind))
    blocks = _Blocks(clock, _led(found, kinds))
    for name in counters(family):
        if name == "clocks":
            blocks.add(name, ["1'b1"])
        elif name == MULTIPLY:
            blocks.changes(name, [_operands(cell, kinds) for cell in found if cell.kind == kinds.operands[0]])
        elif name in kinds.accesses:
            blocks.add(name, [_condition(cell, how) for kind, how in kinds.accesses[name] for cell in found
                              if cell.kind == kind])  # fmt: skip
        else:
            blocks.compare(name, nets[name])
    names = counters(family)
    totals = [" + ".join(blocks.totals[name][level]) or "64'd0" for level in (0, 1) for name in names]
    head = re.search(r"^module netlist\((.*?)\);\n", text, re.MULTILINE | re.DOTALL)
    assert head is not None
    last = text.rindex("endmodule")
    ports = f"  input counting;\n  output [{64 * len(totals) - 1}:0] counts;\n"
    body = "".join(blocks.lines) + f"  assign counts = {{{', '.join(totals[::-1])}}};\n"
    return (
        f"{text[: head.start()]}module netlist({head[1]}, counting, counts);\n{ports}"
        f"{text[head.end() : last]}  reg primed = 1'b0;\n  always @(posedge {clock}) primed <= counting;\n"
        f"{body}{text[last:]}"
    )


def _led(found: list[Cell], kinds: Kinds) -> str:
    """Net that is lit, or dark, during a time step; constant for a design without such a pad."""
    for cell in found:
        if cell.kind == kinds.pads[0] and any(re.match(r"(led_0|rgb_led_0__g)_", pin) for pin in cell.ports.values()):
            return cell.ports[kinds.pads[1]]
    return "1'b0"


def _operands(cell: Cell, kinds: Kinds) -> list[str]:
    return list(dict.fromkeys(cell.nets(kinds.operands[1])))


def _condition(cell: Cell, how: str) -> str:
    return "(" + re.sub(r"\{(\w+)\}", lambda port: cell.ports.get(port[1], "1'b0") or "1'b0", how) + ")"


class _Blocks:
    """Processes that add to counters, each to registers of its own."""

    def __init__(self, clock: str, level: str) -> None:
        self._clock, self._level = clock, level
        self.lines: list[str] = []
        self.totals: dict[str, tuple[list[str], list[str]]] = {}
        self._number = 0

    def add(self, name: str, conditions: list[str]) -> None:
        """Counts how many of one-bit expressions hold."""
        self._process(name, [f"sum = sum + 16'({condition});" for condition in conditions])

    def compare(self, name: str, nets: list[str]) -> None:
        """Counts nets that changed."""
        self._process(name, [self._changed(nets[i : i + _WORD], "sum = sum + 16'($countones({}));")
                             for i in range(0, len(nets), _WORD)])  # fmt: skip

    def changes(self, name: str, groups: list[list[str]]) -> None:
        """Counts groups of nets in which one changed."""
        self._process(name, [self._changed(nets, "sum = sum + 16'(|{});") for nets in groups if nets])

    def _changed(self, nets: list[str], count: str) -> str:
        self._number += 1
        before, width = f"before_{self._number}", len(nets)
        self.lines.append(f"  reg [{width - 1}:0] {before} = {width}'d0;\n")
        difference = f"(now ^ 64'({before}))"
        return f"now = {{{', '.join(nets)}}}; {count.format(difference)} {before} = now[{width - 1}:0];"

    def _process(self, name: str, statements: list[str]) -> None:
        lists: tuple[list[str], list[str]] = ([], [])
        for i in range(0, len(statements), _WORDS):
            self._number += 1
            registers = [f"count_{self._number}_{level}" for level in (0, 1)]
            for level in (0, 1):
                lists[level].append(registers[level])
                self.lines.append(f"  reg [63:0] {registers[level]} = 64'd0;\n")
            body = "".join(f"    {line}\n" for line in statements[i : i + _WORDS])
            self.lines.append(
                f"  always @(posedge {self._clock}) if (counting) begin : process_{self._number}\n"
                f"    reg [15:0] sum;\n    reg [63:0] now;\n    sum = 16'd0; now = 64'd0;\n{body}"
                f"    if (primed) begin\n      if ({self._level}) {registers[1]} <= {registers[1]} + 64'(sum);\n"
                f"      else {registers[0]} <= {registers[0]} + 64'(sum);\n    end\n  end\n"
            )
        self.totals[name] = lists


def build_counted(netlist: Netlist, *, level: str = LEVEL, nets: dict[str, list[str]] | None = None) -> Path:
    """Path of the compiled library of a netlist with counters.

    Parameters
    ----------
    netlist : Netlist
        Synthesised with :data:`~solsa.sim.device.DIVISOR` clocks per bit.
    level : str
        g++ optimisation.
    nets : dict, optional
        See :func:`instrument`.
    """
    family = netlist.design.family
    width = 2 * 64 * len(counters(family))
    top = wrapper(netlist.design.pins)
    top = top.replace("output tx, busy);", f"counting, output tx, busy, output [{width - 1}:0] counts);")
    top = top.replace("netlist netlist(", "netlist netlist(.counting(counting), .counts(counts), ")
    text = instrument(netlist.verilog, family, nets) + top
    return verilate(family, text, [CPP / "device.cpp", HARNESS], SERIAL_HEADER, level=level, name="activity")


class CountedDevice(NetlistDevice):
    """Transport to a netlist that counts.

    Parameters
    ----------
    config : NetworkConfig
        What the design is built for.
    family : str
        A key of :data:`KINDS`.
    built : Path
        Its library, see :func:`build_counted`.
    """

    def __init__(self, config: NetworkConfig, family: str, built: Path) -> None:
        super().__init__(config, built)
        self._names = counters(family)
        self._library.activity_count.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._library.activity_read.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]

    def count(self, on: bool) -> None:
        """Start or stop counting."""
        self._library.activity_count(self._alive(), int(on))

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """What was counted so far, with the LED's pad low, and with it high."""
        values = np.zeros(2 * len(self._names), dtype=np.uint64)
        self._library.activity_read(self._alive(), values.ctypes.data, len(values))
        low, high = values.reshape(2, -1).tolist()
        return dict(zip(self._names, low, strict=True)), dict(zip(self._names, high, strict=True))
