"""rtl/arith.py is the twin of golden/arith.py: exhaustive at small widths on Amaranth's simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value, signed, unsigned
from amaranth.sim import Simulator

from solsa.contract import Format, Rounding
from solsa.golden import arith as golden
from solsa.rtl import arith

WIDTH = 7
ALL = np.arange(-(1 << (WIDTH - 1)), 1 << (WIDTH - 1), dtype=np.int64)


def evaluate(
    inputs: list[Signal], expressions: list[Value], stimuli: Iterable[tuple[int, ...]]
) -> list[list[int]]:  # fmt: skip
    """Values of combinational expressions, one row per stimulus."""
    m = Module()
    outputs = [Signal(signed(40), name=f"out{i}") for i in range(len(expressions))]
    m.d.comb += [out.eq(expression) for out, expression in zip(outputs, expressions, strict=True)]
    found = []

    async def testbench(ctx: Any) -> None:
        for stimulus in stimuli:
            for signal, value in zip(inputs, stimulus, strict=True):
                ctx.set(signal, value)
            found.append([ctx.get(out) for out in outputs])

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return found


@pytest.mark.parametrize("rounding", [Rounding.FLOOR, Rounding.TOWARD_ZERO, Rounding.HALF_UP, Rounding.EXACT])
def test_drop(rounding: Rounding) -> None:
    """Every value, every shift, to beyond the width."""
    value, shifts = Signal(signed(WIDTH)), [0] if rounding is Rounding.EXACT else range(WIDTH + 2)
    found = evaluate([value], [arith.drop(value, s, rounding) for s in shifts], [(int(v),) for v in ALL])
    assert np.array_equal(np.array(found).T, [golden.drop(ALL, s, rounding) for s in shifts])


@pytest.mark.parametrize("shift", range(1, 6))
def test_drop_and_add(shift: int) -> None:
    """One adder for decay and addend: every pair of a product and a wider or narrower addend."""
    value = Signal(signed(6))
    for width in (3, 6):
        addend = Signal(signed(width))
        pairs = [(v, w) for v in range(-32, 32) for w in range(-(1 << (width - 1)), 1 << (width - 1))]
        found = evaluate([value, addend], [arith.drop_and_add(value, shift, addend)], pairs)
        v, w = np.array(pairs).T
        assert np.array_equal(np.array(found)[:, 0], golden.drop(v, shift, Rounding.TOWARD_ZERO) + w)


@pytest.mark.parametrize("width", range(2, WIDTH + 2))
def test_saturate(width: int) -> None:
    """Every value into narrower, equal and wider formats."""
    value, fmt = Signal(signed(WIDTH)), Format(width, 0)
    found = evaluate([value], [arith.saturate(value, fmt)], [(int(v),) for v in ALL])
    assert np.array_equal(np.array(found)[:, 0], golden.saturate(ALL, fmt))


def test_saturate_an_expression() -> None:
    """As the units use it: sums and shifted sums, whose width Amaranth derives."""
    a, b, fmt = Signal(signed(5)), Signal(signed(5)), Format(4, 0)
    pairs = [(x, y) for x in range(-16, 16) for y in range(-16, 16)]
    expressions = [arith.saturate(a + b, fmt), arith.saturate((a * b) >> 2, fmt), arith.saturate(a - b, fmt)]
    found = np.array(evaluate([a, b], expressions, pairs)).T
    x, y = np.array(pairs).T
    assert np.array_equal(found[0], golden.saturate(x + y, fmt))
    assert np.array_equal(found[1], golden.saturate((x * y) >> 2, fmt))
    assert np.array_equal(found[2], golden.saturate(x - y, fmt))


@pytest.mark.parametrize("fmt", [Format(5, 2), Format(5, 5, signed=False), Format(1, 0, signed=False)], ids=str)
def test_shape(fmt: Format) -> None:
    shape = arith.shape_of(fmt)
    assert (shape.width, shape.signed) == (fmt.width, fmt.signed)
    assert (Signal(shape, init=fmt.min).init, Signal(shape, init=fmt.max).init) == (fmt.min, fmt.max)
    assert arith.constant(fmt.max, fmt).value == fmt.max


def test_by_index() -> None:
    """Constants and signals, of different widths and signs; the last entry serves all further indices."""
    index, x = Signal(3), Signal(signed(4))
    m = Module()
    rows: list[list[Any]] = [[5], [1, 2, 300], [x, 7, x + 1, -x], list(range(8))]
    outs = [arith.by_index(m, index, row, f"row{i}") for i, row in enumerate(rows)]
    found = []

    async def testbench(ctx: Any) -> None:
        ctx.set(x, -3)
        for i in range(8):
            ctx.set(index, i)
            found.append([ctx.get(out) for out in outs])

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    values = [[5], [1, 2, 300], [-3, 7, -2, 3], list(range(8))]
    assert found == [[row[min(i, len(row) - 1)] for row in values] for i in range(8)]


@pytest.mark.parametrize("make", [unsigned, signed])
def test_delayed(make: Callable[[int], Any]) -> None:
    m, x = Module(), Signal(make(4))
    line = arith.delayed(m, x, 3, "line")
    seen = []

    async def testbench(ctx: Any) -> None:
        for i in range(8):
            ctx.set(x, i % 8)
            seen.append([ctx.get(stage) for stage in line])
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen == [[max(0, i - d) for d in range(4)] for i in range(8)]
