"""Claim 1: CRC, COBS and the frame receiver."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from unittest.mock import patch

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from solsa.contract.wire import CRC_BYTES, CRC_RESIDUE, DELIMITER, REQUEST_HEADER
from solsa.sim.planted import Bug

from .harness import Harness
from .proofs import Control, Proof

#: CRC-32 as the standard writes it: most significant bit first; the message comes least significant bit first.
POLYNOMIAL = 0x04C11DB7
#: Small frames: header, CRC and two bytes of payload.
FRAME_BYTES = 8
#: Clocks that the line may have to wait (FrameReceiver.i says so).
WAIT = 10


def divide(register: Value, bit: Value) -> Value:
    """One step of the division by the polynomial, register in the standard's order (bit 31 leaves)."""
    shifted = Cat(Const(0, 1), register[:31])
    return shifted ^ Mux(register[31] ^ bit, POLYNOMIAL, 0)


def divide_byte(register: Value, byte: Value) -> Value:
    """Eight steps."""
    for i in range(8):
        register = divide(register, byte[i])
    return register


def mirrored(value: Value) -> Value:
    """Bits in the opposite order."""
    return Cat(value[i] for i in reversed(range(len(value))))


def crc_unit(rtl: ModuleType) -> Harness:
    """Register against the division as the standard writes it, in the opposite bit order."""
    h = Harness(rtl)
    crc = h.place(h.unit("crc").Crc32())
    m = h.m
    valid, byte, start, unload = h.free(1, "valid"), h.free(8, "byte"), h.free(1, "start"), h.free(1, "unload")
    m.d.comb += [crc.i.valid.eq(valid), crc.i.payload.eq(byte), crc.start.eq(start), crc.unload.eq(unload)]
    h.keeps_rules(valid, crc.i.ready, Cat(byte, unload), h.assume)
    place, register = Signal(3), Signal(32, init=-1)
    h.assume(~start | (~valid & (place == 0)))
    with m.If(valid):
        m.d.sync += place.eq(place + 1)
        bit = byte.bit_select(place, 1)
        m.d.sync += register.eq(Mux(unload, Cat(Const(0, 1), register[:31]), divide(register, bit)))
    with m.If(start):
        m.d.sync += register.eq(-1)
    h.always(crc.low == ~mirrored(register)[:8])
    h.always(crc.good == (mirrored(register) == CRC_RESIDUE ^ 0xFFFF_FFFF))
    h.always(crc.first == (place == 0))
    h.always(crc.i.ready == (place == 7))
    h.cover(h.past(crc.i.ready & valid & unload) & (crc.low == 0x5A))
    h.cover(crc.good)
    return h


def residue_of(inverted: bool) -> Callable[[ModuleType], Harness]:
    """The CRC register after a message, whatever it was, takes the message's own CRC, bit by bit.

    After i bits it is the old register shifted by i, plus a constant: the induction step is checked for every i, with
    the old register free; the constant after 32 bits is the residue.
    """

    def build(rtl: ModuleType) -> Harness:
        h = Harness(rtl)
        register, constant = h.free(32, "register"), 0
        for i in range(8 * CRC_BYTES):
            bit = ~register[31 - i] if inverted else register[31 - i]
            after = divide((register << i)[:32] ^ constant, bit)
            leaves = (constant >> 31) ^ inverted
            constant = ((constant << 1) & 0xFFFF_FFFF) ^ (POLYNOMIAL if leaves else 0)
            h.always(after == (register << (i + 1))[:32] ^ constant)
        h.always(mirrored(Const(constant, 32)) == CRC_RESIDUE ^ 0xFFFF_FFFF)
        h.cover(register == 0x1234_5678)
        return h

    return build


class CobsModel:
    """COBS by its text: a code byte c, c - 1 bytes, a zero unless c = 255 or the frame ends."""

    def __init__(self, h: Harness, taken: Value, byte: Value) -> None:
        m = h.m
        inside, full = Signal(name="inside"), Signal(name="full")
        # Bytes up to the next code, itself included.
        distance = Signal(8, init=1, name="distance")
        #: this byte of the line ends a frame; the frame ended inside a block
        self.end = taken & (byte == DELIMITER) & inside
        self.broken = distance != 1
        #: this byte of the line stands for a byte of the frame
        self.emits = taken & (byte != DELIMITER) & (self.broken | (inside & ~full))
        self.byte = Mux(self.broken, byte, 0)
        with m.If(taken):
            with m.If(byte == DELIMITER):
                m.d.sync += [inside.eq(0), distance.eq(1)]
            with m.Elif(distance == 1):
                m.d.sync += [inside.eq(1), full.eq(byte == 255), distance.eq(byte)]
            with m.Else():
                m.d.sync += distance.eq(distance - 1)


def cobs_decoder(rtl: ModuleType) -> Harness:
    """Every item against the model, and none else."""
    h = Harness(rtl)
    decoder = h.place(h.unit("cobs").CobsDecoder())
    valid, byte, ready = h.free(1, "valid"), h.free(8, "byte"), h.free(1, "ready")
    h.m.d.comb += [decoder.i.valid.eq(valid), decoder.i.payload.eq(byte), decoder.o.ready.eq(ready)]
    h.keeps_rules(valid, decoder.i.ready, byte, h.assume)
    taken, item = valid & decoder.i.ready, decoder.o
    model = CobsModel(h, taken, byte)
    transfer = item.valid & ready
    h.always(transfer == (model.emits | model.end))
    h.always(~transfer | (item.p.end == model.end))
    h.always(~(transfer & item.p.end) | (item.p.error == model.broken))
    h.always(~model.emits | (item.p.byte == model.byte))
    h.always(~(valid & ready) | decoder.i.ready)  # never in the way
    h.keeps_rules(item.valid, ready, Mux(item.p.end, Cat(item.p.end, item.p.error), item.p), h.always)
    h.cover(transfer & item.p.end & item.p.error)
    h.cover(transfer & item.p.end & ~item.p.error & h.past(model.emits & (model.byte == 0), 2))
    return h


class CrcStandIn:
    """Crc32 with any verdict, that takes a byte in its eighth clock at the latest (`crc_unit`: in the eighth)."""

    def __init__(self, h: Harness) -> None:
        self.h = h
        self.made: list[object] = []

    def __call__(self) -> object:
        h, unit = self.h, self.h.unit("crc").Crc32()
        self.made.append(unit)
        place = Signal(3)
        with h.m.If(unit.i.valid):
            h.m.d.sync += place.eq(Mux(unit.i.ready, 0, place + 1))
        h.m.d.comb += [
            unit.i.ready.eq((place == 7) | (unit.i.valid & h.free(1, "crc_fast"))),
            unit.first.eq(place == 0),
            unit.good.eq(h.free(1, "crc_good")),
            unit.low.eq(h.free(8, "crc_low")),
        ]
        unit.elaborate = lambda platform: Module()
        return unit


def frame_receiver(rtl: ModuleType) -> Harness:
    """Verdict, length and bytes of every frame of any line."""
    h = Harness(rtl)
    m = h.m
    stand_in = CrcStandIn(h)
    with patch.object(h.unit("frames"), "Crc32", stand_in):
        unit = h.place(h.unit("frames").FrameReceiver(FRAME_BYTES), watch=("frames",), words="one")
    (crc,) = stand_in.made
    request, body = unit.request, unit.request.body
    valid, byte = h.free(1, "valid"), h.free(8, "byte")
    release, ready = h.free(1, "release"), h.free(1, "ready")
    m.d.comb += [
        unit.i.valid.eq(valid), unit.i.payload.eq(byte), request.release.eq(release), body.ready.eq(ready),
    ]  # fmt: skip
    h.keeps_rules(valid, unit.i.ready, byte, h.assume)
    held = Signal()
    h.assume(~release | held)
    taken = valid & unit.i.ready
    model = CobsModel(h, taken, byte)

    # Bytes of the frame so far, one more than a frame may have at most; lost bytes spoil a frame.
    length, spoiled = Signal(range(FRAME_BYTES + 2)), Signal()
    judged, wrong = Signal(), Signal()
    m.d.sync += judged.eq(0)
    with m.If(model.emits & held):
        m.d.sync += spoiled.eq(1)
    with m.Elif(model.emits & (length <= FRAME_BYTES)):
        m.d.sync += length.eq(length + 1)
    with m.If(model.end):
        m.d.sync += spoiled.eq(0)
        with m.If(~held):
            m.d.sync += [
                judged.eq(1),
                wrong.eq(
                    model.broken | spoiled | (length > FRAME_BYTES) | (length < REQUEST_HEADER + CRC_BYTES)
                ),
            ]  # fmt: skip
    # Two clocks later the verdict: the frame is well-formed, and the CRC unit says so.
    verdict = h.past(judged)
    bad = wrong | ~crc.good
    h.always(unit.damaged == (verdict & bad))
    with m.If(verdict & ~bad):
        m.d.sync += held.eq(1)
    with m.If(release):
        m.d.sync += held.eq(0)
    with m.If((verdict & bad) | release):
        m.d.sync += length.eq(0)
    # The CRC unit gets every byte of the frame, no other, and starts anew with every frame.
    h.always((crc.i.valid & crc.i.ready) == (model.emits & ~held & (length < FRAME_BYTES)))
    h.always(~(crc.i.valid & crc.i.ready) | (crc.i.payload == model.byte))
    h.keeps_rules(crc.i.valid, crc.i.ready, crc.i.payload, h.always)
    h.always(crc.start == ((verdict & bad) | (held & release)))
    h.always(~crc.start | (crc.first & ~crc.i.valid))
    # Never without a good frame; with one, soon.
    position = Signal(range(FRAME_BYTES + 1))
    rest = length - CRC_BYTES - position
    h.always(~body.valid | held)
    h.always(h.run_length(held & ~body.valid & ~request.empty, 4) < 3)
    # The same in every state, which the induction needs; a frame's CRC is cut off before the verdict.
    cut = REQUEST_HEADER + Mux(verdict | held, CRC_BYTES, 0)
    clipped = Mux(length > FRAME_BYTES, FRAME_BYTES, length)
    h.always(request.length == (clipped - cut)[: len(request.length)])
    h.always(~held | (request.empty == (rest == 0)))
    chosen, kept = h.constant(range(FRAME_BYTES), "which"), Signal(8)
    with m.If(model.emits & (length == chosen) & ~held):
        m.d.sync += kept.eq(model.byte)
    with m.If(body.valid & ready):
        m.d.sync += position.eq(position + 1)
    with m.If(release):
        m.d.sync += position.eq(0)
    (memory,) = h.memories
    h.always(memory.reads[0].addr == (position - REQUEST_HEADER)[: len(memory.chosen)])
    h.assume(memory.chosen == (chosen - REQUEST_HEADER)[: len(memory.chosen)])
    h.always(~(body.valid & (position == chosen)) | (body.payload == kept))
    # Never in the way for long, whatever came before: no deadlock.
    h.always(h.run_length(valid & ~unit.i.ready, WAIT + 1) <= WAIT - 1)
    h.cover(held & request.empty & (length == FRAME_BYTES))
    h.cover(unit.damaged & ~wrong)
    h.cover(judged & h.past(spoiled & ~model.broken))
    was_damaged = Signal()
    with m.If(unit.damaged):
        m.d.sync += was_damaged.eq(1)
    h.cover(held & was_damaged)  # the next frame after a damaged one passes
    return h


PROOFS = (
    Proof(
        "crc", 1, "Crc32", "register = bit by bit division by 0x04C11DB7; ready in the eighth clock of a byte",
        crc_unit, cover=50,
        controls=(Control("a wrong polynomial", 20, Bug("crc.py", "0xEDB88320", "0xEDB88321", "")),),
    ),
    Proof(
        "crc-residue", 1, "polynomial and residue of contract/wire.py",
        "every message followed by its own CRC leaves the residue",
        residue_of(True), cover=2, engine="yices", depth=1,
        controls=(Control("a CRC that is not inverted", 1, build=residue_of(False)),),
    ),
    Proof(
        "cobs-decoder", 1, "CobsDecoder", "every item is what the text of COBS says; never in the way of the line",
        cobs_decoder, cover=20,
        controls=(
            Control("a frame begins with a zero", 20, Bug(
                "cobs.py", "[left.eq(1), zero_follows.eq(0)]", "[left.eq(1), zero_follows.eq(1)]", "")),
        ),
    ),
    Proof(
        "frame-receiver", 1, f"FrameReceiver, {FRAME_BYTES} bytes",
        "a frame passes exactly if it is COBS, 6 bytes or more, fits and its CRC unit is good; the unit gets exactly "
        "the frame's bytes; length and bytes of the body are right; the line waits at most ten clocks, so no deadlock",
        frame_receiver, cover=90,
        controls=(
            Control("the CRC does not count", 90, Bug("frames.py", "spoiled | ~crc.good | ", "spoiled | ", "")),
            Control("the CRC does not start anew", 90, Bug(
                "frames.py", "m.d.comb += [self.damaged.eq(1), crc.start.eq(1)]",
                "m.d.comb += [self.damaged.eq(1)]", "")),
            Control("the receiver waits for ever when full", 120, Bug(
                "frames.py", "crc.i.ready | item.p.end | full", "crc.i.ready | item.p.end", "")),
        ),
    ),
)  # fmt: skip
