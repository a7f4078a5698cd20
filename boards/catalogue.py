"""The boards, a few lines each."""

from __future__ import annotations

import difflib
from typing import Any

from amaranth_boards.ecpix5 import ECPIX545Platform, ECPIX585Platform
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.icesugar_pro import ICESugarProPlatform
from amaranth_boards.ulx3s import (
    ULX3S_12F_Platform,
    ULX3S_25F_Platform,
    ULX3S_45F_Platform,
    ULX3S_85F_Platform,
)

from solsa.contract import ConfigError

from .board import Board, Chip, Programmer
from .families import ECP5, GW1N, GW2A, ICE40
from .platforms import (
    ColorlightI5Platform,
    ColorlightI9Platform,
    OrangeCrab25FPlatform,
    OrangeCrab85FPlatform,
    TangNano9kHimbaechelPlatform,
    TangNano20kPlatform,
)

#: (LUTs, flip-flops, block RAMs, multipliers) of FPGA-DS-02012, table 1.1. The die of the 12F is that of the 25F and
#: the tools would use all of it; what counts here is what was sold.
_ECP5_SIZES = {
    "12F": (12144, 12144, 32, 28),
    "25F": (24288, 24288, 56, 28),
    "45F": (43848, 43848, 108, 72),
    "85F": (83640, 83640, 208, 156),
}

#: Clock of the core on ECP5 boards, through the PLL: what a core of many lanes reaches on the slowest speed grade.
_ECP5_MHZ = 75.0


def _ecp5(size: str, speed_package: str, series: str = "LFE5U") -> Chip:
    lut, ff, bram, dsp = _ECP5_SIZES[size]
    return Chip(
        name=f"{series}-{size}-{speed_package}",
        part=f"{series}-{size}",
        family=ECP5,
        lut=lut,
        ff=ff,
        bram=bram,
        dsp=dsp,
    )


_UP5K = Chip(name="iCE40UP5K-SG48", part="iCE40UP5K", family=ICE40, lut=5280, ff=5280, bram=30, dsp=8, spram=4)
_GW1NR9 = Chip(name="GW1NR-LV9QN88PC6/I5", part="GW1NR-9C", family=GW1N, lut=8640, ff=6480, bram=26, dsp=20)
_GW2AR18 = Chip(name="GW2AR-LV18QN88C8/I7", part="GW2AR-18C", family=GW2A, lut=20736, ff=15552, bram=46, dsp=48)


def _loader(*arguments: str, cable: str) -> Programmer:
    return Programmer(
        program="openFPGALoader",
        variable="OPENFPGALOADER",
        package="openFPGALoader (Debian: openfpgaloader)",
        arguments=arguments,
        cable=cable,
    )


_ICEPROG = Programmer(
    program="iceprog",
    variable="ICEPROG",
    package="fpga-icestorm",
    arguments=(),
    cable="the board's USB connector",
)
_DFU = Programmer(
    program="dfu-util",
    variable="DFU_UTIL",
    package="dfu-util",
    arguments=("-d", "1209:5af0", "-a", "0", "-D"),
    cable="the board's USB connector, with its button held while it is plugged in",
)
_USB = "the board's USB connector"


def _ulx3s(size: str, platform: Any) -> Board:
    return Board(
        name=f"ulx3s_{size.lower()}",
        title=f"ULX3S-{size}",
        chip=_ecp5(size, "6BG381C"),
        platform=platform,
        reference_mhz=25.0,
        clock_mhz=_ECP5_MHZ,
        programmer=_loader("-b", "ulx3s", cable="USB connector US1"),
        uart="on USB connector US1",
    )


def _colorlight(name: str, size: str, platform: Any) -> Board:
    return Board(
        name=f"colorlight_{name}",
        title=f"Colorlight {name} with extension board",
        chip=_ecp5(size, "6BG381C"),
        platform=platform,
        reference_mhz=25.0,
        clock_mhz=_ECP5_MHZ,
        programmer=_loader("-b", f"colorlight-{name}", cable="the extension board's USB connector"),
        uart="on the extension board's USB connector",
    )


def _ecpix5(size: str, platform: Any) -> Board:
    return Board(
        name=f"ecpix5_{size.lower()}",
        title=f"ECPIX-5 {size[:-1]}F",
        chip=_ecp5(size, "8BG554C", series="LFE5UM5G"),
        platform=platform,
        reference_mhz=100.0,
        clock_mhz=_ECP5_MHZ,
        programmer=_loader("-b", f"ecpix5{'_r03' if size == '85F' else ''}", cable="the board's micro-USB connector"),
        uart="on the micro-USB connector",
    )


def _orangecrab(size: str, platform: Any) -> Board:
    return Board(
        name=f"orangecrab_{size.lower()}",
        title=f"OrangeCrab r0.2 {size}",
        chip=_ecp5(size, "8MG285C"),
        platform=platform,
        reference_mhz=48.0,
        clock_mhz=48.0,
        programmer=_DFU,
        uart="header pins 0 (into the FPGA) and 1 (out of it), 3.3 V",
    )


_ALL = (
    Board(
        name="icebreaker",
        title="iCEBreaker",
        chip=_UP5K,
        platform=ICEBreakerPlatform,
        reference_mhz=12.0,
        clock_mhz=24.0,
        programmer=_ICEPROG,
    ),
    _ulx3s("12F", ULX3S_12F_Platform),
    _ulx3s("25F", ULX3S_25F_Platform),
    _ulx3s("45F", ULX3S_45F_Platform),
    _ulx3s("85F", ULX3S_85F_Platform),
    Board(
        name="icesugar_pro",
        title="iCESugar Pro",
        chip=_ecp5("25F", "6BG256C"),
        platform=ICESugarProPlatform,
        reference_mhz=25.0,
        clock_mhz=_ECP5_MHZ,
        programmer=_loader("-c", "cmsisdap", cable=_USB),
    ),
    _ecpix5("45F", ECPIX545Platform),
    _ecpix5("85F", ECPIX585Platform),
    _colorlight("i5", "25F", ColorlightI5Platform),
    _colorlight("i9", "45F", ColorlightI9Platform),
    _orangecrab("25F", OrangeCrab25FPlatform),
    _orangecrab("85F", OrangeCrab85FPlatform),
    Board(
        name="tang_nano_9k",
        title="Tang Nano 9K",
        chip=_GW1NR9,
        platform=TangNano9kHimbaechelPlatform,
        reference_mhz=27.0,
        clock_mhz=27.0,
        programmer=_loader("-b", "tangnano9k", cable=_USB),
    ),
    Board(
        name="tang_nano_20k",
        title="Tang Nano 20K",
        chip=_GW2AR18,
        platform=TangNano20kPlatform,
        reference_mhz=27.0,
        clock_mhz=27.0,
        programmer=_loader("-b", "tangnano20k", cable=_USB),
    ),
)
BOARDS = {board.name: board for board in _ALL}


def find_board(name: str) -> Board:
    """Board of a name.

    Raises
    ------
    ConfigError
        For an unknown one; close names are suggested.
    """
    if name in BOARDS:
        return BOARDS[name]
    plain = name.lower().replace("-", "_")
    near = [plain] if plain in BOARDS else difflib.get_close_matches(plain, BOARDS, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(BOARDS)}"
    raise ConfigError(f"board {name!r} is not known, {hint}")
