"""Register file: the two words of the clock counter belong together, even when the lower one has just wrapped."""

from __future__ import annotations

from typing import Any

from amaranth.sim import Simulator

from solsa.contract import Register, preset
from solsa.rtl.registers import RegisterFile


def test_both_words_of_the_counter_are_from_one_clock() -> None:
    """The upper word is latched in the clock in which the lower one is taken, however long the address stays."""
    dut = RegisterFile(preset("tiny"))

    async def bench(ctx: Any) -> None:
        for before_wrap in range(6):
            start = (7 << 32) + 0xFFFFFFFF - before_wrap
            ctx.set(dut.cycles, start)
            ctx.set(dut.address, Register.CYCLES_LOW)
            await ctx.tick().repeat(2)
            ctx.set(dut.take, 1)
            await ctx.tick()
            ctx.set(dut.take, 0)
            low = ctx.get(dut.answer)
            await ctx.tick().repeat(5)
            ctx.set(dut.address, Register.CYCLES_HIGH)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.answer) << 32 | low == start + 2

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
