"""Claims 3, 4 and 6, first half: Control and Sequencer issue slots as the pipeline needs them.

The neuron unit, the error unit and the host are replaced by anything that core_proofs.py proves them to be at most:
emission in order and not too early, one `done` for each sweep of the layers and each backward sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from amaranth.hdl import Cat, Mux, Signal, Value

from solsa.contract import BankKind, NetworkConfig
from solsa.sim.planted import Bug

from .configs import config
from .harness import Harness
from .proofs import Control, Proof
from .slots import Slots

#: Clocks from a block's last slot: a spike is known, the last neuron of a layer has been written, at the earliest.
SPIKE_KNOWN, NEURONS_DONE = 8, 22
#: Clocks from the last slot of a backward sweep until its last error is there, at the earliest.
ERRORS_DONE = 8


def order(c: NetworkConfig, *, single_port: bool = False) -> Callable[[ModuleType], Harness]:
    """Control and sequencer with everything else free."""

    def build(rtl: ModuleType) -> Harness:
        h = Harness(rtl)
        m = h.m
        control = h.place(h.unit("control").Control(c), "control", watch=("control",))
        sequencer = h.place(h.unit("sequencer").Sequencer(c), "sequencer")
        slots = Slots(h, c, sequencer.slot)
        slot = sequencer.slot
        flying = slots.in_flight()

        # The neuron unit: what has left the chain spikes, in order, at any time after.
        def later(value: Value, clocks: int = SPIKE_KNOWN) -> Signal:
            return h.past(value, clocks)

        ended, emits, spikes = later(slots.ends_block), h.free(1, "emits"), h.free(1, "spikes")
        ended_now = Mux(ended, later(slots.posts), 0)
        waiting, first, coming = Signal(range(max(c.layers) + c.lanes + 1)), Signal(), Signal(slot.layer.shape())
        its_layer, its_block, its_posts = later(slot.layer), later(slot.block), later(slots.posts)
        m.d.sync += waiting.eq(waiting + Mux(ended, its_posts, 0) - emits)
        with m.If(ended & (its_block == 0)):
            m.d.sync += [first.eq(1), coming.eq(its_layer)]
        layer, known = Signal(slot.layer.shape()), Signal()
        count, events = Signal(sequencer.emitted.shape()), Signal(sequencer.emitted_events.shape())
        h.assume(~emits | (waiting != 0))
        with m.If(emits):
            m.d.sync += [known.eq(1), first.eq(0)]
            with m.If(first):
                m.d.sync += [layer.eq(coming), count.eq(1), events.eq(spikes)]
            with m.Else():
                m.d.sync += [count.eq(count + 1), events.eq(events + spikes)]
        with m.If(control.begin):
            m.d.sync += known.eq(0)
        posts = slots.table(layer, [c.post(i) for i in range(c.depth)])
        complete = count == posts
        m.d.comb += [
            sequencer.emitted_valid.eq(known), sequencer.emitted_layer.eq(layer), sequencer.emitted.eq(count),
            sequencer.emitted_events.eq(events), sequencer.emitted_all.eq(complete),
        ]  # fmt: skip

        # One `done` for each last neuron, readout and backward sweep, at any time after.
        def owed(arises: Value, done: Value) -> Signal:
            due = Signal()
            with m.If(done):
                m.d.sync += due.eq(0)
            with m.If(arises):
                m.d.sync += due.eq(1)
            return due

        neurons_done, error_done = h.free(1, "neurons_done"), h.free(1, "error_done")
        last_spikes = h.past(emits) & complete & (layer == c.depth - 1)
        neurons_owed = owed(last_spikes, neurons_done)
        errors_owed = owed(control.error_start | later(slots.ends_backward, ERRORS_DONE), error_done)
        h.assume(~neurons_done | neurons_owed)
        h.assume(~neurons_done | (h.run_length(~slots.ends_block, NEURONS_DONE) == NEURONS_DONE))
        h.assume(~error_done | errors_owed)

        # Wired as in core.py.
        events_in = h.constant(sequencer.input_events.shape(), "input_events")
        h.assume(events_in <= c.inputs)
        m.d.comb += [
            control.command.valid.eq(h.free(1, "command")), control.command.payload.eq(h.free(19, "command_value")),
            control.sweep_idle.eq(sequencer.idle), control.pending.eq(flying), control.neurons_done.eq(neurons_done),
            control.error_done.eq(error_done), control.adapt_idle.eq(h.free(1, "adapt_idle")),
            sequencer.begin.eq(control.begin), sequencer.start.eq(control.sweep), sequencer.mode.eq(control.mode),
            sequencer.layer.eq(control.layer), sequencer.input_events.eq(events_in),
        ]  # fmt: skip
        ended_layer, ended_posts, any_ended = slots.come_in_order(h.always)
        _sweeps_stand(h, c, control, slots)
        # Lemmas of the neuron unit's stand-in: what has ended has been emitted or is owed.
        running, at_layer = h.inner("sequencer", "running"), h.inner("sequencer", "layer")
        begun, owing = Signal(), Signal(range(2 * c.lanes + max(c.layers) + 1))
        m.d.sync += owing.eq(owing + Mux(slots.ends_block, slots.posts, 0) - emits)
        with m.If(emits):
            m.d.sync += begun.eq(1)
        with m.If(slots.ends_block & (slot.block == 0)):
            m.d.sync += begun.eq(0)
        on_the_way = sum(
            (Mux(later(slots.ends_block, i), later(slots.posts, i), 0) for i in range(1, SPIKE_KNOWN)), ended_now
        )
        begins = [later(slots.ends_block & (slot.block == 0), i) for i in range(1, SPIKE_KNOWN + 1)]
        h.lemma(owing == waiting + on_the_way)
        h.lemma(
            ~begun | (any_ended & ~first & (layer == ended_layer) & (count + owing == ended_posts) & ~Cat(begins).any())
        )
        h.lemma(begun | ~any_ended | ((owing == ended_posts) & (first | Cat(begins).any())))
        h.lemma(any_ended | ((owing == 0) & ~begun & ~known & ~first))
        h.lemma(~first | (~begun & (coming == ended_layer) & ~Cat(begins).any()))
        for i in range(1, SPIKE_KNOWN + 1):
            begin_i = later(slots.ends_block & (slot.block == 0), i)
            h.lemma(~begin_i | (later(slot.layer, i) == ended_layer))
        h.lemma(~known | begun | (layer + 1 == ended_layer))
        h.lemma(events <= count)
        # Lemmas: which block has ended when a sweep of the layers is where it is, and what it knows of its inputs.
        state, sums, block = (
            partial(h.in_state, unit="control"),
            h.inner("sequencer", "sums"),
            h.inner("sequencer", "block"),
        )
        closed, limit = h.inner("sequencer", "closed"), h.inner("sequencer", "limit")
        sums = running & sums
        all_posts = [c.post(i) for i in range(c.depth)]
        all_below = any_ended & (ended_layer + 1 == at_layer) & (ended_posts == slots.table(ended_layer, all_posts))
        so_far = any_ended & (ended_layer == at_layer) & (ended_posts == block << (c.lanes.bit_length() - 1))
        h.lemma(~sums | Mux(block == 0, (at_layer == 0) | all_below, so_far))
        between = state("FORWARD") & ~running & (control.layer != 0)
        h.lemma(
            ~between
            | (any_ended & (ended_layer + 1 == control.layer) & (ended_posts == slots.table(ended_layer, all_posts)))
        )
        h.lemma(~(sums & (block == 0) & closed) | (owing == 0))
        h.lemma(~sums | closed | ((block == 0) & (at_layer != 0)))
        h.lemma(state("FORWARD", "NEURONS") | (owing == 0))
        h.lemma(~(state("FORWARD") & (control.layer == 0)) | (owing == 0))
        told = Mux(
            known & (layer + 1 == at_layer),
            Mux(h.inner("sequencer", "mode") == h.unit("beat").Mode.FORWARD, events, count),
            0,
        )
        h.lemma(~sums | closed | (limit <= told))
        h.always(~control.sweep | sequencer.idle)
        slots.are_legal(h.always)
        slots.within_steps(h.always, control.busy, control.begin)
        synapse = [h.constant(slot[name].shape(), name) for name in ("layer", "block", "index")]
        slots.keep_distance(h.always, *synapse)
        ends_layers = slots.ends_block & slot.last_block & (slot.layer == c.depth - 1)
        neurons_due = slots.one_by_one(h.always, (ends_layers,), neurons_done)
        errors_due = slots.one_by_one(h.always, (slots.ends_backward, control.error_start), error_done)
        sweeping = slots.readout_alone(h.always, control.error_start, errors_due)
        # Lemmas: what Control waits for is due.
        emitted_now = h.past(emits)
        all_ended = any_ended & (ended_layer == c.depth - 1) & (ended_posts == c.outputs)
        h.lemma(~neurons_due | (state("NEURONS") & ~running))
        h.lemma(~neurons_owed | (neurons_due & (owing == 0) & ~emitted_now))
        h.lemma(~(all_ended & ((owing != 0) | emitted_now)) | neurons_due)
        h.lemma(Mux(state("ERROR"), errors_due ^ running, ~errors_due))
        on_their_way = Cat(later(slots.ends_backward, i) for i in range(1, ERRORS_DONE + 1)).any()
        h.lemma(~on_their_way | (errors_due & ~errors_owed))
        h.lemma(~errors_owed | errors_due)
        h.lemma(~sweeping | (running & (h.inner("sequencer", "mode") == h.unit("beat").Mode.BACKWARD)))
        if single_port:
            clock = Signal()
            m.d.sync += clock.eq(~clock & ~control.begin)
            slots.keep_phase(h.always, clock)
            h.lemma(h.inner("sequencer", "phase") == clock)
        h.cover(slots.ends_backward)
        h.cover(slot.valid & slots.is_mode("UPDATE") & (slot.layer == c.depth - 1))
        h.cover(h.past(control.end) & ~control.busy & slots.is_mode("FORWARD"))
        return h

    return build


def _sweeps_stand(h: Harness, c: NetworkConfig, control: Any, slots: Slots) -> None:
    """Lemmas that PDR would have to find: the sequencer's registers belong together, and to Control's state."""
    mode_of, state = h.unit("beat").Mode, partial(h.in_state, unit="control")
    running, layer, block, mode, base, pres, last_block, sums, index, index_1, first, limit, closed = (
        h.inner("sequencer", name)
        for name in (
            "running", "layer", "block", "mode", "base", "pres", "last_block", "sums", "index", "index_1", "first",
            "limit", "closed",
        )
    )  # fmt: skip
    blocks, all_pres = slots.blocks(layer), slots.pres(layer)

    def sweeping(holds: Value) -> None:
        h.lemma(~running | holds)

    forward, trace, backward, update = (mode == mode_of[n] for n in ("FORWARD", "TRACE", "BACKWARD", "UPDATE"))
    sweeping(layer < c.depth)
    sweeping(block < blocks)
    sweeping(base == slots.start(layer, block))
    sweeping(pres == all_pres)
    sweeping(last_block == (block + 1 == blocks))
    sweeping(h.inner("sequencer", "last_block_index") + 1 == blocks)
    sweeping(forward | trace | backward | update)
    sweeping(sums == (forward | trace))
    sweeping((index_1 == index + 1) & (first == (index == 0)))
    sweeping((index <= limit) & (limit <= all_pres))
    sweeping(closed | forward | trace)
    sweeping(~closed | forward | (limit == all_pres))
    # Control is where the sweep is.
    at, last = control.layer, c.depth - 1
    h.lemma(at < c.depth)
    h.lemma(~state("IDLE", "BEGIN", "BACKWARD", "END") | ~running)
    sweeping(state("FORWARD", "NEURONS") == (forward | trace))
    sweeping(~(forward | trace) | (trace == control.learn))
    sweeping(state("ERROR") == backward)
    sweeping(state("UPDATE", "DRAIN") == update)
    sweeping(~state("FORWARD", "UPDATE") | (layer + 1 == at))
    sweeping(~state("NEURONS", "DRAIN") | (layer == last))
    sweeping(~state("ERROR") | (layer == at + 1))
    h.lemma(~state("BEGIN") | (at == 0))
    h.lemma(~state("NEURONS", "DRAIN") | (at == last))
    h.lemma(~state("BACKWARD") | (at != 0))


PROOFS = (
    Proof(
        "order", 4, "Control and Sequencer, 2-3-3, 2 lanes",
        "slots name synapses of their layer and block; blocks end in order, when the chain is empty; two reads of a "
        "word that is written back are far enough apart; no slot outside a step; a sweep starts when none runs",
        order(config((2, 3, 3))), cover=81, skip=79, engine="yices", depth=30, weight=100,
        controls=(
            Control("blocks follow each other too soon", 60, Bug(
                "sequencer.py", "from solsa.contract.cycles import MIN_PERIOD, neuron_clocks",
                "from solsa.contract.cycles import neuron_clocks\n\nMIN_PERIOD = 3", "")),
            Control("the end of the neurons is not awaited", 60, Bug(
                "control.py", "with m.If(self.neurons_done):", "with m.If(1):", "")),
        ),
    ),
    Proof(
        "order-single-port", 4, "Control and Sequencer, 2-3-3, 2 lanes, single-port banks",
        "the same; a sweep that writes reads even addresses in even clocks, another waits until its writes are over",
        order(config((2, 3, 3), bank=BankKind.SINGLE_PORT), single_port=True), cover=91, skip=89,
        engine="yices", depth=30, weight=100,
        controls=(
            Control("slots do not wait for their parity", 60, Bug(
                "sequencer.py", "in_phase.eq(~writes | ((base[0] ^ index[0]) == phase))", "in_phase.eq(1)", "")),
        ),
    ),
)  # fmt: skip
