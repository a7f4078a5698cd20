"""The link from encoded bytes to the core's bus, against the rules of contract/wire.py in plain Python."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Const, Module
from link_model import Rules, SimulatedCore
from streams import Bench, encode, no_gap, random_gap, ticks

from solsa.contract import NetworkConfig, Readout, preset
from solsa.contract.registers import MAGIC, LayerRegister, Register, Space, layer_address, space_words
from solsa.contract.wire import (
    NAK,
    RUN_HEADER,
    Opcode,
    Request,
    RunFlag,
    Status,
    max_steps,
    pack_request,
    space_header,
    unpack_reply,
)
from solsa.rtl.command import CommandProcessor
from solsa.rtl.link import ByteLink, Link
from solsa.rtl.uart import UartReceiver, UartTransmitter

TINY = preset("tiny").with_(frame_bytes=128)
TARGET = NetworkConfig(layers=(2, 4, 3), lanes=2, readout=Readout.TARGET, max_steps=8, frame_bytes=128)
ONE = NetworkConfig(layers=(1, 1), lanes=1, max_steps=2, surrogate_entries=4, frame_bytes=64)
CONFIGS = {"membrane": TINY, "target": TARGET, "one": ONE}


def play(
    config: NetworkConfig,
    frames: list[bytes],
    seed: int,
    *,
    slow: bool = False,
    rules: Rules | None = None,
    clocks: int = 400_000,
) -> list[bytes]:
    """Send frames one after the other; compare replies with the rules, then what the core was asked to do."""
    rng = random.Random(seed)
    dut = ByteLink(config)
    bench = Bench(dut, clocks=clocks)
    core = SimulatedCore(dut, bench, config, rng)
    rules = rules or Rules(config)
    replies: list[bytes] = []

    async def host(ctx: Any) -> None:
        for number, frame in enumerate(frames):
            gap, pause = (random_gap(rng, 12), random_gap(rng, 12)) if slow else (no_gap, no_gap)
            await bench.put(ctx, dut.i, encode(frame), gap=gap, name=f"frame {number}")
            reply = await bench.get_frame(ctx, dut.o, gap=pause, name=f"reply to frame {number}: {frame.hex()}")
            assert reply.hex() == rules.answer(frame).hex(), f"reply to frame {number}: {frame.hex()}"
            replies.append(reply)
        await bench.silence(ctx, dut.o.valid, 100, "a byte")

    bench.run(host, background=[core.words, core.steps])
    assert core.model.steps == rules.core.steps
    assert core.model.writes == rules.core.writes
    return replies


class Host:
    """Makes requests with rising sequence numbers and plays them."""

    def __init__(self, config: NetworkConfig = TINY) -> None:
        self.config = config
        self.frames: list[bytes] = []
        self.wanted: list[Status] = []

    def ask(self, status: Status, opcode: int, payload: bytes = b"") -> None:
        """Add a request and the status that its reply should have."""
        self.frames.append(pack_request(Request(len(self.frames) % 255 + 1, opcode, payload)))
        self.wanted.append(status)

    def run(self, status: Status, flags: int, label: int, steps: int, data: bytes, opcode: int = Opcode.RUN) -> None:
        """Add a RUN or STEP."""
        self.ask(status, opcode, RUN_HEADER.pack(flags, label, steps) + data)

    def play(self, seed: int) -> list[list[int]]:
        """Words of every reply."""
        replies = [unpack_reply(reply) for reply in play(self.config, self.frames, seed)]
        assert [(i, reply.status) for i, reply in enumerate(replies)] == list(enumerate(self.wanted))
        return [
            [int.from_bytes(reply.payload[k : k + 4], "little") for k in range(0, len(reply.payload), 4)]
            for reply in replies
        ]


OK, LENGTH, ADDRESS, VALUE = Status.OK, Status.BAD_LENGTH, Status.BAD_ADDRESS, Status.BAD_VALUE
WORDS = space_words(TINY)


def test_info_and_unknown_opcodes(seed: int) -> None:
    host = Host()
    host.ask(OK, Opcode.INFO)
    host.ask(LENGTH, Opcode.INFO, b"\0")
    for opcode in (0, 8, 15, 0x81, 0x83, 255):
        host.ask(Status.BAD_OPCODE, opcode, b"any")
    words = host.play(seed)
    assert len(words[0]) == 9
    assert words[0][0] == MAGIC


def test_read_and_state(seed: int) -> None:
    host = Host()
    for opcode in (Opcode.READ, Opcode.STATE):
        host.ask(OK, opcode, space_header(0, Register.STEP) + b"\4")
        host.ask(OK, opcode, space_header(0, WORDS[Space.REGISTER] - 1) + b"\1")
        host.ask(ADDRESS, opcode, space_header(0, WORDS[Space.REGISTER] - 1) + b"\2")
        host.ask(OK, opcode, space_header(0, 3) + b"\36")
        host.ask(LENGTH, opcode, space_header(0, 3) + b"\37")  # 4*31 + 7 > 128
        host.ask(LENGTH, opcode, space_header(0, 3) + b"\0")
        host.ask(LENGTH, opcode, space_header(9, 3) + b"\0")
        host.ask(LENGTH, opcode, space_header(0, 3))
        host.ask(LENGTH, opcode, space_header(0, 3) + b"\1\0")
    for space, words in WORDS.items():
        host.ask(OK, Opcode.STATE, space_header(space, 0) + bytes([min(words, 5)]))
        host.ask(OK, Opcode.STATE, space_header(space, words - 1) + b"\1")
        host.ask(ADDRESS, Opcode.STATE, space_header(space, words) + b"\1")
        host.ask(ADDRESS, Opcode.STATE, space_header(space, 0x800000) + b"\1")
        host.ask(ADDRESS, Opcode.STATE, space_header(space, 0x10000) + b"\1")
        host.ask(ADDRESS if space else OK, Opcode.READ, space_header(space, 0) + b"\1")
    for space in (8, 16, 64, 0x84):
        host.ask(ADDRESS, Opcode.STATE, space_header(space, 0) + b"\1")
    host.play(seed)


def test_write_and_load(seed: int) -> None:
    host = Host()
    theta = layer_address(1, LayerRegister.THETA)
    for opcode in (Opcode.WRITE, Opcode.LOAD):
        host.ask(OK, opcode, space_header(0, Register.RNG) + b"\x78\x56\x34\x12")
        host.ask(VALUE, opcode, space_header(0, Register.RNG) + bytes(4))
        host.ask(OK, opcode, space_header(0, theta) + (-5).to_bytes(4, "little", signed=True))
        host.ask(VALUE, opcode, space_header(0, theta) + b"\xff\xff\xff\x7f")
        host.ask(ADDRESS, opcode, space_header(0, Register.MAGIC) + bytes(4))
        host.ask(ADDRESS, opcode, space_header(0, 0x30) + bytes(4))
        host.ask(ADDRESS, opcode, space_header(0, WORDS[Space.REGISTER]) + bytes(4))
        host.ask(LENGTH, opcode, space_header(0, Register.A_MIN) + bytes(8))
        host.ask(LENGTH, opcode, space_header(0, 0xFFFFFF) + bytes(8))
        for space in (0, 1, 99):
            for length in (0, 1, 2, 3, 5, 6, 7):
                host.ask(LENGTH, opcode, space_header(space, 0) + bytes(length))
        host.ask(LENGTH, opcode, b"\0\0\0")
    for space, words in WORDS.items():
        writable = OK if space in (Space.WEIGHT, Space.TRACE, Space.SCHEDULE, Space.SURROGATE) else ADDRESS
        host.ask(ADDRESS if space else OK, Opcode.WRITE, space_header(space, 9) + b"\1\0\0\0")
        if space:
            host.ask(writable, Opcode.LOAD, space_header(space, words - 3) + bytes(range(12)))
            host.ask(ADDRESS, Opcode.LOAD, space_header(space, words - 2) + bytes(range(12)))
            host.ask(ADDRESS, Opcode.LOAD, space_header(space, 0x20000) + bytes(range(12)))
    host.ask(OK, Opcode.LOAD, space_header(1, 0) + random.Random(seed).randbytes(4 * 29))  # 126 bytes
    host.ask(ADDRESS, Opcode.LOAD, space_header(0x41, 0) + bytes(4))
    host.play(seed)


@pytest.mark.parametrize("readout", ["membrane", "target"])
def test_run_and_step(readout: str, seed: int) -> None:
    config = CONFIGS[readout]
    rng, size, most = random.Random(seed), config.step_bytes, max_steps(config.frame_bytes, config.step_bytes)
    refused = VALUE if readout == "membrane" else OK
    host = Host(config)
    for steps in (1, 2, 3, most):
        host.run(OK, 15, 1, steps, rng.randbytes(steps * size))
    for flags in range(16):
        host.run(OK, flags, config.outputs - 1, 2, rng.randbytes(2 * size))
    for flags in (0, 2, 7, 15):
        host.run(OK, flags, config.outputs - 1, 1, rng.randbytes(size), Opcode.STEP)
        host.run(refused if flags & RunFlag.LEARN else OK, flags, config.outputs, 1, rng.randbytes(size))
    for opcode in (Opcode.RUN, Opcode.STEP):
        host.run(OK, 0, 0xFFFF, 1, rng.randbytes(size), opcode)
        host.run(refused, 2, 0x0100, 1, rng.randbytes(size), opcode)
        host.run(VALUE, 16, 0, 1, rng.randbytes(size), opcode)
        host.run(VALUE, 0x80, 0, 1, rng.randbytes(size), opcode)
        wrong = [(0, 0), (0, size), (1, 0), (2, size), (1, 2 * size), (257, size), (1, size - 1), (1, size + 1)]
        for steps, length in wrong:
            host.run(LENGTH, 0x80, 0, steps, rng.randbytes(length), opcode)
        host.ask(LENGTH, opcode, b"")
        host.ask(LENGTH, opcode, b"\0\0\0\1")
    host.run(LENGTH, 8, 0, 2, rng.randbytes(2 * size), Opcode.STEP)
    words = host.play(seed)
    assert len(words[0]) == config.outputs


def random_request(rng: random.Random, config: NetworkConfig) -> bytes:
    """A request in which about half of the fields are what they should be."""
    opcode = rng.choice([*Opcode, *Opcode, rng.randrange(256)])
    words = space_words(config)
    space = rng.choice([0, 0, *range(9), rng.randrange(256)])
    near_end = words[Space(space % 8)] - rng.randrange(6)
    index = max(0, rng.choice([rng.randrange(80), near_end, near_end, rng.getrandbits(24)]))
    if opcode in (Opcode.READ, Opcode.STATE):
        payload = space_header(space, index) + bytes([rng.choice([1, 2, 3, rng.randrange(40), rng.randrange(256)])])
    elif opcode in (Opcode.WRITE, Opcode.LOAD):
        payload = space_header(space, index) + rng.randbytes(4 * rng.choice([1, 1, 2, 3, rng.randrange(25)]))
    elif opcode in (Opcode.RUN, Opcode.STEP):
        steps = rng.choice([1, 1, 2, 3])
        label = rng.choice([rng.randrange(config.outputs), rng.getrandbits(16)])
        given = steps if rng.random() < 0.8 else rng.choice([0, 1, 2, 256, 65535])
        payload = RUN_HEADER.pack(rng.choice([rng.randrange(16), rng.randrange(256)]), label, given)
        payload += rng.randbytes(steps * config.step_bytes)
    else:
        payload = b"" if rng.random() < 0.7 else rng.randbytes(rng.randrange(6))
    if rng.random() < 0.15:
        payload = payload[: rng.randrange(len(payload) + 1)]
    frame = bytearray(pack_request(Request(rng.choice([0, 1, 2, 3]), opcode, payload)))
    if rng.random() < 0.1:
        frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
    return bytes(frame if rng.random() < 0.95 else frame[: rng.randrange(1, 6)])


@pytest.mark.parametrize(
    ("name", "slow", "count"), [("membrane", False, 100), ("target", True, 40), ("one", False, 40)]
)
def test_random_requests(name: str, slow: bool, count: int, seed: int) -> None:
    """Sequence numbers from 0 to 3, so about a fifth of the requests repeats the last one; some frames are damaged."""
    rng = random.Random(seed)
    play(CONFIGS[name], [random_request(rng, CONFIGS[name]) for _ in range(count)], seed, slow=slow)


def test_a_repeated_sequence_is_not_executed_again(seed: int) -> None:
    def load(sequence: int, value: int) -> bytes:
        return pack_request(Request(sequence, Opcode.LOAD, space_header(1, 0) + value.to_bytes(4, "little")))

    state = pack_request(Request(8, Opcode.STATE, space_header(1, 0) + b"\1"))
    damaged = load(7, 1)[:-1] + b"\0"
    rules = Rules(TINY)
    frames = [load(7, 1), load(7, 2), damaged, load(7, 3), state, state, load(7, 4), load(0, 5), load(0, 6), load(7, 7)]
    frames += [pack_request(Request(9, 99, b"")), load(9, 8)]
    replies = play(TINY, frames, seed, rules=rules)
    assert [value for _, _, value in rules.core.writes] == [1, 4, 5, 6, 7]
    assert replies[2] == NAK
    assert replies[0] == replies[1] == replies[3]
    assert unpack_reply(replies[4]).payload == b"\1\0\0\0"
    assert unpack_reply(replies[-1]).status == Status.BAD_OPCODE  # refused requests are requests


def test_hosts_that_do_not_wait_hang_nothing(seed: int) -> None:
    """Random bytes and frames without waiting, then a request that must be answered; no noise changes the core."""
    rng = random.Random(seed)
    dut = ByteLink(TINY)
    bench = Bench(dut, clocks=100_000)
    core = SimulatedCore(dut, bench, TINY, rng)
    info = pack_request(Request(200, Opcode.INFO, b""))
    last = pack_request(Request(201, Opcode.INFO, b""))
    rules = Rules(TINY)
    sent = 0

    async def flood(ctx: Any) -> None:
        nonlocal sent
        for _ in range(40):
            noise = rng.randbytes(rng.randrange(1, 60)) if rng.random() < 0.5 else encode(info)
            await bench.put(ctx, dut.i, noise, name="flood")
            await ticks(ctx, rng.randrange(100))
        await ticks(ctx, 2000)
        sent = 1
        await bench.put(ctx, dut.i, b"\0", name="delimiter")
        await ticks(ctx, 500)
        await bench.put(ctx, dut.i, encode(last), name="request")

    async def listen(ctx: Any) -> None:
        wanted = rules.answer(last)
        while await bench.get_frame(ctx, dut.o, name="answer after the flood") != wanted:
            pass
        assert sent

    bench.run(flood, listen, background=[core.words, core.steps])
    assert core.model.steps == core.model.writes == []
    assert {space for space, _ in core.reads} == {0}


def test_the_next_request_may_come_while_the_reply_is_on_the_line(seed: int) -> None:
    rng = random.Random(seed)
    dut = ByteLink(TINY)
    bench = Bench(dut)
    core = SimulatedCore(dut, bench, TINY, rng)
    rules = Rules(TINY)
    frames = [pack_request(Request(k, Opcode.STATE, space_header(k, 0) + b"\3")) for k in (1, 2, 3)]

    async def host(ctx: Any) -> None:
        await bench.put(ctx, dut.i, encode(frames[0]), name="first request")
        await ticks(ctx, 400)  # executed, and the reply has begun to leave
        await bench.put(ctx, dut.i, encode(frames[1]), name="second request")
        for frame in frames[:2]:
            assert await bench.get_frame(ctx, dut.o) == rules.answer(frame)

    bench.run(host, background=[core.words, core.steps])


def test_serial_link(seed: int) -> None:
    """Rx to tx with the fastest line, bit by bit."""
    divisor = 4
    dut, outgoing, incoming = Link(TINY, divisor), UartTransmitter(divisor), UartReceiver(divisor)
    m = Module()
    m.submodules += [dut, outgoing, incoming]
    m.d.comb += [dut.rx.eq(outgoing.tx), incoming.rx.eq(dut.tx)]
    bench = Bench(m, clocks=40_000)
    core = SimulatedCore(dut, bench, TINY, random.Random(seed))
    rules = Rules(TINY)
    data = random.Random(seed).randbytes(3 * TINY.step_bytes)
    frames = [
        pack_request(Request(0, Opcode.INFO, b"")),
        pack_request(Request(1, Opcode.RUN, RUN_HEADER.pack(11, 1, 3) + data)),
        pack_request(Request(1, Opcode.RUN, RUN_HEADER.pack(11, 1, 3) + data)),
        b"damaged",
    ]

    async def host(ctx: Any) -> None:
        for number, frame in enumerate(frames):
            await bench.put(ctx, outgoing.i, encode(frame), name=f"frame {number}")
            assert await bench.get_frame(ctx, incoming.o, name=f"reply {number}") == rules.answer(frame)

    bench.run(host, background=[core.words, core.steps])
    assert core.model.steps == rules.core.steps
    assert len(core.model.steps) == 3


@pytest.mark.parametrize(
    ("check", "always", "request_"),
    [
        ("_length_fits", 1, (Opcode.INFO, b"too much")),
        ("_words_fit", 1, (Opcode.WRITE, space_header(0, Register.A_MIN) + bytes(8))),
        ("_outside", 0, (Opcode.LOAD, space_header(Space.SCHEDULE, TINY.max_steps) + bytes(4))),
        ("_label_refused", 0, (Opcode.RUN, RUN_HEADER.pack(2, TINY.outputs, 1) + bytes(TINY.step_bytes))),
    ],
)
def test_a_missing_check_is_seen(
    monkeypatch: pytest.MonkeyPatch, check: str, always: int, request_: tuple[int, bytes], seed: int
) -> None:
    monkeypatch.setattr(CommandProcessor, check, lambda *_: Const(always, 1))
    with pytest.raises(AssertionError):
        play(TINY, [pack_request(Request(1, *request_))], seed, clocks=4000)


@pytest.mark.parametrize("name", [*CONFIGS, "icebreaker", "ulx3s_85f"])
def test_it_converts(name: str) -> None:
    config = CONFIGS[name] if name in CONFIGS else preset(name)
    text = rtlil.convert(Link(config, 104))
    assert text.count("cell $memrd_v2") == 2
