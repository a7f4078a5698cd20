"""The device: link and core, behind a serial line or the bytes of one. A board adds clock and pins."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

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

    A byte takes two clocks at most in either direction, which is less than the CRC takes. Registers at both ends keep
    the inputs away from all logic: a simulation would evaluate what hangs on them twice per clock.

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
        _add_register(m, self.i, link.i)
        _add_register(m, link.o, self.o)
        return m


def _add_core(m: Module, link: Link | ByteLink, outside: Device | ByteDevice) -> None:
    m.submodules.core = core = Core(outside.config)
    for name in ("bus", "inputs", "targets", "command"):
        connect(m, getattr(link, name), getattr(core, name))
    m.d.comb += [link.busy.eq(core.busy), outside.busy.eq(core.busy)]


def _add_register(m: Module, source: wiring.PureInterface, sink: wiring.PureInterface) -> None:
    """Pass a stream on through a register, without logic from one end to the other."""
    valid, payload = Signal(), Signal(8)
    m.d.comb += [source.ready.eq(~valid), sink.valid.eq(valid), sink.payload.eq(payload)]
    with m.If(valid):
        m.d.sync += valid.eq(~sink.ready)
    with m.Else():
        m.d.sync += [valid.eq(source.valid), payload.eq(source.payload)]
