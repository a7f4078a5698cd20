"""Frame receiver and transmitter against contract.wire and the `cobs` library."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Module
from cobs import cobs
from streams import Bench, Gap, encode, no_gap, random_gap, ticks, until

from solsa.contract.wire import NAK, Request, pack_request, seal, unpack_request
from solsa.rtl.crc import Crc32
from solsa.rtl.frames import FrameReceiver, FrameTransmitter

SIZE = 64
#: What a damaged frame gives.
DAMAGED = None


def expected(frame: bytes) -> bytes | None:
    """Body that the receiver should present, by the contract."""
    if len(frame) > SIZE:
        return DAMAGED
    try:
        request = unpack_request(frame)
    except ValueError:
        return DAMAGED
    return bytes([request.sequence, request.opcode]) + request.payload


def receive(line: bytes, *, gap: Gap = no_gap, pause: Gap = no_gap) -> list[bytes | None]:
    """What the receiver makes of a line, in order. Every good frame is released at once when it has been read."""
    dut = FrameReceiver(SIZE)
    bench = Bench(dut, clocks=60_000)
    request = dut.request
    events: list[bytes | None] = []
    held = False

    async def send(ctx: Any) -> None:
        for byte in line:
            await bench.put(ctx, dut.i, [byte], gap=gap, name="line")
            if byte == 0:
                # The host has one request outstanding: it goes on when the device has answered.
                await ticks(ctx, 6)
                while held:
                    await ctx.tick()

    async def read(ctx: Any) -> None:
        nonlocal held
        while True:
            with bench.waiting("a good frame"):
                await until(ctx, request.body.valid)
            held, body = True, bytearray()
            while not ctx.get(request.empty):
                body.append(await bench.get(ctx, request.body, gap=pause, name="body"))
            assert ctx.get(request.length) == len(body) - 2
            assert not ctx.get(request.body.valid)
            ctx.set(request.release, 1)
            await ctx.tick()
            ctx.set(request.release, 0)
            events.append(bytes(body))
            held = False

    async def watch(ctx: Any) -> None:
        while True:
            await until(ctx, dut.damaged)
            events.append(DAMAGED)

    bench.run(send, background=[read, watch])
    return events


def frame(rng: random.Random, payload: int) -> bytes:
    """A good frame with a random payload, rich in zeros."""
    return pack_request(Request(rng.randrange(256), rng.randrange(256), bytes(rng.choices((0, 1, 2, 255), k=payload))))


def test_frames_of_every_length(seed: int) -> None:
    rng = random.Random(seed)
    frames = [frame(rng, payload) for payload in range(SIZE + 4)]
    rng.shuffle(frames)
    wanted = [expected(one) for one in frames]
    assert wanted.count(DAMAGED) == 9  # 59 bytes of payload and more
    assert receive(encode(*frames)) == wanted


def test_random_gaps_and_slow_reading(seed: int) -> None:
    rng = random.Random(seed)
    frames = [frame(rng, rng.randrange(20)) for _ in range(20)]
    assert receive(encode(*frames), gap=random_gap(rng, 20), pause=random_gap(rng)) == [expected(one) for one in frames]


def test_short_frames_are_damaged_even_with_a_good_crc() -> None:
    frames = [seal(b""), seal(b"\1"), seal(b"\1\2"), b"\1", b"\1\2\3"]
    wanted = [DAMAGED, DAMAGED, b"\1\2", DAMAGED, DAMAGED]
    assert [expected(one) for one in frames] == wanted
    assert receive(encode(*frames)) == wanted


def test_a_good_crc_does_not_excuse_excess_bytes_or_a_cut_block(seed: int) -> None:
    """The first 64 bytes are a frame; the bytes are a frame, but the last block says that one more follows."""
    largest = frame(random.Random(seed), SIZE - 6)
    small = seal(b"\1\2abc")
    block = bytearray(encode(small))
    assert block[0] == len(small) + 1
    block[0] += 1
    line = encode(largest, largest + b"x", largest + b"xyz", largest) + bytes(block) + encode(small)
    assert receive(line) == [largest[:-4], DAMAGED, DAMAGED, largest[:-4], DAMAGED, small[:-4]]


def test_empty_frames_are_ignored() -> None:
    good = seal(b"\1\2abc")
    assert receive(b"\0\0" + encode(good) + b"\0\0\0" + encode(good)) == [b"\1\2abc"] * 2


def test_a_code_byte_alone_is_a_short_frame() -> None:
    assert receive(b"\1\0" + encode(seal(b"\1\2"))) == [DAMAGED, b"\1\2"]


def flipped_frames(seed: int) -> tuple[bytes, list[bytes | None]]:
    """A line of frames, in each of which one byte of the body differs; between them good ones."""
    rng = random.Random(seed)
    good = frame(rng, 12)
    line, wanted = b"", []
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << rng.randrange(8)
        line += encode(bytes(bad), good)
        wanted += [DAMAGED, good[:-4]]
    return line, wanted


def test_every_flipped_byte_is_seen(seed: int) -> None:
    line, wanted = flipped_frames(seed)
    assert receive(line) == wanted


class BlindCrc(Crc32):
    """Finds every CRC good."""

    def elaborate(self, platform: object) -> Module:
        """Overrule `good`."""
        m = super().elaborate(platform)
        m.d.comb += self.good.eq(1)
        return m


def test_a_planted_crc_bug_is_seen(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Neither a receiver that takes every CRC for good nor one with another polynomial passes the test above."""
    line, wanted = flipped_frames(seed)
    with monkeypatch.context() as patch:
        patch.setattr("solsa.rtl.frames.Crc32", BlindCrc)
        got = receive(line)
    assert got.count(DAMAGED) < wanted.count(DAMAGED)
    monkeypatch.setattr("solsa.rtl.crc.POLYNOMIAL", 0xEDB88321)
    assert receive(line) != wanted


def test_garbage_damages_only_itself(seed: int) -> None:
    rng = random.Random(seed)
    line, wanted = b"", []
    for _ in range(25):
        garbage = bytes(rng.randrange(1, 256) for _ in range(rng.randrange(1, 90)))
        good = frame(rng, rng.randrange(8))
        line += garbage + b"\0" + encode(good)
        try:
            wanted.append(expected(cobs.decode(garbage)))
        except cobs.DecodeError:
            wanted.append(DAMAGED)
        wanted.append(expected(good))
    assert receive(line) == wanted


def test_cut_frames_damage_only_themselves(seed: int) -> None:
    good = frame(random.Random(seed), 6)
    encoded = encode(good)[:-1]
    line = b"".join(encoded[:cut] + b"\0" + encoded + b"\0" for cut in range(1, len(encoded)))
    assert receive(line) == [DAMAGED, good[:-4]] * (len(encoded) - 1)


@pytest.mark.parametrize("lost", [1, 4, 9, 13])
def test_bytes_during_a_request_are_lost_and_the_next_delimiter_resynchronises(lost: int) -> None:
    """A host that breaks the rule of one outstanding request loses frames, whole or in part, but hangs nothing."""
    dut = FrameReceiver(SIZE)
    bench = Bench(dut)
    request = dut.request
    first, second = seal(b"\1\2first"), seal(b"\3\4second")
    late = encode(first)
    damaged = 0

    async def watch(ctx: Any) -> None:
        nonlocal damaged
        while True:
            await until(ctx, dut.damaged)
            damaged += 1

    async def drive(ctx: Any) -> None:
        await bench.put(ctx, dut.i, encode(first) + late + late[:lost], name="line")
        await bench.expect(ctx, request.body, first[:-4], name="held request")
        assert ctx.get(request.empty)
        ctx.set(request.release, 1)
        await ctx.tick()
        ctx.set(request.release, 0)
        await bench.put(ctx, dut.i, late[lost:], name="line")
        await ticks(ctx, 4)
        if lost == 1:  # only the code byte had passed, and that is not lost
            assert damaged == 0
            await bench.expect(ctx, request.body, first[:-4], name="second request")
            ctx.set(request.release, 1)
            await ctx.tick()
            ctx.set(request.release, 0)
        elif lost < len(late):
            assert damaged == 1
        await bench.put(ctx, dut.i, encode(second), name="line")
        await bench.expect(ctx, request.body, second[:-4], name="last request")
        assert damaged == (1 < lost < len(late))

    bench.run(drive, background=[watch])


def test_the_rest_of_a_lost_frame_is_not_a_request() -> None:
    """Only the begin of a frame passed during the request before it, and the rest happens to have a good CRC."""
    dut = FrameReceiver(SIZE)
    bench = Bench(dut)
    first, inner = seal(b"\1\2"), seal(b"\0\4inner")
    late = encode(b"lost" + inner)

    async def drive(ctx: Any) -> None:
        await bench.put(ctx, dut.i, encode(first) + late[:5], name="line")
        ctx.set(dut.request.release, 1)
        await ctx.tick()
        ctx.set(dut.request.release, 0)
        await bench.put(ctx, dut.i, late[5:], name="line")
        with bench.waiting("damaged"):
            await until(ctx, dut.damaged)
        await bench.put(ctx, dut.i, encode(inner), name="line")
        await bench.expect(ctx, dut.request.body, inner[:-4], name="request")

    bench.run(drive)


def test_rewind_returns_to_the_data_of_run() -> None:
    dut = FrameReceiver(SIZE)
    bench = Bench(dut)
    request = dut.request

    async def drive(ctx: Any) -> None:
        await bench.put(ctx, dut.i, encode(seal(b"so01234data")))
        for _ in range(2):
            await bench.expect(ctx, request.body, b"so01234data"[-4 if _ else 0 :], name="body")
            assert ctx.get(request.empty)
            ctx.set(request.rewind, 1)
            await ctx.tick()
            ctx.set(request.rewind, 0)
            assert not ctx.get(request.empty)

    bench.run(drive)


# -- transmitter ------------------------------------------------------------------------------------------------------


class Sender:
    """Drives a transmitter and collects its frames."""

    def __init__(self, pause: Gap = no_gap) -> None:
        self.dut = FrameTransmitter(SIZE)
        self.bench = Bench(self.dut, clocks=100_000)
        self.pause = pause

    async def send(self, ctx: Any, body: bytes = b"") -> None:
        """Send a reply, or the stored one."""
        await self.bench.put(ctx, self.dut.body, body, name="body")
        ctx.set(self.dut.send, 1)
        with self.bench.waiting("accepted"):
            await until(ctx, self.dut.accepted)
        ctx.set(self.dut.send, 0)

    async def nak(self, ctx: Any) -> None:
        """One clock of `nak`."""
        ctx.set(self.dut.nak, 1)
        await ctx.tick()
        ctx.set(self.dut.nak, 0)

    async def take(self, ctx: Any, *bodies: bytes) -> None:
        """Compare the next frames."""
        for body in bodies:
            got = await self.bench.get_frame(ctx, self.dut.o, gap=self.pause)
            assert got == (NAK if body == b"nak" else seal(body))


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "back-pressure"])
def test_transmitter(slow: bool, seed: int) -> None:
    rng = random.Random(seed)
    sender = Sender(random_gap(rng, 9) if slow else no_gap)
    lengths = [3, SIZE - 4, *rng.sample(range(3, SIZE - 4), 8)]
    bodies = [bytes(rng.choices((0, 1, 2, 255), k=length)) for length in lengths]

    async def drive(ctx: Any) -> None:
        for number, body in enumerate(bodies):
            await sender.send(ctx, body)
            for _ in range(number % 3):
                await sender.send(ctx)

    async def check(ctx: Any) -> None:
        for number, body in enumerate(bodies):
            await sender.take(ctx, *[body] * (1 + number % 3))
        await sender.bench.silence(ctx, sender.dut.o.valid, 300, "a byte")

    sender.bench.run(drive, check)


def test_nak_keeps_the_stored_reply() -> None:
    sender = Sender()

    async def drive(ctx: Any) -> None:
        await sender.nak(ctx)
        await sender.take(ctx, b"nak")
        await sender.send(ctx, b"reply\0")
        await sender.take(ctx, b"reply\0")
        await sender.nak(ctx)
        await sender.take(ctx, b"nak")
        await sender.send(ctx)
        await sender.take(ctx, b"reply\0")

    sender.bench.run(drive)


def test_nak_waits_for_the_reply_on_the_line_and_a_reply_for_the_nak() -> None:
    sender = Sender(lambda: 5)

    async def drive(ctx: Any) -> None:
        await sender.send(ctx, b"one")
        await ticks(ctx, 30)
        await sender.nak(ctx)
        await ticks(ctx, 10)
        await sender.nak(ctx)  # while the first still waits: one answer is enough
        await sender.send(ctx, b"two")

    async def check(ctx: Any) -> None:
        await sender.take(ctx, b"one", b"nak", b"two")
        await sender.bench.silence(ctx, sender.dut.o.valid, 100, "a byte")

    sender.bench.run(drive, check)
