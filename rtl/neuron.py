"""Neuron unit: walks the neurons of a block, one per clock (stages N0 to N9; N0 is R8, see beat.py).

::

    N0  neuron word and synaptic sum arrive
    N1  operands
    N2  products a*I, lam*V, a*J, k*A
    N3  I', J'; lam*V - rho*s
    N4  V', A'
    N5  spike emitted to the layer above; |V' - theta|; readout memory addressed before
    N6  surrogate table addressed; score written
    N7  h
    N8  rho*h
    N9  k'; neuron word written, k sent to its lane, everything observed
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.formats import DECAY_FRAC, Rounding
from solsa.contract.registers import SURROGATE_SHIFT_BITS

from .arith import by_index, delayed, drop, drop_and_add, low_bits, saturate, shape_of
from .beat import Geometry


class Neurons(wiring.Component):
    """Neuron memory, surrogate table, score memory and the arithmetic of neurons.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        f = config.formats
        layers, groups = config.depth, config.groups
        table_bits = config.surrogate_entries.bit_length() - 1
        super().__init__(
            {
                #: one clock at the start of a time step
                "start": In(1),
                "learn": In(1),
                "fresh_neurons": In(1),
                "fresh_traces": In(1),
                #: R6: a block's sums enter the unload chain
                "block_valid": In(1),
                "block_beat": In(g.beat_layout()),
                #: R7: unload chain at lane 0
                "chain": In(signed(g.chain_bits)),
                # constants from the register file
                "a": In(data.ArrayLayout(shape_of(f.decay), layers * groups)),
                "lam": In(data.ArrayLayout(shape_of(f.decay), layers * groups)),
                "theta": In(data.ArrayLayout(shape_of(f.threshold), layers)),
                "rho": In(data.ArrayLayout(shape_of(f.threshold), layers)),
                "surrogate_shift": In(SURROGATE_SHIFT_BITS),
                # N5: progress for the sequencer and the inputs of the layer above
                "spike_valid": Out(1),
                "spike": Out(1),
                "spike_layer": Out(g.layer_bits),
                "spike_post": Out(g.post_bits),
                "spike_event": Out(g.post_bits),
                "membrane": Out(shape_of(f.membrane)),
                "emitted_layer": Out(g.layer_bits),
                "emitted_valid": Out(1),
                "emitted": Out(g.post_bits),
                "emitted_events": Out(g.post_bits),
                "emitted_all": Out(1),
                # N9
                "retired": Out(1),
                "retired_layer": Out(g.layer_bits),
                "retired_post": Out(g.post_bits),
                "retired_word": Out(g.neuron_layout()),
                #: N9 of the last neuron of the last layer
                "done": Out(1),
                # reads by the error unit and the host: address, answer one clock later; only while no block is unloaded
                "read_address": In(g.post_address_bits),
                "read_word": Out(g.neuron_layout()),
                "score_address": In(range(max(2, config.outputs))),
                "score_word": Out(shape_of(f.score)),
                #: N6: score written
                "score_retired": Out(1),
                "score_post": Out(g.post_bits),
                "score_value": Out(shape_of(f.score)),
                "idle": In(1),
                "table_address": In(table_bits),
                "table_word": Out(shape_of(f.surrogate)),
                "table_write": In(1),
                "table_value": In(shape_of(f.surrogate)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, config, f = self.geometry, self.config, self.config.formats
        ops = f.operations()
        layout = g.neuron_layout()
        last_layer = config.depth - 1

        # -- feeder: names the neuron that leaves the chain ----------------------------------------------------------
        tag = data.StructLayout({"valid": 1, "layer": g.layer_bits, "post": g.post_bits, "end": 1})
        feed, left = Signal(tag), Signal(range(config.lanes + 1))
        ragged = by_index(m, self.block_beat.layer, g.ragged, "ragged")
        posts_minus_1 = by_index(m, feed.layer, [v - 1 for v in g.posts], "posts_minus_1")
        with m.If(self.block_valid):
            m.d.sync += [
                feed.valid.eq(1),
                feed.layer.eq(self.block_beat.layer),
                feed.post.eq(self.block_beat.block << g.lane_shift),
                left.eq(Mux(self.block_beat.last_block, ragged, config.lanes)),
            ]
        with m.Elif(left > 1):
            m.d.sync += [left.eq(left - 1), feed.post.eq(feed.post + 1)]
        with m.Else():
            m.d.sync += [left.eq(0), feed.valid.eq(0)]
        feed_tag = Signal(tag)
        m.d.comb += [feed_tag.eq(feed), feed_tag.end.eq(feed.post == posts_minus_1)]
        tags = delayed(m, feed_tag, 10, "tag")[1:]  # tags[0] belongs to N0

        # -- memory --------------------------------------------------------------------------------------------------
        m.submodules.memory = memory = Memory(shape=unsigned(layout.size), depth=max(2, g.layout.post_depth), init=[])
        read, write = memory.read_port(), memory.write_port()
        post_base = by_index(m, feed.layer, list(g.layout.post_base), "post_base")
        m.d.comb += read.addr.eq(Mux(feed.valid, post_base + feed.post, self.read_address))
        m.d.comb += self.read_word.eq(read.data)
        old = data.View(layout, read.data)

        # -- N0: arrivals; N1: operands ------------------------------------------------------------------------------
        total0 = Signal(signed(g.chain_bits))
        m.d.sync += total0.eq(self.chain)
        group_bits = config.groups.bit_length() - 1

        def constants(values: data.View, n: int, name: str) -> Signal:
            """Per-layer and per-group constant of the neuron at stage n."""
            index = low_bits(tags[n].post, group_bits)
            rows = [values[i * config.groups + k] for i in range(config.depth) for k in range(config.groups)]
            return by_index(m, Cat(index, tags[n].layer), rows, name)

        zero_neuron, zero_trace = self.fresh_neurons, self.fresh_traces
        current1, membrane1 = Signal(shape_of(f.current)), Signal(shape_of(f.membrane))
        j1, a1 = Signal(shape_of(f.filter_trace)), Signal(shape_of(f.adapt_trace))
        j_raw, a_raw = Signal(shape_of(f.filter_trace)), Signal(shape_of(f.adapt_trace))
        gain1, decay_a, decay_lam = Signal(shape_of(f.gain)), Signal(shape_of(f.decay)), Signal(shape_of(f.decay))
        total1 = Signal(signed(g.accumulator_bits))
        reset1 = Signal(signed(f.threshold.width + 1))
        rho0 = by_index(m, tags[0].layer, list(self.rho), "rho0")
        m.d.sync += [
            current1.eq(Mux(zero_neuron, 0, old.current)),
            membrane1.eq(Mux(zero_neuron, 0, old.membrane)),
            reset1.eq(Mux(old.spike & ~zero_neuron, -rho0, 0)),
            j1.eq(Mux(zero_trace, 0, old.filter_trace)),
            a1.eq(Mux(zero_trace, 0, old.adapt_trace)),
            j_raw.eq(old.filter_trace),
            a_raw.eq(old.adapt_trace),
            gain1.eq(old.gain),
            decay_a.eq(constants(self.a, 0, "decay_a0")),
            decay_lam.eq(constants(self.lam, 0, "decay_lam0")),
            # the lanes started their sums with half of the last kept bit: a plain shift completes HALF_UP
            total1.eq(total0 >> ops["current_sum"].shift),
        ]

        # -- N2: products --------------------------------------------------------------------------------------------
        product_i = Signal(signed(f.current.width + DECAY_FRAC))
        product_v = Signal(signed(f.membrane.width + DECAY_FRAC))
        product_j = Signal(signed(f.filter_trace.width + DECAY_FRAC))
        product_a = Signal(signed(f.adapt_trace.width + f.gain.width))
        current2, total2, reset2 = Signal.like(current1), Signal.like(total1), Signal.like(reset1)
        m.d.sync += [
            product_i.eq(current1 * decay_a),
            product_v.eq(membrane1 * decay_lam),
            product_j.eq(j1 * decay_a),
            product_a.eq(a1 * gain1),
            current2.eq(current1),
            total2.eq(total1),
            reset2.eq(reset1),
        ]
        j_kept = delayed(m, j_raw, 3, "j_kept")  # N1 to N4
        a_kept = delayed(m, a_raw, 3, "a_kept")

        # -- N3 ------------------------------------------------------------------------------------------------------
        for name in ("current_decay", "membrane_decay", "filter_trace_decay", "adapt_trace_decay"):
            assert ops[name].rounding is Rounding.TOWARD_ZERO
        current3 = Signal(shape_of(f.current))
        base3 = Signal(signed(max(f.membrane.width, f.threshold.width) + 2))
        j3, product_a3 = Signal(shape_of(f.filter_trace)), Signal.like(product_a)
        j_input = (current2 >> ops["filter_trace_in"].shift).as_signed()
        m.d.sync += [
            current3.eq(saturate(drop_and_add(product_i, DECAY_FRAC, total2), f.current)),
            base3.eq(drop_and_add(product_v, DECAY_FRAC, reset2)),
            j3.eq(saturate(drop_and_add(product_j, DECAY_FRAC, j_input), f.filter_trace)),
            product_a3.eq(product_a),
        ]

        # -- N4 ------------------------------------------------------------------------------------------------------
        current4, membrane4 = Signal(shape_of(f.current)), Signal(shape_of(f.membrane))
        j4, a4 = Signal(shape_of(f.filter_trace)), Signal(shape_of(f.adapt_trace))
        a_input = (j3 >> ops["adapt_trace_in"].shift).as_signed()
        a_new = saturate(drop_and_add(product_a3, ops["adapt_trace_decay"].shift, a_input), f.adapt_trace)
        m.d.sync += [
            current4.eq(current3),
            membrane4.eq(saturate(base3 + current3, f.membrane)),
            j4.eq(Mux(self.learn, j3, j_kept[2])),
            a4.eq(Mux(self.learn, a_new, a_kept[2])),
        ]

        # -- N5: spike -----------------------------------------------------------------------------------------------
        spiking4 = by_index(m, tags[4].layer, [int(config.spiking(i)) for i in range(config.depth)], "spiking4")
        theta4 = by_index(m, tags[4].layer, list(self.theta), "theta4")
        spike5, membrane5 = Signal(), Signal(shape_of(f.membrane))
        above5 = Signal(signed(max(f.membrane.width, f.threshold.width) + 1))
        m.d.sync += [
            spike5.eq(spiking4 & (membrane4 > theta4)),
            above5.eq(membrane4 - theta4),
            membrane5.eq(membrane4),
        ]
        events = Signal(g.post_bits)
        tag5 = tags[5]
        m.d.comb += [
            events.eq(Mux(tag5.post == 0, 0, self.emitted_events)),
            self.spike_valid.eq(tag5.valid),
            self.spike.eq(spike5),
            self.spike_layer.eq(tag5.layer),
            self.spike_post.eq(tag5.post),
            self.spike_event.eq(events),
            self.membrane.eq(membrane5),
        ]
        with m.If(self.start):
            m.d.sync += self.emitted_valid.eq(0)
        with m.If(tag5.valid):
            m.d.sync += [
                self.emitted_valid.eq(1),
                self.emitted_layer.eq(tag5.layer),
                self.emitted.eq(tag5.post + 1),
                self.emitted_events.eq(events + spike5),
                self.emitted_all.eq(tag5.end),
            ]

        # -- N6: table index; score ----------------------------------------------------------------------------------
        entries = config.surrogate_entries
        distance = Mux(above5 < 0, -above5, above5)
        shifted = (distance.as_unsigned() >> self.surrogate_shift)[: len(above5)]
        index6 = Signal(range(entries))
        m.d.sync += index6.eq(Mux(shifted >= entries, entries - 1, shifted))

        m.submodules.scores = scores = Memory(shape=shape_of(f.score), depth=max(2, config.outputs), init=[])
        score_read, score_write = scores.read_port(), scores.write_port()
        is_last5 = tag5.layer == last_layer
        readout = spike5 if config.spiking(last_layer) else membrane5
        m.d.comb += [
            score_read.addr.eq(Mux(self.idle, self.score_address, tags[4].post)),
            self.score_word.eq(score_read.data),
            score_write.en.eq(self.score_retired),
            score_write.addr.eq(self.score_post),
            score_write.data.eq(self.score_value),
        ]
        m.d.sync += [
            self.score_retired.eq(tag5.valid & is_last5),
            self.score_post.eq(tag5.post),
            self.score_value.eq(saturate(Mux(self.fresh_neurons, 0, score_read.data) + readout, f.score)),
        ]

        # -- N7: h; N8: rho*h; N9: k' --------------------------------------------------------------------------------
        m.submodules.table = table = Memory(shape=shape_of(f.surrogate), depth=entries, init=[])
        table_read, table_write = table.read_port(), table.write_port()
        m.d.comb += [
            table_read.addr.eq(Mux(self.idle, self.table_address, index6)),
            table_write.en.eq(self.table_write),
            table_write.addr.eq(self.table_address),
            table_write.data.eq(self.table_value),
            self.table_word.eq(table_read.data),
        ]
        spiking7 = by_index(m, tags[7].layer, [int(config.spiking(i)) for i in range(config.depth)], "spiking7")
        rho7 = by_index(m, tags[7].layer, list(self.rho), "rho7")
        surrogate7 = Signal(shape_of(f.surrogate))
        m.d.comb += surrogate7.eq(Mux(spiking7, table_read.data, 0))
        reset8 = Signal(signed(f.threshold.width + f.surrogate.width + 1))
        m.d.sync += reset8.eq(rho7 * surrogate7)
        surrogate9 = delayed(m, surrogate7, 2, "surrogate")[2]
        gain9 = Signal(shape_of(f.gain))
        lam8 = constants(self.lam, 8, "lam8")
        kept8 = drop(lam8, ops["gain_decay"].shift, ops["gain_decay"].rounding)
        lost8 = drop(reset8, ops["gain_reset"].shift, ops["gain_reset"].rounding)
        m.d.sync += gain9.eq(saturate(kept8 - lost8, f.gain))

        word = Signal(layout)
        tag9 = tags[9]
        write_base = by_index(m, tag9.layer, list(g.layout.post_base), "write_base")
        m.d.comb += [
            word.current.eq(delayed(m, current4, 5, "current")[5]),
            word.membrane.eq(delayed(m, membrane5, 4, "membrane")[4]),
            word.spike.eq(delayed(m, spike5, 4, "spike")[4]),
            word.surrogate.eq(surrogate9),
            word.gain.eq(gain9),
            word.filter_trace.eq(delayed(m, j4, 5, "j")[5]),
            word.adapt_trace.eq(delayed(m, a4, 5, "a")[5]),
            write.en.eq(tag9.valid),
            write.addr.eq(write_base + tag9.post),
            write.data.eq(word),
            self.retired.eq(tag9.valid),
            self.retired_layer.eq(tag9.layer),
            self.retired_post.eq(tag9.post),
            self.retired_word.eq(word),
            self.done.eq(tag9.valid & tag9.end & (tag9.layer == last_layer)),
        ]
        return m
