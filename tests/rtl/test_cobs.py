"""COBS against the `cobs` library."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib.memory import Memory
from cobs import cobs
from streams import Bench, Gap, encode, no_gap, random_gap, until

from solsa.rtl.cobs import CobsDecoder, CobsEncoder

EDGES = [
    b"",
    b"\0",
    b"\0\0\0",
    b"a",
    b"a\0",
    b"\0a",
    b"ab\0\0cd",
    *(bytes(range(1, 256))[:length] * times for length in (253, 254, 255) for times in (1, 2)),
    *(bytes([7]) * 254 + tail for tail in (b"\0", b"\0\0", b"\0a", b"a\0")),
    bytes([7]) * 253 + b"\0a",
    b"\0" + bytes([7]) * 254,
    bytes([7]) * 508 + b"\0" + bytes([7]) * 2,
]


def samples(seed: int, count: int) -> list[bytes]:
    """Random frames, rich in zeros or poor in them."""
    rng = random.Random(seed)
    pool = [0, 1, 254, 255, *range(256)]
    return [bytes(rng.choices(pool, [200] * 4 + [3] * 256, k=rng.randrange(40))) for _ in range(count)]


def decode(line: bytes, gap: Gap = no_gap, pause: Gap = no_gap) -> list[bytes | None]:
    """Frames that the decoder makes of a line; None for a damaged one."""
    dut = CobsDecoder()
    bench = Bench(dut, clocks=100_000)
    frames: list[bytes | None] = []
    frame = bytearray()

    async def send(ctx: Any) -> None:
        await bench.put(ctx, dut.i, line, gap=gap)

    async def take(ctx: Any) -> None:
        while True:
            item = await bench.get(ctx, dut.o, gap=pause)
            if item.end:
                frames.append(None if item.error else bytes(frame))
                frame.clear()
            else:
                frame.append(item.byte)

    async def finish(ctx: Any) -> None:
        await until(ctx, dut.i.valid)
        quiet = 0
        while quiet < 12:
            *_, valid = await ctx.tick().sample(dut.i.valid)
            quiet = 0 if valid else quiet + 1

    bench.run(send, finish, background=[take])
    return frames


def test_decoder() -> None:
    assert decode(encode(*EDGES)) == EDGES


def test_decoder_with_gaps_and_back_pressure(seed: int) -> None:
    frames, rng = samples(seed, 40), random.Random(seed)
    assert decode(encode(*frames), random_gap(rng), random_gap(rng)) == frames


def test_decoder_skips_empty_frames() -> None:
    assert decode(b"\0\0" + encode(b"a") + b"\0\0\0" + encode(b"b") + b"\0") == [b"a", b"b"]


def test_decoder_resynchronises_after_every_cut(seed: int) -> None:
    """A frame of which the front or the end is missing damages nothing but itself."""
    for whole in [b"ab\0\0cd", bytes([7]) * 9]:
        encoded = cobs.encode(whole)
        line, expected = b"", []
        for cut in range(1, len(encoded)):
            for part in (encoded[:cut], encoded[cut:]):
                line += part + b"\0" + encode(b"next")
                try:
                    expected.append(cobs.decode(part))
                except cobs.DecodeError:
                    expected.append(None)
                expected.append(b"next")
        assert decode(line) == expected


class Stored(Elaboratable):
    """An encoder with its memory."""

    def __init__(self, content: bytes, depth: int) -> None:
        self.content, self.depth = content, depth
        self.encoder = CobsEncoder(depth)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.encoder = encoder = self.encoder
        m.submodules.memory = memory = Memory(shape=8, depth=self.depth, init=self.content)
        port = memory.read_port()
        m.d.comb += [port.addr.eq(encoder.address), encoder.data.eq(port.data)]
        return m


def check_encoder(frames: list[bytes], pause: Gap = no_gap) -> None:
    """Frames lie at address 0, so each has its own simulation; with itself twice in a row."""
    for frame in frames:
        dut = Stored(frame, 1024)
        bench = Bench(dut)
        encoder = dut.encoder

        async def drive(ctx: Any, frame: bytes = frame, bench: Bench = bench, encoder: CobsEncoder = encoder) -> None:
            ctx.set(encoder.length, len(frame))
            for _ in range(2):
                assert not ctx.get(encoder.busy)
                ctx.set(encoder.start, 1)
                await ctx.tick()
                ctx.set(encoder.start, 0)
                assert ctx.get(encoder.busy)
                await bench.expect(ctx, encoder.o, encode(frame), gap=pause, name=f"encoder of {frame!r}")

        bench.run(drive)


def test_encoder() -> None:
    check_encoder(EDGES)


def test_encoder_with_back_pressure(seed: int) -> None:
    check_encoder(samples(seed, 15), random_gap(random.Random(seed)))


def test_encoder_fills_the_whole_memory(seed: int) -> None:
    check_encoder([random.Random(seed).randbytes(1024)])


def test_a_planted_bug_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of 254 the classic mistake appears only in long frames; the edge cases must reach it."""
    monkeypatch.setattr("solsa.rtl.cobs.FULL", 254)
    with pytest.raises(AssertionError):
        check_encoder(EDGES)
    assert decode(encode(*EDGES)) != EDGES
