"""Divider and softmax: the bits of the golden model, after a number of clocks that is always the same."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from networks import FORMATS
from streams import Bench

from solsa.contract import Formats, NetworkConfig
from solsa.contract.formats import EXP_WIDTH, RECIPROCAL_BITS
from solsa.golden import arith as golden
from solsa.rtl.softmax import Divider, Softmax, exp_entries


def test_table_is_that_of_the_golden_model() -> None:
    assert exp_entries() == golden.exp_table().tolist()


@pytest.mark.parametrize(("width", "divisors"), [(5, range(1, 32)), (20, None)], ids=["all of 5 bits", "20 bits"])
def test_divider(width: int, divisors: range | None, seed: int) -> None:
    """Every small divisor, the ends and random ones; a running division is not disturbed by its input."""
    rng = random.Random(seed)
    chosen = list(divisors) if divisors else [1, 2, 3, (1 << width) - 1, 1 << (width - 1)]
    if divisors is None:
        chosen += [*range(4, 150), *(rng.randrange(1, 1 << rng.randint(1, width)) for _ in range(150))]
    dut = Divider(width)
    bench = Bench(dut, clocks=len(chosen) * (RECIPROCAL_BITS + 10))

    async def testbench(ctx: Any) -> None:
        for divisor in chosen:
            ctx.set(dut.divisor, divisor)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.divisor, rng.randrange(1 << width))
            clocks = 1
            while not ctx.get(dut.done):
                await ctx.tick()
                clocks += 1
                assert clocks <= RECIPROCAL_BITS + 2, f"divisor {divisor}: not done in time"
            assert clocks == RECIPROCAL_BITS + 2
            assert ctx.get(dut.quotient) == (1 << RECIPROCAL_BITS) // divisor, f"divisor {divisor}"
            await ctx.tick()
            assert not ctx.get(dut.done)

    bench.run(testbench)


def latency(outputs: int) -> int:
    """Clocks from start to the first probability: a walk, the exponents, the division, the product."""
    return outputs + 7 + (RECIPROCAL_BITS + 2) + 5


def _cases(formats: Formats, outputs: int, rng: np.random.Generator) -> list[list[int]]:
    f = formats.membrane
    cases = [
        [0] * outputs,
        [f.min] * outputs,
        [f.max] * outputs,
        [f.min] * (outputs - 1) + [f.max],
        [f.max] + [f.min] * (outputs - 1),
        list(range(outputs)),
        [-f.one * i for i in range(outputs)],
        [int(v) for v in np.round(-np.log(2) * 15.99 * f.one * (np.arange(outputs) > 0))],
        [int(v) for v in np.round(-np.log(2) * 16.01 * f.one * (np.arange(outputs) > 0))],
    ]
    for scale in (0.01, 0.3, 2.0, 8.0):
        for _ in range(4):
            cases.append(np.clip(np.round(rng.normal(0, scale * f.one, outputs)), f.min, f.max).astype(int).tolist())
    cases += rng.integers(f.min, f.max + 1, (4, outputs)).tolist()
    return cases


@pytest.mark.parametrize("outputs", [1, 2, 9, 33])
@pytest.mark.parametrize("formats", FORMATS.values(), ids=FORMATS)
def test_softmax(formats: Formats, outputs: int, seed: int) -> None:
    """Extremes and random membranes at all scales; outputs in order, one per clock, at a fixed time."""
    config = NetworkConfig(layers=(2, outputs), formats=formats)
    cases = _cases(formats, outputs, np.random.default_rng(seed))
    dut, frac, out_frac = Softmax(config), formats.membrane.frac, formats.delta.frac
    bench = Bench(dut, clocks=len(cases) * (4 * outputs + 100))

    async def testbench(ctx: Any) -> None:
        for membranes in cases:
            ctx.set(dut.valid, 1)
            for post, membrane in enumerate(membranes):
                ctx.set(dut.post, post)
                ctx.set(dut.membrane, membrane)
                await ctx.tick()
            ctx.set(dut.valid, 0)
            ctx.set(dut.membrane, 0)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            found, when = [], []
            for clock in range(1, latency(outputs) + outputs + 5):
                if ctx.get(dut.out_valid):
                    assert ctx.get(dut.out_post) == len(found)
                    found.append(ctx.get(dut.probability))
                    when.append(clock)
                await ctx.tick()
            assert found == golden.softmax(np.array(membranes), frac, out_frac).tolist(), membranes
            assert when == list(range(latency(outputs), latency(outputs) + outputs))

    bench.run(testbench)


def test_the_reciprocal_fits_its_multiplier() -> None:
    """The unit multiplies with 18 bits of the reciprocal: the sum is at least the table's first entry."""
    assert (1 << RECIPROCAL_BITS) // exp_entries()[0] < 1 << 18
    assert max(exp_entries()) < 1 << EXP_WIDTH
