"""Generator of the random bits against golden's random_bits."""

from __future__ import annotations

import random
from typing import Any

from streams import Bench

from solsa.contract import NetworkConfig
from solsa.contract.random import DEFAULT_RNG, xorshift32
from solsa.golden.arith import random_bits
from solsa.rtl.beat import Mode
from solsa.rtl.random import Generator

#: Clocks from a beat at R0 to its word at R3.
LATENCY = 3


def test_sweeps(seed: int) -> None:
    """Two updates of two layers with pauses and other sweeps in between: every block starts from the same master."""
    config = NetworkConfig(layers=(5, 7, 3), lanes=2)
    dut, rng = Generator(config), random.Random(seed)
    bench = Bench(dut, clocks=3000)
    expected: list[int | None] = [None] * LATENCY

    async def testbench(ctx: Any) -> None:
        async def clock(want: int | None) -> None:
            expected.append(want)
            await ctx.tick()
            due = expected[-LATENCY]
            assert due is None or ctx.get(dut.word) == due

        async def pause() -> None:
            """Other beats, and clocks without one, advance nothing."""
            for _ in range(rng.choice((0, 0, 1, 4))):
                ctx.set(dut.beat.valid, rng.getrandbits(1))
                ctx.set(dut.beat.mode, rng.choice([Mode.FORWARD, Mode.TRACE, Mode.BACKWARD, Mode.READ]))
                ctx.set(dut.beat.first, rng.getrandbits(1))
                ctx.set(dut.beat.block, 0)
                await clock(None)

        assert ctx.get(dut.master) == DEFAULT_RNG
        master = DEFAULT_RNG
        for update in range(3):
            if update == 2:  # written by the host
                master = 0x12345678
                ctx.set(dut.write, 1)
                ctx.set(dut.write_value, master)
                ctx.set(dut.beat.valid, 0)
                await clock(None)
                ctx.set(dut.write, 0)
                await clock(None)
            for layer in range(config.depth):
                master = xorshift32(master)
                pres = config.pre(layer)
                words = random_bits(master, 1, pres, 32)[0].tolist()
                for block in range(-(-config.post(layer) // config.lanes)):
                    for pre in range(pres):
                        await pause()
                        ctx.set(dut.beat.valid, 1)
                        ctx.set(dut.beat.mode, Mode.UPDATE)
                        ctx.set(dut.beat.layer, layer)
                        ctx.set(dut.beat.block, block)
                        ctx.set(dut.beat.pre, pre)
                        ctx.set(dut.beat.first, pre == 0)
                        await clock(words[pre])
                        assert ctx.get(dut.master) == master
        ctx.set(dut.beat.valid, 0)
        for _ in range(LATENCY):
            await clock(None)

    bench.run(testbench)
    assert sum(word is not None for word in expected) == 3 * (4 * 5 + 2 * 7)
