"""Lemmas of `order`: what Control, Sequencer and the stand-ins around them hold in every state.

Each is proved with the claims. Without them the induction would begin in states that never come.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from amaranth.hdl import Cat, Mux, Signal, Value

from solsa.contract import NetworkConfig

from .harness import Harness
from .slots import Slots


class Lemmas:
    """Lemmas of a harness with a Control and a Sequencer.

    Parameters
    ----------
    h : Harness
        Where both are placed.
    c : NetworkConfig
        Geometry.
    control : Control
        The placed unit.
    slots : Slots
        Views of the sequencer's slots.
    ended : tuple of Signal
        What ``Slots.come_in_order`` returned.
    """

    def __init__(
        self, h: Harness, c: NetworkConfig, control: Any, slots: Slots, ended: tuple[Signal, Signal, Signal]
    ) -> None:
        self.h, self.c, self.control, self.slots = h, c, control, slots
        self.state, self.inner = partial(h.in_state, unit="control"), partial(h.inner, "sequencer")
        self.ended_layer, self.ended_posts, self.any_ended = ended
        self.running = self.inner("running")
        self.mode = {
            n: self.inner("mode") == h.unit("beat").Mode[n] for n in ("FORWARD", "TRACE", "BACKWARD", "UPDATE")
        }

    def registers(self) -> None:
        """The sequencer's registers belong together, and to Control's state."""
        h, c, slots, state = self.h, self.c, self.slots, self.state
        running, layer, block, base, pres, last_block, index, limit, closed = (
            self.inner(name)
            for name in ("running", "layer", "block", "base", "pres", "last_block", "index", "limit", "closed")
        )
        forward, trace, backward, update = self.mode.values()
        blocks, all_pres = slots.blocks(layer), slots.pres(layer)

        def sweeping(holds: Value) -> None:
            h.lemma(~running | holds)

        sweeping(layer < c.depth)
        sweeping(block < blocks)
        sweeping(base == slots.start(layer, block))
        sweeping(pres == all_pres)
        sweeping(last_block == (block + 1 == blocks))
        sweeping(self.inner("last_block_index") + 1 == blocks)
        sweeping(forward | trace | backward | update)
        sweeping(self.inner("sums") == (forward | trace))
        sweeping((self.inner("index_1") == index + 1) & (self.inner("first") == (index == 0)))
        sweeping((index <= limit) & (limit <= all_pres))
        sweeping(closed | forward | trace)
        sweeping(~closed | forward | (limit == all_pres))
        # Control is where the sweep is.
        at, last = self.control.layer, c.depth - 1
        h.lemma(at < c.depth)
        h.lemma(~state("IDLE", "BEGIN", "BACKWARD", "END") | ~running)
        sweeping(state("FORWARD", "NEURONS") == (forward | trace))
        sweeping(~(forward | trace) | (trace == self.control.learn))
        sweeping(state("ERROR") == backward)
        sweeping(state("UPDATE", "DRAIN") == update)
        sweeping(~state("FORWARD", "UPDATE") | (layer + 1 == at))
        sweeping(~state("NEURONS", "DRAIN") | (layer == last))
        sweeping(~state("ERROR") | (layer == at + 1))
        h.lemma(~state("BEGIN") | (at == 0))
        h.lemma(~state("NEURONS", "DRAIN") | (at == last))
        h.lemma(~state("BACKWARD") | (at != 0))

    def emission(self, e: Emission) -> Signal:
        """What has ended has been emitted or is owed; returns how many posts are owed."""
        h, m, c, slots = self.h, self.h.m, self.c, self.slots
        begun, owing = Signal(), Signal(range(2 * c.lanes + max(c.layers) + 1))
        begins = slots.ends_block & (slots.slot.block == 0)
        m.d.sync += owing.eq(owing + Mux(slots.ends_block, slots.posts, 0) - e.emits)
        with m.If(e.emits):
            m.d.sync += begun.eq(1)
        with m.If(begins):
            m.d.sync += begun.eq(0)
        ages = range(1, e.known_after + 1)
        ended = [Mux(h.past(slots.ends_block, i), h.past(slots.posts, i), 0) for i in ages]
        coming = [h.past(begins, i) for i in ages]
        h.lemma(owing == sum(ended, e.waiting))
        its_layer = (e.layer == self.ended_layer) & (e.count + owing == self.ended_posts)
        h.lemma(~begun | (self.any_ended & ~e.first & its_layer & ~Cat(coming).any()))
        h.lemma(begun | ~self.any_ended | ((owing == self.ended_posts) & (e.first | Cat(coming).any())))
        h.lemma(self.any_ended | ((owing == 0) & ~begun & ~e.known & ~e.first))
        h.lemma(~e.first | (~begun & (e.coming == self.ended_layer) & ~Cat(coming).any()))
        for i in ages:
            h.lemma(~coming[i - 1] | (h.past(slots.slot.layer, i) == self.ended_layer))
        h.lemma(~e.known | begun | (e.layer + 1 == self.ended_layer))
        h.lemma(e.events <= e.count)
        return owing

    def progress(self, e: Emission, owing: Signal) -> None:
        """Which block has ended when a sweep of the layers is where it is, and what it knows of its inputs."""
        h, c, state, at = self.h, self.c, self.state, self.control.layer
        layer, block, closed = self.inner("layer"), self.inner("block"), self.inner("closed")
        sums = self.running & self.inner("sums")
        whole = self.any_ended & (
            self.ended_posts == self.slots.table(self.ended_layer, [c.post(i) for i in range(c.depth)])
        )
        so_far = (self.ended_layer == layer) & (self.ended_posts == block << (c.lanes.bit_length() - 1))
        below = (layer == 0) | (whole & (self.ended_layer + 1 == layer))
        h.lemma(~sums | Mux(block == 0, below, self.any_ended & so_far))
        between = state("FORWARD") & ~self.running & (at != 0)
        h.lemma(~between | (whole & (self.ended_layer + 1 == at)))
        h.lemma(~(sums & (block == 0) & closed) | (owing == 0))
        h.lemma(~sums | closed | ((block == 0) & (layer != 0)))
        h.lemma(state("FORWARD", "NEURONS") | (owing == 0))
        h.lemma(~(state("FORWARD") & (at == 0)) | (owing == 0))
        told = Mux(e.known & (e.layer + 1 == layer), Mux(self.mode["FORWARD"], e.events, e.count), 0)
        h.lemma(~sums | closed | (self.inner("limit") <= told))

    def dues(
        self, e: Emission, owing: Signal, neurons: tuple[Signal, Signal], errors: tuple[Signal, Signal], after: int
    ) -> None:
        """What Control waits for is due; of either kind: due by the rule, owed by the stand-in."""
        h, c, state = self.h, self.c, self.state
        emitted_now = h.past(e.emits)
        all_ended = self.any_ended & (self.ended_layer == c.depth - 1) & (self.ended_posts == c.outputs)
        due, owed = neurons
        h.lemma(~due | (state("NEURONS") & ~self.running))
        h.lemma(~owed | (due & (owing == 0) & ~emitted_now))
        h.lemma(~(all_ended & ((owing != 0) | emitted_now)) | due)
        due, owed = errors
        h.lemma(Mux(state("ERROR"), due ^ self.running, ~due))
        on_their_way = Cat(h.past(self.slots.ends_backward, i) for i in range(1, after + 1)).any()
        h.lemma(~on_their_way | (due & ~owed))
        h.lemma(~owed | due)


class Emission:
    """Stand-in of the neuron unit: what has left the chain spikes, in order, at any time after.

    Parameters
    ----------
    h : Harness
        Where it stands.
    c : NetworkConfig
        Geometry.
    slots : Slots
        Slots that end blocks.
    begin : Signal
        A step begins.
    known_after : int
        Clocks from a block's last slot until its first spike is known, at the earliest.
    """

    def __init__(self, h: Harness, c: NetworkConfig, slots: Slots, begin: Signal, known_after: int) -> None:
        m, layer_shape, self.known_after = h.m, slots.slot.layer.shape(), known_after
        self.emits, spikes = h.free(1, "emits"), h.free(1, "spikes")
        ended, posts, layer, block = (
            h.past(value, known_after) for value in (slots.ends_block, slots.posts, slots.slot.layer, slots.slot.block)
        )
        #: posts that may be emitted; a layer's first post is among them, and which layer that is
        self.waiting, self.first = Signal(range(max(c.layers) + c.lanes + 1)), Signal()
        self.coming = Signal(layer_shape)
        m.d.sync += self.waiting.eq(self.waiting + Mux(ended, posts, 0) - self.emits)
        with m.If(ended & (block == 0)):
            m.d.sync += [self.first.eq(1), self.coming.eq(layer)]
        #: what has been emitted: layer, whether in this step, posts and spikes
        self.layer, self.known = Signal(layer_shape), Signal()
        self.count, self.events = Signal(range(max(c.layers) + 1)), Signal(range(max(c.layers) + 1))
        h.assume(~self.emits | (self.waiting != 0))
        with m.If(self.emits):
            m.d.sync += [self.known.eq(1), self.first.eq(0)]
            with m.If(self.first):
                m.d.sync += [self.layer.eq(self.coming), self.count.eq(1), self.events.eq(spikes)]
            with m.Else():
                m.d.sync += [self.count.eq(self.count + 1), self.events.eq(self.events + spikes)]
        with m.If(begin):
            m.d.sync += self.known.eq(0)
        #: all posts of the layer
        self.complete = self.count == slots.table(self.layer, [c.post(i) for i in range(c.depth)])
