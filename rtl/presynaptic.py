"""Pre-synaptic unit: inputs x, list of active inputs, and the filter traces F (stages c0 to R5).

One F word per pre and filter group. With at least as many lanes as groups, all groups of a pre are read per clock, one
bank each. With fewer lanes a block holds posts of few groups only; the bank then holds several words per pre and the
block selects one. F advances when the first block of its group visits it and is read unchanged by the later blocks.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from solsa.contract import NetworkConfig
from solsa.contract.formats import DECAY_FRAC, Rounding

from .arith import by_index, delayed, drop_and_add, low_bits, saturate, shape_of
from .beat import Geometry, Mode
from .halves import Halves


class Presynaptic(wiring.Component):
    """Memories of x and F; turns slots into beats with x and F beside them.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        f = config.formats
        self.data_bits = max(f.trace.width, f.weight.width)
        banks = g.layout.filter_banks
        own = {
            #: option recurrent: a sweep of a layer starts; its spikes of the step before; those start from none
            "sweep": In(1),
            "sweep_layer": In(g.layer_bits),
            "own_events": Out(g.pre_bits),
            "fresh_neurons": In(1),
        }
        super().__init__(
            {
                "slot": In(g.slot_layout()),
                #: R0
                "beat": Out(g.beat_layout()),
                #: R2
                "x": Out(shape_of(f.input)),
                #: R4: F of every bank; the host's word in a host access
                "filter": Out(data.ArrayLayout(signed(self.data_bits), banks)),
                #: a of every layer and group, u0.16
                "a": In(data.ArrayLayout(shape_of(f.decay), config.depth * config.groups)),
                "fresh": In(1),
                #: inputs of layer 0, in order
                "write": In(1),
                "write_value": In(shape_of(f.input)),
                #: one clock: forget which inputs are active, the next input is input 0
                "restart": In(1),
                "input_events": Out(g.pre_bits),
                #: spikes of layer `spike_layer`, in order, into the inputs of the layer above
                "spike_valid": In(1),
                "spike": In(1),
                "spike_layer": In(g.layer_bits),
                "spike_post": In(g.post_bits),
                "spike_event": In(g.post_bits),
                #: host access: a single beat at stage c2, and the word that it writes
                "host_valid": In(1),
                "host_mode": In(Mode),
                "host_address": In(g.address_bits),
                "host_data": In(signed(self.data_bits)),
                #: host access to F while idle: bank, address, answer one clock later
                "filter_address": In(range(max(2, g.layout.filter_depth))),
                "filter_words": Out(data.ArrayLayout(shape_of(f.trace), banks)),
                "idle": In(1),
                #: a slot at stage c1 or c2
                "pending": Out(1),
                #: observation (R4): F written
                "filter_retired": Out(1),
                "filter_beat": Out(g.beat_layout()),
                "filter_advanced": Out(data.ArrayLayout(shape_of(f.trace), banks)),
                **(own if config.recurrent else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, config, f = self.geometry, self.config, self.config.formats

        # -- x and the active list, written in order -----------------------------------------------------------------
        x_write, list_write, x_read, list_read = (self._halves if config.recurrent else self._memories)(m)
        inputs = Signal(g.pre_bits)
        above = by_index(m, self.spike_layer, [*g.layout.pre_base[1:], 0], "pre_base_above")
        list_above, input_event = above, self.input_events
        if config.recurrent:  # own spikes of the step before lie below
            list_above = by_index(m, self.spike_layer, [*self._list_base[1:], 0], "list_base_above")
            input_event = self._list_base[0] + self.input_events
        has_above = Signal()
        m.d.comb += has_above.eq(self.spike_layer != config.depth - 1)
        with m.If(self.spike_valid):
            m.d.comb += [
                x_write.en.eq(has_above),
                x_write.addr.eq(above + self.spike_post),
                x_write.data.eq(Mux(self.spike, f.spike, 0)),
                list_write.en.eq(has_above & self.spike),
                list_write.addr.eq(list_above + self.spike_event),
                list_write.data.eq(self.spike_post),
            ]
        with m.Else():
            m.d.comb += [
                x_write.en.eq(self.write),
                x_write.addr.eq(inputs),
                x_write.data.eq(self.write_value),
                list_write.en.eq(self.write & (self.write_value != 0)),
                list_write.addr.eq(input_event),
                list_write.data.eq(inputs),
            ]
            with m.If(self.write):
                m.d.sync += inputs.eq(inputs + 1)
                with m.If(self.write_value != 0):
                    m.d.sync += self.input_events.eq(self.input_events + 1)
        with m.If(self.restart):
            m.d.sync += [inputs.eq(0), self.input_events.eq(0)]

        # -- c0, c1: which pre; c2: which addresses ------------------------------------------------------------------
        pre_base0 = by_index(m, self.slot.layer, list(g.layout.pre_base), "pre_base0")
        m.d.comb += list_read.addr.eq((self._list_start(m) if config.recurrent else pre_base0) + self.slot.index)
        slot1, slot = Signal(g.slot_layout()), Signal(g.slot_layout())
        pre_base = delayed(m, pre_base0, 2, "pre_base")[2]
        pre, beat = Signal(g.pre_bits), Signal(g.beat_layout())
        m.d.sync += [
            slot1.eq(self.slot),
            slot.eq(slot1),
            pre.eq(Mux(slot1.mode == Mode.FORWARD, list_read.data, slot1.index)),
        ]
        m.d.sync += [
            beat.valid.eq(slot.valid | self.host_valid),
            beat.compute.eq(slot.compute & slot.valid),
            beat.first.eq(slot.first),
            beat.last.eq(slot.last),
            beat.mode.eq(Mux(self.host_valid, self.host_mode, slot.mode)),
            beat.layer.eq(slot.layer),
            beat.block.eq(slot.block),
            beat.last_block.eq(slot.last_block),
            beat.pre.eq(pre),
            beat.address.eq(Mux(self.host_valid, self.host_address, slot.base + pre)),
            beat.pre_address.eq(pre_base + pre),
        ]
        m.d.comb += [self.beat.eq(beat), self.pending.eq(slot1.valid | slot.valid)]
        beats = delayed(m, beat, 5, "beat")

        # -- x: R0 addressed, R1 out, R2 register, R3 at the lanes ---------------------------------------------------
        m.d.comb += x_read.addr.eq(beat.pre_address)
        x = delayed(m, self._started(m, beat, x_read.data) if config.recurrent else x_read.data, 2, "x")
        m.d.comb += self.x.eq(x[1])

        # -- F: R0 addressed, R1 out, R2 operands, R3 product, R4 written, R5 at the lanes ---------------------------
        banks, slots = g.layout.filter_banks, g.layout.filter_slots
        slot_bits = bits_for(slots - 1) if slots > 1 else 0
        filter_address = Signal(range(max(2, g.layout.filter_depth)))
        m.d.comb += filter_address.eq(Cat(low_bits(beat.block, slot_bits), beat.pre_address))
        write_address = delayed(m, filter_address, 4, "filter_address")[4]
        first_visit = delayed(m, beat.block < slots, 3, "first_visit")
        host_r4 = Signal()
        m.d.comb += host_r4.eq((beats[4].mode == Mode.WRITE_WEIGHT) | (beats[4].mode == Mode.WRITE_TRACE))
        m.d.comb += [
            self.filter_retired.eq(
                beats[4].valid & (beats[4].mode == Mode.TRACE) & (delayed(m, first_visit[3], 1, "visit")[1])
            ),
            self.filter_beat.eq(beats[4]),
        ]
        for bank in range(banks):
            memory = Memory(shape=shape_of(f.trace), depth=max(2, g.layout.filter_depth), init=[])
            m.submodules[f"filter{bank}"] = memory
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += read.addr.eq(Mux(self.idle, self.filter_address, filter_address))
            m.d.comb += self.filter_words[bank].eq(read.data)

            # Group of this bank in the beat's block, and whether the layer has a post in it.
            entries, used = [], []
            for layer in range(config.depth):
                for s in range(slots):
                    group = s * banks + bank
                    entries.append(self.a[layer * config.groups + group])
                    used.append(int(group < config.used_groups(layer)))
            which = Cat(low_bits(beats[1].block, slot_bits), beats[1].layer)
            a_selected = by_index(m, which, entries, f"a_bank{bank}")
            used_r4 = by_index(m, Cat(low_bits(beats[4].block, slot_bits), beats[4].layer), used, f"used{bank}")

            old = Signal(shape_of(f.trace), name=f"old{bank}")
            a = Signal(shape_of(f.decay), name=f"a{bank}")
            kept = Signal(shape_of(f.trace), name=f"kept{bank}")
            product = Signal(signed(f.trace.width + DECAY_FRAC), name=f"product{bank}")
            advanced = Signal(shape_of(f.trace), name=f"advanced{bank}")
            x_aligned = (x[2] << (f.trace.frac - f.input.frac)).as_signed()
            op = f.operations()["filter_decay"]
            assert op.rounding is Rounding.TOWARD_ZERO
            m.d.sync += [
                old.eq(Mux(self.fresh & first_visit[1], 0, read.data)),
                a.eq(a_selected),
                product.eq(old * a),
                kept.eq(old),
            ]
            with m.If(first_visit[3]):
                m.d.sync += advanced.eq(saturate(drop_and_add(product, op.shift, x_aligned), f.trace))
            with m.Else():
                m.d.sync += advanced.eq(kept)
            m.d.comb += [
                self.filter[bank].eq(Mux(host_r4, self.host_data, advanced)),
                self.filter_advanced[bank].eq(advanced),
                write.addr.eq(write_address),
                write.data.eq(advanced),
                write.en.eq(self.filter_retired & used_r4),
            ]
        return m

    def _memories(self, m: Module) -> tuple[Any, ...]:
        """Memories of x and of the active list: what is written next, and a read port of each."""
        g, input_format = self.geometry, self.config.formats.input
        depth = max(2, g.layout.pre_depth)
        m.submodules.x_memory = x_memory = Memory(shape=shape_of(input_format), depth=depth, init=[])
        m.submodules.active = active = Memory(shape=g.pre_bits, depth=depth, init=[])
        x_port, x_read = x_memory.write_port(), x_memory.read_port()
        list_port, list_read = active.write_port(), active.read_port()
        # A register in front of each write port: the earliest reader comes two clocks after the spike.
        x_write, list_write = Signal(_write(x_port)), Signal(_write(list_port))
        for port, ahead in ((x_port, x_write), (list_port, list_write)):
            m.d.sync += [port.en.eq(ahead.en), port.addr.eq(ahead.addr), port.data.eq(ahead.data)]
        return x_write, list_write, x_read, list_read

    # -- option recurrent --------------------------------------------------------------------------------------------
    @property
    def _list_base(self) -> list[int]:
        """Where the active signals from below begin in each layer's list; those of its own end before."""
        g = self.geometry
        return [base + own for base, own in zip(g.layout.pre_base, g.own, strict=True)]

    def _halves(self, m: Module) -> tuple[Any, ...]:
        """The same as :meth:`_memories`, twice; a spike also goes to its own layer, in the half of the next step."""
        g = self.geometry
        m.submodules.halves = halves = Halves(self.config)
        own = self.spike_valid & (self.spike_layer != self.config.depth - 1)
        own_base = [base + below for base, below in zip(g.layout.pre_base, g.below, strict=True)]
        last = [base - 1 for base in self._list_base[:-1]] + [0]
        m.d.comb += [
            halves.swap.eq(self.restart),
            halves.x_next.en.eq(own),
            halves.x_next.addr.eq(by_index(m, self.spike_layer, own_base, "own_base") + self.spike_post),
            halves.x_next.data.eq(Mux(self.spike, self.config.formats.spike, 0)),
            halves.list_next.en.eq(own & self.spike),
            halves.list_next.addr.eq(by_index(m, self.spike_layer, last, "last_own_event") - self.spike_event),
            halves.list_next.data.eq(by_index(m, self.spike_layer, g.below, "own_pre") + self.spike_post),
        ]
        return halves.x_now, halves.list_now, halves.x_read, halves.list_read

    def _list_start(self, m: Module) -> Signal:
        """Where the sweep's list of active signals begins: with the layer's spikes of the step before."""
        g = self.geometry
        events = [Signal(g.post_bits, name=f"own_events{i}") for i in range(self.config.depth - 1)]
        for i, count in enumerate(events):
            with m.If(self.spike_valid & (self.spike_layer == i)):
                m.d.sync += count.eq(self.spike_event + self.spike)
        before = by_index(m, self.sweep_layer, [*events, C(0)], "events_before")
        start = Signal(g.pre_address_bits)
        m.d.comb += self.own_events.eq(Mux(self.fresh_neurons, 0, before))
        with m.If(self.sweep):
            m.d.sync += start.eq(by_index(m, self.sweep_layer, self._list_base, "list_base") - self.own_events)
        return start

    def _started(self, m: Module, beat: data.View, x: Value) -> Value:
        """X at R1, zero for the own spikes of a step before the sample's first."""
        before = Signal()
        m.d.sync += before.eq(
            self.fresh_neurons & (beat.pre >= by_index(m, beat.layer, self.geometry.below, "own_from"))
        )
        return Mux(before, 0, x)


def _write(port: wiring.PureInterface) -> data.StructLayout:
    """Fields of a memory's write port."""
    return data.StructLayout({"en": port.en.shape(), "addr": port.addr.shape(), "data": port.data.shape()})
