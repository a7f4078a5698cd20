"""What updates would change: S of every step, summed in a probe from |g*eps| of all synapses (option ``probe``).

The lanes' adder tree, which only the backward pass needs, sums the magnitudes of the products that an update sweep
makes; here they are summed over the sweep and, at its end, added to the step's word.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from solsa.contract import NetworkConfig

from .arith import shape_of


class Changes(wiring.Component):
    """Memory of S and the sum of the step that runs.

    Parameters
    ----------
    config : NetworkConfig
        With the option ``probe``.
    sum_bits : int
        Width of the lanes' sum.
    """

    def __init__(self, config: NetworkConfig, sum_bits: int) -> None:
        self.config, self.sum_bits = config, sum_bits
        super().__init__(
            {
                #: one clock: a time step begins
                "begin": In(1),
                #: magnitudes of one slot, summed over lanes
                "valid": In(1),
                "sum": In(sum_bits),
                #: one clock, two or more after the last sum: add what was summed to S of `step`
                "store": In(1),
                "step": In(range(config.max_steps + 1)),
                #: host, while the core is idle; the word comes one clock after its address
                "idle": In(1),
                "address": In(range(config.max_steps)),
                "write": In(1),
                "value": In(shape_of(config.formats.change)),
                "word": Out(shape_of(config.formats.change)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, fmt = self.config, self.config.formats.change
        shift = config.formats.option_operations()["change"].shift
        m.submodules.memory = memory = Memory(shape=shape_of(fmt), depth=config.max_steps, init=[])
        read, write = memory.read_port(), memory.write_port()
        total = Signal(self.sum_bits + bits_for(config.synapses))
        with m.If(self.begin):
            m.d.sync += total.eq(0)
        with m.Elif(self.valid):
            m.d.sync += total.eq(total + self.sum)
        grown = read.data + (total >> shift)
        following = Signal(shape_of(fmt))
        m.d.sync += following.eq(Mux(grown > fmt.max, fmt.max, grown))
        m.d.comb += [
            read.addr.eq(Mux(self.idle, self.address, self.step)),
            self.word.eq(read.data),
            write.addr.eq(read.addr),
            write.en.eq(self.store | self.write),
            write.data.eq(Mux(self.store, following, self.value)),
        ]
        return m
