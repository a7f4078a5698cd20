"""Claims 3, 4 and 6, first half: Control and Sequencer issue slots as the pipeline needs them.

The neuron unit, the error unit and the host are replaced by anything that core_proofs.py proves them to be at most:
emission in order and not too early, one `done` for each sweep of the layers and each backward sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from amaranth.hdl import Mux, Signal, Value

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
        h.assume(~neurons_done | owed(last_spikes, neurons_done))
        h.assume(~neurons_done | (h.run_length(~slots.ends_block, NEURONS_DONE) == NEURONS_DONE))
        h.assume(~error_done | owed(control.error_start | later(slots.ends_backward, ERRORS_DONE), error_done))

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
        if single_port:
            clock = Signal()
            m.d.sync += clock.eq(~clock & ~control.begin)
            slots.keep_phase(h.always, clock)
            h.cover(slot.valid & slots.is_mode("UPDATE") & (slot.layer == c.depth - 1))
            return h
        h.always(~control.sweep | sequencer.idle)
        slots.are_legal(h.always)
        slots.come_in_order(h.always)
        slots.within_steps(h.always, control.busy, control.begin)
        synapse = [h.constant(slot[name].shape(), name) for name in ("layer", "block", "index")]
        slots.keep_distance(h.always, *synapse)
        ends_layers = slots.ends_block & slot.last_block & (slot.layer == c.depth - 1)
        slots.one_by_one(h.always, (ends_layers,), neurons_done)
        due = slots.one_by_one(h.always, (slots.ends_backward, control.error_start), error_done)
        slots.readout_alone(h.always, control.error_start, due)
        h.cover(slots.ends_backward)
        h.cover(slot.valid & slots.is_mode("UPDATE") & (slot.layer == c.depth - 1))
        h.cover(h.past(control.end) & ~control.busy & slots.is_mode("FORWARD"))
        return h

    return build


PROOFS = (
    Proof(
        "order", 4, "Control and Sequencer, 2-3-3, 2 lanes",
        "slots name synapses of their layer and block; blocks end in order, when the chain is empty; two reads of a "
        "word that is written back are far enough apart; no slot outside a step; a sweep starts when none runs",
        order(config((2, 3, 3))), cover=80, weight=300,
        controls=(
            Control("blocks follow each other too soon", 60, Bug(
                "sequencer.py", "from solsa.contract.cycles import MIN_PERIOD, neuron_clocks",
                "from solsa.contract.cycles import neuron_clocks\n\nMIN_PERIOD = 3", "")),
            Control("the end of the update sweeps is not awaited", 80, Bug(
                "control.py", "self.sweep_idle & ~self.pending & self.adapt_idle", "self.adapt_idle", "")),
        ),
    ),
    Proof(
        "order-single-port", 4, "Control and Sequencer, 2-3-3, 2 lanes, single-port banks",
        "a sweep that writes reads even addresses in even clocks; another sweep waits until its writes are over",
        order(config((2, 3, 3), bank=BankKind.SINGLE_PORT), single_port=True), cover=80, weight=200,
        controls=(
            Control("slots do not wait for their parity", 60, Bug(
                "sequencer.py", "in_phase.eq(~writes | ((base[0] ^ index[0]) == phase))", "in_phase.eq(1)", "")),
        ),
    ),
)  # fmt: skip
