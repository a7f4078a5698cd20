"""The device: link and core, behind a serial line or the bytes of one. A board adds clock and pins."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from solsa.contract import NetworkConfig

from .core import Core
from .link import ByteLink, Link


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
        _add_core(m, link, self)
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]
        return m


class ByteDevice(wiring.Component):
    """The same core behind the same frames without the serial line, whose 40 clocks per byte a simulation would count.

    A board whose byte stream has a handshake (a FIFO over USB) would use it as well.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, lanes, formats.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        super().__init__(
            {
                #: Bytes from the host.
                "i": In(stream.Signature(8)),
                #: Bytes to the host.
                "o": Out(stream.Signature(8)),
                #: A time step is under way.
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link = ByteLink(self.config)
        _add_core(m, link, self)
        connect(m, flipped(self.i), link.i)
        connect(m, link.o, flipped(self.o))
        return m


def _add_core(m: Module, link: Link | ByteLink, outside: Device | ByteDevice) -> None:
    m.submodules.core = core = Core(outside.config)
    for name in ("bus", "inputs", "targets", "command"):
        connect(m, getattr(link, name), getattr(core, name))
    m.d.comb += [link.busy.eq(core.busy), outside.busy.eq(core.busy)]
