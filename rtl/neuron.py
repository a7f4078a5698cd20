"""Neuron unit: walks the neurons of a block, one per clock (stages N0 to N13; N0 is R8, see beat.py).

::

    N0  neuron word and synaptic sum arrive
    N1  operands
    N2  products a*I, lam*V, a*J, k*A
    N3  sums of I', J'; lam*V - rho*s
    N4  I', J'
    N5  V'; sum of A'; score addressed
    N6  spike emitted to the layer above; V' - theta; A'; these words written
    N7  |V' - theta|
    N8  surrogate table addressed
    N9  h leaves the table; score written
    N10 h
    N11 rho*h
    N12 lam - rho*h
    N13 k'; h and k written, k sent to its lane, everything observed
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.formats import DECAY_FRAC, Rounding
from solsa.contract.registers import SURROGATE_SHIFT_BITS

from .arith import by_index, delayed, drop, drop_and_add, low_bits, saturate, shape_of
from .beat import Geometry

#: Fields of a neuron's word that are computed last.
LATE = ("surrogate", "gain")


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
                #: the unload chain moves on
                "shift": Out(1),
                #: R7: unload chain at lane 0
                "chain": In(signed(g.chain_bits)),
                # constants from the register file
                "a": In(data.ArrayLayout(shape_of(f.decay), layers * groups)),
                "lam": In(data.ArrayLayout(shape_of(f.decay), layers * groups)),
                "theta": In(data.ArrayLayout(shape_of(f.threshold), layers)),
                "rho": In(data.ArrayLayout(shape_of(f.threshold), layers)),
                "surrogate_shift": In(SURROGATE_SHIFT_BITS),
                # N6: progress for the sequencer and the inputs of the layer above
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
                # N13
                "retired": Out(1),
                "retired_layer": Out(g.layer_bits),
                "retired_post": Out(g.post_bits),
                "retired_word": Out(g.neuron_layout()),
                #: N13 of the last neuron of the last layer
                "done": Out(1),
                # reads by the error unit and the host: address, answer one clock later; only while no block is unloaded
                "read_address": In(g.post_address_bits),
                "read_word": Out(g.neuron_layout()),
                "score_address": In(range(max(2, config.outputs))),
                "score_word": Out(shape_of(f.score)),
                #: N9: score written
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
        spiking = [int(config.spiking(i)) for i in range(config.depth)]

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
        m.d.comb += self.shift.eq(1)
        feed_tag = Signal(tag)
        m.d.comb += [feed_tag.eq(feed), feed_tag.end.eq(feed.post == posts_minus_1)]
        tags = delayed(m, feed_tag, 14, "tag")[1:]  # tags[0] belongs to N0

        # -- memories: what is known early lies in one, h and k in another, so that little has to be carried along -----
        early = data.StructLayout({name: shape for name, shape in layout.members.items() if name not in LATE})
        late = data.StructLayout({name: shape for name, shape in layout.members.items() if name in LATE})
        depth = max(2, g.layout.post_depth)
        m.submodules.memory = memory = Memory(shape=unsigned(early.size), depth=depth, init=[])
        m.submodules.late_memory = late_memory = Memory(shape=unsigned(late.size), depth=depth, init=[])
        read, write = memory.read_port(), memory.write_port()
        late_read, late_write = late_memory.read_port(), late_memory.write_port()
        post_base = by_index(m, feed.layer, list(g.layout.post_base), "post_base")
        old, old_late = data.View(early, read.data), data.View(late, late_read.data)
        m.d.comb += [
            read.addr.eq(Mux(feed.valid, post_base + feed.post, self.read_address)),
            late_read.addr.eq(read.addr),
            *(self.read_word[name].eq(old[name]) for name in early.members),
            *(self.read_word[name].eq(old_late[name]) for name in late.members),
        ]

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
            gain1.eq(old_late.gain),
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
        a_kept = delayed(m, a_raw, 4, "a_kept")  # N1 to N5

        # -- N3: sums ------------------------------------------------------------------------------------------------
        for name in ("current_decay", "membrane_decay", "filter_trace_decay", "adapt_trace_decay"):
            assert ops[name].rounding is Rounding.TOWARD_ZERO
        sum_i = drop_and_add(product_i, DECAY_FRAC, total2)
        sum_j = drop_and_add(product_j, DECAY_FRAC, (current2 >> ops["filter_trace_in"].shift).as_signed())
        sum_i3, sum_j3 = Signal(sum_i.shape()), Signal(sum_j.shape())
        base3 = Signal(signed(max(f.membrane.width, f.threshold.width) + 2))
        m.d.sync += [
            sum_i3.eq(sum_i),
            base3.eq(drop_and_add(product_v, DECAY_FRAC, reset2)),
            sum_j3.eq(sum_j),
        ]

        # -- N4: I', J' ----------------------------------------------------------------------------------------------
        current4, base4 = Signal(shape_of(f.current)), Signal.like(base3)
        j4, product_a4 = Signal(shape_of(f.filter_trace)), delayed(m, product_a, 2, "product_a")[2]
        m.d.sync += [
            current4.eq(saturate(sum_i3, f.current)),
            base4.eq(base3),
            j4.eq(saturate(sum_j3, f.filter_trace)),
        ]

        # -- N5: V', sum of A' ---------------------------------------------------------------------------------------
        membrane5, j5 = Signal(shape_of(f.membrane)), Signal(shape_of(f.filter_trace))
        a_input = (j4 >> ops["adapt_trace_in"].shift).as_signed()
        sum_a = drop_and_add(product_a4, ops["adapt_trace_decay"].shift, a_input)
        sum_a5 = Signal(sum_a.shape())
        m.d.sync += [
            membrane5.eq(saturate(base4 + current4, f.membrane)),
            j5.eq(Mux(self.learn, j4, j_kept[3])),
            sum_a5.eq(sum_a),
        ]

        # -- N6: spike, A' -------------------------------------------------------------------------------------------
        spiking5, theta5 = Signal(), Signal(shape_of(f.threshold))
        spike6, membrane6 = Signal(), Signal(shape_of(f.membrane))
        above6 = Signal(signed(max(f.membrane.width, f.threshold.width) + 1))
        a6 = Signal(shape_of(f.adapt_trace))
        m.d.sync += [
            spiking5.eq(by_index(m, tags[4].layer, spiking, "spiking4")),
            theta5.eq(by_index(m, tags[4].layer, list(self.theta), "theta4")),
            spike6.eq(spiking5 & (membrane5 > theta5)),
            above6.eq(membrane5 - theta5),
            membrane6.eq(membrane5),
            a6.eq(Mux(self.learn, saturate(sum_a5, f.adapt_trace), a_kept[4])),
        ]
        events = Signal(g.post_bits)
        tag6 = tags[6]
        m.d.comb += [
            events.eq(Mux(tag6.post == 0, 0, self.emitted_events)),
            self.spike_valid.eq(tag6.valid),
            self.spike.eq(spike6),
            self.spike_layer.eq(tag6.layer),
            self.spike_post.eq(tag6.post),
            self.spike_event.eq(events),
            self.membrane.eq(membrane6),
        ]
        with m.If(self.start):
            m.d.sync += self.emitted_valid.eq(0)
        with m.If(tag6.valid):
            m.d.sync += [
                self.emitted_valid.eq(1),
                self.emitted_layer.eq(tag6.layer),
                self.emitted.eq(tag6.post + 1),
                self.emitted_events.eq(events + spike6),
                self.emitted_all.eq(tag6.end),
            ]

        # -- N7: distance; N8: table index; N6 to N9: score ----------------------------------------------------------
        entries = config.surrogate_entries
        distance7, index8 = Signal(len(above6)), Signal(range(entries))
        shifted = (distance7 >> self.surrogate_shift)[: len(above6)]
        m.d.sync += [
            distance7.eq(Mux(above6 < 0, -above6, above6)),
            index8.eq(Mux(shifted >= entries, entries - 1, shifted)),
        ]

        m.submodules.scores = scores = Memory(shape=shape_of(f.score), depth=max(2, config.outputs), init=[])
        score_read, score_write = scores.read_port(), scores.write_port()
        readout6 = spike6 if config.spiking(last_layer) else membrane6
        readout7, score7 = Signal(readout6.shape()), Signal(shape_of(f.score))
        total8 = Signal((score7 + readout7).shape())
        m.d.comb += [
            score_read.addr.eq(Mux(self.idle, self.score_address, tags[5].post)),
            self.score_word.eq(score_read.data),
            score_write.en.eq(self.score_retired),
            score_write.addr.eq(self.score_post),
            score_write.data.eq(self.score_value),
        ]
        m.d.sync += [
            readout7.eq(readout6),
            score7.eq(Mux(self.fresh_neurons, 0, score_read.data)),
            total8.eq(score7 + readout7),
            self.score_retired.eq(tags[8].valid & (tags[8].layer == last_layer)),
            self.score_post.eq(tags[8].post),
            self.score_value.eq(saturate(total8, f.score)),
        ]

        # -- N9: table; N10: h; N11: rho*h; N12: difference; N13: k' -------------------------------------------------
        m.submodules.table = table = Memory(shape=shape_of(f.surrogate), depth=entries, init=[])
        table_read, table_write = table.read_port(), table.write_port()
        m.d.comb += [
            table_read.addr.eq(Mux(self.idle, self.table_address, index8)),
            table_write.en.eq(self.table_write),
            table_write.addr.eq(self.table_address),
            table_write.data.eq(self.table_value),
            self.table_word.eq(table_read.data),
        ]
        rho10, surrogate10 = Signal(shape_of(f.threshold)), Signal(shape_of(f.surrogate))
        reset11, lam11 = Signal(signed(f.threshold.width + f.surrogate.width + 1)), Signal(shape_of(f.decay))
        kept = drop(lam11, ops["gain_decay"].shift, ops["gain_decay"].rounding)
        lost = drop(reset11, ops["gain_reset"].shift, ops["gain_reset"].rounding)
        difference12, gain13 = Signal((kept - lost).shape()), Signal(shape_of(f.gain))
        m.d.sync += [
            rho10.eq(by_index(m, tags[9].layer, list(self.rho), "rho9")),
            surrogate10.eq(Mux(by_index(m, tags[9].layer, spiking, "spiking9"), table_read.data, 0)),
            reset11.eq(rho10 * surrogate10),
            lam11.eq(constants(self.lam, 10, "lam10")),
            difference12.eq(kept - lost),
            gain13.eq(saturate(difference12, f.gain)),
        ]

        # -- written: I, V, s, J, A at N6, h and k at N13; everything observed at N13 ---------------------------------
        tag13 = tags[13]
        bases = list(g.layout.post_base)
        early6, late13, word = Signal(early), Signal(late), Signal(layout)
        address6, address13 = Signal(g.post_address_bits), Signal(g.post_address_bits)
        m.d.sync += [
            address6.eq(by_index(m, tags[5].layer, bases, "write_base5") + tags[5].post),
            address13.eq(by_index(m, tags[12].layer, bases, "write_base12") + tags[12].post),
        ]
        m.d.comb += [
            early6.current.eq(delayed(m, current4, 2, "current")[2]),
            early6.membrane.eq(membrane6),
            early6.spike.eq(spike6),
            early6.filter_trace.eq(delayed(m, j5, 1, "j")[1]),
            early6.adapt_trace.eq(a6),
            write.en.eq(tag6.valid),
            write.addr.eq(address6),
            write.data.eq(early6),
            late13.surrogate.eq(self._surrogate13(m, old_late.surrogate, surrogate10, tags)),
            late13.gain.eq(gain13),
            late_write.en.eq(tag13.valid),
            late_write.addr.eq(address13),
            late_write.data.eq(late13),
            self.retired.eq(tag13.valid),
            self.retired_layer.eq(tag13.layer),
            self.retired_post.eq(tag13.post),
            self.retired_word.eq(word),
            self.done.eq(tag13.valid & tag13.end & (tag13.layer == last_layer)),
        ]
        observed = delayed(m, early6, 7, "observed")[7]
        m.d.comb += [word[name].eq(observed[name]) for name in early.members]
        m.d.comb += [word[name].eq(late13[name]) for name in late.members]
        return m

    def _surrogate13(self, m: Module, before: Value, h10: Signal, tags: list[Signal]) -> Value:
        """N13: the word ``surrogate``, h, or H' = [lam*H] + h from ``before`` at N0 (option ``filtered_surrogate``)."""
        config = self.config
        if not config.filtered_surrogate:
            return delayed(m, h10, 3, "surrogate")[3]
        op, fmt, last = config.formats.option_operations()["surrogate_decay"], config.surrogate_word, config.depth - 1
        assert op.rounding is Rounding.TOWARD_ZERO  # of what is never negative: a plain shift
        # The readout's word is h: its spikes have no membrane after them.
        filters = by_index(m, tags[0].layer, [int(i < last) for i in range(config.depth)], "filters0")
        before1, lam1 = Signal(shape_of(fmt)), Signal(shape_of(config.formats.decay))
        product2 = Signal(fmt.width + DECAY_FRAC)
        m.d.sync += [
            before1.eq(Mux(filters & ~self.fresh_neurons, before, 0)),
            lam1.eq(self.lam[last * config.groups]),
            product2.eq(before1 * lam1),
        ]
        kept10 = delayed(m, product2[op.shift :], 8, "surrogate_kept")[8]
        total11, filtered12 = Signal(fmt.width + 1), Signal(shape_of(fmt))
        m.d.sync += [total11.eq(kept10 + h10), filtered12.eq(Mux(total11[-1], fmt.max, total11))]
        return delayed(m, filtered12, 1, "surrogate")[1]
