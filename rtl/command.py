"""Requests: parsed, checked whole, executed on the core's bus, answered.

Everything goes byte by byte, as it comes over the line: one word register serves both directions, and the payload of
RUN is read twice, first only to count its steps. That replaces the multiplication steps * step_bytes by the counter
that the execution needs anyway, at two clocks per byte where the line takes at least forty.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig, Readout
from solsa.contract.layout import Layout
from solsa.contract.registers import WRITABLE_SPACES, NeuronField, Space, space_words
from solsa.contract.wire import (
    CRC_BYTES,
    INFO_WORDS,
    PLAIN,
    REPLY_FLAG,
    REPLY_HEADER,
    RUN_HEADER,
    SPACE_HEADER,
    Opcode,
    RunFlag,
    Status,
)

from .bus import INDEX_BITS, core_ports
from .frames import Request

COUNT_MAX = 255
NEURON_WORDS = 8
#: A label and an index lie in the same bytes of a request and share a register.
LABEL_BITS = 16


class CommandProcessor(wiring.Component):
    """Executes one request after the other.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, readout and size of a frame.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        slots = config.reply_slots
        slotted: dict[str, Any] = {
            #: See the transmitter: the reply goes into, or comes from, a slot; which; whether that has one; REFUSED.
            "keep": Out(1),
            "slot": Out(range(slots)),
            "kept": In(1),
            "refuse": Out(1),
        }
        super().__init__(
            {
                **(slotted if slots else {}),
                #: The request, from the frame receiver.
                "request": In(Request(config.frame_bytes)),
                #: Bytes of the reply, for the frame transmitter.
                "reply": Out(stream.Signature(8)),
                #: Send the reply, or repeat the stored one if no byte of another was sent.
                "send": Out(1),
                #: The transmitter has taken ``send``.
                "accepted": In(1),
                **core_ports(),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, request, bus, reply = self.config, self.request, self.bus, self.reply
        byte, taken = request.body.payload, Signal()
        words = space_words(config)
        index_bits = max(LABEL_BITS, max(words.values()).bit_length())
        if index_bits > INDEX_BITS:
            raise ValueError(f"command processor: a space of {max(words.values())} words, the wire allows {2**24 - 1}")
        membrane = NEURON_WORDS * Layout(config).post_base[-1] + NeuronField.MEMBRANE

        # Sequence of the last request, executed or not; opcode, which a reply repeats even if it is unknown.
        sequence, opcode, status = Signal(8), Signal(8), Signal(3)
        # The five bytes at the begin of a payload: `space` holds the flags of RUN, `index` its label.
        space, index, steps = Signal(4), Signal(index_bits), Signal(16)
        count = Signal(max(COUNT_MAX, config.outputs).bit_length())
        # Bits beyond these registers were set.
        space_excess, index_excess = Signal(), Signal()
        # Word on its way between frame and bus, byte within a word or header, byte within the data of a step.
        word, place, position = Signal(32), Signal(range(RUN_HEADER.size)), Signal(range(config.step_bytes))
        # Words follow the header of the reply.
        answers = Signal()
        # The longest path of the checks has a clock of its own.
        outside = Signal()

        opcodes = tuple(Opcode) if config.stream else PLAIN
        is_ = {code: Signal(name=f"is_{code.name.lower()}") for code in opcodes}
        # No two have the same low bits; 0 and the unknown ones are refused before anything looks at these.
        m.d.comb += [signal.eq(opcode[:3] == code & 7) for code, signal in is_.items()]
        writes = is_[Opcode.WRITE] | is_[Opcode.LOAD]
        runs = is_[Opcode.STEP] | is_[Opcode.RUN]
        if config.stream:
            runs |= is_[Opcode.STREAM]
        membranes_now = is_[Opcode.STEP] & (space == Space.NEURON)

        m.d.comb += [
            taken.eq(request.body.valid & request.body.ready),
            bus.write.eq(writes),
            bus.space.eq(space),
            bus.index.eq(index),
            bus.data.eq(word),
            reply.payload.eq(word[:8]),
            self.inputs.payload.eq(byte.as_signed()),
            self.targets.payload.eq(Cat(word[-8:], byte).as_signed()),
            self.command.p.reset.eq(_flag(space, RunFlag.RESET)),
            self.command.p.learn.eq(_flag(space, RunFlag.LEARN)),
            self.command.p.adapt.eq(_flag(space, RunFlag.ADAPT)),
            self.command.p.label.eq(index[:LABEL_BITS]),
        ]

        if config.stream:
            # Number of the request at hand, which becomes that of the last one only if it is executed.
            arrived = Signal(8)
            # Its reply goes into a slot, or comes from one; it is in order; its reply is kept.
            streams, follows, kept = Signal(), Signal(), Signal()
            m.d.comb += [
                follows.eq(self._follows(arrived, sequence)),
                kept.eq((arrived != 0) & self._near(arrived, sequence) & self.kept),
                self.slot.eq(arrived),
                self.keep.eq(streams),
            ]

        m.d.sync += outside.eq(self._outside(is_, space, index, count))

        def refuse(reason: Status) -> None:
            m.d.sync += [status.eq(reason), answers.eq(0), place.eq(0)]
            m.next = "HEADER"

        def answer(from_space: Space, first: int, number: int) -> None:
            m.d.sync += [space.eq(from_space), index.eq(first), count.eq(number), answers.eq(1)]

        def advance_position() -> Value:
            last = position == config.step_bytes - 1
            m.d.sync += position.eq(Mux(last, 0, position + 1))
            return last

        def shift_in() -> None:
            m.d.sync += word.eq(Cat(word[8:], byte))

        with m.FSM():
            # -- parsing and checks ----------------------------------------------------------------------------------
            with m.State("SEQUENCE"):
                m.d.comb += request.body.ready.eq(1)
                with m.If(taken):
                    m.d.sync += (arrived if config.stream else sequence).eq(byte)
                    m.next = "OPCODE"
                    with m.If((byte == sequence) & (byte != 0)):
                        m.next = "STORED" if config.stream else "SEND"
            with m.State("OPCODE"):
                m.d.comb += request.body.ready.eq(1)
                m.d.sync += [opcode.eq(byte), place.eq(0), position.eq(0)]
                with m.If(taken):
                    m.d.sync += [status.eq(Status.OK), answers.eq(0)]
                    m.next = "LENGTH"
                    if config.stream:
                        m.d.sync += streams.eq(byte == Opcode.STREAM)
                        with m.If((byte == Opcode.STREAM) & ~follows):
                            m.next = "STORED"
                        with m.Else():
                            m.d.sync += sequence.eq(arrived)
            if config.stream:
                with m.State("STORED"):
                    m.d.sync += streams.eq(kept)
                    m.next = "SEND"
                    with m.If(~kept & ((arrived != sequence) | (arrived == 0))):
                        m.next = "REFUSED"
                with m.State("REFUSED"):
                    m.d.comb += [self.refuse.eq(1), request.release.eq(1)]
                    m.next = "SEQUENCE"
            with m.State("LENGTH"):
                with m.If((opcode == 0) | (opcode > max(opcodes))):
                    refuse(Status.BAD_OPCODE)
                with m.Elif(~self._length_fits(is_)):
                    refuse(Status.BAD_LENGTH)
                with m.Elif(is_[Opcode.INFO]):
                    answer(Space.REGISTER, 0, INFO_WORDS)
                    m.next = "HEADER"
                with m.Else():
                    m.next = "FIELDS"
            with m.State("FIELDS"):
                m.d.comb += request.body.ready.eq(1)
                with m.If(taken):
                    m.d.sync += place.eq(place + 1)
                    with m.Switch(place):
                        with m.Case(0):
                            m.d.sync += [space.eq(byte[:4]), space_excess.eq(byte[4:].any())]
                        with m.Case(1):
                            m.d.sync += index[:8].eq(byte)
                        with m.Case(2):
                            m.d.sync += index[8:16].eq(byte)
                        with m.Case(3):
                            m.d.sync += [steps[:8].eq(byte), index[16:].eq(byte)]
                            m.d.sync += index_excess.eq(byte[index_bits - 16 :].any())
                        with m.Default():
                            m.d.sync += [steps[8:].eq(byte), count.eq(byte)]
                    with m.If(place == Mux(writes, SPACE_HEADER.size - 1, RUN_HEADER.size - 1)):
                        m.d.sync += place.eq(0)
                        m.next = "SETTLE"
                        with m.If(runs):
                            m.next = "COUNT"
            with m.State("SETTLE"):
                m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(~self._words_fit(is_, space | space_excess << 4, count)):
                    refuse(Status.BAD_LENGTH)
                with m.Elif(space_excess | index_excess | outside):
                    refuse(Status.BAD_ADDRESS)
                with m.Elif(writes):
                    m.next = "GET"
                with m.Else():
                    m.d.sync += answers.eq(1)
                    m.next = "HEADER"
            with m.State("COUNT"):
                m.d.comb += request.body.ready.eq(1)
                with m.If(taken), m.If(advance_position()):
                    m.d.sync += steps.eq(steps - 1)
                with m.If(request.empty):
                    with m.If((steps != 0) | (position != 0)):
                        refuse(Status.BAD_LENGTH)
                    with m.Elif(space_excess | self._label_refused(space, index)):
                        refuse(Status.BAD_VALUE)
                    with m.Else():
                        m.d.comb += request.rewind.eq(1)
                        m.next = "INPUT"
            # -- steps -----------------------------------------------------------------------------------------------
            with m.State("INPUT"):
                m.d.comb += [self.inputs.valid.eq(request.body.valid), request.body.ready.eq(self.inputs.ready)]
                with m.If(taken):
                    advance_position()
                    with m.If(position == config.inputs - 1):
                        m.next = "TARGET_LOW" if config.readout is Readout.TARGET else "COMMAND"
            if config.readout is Readout.TARGET:
                with m.State("TARGET_LOW"):
                    m.d.comb += request.body.ready.eq(1)
                    with m.If(taken):
                        advance_position()
                        shift_in()
                        m.next = "TARGET_HIGH"
                with m.State("TARGET_HIGH"):
                    m.d.comb += [self.targets.valid.eq(request.body.valid), request.body.ready.eq(self.targets.ready)]
                    with m.If(taken):
                        m.next = "TARGET_LOW"
                        with m.If(advance_position()):
                            m.next = "COMMAND"
            with m.State("COMMAND"):
                m.d.comb += self.command.valid.eq(1)
                with m.If(self.command.ready):
                    m.d.sync += _flag(space, RunFlag.RESET).eq(0)
                    m.next = "WAIT"
            with m.State("WAIT"), m.If(~self.busy):
                m.next = "INPUT"
                with m.If(request.empty):
                    with m.If(is_[Opcode.STEP]):
                        answer(Space.NEURON, membrane, config.outputs)
                    with m.Elif(_flag(space, RunFlag.LAST)):
                        answer(Space.SCORE, 0, config.outputs)
                    m.next = "HEADER"
            # -- words -----------------------------------------------------------------------------------------------
            with m.State("GET"):
                m.d.comb += request.body.ready.eq(1)
                with m.If(taken):
                    shift_in()
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == 3):
                        m.d.sync += place.eq(0)
                        m.next = "ACCESS"
            with m.State("ACCESS"):
                m.d.comb += bus.valid.eq(1)
                with m.If(bus.done):
                    m.d.sync += index.eq(index + Mux(membranes_now, NEURON_WORDS, 1))
                    with m.If(~writes):
                        m.d.sync += word.eq(bus.answer)
                        m.next = "PUT"
                    with m.Else():
                        m.d.sync += status.eq(bus.status)
                        m.next = "GET"
                        with m.If(request.empty | (bus.status != Status.OK)):
                            m.next = "HEADER"
            with m.State("HEADER"):
                header = Array([sequence, opcode | REPLY_FLAG, status])
                m.d.comb += [reply.valid.eq(1), reply.payload.eq(header[place])]
                with m.If(reply.ready):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == REPLY_HEADER - 1):
                        m.d.sync += place.eq(0)
                        m.next = "SEND"
                        with m.If(answers):
                            m.next = "ACCESS"
            with m.State("PUT"):
                m.d.comb += reply.valid.eq(1)
                with m.If(reply.ready):
                    m.d.sync += [place.eq(place + 1), word.eq(word >> 8)]
                    with m.If(place == 3):
                        m.d.sync += [place.eq(0), count.eq(count - 1)]
                        m.next = "ACCESS"
                        with m.If(count == 1):
                            m.next = "SEND"
                            with m.If(membranes_now):
                                answer(Space.SCORE, 0, config.outputs)
                                m.next = "ACCESS"
            with m.State("SEND"):
                m.d.comb += self.send.eq(1)
                with m.If(self.accepted):
                    m.d.comb += request.release.eq(1)
                    m.next = "SEQUENCE"
        return m

    def _length_fits(self, is_: dict[Opcode, Signal]) -> Value:
        """Whether the payload's length may belong to the opcode, as far as the length alone tells."""
        length = self.request.length
        runs = is_[Opcode.RUN] | is_[Opcode.STREAM] if self.config.stream else is_[Opcode.RUN]
        read = length == RUN_HEADER.size
        write = (length >= SPACE_HEADER.size + 4) & (length[:2] == 0)
        return (
            (is_[Opcode.INFO] & (length == 0))
            | ((is_[Opcode.READ] | is_[Opcode.STATE]) & read)
            | ((is_[Opcode.WRITE] | is_[Opcode.LOAD]) & write)
            | (is_[Opcode.STEP] & (length == RUN_HEADER.size + self.config.step_bytes))
            | (runs & (length > RUN_HEADER.size))
        )

    def _words_fit(self, is_: dict[Opcode, Signal], space: Value, count: Signal) -> Value:
        """Whether the words fit a reply, and a write of registers has one."""
        most = (self.config.frame_bytes - REPLY_HEADER - CRC_BYTES) // 4
        readable = (count != 0) & (count <= min(COUNT_MAX, most))
        one_word = self.request.length == SPACE_HEADER.size + 4
        return Mux(
            is_[Opcode.WRITE] | is_[Opcode.LOAD],
            one_word | (space != Space.REGISTER),
            readable,
        )

    def _outside(self, is_: dict[Opcode, Signal], space: Signal, index: Signal, count: Signal) -> Value:
        """Whether the space does not take the request, or some word lies behind its end.

        A write of n words has 4*n + 4 bytes, so a quarter of its length is n + 1; hence reads count one more as well.
        """
        words = space_words(self.config)
        writes = is_[Opcode.WRITE] | is_[Opcode.LOAD]
        behind = index + Mux(writes, self.request.length[2:], count) + ~writes
        limit = Array(words[code] + 1 for code in Space)[space[:3]]
        read_only = Array(code not in WRITABLE_SPACES for code in Space)[space[:3]]
        return (
            space[3]
            | (behind > limit)
            | (writes & read_only)
            | ((is_[Opcode.READ] | is_[Opcode.WRITE]) & (space != Space.REGISTER))
        )

    def _follows(self, sequence: Signal, last: Signal) -> Value:
        """Whether a STREAM is in order, see :func:`solsa.contract.wire.follows`."""
        return (last != 0) & (sequence == Mux(last == 255, 1, last + 1))

    def _near(self, sequence: Signal, last: Signal) -> Value:
        """Whether no later number can have taken the slot of this one."""
        return (last - sequence)[:8] < self.config.reply_slots

    def _label_refused(self, space: Signal, index: Signal) -> Value:
        """Whether learning from this label is impossible."""
        if self.config.readout is Readout.TARGET:
            return Const(0)
        return _flag(space, RunFlag.LEARN) & (index[:LABEL_BITS] >= self.config.outputs)


def _flag(flags: Signal, flag: RunFlag) -> Value:
    return flags[flag.bit_length() - 1]
