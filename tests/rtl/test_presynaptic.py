"""Pre-synaptic unit: x and F beside every beat, for fewer lanes than groups and the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streams import Bench

from solsa.contract import Layout, NetworkConfig, Rounding
from solsa.golden.arith import drop, saturate
from solsa.rtl.beat import Mode
from solsa.rtl.presynaptic import Presynaptic
from solsa.rtl.sequencer import MIN_PERIOD

#: Clocks from a slot at c0 to R0, R2 and R4.
R0, R2, R4 = 3, 5, 7

CONFIGS = [
    NetworkConfig(layers=(7, 9), lanes=8, groups=2),
    NetworkConfig(layers=(7, 9), lanes=4, groups=4),
    NetworkConfig(layers=(7, 9), lanes=2, groups=8),
    NetworkConfig(layers=(3, 19), lanes=1, groups=4),
    NetworkConfig(layers=(3, 2), lanes=4, groups=8),  # groups without a post
    NetworkConfig(layers=(2, 5), lanes=1, groups=1),
    NetworkConfig(layers=(3, 3), lanes=1, groups=8),  # a block index shorter than that of the filter slots
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.layers} P{c.lanes} G{c.groups}")
def test_trace_sweeps(config: NetworkConfig, seed: int) -> None:
    """F advances once per sweep, every block sees the new F of its groups, and it can be read back."""
    f, layout, rng = config.formats, Layout(config), np.random.default_rng(seed)
    dut, (pres, posts) = Presynaptic(config), config.layers
    banks, blocks, used = layout.filter_banks, layout.blocks(0), config.used_groups(0)
    period = max(pres, MIN_PERIOD)
    a = rng.integers(30000, 65536, config.groups)
    shift = f.operations()["filter_decay"].shift
    bench = Bench(dut, clocks=20_000)

    async def testbench(ctx: Any) -> None:
        for g in range(config.groups):
            ctx.set(dut.a[g], int(a[g]))
        state = rng.integers(-99, 99, (used, pres))  # forgotten: the first sweep is fresh
        for sweep in range(6):
            x = rng.choice([f.input.min, f.input.max, 0, 17, -5], pres)
            signal = x << (f.trace.frac - f.input.frac)
            decayed = drop(a[:used, None] * state, shift, Rounding.TOWARD_ZERO) if sweep else 0 * state
            state = saturate(decayed + signal, f.trace)
            ctx.set(dut.idle, 0)
            ctx.set(dut.fresh, int(sweep == 0))
            for value in x:
                ctx.set(dut.write, 1)
                ctx.set(dut.write_value, int(value))
                await ctx.tick()
            ctx.set(dut.write, 0)
            assert ctx.get(dut.input_events) == np.count_nonzero(x)
            issued: dict[int, tuple[int, int]] = {}
            retired = []
            for clock in range(blocks * period + R4 + 1):
                block, pre = divmod(clock, period)
                valid = block < blocks and pre < pres
                if valid:
                    issued[clock] = block, pre
                values = {
                    "valid": int(valid), "compute": int(valid), "first": int(pre == 0), "last": int(pre == pres - 1),
                    "mode": Mode.TRACE, "layer": 0, "block": min(block, blocks - 1), "index": pre % pres,
                    "last_block": int(block == blocks - 1), "base": layout.synapse_base[0] + block % blocks * pres,
                }  # fmt: skip
                for name, value in values.items():
                    ctx.set(getattr(dut.slot, name), value)
                if (at := issued.get(clock - R0)) is not None:
                    assert (ctx.get(dut.beat.valid), ctx.get(dut.beat.block), ctx.get(dut.beat.pre)) == (1, *at)
                    assert ctx.get(dut.beat.address) == layout.synapse_address(0, at[0] * config.lanes, at[1])[1]
                else:
                    assert not ctx.get(dut.beat.valid)
                if (at := issued.get(clock - R2)) is not None:
                    assert ctx.get(dut.x) == x[at[1]]
                if ctx.get(dut.filter_retired):
                    at = issued[clock - R4]
                    for bank in range(banks):
                        if (group := at[0] * banks + bank) < used:
                            assert ctx.get(dut.filter_advanced[bank]) == state[group, at[1]]
                            retired.append((group, at[1]))
                if (at := issued.get(clock - R4)) is not None:
                    for lane in range(config.lanes):
                        post = at[0] * config.lanes + lane
                        if post < posts:
                            got = ctx.get(dut.filter[lane % banks])
                            assert got == state[post % config.groups, at[1]], (sweep, post, at)
                await ctx.tick()
            assert sorted(retired) == [(g, j) for g in range(used) for j in range(pres)]
            ctx.set(dut.restart, 1)
            await ctx.tick()
            ctx.set(dut.restart, 0)
        ctx.set(dut.idle, 1)
        for group in range(used):
            for pre in range(pres):
                bank, address = layout.filter_address(0, pre, group)
                ctx.set(dut.filter_address, address)
                await ctx.tick()
                assert ctx.get(dut.filter_words[bank]) == state[group, pre]

    bench.run(testbench)


def test_inference_reads_the_active_list() -> None:
    """Inputs of layer 0 and spikes for layer 1: slot n of a FORWARD sweep becomes the n-th active signal."""
    config = NetworkConfig(layers=(5, 6, 2), lanes=2, groups=2)
    dut, inputs, spikes = Presynaptic(config), [0, 7, -128, 0, 1], [1, 0, 0, 1, 1, 0]
    bench = Bench(dut)

    async def sweep(ctx: Any, layer: int, active: list[int], x: list[int]) -> None:
        for clock in range(len(active) + R2 + 1):
            ctx.set(dut.slot.valid, int(clock < len(active)))
            ctx.set(dut.slot.compute, int(clock < len(active)))
            ctx.set(dut.slot.mode, Mode.FORWARD)
            ctx.set(dut.slot.layer, layer)
            ctx.set(dut.slot.index, min(clock, len(active) - 1))
            ctx.set(dut.slot.base, 100)
            if 0 <= clock - R0 < len(active):
                assert ctx.get(dut.beat.pre) == active[clock - R0]
                assert ctx.get(dut.beat.address) == (100 + active[clock - R0]) % (1 << len(dut.beat.address))
                assert ctx.get(dut.beat.compute)
            if 0 <= clock - R2 < len(active):
                assert ctx.get(dut.x) == x[active[clock - R2]]
            await ctx.tick()

    async def testbench(ctx: Any) -> None:
        for value in inputs:
            ctx.set(dut.write, 1)
            ctx.set(dut.write_value, value)
            await ctx.tick()
        ctx.set(dut.write, 0)
        assert ctx.get(dut.input_events) == 3
        event = 0
        for layer in (0, 1):  # spikes of the last layer go nowhere
            for post in range(config.post(layer)):
                ctx.set(dut.spike_valid, 1)
                ctx.set(dut.spike_layer, layer)
                ctx.set(dut.spike_post, post)
                ctx.set(dut.spike, spikes[post] if layer == 0 else 1)
                ctx.set(dut.spike_event, event if layer == 0 else post)
                event += spikes[post] if layer == 0 else 0
                await ctx.tick()
        ctx.set(dut.spike_valid, 0)
        await sweep(ctx, 0, [1, 2, 4], inputs)
        await sweep(ctx, 1, [0, 3, 4], [s * config.formats.spike for s in spikes])

    bench.run(testbench)
