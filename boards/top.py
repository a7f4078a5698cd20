"""The device on the pins of a board: one top for all boards."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, Module
from amaranth.lib import io

from solsa.contract import NetworkConfig
from solsa.rtl.top import Device

from .clocks import PllDomain
from .pll import PllSettings


class BoardTop(Elaboratable):
    """Serial line on resource ``uart``; the first LED, or the green one of the first RGB LED, lit during a time step.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, lanes, formats.
    divisor : int
        Clocks per bit of the serial line.
    pll : PllSettings, optional
        Without it the core runs at the crystal's clock.
    """

    def __init__(self, config: NetworkConfig, divisor: int, pll: PllSettings | None = None) -> None:
        self.config, self.divisor, self.pll = config, divisor, pll

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.pll is not None:
            m.domains += ClockDomain("sync")
            m.submodules.clocks = PllDomain(self.pll)
        m.submodules.device = device = Device(self.config, divisor=self.divisor)
        uart = _pins(platform, "uart")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [device.rx.eq(rx.i), tx.o.eq(device.tx)]
        if ("led", 0) in platform.resources:
            m.submodules.led = led = io.Buffer("o", _pins(platform, "led"))
            m.d.comb += led.o.eq(device.busy)
            return m
        colours = _pins(platform, "rgb_led")
        for name in ("r", "g", "b"):  # an unconnected pin would glow
            m.submodules[f"led_{name}"] = led = io.Buffer("o", getattr(colours, name))
            if name == "g":
                m.d.comb += led.o.eq(device.busy)
        return m


def _pins(platform: Any, name: str) -> Any:
    """Bare pins of a resource, however many parts it has."""
    parts = platform.lookup(name, 0).ios
    whole = not hasattr(parts[0], "ios")
    return platform.request(name, 0, dir="-" if whole else {part.name: "-" for part in parts})
