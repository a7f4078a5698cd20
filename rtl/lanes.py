"""All lanes, the control that they share, the unload chain and the sum of products of the backward pass."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.random import POST_HASH, POST_HASH_BITS

from .arith import by_index, delayed, shape_of
from .beat import Geometry, Mode, sums_currents
from .lane import Lane, LaneControl


class Lanes(wiring.Component):
    """P lanes behind one beat stream.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    data_bits : int
        Width of the ``filter`` operands.
    """

    def __init__(self, config: NetworkConfig, data_bits: int) -> None:
        self.config, self.data_bits = config, data_bits
        g = self.geometry = Geometry(config)
        f = config.formats
        self.tree_levels = config.lanes.bit_length() - 1
        super().__init__(
            {
                #: R0
                "beat": In(g.beat_layout()),
                "fresh": In(1),
                #: R3 and R5
                "x": In(shape_of(f.input)),
                "filter": In(data.ArrayLayout(signed(data_bits), g.layout.filter_banks)),
                #: R3: generator word of the beat, post constant of the block not yet applied
                "random": In(32),
                #: host access: lane that a write goes to, all others keep their word; field that a read takes
                "host_lane": In(g.lane_bits),
                "host_padding": In(config.lanes),
                "host_trace": In(1),
                #: any beat in flight
                "pending": Out(1),
                #: R6: a block's sums enter the chain; `block_beat` tells which
                "block_valid": Out(1),
                "block_beat": Out(g.beat_layout()),
                #: R7 and later, lane 0 first
                "chain": Out(signed(g.chain_bits)),
                #: sum over lanes of w*delta (R5 + log2 P) and its beat one clock ahead
                "error_beat": Out(g.beat_layout()),
                "error_sum": Out(signed(f.weight.width + f.delta.width + self.tree_levels)),
                #: R7: words written or kept
                "retired": Out(g.beat_layout()),
                "words": Out(data.ArrayLayout(Lane.word_layout(config), config.lanes)),
                #: k and {delta, g} of a post
                "gain_valid": In(1),
                "gain_layer": In(g.layer_bits),
                "gain_post": In(g.post_bits),
                "gain": In(shape_of(f.gain)),
                "error_valid": In(1),
                "error_layer": In(g.layer_bits),
                "error_post": In(g.post_bits),
                "delta": In(shape_of(f.delta)),
                "rate_step": In(shape_of(f.rate_step)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, config, f = self.geometry, self.config, self.config.formats
        block_base = list(g.layout.block_base)
        beats = delayed(m, self.beat, 7, "beat")

        def control(stage: int) -> Value:
            beat, mode = beats[stage], beats[stage].mode
            decoded = Signal(LaneControl, name=f"control{stage}")
            writes = (mode == Mode.WRITE_TRACE) | (mode == Mode.WRITE_WEIGHT)
            m.d.comb += [
                decoded.valid.eq(beat.valid),
                decoded.compute.eq(beat.compute),
                decoded.first.eq(beat.first),
                decoded.last.eq(beat.last),
                decoded.trace.eq(mode == Mode.TRACE),
                decoded.update.eq(mode == Mode.UPDATE),
                decoded.backward.eq(mode == Mode.BACKWARD),
                decoded.fresh.eq(((mode == Mode.TRACE) & self.fresh) | writes),
                decoded.write_weight.eq(mode == Mode.WRITE_WEIGHT),
                decoded.write_trace.eq(mode == Mode.WRITE_TRACE),
                decoded.read.eq(mode == Mode.READ),
            ]
            return decoded

        control1, control3, control4 = control(3), control(5), control(6)

        # -- R2: addresses in front of the lanes ---------------------------------------------------------------------
        block_address = Signal(g.block_address_bits)
        m.d.sync += block_address.eq(by_index(m, beats[1].layer, block_base, "block_base") + beats[1].block)

        # -- random bits: R3 word, R4 with the block's constant, R5 at the lanes -------------------------------------
        bits = f.operations()["weight_step"].shift
        block_hash = Signal(32)
        terms = [
            beats[3].block[i].replicate(32) & POST_HASH[i + g.lane_shift]
            for i in range(min(len(beats[3].block), POST_HASH_BITS - g.lane_shift))
        ]
        mixed = self.random
        for term in terms:
            mixed = mixed ^ term
        random4, random5 = Signal(bits), Signal(bits)
        m.d.sync += [block_hash.eq(mixed), random5.eq(random4)]
        m.d.comb += random4.eq(block_hash[32 - bits :])

        # -- posts of a ragged last block ----------------------------------------------------------------------------
        writes_host = control4.write_weight | control4.write_trace
        ragged = by_index(m, beats[6].layer, g.ragged, "ragged")

        gain_block, gain_lane = Signal(g.block_address_bits), Signal(g.lane_bits)
        gain_write, gain = Signal(), Signal(shape_of(f.gain))
        error_block, error_lane = Signal(g.block_address_bits), Signal(g.lane_bits)
        error_write, delta, rate_step = Signal(), Signal(shape_of(f.delta)), Signal(shape_of(f.rate_step))
        m.d.sync += [
            gain_write.eq(self.gain_valid),
            gain_block.eq(by_index(m, self.gain_layer, block_base, "gain_base") + (self.gain_post >> g.lane_shift)),
            gain_lane.eq(self.gain_post[: g.lane_shift]),
            gain.eq(self.gain),
            error_write.eq(self.error_valid),
            error_block.eq(by_index(m, self.error_layer, block_base, "error_base") + (self.error_post >> g.lane_shift)),
            error_lane.eq(self.error_post[: g.lane_shift]),
            delta.eq(self.delta),
            rate_step.eq(self.rate_step),
        ]

        lanes = []
        load, load_word = Signal(), Signal()
        m.d.comb += [
            load.eq(beats[6].valid & beats[6].last & sums_currents(beats[6].mode)),
            load_word.eq(beats[6].valid & control4.read),
        ]
        for p in range(config.lanes):
            lane = Lane(config, p, self.data_bits)
            m.submodules[f"lane{p}"] = lane
            lanes.append(lane)
            owned = Signal(name=f"owned{p}")
            with m.If(writes_host):
                m.d.comb += owned.eq((self.host_lane == p) & ~self.host_padding[p])
            with m.Else():
                m.d.comb += owned.eq(~beats[6].last_block | (p < ragged))
            m.d.comb += [
                lane.read_address.eq(beats[2].address),
                lane.block_address.eq(block_address),
                lane.control1.eq(control1),
                lane.x.eq(self.x),
                lane.control3.eq(control3),
                lane.filter.eq(self.filter[p % g.layout.filter_banks]),
                lane.random.eq(random5),
                lane.control4.eq(control4),
                lane.owned.eq(owned),
                lane.write_address.eq(beats[7].address),
                self.words[p].eq(lane.word),
                lane.load.eq(load),
                lane.load_word.eq(load_word),
                lane.load_trace.eq(self.host_trace),
                lane.gain_write.eq(gain_write & (gain_lane == p)),
                lane.error_write.eq(error_write & (error_lane == p)),
                lane.neuron_block.eq(gain_block),
                lane.error_block.eq(error_block),
                lane.gain.eq(gain),
                lane.delta.eq(delta),
                lane.rate_step.eq(rate_step),
            ]
        for lower, upper in zip(lanes, lanes[1:], strict=False):
            m.d.comb += lower.chain_in.eq(upper.chain)
        m.d.comb += [
            self.chain.eq(lanes[0].chain),
            self.block_valid.eq(load),
            self.block_beat.eq(beats[6]),
            self.retired.eq(beats[7]),
            self.pending.eq(Cat(b.valid for b in beats).any()),
        ]

        # -- backward pass: registered adder tree --------------------------------------------------------------------
        level: list[Value] = [lane.product for lane in lanes]
        for depth in range(self.tree_levels):
            sums = []
            for i in range(0, len(level), 2):
                total = Signal(signed(len(level[i]) + 1), name=f"tree{depth}_{i}")
                m.d.sync += total.eq(level[i] + level[i + 1])
                sums.append(total)
            level = sums
        m.d.comb += [
            self.error_sum.eq(level[0]),
            self.error_beat.eq(delayed(m, beats[4], self.tree_levels, "error_beat")[-1]),
        ]
        return m
