"""What the link is compared with: a core that is only a table of words, and the device's rules in plain Python.

The same core model stands behind the link in simulation and behind the rules, so replies, writes and steps must agree.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field
from typing import Any

from streams import Bench, random_gap, until

from solsa.contract import NetworkConfig, Readout
from solsa.contract.layout import Layout
from solsa.contract.registers import WRITABLE_SPACES, NeuronField, Space, register_map, space_words
from solsa.contract.wire import (
    INFO_WORDS,
    NAK,
    REFUSED,
    RUN_HEADER,
    FrameError,
    Opcode,
    Reply,
    Request,
    RunFlag,
    Status,
    pack_reply,
    unpack_request,
)


@dataclass(frozen=True)
class Step:
    """One step as the core receives it."""

    inputs: tuple[int, ...]
    targets: tuple[int, ...]
    reset: bool
    learn: bool
    adapt: bool
    label: int


@dataclass
class CoreModel:
    """Words of every space. A step changes membranes and scores into a digest of all steps so far."""

    config: NetworkConfig
    words: dict[tuple[int, int], int] = field(default_factory=dict)
    writes: list[tuple[int, int, int]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def read(self, space: int, index: int) -> int:
        """A word; those never written have a value that tells where they lie."""
        assert index < space_words(self.config)[Space(space)], f"read of word {index} behind the end of space {space}"
        if space == Space.REGISTER:
            entry = register_map(self.config).get(index)
            return self.words.get((space, index), entry.reset if entry else 0) & 0xFFFFFFFF
        return self.words.get((space, index), zlib.crc32(bytes([space]) + index.to_bytes(3, "little")))

    def write(self, space: int, index: int, value: int) -> Status:
        """Write a word, registers only if they take it."""
        assert index < space_words(self.config)[Space(space)], f"write of word {index} behind the end of space {space}"
        if space == Space.REGISTER:
            entry = register_map(self.config).get(index)
            if entry is None or not entry.writable:
                return Status.BAD_ADDRESS
            number = value - (1 << 32) if entry.signed and value >> 31 else value
            if not entry.low <= number <= entry.high:
                return Status.BAD_VALUE
        self.words[space, index] = value
        self.writes.append((space, index, value))
        return Status.OK

    def step(self, step: Step) -> None:
        """Run a step."""
        self.steps.append(step)
        digest = zlib.crc32(repr(self.steps).encode())
        first = Layout(self.config).post_base[-1]
        for i in range(self.config.outputs):
            self.words[Space.NEURON, (first + i) * 8 + NeuronField.MEMBRANE] = digest ^ i
            self.words[Space.SCORE, i] = digest ^ 0xFF0000 ^ i


class Rules:
    """The device's side of contract/wire.py."""

    def __init__(self, config: NetworkConfig) -> None:
        self.config, self.core = config, CoreModel(config)
        self.sequence, self.stored = 0, b""
        self.replies: dict[int, bytes] = {}

    def answer(self, frame: bytes) -> bytes:
        """Reply to a frame that is not empty."""
        if len(frame) > self.config.frame_bytes:
            return NAK
        try:
            request = unpack_request(frame)
        except FrameError:
            return NAK
        if not request.sequence or request.sequence != self.sequence:
            streams = self.config.stream and request.opcode == Opcode.STREAM
            if streams and (not self.sequence or request.sequence != self.sequence % 255 + 1):
                return self.again(request.sequence)
            self.sequence = request.sequence
            status, words = self.execute(request)
            payload = b"".join(word.to_bytes(4, "little") for word in words)
            self.stored = pack_reply(Reply(request.sequence, request.opcode, status, payload))
            self.replies = {**self.replies, request.sequence: self.stored} if streams else {}
        return self.stored

    def again(self, sequence: int) -> bytes:
        """What a STREAM gets that is not in order: the reply that is kept, if it is."""
        slots, behind = self.config.reply_slots, (self.sequence - sequence) % 256
        return self.replies[sequence] if behind < slots and sequence in self.replies else REFUSED

    def execute(self, request: Request) -> tuple[Status, list[int]]:
        """Status and words."""
        p, core = request.payload, self.core
        match request.opcode:
            case Opcode.INFO:
                return (Status.BAD_LENGTH, []) if p else (Status.OK, [core.read(0, i) for i in range(INFO_WORDS)])
            case Opcode.READ | Opcode.STATE:
                count = p[4] if len(p) == 5 else 0
                if not count or 4 * count + 7 > self.config.frame_bytes:
                    return Status.BAD_LENGTH, []
                space, index = p[0], int.from_bytes(p[1:4], "little")
                if self.outside(space, index, count) or (request.opcode == Opcode.READ and space):
                    return Status.BAD_ADDRESS, []
                return Status.OK, [core.read(space, index + i) for i in range(count)]
            case Opcode.WRITE | Opcode.LOAD:
                if len(p) < 8 or len(p) % 4 or (p[0] == Space.REGISTER and len(p) != 8):
                    return Status.BAD_LENGTH, []
                space, index = p[0], int.from_bytes(p[1:4], "little")
                words = [int.from_bytes(p[k : k + 4], "little") for k in range(4, len(p), 4)]
                if self.outside(space, index, len(words)) or space not in WRITABLE_SPACES:
                    return Status.BAD_ADDRESS, []
                if request.opcode == Opcode.WRITE and space:
                    return Status.BAD_ADDRESS, []
                return [core.write(space, index + i, word) for i, word in enumerate(words)][-1], []
            case Opcode.STREAM if not self.config.stream:
                return Status.BAD_OPCODE, []
            case Opcode.STEP | Opcode.RUN | Opcode.STREAM:
                return self.run(request.opcode == Opcode.STEP, p)
        return Status.BAD_OPCODE, []

    def outside(self, space: int, index: int, count: int) -> bool:
        """Whether the words are not all inside a space."""
        words = space_words(self.config)
        return space not in list(Space) or index + count > words[Space(space)]

    def run(self, single: bool, payload: bytes) -> tuple[Status, list[int]]:
        """STEP or RUN."""
        config, core = self.config, self.core
        if len(payload) < RUN_HEADER.size:
            return Status.BAD_LENGTH, []
        flags, label, steps = RUN_HEADER.unpack_from(payload)
        if steps < 1 or (single and steps != 1) or len(payload) != RUN_HEADER.size + steps * config.step_bytes:
            return Status.BAD_LENGTH, []
        target = config.readout is Readout.TARGET
        if flags > 15 or (flags & RunFlag.LEARN and not target and label >= config.outputs):
            return Status.BAD_VALUE, []
        for k in range(steps):
            data = payload[RUN_HEADER.size + k * config.step_bytes :][: config.step_bytes]
            inputs = tuple(byte - 256 if byte > 127 else byte for byte in data[: config.inputs])
            rest = data[config.inputs :]
            targets = tuple(int.from_bytes(rest[i : i + 2], "little", signed=True) for i in range(0, len(rest), 2))
            reset = bool(flags & RunFlag.RESET) and k == 0
            core.step(Step(inputs, targets, reset, bool(flags & RunFlag.LEARN), bool(flags & RunFlag.ADAPT), label))
        first = Layout(config).post_base[-1]
        membranes = [core.read(Space.NEURON, 8 * (first + i) + 1) for i in range(config.outputs)]
        scores = [core.read(Space.SCORE, i) for i in range(config.outputs)]
        return Status.OK, membranes + scores if single else scores if flags & RunFlag.LAST else []


class SimulatedCore:
    """The core model behind the ports of a link, with random latencies; fails if the link breaks the bus rules."""

    def __init__(self, dut: Any, bench: Bench, config: NetworkConfig, rng: random.Random) -> None:
        self.dut, self.bench, self.config, self.rng = dut, bench, config, rng
        self.model = CoreModel(config)
        self.gap = random_gap(rng)
        self.reads: list[tuple[int, int]] = []

    async def words(self, ctx: Any) -> None:
        """Answer accesses."""
        bus = self.dut.bus
        fields = (bus.valid, bus.write, bus.space, bus.index, bus.data)
        while True:
            (*request,) = await until(ctx, bus.valid, *fields)
            for _ in range(self.gap()):
                _, _, *now = await ctx.tick().sample(*fields)
                assert now == request, "the bus moved during an access"
            _, write, space, index, data = request
            status, answer = Status.OK, self.rng.getrandbits(32)
            if write:
                status = self.model.write(space, index, data)
            else:
                answer = self.model.read(space, index)
                self.reads.append((space, index))
            ctx.set(bus.done, 1)
            ctx.set(bus.status, status)
            ctx.set(bus.answer, answer)
            _, _, *now = await ctx.tick().sample(*fields)
            assert now == request, "the bus moved during an access"
            ctx.set(bus.done, 0)
            ctx.set(bus.status, self.rng.randrange(8))
            ctx.set(bus.answer, self.rng.getrandbits(32))
            assert not ctx.get(bus.valid), "valid stayed high after done"

    async def steps(self, ctx: Any) -> None:
        """Take a step's data and run it."""
        dut, bench = self.dut, self.bench
        targets = self.config.outputs if self.config.readout is Readout.TARGET else 0
        while True:
            inputs = [await bench.get(ctx, dut.inputs, gap=self.gap, name="inputs") for _ in range(self.config.inputs)]
            wanted = [await bench.get(ctx, dut.targets, gap=self.gap, name="targets") for _ in range(targets)]
            c = await bench.get(ctx, dut.command, gap=self.gap, name="command")
            ctx.set(dut.busy, 1)
            for _ in range(self.rng.randrange(30)):
                *_, early = await ctx.tick().sample(dut.inputs.valid | dut.targets.valid | dut.command.valid)
                assert not early, "the link went on during a step"
            self.model.step(Step(tuple(inputs), tuple(wanted), bool(c.reset), bool(c.learn), bool(c.adapt), c.label))
            await ctx.tick()
            ctx.set(dut.busy, 0)
