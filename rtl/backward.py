"""Backward pass: sums w*delta over the blocks of a layer, giving the error of every neuron below.

The lanes' adder tree sums a block; this unit sums blocks, one word per pre in a small memory (read, add, write), and
hands over the finished sums, one per clock, with the last block.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.formats import Rounding

from .arith import delayed, saturate, shape_of
from .beat import Geometry, Mode


class Backward(wiring.Component):
    """Accumulates the errors of the layer below.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    sum_bits : int
        Width of the lanes' sum.
    """

    def __init__(self, config: NetworkConfig, sum_bits: int) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        super().__init__(
            {
                #: one clock ahead of `sum`
                "beat": In(g.beat_layout()),
                "sum": In(signed(sum_bits)),
                #: error of neuron `post` of the layer below, format delta
                "valid": Out(1),
                "post": Out(g.pre_bits),
                "layer": Out(g.layer_bits),
                "error": Out(shape_of(config.formats.delta)),
                #: serial unit: while `reading`, neuron of the layer below; its error one clock later
                "reading": In(1),
                "read_address": In(g.pre_bits),
                "read_error": Out(shape_of(config.formats.delta)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, f = self.geometry, self.config.formats
        op = f.operations()["error"]
        assert op.rounding is Rounding.HALF_UP
        half = 1 << (op.shift - 1)
        # Input layers have no error: the memory need only hold the layers that are fed by others.
        depth = max([2, *g.below[1:]])
        m.submodules.memory = memory = Memory(shape=signed(g.error_bits), depth=depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        beats = delayed(m, self.beat, 3, "beat")
        before, block_sum, total = Signal(signed(g.error_bits)), Signal.like(self.sum), Signal(signed(g.error_bits))
        serial = self.config.serial
        m.d.comb += [
            read.addr.eq(Mux(self.reading, self.read_address, self.beat.pre) if serial else self.beat.pre),
            self.read_error.eq(saturate(read.data >> op.shift, f.delta)),
        ]
        m.d.sync += [
            before.eq(Mux(beats[1].block == 0, half, read.data)),
            block_sum.eq(self.sum),
            total.eq(before + block_sum),
        ]
        active = beats[3].valid & (beats[3].mode == Mode.BACKWARD)
        m.d.comb += [
            write.en.eq(active if serial else active & ~beats[3].last_block),
            write.addr.eq(beats[3].pre),
            write.data.eq(total),
        ]
        m.d.sync += [
            self.valid.eq(active & beats[3].last_block),
            self.post.eq(beats[3].pre),
            self.layer.eq(beats[3].layer - 1),
            self.error.eq(saturate(total >> op.shift, f.delta)),
        ]
        return m
