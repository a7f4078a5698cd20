"""Claim 2: streams of the link; claim 6, first half: what the command processor asks of the core."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

from amaranth.hdl import Cat, Mux, Signal

from solsa.contract import NetworkConfig, Readout
from solsa.contract.registers import WRITABLE_SPACES, Space, space_words
from solsa.contract.wire import CRC_BYTES, REQUEST_HEADER, RUN_HEADER, SPACE_HEADER
from solsa.sim.planted import Bug

from .configs import config
from .frame_proofs import CrcStandIn
from .harness import Harness
from .proofs import Control, Proof

FRAME_BYTES = 8
#: Longest payload in the proof that the processor never hangs: a run of five steps of two inputs, three words.
SHORT = 15


def request_body(rtl: ModuleType) -> Harness:
    """Body of a held frame, with a real buffer."""
    h = Harness(rtl)
    stand_in = CrcStandIn(h)
    with patch.object(h.unit("frames"), "Crc32", stand_in):
        unit = h.place(h.unit("frames").FrameReceiver(FRAME_BYTES))
    request, body = unit.request, unit.request.body
    release, ready = h.free(1, "release"), h.free(1, "ready")
    h.m.d.comb += [
        unit.i.valid.eq(h.free(1, "valid")), unit.i.payload.eq(h.free(8, "byte")),
        request.release.eq(release), body.ready.eq(ready),
    ]  # fmt: skip
    h.keeps_rules(unit.i.valid, unit.i.ready, unit.i.payload, h.assume)
    h.assume(~release | body.valid | request.empty)
    h.assume(~release | request.empty)  # the processor reads or leaves a whole frame before it lets go of it
    h.keeps_rules(body.valid, ready, body.payload, h.always)
    h.cover(h.past(body.valid & ~ready) & body.valid & ready & (body.payload == 7))
    return h


def frame_transmitter(rtl: ModuleType) -> Harness:
    """Reply, CRC, encoder and NAK, with a real buffer."""
    h = Harness(rtl)
    stand_in = CrcStandIn(h)
    with patch.object(h.unit("frames"), "Crc32", stand_in):
        unit = h.place(h.unit("frames").FrameTransmitter(FRAME_BYTES))
    body, o = unit.body, unit.o
    valid, send, ready = h.free(1, "valid"), h.free(1, "send"), h.free(1, "ready")
    h.m.d.comb += [
        body.valid.eq(valid), body.payload.eq(h.free(8, "byte")), unit.send.eq(send),
        unit.nak.eq(h.free(1, "nak")), o.ready.eq(ready),
    ]  # fmt: skip
    h.keeps_rules(valid, body.ready, body.payload, h.assume)
    h.keeps_rules(send, unit.accepted, None, h.assume)
    h.assume(~(valid & send))
    # More bytes than the buffer holds are the sender's mistake.
    bytes_in = Signal(range(FRAME_BYTES + 1))
    with h.m.If(unit.accepted):
        h.m.d.sync += bytes_in.eq(0)
    with h.m.Elif(valid & body.ready):
        h.m.d.sync += bytes_in.eq(bytes_in + 1)
    h.assume(~valid | (bytes_in < FRAME_BYTES - CRC_BYTES))
    h.keeps_rules(o.valid, o.ready, o.payload, h.always)
    h.cover(h.past(o.valid & ~ready) & o.valid & ready & (o.payload == 0))
    return h


class RequestModel:
    """A frame receiver as `frame-receiver` proves it: some frame of some length, taken byte by byte."""

    def __init__(self, h: Harness, request: Any, frame_bytes: int) -> None:
        m = h.m
        self.request = request
        #: a frame is held; bytes of its body taken
        self.held, self.position = Signal(name="held"), Signal(range(frame_bytes + 1), name="position")
        self.length = Signal.like(request.length, name="length")
        comes, length = h.free(1, "comes"), h.free(request.length.shape(), "any_length")
        h.assume(length <= frame_bytes - REQUEST_HEADER - CRC_BYTES)
        empty = self.position == self.length + REQUEST_HEADER
        byte, kept, waits = h.free(8, "any_byte"), Signal(8), Signal()
        late = h.free(1, "late")
        valid = self.held & ~empty & (waits | late)
        m.d.comb += [
            request.length.eq(self.length),
            request.empty.eq(~self.held | empty),
            request.body.valid.eq(valid),
            request.body.payload.eq(Mux(waits, kept, byte)),
        ]
        m.d.sync += [kept.eq(request.body.payload), waits.eq(valid & ~request.body.ready)]
        with m.If(~self.held & comes):
            m.d.sync += [self.held.eq(1), self.length.eq(length), self.position.eq(0)]
        with m.If(valid & request.body.ready):
            m.d.sync += self.position.eq(self.position + 1)
        with m.If(request.rewind):
            m.d.sync += [self.position.eq(5 + REQUEST_HEADER), waits.eq(0)]
        with m.If(request.release):
            m.d.sync += [self.held.eq(0), waits.eq(0)]


def processor(readout: Readout, what: str) -> Callable[[ModuleType], Harness]:
    """The command processor between a frame receiver, a transmitter and a core."""

    def build(rtl: ModuleType) -> Harness:
        h = Harness(rtl)
        layers = {"rules": (2, 3, 2), "sharing": (2, 3, 2), "steps": (2, 1)}.get(what, (2, 2))
        m, c = h.m, config(layers, readout=readout)
        unit = h.place(h.unit("command").CommandProcessor(c))
        bus, request = unit.bus, unit.request
        model = RequestModel(h, request, c.frame_bytes)
        done, busy = h.free(1, "done"), Signal()
        m.d.comb += [
            unit.reply.ready.eq(h.free(1, "reply_ready")), unit.accepted.eq(h.free(1, "accepted")),
            unit.inputs.ready.eq(h.free(1, "inputs_ready")), unit.targets.ready.eq(h.free(1, "targets_ready")),
            unit.command.ready.eq(h.free(1, "command_ready")), unit.busy.eq(busy),
            bus.done.eq(done), bus.status.eq(h.free(3, "status")), bus.answer.eq(h.free(32, "answer")),
        ]  # fmt: skip
        h.assume(~done | bus.valid)
        h.assume(~unit.accepted | unit.send)
        # The core: busy from the clock after a command for any time, its inputs ready while it is not.
        ends = h.free(1, "ends")
        with m.If(unit.command.valid & unit.command.ready):
            m.d.sync += busy.eq(1)
        with m.Elif(ends):
            m.d.sync += busy.eq(0)
        h.assume(~unit.command.ready | ~busy)
        if what == "rules":
            for stream in (unit.reply, unit.inputs, unit.targets, unit.command):
                h.keeps_rules(stream.valid, stream.ready, stream.payload, h.always)
            h.keeps_rules(unit.send, unit.accepted, None, h.always)
            h.keeps_rules(bus.valid, done, Cat(bus.write, bus.space, bus.index, bus.data), h.always)
            h.always(~h.past(bus.valid & done) | ~bus.valid)  # low for a clock between accesses
            h.cover(h.past(unit.command.valid & ~unit.command.ready) & unit.command.valid)
            h.cover(h.past(bus.valid & ~done) & bus.valid & bus.write)
        elif what == "addresses":
            words = space_words(c)
            limit, writable = Signal(25), Signal()
            with m.Switch(bus.space):
                for space in Space:
                    with m.Case(space):
                        m.d.comb += [limit.eq(words[space]), writable.eq(space in WRITABLE_SPACES)]
            h.always(~bus.valid | (bus.index < limit))
            h.always(~bus.valid | ~bus.write | writable)
            _words_left(h, c, model, limit, writable)
            h.cover(bus.valid & bus.write & (bus.index == words[Space.WEIGHT] - 1) & (bus.space == Space.WEIGHT))
            h.cover(bus.valid & (bus.space == Space.SCORE) & (bus.index == 1))
        elif what == "steps":
            h.assume(request.length <= SHORT)
            # A step gets all its inputs and targets, and no more.
            for stream, most in ((unit.inputs, c.inputs), (unit.targets, c.outputs * (readout is Readout.TARGET))):
                count = Signal(range(most + 2))
                with m.If(unit.command.valid & unit.command.ready):
                    m.d.sync += count.eq(0)
                with m.Elif(stream.valid & stream.ready & (count <= most)):
                    m.d.sync += count.eq(count + 1)
                h.always(~stream.valid | (count < most))
                h.always(~unit.command.valid | (count == most))
            stepped = Signal()
            m.d.sync += stepped.eq((stepped | busy) & ~request.release)
            h.cover(unit.command.valid & stepped)  # the second step of a run
        elif what == "sharing":
            h.always(~(bus.valid & busy))  # the host's words only while the core is idle
            h.always(~(unit.command.valid & (bus.valid | busy)))  # no start during an access or a step
            h.always(~(unit.inputs.valid & busy))
            h.always(~(unit.targets.valid & busy))
            h.cover(bus.valid & h.past(busy, 8))
            h.cover(busy)
        else:
            h.assume(request.length <= SHORT)
            # It always asks for something: a byte, a transfer, a word, the end of a step.
            asks = (
                request.body.ready | unit.reply.valid | unit.send | bus.valid | busy | unit.command.valid
                | unit.inputs.valid | unit.targets.valid
            )  # fmt: skip
            waits_for_input = request.body.valid | ~request.empty
            h.always(h.run_length(~asks & ~waits_for_input, 8) < 4)
            # And never for a byte that the frame does not have.
            in_frame = model.held & (model.position != 0)
            h.always(h.run_length(in_frame & request.empty & ~(asks & ~request.body.ready), 8) < 4)
            h.cover(request.release & (model.position > 9))
        return h

    return build


def _words_left(h: Harness, c: NetworkConfig, model: RequestModel, limit: Signal, writable: Signal) -> None:
    """Invariant of `processor-addresses`: all words that a request still asks for lie inside the space."""
    request, inner, state = model.request, partial(h.inner, "command"), h.in_state
    writes, place, count, index = inner("writes"), inner("place"), inner("count"), inner("index")
    rest = Signal(range(c.frame_bytes + 1), name="rest")
    h.m.d.comb += rest.eq(request.length + REQUEST_HEADER - model.position)
    # Bytes taken; the frame is held until it is answered.
    h.lemma(~model.held | (request.length <= c.frame_bytes - REQUEST_HEADER - CRC_BYTES))
    h.lemma(~model.held | (model.position <= request.length + REQUEST_HEADER))
    h.lemma(state("SEQUENCE") | model.held)
    for name, taken in (
        ("SEQUENCE", 0), ("OPCODE", 1), ("LENGTH", REQUEST_HEADER), ("FIELDS", REQUEST_HEADER + place),
    ):  # fmt: skip
        h.lemma(~(state(name) & model.held) | (model.position == taken))
    checks, runs = state("SETTLE", "CHECK"), state("COUNT", "INPUT", "COMMAND", "WAIT")
    h.lemma(~checks | (model.position == REQUEST_HEADER + Mux(writes, SPACE_HEADER.size, RUN_HEADER.size)))
    in_words = (request.length >= SPACE_HEADER.size + 4) & (request.length[:2] == 0)
    h.lemma(~(state("FIELDS") | checks) | ~writes | in_words)
    h.lemma(~state("FIELDS") | (place < Mux(writes, SPACE_HEADER.size, RUN_HEADER.size)))
    h.lemma(~(runs | checks | state("FIELDS")) | writes | (request.length >= RUN_HEADER.size))
    # Which requests come where.
    h.lemma(~runs | inner("runs"))
    h.lemma(~state("SETTLE", "CHECK") | ~inner("runs"))
    h.lemma(~(runs | checks | state("LENGTH", "FIELDS", "GET")) | ~inner("answers"))
    h.lemma(~(inner("answers") & state("HEADER")) | ~writes)
    # Words to write: those of the rest of the frame, and the one on its way.
    gets, puts = state("GET"), state("ACCESS") & writes
    h.lemma(~gets | (writes & ((rest + place)[:2] == 0) & (rest != 0) & (place < 4)))
    h.lemma(~puts | ((rest[:2] == 0) & (place == 0) & ~inner("answers")))
    to_write = ((rest + place) >> 2) + puts
    h.lemma(~(gets | puts) | ((index + to_write <= limit) & writable))
    # Words to read: the present one if it has not been read yet, and those behind it.
    now, later = (state("HEADER") & inner("answers")) | (state("ACCESS") & ~writes), state("PUT")
    h.lemma(~later | ~writes)
    h.lemma(~(now | later) | (count != 0))
    membranes, first = inner("membranes_now"), inner("membrane")
    h.lemma(~((now | later) & membranes) | (count <= c.outputs))
    at = index + (count << 3) - (later << 3)
    h.lemma(~((now | later) & membranes) | (at == first + (c.outputs << 3)))
    h.lemma(~((now | later) & ~membranes) | (index + count <= limit + later))


PROOFS = (
    Proof(
        "stream-request", 2, f"FrameReceiver.request.body, {FRAME_BYTES} bytes", "valid and payload stay until ready",
        request_body, cover=40,
        controls=(Control("the output register is said to be full too early", 40, Bug(
            "frames.py", "request.body.valid.eq(fetched[1] & ~request.empty)",
            "request.body.valid.eq(fetched[0] & ~request.empty)", "")),),
    ),
    Proof(
        "stream-transmitter", 2, f"FrameTransmitter.o, {FRAME_BYTES} bytes (encoder and NAK)",
        "valid and payload stay until ready", frame_transmitter, cover=60,
        controls=(Control("the NAK goes on without ready", 40, Bug(
            "frames.py", "with m.If(self.o.ready):\n                    m.d.sync += place.eq(place + 1)",
            "with m.If(1):\n                    m.d.sync += place.eq(place + 1)", "")),),
    ),
    *(
        Proof(
            f"stream-processor-{readout.value}", 2, f"CommandProcessor, readout {readout.value}",
            "reply, inputs, targets, command, send, bus keep valid and fields until taken; bus.valid falls after done",
            processor(readout, "rules"), cover=40,
            controls=(Control("the word shifts without ready", 60, Bug(
                "command.py", "m.d.comb += reply.valid.eq(1)\n                with m.If(reply.ready):",
                "m.d.comb += reply.valid.eq(1)\n                with m.If(1):", "")),),
        )
        for readout in (Readout.MEMBRANE, Readout.TARGET)
    ),
    Proof(
        "sharing-processor", 6, "CommandProcessor",
        "no access to the core's words and no inputs during a step; no start of a step during an access or a step",
        processor(Readout.TARGET, "sharing"), cover=60,
        controls=(Control("the processor does not wait for the end of a step", 60, Bug(
            "command.py", 'with m.State("WAIT"), m.If(~self.busy):', 'with m.State("WAIT"), m.If(1):', "")),),
    ),
    Proof(
        "processor-addresses", 3, "CommandProcessor, 2-2",
        "every access lies inside its space, every write in a space that may be written",
        processor(Readout.MEMBRANE, "addresses"), cover=60, engine="yices", depth=4, weight=60,
        controls=(
            Control("a write may go one word too far", 60, Bug(
                "command.py", "(behind > limit)", "(behind > limit + 1)", "")),
        ),
    ),
    Proof(
        "processor-steps", 3, f"CommandProcessor, 2-1, payloads up to {SHORT} bytes, readout target",
        "a step is started with all its inputs and targets, and no more",
        processor(Readout.TARGET, "steps"), cover=40, weight=60,
        controls=(
            Control("a run of half a step is taken", 80, Bug(
                "command.py", "with m.If((steps != 0) | (position != 0)):", "with m.If(steps != 0):", "")),
        ),
    ),
    Proof(
        "processor-no-deadlock", 6, f"CommandProcessor, 2 inputs, payloads up to {SHORT} bytes",
        "for any frame: it never waits for a byte that the frame does not have, nor for nothing, for four clocks",
        processor(Readout.MEMBRANE, "deadlock"), cover=60,
        controls=(Control("READ is taken with any length", 60, Bug(
            "command.py", "read = length == RUN_HEADER.size", "read = length <= RUN_HEADER.size", "")),),
    ),
)  # fmt: skip
