"""The models of sim/cells against the RTL: memories and products, synthesised, and compared in every clock."""

from __future__ import annotations

import ctypes
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.back import rtlil, verilog
from amaranth.hdl import Cat, Elaboratable, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.boards import logs
from solsa.boards.catalogue import find_board
from solsa.boards.memories import COLLISIONS
from solsa.boards.tools import find_tools
from solsa.sim.netlist import Design, Netlist, synthesise, verilate

HARNESS = Path(__file__).with_name("cells.cpp")
CLOCKS = 20_000
#: Width and depth of every mode of a DP16KD.
MODES = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
#: Width and sign of the operands: those that one MULT18X18D takes and those that several share.
PRODUCTS = (((18, True), (18, True)), ((18, False), (17, True)), ((16, False), (16, False)), ((24, True), (20, True)))
BOARDS = {"ecp5": "ulx3s_85f", "ice40": "icebreaker"}


class Memories(wiring.Component):
    """A memory of every mode with random content, written and read at few addresses so that both often meet."""

    def __init__(self) -> None:
        super().__init__({"x": In(64), "y": Out(sum(width for width, _ in MODES))})

    def elaborate(self, platform: object) -> Module:
        m, rng, words = Module(), np.random.default_rng(3), []
        for width, depth in MODES:
            memory = Memory(shape=width, depth=depth, init=[int(v) for v in rng.integers(0, 1 << width, depth)])
            m.submodules[f"memory{width}"] = memory
            read, write = memory.read_port(), memory.write_port()
            top, high = depth.bit_length() - 2, [self.x[50], self.x[51]]
            for port, low, bit in ((read, self.x[:3], high[0]), (write, self.x[3:6], high[1])):
                m.d.comb += [port.addr[:3].eq(low), port.addr[top - 1].eq(bit), port.addr[top].eq(bit)]
            m.d.comb += [read.en.eq(self.x[6]), write.en.eq(self.x[7]), write.data.eq(self.x[8:50])]
            words.append(read.data)
        m.d.comb += self.y.eq(Cat(words))
        return m


class Products(wiring.Component):
    """Multipliers of several widths and signs."""

    def __init__(self) -> None:
        super().__init__({"x": In(64), "y": Out(sum(a[0] + b[0] for a, b in PRODUCTS))})

    def elaborate(self, platform: object) -> Module:
        m, words = Module(), []
        for index, ((left, left_signed), (right, right_signed)) in enumerate(PRODUCTS):
            a = Signal(Shape(left, left_signed), name=f"a{index}")
            b = Signal(Shape(right, right_signed), name=f"b{index}")
            product = Signal(left + right, name=f"product{index}")
            m.d.sync += [a.eq(self.x[index:]), b.eq(self.x[30:]), product.eq(a * b)]
            words.append(product)
        m.d.comb += self.y.eq(Cat(words))
        return m


class Miscompiled(wiring.Component):
    """A multiplier with registers, those behind it without reset: yosys makes constants of it for iCE40."""

    def __init__(self) -> None:
        super().__init__({"x": In(64), "y": Out(24)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = Signal(Shape(12, True)), Signal(12)
        first = Signal(Shape(24, True), reset_less=True)
        second = Signal(Shape(24, True), reset_less=True)
        m.d.sync += [a.eq(self.x[:12]), b.eq(self.x[12:24]), first.eq(a * b), second.eq(first)]
        m.d.comb += self.y.eq(second)
        return m


def _synthesise(family: str, design: Elaboratable, before: str = "") -> Netlist:
    board = find_board(BOARDS[family])
    environment, _ = find_tools(board)
    script = f"read_rtlil top.il\n{before}\nsynth_{family} {board.family.synth_opts} -top top"
    text = rtlil.convert(design, name="top", emit_src=False)
    design = Design(family, text, script, {}, finish=board.family.finish)
    return synthesise(design, environment["YOSYS"], environment)


def _differ(netlist: Netlist, design: Elaboratable) -> int:
    """Clocks of CLOCKS in which the netlist and the design it was made from differ."""
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    width = len(design.y)
    reference = verilog.convert(design, name="reference", emit_src=False)
    top = (
        "module top(input clk, rst, input [63:0] x, output differ);\n"
        f"  wire [{width - 1}:0] got, expected;\n"
        "  netlist netlist(.clk(clk), .rst(rst), .x(x), .y(got));\n"
        "  reference reference(.clk(clk), .rst(rst), .x(x), .y(expected));\n"
        "  assign differ = got != expected;\n"
        "endmodule\n"
    )
    text = netlist.verilog + reference + top
    library = ctypes.CDLL(str(verilate(netlist.design.family, text, [HARNESS], "#pragma once\n", name="cells")))
    library.cells_differ.argtypes, library.cells_differ.restype = [ctypes.c_int64], ctypes.c_int64
    return library.cells_differ(CLOCKS)


@pytest.mark.slow
def test_block_ram_of_ecp5() -> None:
    """Every width; yosys adds the logic that makes words right that are read while they are written."""
    netlist = _synthesise("ecp5", Memories())
    for width, _ in MODES:
        assert f".DATA_WIDTH_B(32'd{width})" in netlist.verilog
    assert netlist.cells["DP16KD"] == len(MODES)
    assert _differ(netlist, Memories()) == 0


@pytest.mark.slow
def test_a_word_read_while_it_is_written_is_found() -> None:
    """Told that such words are never used, yosys leaves that logic out, and this design does use them."""
    assert _differ(_synthesise("ecp5", Memories(), COLLISIONS), Memories()) > CLOCKS // 100


class Registered(wiring.Component):
    """A memory whose words pass a register, read while others are written."""

    def __init__(self) -> None:
        super().__init__({"x": In(64), "y": Out(36)})

    def elaborate(self, platform: object) -> Module:
        m, rng = Module(), np.random.default_rng(4)
        m.submodules.memory = memory = Memory(shape=36, depth=512, init=[int(v) for v in rng.integers(0, 1 << 36, 512)])
        read, write = memory.read_port(), memory.write_port()
        late = Signal(36, reset_less=True)
        m.d.sync += late.eq(read.data)
        m.d.comb += [
            read.addr.eq(Cat(self.x[:4], self.x[4:8], 0)),
            write.addr.eq(Cat(self.x[8:16], 1)),
            write.en.eq(self.x[16]),
            write.data.eq(self.x[17:53]),
            self.y.eq(late),
        ]
        return m


@pytest.mark.slow
def test_multipliers_of_ecp5() -> None:
    """Of the registers around them, those inside the multipliers are used where they can be."""
    netlist = _synthesise("ecp5", Products())
    assert netlist.cells["MULT18X18D"] > len(PRODUCTS)
    assert netlist.verilog.count('.REG_OUTPUT_CLK("CLK0")') >= 3
    assert netlist.verilog.count('.REG_INPUTA_CLK("CLK0")') >= 3
    assert _differ(netlist, Products()) == 0


@pytest.mark.slow
def test_output_register_of_ecp5() -> None:
    netlist = _synthesise("ecp5", Registered())
    assert netlist.verilog.count('"OUTREG"') == 2
    assert _differ(netlist, Registered()) == 0


@pytest.mark.slow
def test_a_register_that_got_lost_is_found() -> None:
    """Planted: the flip-flops are gone, and the register inside the block RAM is not in use."""
    netlist = _synthesise("ecp5", Registered())
    lost = replace(netlist, verilog=netlist.verilog.replace('"OUTREG"', '"NOREG"'))
    assert _differ(lost, Registered()) > CLOCKS // 100


@pytest.mark.slow
def test_known_miscompile_is_found_both_ways() -> None:
    """Yosys ends with exit status 0; its warning and the comparison both show what happened."""
    netlist = _synthesise("ice40", Miscompiled())
    assert "Resolved using constant" in logs.driver_conflict(netlist.log)
    assert _differ(netlist, Miscompiled()) > CLOCKS // 2
