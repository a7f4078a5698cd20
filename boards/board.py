"""What a build needs to know about a board: its parts, its pins, and what its chip holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .pll import PllKind


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
    """What the tools make of a design on a family of chips.

    Parameters
    ----------
    name : str
        In messages.
    tools : tuple of Tool
        In the order in which they run.
    cells : dict
        Manifest field to the cells that nextpnr counts, each with its weight: ``lut``, ``ff``, ``bram``, ``dsp``.
    block_modes : tuple of (int, int)
        Width and depth of a block RAM with one read and one write port.
    block_cells : tuple of str
        Names under which yosys maps a memory to block RAM.
    block_cost : int
        What yosys takes a block RAM to cost, against ``lut_ram_cost`` per LUT RAM of ``lut_ram`` (width, depth).
    lut_ram : (int, int), optional
        Of a family that has them.
    multiplier : callable
        Multiplier blocks of a product from its operand widths (signs included); 0 where LUTs do it.
    luts, serial_luts : (float, float)
        LUTs of a design with no lane, and of every lane, for the pipelined and the serial neuron unit; see fit.py.
    bitstream : str
        Ending of what the last tool writes.
    pll : PllKind
        Primitive for another clock than the crystal's.
    synth_opts : str
        For yosys' ``synth_*`` command.
    script_after_read : str
        Commands for yosys between reading the design and synthesis.
    place_opts : str
        For nextpnr.
    freq : bool
        nextpnr is told the clock on its command line, since the platform loses the constraint.
    finish : callable, optional
        What is done to the netlist, in the form of yosys' ``write_json``, before nextpnr sees it.
    """

    name: str
    tools: tuple[Tool, ...]
    cells: dict[str, dict[str, float]]
    block_modes: tuple[tuple[int, int], ...]
    block_cells: tuple[str, ...]
    block_cost: int
    lut_ram: tuple[int, int] | None
    lut_ram_cost: int
    multiplier: Callable[[int, int], float]
    luts: tuple[float, float]
    serial_luts: tuple[float, float]
    bitstream: str
    pll: PllKind
    synth_opts: str = ""
    script_after_read: str = ""
    place_opts: str = ""
    freq: bool = False
    finish: Callable[[dict[str, Any]], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Chip:
    """What a chip holds.

    Parameters
    ----------
    name : str
        With speed grade and package.
    part : str
        As the platform names it.
    family : Family
        What its cells are.
    lut, ff, bram, dsp, spram : int
        Look-up tables, flip-flops, block RAMs, multipliers, single-port RAMs.
    """

    name: str
    part: str
    family: Family
    lut: int
    ff: int
    bram: int
    dsp: int
    spram: int = 0


@dataclass(frozen=True, kw_only=True)
class Programmer:
    """How a bitstream gets into a board.

    Parameters
    ----------
    program : str
        Name of the tool.
    variable : str
        Environment variable through which a user may name another one.
    package : str
        What to install if it is missing.
    arguments : tuple of str
        Before the bitstream.
    cable : str
        What must be plugged in.
    """

    program: str
    variable: str
    package: str
    arguments: tuple[str, ...]
    cable: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board.

    Parameters
    ----------
    name : str
        As on the command line.
    title : str
        As its makers write it.
    chip : Chip
        What it holds.
    platform : callable
        Makes the platform with all its pins, fresh for every build.
    reference_mhz : float
        Clock of the crystal.
    clock_mhz : float
        Clock of the core unless the user names one.
    programmer : Programmer
        How a bitstream gets there.
    uart : str
        Where the serial line is, for people.
    """

    name: str
    title: str
    chip: Chip
    platform: Callable[[], Any]
    reference_mhz: float
    clock_mhz: float
    programmer: Programmer
    uart: str = "on the USB connector"

    @property
    def family(self) -> Family:
        """What the chip's cells are."""
        return self.chip.family

    @property
    def device(self) -> str:
        """Chip, with speed grade and package."""
        return self.chip.name
