"""Claims 3, 4 and 6, first half: Control and Sequencer issue slots as the pipeline needs them.

The neuron unit, the error unit and the host are replaced by anything that core_proofs.py proves them to be at most:
emission in order and not too early, one `done` for each sweep of the layers and each backward sweep.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from amaranth.hdl import Signal, Value

from solsa.contract import BankKind, NetworkConfig
from solsa.sim.planted import Bug

from .configs import config
from .harness import Harness
from .order_lemmas import Emission, Lemmas
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

        e = Emission(h, c, slots, control.begin, SPIKE_KNOWN)
        m.d.comb += [
            sequencer.emitted_valid.eq(e.known), sequencer.emitted_layer.eq(e.layer), sequencer.emitted.eq(e.count),
            sequencer.emitted_events.eq(e.events), sequencer.emitted_all.eq(e.complete),
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
        last_spikes = h.past(e.emits) & e.complete & (e.layer == c.depth - 1)
        neurons_owed = owed(last_spikes, neurons_done)
        errors_owed = owed(control.error_start | h.past(slots.ends_backward, ERRORS_DONE), error_done)
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
        h.always(~control.sweep | sequencer.idle)
        slots.are_legal(h.always)
        ended = slots.come_in_order(h.always)
        slots.within_steps(h.always, control.busy, control.begin)
        synapse = [h.constant(slot[name].shape(), name) for name in ("layer", "block", "index")]
        slots.keep_distance(h.always, *synapse)
        ends_layers = slots.ends_block & slot.last_block & (slot.layer == c.depth - 1)
        neurons_due = slots.one_by_one(h.always, (ends_layers,), neurons_done)
        errors_due = slots.one_by_one(h.always, (slots.ends_backward, control.error_start), error_done)
        sweeping = slots.readout_alone(h.always, control.error_start, errors_due)
        lemmas = Lemmas(h, c, control, slots, ended)
        lemmas.registers()
        owing = lemmas.emission(e)
        lemmas.progress(e, owing)
        lemmas.dues(e, owing, (neurons_due, neurons_owed), (errors_due, errors_owed), ERRORS_DONE)
        h.lemma(~sweeping | (lemmas.running & lemmas.mode["BACKWARD"]))
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
