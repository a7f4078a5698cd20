"""Testbench helpers for streams: put, get and expect, with a watchdog that names what hangs."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator
from cobs import cobs

PERIOD = 1e-6
Gap = Callable[[], int]


class Hang(AssertionError):
    """The testbenches did not finish in time; the message names every wait."""


def no_gap() -> int:
    """As fast as the other side allows."""
    return 0


def random_gap(rng: random.Random, most: int = 3) -> Gap:
    """Often no gap, else up to `most` clocks."""
    return lambda: rng.choice((0, 0, rng.randint(1, most)))


async def ticks(ctx: Any, count: int) -> None:
    """Wait some clocks, possibly none."""
    for _ in range(count):
        await ctx.tick()


async def until(ctx: Any, condition: Any, *signals: Any) -> list[Any]:
    """Signals at the first clock at which the condition holds.

    `ctx.tick().until()` does the same with an asynchronous generator, which complains when a testbench is abandoned.
    """
    while True:
        _, _, holds, *seen = await ctx.tick().sample(condition, *signals)
        if holds:
            return seen


class Bench:
    """A design, its testbenches and a watchdog.

    Parameters
    ----------
    dut : Elaboratable
        The design; its only clock domain is `sync`.
    clocks : int
        More clocks than this are a hang.
    """

    def __init__(self, dut: Elaboratable, clocks: int = 20_000) -> None:
        self.dut, self.clocks = dut, clocks
        self._waits: dict[int, str] = {}

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Name what a testbench waits for."""
        key = id(what) ^ len(self._waits) << 64
        self._waits[key] = what
        yield
        del self._waits[key]

    async def put(
        self, ctx: Any, stream: Any, values: Iterable[Any], *, gap: Gap = no_gap, name: str = "stream"
    ) -> None:
        """Send values."""
        for number, value in enumerate(values):
            await ticks(ctx, gap())
            ctx.set(stream.payload, value)
            ctx.set(stream.valid, 1)
            with self.waiting(f"put of item {number} into {name}"):
                await until(ctx, stream.ready)
            ctx.set(stream.valid, 0)

    async def get(self, ctx: Any, stream: Any, *, gap: Gap = no_gap, name: str = "stream") -> Any:
        """Take one value."""
        await ticks(ctx, gap())
        ctx.set(stream.ready, 1)
        with self.waiting(f"get from {name}"):
            (value,) = await until(ctx, stream.valid, stream.payload)
        ctx.set(stream.ready, 0)
        return value

    async def expect(
        self, ctx: Any, stream: Any, values: Iterable[Any], *, gap: Gap = no_gap, name: str = "stream"
    ) -> None:
        """Take as many values and compare."""
        for number, value in enumerate(values):
            got = await self.get(ctx, stream, gap=gap, name=f"{name}, item {number}")
            assert got == value, f"{name}: item {number} is {got!r}, expected {value!r}"

    async def get_frame(self, ctx: Any, stream: Any, *, gap: Gap = no_gap, name: str = "line") -> bytes:
        """Take bytes up to a delimiter and decode them."""
        found = bytearray()
        while byte := await self.get(ctx, stream, gap=gap, name=f"{name}, frame byte {len(found)}"):
            found.append(byte)
        return cobs.decode(bytes(found))

    async def silence(self, ctx: Any, signal: Any, clocks: int, what: str) -> None:
        """Fail if `signal` is high within some clocks."""
        for clock in range(clocks):
            *_, seen = await ctx.tick().sample(signal)
            assert not seen, f"{what} after {clock} clocks of expected silence"

    def run(
        self, *testbenches: Callable[[Any], Awaitable[None]], background: Iterable[Callable[[Any], Any]] = ()
    ) -> None:
        """Simulate until every testbench has returned; those of the background may go on for ever."""
        simulator = Simulator(self.dut)
        simulator.add_clock(PERIOD)

        async def watchdog(ctx: Any) -> None:
            await ctx.delay(self.clocks * PERIOD)
            raise Hang(f"{self.clocks} clocks and not done: " + ("; ".join(self._waits.values()) or "no wait is known"))

        for testbench in testbenches:
            simulator.add_testbench(testbench)
        for testbench in background:
            simulator.add_testbench(testbench, background=True)
        simulator.add_testbench(watchdog, background=True)
        simulator.run()


def encode(*frames: bytes) -> bytes:
    """Frames as they go over the line."""
    return b"".join(cobs.encode(frame) + b"\0" for frame in frames)
