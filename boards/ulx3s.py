"""ULX3S: ECP5 with a USB serial port, at the 25 MHz of its crystal."""

from __future__ import annotations

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from solsa.contract import NetworkConfig
from solsa.rtl.top import Device

from .board import ECP5, Board


class Ulx3sTop(Elaboratable):
    """The device on the pins of a ULX3S: serial line through USB, LED 0 lit while a time step is under way.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, lanes, formats.
    divisor : int
        Clocks per bit of the serial line.
    """

    def __init__(self, config: NetworkConfig, divisor: int) -> None:
        self.config, self.divisor = config, divisor

    def elaborate(self, platform: ULX3S_85F_Platform) -> Module:
        m = Module()
        m.submodules.device = device = Device(self.config, divisor=self.divisor)
        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-", "rts": "-", "dtr": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.d.comb += [device.rx.eq(rx.i), tx.o.eq(device.tx), led.o.eq(device.busy)]
        return m


ULX3S_85F = Board(
    name="ulx3s_85f",
    device="LFE5U-85F-6BG381C",
    family=ECP5,
    platform=ULX3S_85F_Platform,
    top=Ulx3sTop,
    clock_mhz=25.0,
    bram=208,
    dsp=156,
)
