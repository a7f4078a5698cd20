"""Option ``stream``: a receiver whose buffer is a ring, so that requests arrive while the one before is executed."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract.wire import CRC_BYTES, REQUEST_HEADER, RUN_HEADER, queue_bytes

from .cobs import CobsDecoder
from .crc import Crc32
from .frames import Request


class FrameQueue(wiring.Component):
    """Decoder, CRC check and a queue of good frames; from outside a :class:`~solsa.rtl.frames.FrameReceiver`.

    A frame is written behind the last good one, and forgotten unless it is good as well. Bytes for which there is no
    room are lost; the rest of their frame then counts as damaged. The line is never blocked.

    Parameters
    ----------
    frame_bytes : int
        Largest frame (decoded, with CRC), a power of two.
    frames : int
        Frames that may wait, a power of two.
    """

    def __init__(self, frame_bytes: int, frames: int) -> None:
        self.frame_bytes, self.frames = frame_bytes, frames
        super().__init__(
            {
                #: Bytes of the line; waits at most ten clocks.
                "i": In(stream.Signature(8)),
                #: The oldest good frame.
                "request": Out(Request(frame_bytes)),
                #: High for one clock after a frame that is too short, too long, not COBS or has a wrong CRC.
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        frame, size, request = self.frame_bytes, queue_bytes(self.frame_bytes), self.request
        bits, address_bits = (frame - 1).bit_length(), (size - 1).bit_length()
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.crc = crc = Crc32()
        m.submodules.buffer = buffer = Memory(shape=8, depth=size, init=[])
        write = buffer.write_port()
        read = buffer.read_port(transparent_for=[write])
        m.submodules.lengths = lengths = Memory(shape=bits, depth=self.frames, init=[])
        append, oldest = lengths.write_port(), lengths.read_port(domain="comb")
        wiring.connect(m, wiring.flipped(self.i), decoder.i)
        item = decoder.o

        # Places in the ring, with a bit more that tells full from empty: the next byte, the begin of the frame that
        # arrives, the begin of the oldest frame; the next byte to be read.
        at, begin, start = (Signal(address_bits + 1, name=name) for name in ("at", "begin", "start"))
        source = Signal(address_bits)
        # Positions within a frame, from the payload, so that the header has negative ones.
        put, get = (Signal(signed(bits + 1), name=name, init=-REQUEST_HEADER) for name in ("put", "get"))
        # Good frames so far and those done with, and whether one is held.
        good, done = (Signal(self.frames.bit_length(), name=name) for name in ("good", "done"))
        held, too_long, no_room, spoiled = Signal(), Signal(), Signal(), Signal()
        # Clocks since `source` changed: one reads the memory, one fills the output register.
        fetched = Signal(2)
        m.d.comb += [
            too_long.eq(put == frame - REQUEST_HEADER),
            no_room.eq(((at ^ start) == size) | ((good ^ done) == self.frames)),
            crc.i.payload.eq(item.p.byte),
            write.addr.eq(at[:address_bits]),
            write.data.eq(item.p.byte),
            read.addr.eq(source),
            read.en.eq(held),
            append.addr.eq(good[:-1]),
            append.data.eq(put[:bits]),
            oldest.addr.eq(done[:-1]),
            request.empty.eq(get == request.length),
            request.body.valid.eq(held & fetched[1] & ~request.empty),
        ]

        with m.FSM():
            with m.State("RECEIVE"):
                m.d.comb += item.ready.eq(crc.i.ready | item.p.end | too_long | no_room)
                with m.If(item.valid & item.p.end):
                    m.d.sync += spoiled.eq(spoiled | item.p.error)
                    m.next = "TRIM"
                with m.Elif(item.valid & (too_long | no_room)):
                    m.d.sync += spoiled.eq(1)
                with m.Elif(item.valid):
                    m.d.comb += [crc.i.valid.eq(1), write.en.eq(crc.i.ready)]
                    m.d.sync += [put.eq(put + crc.i.ready), at.eq(at + crc.i.ready)]
            with m.State("TRIM"):
                m.d.sync += [put.eq(put - CRC_BYTES), at.eq(at - CRC_BYTES)]
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [put.eq(-REQUEST_HEADER), spoiled.eq(0)]
                with m.If(spoiled | ~crc.good | (put < 0)):
                    m.d.comb += self.damaged.eq(1)
                    m.d.sync += at.eq(begin)
                with m.Else():
                    m.d.comb += append.en.eq(1)
                    m.d.sync += [begin.eq(at), good.eq(good + 1)]
                m.next = "RECEIVE"

        m.d.sync += [request.body.payload.eq(read.data), fetched.eq(Cat(held, fetched[0] & held))]
        with m.If(~held):
            m.d.sync += [held.eq(good != done), request.length.eq(oldest.data)]
        with m.If(request.body.valid & request.body.ready):
            m.d.sync += [get.eq(get + 1), source.eq(source + 1), fetched.eq(0)]
        with m.If(request.rewind):
            m.d.sync += [get.eq(RUN_HEADER.size), source.eq(start + REQUEST_HEADER + RUN_HEADER.size), fetched.eq(0)]
        with m.If(request.release):
            following = start + request.length + REQUEST_HEADER
            m.d.sync += [start.eq(following), source.eq(following), get.eq(-REQUEST_HEADER), done.eq(done + 1)]
            m.d.sync += [held.eq(0), fetched.eq(0)]
        return m
