"""No word is used that a memory port read in the clock in which it was written: synthesis relies on it.

The block RAM of an FPGA may answer such a read with anything; boards/memories.py tells yosys to add no logic against
it. Here every such answer is inverted, and the core must still equal the golden model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from amaranth.hdl import Fragment, Module, Signal, unsigned
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator
from networks import make_case

from solsa.contract import NetworkConfig, Readout, preset
from solsa.sim.lockstep import Lockstep
from solsa.sim.pysim import PysimCore

CONFIGS = {
    "membrane": preset("tiny").with_(surrogate_entries=16),
    "target": NetworkConfig(
        layers=(2, 7, 3, 4), lanes=4, groups=8, readout=Readout.TARGET, max_steps=16, surrogate_entries=16
    ),
    "spike": NetworkConfig(layers=(1, 3, 2), lanes=1, readout=Readout.SPIKE, max_steps=16, surrogate_entries=16),
}


@contextmanager
def inverted_collisions() -> Iterator[None]:
    """Memories whose read ports, unless transparent, invert a word that is being written while they read it."""
    plain = Memory.elaborate

    def elaborate(self: Memory, platform: object) -> Module:
        m = Module()
        ports = [port for port in self.read_ports if port.domain == "sync" and not port.transparent_for]
        outs = [port.data for port in ports]
        try:
            for port in ports:
                port.data = Signal.like(port.data)
            m.submodules.plain = Fragment.get(plain(self, platform), platform)
            for port, out in zip(ports, outs, strict=True):
                hit, hits = Signal(), [write.en & (write.addr == port.addr) for write in self.write_ports]
                with m.If(port.en):
                    m.d.sync += hit.eq(sum(hits[1:], hits[0]) if hits else 0)
                m.d.comb += out.eq(port.data ^ hit.replicate(len(out)))
        finally:
            for port, out in zip(ports, outs, strict=True):
                port.data = out
        return m

    with patch.object(Memory, "elaborate", elaborate):
        yield


def test_a_collision_inverts() -> None:
    """The memories of the test below do what they say, or it would prove nothing."""
    dut = Module()
    dut.submodules.memory = memory = Memory(shape=unsigned(8), depth=4, init=[1, 2, 3, 4])
    read, write = memory.read_port(), memory.write_port()

    async def bench(ctx: Any) -> None:
        ctx.set(write.en, 1)
        for read_at, write_at, wanted in ((1, 1, 2 ^ 0xFF), (1, 2, 77), (2, 3, 77), (3, 3, 77 ^ 0xFF)):
            ctx.set(read.addr, read_at)
            ctx.set(write.addr, write_at)
            ctx.set(write.data, 77)
            await ctx.tick()
            assert ctx.get(read.data) == wanted

    with inverted_collisions():
        simulator = Simulator(dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", [3, 7])
def test_no_colliding_read_is_used(name: str, seed: int) -> None:
    """Learning, updates, inference and resets, loading and reading by the host included."""
    config = CONFIGS[name]
    case = make_case(config, seed, "RLLLLLr..RLLLL")
    parameters = case.parameters.with_(schedule=tuple(range(0, config.max_steps, 2)))
    with inverted_collisions():
        checker = Lockstep(config, parameters, case.weights, PysimCore(config))
    for stimulus in case.stimuli:
        assert checker.step(stimulus) is None
