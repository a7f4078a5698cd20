"""Faults planted into a netlist, to see that the comparison catches them.

One library holds many faults, of which at most one is active: a netlist takes a minute to compile.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solsa.contract import NetworkConfig

from .netlist import CELLS, LEVEL, Netlist, NetlistDevice, build_netlist
from .netlist_cells import NET, Cell, cells

HARNESS = CELLS / "fault.cpp"


@dataclass(frozen=True)
class Fault:
    """A planted fault.

    Attributes
    ----------
    number : int
        Selects it, from 1.
    kind : str
        ``lut``: one bit of a look-up table is inverted. ``multiplier``: an output of a multiplier is 0.
        ``swap``: the outputs of two flip-flops are swapped.
    cells : str
        Cells it changes.
    """

    number: int
    kind: str
    cells: str


def plant(verilog: str, per_kind: int, seed: int) -> tuple[str, list[Fault]]:
    """Cells with faults in them.

    Parameters
    ----------
    verilog : str
        Module ``netlist``.
    per_kind : int
        Faults of every kind.
    seed : int
        Draws the cells.

    Returns
    -------
    str, list of Fault
        The module, in which the function ``solsa_active_fault`` selects the fault, and the faults.
    """
    rng = np.random.default_rng(seed)
    replaced: dict[tuple[int, int], str] = {}
    added: list[str] = []
    faults: list[Fault] = []

    def tap(cell: Cell, *ports: str) -> str:
        """Renames an output net of a cell; returns its old name."""
        for port in ports:
            found = NET.search(cell.ports.get(port, ""))
            if found is None:
                continue
            begin = cell.spans[port][0]
            replaced[begin + found.start(), begin + found.end()] = f"healthy{found[0]}"
            added.append(f"  wire healthy{found[0]};")
            return found[0]
        raise ValueError(f"{cell.kind} {cell.name} has no output")

    def draw(pattern: str, outputs: tuple[str, ...], count: int) -> list[Cell]:
        found = [cell for cell in cells(verilog, pattern) if cell.output(*outputs)]
        if len(found) < count:
            raise ValueError(f"the netlist has {len(found)} cells {pattern}, {count} needed")
        return [found[i] for i in rng.choice(len(found), count, replace=False)]

    for cell in draw("LUT4|SB_LUT4", ("Z", "O"), per_kind):
        net, number = tap(cell, "Z", "O"), len(faults) + 1
        terms = []
        for port in ("A", "B", "C", "D", "I0", "I1", "I2", "I3"):
            if NET.search(value := cell.ports.get(port, "")):
                terms.append(f"{value} == 1'b{int(rng.integers(2))}")
        condition = " && ".join([f"fault == {number}", *terms])
        added.append(f"  assign {net} = healthy{net} ^ ({condition});")
        faults.append(Fault(number, "lut", f"{cell.kind} {cell.name}"))
    for cell in draw("MULT18X18D|SB_MAC16", ("P12", "O"), per_kind):
        net, number = tap(cell, "P12", "O"), len(faults) + 1
        added.append(f"  assign {net} = healthy{net} & (fault != {number});")
        faults.append(Fault(number, "multiplier", f"{cell.kind} {cell.name}"))
    flops = draw("TRELLIS_FF|SB_DFF\\w*", ("Q",), 2 * per_kind)
    for one, other in zip(flops[::2], flops[1::2], strict=True):
        first, second, number = tap(one, "Q"), tap(other, "Q"), len(faults) + 1
        for net, swapped in ((first, second), (second, first)):
            added.append(f"  assign {net} = fault == {number} ? healthy{swapped} : healthy{net};")
        faults.append(Fault(number, "swap", f"{one.kind} {one.name} and {other.kind} {other.name}"))

    parts, at = [], 0
    for begin, end in sorted(replaced):
        parts += [verilog[at:begin], replaced[begin, end]]
        at = end
    text = "".join([*parts, verilog[at:]])
    head = re.search(r"^module netlist\(.*?\);\n", text, re.MULTILINE | re.DOTALL)
    assert head is not None
    selector = (
        '  import "DPI-C" function int solsa_active_fault();\n  int fault;\n  initial fault = solsa_active_fault();\n'
    )
    last = text.rindex("endmodule")
    body = text[head.end() : last]
    return text[: head.end()] + selector + body + "\n".join(added) + "\n" + text[last:], faults


class FaultyNetlist:
    """A netlist with faults in it, compiled once.

    Parameters
    ----------
    config : NetworkConfig
        What the design is built for.
    netlist : Netlist
        The healthy one.
    per_kind, seed : int
        See :func:`plant`.
    """

    def __init__(self, config: NetworkConfig, netlist: Netlist, per_kind: int, seed: int = 0) -> None:
        verilog, self.faults = plant(netlist.verilog, per_kind, seed)
        self._config = config
        self._built: Path = build_netlist(netlist, verilog, extra=(HARNESS,), level=LEVEL)

    def device(self, number: int) -> NetlistDevice:
        """A device with one fault active, or with none for 0."""
        select: Callable[[int], None] = ctypes.CDLL(str(self._built)).fault_select
        select(number)
        return NetlistDevice(self._config, self._built)
