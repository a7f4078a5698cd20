"""All lanes, the control that they share, the unload chain and the sum of products of the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from amaranth.hdl import C, Cat, Module, Signal, Value, ValueLike, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.config import ROW
from solsa.contract.random import POST_HASH, POST_HASH_BITS

from .arith import by_index, delayed, shape_of
from .beat import Geometry, Mode, sums_currents
from .lane import Lane, LaneControl

#: Lanes that share the registers of what all lanes are sent: with one register for all, 64 lanes wait for the wire.
#: Yosys merges equal registers unless told otherwise, see boards/memories.py.
CLUSTER = 8


@dataclass(frozen=True)
class Ahead:
    """What goes to the lanes, one clock ahead of them; with several rows, two."""

    beat: Any
    fresh: Value
    x: Value
    filters: list[Value]
    random: Value
    host_lane: Value
    host_padding: Value
    host_trace: Value
    gain_to: Any
    error_to: Any
    gain: Value
    delta: Value
    rate_step: Value

    def map(self, change: Callable[[Any, str], Any], prefix: str) -> Ahead:
        """All of it, changed one by one."""
        rest = {
            k.name: change(getattr(self, k.name), f"{prefix}_{k.name}") for k in fields(self) if k.name != "filters"
        }
        return Ahead(**rest, filters=[change(word, f"{prefix}_filter{i}_") for i, word in enumerate(self.filters)])


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
                #: R2 and R4: one clock before the lanes need them
                "x_early": In(shape_of(f.input)),
                "filter_early": In(data.ArrayLayout(signed(data_bits), g.layout.filter_banks)),
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
                #: the chain moves on
                "shift": In(1),
                #: R7 and later, lane 0 first
                "chain": Out(signed(g.chain_bits)),
                #: sum over lanes of w*delta (R5 + log2 P) and its beat one clock ahead
                "error_beat": Out(g.beat_layout()),
                "error_sum": Out(signed(Lane.product_bits(config) + self.tree_levels)),
                #: the sum is that of |g*eps| (a probe's sweep, R6 + log2 P)
                "change_valid": Out(1),
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

        gain_tag = data.StructLayout({"write": 1, "lane": g.lane_bits, "block": g.block_address_bits})
        gain_to, error_to = Signal(gain_tag), Signal(gain_tag)
        gain, delta, rate_step = (Signal(shape_of(fmt), reset_less=True) for fmt in (f.gain, f.delta, f.rate_step))
        m.d.sync += [
            gain_to.write.eq(self.gain_valid),
            gain_to.block.eq(by_index(m, self.gain_layer, block_base, "gain_base") + (self.gain_post >> g.lane_shift)),
            gain_to.lane.eq(self.gain_post[: g.lane_shift]),
            gain.eq(self.gain),
            error_to.write.eq(self.error_valid),
            error_to.block.eq(
                by_index(m, self.error_layer, block_base, "error_base") + (self.error_post >> g.lane_shift)
            ),
            error_to.lane.eq(self.error_post[: g.lane_shift]),
            delta.eq(self.delta),
            rate_step.eq(self.rate_step),
        ]
        ahead = Ahead(
            self.beat, self.fresh, self.x_early, list(self.filter_early), self.random, self.host_lane,
            self.host_padding, self.host_trace, gain_to, error_to, gain, delta, rate_step,
        )  # fmt: skip

        # -- rows of lanes, with registers of their own if there are several -----------------------------------------
        beats, lanes = delayed(m, _relayed(m, self.beat, "relay_beat", relay=config.relay), 7, "beat"), []
        for start in range(0, config.lanes, ROW):
            row = f"row{start // ROW}"
            entering = ahead.map(partial(_relayed, m, relay=config.relay), f"copy_{row}")
            line = delayed(m, entering.beat, 6, f"{row}_beat") if config.relay else beats
            lanes += self._row(m, entering, line, range(start, min(start + ROW, config.lanes)))
        for lower, upper in zip(lanes, lanes[1:], strict=False):
            m.d.comb += lower.chain_in.eq(upper.chain)

        pending1 = Signal()  # in R1 to R7
        m.d.sync += pending1.eq(Cat(self.beat.valid, *(b.valid for b in beats[:-1])).any())
        changing: Value = C(0, 1)  # sums of a probe are in the adder tree
        if config.probe:
            changes = delayed(m, beats[6].valid & (beats[6].mode == Mode.PROBE), self.tree_levels, "change")
            m.d.comb += self.change_valid.eq(changes[-1])
            changing = Cat(changes).any()
        m.d.comb += [
            self.chain.eq(lanes[0].chain),
            self.block_valid.eq(beats[6].valid & beats[6].last & sums_currents(beats[6].mode)),
            self.block_beat.eq(beats[6]),
            self.retired.eq(beats[7]),
            self.pending.eq(self.beat.valid | pending1 | changing),
        ]

        # -- backward pass: registered adder tree --------------------------------------------------------------------
        level: list[Value] = [lane.product for lane in lanes]
        for depth in range(self.tree_levels):
            sums = []
            for i in range(0, len(level), 2):
                total = Signal(signed(len(level[i]) + 1), name=f"tree{depth}_{i}", reset_less=True)
                m.d.sync += total.eq(level[i] + level[i + 1])
                sums.append(total)
            level = sums
        m.d.comb += [
            self.error_sum.eq(level[0]),
            self.error_beat.eq(delayed(m, beats[4], self.tree_levels, "error_beat")[-1]),
        ]
        return m

    def _row(self, m: Module, ahead: Ahead, beats: list[Signal], indices: range) -> list[Lane]:
        """Lanes of one row behind what arrives ahead of them; ``beats`` are R0 to R6 of this row."""
        g, config, f = self.geometry, self.config, self.config.formats
        start = indices[0]

        # -- one clock ahead of the lanes: what every cluster takes into registers of its own ------------------------
        control2, control4, control5 = (
            self._control(m, beats[stage], ahead.fresh, f"control{stage}_{start}") for stage in (2, 4, 5)
        )
        block_address = Signal(g.block_address_bits, name=f"block_address{start}")
        base = by_index(m, beats[0].layer, list(g.layout.block_base), f"block_base{start}")
        m.d.sync += block_address.eq(base + beats[0].block)

        # random bits: R3 word, R4 with the block's constant, R5 at the lanes
        bits = f.operations()["weight_step"].shift
        block_hash = Signal(32, name=f"block_hash{start}", reset_less=True)
        terms = [
            beats[3].block[i].replicate(32) & POST_HASH[i + g.lane_shift]
            for i in range(min(len(beats[3].block), POST_HASH_BITS - g.lane_shift))
        ]
        mixed = ahead.random
        for term in terms:
            mixed = mixed ^ term
        m.d.sync += block_hash.eq(mixed)

        # R6: whether the lane has a post in a ragged last block; in a host write, whether it is the lane meant
        host5 = control5.write_weight | control5.write_trace
        load5 = control5.valid & control5.last & sums_currents(beats[5].mode)

        lanes = []
        for p in indices:
            if p % CLUSTER == 0:
                cluster = p // CLUSTER

                def copy(value: ValueLike, name: str, cluster: int = cluster) -> Signal:
                    """Register of this cluster."""
                    return _relayed(m, value, f"copy_{name}{cluster}", relay=1)

                read_address = copy(beats[1].address, "read_address")
                block = copy(block_address, "block_address")
                control1 = data.View(LaneControl, copy(control2, "control1"))
                x = copy(ahead.x, "x")
                control3 = data.View(LaneControl, copy(control4, "control3"))
                filters = [copy(word, f"filter_{k}_") for k, word in enumerate(ahead.filters)]
                random = copy(block_hash[32 - bits :], "random")
                control4_ = data.View(LaneControl, copy(control5, "control4"))
                write_address = copy(beats[6].address, "write_address")
                load, load_word = copy(load5, "load"), copy(control5.valid & control5.read, "load_word")
                gain_block, error_block = (
                    copy(ahead.gain_to.block, "gain_block"),
                    copy(ahead.error_to.block, "error_block"),
                )
                gain_, delta_ = copy(ahead.gain, "gain"), copy(ahead.delta, "delta")
                rate_step_ = copy(ahead.rate_step, "rate_step")
                host_trace = copy(ahead.host_trace, "host_trace")
            lane = Lane(config, p, self.data_bits)
            m.submodules[f"lane{p}"] = lane
            lanes.append(lane)
            owned, gain_write, error_write = (
                Signal(name=f"{name}{p}", reset_less=True) for name in ("owned", "gain_write", "error_write")
            )
            has_post = by_index(m, beats[5].layer, [int(p < ragged) for ragged in g.ragged], f"has_post{p}")
            with m.If(host5):
                m.d.sync += owned.eq((ahead.host_lane == p) & ~ahead.host_padding[p])
            with m.Else():
                m.d.sync += owned.eq(~beats[5].last_block | has_post)
            m.d.sync += [
                gain_write.eq(ahead.gain_to.write & (ahead.gain_to.lane == p)),
                error_write.eq(ahead.error_to.write & (ahead.error_to.lane == p)),
            ]
            m.d.comb += [
                lane.read_address.eq(read_address),
                lane.block_address.eq(block),
                lane.control1.eq(control1),
                lane.x.eq(x),
                lane.control3.eq(control3),
                lane.filter.eq(filters[p % g.layout.filter_banks]),
                lane.random.eq(random),
                lane.control4.eq(control4_),
                lane.owned.eq(owned),
                lane.write_address.eq(write_address),
                self.words[p].eq(lane.word),
                lane.load.eq(load),
                lane.load_word.eq(load_word),
                lane.load_trace.eq(host_trace),
                lane.shift.eq(self.shift),
                lane.gain_write.eq(gain_write),
                lane.error_write.eq(error_write),
                lane.neuron_block.eq(gain_block),
                lane.error_block.eq(error_block),
                lane.gain.eq(gain_),
                lane.delta.eq(delta_),
                lane.rate_step.eq(rate_step_),
            ]
        return lanes

    def _control(self, m: Module, beat: Signal, fresh: Value, name: str) -> Signal:
        """Decoded mode of a beat."""
        mode = beat.mode
        decoded = Signal(LaneControl, name=name)
        probe = (mode == Mode.PROBE) if self.config.probe else C(0, 1)
        writes = (mode == Mode.WRITE_TRACE) | (mode == Mode.WRITE_WEIGHT)
        m.d.comb += [
            decoded.valid.eq(beat.valid),
            decoded.compute.eq(beat.compute),
            decoded.first.eq(beat.first),
            decoded.last.eq(beat.last),
            decoded.trace.eq(mode == Mode.TRACE),
            decoded.update.eq((mode == Mode.UPDATE) | probe),
            decoded.probe.eq(probe),
            decoded.backward.eq(mode == Mode.BACKWARD),
            decoded.fresh.eq(((mode == Mode.TRACE) & fresh) | writes),
            decoded.write_weight.eq(mode == Mode.WRITE_WEIGHT),
            decoded.write_trace.eq(mode == Mode.WRITE_TRACE),
            decoded.read.eq(mode == Mode.READ),
        ]
        return decoded


def _relayed(m: Module, value: ValueLike, name: str, *, relay: int) -> Any:
    """A register, or the value itself. Those whose names begin with copy_ are not merged (boards/memories.py)."""
    if not relay:
        return value
    shape = value.shape() if isinstance(value, data.View) else Value.cast(value).shape()
    register = Signal(shape, name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register
