"""Whole frames: from encoded bytes to a checked request, from the bytes of a reply to encoded bytes.

Receiver and transmitter have a buffer each, so a request may arrive while the reply before it is still being sent.
The line never blocks the receiver and the receiver never blocks the line.

No byte of a buffer is read while it is written (the states exclude it), so the read ports may be called transparent:
that is what yosys emulates with the fewest LUTs on iCE40.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from cobs import cobs

from solsa.contract.wire import CRC_BYTES, NAK, REFUSED, REPLY_HEADER, REQUEST_HEADER, RUN_HEADER

from .cobs import CobsDecoder, CobsEncoder
from .crc import Crc32

#: What goes over the line after a damaged frame.
NAK_BYTES = cobs.encode(NAK) + b"\0"
#: And after a request that is out of order.
REFUSED_BYTES = cobs.encode(REFUSED) + b"\0"
#: Bytes of a reply without payload.
SHORTEST = REPLY_HEADER + CRC_BYTES
assert len(REFUSED_BYTES) == len(NAK_BYTES)


class Request(wiring.Signature):
    """A good frame, seen from the receiver that holds it until it is released.

    Parameters
    ----------
    frame_bytes : int
        Largest frame.
    """

    def __init__(self, frame_bytes: int) -> None:
        super().__init__(
            {
                #: Sequence, opcode, payload; never valid without a good frame.
                "body": Out(stream.Signature(8)),
                #: Bytes of the payload.
                "length": Out(range(frame_bytes)),
                #: Every byte has been taken.
                "empty": Out(1),
                #: Continue with the data of a RUN request (payload byte 5).
                "rewind": In(1),
                #: The frame is done with; the next one may come.
                "release": In(1),
            }
        )


class FrameReceiver(wiring.Component):
    """Decoder, CRC check and buffer.

    Bytes that arrive while a request is held are lost; the rest of their frame then counts as damaged.

    Parameters
    ----------
    frame_bytes : int
        Largest frame (decoded, with CRC), a power of two.
    """

    def __init__(self, frame_bytes: int) -> None:
        self.frame_bytes = frame_bytes
        super().__init__(
            {
                #: Bytes of the line; waits at most ten clocks.
                "i": In(stream.Signature(8)),
                #: The good frame.
                "request": Out(Request(frame_bytes)),
                #: High for one clock after a frame that is too short, too long, not COBS or has a wrong CRC.
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, request = self.frame_bytes, self.request
        address_bits = (size - 1).bit_length()
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.crc = crc = Crc32()
        m.submodules.buffer = buffer = Memory(shape=8, depth=size, init=[])
        write = buffer.write_port()
        read = buffer.read_port(transparent_for=[write])
        wiring.connect(m, wiring.flipped(self.i), decoder.i)
        item = decoder.o

        # Positions count from the payload, so the header has negative ones (the end of the buffer).
        put = Signal(signed(address_bits + 1), init=-REQUEST_HEADER)
        get = Signal(signed(address_bits + 1), init=-REQUEST_HEADER)
        full, spoiled = Signal(), Signal()
        # Clocks since `get` changed: one reads the memory, one fills the output register (block RAM is slow to answer).
        fetched = Signal(2)
        m.d.comb += [
            full.eq(put == size - REQUEST_HEADER),
            crc.i.payload.eq(item.p.byte),
            write.addr.eq(put[:address_bits]),
            write.data.eq(item.p.byte),
            read.addr.eq(get[:address_bits]),
            request.length.eq(put[:address_bits]),
            request.empty.eq(get == put),
            read.en.eq(0),
        ]
        m.d.sync += [fetched.eq(0), request.body.payload.eq(read.data)]

        with m.FSM():
            with m.State("RECEIVE"):
                m.d.comb += item.ready.eq(crc.i.ready | item.p.end | full)
                with m.If(item.valid & item.p.end):
                    m.d.sync += spoiled.eq(spoiled | item.p.error)
                    m.next = "TRIM"
                with m.Elif(item.valid & full):
                    m.d.sync += spoiled.eq(1)
                with m.Elif(item.valid):
                    m.d.comb += [crc.i.valid.eq(1), write.en.eq(crc.i.ready)]
                    m.d.sync += put.eq(put + crc.i.ready)
            with m.State("TRIM"):
                m.d.sync += put.eq(put - CRC_BYTES)
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(spoiled | ~crc.good | (put < 0)):
                    m.d.comb += [self.damaged.eq(1), crc.start.eq(1)]
                    m.d.sync += [put.eq(-REQUEST_HEADER), spoiled.eq(0)]
                    m.next = "RECEIVE"
                with m.Else():
                    m.next = "HOLD"
            with m.State("HOLD"):
                m.d.comb += [item.ready.eq(1), request.body.valid.eq(fetched[1] & ~request.empty), read.en.eq(1)]
                m.d.sync += fetched.eq(Cat(1, fetched))
                with m.If(item.valid):
                    m.d.sync += spoiled.eq(~item.p.end)
                with m.If(request.body.valid & request.body.ready):
                    m.d.sync += [get.eq(get + 1), fetched.eq(0)]
                with m.If(request.rewind):
                    m.d.sync += [get.eq(RUN_HEADER.size), fetched.eq(0)]
                with m.If(request.release):
                    m.d.comb += crc.start.eq(1)
                    m.d.sync += [put.eq(-REQUEST_HEADER), get.eq(-REQUEST_HEADER)]
                    m.next = "RECEIVE"
        return m


class FrameTransmitter(wiring.Component):
    """Reply buffer, CRC and encoder.

    The first byte after a reply was sent replaces the stored reply. Sending without new bytes repeats it.

    With slots (option ``stream``) a reply goes into the slot ``slot`` of the buffer if ``keep`` is high, and else takes
    all of it; sending without new bytes repeats the reply of that slot, or the one that takes all.

    Parameters
    ----------
    frame_bytes : int
        Largest frame (decoded, with CRC), a power of two.
    slots : int
        Slots of the buffer, a power of two; 0 without the option.
    outputs : int
        Words of the longest reply that goes into a slot.
    """

    def __init__(self, frame_bytes: int, slots: int = 0, outputs: int = 0) -> None:
        self.frame_bytes, self.slots = frame_bytes, slots
        self.longest = REPLY_HEADER + 4 * outputs + CRC_BYTES
        slotted: dict[str, Any] = {
            #: The reply goes into a slot, or comes from one; constant from its first byte to ``accepted``.
            "keep": In(1),
            #: Which one.
            "slot": In(range(slots)),
            #: That slot has a reply.
            "kept": Out(1),
            #: High for one clock: send REFUSED as soon as possible.
            "refuse": In(1),
        }
        super().__init__(
            {
                **(slotted if slots else {}),
                #: Bytes of the reply without its CRC; more than the buffer holds is the sender's mistake.
                "body": In(stream.Signature(8)),
                #: Send the reply, or the stored one if no byte came; keep high until ``accepted``.
                "send": In(1),
                #: The reply is on its way and ``body`` may fill the next one, which waits.
                "accepted": Out(1),
                #: High for one clock: send the NAK as soon as possible; the stored reply is kept.
                "nak": In(1),
                #: Bytes for the line.
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = Crc32()
        m.submodules.encoder = encoder = CobsEncoder(self.frame_bytes)
        m.submodules.buffer = buffer = Memory(shape=8, depth=self.frame_bytes, init=[])
        write = buffer.write_port()
        read = buffer.read_port(transparent_for=[write])

        length = Signal.like(encoder.length)
        place = Signal(range(len(NAK_BYTES)))
        nak_waits = Signal()
        error_byte: Value = Array(Const(byte, 8) for byte in NAK_BYTES)[place]
        # Where the reply lies in the buffer.
        base = Signal(range(self.frame_bytes))
        refusal_waits, refuses = Signal(), Signal()

        def address(at: Value) -> Value:
            return at | base if self.slots else at

        if self.slots:
            # Per slot whether it has a reply, and whether that is of the longest kind and not of the shortest.
            filled, long = Signal(self.slots), Signal(self.slots)
            one, sealed, own = Signal(self.slots), Signal(self.slots), Signal.like(base)
            slot_bits = self.slot.shape().width
            m.d.comb += [
                one.eq(1 << self.slot),
                sealed.eq(1 << base[-slot_bits:]),
                self.kept.eq((filled & one).any()),
                own[-slot_bits:].eq(self.slot),
            ]
            error_byte = Mux(refuses, Array(Const(byte, 8) for byte in REFUSED_BYTES)[place], error_byte)

        m.d.comb += [
            write.addr.eq(address(length)),
            write.data.eq(self.body.payload),
            crc.i.payload.eq(self.body.payload),
            read.addr.eq(address(encoder.address)),
            read.en.eq(0),
            encoder.data.eq(read.data),
            encoder.length.eq(length),
        ]

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += place.eq(0)
                with m.If(nak_waits):
                    m.d.sync += nak_waits.eq(0)
                    m.next = "NAK"
                if self.slots:
                    with m.Elif(refusal_waits):
                        m.d.sync += [refusal_waits.eq(0), refuses.eq(1)]
                        m.next = "NAK"
                with m.Elif(self.send):
                    m.d.comb += [self.accepted.eq(1), encoder.start.eq(1)]
                    m.next = "SEND"
                    if self.slots:
                        with m.If(self.keep):
                            m.d.sync += [base.eq(own), length.eq(Mux((long & one).any(), self.longest, SHORTEST))]
                with m.Elif(self.body.valid):
                    m.d.comb += crc.start.eq(1)
                    m.d.sync += length.eq(0)
                    m.next = "FILL"
                    if self.slots:
                        m.d.sync += base.eq(Mux(self.keep, own, 0))
                        m.d.sync += filled.eq(Mux(self.keep, filled | one, 0))
            with m.State("FILL"):
                m.d.comb += [
                    crc.i.valid.eq(self.body.valid),
                    self.body.ready.eq(crc.i.ready),
                    write.en.eq(self.body.valid & crc.i.ready),
                ]
                m.d.sync += length.eq(length + write.en)
                with m.If(self.send):
                    m.d.comb += self.accepted.eq(1)
                    m.next = "SEAL"
            with m.State("SEAL"):
                m.d.comb += [
                    crc.unload.eq(1),
                    crc.i.valid.eq(1),
                    write.data.eq(crc.low),
                    write.en.eq(crc.first),
                ]
                with m.If(crc.i.ready):
                    m.d.sync += [length.eq(length + 1), place.eq(place + 1)]
                    with m.If(place == CRC_BYTES - 1):
                        m.d.comb += encoder.start.eq(1)
                        m.next = "SEND"
                if self.slots:
                    m.d.sync += long.eq(Mux(length > SHORTEST, long | sealed, long & ~sealed))
            with m.State("SEND"):
                m.d.comb += [
                    self.o.valid.eq(encoder.o.valid),
                    self.o.payload.eq(encoder.o.payload),
                    encoder.o.ready.eq(self.o.ready),
                    read.en.eq(1),
                ]
                with m.If(~encoder.busy):
                    m.next = "IDLE"
            with m.State("NAK"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.eq(error_byte),
                ]
                with m.If(self.o.ready):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == len(NAK_BYTES) - 1):
                        m.next = "IDLE"
                        if self.slots:
                            m.d.sync += refuses.eq(0)
        with m.If(self.nak):
            m.d.sync += nak_waits.eq(1)
        if self.slots:
            with m.If(self.refuse):
                m.d.sync += refusal_waits.eq(1)
        return m
