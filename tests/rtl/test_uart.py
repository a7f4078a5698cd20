"""UART against an independent picture of 8N1: a list of line levels per clock."""

from __future__ import annotations

import gc
import random
import warnings
from typing import Any

import pytest
from amaranth.hdl import Elaboratable, Module, UnusedElaboratable
from streams import Bench, Hang, no_gap, random_gap, until

from solsa.rtl.uart import UartReceiver, UartTransmitter


def levels(data: bytes, divisor: float, idle: int = 0) -> list[int]:
    """Line levels per clock for a sender whose bit takes `divisor` clocks, possibly not a whole number."""
    bits = [bit for byte in data for bit in [0, *(byte >> k & 1 for k in range(8)), 1]]
    return [bits[int(clock / divisor)] for clock in range(int(len(bits) * divisor))] + [1] * idle


def receive(line: list[int], divisor: int) -> tuple[bytes, int]:
    """Bytes and framing errors that the receiver makes of a line."""
    dut = UartReceiver(divisor)
    found, errors = bytearray(), 0

    async def drive(ctx: Any) -> None:
        nonlocal errors
        ctx.set(dut.o.ready, 1)
        for level in line + [1] * (2 * divisor + 4):
            ctx.set(dut.rx, level)
            *_, valid, byte, error = await ctx.tick().sample(dut.o.valid, dut.o.payload, dut.framing_error)
            if valid:
                found.append(byte)
            errors += error

    Bench(dut, clocks=10**6).run(drive)
    return bytes(found), errors


@pytest.mark.parametrize("divisor", [4, 5, 7, 16, 104])
def test_receiver(divisor: int, seed: int) -> None:
    data = b"\x00\xff\x55\xaa" + random.Random(seed).randbytes(20 if divisor < 20 else 2)
    assert receive(levels(data, divisor), divisor) == (data, 0)


@pytest.mark.parametrize("divisor", [4, 5, 16])
@pytest.mark.parametrize("drift", [-0.025, 0.025])
def test_receiver_takes_a_sender_with_another_clock(divisor: int, drift: float, seed: int) -> None:
    data = b"\x00\xff\x7f\x80" + random.Random(seed).randbytes(16)
    assert receive(levels(data, divisor * (1 + drift)), divisor) == (data, 0)


def test_receiver_drops_a_byte_without_stop_bit_and_goes_on() -> None:
    broken = levels(b"\x00", 8)[:-8]  # start and data low, and the line stays low
    line = [1] * 9 + broken + [0] * 50 + [1] * 12 + levels(b"after", 8)
    assert receive(line, 8) == (b"after", 1)


def test_receiver_ignores_a_glitch() -> None:
    assert receive([1] * 9 + [0] * 2 + [1] * 30 + levels(b"x", 16), 16) == (b"x", 0)


def test_receiver_keeps_a_byte_until_it_is_taken_or_replaced() -> None:
    dut = UartReceiver(4)

    async def drive(ctx: Any) -> None:
        for level in levels(b"a", 4, idle=30):
            ctx.set(dut.rx, level)
            await ctx.tick()
        assert (ctx.get(dut.o.valid), ctx.get(dut.o.payload)) == (1, ord("a"))
        for level in levels(b"b", 4, idle=8):
            ctx.set(dut.rx, level)
            await ctx.tick()
        assert (ctx.get(dut.o.valid), ctx.get(dut.o.payload)) == (1, ord("b"))
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        assert ctx.get(dut.o.valid) == 0

    Bench(dut).run(drive)


@pytest.mark.parametrize("divisor", [4, 5, 104])
def test_transmitter_sends_without_gaps(divisor: int, seed: int) -> None:
    dut = UartTransmitter(divisor)
    data = b"\x00\xff\x55" + random.Random(seed).randbytes(20 if divisor < 100 else 2)
    bench = Bench(dut, clocks=10**5)
    line: list[int] = []

    async def send(ctx: Any) -> None:
        await bench.put(ctx, dut.i, data)

    async def watch(ctx: Any) -> None:
        await until(ctx, dut.i.valid & dut.i.ready)
        for _ in range(10 * divisor * len(data) + 20):
            line.append(ctx.get(dut.tx))
            await ctx.tick()

    bench.run(send, watch)
    assert line == levels(data, divisor, idle=20)


class Loop(Elaboratable):
    """Transmitter into receiver."""

    def __init__(self, divisor: int) -> None:
        self.transmitter, self.receiver = UartTransmitter(divisor), UartReceiver(divisor)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules += [self.transmitter, self.receiver]
        m.d.comb += self.receiver.rx.eq(self.transmitter.tx)
        return m


@pytest.mark.parametrize("slow", [False, True], ids=["back to back", "with gaps"])
def test_loop(slow: bool, seed: int) -> None:
    rng = random.Random(seed)
    dut, data = Loop(4), rng.randbytes(60)
    bench = Bench(dut)
    gap = random_gap(rng, 70) if slow else no_gap

    async def send(ctx: Any) -> None:
        await bench.put(ctx, dut.transmitter.i, data, gap=gap)

    async def receive(ctx: Any) -> None:
        await bench.expect(ctx, dut.receiver.o, data)

    bench.run(send, receive)


@pytest.mark.parametrize("part", [UartReceiver, UartTransmitter])
def test_divisor_is_checked(part: type) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(ValueError) as error:
            part(3)
        message = str(error.value)
        del error
        gc.collect()  # the warning about the component that never came to be
    assert "3 clocks per bit, allowed 4 or more" in message


def test_the_watchdog_names_the_hang() -> None:
    dut = UartReceiver(4)
    bench = Bench(dut, clocks=50)

    async def wait(ctx: Any) -> None:
        await bench.get(ctx, dut.o, name="a silent line")

    with pytest.raises(Hang) as error:
        bench.run(wait)
    assert "get from a silent line" in str(error.value)
