"""Platforms that amaranth-boards lacks, or that need a word more than it says."""

from __future__ import annotations

from typing import Any

from amaranth.build import Attrs, Clock, Pins, Resource
from amaranth.vendor import GowinPlatform, LatticeECP5Platform
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform, OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import ButtonResources, LEDResources, UARTResource
from amaranth_boards.tang_nano_9k import TangNano9kPlatform

_LVCMOS33 = {"IO_TYPE": "LVCMOS33"}


# -- Colorlight ------------------------------------------------------------------------------------------------------
# LED receiver cards on a SODIMM edge, on the extension board of Muse Lab, whose DAP link has a serial port.
# Pins: https://github.com/wuxx/Colorlight-FPGA-Projects (README.md for the i5, colorlight_i9_v7.2.md: clock P3, LED
# U16 or L2); serial port of the extension board (J17 out of the FPGA, H18 into it) after
# https://github.com/litex-hub/litex-boards, platforms/colorlight_i5.py, which has the same for both cards.
class _ColorlightPlatform(LatticeECP5Platform):
    package = "BG381"
    speed = "6"
    default_clk = "clk25"
    connectors: list[Any] = []

    @staticmethod
    def _resources(led: str) -> list[Any]:
        return [
            Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), Attrs(**_LVCMOS33)),
            *LEDResources(pins=led, invert=True, attrs=Attrs(**_LVCMOS33)),
            UARTResource(0, rx="H18", tx="J17", attrs=Attrs(PULLMODE="UP", **_LVCMOS33)),
        ]


class ColorlightI5Platform(_ColorlightPlatform):
    """Colorlight i5 v7.0 on the extension board."""

    device = "LFE5U-25F"
    resources = _ColorlightPlatform._resources(led="U16")


class ColorlightI9Platform(_ColorlightPlatform):
    """Colorlight i9 v7.2 on the extension board."""

    device = "LFE5U-45F"
    resources = _ColorlightPlatform._resources(led="L2")


# -- OrangeCrab ------------------------------------------------------------------------------------------------------
# The USB connector goes to pins of the FPGA, so there is no serial port: header pins 0 and 1, which are RX and TX of
# the Feather form (https://learn.adafruit.com/adafruit-feather/feather-specification), take a 3.3 V USB serial cable.
def _orangecrab(base: type[LatticeECP5Platform]) -> type[LatticeECP5Platform]:
    class OrangeCrab(base):
        resources = [
            *base.resources,
            UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(PULLMODE="UP", **_LVCMOS33)),
        ]
        # without dfu-suffix, which marks a file for dfu-util 1.x: it must not be needed for a build
        required_tools = LatticeECP5Platform.required_tools
        command_templates = LatticeECP5Platform.command_templates

    return OrangeCrab


OrangeCrab25FPlatform = _orangecrab(OrangeCrabR0_2_25FPlatform)
OrangeCrab85FPlatform = _orangecrab(OrangeCrabR0_2_85FPlatform)


# -- Gowin -----------------------------------------------------------------------------------------------------------
class _HimbaechelMixin:
    """Calls nextpnr-himbaechel: amaranth 0.5 still calls nextpnr-gowin, which is gone and took other options."""

    required_tools = ["yosys", "nextpnr-himbaechel-gowin", "gowin_pack"]
    _nextpnr = r"""
        {{invoke_tool("nextpnr-himbaechel-gowin")}}
            {{quiet("--quiet")}}
            {{get_override("nextpnr_opts")|options}}
            --log {{name}}.tim
            --device {{platform.part}}
            --vopt family={{platform._chipdb_device}}
            --vopt cst={{name}}.cst
            --json {{name}}.syn.json
            --write {{name}}.pnr.json
        """

    @property
    def command_templates(self) -> list[str]:
        yosys, _, pack = GowinPlatform._apicula_command_templates
        return [yosys, self._nextpnr, pack]


class TangNano9kHimbaechelPlatform(_HimbaechelMixin, TangNano9kPlatform):
    """Tang Nano 9K with the present nextpnr."""


# Pins: https://github.com/sipeed/sipeed_wiki (docs/hardware/en/tang/tang-nano-20k) and
# https://github.com/litex-hub/litex-boards, platforms/sipeed_tang_nano_20k.py: clock 4, serial port of the BL616
# 70 into the FPGA and 69 out of it, LEDs 15 to 20 lit by 0, buttons 88 and 87.
class TangNano20kPlatform(_HimbaechelMixin, GowinPlatform):
    """Tang Nano 20K."""

    part = "GW2AR-LV18QN88C8/I7"
    family = "GW2AR-18C"
    #: The R stands for memory in the package; die and chip data base are those of the GW2A.
    _chipdb_device = "GW2A-18C"
    default_clk = "clk27"
    resources = [
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), Attrs(**_LVCMOS33)),
        *LEDResources(pins="15 16 17 18 19 20", invert=True, attrs=Attrs(**_LVCMOS33)),
        *ButtonResources(pins="88 87", attrs=Attrs(**_LVCMOS33)),
        UARTResource(0, rx="70", tx="69", attrs=Attrs(PULL_MODE="UP", **_LVCMOS33)),
    ]
    connectors: list[Any] = []

    def toolchain_prepare(self, fragment: Any, name: str, **options: Any) -> Any:
        options.setdefault("gowin_pack_opts", "--sspi_as_gpio --mspi_as_gpio")
        return super().toolchain_prepare(fragment, name, **options)
