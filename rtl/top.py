"""The device: serial link and core. A board adds clock and pins, the simulated device runs this same top."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from solsa.contract import NetworkConfig

from .core import Core
from .link import Link


class Device(wiring.Component):
    """Core behind a serial line.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, lanes, formats.
    divisor : int
        Clocks per bit of the serial line, at least 4.
    """

    def __init__(self, config: NetworkConfig, *, divisor: int) -> None:
        self.config, self.divisor = config, divisor
        super().__init__(
            {
                #: Serial line from the host, asynchronous, idle high.
                "rx": In(1, init=1),
                #: Serial line to the host, idle high.
                "tx": Out(1, init=1),
                #: A time step is under way (an LED on boards).
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link = Link(self.config, self.divisor)
        m.submodules.core = core = Core(self.config)
        for name in ("bus", "inputs", "targets", "command"):
            connect(m, getattr(link, name), getattr(core, name))
        m.d.comb += [
            link.busy.eq(core.busy),
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            self.busy.eq(core.busy),
        ]
        return m
