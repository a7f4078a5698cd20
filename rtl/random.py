"""Generator of the random bits of stochastic rounding; twin of contract/random.py."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.random import DEFAULT_RNG, XORSHIFT
from solsa.contract.random import xorshift32 as next_state

from .beat import Geometry, Mode


def xorshift32(state: Value) -> Value:
    """One step of the generator as an expression over 32 bits."""
    left, right, last = XORSHIFT
    a = state ^ (state << left)[:32]
    b = a ^ (a >> right)
    return (b ^ (b << last)[:32])[:32]


class Generator(wiring.Component):
    """Master state, and one word per pre of an update sweep.

    Parameters
    ----------
    config : NetworkConfig
        Geometry.
    """

    def __init__(self, config: NetworkConfig) -> None:
        g = Geometry(config)
        super().__init__(
            {
                #: R0
                "beat": In(g.beat_layout()),
                #: R3
                "word": Out(32),
                "master": Out(32, init=DEFAULT_RNG),
                #: one clock, at least two before a sweep
                "write": In(1),
                "write_value": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        working, second, third = Signal(32), Signal(32), Signal(32)
        # The master state advances when a layer's sweep begins; every block of the sweep starts from there. The two
        # states after the master are kept ready, so that no path passes the generator twice.
        once = next_state(DEFAULT_RNG)
        next_1, next_2, refill = Signal(32, init=once), Signal(32, init=next_state(once)), Signal()
        entering = Signal()
        m.d.comb += entering.eq(self.beat.first & (self.beat.block == 0))
        m.d.sync += refill.eq(self.write)
        with m.If(refill):
            m.d.sync += next_2.eq(xorshift32(next_1))
        with m.If(self.beat.valid & (self.beat.mode == Mode.UPDATE)):
            with m.If(entering):
                m.d.sync += [
                    working.eq(next_2),
                    self.master.eq(next_1),
                    next_1.eq(next_2),
                    next_2.eq(xorshift32(next_2)),
                ]
            with m.Elif(self.beat.first):
                m.d.sync += working.eq(next_1)
            with m.Else():
                m.d.sync += working.eq(xorshift32(working))
        with m.If(self.write):
            m.d.sync += [self.master.eq(self.write_value), next_1.eq(xorshift32(self.write_value))]
        m.d.sync += [second.eq(working), third.eq(second)]
        m.d.comb += self.word.eq(third)
        return m
