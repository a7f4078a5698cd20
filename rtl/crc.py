"""CRC-32 of the frames (ISO-HDLC, as zlib), one bit per clock.

A byte takes at least 40 clocks on the serial line, so the eight clocks of a bit-serial register cost no time and save
about 40 LUTs against the byte-wide XOR network of ``amaranth.lib.crc``.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from solsa.contract.wire import CRC_RESIDUE

#: Polynomial 0x04C11DB7 with its bits reversed.
POLYNOMIAL = 0xEDB88320
ONES = 0xFFFFFFFF


class Crc32(wiring.Component):
    """CRC register with a byte stream at its input; the eighth clock of a byte accepts it."""

    def __init__(self) -> None:
        super().__init__(
            {
                #: Back to the empty message; not while a byte is being taken.
                "start": In(1),
                #: Bytes of the message.
                "i": In(stream.Signature(8)),
                #: Shift eight bits out instead of dividing; the byte at ``i`` is ignored.
                "unload": In(1),
                #: No bit of the byte at ``i`` has been taken yet.
                "first": Out(1),
                #: With ``first``: next byte of the CRC in the order of the wire.
                "low": Out(8),
                #: The message ended with its own CRC.
                "good": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        register = Signal(32, init=ONES)
        place = Signal(3)
        feedback = Signal()
        m.d.comb += [
            feedback.eq(~self.unload & (register[0] ^ self.i.payload.bit_select(place, 1))),
            self.i.ready.eq(place == 7),
            self.first.eq(place == 0),
            self.low.eq(~register[:8]),
            self.good.eq(register == CRC_RESIDUE ^ ONES),
        ]
        with m.If(self.i.valid):
            m.d.sync += [place.eq(place + 1), register.eq(Cat(register[1:], 0) ^ Mux(feedback, POLYNOMIAL, 0))]
        with m.If(self.start):
            m.d.sync += register.eq(ONES)
        return m
