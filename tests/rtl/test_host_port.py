"""Host port alone: accesses wait for an idle core, and only reads of registers take from the register file."""

from __future__ import annotations

from typing import Any

import pytest
from streams import Bench, ticks

from solsa.contract import NetworkConfig, Space
from solsa.contract.wire import Status
from solsa.rtl.bus import HostBus
from solsa.rtl.host_port import HostPort

CONFIG = NetworkConfig(layers=(2, 3, 2), lanes=2, max_steps=4, surrogate_entries=4)
DATA_BITS = CONFIG.formats.weight.width
#: More clocks than any access takes.
LONGEST = 30


async def access(ctx: Any, bus: HostBus, space: Space, index: int, *, write: bool, seen: list[Any]) -> list[list[int]]:
    """One access; values of the signals in ``seen`` in every clock until it is done."""
    for signal, value in ((bus.valid, 1), (bus.write, write), (bus.space, space), (bus.index, index)):
        ctx.set(signal, value)
    clocks = []
    for _ in range(LONGEST):
        clocks.append([ctx.get(signal) for signal in seen])
        if ctx.get(bus.done):
            break
        await ctx.tick()
    await ctx.tick()
    ctx.set(bus.valid, 0)
    await ctx.tick()
    return clocks


@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
@pytest.mark.parametrize("space", Space, ids=lambda s: s.name)
def test_only_registers_are_taken(space: Space, write: bool) -> None:
    """The clock counter's upper word is latched when its lower word is taken: other spaces must not do that."""
    dut = HostPort(CONFIG, DATA_BITS)

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.core_idle, 1)
        clocks = await access(ctx, dut.bus, space, 0, write=write, seen=[dut.register_take, dut.register_write])
        taken, written = (sum(column) for column in zip(*clocks, strict=True))
        assert taken == (space == Space.REGISTER)
        assert written == (space == Space.REGISTER and write)

    Bench(dut, clocks=200).run(testbench)


@pytest.mark.parametrize("space", Space, ids=lambda s: s.name)
def test_an_access_waits_until_the_core_is_idle(space: Space) -> None:
    """While a step runs nothing is written, no beat enters and nothing is answered."""
    dut = HostPort(CONFIG, DATA_BITS)
    moves = [dut.bus.done, dut.beat_valid, dut.register_write, dut.schedule_write, dut.surrogate_write]

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.bus.valid, 1)
        ctx.set(dut.bus.write, 1)
        ctx.set(dut.bus.space, space)
        for _ in range(LONGEST):
            assert not any(ctx.get(signal) for signal in moves)
            await ctx.tick()
        ctx.set(dut.core_idle, 1)
        for _ in range(LONGEST):
            if ctx.get(dut.bus.done):
                return
            await ctx.tick()
        raise AssertionError("not answered")

    Bench(dut, clocks=200).run(testbench)


def test_a_refused_register_does_not_spoil_the_next_access() -> None:
    dut = HostPort(CONFIG, DATA_BITS)

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.core_idle, 1)
        ctx.set(dut.register_status, Status.BAD_VALUE)
        await access(ctx, dut.bus, Space.REGISTER, 0, write=True, seen=[])
        assert ctx.get(dut.bus.status) == Status.BAD_VALUE
        await access(ctx, dut.bus, Space.SCHEDULE, 0, write=True, seen=[])
        assert ctx.get(dut.bus.status) == Status.OK
        await ticks(ctx, 2)

    Bench(dut, clocks=200).run(testbench)
