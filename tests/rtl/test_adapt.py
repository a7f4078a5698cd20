"""Adaptive constants: step, both limits, and limits in the wrong order."""

from __future__ import annotations

import random
from typing import Any

import pytest
from streams import Bench

from solsa.contract import NetworkConfig
from solsa.contract.formats import ADAPT_GUARD
from solsa.rtl.adapt import Adapt

CONFIG = NetworkConfig(layers=(3, 5, 3), groups=4, lanes=2)
SUM_BITS = 45
MIDDLE = 1 << 23


def stepped(a: int, total: int, mantissa: int, shift: int, a_min: int, a_max: int) -> int:
    """The row ``adapt_step`` of the operations table."""
    q = CONFIG.formats.adapt_sum.saturate(total >> shift)
    return min(max(a - (q * mantissa >> ADAPT_GUARD), a_min << ADAPT_GUARD), a_max << ADAPT_GUARD)


TOP = (1 << (SUM_BITS - 1)) - 1
CASES: dict[str, tuple[int, int, int, int, int]] = {
    # sum, mantissa, shift, a_min, a_max
    "a small step": (1000, 300, 2, 0, 65535),
    "floor of a negative step": (-1, 1, 0, 0, 65535),
    "no rate": (123456, 0, 0, 0, 65535),
    "down to the lower limit": (1 << 30, 65535, 4, 20000, 65535),
    "up to the upper limit": (-(1 << 30), 65535, 4, 0, 40000),
    "below zero": (TOP, 65535, 0, 0, 65535),
    "beyond the format": (-TOP, 65535, 0, 0, 65535),
    "sum saturates": (TOP, 1, 3, 0, 65535),
    "largest shift": (-TOP, 65535, 31, 0, 65535),
    "outside the limits from the start": (0, 0, 0, 40000, 50000),
    "limits equal": (5, 5, 0, 12345, 12345),
    "limits crossed, the upper wins": (0, 0, 0, 50000, 10000),
    "limits crossed, a step up": (-1000, 300, 0, 50000, 10000),
}


async def step(ctx: Any, dut: Adapt, layer: int, sums: list[int], limit: int = 100) -> list[tuple[int, int]]:
    """Start a layer and collect what is retired."""
    for group, total in enumerate(sums):
        ctx.set(dut.sums[group], total)
    ctx.set(dut.layer, layer)
    ctx.set(dut.start, 1)
    assert not ctx.get(dut.idle)
    await ctx.tick()
    ctx.set(dut.start, 0)
    retired = []
    for _ in range(limit):
        if ctx.get(dut.idle):
            return retired
        if ctx.get(dut.retired):
            retired.append((ctx.get(dut.retired_index), ctx.get(dut.retired_value)))
        await ctx.tick()
    raise AssertionError("the unit does not become idle")


def load(ctx: Any, dut: Adapt, layer: int, rate: tuple[int, int], limits: tuple[int, int]) -> None:
    """Program rate and limits."""
    ctx.set(dut.mantissa[layer], rate[0])
    ctx.set(dut.shift[layer], rate[1])
    ctx.set(dut.a_min, limits[0])
    ctx.set(dut.a_max, limits[1])


async def write(ctx: Any, dut: Adapt, index: int, value: int) -> None:
    """Write a constant as the register file does."""
    ctx.set(dut.write, 1)
    ctx.set(dut.write_index, index)
    ctx.set(dut.write_value, value)
    await ctx.tick()
    ctx.set(dut.write, 0)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    total, mantissa, shift, a_min, a_max = CASES[name]
    dut = Adapt(CONFIG, SUM_BITS)

    async def testbench(ctx: Any) -> None:
        load(ctx, dut, 0, (mantissa, shift), (a_min, a_max))
        await write(ctx, dut, 0, MIDDLE)
        await step(ctx, dut, 0, [total, 0, 0, 0])
        assert ctx.get(dut.constants[0]) == stepped(MIDDLE, total, mantissa, shift, a_min, a_max)
        assert a_min > a_max or a_min << 8 <= ctx.get(dut.constants[0]) <= a_max << 8
        assert a_min <= a_max or ctx.get(dut.constants[0]) == a_max << 8

    Bench(dut).run(testbench)


def test_random_steps(seed: int) -> None:
    """Both layers, all groups that have a post, no other constant."""
    dut, rng = Adapt(CONFIG, SUM_BITS), random.Random(seed)

    async def testbench(ctx: Any) -> None:
        a = [rng.randrange(1 << 24) for _ in range(8)]
        for index, value in enumerate(a):
            await write(ctx, dut, index, value)
        for _ in range(60):
            layer = rng.randrange(2)
            rate = rng.randrange(1 << 16), rng.randrange(32)
            limits = tuple(sorted((rng.randrange(1 << 16), rng.randrange(1 << 16))))
            load(ctx, dut, layer, rate, (limits[0], limits[1]))
            sums = [rng.randint(-TOP, TOP) >> rng.randrange(SUM_BITS) for _ in range(4)]
            retired = await step(ctx, dut, layer, sums)
            used = CONFIG.used_groups(layer)
            for group in range(used):
                index = 4 * layer + group
                a[index] = stepped(a[index], sums[group], *rate, limits[0], limits[1])
            assert retired == [(4 * layer + g, a[4 * layer + g]) for g in range(used)]
            assert [ctx.get(dut.constants[i]) for i in range(8)] == a

    Bench(dut).run(testbench)
