"""Generator of the random bits of stochastic rounding; twin of contract/random.py."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.random import DEFAULT_RNG, XORSHIFT

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
                "write": In(1),
                "write_value": In(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        working, second, third = Signal(32), Signal(32), Signal(32)
        entering = Signal()
        # The master state advances when a layer's sweep begins; every block of the sweep starts from there.
        m.d.comb += entering.eq(self.beat.first & (self.beat.block == 0))
        start = Signal(32)
        m.d.comb += start.eq(Mux(entering, xorshift32(self.master), self.master))
        with m.If(self.beat.valid & (self.beat.mode == Mode.UPDATE)):
            m.d.sync += working.eq(xorshift32(Mux(self.beat.first, start, working)))
            m.d.sync += self.master.eq(start)
        with m.If(self.write):
            m.d.sync += self.master.eq(self.write_value)
        m.d.sync += [second.eq(working), third.eq(second)]
        m.d.comb += self.word.eq(third)
        return m
