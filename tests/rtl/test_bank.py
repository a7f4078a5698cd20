"""Synapse banks of single-port memory: a sweep reads and writes every clock, never the same memory twice."""

from __future__ import annotations

import numpy as np
import pytest

from solsa.contract import BankKind, NetworkConfig, make_parameters
from solsa.rtl.core import Core
from solsa.sim.lockstep import Lockstep, Mismatch
from solsa.sim.planted import Bug, planted
from solsa.sim.pysim import PysimCore
from solsa.sim.records import StepInput

#: Odd layers, so that a sweep's first address has another parity than the clock after the sweep before.
CONFIG = NetworkConfig(layers=(3, 5, 3), lanes=1, max_steps=8, bank=BankKind.SINGLE_PORT)
NO_PHASE = Bug("sequencer.py", "writes = (mode == Mode.TRACE) | (mode == Mode.UPDATE)", "writes = mode == Mode.UPDATE",
               "trace sweeps do not wait for the clock of their address's parity")  # fmt: skip


def _run(core: Core) -> Mismatch | None:
    rng = np.random.default_rng(3)
    parameters = make_parameters(CONFIG, a=(0.6,), lam=(0.7,), rates=(0.05, 0.05), schedule=(1, 3))
    weights = [rng.integers(-8000, 8000, (CONFIG.post(i), CONFIG.pre(i))) for i in range(CONFIG.depth)]
    run = Lockstep(CONFIG, parameters, weights, PysimCore(CONFIG, make_core=lambda: core))
    for step in range(8):
        found = run.step(StepInput(rng.integers(-128, 128, 3), step % 3, reset=step % 4 == 0, learn=True))
        if found:
            return found
    return None


def test_single_port_bank_equals_golden() -> None:
    """Every word of every step."""
    assert _run(Core(CONFIG, observe=True)) is None


def test_a_sweep_out_of_phase_is_caught() -> None:
    """Without the phase rule a write falls on the memory that is being read."""
    assert _run(planted(NO_PHASE).core.Core(CONFIG, observe=True)) is not None


@pytest.mark.parametrize(
    ("kind", "size"),
    [(BankKind.SINGLE_PORT, 1), (BankKind.SINGLE_PORT, 2), (BankKind.SINGLE_PORT, 7), (BankKind.DUAL_PORT, 2),
     (BankKind.DUAL_PORT, 513), (BankKind.DUAL_PORT, 1030), (BankKind.DUAL_PORT, 1600)],
)  # fmt: skip
def test_a_bank_holds_every_address(kind: BankKind, size: int) -> None:
    """A bank of any depth, of halves or of segments, keeps each word at its own address."""
    from amaranth.hdl import unsigned
    from amaranth.lib import data
    from amaranth.sim import Simulator

    from solsa.rtl.bank import Bank

    bank = Bank(kind, data.StructLayout({"weight": unsigned(11), "trace": unsigned(5)}), size)
    depth = bank.depth
    got = []

    async def bench(ctx) -> None:  # type: ignore[no-untyped-def]
        for address in range(depth):
            ctx.set(bank.write, 1)
            ctx.set(bank.write_address, address)
            ctx.set(bank.write_word, {"weight": address, "trace": 31 - address % 32})
            await ctx.tick()
        ctx.set(bank.write, 0)
        for address in range(depth):
            ctx.set(bank.read_address, address)
            await ctx.tick()
            ctx.set(bank.read_address, 0)
            await ctx.tick()
            got.append((ctx.get(bank.read_word.weight), ctx.get(bank.read_word.trace)))

    sim = Simulator(bank)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert got == [(a, 31 - a % 32) for a in range(depth)]
