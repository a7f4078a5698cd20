"""Step state machine alone: what a command says holds for the whole step, whatever follows on the line."""

from __future__ import annotations

from typing import Any

from streams import Bench, until

from solsa.contract import NetworkConfig
from solsa.rtl.control import Control

CONFIG = NetworkConfig(layers=(2, 3, 2), lanes=1, max_steps=4)


def test_a_command_is_latched() -> None:
    """Label, learning and adaptation are those of the clock in which the command was taken."""
    dut = Control(CONFIG)
    bench = Bench(dut, clocks=500)

    async def testbench(ctx: Any) -> None:
        # everything that the machine waits for has happened
        for signal in (dut.sweep_idle, dut.neurons_done, dut.error_done, dut.adapt_idle):
            ctx.set(signal, 1)
        ctx.set(dut.table_address, 1)
        ctx.set(dut.table_value, 1)
        ctx.set(dut.table_write, 1)
        await ctx.tick()
        ctx.set(dut.table_write, 0)
        for label, learn, adapt in ((0x1234, 1, 0), (0xFEDC, 1, 1), (7, 0, 1)):
            ctx.set(dut.command.payload, {"reset": 0, "learn": learn, "adapt": adapt, "label": label})
            ctx.set(dut.command.valid, 1)
            await until(ctx, dut.command.ready)
            ctx.set(dut.command.valid, 0)
            ctx.set(dut.command.payload, {"reset": 1, "learn": 1 - learn, "adapt": 1 - adapt, "label": label ^ 0xFFFF})
            step, adapted = ctx.get(dut.step), 0
            while ctx.get(dut.busy):
                assert ctx.get(dut.label) == label
                assert ctx.get(dut.learn) == learn
                assert ctx.get(dut.step) == step
                adapted += ctx.get(dut.adapt_start)
                await ctx.tick()
            updated = learn and step == 1
            assert adapted == (CONFIG.depth if updated and adapt else 0)

    bench.run(testbench)
