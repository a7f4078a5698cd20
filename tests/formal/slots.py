"""What the sequencer promises and the pipeline relies on: stated of the one, assumed by the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from solsa.contract import Layout, NetworkConfig
from solsa.contract.cycles import MIN_PERIOD

from .harness import Harness

#: Clocks after its issue in which a slot is in the pipeline: c1, c2, R0 to R7 (rtl/beat.py).
IN_FLIGHT = 10
#: At least as many clocks lie between two reads of a synapse word of which the first writes it back.
SYNAPSE_DISTANCE = 6
#: Between two feeds of a neuron: its word is read and, at the end of the neuron unit, written.
NEURON_DISTANCE = 16
#: At most as many clocks after the last slot of a block its last spike is emitted.
SPIKES_OUT = 20

Say = Callable[[Any], None]


class Slots:
    """Views of a stream of slots.

    Parameters
    ----------
    h : Harness
        Where they are used.
    c : NetworkConfig
        Geometry.
    slot : View
        ``Sequencer.slot``.
    """

    def __init__(self, h: Harness, c: NetworkConfig, slot: Any) -> None:
        self.h, self.c, self.slot, self.layout = h, c, slot, Layout(c)
        #: a slot that ends a block whose currents are summed; one that ends a backward sweep
        self.sums = self.is_mode("FORWARD", "TRACE")
        self.ends_block = slot.valid & slot.last & self.sums
        self.ends_backward = slot.valid & slot.last & slot.last_block & self.is_mode("BACKWARD")
        #: posts of the block
        posts = [c.post(i) - (self.layout.blocks(i) - 1) * c.lanes for i in range(c.depth)]
        self.posts = Mux(slot.last_block, self.table(slot.layer, posts), c.lanes)

    def is_mode(self, *names: str) -> Value:
        """Whether the slot's mode is one of these."""
        found: Value = Const(0)
        for name in names:
            found = found | (self.slot.mode == self.h.unit("beat").Mode[name])
        return found

    def table(self, index: Value, values: list[int]) -> Signal:
        """Constant of a layer, 0 behind the last."""
        out = Signal(range(max(values) + 1))
        with self.h.m.Switch(index):
            for i, value in enumerate(values):
                with self.h.m.Case(i):
                    self.h.m.d.comb += out.eq(value)
        return out

    def start(self, layer: Value, block: Value) -> Signal:
        """Bank address of a block's first synapse (no product: those are cut)."""
        out = Signal(range(self.layout.synapse_depth + 1))
        with self.h.m.Switch(layer):
            for i, base in enumerate(self.layout.synapse_base):
                with self.h.m.Case(i):
                    for b in range(self.layout.blocks(i)):
                        with self.h.m.If(block == b):
                            self.h.m.d.comb += out.eq(base + b * self.c.pre(i))
        return out

    def pres(self, layer: Value) -> Signal:
        """Pre-synaptic signals of a layer."""
        return self.table(layer, [self.c.pre(i) for i in range(self.c.depth)])

    def blocks(self, layer: Value) -> Signal:
        """Blocks of a layer."""
        return self.table(layer, [self.layout.blocks(i) for i in range(self.c.depth)])

    # -- rules -------------------------------------------------------------------------------------------------------
    def are_legal(self, say: Say) -> None:
        """A slot names a block of a layer, and a synapse of it unless it is empty."""
        s = self.slot
        say(~s.valid | (s.layer < self.c.depth))
        say(~s.valid | (s.block < self.blocks(s.layer)))
        say(~s.valid | (s.base == self.start(s.layer, s.block)))
        say(~s.valid | (s.last_block == (s.block + 1 == self.blocks(s.layer))))
        say(~s.valid | (s.first == (s.index == 0)))
        say(~(s.valid & s.compute) | (s.index < self.pres(s.layer)))
        say(~s.valid | s.compute | self.is_mode("FORWARD"))
        say(~s.valid | self.is_mode("FORWARD") | (s.last == (s.index + 1 == self.pres(s.layer))))
        say(~s.valid | self.sums | self.is_mode("BACKWARD", "UPDATE"))
        say(~(s.valid & self.is_mode("BACKWARD")) | (s.layer != 0))

    def come_in_order(self, say: Say) -> tuple[Signal, Signal, Signal]:
        """Blocks end one after the other, and the unload chain has emptied.

        Returns layer of the last block that has ended, posts up to its end, and whether there was one.
        """
        m, s = self.h.m, self.slot
        layer, block, any_yet = Signal.like(s.layer), Signal.like(s.block), Signal()
        posts, known = Signal(range(self.c.lanes + 1)), Signal(range(max(self.c.layers) + 1))
        since = self.h.run_length(~self.ends_block, self.c.lanes)
        total, blocks = self.table(layer, [self.c.post(i) for i in range(self.c.depth)]), self.blocks(layer)
        m.d.comb += known.eq(Mux(block + 1 == blocks, total, (block + 1) << (self.c.lanes.bit_length() - 1)))
        with m.If(self.ends_block):
            m.d.sync += [layer.eq(s.layer), block.eq(s.block), any_yet.eq(1), posts.eq(self.posts)]
        follows = any_yet & (s.layer == layer) & (s.block == block + 1)
        say(~self.ends_block | (s.block == 0) | follows)
        say(~self.ends_block | ~any_yet | (since + 1 >= posts))
        self.h.lemma(~any_yet | ((layer < self.c.depth) & (block < blocks)))  # an induction may begin anywhere
        return layer, known, any_yet

    def keep_distance(self, say: Say, layer: Value, block: Value, index: Value) -> None:
        """The slots of any one synapse, and of the words that it shares, are far enough apart."""
        s, h = self.slot, self.h
        here = s.valid & s.compute & (s.layer == layer) & (s.index == index)
        synapse = here & (s.block == block)
        written = synapse & self.is_mode("TRACE", "UPDATE")
        say(~synapse | (h.run_length(~written, SYNAPSE_DISTANCE) + 1 >= SYNAPSE_DISTANCE) | ~self._seen(written))
        for mode in ("TRACE", "BACKWARD"):
            one = s.valid & s.compute & (s.index == index) & self.is_mode(mode)
            if mode == "TRACE":
                one = one & (s.layer == layer)
            say(~one | (h.run_length(~one, MIN_PERIOD) + 1 >= MIN_PERIOD) | ~self._seen(one))
        ends = self.ends_block & (s.layer == layer) & (s.block == block)
        say(~ends | (h.run_length(~ends, NEURON_DISTANCE) + 1 >= NEURON_DISTANCE) | ~self._seen(ends))

    def _seen(self, event: Value) -> Signal:
        """Whether it was before this clock."""
        seen = Signal()
        with self.h.m.If(event):
            self.h.m.d.sync += seen.eq(1)
        return seen

    def in_flight(self) -> Value:
        """Whether a slot of the last clocks is in the pipeline."""
        valid: Value = self.slot.valid
        stages = []
        for _ in range(IN_FLIGHT):
            valid = self.h.past(valid)
            stages.append(valid)
        return Cat(stages).any()

    def within_steps(self, say: Say, busy: Value, begin: Value) -> None:
        """Slots come and leave the pipeline while the core is busy; a step begins with an empty one."""
        flying = self.in_flight()
        say(~(self.slot.valid | flying) | busy)
        say((self.h.run_length(~self.ends_block, SPIKES_OUT) == SPIKES_OUT) | ~self._seen(self.ends_block) | busy)
        say(~begin | ~(self.slot.valid | flying))

    def keep_phase(self, say: Say, clock: Value) -> None:
        """With single-port banks, a sweep that writes reads even addresses in even clocks (rtl/bank.py)."""
        s = self.slot
        odd = s.base[0] ^ s.index[0]
        writes = s.valid & self.is_mode("TRACE", "UPDATE")
        say(~writes | (odd == clock))
        calm = self.h.run_length(~writes, SYNAPSE_DISTANCE) == SYNAPSE_DISTANCE
        say(~s.valid | self.is_mode("TRACE", "UPDATE") | calm | ~self._seen(writes))

    def one_by_one(self, say: Say, causes: tuple[Value, ...], effect: Value) -> Signal:
        """Between a cause of any kind and its effect there is no other cause; returns whether an effect is due."""
        due, cause = Signal(), Cat(causes).any()
        with self.h.m.If(effect):
            self.h.m.d.sync += due.eq(0)
        with self.h.m.If(cause):
            self.h.m.d.sync += due.eq(1)
        say(~cause | ~due)
        for i, one in enumerate(causes):
            for other in causes[:i]:
                say(~(one & other))
        return due

    def readout_alone(self, say: Say, start: Value, due: Value) -> Signal:
        """Errors of the readout start outside backward sweeps, and no such sweep goes on while a `done` is due.

        Returns whether a backward sweep has begun and not ended.
        """
        sweeping, slot = Signal(), self.slot.valid & self.is_mode("BACKWARD")
        with self.h.m.If(slot):
            self.h.m.d.sync += sweeping.eq(~self.ends_backward)
        say(~slot | ~(due | start))
        say(~start | ~sweeping)
        return sweeping
