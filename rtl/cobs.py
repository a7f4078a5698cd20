"""Consistent overhead byte stuffing (Cheshire and Baker, 1999), delimiter 0x00.

A block is a code byte c and c - 1 bytes that are not zero. It stands for those bytes and a zero after them, except
that the zero is left out after a block with c = 255 and after the last block of a frame.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from solsa.contract.wire import DELIMITER

FULL = 255


#: A decoded byte, or the end of a frame.
Decoded = data.StructLayout(
    {
        #: The byte; without meaning at the end.
        "byte": 8,
        #: The frame has ended; its bytes were sent before.
        "end": 1,
        #: With ``end``: the delimiter stood inside a block.
        "error": 1,
    }
)


class CobsDecoder(wiring.Component):
    """Decoder without storage: an encoded byte makes at most one item, in the same clock.

    A delimiter that follows a delimiter (or reset) makes none, so empty frames vanish.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                #: Encoded bytes, any sequence.
                "i": In(stream.Signature(8)),
                #: Decoded frames.
                "o": Out(stream.Signature(Decoded)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Bytes up to and including the next code byte.
        left = Signal(8, init=1)
        inside = Signal()
        zero_follows = Signal()
        code_next, silent, delimiter = Signal(), Signal(), Signal()
        m.d.comb += [
            code_next.eq(left == 1),
            delimiter.eq(self.i.payload == DELIMITER),
            # Nothing to say: an empty frame, a code byte that no zero precedes.
            silent.eq(Mux(delimiter, ~inside, code_next & ~zero_follows)),
            self.o.valid.eq(self.i.valid & ~silent),
            self.i.ready.eq(self.o.ready | silent),
            self.o.p.byte.eq(Mux(code_next, 0, self.i.payload)),
            self.o.p.end.eq(delimiter),
            self.o.p.error.eq(~code_next),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += inside.eq(~delimiter)
            with m.If(delimiter):
                m.d.sync += [left.eq(1), zero_follows.eq(0)]
            with m.Elif(code_next):
                m.d.sync += [left.eq(self.i.payload), zero_follows.eq(self.i.payload != FULL)]
            with m.Else():
                m.d.sync += left.eq(left - 1)
        return m


class CobsEncoder(wiring.Component):
    """Encoder of a frame that lies in a memory, read synchronously.

    A block's code precedes its bytes: ``head`` looks for the block's end (three clocks per byte) while ``tail`` stays
    at its begin; then ``tail`` follows, sending. Against a stuffed copy of the frame this needs no second memory.

    Parameters
    ----------
    depth : int
        Bytes of the memory, a power of two.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        super().__init__(
            {
                #: Encode bytes 0 to ``length`` - 1; ignored while ``busy``.
                "start": In(1),
                #: Bytes of the frame, constant while ``busy``.
                "length": In(range(depth + 1)),
                #: Address of the memory's read port ...
                "address": Out(range(depth)),
                #: ... and what it read a clock later.
                "data": In(8),
                #: Encoded frame with its delimiter.
                "o": Out(stream.Signature(8)),
                #: From the clock after ``start`` until the delimiter has been taken.
                "busy": Out(1, init=0),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        head, tail = Signal.like(self.length), Signal.like(self.length)
        code = Signal(8)
        at_end = Signal()
        # Registers, because block RAM is slow to answer.
        byte, zero = Signal(8), Signal()
        m.d.sync += [byte.eq(self.data), zero.eq(self.data == 0)]
        m.d.comb += [at_end.eq(head == self.length), self.address.eq(tail), self.busy.eq(1)]

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                m.d.sync += [head.eq(0), tail.eq(0), code.eq(1)]
                with m.If(self.start):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += self.address.eq(head)
                m.next = "READ"
            with m.State("READ"):
                m.next = "TEST"
            with m.State("TEST"):
                with m.If(at_end | zero | (code == FULL)):
                    m.next = "CODE"
                with m.Else():
                    m.d.sync += [head.eq(head + 1), code.eq(code + 1)]
                    m.next = "LOOK"
            with m.State("CODE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(code)]
                with m.If(self.o.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):
                with m.If(tail != head):
                    m.next = "LOAD"
                with m.Elif(at_end):
                    m.next = "DELIMITER"
                with m.Else():
                    m.d.sync += code.eq(1)
                    with m.If(code != FULL):  # the block stands for the zero as well
                        m.d.sync += [head.eq(head + 1), tail.eq(tail + 1)]
                    m.next = "LOOK"
            with m.State("LOAD"):
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(byte)]
                with m.If(self.o.ready):
                    m.d.sync += tail.eq(tail + 1)
                    m.next = "FETCH"
            with m.State("DELIMITER"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(DELIMITER)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
