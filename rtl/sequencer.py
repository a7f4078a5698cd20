"""Sweep sequencer: walks blocks of posts and, inside, pre-synaptic signals; one slot per clock (stage c0).

A layer's sweep starts while the neuron unit still emits the spikes of the layer below: slot n of the first block waits
until pre n is known, so the walk through the neurons costs no time of its own. The last slot of a block waits until the
unload chain of the block before has emptied.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.cycles import MIN_PERIOD

from .arith import by_index
from .beat import Geometry, Mode, sums_currents


class Sequencer(wiring.Component):
    """Issues the slots of one layer's sweep.

    Parameters
    ----------
    config : NetworkConfig
        Geometry.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        super().__init__(
            {
                #: one clock: begin a sweep of `layer` in `mode`; only while `idle`
                "start": In(1),
                "mode": In(Mode),
                "layer": In(g.layer_bits),
                "idle": Out(1),
                #: events among the inputs of layer 0
                "input_events": In(g.pre_bits),
                #: the neuron unit's progress: layer that emits, neurons and spikes so far, all emitted
                "emitted_layer": In(g.layer_bits),
                "emitted_valid": In(1),
                "emitted": In(g.post_bits),
                "emitted_events": In(g.post_bits),
                "emitted_all": In(1),
                "slot": Out(g.slot_layout()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, config = self.geometry, self.config
        mode, layer = Signal(Mode), Signal(g.layer_bits)
        running, index, block = Signal(), Signal(g.pre_bits), Signal(g.block_bits)
        base, known = Signal(g.address_bits), Signal(g.pre_bits)
        pres = by_index(m, layer, g.pres, "pres")
        last_block_index = by_index(m, layer, [b - 1 for b in g.blocks], "last_block_index")
        ragged = by_index(m, layer, g.ragged, "ragged")

        # What is known of the layer's inputs: everything for layer 0 and after the first block.
        chasing, below, forward = Signal(), Signal(), Signal()
        m.d.comb += [
            forward.eq(mode == Mode.FORWARD),
            chasing.eq(sums_currents(mode) & (layer != 0) & (block == 0)),
            below.eq(self.emitted_valid & (self.emitted_layer + 1 == layer)),
        ]
        limit, closed = Signal(g.pre_bits), Signal()
        m.d.comb += [limit.eq(pres), closed.eq(1)]
        with m.If(chasing):
            m.d.comb += closed.eq(below & self.emitted_all)
            with m.If(~below):
                m.d.comb += limit.eq(0)
            with m.Elif(forward):
                m.d.comb += limit.eq(self.emitted_events)
            with m.Else():
                m.d.comb += limit.eq(self.emitted)
        with m.Elif(forward):
            m.d.comb += limit.eq(known)

        more, last, issue = Signal(), Signal(), Signal()
        chain, period_left = Signal(range(config.lanes + 1)), Signal(range(MIN_PERIOD))
        last_block = Signal()
        m.d.comb += [
            more.eq(index < limit),
            # A block that has issued all its events before it knew that they were all ends with an empty slot.
            last.eq(closed & ((index + 1 == limit) | ~more)),
            last_block.eq(block == last_block_index),
            issue.eq(
                running & (more | closed) & ~(last & (chain != 0) & sums_currents(mode))
                & ~((index == 0) & (period_left != 0))
            ),
        ]  # fmt: skip
        m.d.comb += [
            self.idle.eq(~running),
            self.slot.valid.eq(issue),
            self.slot.compute.eq(more),
            self.slot.first.eq(index == 0),
            self.slot.last.eq(last),
            self.slot.mode.eq(mode),
            self.slot.layer.eq(layer),
            self.slot.block.eq(block),
            self.slot.last_block.eq(last_block),
            self.slot.index.eq(index),
            self.slot.base.eq(base),
        ]

        with m.If(chain != 0):
            m.d.sync += chain.eq(chain - 1)
        with m.If(period_left != 0):
            m.d.sync += period_left.eq(period_left - 1)
        with m.If(issue):
            m.d.sync += index.eq(index + 1)
            # The next block may begin MIN_PERIOD after this one would have begun without waiting for its inputs.
            with m.If((mode == Mode.TRACE) | (mode == Mode.BACKWARD)):
                m.d.sync += period_left.eq(Mux(index < MIN_PERIOD, MIN_PERIOD - 1 - index, 0))
            with m.If(last):
                m.d.sync += [index.eq(0), block.eq(block + 1), base.eq(base + pres), running.eq(~last_block)]
                with m.If(chasing & forward):
                    m.d.sync += known.eq(limit)
                with m.If(sums_currents(mode)):
                    with m.If(last_block):
                        m.d.sync += chain.eq(ragged - 1)
                    with m.Else():
                        m.d.sync += chain.eq(config.lanes - 1)
        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                mode.eq(self.mode),
                layer.eq(self.layer),
                index.eq(0),
                block.eq(0),
                base.eq(by_index(m, self.layer, list(g.layout.synapse_base), "start_base")),
                known.eq(self.input_events),
                period_left.eq(0),
            ]
        return m
