"""From the serial line to the ports of the core: this file only connects."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from solsa.contract import NetworkConfig

from .bus import core_ports
from .command import CommandProcessor
from .frame_queue import FrameQueue
from .frames import FrameReceiver, FrameTransmitter
from .uart import UartReceiver, UartTransmitter


class ByteLink(wiring.Component):
    """The link without its serial line; for simulations, and for boards with another byte stream.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, readout and size of a frame.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        super().__init__(
            {
                #: Bytes from the host.
                "i": In(stream.Signature(8)),
                #: Bytes to the host.
                "o": Out(stream.Signature(8)),
                **core_ports(),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        frame, slots = self.config.frame_bytes, self.config.reply_slots
        receiver = FrameQueue(frame, slots) if slots else FrameReceiver(frame)
        m.submodules.receiver = receiver
        m.submodules.processor = processor = CommandProcessor(self.config)
        m.submodules.transmitter = transmitter = FrameTransmitter(frame, slots, self.config.outputs)
        connect(m, flipped(self.i), receiver.i)
        connect(m, receiver.request, processor.request)
        connect(m, processor.reply, transmitter.body)
        connect(m, transmitter.o, flipped(self.o))
        m.d.comb += [
            transmitter.send.eq(processor.send),
            processor.accepted.eq(transmitter.accepted),
            transmitter.nak.eq(receiver.damaged),
        ]
        if slots:
            m.d.comb += [
                transmitter.keep.eq(processor.keep),
                transmitter.slot.eq(processor.slot),
                transmitter.refuse.eq(processor.refuse),
                processor.kept.eq(transmitter.kept),
            ]
        _connect_core(m, processor, self)
        return m


class Link(wiring.Component):
    """The link as a board uses it.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, readout and size of a frame.
    divisor : int
        Clocks per bit of the serial line, at least 4.
    """

    def __init__(self, config: NetworkConfig, divisor: int) -> None:
        self.config, self.divisor = config, divisor
        super().__init__(
            {
                #: Serial line from the host, asynchronous, idle high.
                "rx": In(1, init=1),
                #: Serial line to the host, idle high.
                "tx": Out(1, init=1),
                **core_ports(),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        m.submodules.bytes = link = ByteLink(self.config)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        connect(m, receiver.o, link.i)
        connect(m, link.o, transmitter.i)
        _connect_core(m, link, self)
        return m


def _connect_core(m: Module, inner: wiring.Component, outer: wiring.Component) -> None:
    for name in ("bus", "inputs", "targets", "command"):
        connect(m, getattr(inner, name), flipped(getattr(outer, name)))
    m.d.comb += inner.busy.eq(outer.busy)
