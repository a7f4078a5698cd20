"""Sweep sequencer: walks blocks of posts and, inside, pre-synaptic signals; one slot per clock (stage c0).

A layer's sweep starts while the neuron unit still emits the spikes of the layer below: slot n of the first block waits
until pre n is known, so the walk through the neurons costs no time of its own. The last slot of a block waits until the
unload chain of the block before has emptied.
"""

from __future__ import annotations

from amaranth.hdl import C, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import BankKind, NetworkConfig
from solsa.contract.cycles import MIN_PERIOD, neuron_clocks

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
        ports = {
            #: one clock: a time step begins
            "begin": In(1),
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
        if config.recurrent:
            #: spikes of `layer` in the step before: the first events of its list
            ports["own_events"] = In(g.pre_bits)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, config = self.geometry, self.config
        mode, layer = Signal(Mode), Signal(g.layer_bits)
        running, block, base = Signal(), Signal(g.block_bits), Signal(g.address_bits)
        # index + 1 and index == 0 are registers of their own: few gates may stand between them and the next slot
        index, index_1, first = Signal(g.pre_bits), Signal(g.pre_bits, init=1), Signal()
        pres, last_block, sums = Signal(g.pre_bits), Signal(), Signal()
        last_block_index = Signal(g.block_bits)
        chain_length = Signal(range(config.lanes * neuron_clocks(config)))

        # What is known of the layer's inputs: everything for layer 0 and for modes that sum no currents, else what the
        # neuron unit has emitted until the clock before. Once closed, the limit holds for all blocks.
        limit, closed, below = Signal(g.pre_bits), Signal(), Signal()
        of_layer, of_mode = Signal.like(layer), Signal(Mode)
        m.d.comb += [
            of_layer.eq(Mux(self.start, self.layer, layer)),
            of_mode.eq(Mux(self.start, self.mode, mode)),
            below.eq(self.emitted_valid & (self.emitted_layer + 1 == of_layer)),
        ]
        # Events: among the inputs, before a neuron has fired, and since; neurons that have been emitted.
        active: Value = self.input_events
        none: Value = C(0)
        fired: Value = self.emitted_events
        emitted: Value = self.emitted
        if config.recurrent:
            before, known = Signal(g.pre_bits), Signal(g.pre_bits)
            with m.If(of_mode == Mode.FORWARD):
                m.d.comb += known.eq(Mux(self.start, self.own_events, before))
            m.d.sync += before.eq(known)
            active, none, fired = active + known, known, fired + known
            # own spikes come after those that the layer below is firing
            emitted = emitted + Mux(self.emitted_all, by_index(m, of_layer, g.own, "own_of_layer"), 0)
        with m.If(self.start & (~sums_currents(self.mode) | (self.layer == 0))):
            m.d.sync += closed.eq(1)
            with m.If(self.mode == Mode.FORWARD):
                m.d.sync += limit.eq(active)
            with m.Else():
                m.d.sync += limit.eq(by_index(m, self.layer, g.pres, "start_pres"))
            if config.recurrent:
                with m.If(self.mode == Mode.BACKWARD):
                    m.d.sync += limit.eq(by_index(m, self.layer, g.below, "start_below"))
        with m.Elif(self.start | ~closed):
            m.d.sync += closed.eq(below & self.emitted_all)
            with m.If(~below):
                m.d.sync += limit.eq(none)
            with m.Elif(of_mode == Mode.FORWARD):
                m.d.sync += limit.eq(fired)
            with m.Else():
                m.d.sync += limit.eq(emitted)

        more, last, issue = Signal(), Signal(), Signal()
        per_post = neuron_clocks(config)
        chain, chain_busy = Signal(range(config.lanes * per_post)), Signal()
        period_left, period_busy = Signal(range(MIN_PERIOD)), Signal()
        in_phase = Signal(init=1)
        if config.bank is BankKind.SINGLE_PORT:
            # A sweep that writes reads even addresses in even clocks (rtl/bank.py).
            phase = Signal()
            m.d.sync += phase.eq(~phase & ~self.begin)
            writes = (mode == Mode.TRACE) | (mode == Mode.UPDATE)
            m.d.comb += in_phase.eq(~writes | ((base[0] ^ index[0]) == phase))
        m.d.comb += [
            more.eq(index != limit),
            # A block that has issued all its events before it knew that they were all ends with an empty slot.
            last.eq(closed & ((index_1 == limit) | ~more)),
            issue.eq(
                running & (more | closed) & in_phase & ~(last & chain_busy & sums) & ~(first & period_busy)
            ),
            self.idle.eq(~running),
            self.slot.valid.eq(issue),
            self.slot.compute.eq(more),
            self.slot.first.eq(first),
            self.slot.last.eq(last),
            self.slot.mode.eq(mode),
            self.slot.layer.eq(layer),
            self.slot.block.eq(block),
            self.slot.last_block.eq(last_block),
            self.slot.index.eq(index),
            self.slot.base.eq(base),
        ]  # fmt: skip

        with m.If(chain_busy):
            m.d.sync += [chain.eq(chain - 1), chain_busy.eq(chain != 1)]
        with m.If(period_busy):
            m.d.sync += [period_left.eq(period_left - 1), period_busy.eq(period_left != 1)]
        with m.If(issue):
            m.d.sync += [index.eq(index_1), index_1.eq(index_1 + 1), first.eq(0)]
            # The next block may begin MIN_PERIOD after this one would have begun without waiting for its inputs.
            with m.If((mode == Mode.TRACE) | (mode == Mode.BACKWARD)):
                m.d.sync += [
                    period_left.eq(Mux(index < MIN_PERIOD, MIN_PERIOD - 1 - index, 0)),
                    period_busy.eq(index < MIN_PERIOD - 1),
                ]
            with m.If(last):
                m.d.sync += [
                    index.eq(0),
                    index_1.eq(1),
                    first.eq(1),
                    block.eq(block + 1),
                    last_block.eq(block + 1 == last_block_index),
                    base.eq(base + pres),
                    running.eq(~last_block),
                ]
                with m.If(sums):
                    m.d.sync += [
                        chain.eq(Mux(last_block, chain_length, config.lanes * per_post - 1)),
                        chain_busy.eq(Mux(last_block, chain_length != 0, config.lanes * per_post > 1)),
                    ]
        with m.If(self.start):
            m.d.sync += [
                running.eq(1),
                mode.eq(self.mode),
                layer.eq(self.layer),
                sums.eq(sums_currents(self.mode)),
                pres.eq(by_index(m, self.layer, g.pres, "pres_of_layer")),
                chain_length.eq(by_index(m, self.layer, [r * per_post - 1 for r in g.ragged], "ragged_of_layer")),
                last_block_index.eq(by_index(m, self.layer, [b - 1 for b in g.blocks], "last_block_of_layer")),
                last_block.eq(by_index(m, self.layer, [int(b == 1) for b in g.blocks], "single_of_layer")),
                index.eq(0),
                index_1.eq(1),
                first.eq(1),
                block.eq(0),
                base.eq(by_index(m, self.layer, list(g.layout.synapse_base), "start_base")),
                period_left.eq(0),
                period_busy.eq(0),
            ]
        return m
