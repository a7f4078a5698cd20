"""Option ``stream``: requests that come while others wait, in order or not, against the rules in plain Python."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Const
from link_model import Rules, SimulatedCore
from streams import Bench, Gap, encode, no_gap, random_gap, ticks
from test_command import play

from solsa.contract import ConfigError, NetworkConfig, preset
from solsa.contract.wire import (
    CRC_BYTES,
    MOST_SLOTS,
    NAK,
    REFUSED,
    REPLY_HEADER,
    RUN_HEADER,
    Opcode,
    Request,
    RunFlag,
    Status,
    follows,
    pack_request,
    queue_bytes,
    reply_slots,
    seal,
    slot_bytes,
    unpack_reply,
    unpack_request,
    window,
)
from solsa.rtl.command import CommandProcessor
from solsa.rtl.frame_queue import FrameQueue
from solsa.rtl.link import ByteLink

TINY = preset("tiny").with_(frame_bytes=128, stream=True)
WIDE = preset("tiny").with_(frame_bytes=1024, stream=True)


def run(sequence: int, data: bytes, flags: int = RunFlag.LAST, label: int = 0, config: NetworkConfig = TINY) -> bytes:
    """A STREAM request."""
    payload = RUN_HEADER.pack(flags, label, len(data) // config.step_bytes) + data
    return pack_request(Request(sequence, Opcode.STREAM, payload))


def info(sequence: int) -> bytes:
    """A request of another kind."""
    return pack_request(Request(sequence, Opcode.INFO, b""))


def in_flight(
    config: NetworkConfig, bursts: list[list[bytes]], seed: int, *, gap: Gap = no_gap, clocks: int = 400_000
) -> tuple[list[bytes], Rules, SimulatedCore]:
    """Send bursts of frames without waiting, each when everything before was answered; replies and what was done."""
    rng = random.Random(seed)
    dut = ByteLink(config)
    bench = Bench(dut, clocks=clocks)
    core = SimulatedCore(dut, bench, config, rng)
    rules = Rules(config)
    replies: list[bytes] = []

    async def send(ctx: Any) -> None:
        for number, burst in enumerate(bursts):
            wanted = len(replies) + len(burst)
            await bench.put(ctx, dut.i, encode(*burst), gap=gap, name=f"burst {number}")
            with bench.waiting(f"replies to burst {number}"):
                while len(replies) < wanted:
                    await ctx.tick()

    async def listen(ctx: Any) -> None:
        while True:
            replies.append(await bench.get_frame(ctx, dut.o, gap=gap, name="reply"))

    bench.run(send, background=[listen, core.words, core.steps])
    return replies, rules, core


def queued(frames: list[bytes], slots: int, rounds: int) -> list[list[bytes]]:
    """Send all frames to a queue that nobody reads, then read it empty, again and again; bodies of every round."""
    dut = FrameQueue(64, slots)
    bench, request = Bench(dut, clocks=60_000), dut.request
    found: list[list[bytes]] = []

    async def work(ctx: Any) -> None:
        for _ in range(rounds):
            await bench.put(ctx, dut.i, encode(*frames), name="line")
            await ticks(ctx, 12)
            bodies: list[bytes] = []
            while True:
                body = bytearray()
                for _ in range(6):  # as long as it takes to say that nothing waits
                    if ctx.get(request.body.valid):
                        break
                    await ctx.tick()
                else:
                    break
                while not ctx.get(request.empty):
                    body.append(await bench.get(ctx, request.body, name="body"))
                assert ctx.get(request.length) == len(body) - 2
                bodies.append(bytes(body))
                ctx.set(request.release, 1)
                await ctx.tick()
                ctx.set(request.release, 0)
            found.append(bodies)

    bench.run(work)
    return found


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [((60, 60, 20, 5, 4), (0, 1, 4)), ((20, 20, 61, 20, 20, 2), (0, 1, 3, 4)), ((60, 2, 9), (0, 1, 2))],
)
def test_a_queue_that_nobody_reads_keeps_what_fits(sizes: tuple[int, ...], kept: tuple[int, ...], seed: int) -> None:
    """128 bytes, the CRC of the last frame among them, and 4 frames; the places of the ring move on by every round."""
    rng = random.Random(seed)
    frames = [seal(rng.randbytes(size)) for size in sizes]
    assert queued(frames, 4, 4) == [[frames[i][:-CRC_BYTES] for i in kept]] * 4


def test_sizes() -> None:
    assert [slot_bytes(outputs) for outputs in (1, 9, 14, 15, 32)] == [16, 64, 64, 128, 256]
    assert (reply_slots(1024, 9), reply_slots(1024, 3), window(1024, 9)) == (16, MOST_SLOTS, 15)
    assert (TINY.reply_slots, WIDE.reply_slots, TINY.with_(stream=False).reply_slots) == (4, 16, 0)
    assert [follows(n, last) for n, last in ((1, 0), (1, 255), (0, 255), (2, 1), (3, 1), (255, 254))] == [
        False, True, False, True, False, True,
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="stream with frames of 64 bytes, too few for 4 readouts of 3 outputs"):
        TINY.with_(frame_bytes=64)
    for name in ("vowels", "flagship", "ulx3s_85f", "icebreaker"):
        assert preset(f"{name}+stream").reply_slots >= 4


def numbers(rng: random.Random, count: int) -> list[bytes]:
    """Frames whose numbers mostly go on, over the end of the numbers, and sometimes do not."""
    last, frames = 240, [info(240)]
    for _ in range(count):
        near = last % 255 + 1
        number = rng.choice([near, near, near, last, max(0, last - rng.randrange(5)), (last + 2) % 256, 0])
        if rng.random() < 0.85:
            steps = rng.choice([0, 1, 1, 2])
            label = rng.choice([0, 1, TINY.outputs])
            frame = run(number, rng.randbytes(steps * TINY.step_bytes), rng.randrange(16), label)
        else:
            number = number or near  # nothing follows 0
            frame = info(number)
        frames.append(frame)
        if frame[1] == Opcode.INFO or follows(number, last):
            last = number
    return frames


def test_one_at_a_time_in_order_and_out_of_it(seed: int) -> None:
    rng = random.Random(seed)
    frames = numbers(rng, 24)
    replies = [unpack_reply(reply) for reply in play(TINY, frames, seed)]
    statuses = [reply.status for reply in replies]
    assert {Status.OK, Status.BAD_SEQUENCE, Status.BAD_LENGTH} <= set(statuses)


@pytest.mark.parametrize("slow", [False, True])
def test_a_window_of_requests_is_executed_in_order(slow: bool, seed: int) -> None:
    """Numbers, slots and ring wrap; the core is sometimes slower than the line."""
    rng = random.Random(seed)
    config, number = (TINY, 250) if slow else (WIDE, 250)
    bursts, most = [[info(250)]], window(config.frame_bytes, config.outputs)
    for _ in range(2):
        burst: list[bytes] = []
        room = queue_bytes(config.frame_bytes)
        for _ in range(rng.randint(1, most)):
            data = rng.randbytes(config.step_bytes * rng.randint(1, 3))
            frame = run(number % 255 + 1, data, rng.choice([8, 9, 11, 0, 15]), rng.randrange(3))
            if room < len(frame):
                break
            room, number = room - len(frame), number % 255 + 1
            burst.append(frame)
        bursts.append(burst)
    replies, rules, core = in_flight(config, bursts, seed, gap=random_gap(rng, 9) if slow else no_gap)
    assert replies == [rules.answer(frame) for burst in bursts for frame in burst]
    assert core.model.steps == rules.core.steps
    assert len(bursts) < len(rules.core.steps)


def test_what_follows_a_lost_request_is_refused_and_sent_again(seed: int) -> None:
    """The second of three is damaged; then all three come again, and again."""
    rng = random.Random(seed)
    frames = [run(n, rng.randbytes(2 * TINY.step_bytes)) for n in (2, 3, 4)]
    damaged = frames[1][:-1] + bytes([frames[1][-1] ^ 1])
    again = [[frame] for frame in (*frames, *reversed(frames))]
    replies, rules, core = in_flight(TINY, [[info(1)], [frames[0], damaged, frames[2]], *again], seed)
    assert replies[0] == rules.answer(info(1))
    assert sorted(replies[1:4]) == sorted([rules.answer(frames[0]), NAK, REFUSED])
    expected = [rules.answer(frame) for frame in frames]
    assert replies[4:] == [*expected, *reversed(expected)]
    assert core.model.steps == rules.core.steps
    assert len(core.model.steps) == 6


def test_replies_are_kept_until_another_request(seed: int) -> None:
    """Also past the end of the numbers; the fourth last one has lost its slot, and so have all after INFO."""
    rng = random.Random(seed)
    stream = [run(n, rng.randbytes(TINY.step_bytes), rng.choice([0, 8])) for n in (254, 255, 1, 2)]
    frames = [info(253), *stream, *stream, info(3), info(3), *stream, run(4, bytes(TINY.step_bytes)), info(3)]
    got = [unpack_reply(reply) for reply in play(TINY, frames, seed)]
    # 254 is four numbers before 2, counted without the 0 that does not exist
    assert [reply.sequence for reply in got[5:9]] == [0, 255, 1, 2]
    assert [reply.sequence for reply in got[9:15]] == [3, 3, 0, 0, 0, 0]
    assert [reply.status for reply in got[11:15]] == [Status.BAD_SEQUENCE] * 4
    assert [reply.sequence for reply in got[15:]] == [4, 3]


def test_a_device_that_was_reset_executes_nothing(seed: int) -> None:
    """Its last number is 0, which nothing follows."""
    frames = [run(n, bytes(TINY.step_bytes)) for n in (1, 2, 0, 255)]
    assert play(TINY, frames, seed) == [REFUSED] * 4


def test_more_than_there_is_room_for_hangs_nothing(seed: int) -> None:
    """Too many bytes, too many frames: some are lost, those executed are the first ones, in order, once."""
    rng = random.Random(seed)
    dut = ByteLink(TINY)
    bench = Bench(dut, clocks=400_000)
    core = SimulatedCore(dut, bench, TINY, rng)
    sent = [run(n, rng.randbytes(TINY.step_bytes * rng.choice([1, 30])), 9) for n in range(2, 10)]
    last = info(200)

    async def flood(ctx: Any) -> None:
        await bench.put(ctx, dut.i, encode(info(1), *sent), name="flood")
        await ticks(ctx, 3000)
        await bench.put(ctx, dut.i, encode(last), name="request")

    async def listen(ctx: Any) -> None:
        while (await bench.get_frame(ctx, dut.o, name="answer"))[0] != 200:
            pass

    bench.run(flood, listen, background=[core.words, core.steps])
    rules = Rules(TINY)
    rules.answer(info(1))
    for frame in sent:
        if len(rules.core.steps) == len(core.model.steps):
            break
        rules.answer(frame)
    assert core.model.steps == rules.core.steps
    assert 0 < len(core.model.steps) < sum(len(unpack_request(frame).payload) // TINY.step_bytes for frame in sent)


@pytest.mark.parametrize(("check", "numbers_"), [("_follows", (254, 2, 255)), ("_near", (254, 255, 1, 2, 254))])
def test_a_missing_check_is_seen(
    check: str, numbers_: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    frames = [info(253), *(run(n, bytes(TINY.step_bytes)) for n in numbers_)]
    assert Status.BAD_SEQUENCE in [unpack_reply(reply).status for reply in play(TINY, frames, seed)]
    monkeypatch.setattr(CommandProcessor, check, lambda *_: Const(1, 1))
    with pytest.raises(AssertionError):
        play(TINY, frames, seed)


def test_a_slot_holds_every_readout() -> None:
    for outputs in range(1, 64):
        assert REPLY_HEADER + 4 * outputs + CRC_BYTES <= slot_bytes(outputs)
