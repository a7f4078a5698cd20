"""Claims 3, 4 and 6, second half: the whole core, for any slots that `order_proofs` allows.

The core is the real one, wired by itself. Only what cannot matter for addresses is replaced by "anything": what
memories hold, what multipliers and saturations make, the register file's constants, the random words. So the proofs
hold for every network, every input and every state. For the proofs by induction, Control and Sequencer are replaced by
any slots that keep the rules (slots.py) that `order` proves them to keep: the pipeline has no state of its own beyond
the slots of its last clocks, so the induction needs no other invariant than a long enough past.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from amaranth.hdl import Cat, Const, Signal, Value

from solsa.contract import BankKind, NetworkConfig, Readout, cycles
from solsa.contract.registers import Space
from solsa.sim.planted import Bug

from .configs import config
from .core_harness import CoreHarness
from .order_proofs import ERRORS_DONE, NEURONS_DONE, SPIKE_KNOWN
from .proofs import Control, Proof
from .slots import SPIKES_OUT

#: Clocks from a beat (stage R0, `Presynaptic.beat`) to its read of a lane's bank.
BANK_READ = 2
#: At most as many clocks lie between the last slot of a block (or sweep) and everything that comes of it.
LONGEST = 40
#: Multipliers give anything.
CUT = "cutpoint t:$mul"
#: Memories that the host reads, besides the lanes' banks.
HOST_READS = {
    Space.FILTER: "presynaptic.memory",
    Space.NEURON: "neuron.memory",
    Space.SCHEDULE: "control.schedule",
    Space.SURROGATE: "neuron.table",
    Space.SCORE: "neuron.scores",
}


def emission(c: NetworkConfig) -> Callable[[ModuleType], CoreHarness]:
    """Spikes, `done` of neurons and of errors, `pending`: what `order` takes them to be at most."""

    def build(rtl: ModuleType) -> CoreHarness:
        h = CoreHarness(rtl, c, host=False, steps=True, issuers=False)
        neurons, errors, lanes, pre = (h.units[n] for n in ("Neurons", "ErrorUnit", "Lanes", "Presynaptic"))
        control, slots = h.units["Control"], h.slots
        posts = slots.table(neurons.spike_layer, [c.post(i) for i in range(c.depth)])
        # One after the other, of a block that has ended long enough ago.
        h.always(~neurons.spike_valid | ((neurons.spike_layer < c.depth) & (neurons.spike_post < posts)))
        follows = (neurons.emitted == neurons.spike_post) & (neurons.emitted_layer == neurons.spike_layer)
        h.always(~neurons.spike_valid | (neurons.spike_post == 0) | follows)
        h.always(~neurons.spike_valid | (neurons.spike_event <= neurons.spike_post))
        h.always(~neurons.spike_valid | h.within(slots.ends_block, SPIKE_KNOWN, SPIKES_OUT))
        # What is known to the sequencer is what has been emitted; after a while everything has.
        known = slots.table(neurons.emitted_layer, [c.post(i) for i in range(c.depth)])
        h.always(~neurons.emitted_valid | (neurons.emitted_all == (neurons.emitted == known)))
        h.always(neurons.emitted_events <= neurons.emitted)
        calm = h.run_length(~slots.ends_block, SPIKES_OUT) == SPIKES_OUT
        h.always(~(calm & h.any_block) | ((neurons.emitted == h.last_posts) & (neurons.emitted_layer == h.last_layer)))
        # Each `done` comes of one cause, in the clocks that contract/cycles.py counts.
        ends_layers = slots.ends_block & slots.slot.last_block & (slots.slot.layer == c.depth - 1)
        written = cycles._SLOT_TO_N0 + cycles._N0_TO_DONE + (c.outputs - 1) % c.lanes
        summed = cycles._BACKWARD + (c.lanes.bit_length() - 1) + cycles._ERROR
        assert c.readout is Readout.TARGET
        assert written >= NEURONS_DONE
        assert min(summed, c.outputs + cycles._ERROR) >= ERRORS_DONE
        for done, causes in (
            (neurons.done, ((ends_layers, written),)),
            (errors.done, ((slots.ends_backward, summed), (control.error_start, c.outputs + cycles._ERROR))),
        ):
            due = slots.one_by_one(h.assume, tuple(cause for cause, _ in causes), done)
            came = [h.past(cause, clocks) for cause, clocks in causes]
            waits = [h.within(cause, 1, clocks) for cause, clocks in causes]
            h.always(done == Cat(came).any())
            h.always(due == Cat(waits).any())
            if done is errors.done:
                slots.readout_alone(h.assume, control.error_start, due)
        # In the pipeline for exactly IN_FLIGHT clocks.
        h.always((lanes.pending | pre.pending) == slots.in_flight())
        h.cover(neurons.done)
        h.cover(errors.done & (errors.layer == 0))
        return h

    return build


def addresses(c: NetworkConfig, *, host: bool) -> Callable[[ModuleType], CoreHarness]:
    """Every write of every memory, and every read that counts, inside."""

    def build(rtl: ModuleType) -> CoreHarness:
        h = CoreHarness(rtl, c, host=host, steps=not host, issuers=host)
        h.list_holds_pres()
        slots, beat, neurons = h.slots, h.units["Presynaptic"].beat, h.units["Neurons"]
        for memory in h.memories:
            for port in memory.writes:
                h.always(~port.en | (port.addr < memory.depth))
        for memory in h.each("bank.memory"):
            h.always(memory.reads[0].addr == h.past(beat.address, BANK_READ))
        if host:
            accessed = h.past(h.units["HostPort"].beat_valid)
            h.always(~accessed | (beat.address < h.layout.synapse_depth))
            for space, name in HOST_READS.items():
                # the index passes a register on its way
                accessing = h.core.bus.valid & (h.core.bus.space == space)
                h.inside(accessing & h.past(accessing), name)
            h.cover(accessed & (beat.address == h.layout.synapse_depth - 1))
            for memory in h.memories:
                if memory.name in ("control.schedule", "neuron.table"):
                    h.cover(memory.writes[0].en & (memory.writes[0].addr == memory.depth - 1))
            return h
        h.assume(~neurons.spike_valid | (neurons.spike_event <= neurons.spike_post))  # `emission`
        # A synapse's word lies in its layer's part of the bank, in its block.
        sweeps = beat.valid & beat.compute
        pre_base = slots.table(beat.layer, list(h.layout.pre_base))
        h.always(~sweeps | (beat.pre < slots.pres(beat.layer)))
        h.always(~sweeps | (beat.address == slots.start(beat.layer, beat.block) + beat.pre))
        h.always(~sweeps | (beat.pre_address == pre_base + beat.pre))
        # The other memories, read while the beat is where they are.
        h.inside(sweeps, "presynaptic.x_memory")
        h.inside(sweeps, "presynaptic.memory")
        slot_bits = h.layout.filter_slots.bit_length() - 1
        for memory in h.each("presynaptic.memory"):
            where = Cat(beat.block[:slot_bits], beat.pre_address)
            h.always(~sweeps | (memory.reads[0].addr == where[: len(memory.reads[0].addr)]))
        h.inside(h.past(sweeps, BANK_READ), "lane.gains")
        h.inside(h.past(sweeps, BANK_READ), "lane.errors")
        error_beat, errors = h.units["Lanes"].error_beat, h.units["ErrorUnit"]
        h.inside(error_beat.valid & (error_beat.mode == h.unit("beat").Mode.BACKWARD), "backward.memory")
        h.inside(h.inner("neuron", "feed").valid, "neuron.memory")
        posts = slots.table(errors.layer, [c.post(i) for i in range(c.depth)])
        h.always(~errors.valid | ((errors.layer < c.depth) & (errors.post < posts)))
        h.cover(sweeps & (beat.address == h.layout.synapse_depth - 1))
        h.cover(errors.valid & (errors.layer == 0))
        return h

    return build


def hazards(c: NetworkConfig) -> Callable[[ModuleType], CoreHarness]:
    """A word that will be written back is not read again before: every kind of word, any one address of each."""

    def build(rtl: ModuleType) -> CoreHarness:
        h = CoreHarness(rtl, c, host=False, steps=True, issuers=False)
        h.list_holds_pres()
        pre, lanes, slots = h.units["Presynaptic"], h.units["Lanes"], h.slots
        beat, retired, error = pre.beat, lanes.retired, lanes.error_beat

        def is_mode(value: Any, *names: str) -> Value:
            found: Value = Const(0)
            for name in names:
                found = found | (value == h.unit("beat").Mode[name])
            return found

        def exclusive(reads: Value, will_write: Value, writes: Value, longest: int) -> None:
            """From a read until the clock after its write-back, which comes soon, no second read."""
            pending = Signal()
            with h.m.If(writes):
                h.m.d.sync += pending.eq(0)
            with h.m.If(reads & will_write):
                h.m.d.sync += pending.eq(1)
            h.always(~(pending & reads))
            h.always(~writes | pending)  # what is watched is the write-back of this read
            h.always(h.run_length(pending, longest + 1) <= longest)
            h.cover(writes)

        synapse = [h.constant(slots.slot[name].shape(), name) for name in ("layer", "block", "index")]
        layer, block, index = synapse
        h.assume((layer < c.depth) & (block < slots.blocks(layer)) & (index < slots.pres(layer)))
        # A forward slot's index is that of the list, so its pre is any: those slots are followed by their beats.
        slots.keep_distance(h.assume, *synapse)

        # Synapse words: read BANK_READ clocks after R0, retired when written.
        address = Signal(range(h.layout.synapse_depth))
        h.m.d.comb += address.eq(slots.start(layer, block) + index)
        reads = beat.valid & beat.compute & ~is_mode(beat.mode, "FORWARD") & (beat.address == address)
        retires = retired.valid & is_mode(retired.mode, "TRACE", "UPDATE")
        for memory in h.each("bank.memory"):
            write = memory.writes[0]
            h.always(~write.en | (retires & (write.addr == retired.address)))
        exclusive(
            h.past(reads, BANK_READ), h.past(is_mode(beat.mode, "TRACE", "UPDATE"), BANK_READ),
            retires & (retired.address == address), 8,
        )  # fmt: skip

        # F: read at R0 in a trace sweep, advanced by the first block of its group only.
        where = Signal(range(h.layout.filter_depth))
        (memory, *_) = h.each("presynaptic.memory")
        h.m.d.comb += where.eq(slots.table(layer, list(h.layout.pre_base)) + index)
        tracing = beat.valid & is_mode(beat.mode, "TRACE") & (memory.reads[0].addr == where)
        assert h.layout.filter_slots == 1
        exclusive(tracing, beat.block == 0, pre.filter_retired & (memory.writes[0].addr == where), 8)

        # Sums of the backward pass: every block but the last writes back what the next one reads.
        (memory,) = h.each("backward.memory")
        summed = error.valid & is_mode(error.mode, "BACKWARD") & (memory.reads[0].addr == index)
        exclusive(summed, ~error.last_block, memory.writes[0].en & (memory.writes[0].addr == index), 8)

        # Neuron words: read when a neuron leaves the chain (memory addressed while it is fed), written when it retires.
        neuron, lane = Signal(range(h.layout.post_depth)), h.constant(range(c.lanes), "lane")
        first = slots.table(layer, list(h.layout.post_base))
        post = Signal(range(max(c.layers) + c.lanes))
        h.m.d.comb += [post.eq(lane)]
        with h.m.Switch(block):
            for b in range(max(h.layout.blocks(i) for i in range(c.depth))):
                with h.m.Case(b):
                    h.m.d.comb += post.eq(b * c.lanes + lane)
        h.assume(post < slots.table(layer, [c.post(i) for i in range(c.depth)]))
        h.m.d.comb += neuron.eq(first + post)
        fed = h.inner("neuron", "feed").valid
        for part in ("memory", "late_memory"):
            (memory,) = h.each(f"neuron.{part}")
            write = memory.writes[0]
            exclusive(fed & (memory.reads[0].addr == neuron), Const(1), write.en & (write.addr == neuron), LONGEST)
        return h

    return build


def single_port(c: NetworkConfig) -> Callable[[ModuleType], CoreHarness]:
    """A half of a single-port bank is never written in a clock in which a word of it is read."""

    def build(rtl: ModuleType) -> CoreHarness:
        h = CoreHarness(rtl, c, host=False, steps=True, issuers=False)
        h.list_holds_pres()
        slots, slot = h.slots, h.slots.slot
        # `order-single-port`: a sweep that writes reads even addresses in even clocks, and no other sweep reads then.
        clock = Signal(init=0)
        h.m.d.sync += clock.eq(~clock & ~h.units["Control"].begin)
        slots.keep_phase(h.assume, clock)
        beat = h.units["Presynaptic"].beat
        reads, odd = h.past(beat.valid & beat.compute, BANK_READ), h.past(beat.address[0], BANK_READ)
        halves = list(h.each("bank.memory"))
        per_half = len(halves) // (2 * c.lanes)
        written = [Signal(name=f"written{half}") for half in range(2)]
        for i, memory in enumerate(halves):
            half = i // per_half % 2
            h.always(~(reads & (odd == half)) | (memory.reads[0].en & ~memory.writes[0].en))
            for port in (*memory.reads, *memory.writes):
                h.always(~port.en | ~reads | (odd != half) | (port.addr < memory.depth))
            with h.m.If(memory.writes[0].en):
                h.m.d.comb += written[half].eq(1)
        h.cover(reads & odd & written[0])
        h.cover(reads & ~odd & written[1])
        h.cover(slot.valid & slot.last)
        return h

    return build


def sharing(c: NetworkConfig, *, steps: bool, polite: bool = True) -> Callable[[ModuleType], CoreHarness]:
    """Host accesses and steps never meet in the pipeline, and a host access ends within a bound."""

    def build(rtl: ModuleType) -> CoreHarness:
        h = CoreHarness(rtl, c, host=True, steps=steps, issuers=True, polite=polite)
        core, lanes, pre, host = h.core, h.units["Lanes"], h.units["Presynaptic"], h.units["HostPort"]
        slot, flying = h.units["Sequencer"].slot, lanes.pending | pre.pending
        port = h.unit("host_port")
        bound = max(port.WRITE_LATENCY, port.CHAIN_LATENCY + c.lanes + port.SELECT_LATENCY) + 3
        h.always(h.run_length(core.bus.valid & ~core.bus.done, bound + 1) <= bound)
        h.always(~core.bus.done | ~flying)  # an access has left the pipeline when the host is told
        h.always(~(core.command.valid & core.command.ready) | ~flying)  # a step begins with an empty pipeline
        h.always(~host.beat_valid | (~flying & ~slot.valid))  # and so does an access
        h.always(~core.busy | ~core.bus.done)
        h.always(~slot.valid | core.busy)  # no sweep outlives its step
        h.always(core.command.ready == ~core.busy)  # an idle core takes a step at once
        h.cover(core.bus.done & core.bus.write & (core.bus.space == Space.WEIGHT))
        if steps:
            h.cover(h.past(core.busy) & ~core.busy)
        return h

    return build


#: More filter groups than lanes: F of a pre has a word per group, chosen by the block.
GROUPS = config((2, 3, 3), groups=4, readout=Readout.SPIKE)
SINGLE = config((2, 3, 3), readout=Readout.TARGET, bank=BankKind.SINGLE_PORT)
TINY = config((2, 3, 3), readout=Readout.TARGET)

PARALLEL = "Core 2-3-3 but Control and Sequencer, 2 lanes, readout target"
PROOFS = (
    Proof(
        "emission", 4, PARALLEL,
        "spikes come one after the other, none too early; each sweep of the layers, readout and backward sweep has one "
        "`done`, in the clock that contract/cycles.py counts; a slot is pending for exactly the clocks of the pipeline",
        emission(TINY), cover=60, script=CUT, engine="yices", depth=42, weight=60,
        controls=(
            Control("the chain is said to be full for too long", 60, Bug(
                "neuron.py", "with m.Elif(left > 1):", "with m.Elif(left > 0):", "")),
        ),
    ),
    Proof(
        "addresses", 3, PARALLEL,
        "every write of every memory lies inside; every synapse, F, input, k, error and neuron word read is that of "
        "its layer, block and pre; for any contents and inputs",
        addresses(TINY, host=False), cover=60, script=CUT, engine="yices", depth=40, weight=20,
        controls=(
            Control("a layer's inputs begin one word late", 60, Bug(
                "presynaptic.py", "[*g.layout.pre_base[1:], 0]", "[*(b + 1 for b in g.layout.pre_base[1:]), 0]", "")),
        ),
    ),
    Proof(
        "addresses-groups", 3, "Core 2-3-3 but Control and Sequencer, 2 lanes, 4 filter groups, readout spike",
        "the same with several F words per pre and bank",
        addresses(GROUPS, host=False), cover=60, script=CUT, engine="yices", depth=40, weight=20,
        controls=(
            Control("F of a group is sought behind its bank", 60, Bug(
                "presynaptic.py", "filter_address.eq(Cat(low_bits(beat.block, slot_bits), beat.pre_address))",
                "filter_address.eq(Cat(beat.pre_address, low_bits(beat.block, slot_bits)))", "")),
        ),
    ),
    Proof(
        "addresses-host", 3, "Core 2-3-3, 2 lanes, readout target, no step",
        "the same for host accesses, whose index lies inside its space",
        addresses(TINY, host=True), cover=20, script=CUT, weight=20,
        controls=(
            Control("the lane's bits stay in the address", 20, Bug(
                "host_port.py", "address = bus.index >> g.lane_shift", "address = bus.index", "")),
        ),
    ),
    Proof(
        "hazards", 4, PARALLEL,
        "between the read of a synapse, F, error sum or neuron word and its write-back, which comes within a bound, "
        "the same word is not read",
        hazards(TINY), cover=60, script=CUT, engine="yices", depth=45, weight=80,
        controls=(
            Control("F is written two clocks late", 60, Bug(
                "presynaptic.py", "write_address = delayed(m, filter_address, 4, \"filter_address\")[4]",
                "write_address = delayed(m, filter_address, 6, \"filter_address\")[6]", "")),
        ),
    ),
    Proof(
        "single-port", 4, "Core 2-3-3 but Control and Sequencer, 2 lanes, single-port banks",
        "a half of a bank is never written while a word of it is read",
        single_port(SINGLE), cover=60, script=CUT, engine="yices", depth=40, weight=20,
        controls=(
            Control("the write comes a clock late", 60, Bug(
                "lane.py", "m.d.comb += [\n            self.word.eq(word),\n            bank.write.eq(enable),",
                "late = Signal()\n        m.d.sync += late.eq(enable)\n        m.d.comb += [\n"
                "            self.word.eq(word),\n            bank.write.eq(late),", "")),
        ),
    ),
    Proof(
        "sharing-host", 6, "Core 2-3-3, 2 lanes, readout target, no step",
        "a host access ends within its latency + 3 clocks, when it has left the pipeline, and begins with an empty one",
        sharing(TINY, steps=False), cover=60, script=CUT, weight=40,
        controls=(
            Control("the host is answered before its word has landed", 40, Bug(
                "host_port.py", "WRITE_LATENCY = 10", "WRITE_LATENCY = 6", "")),
        ),
    ),
    Proof(
        "sharing-core", 6, "Core 2-3-3, 2 lanes, readout target",
        "the same among steps: access and step never share the pipeline",
        sharing(TINY, steps=True), cover=60, script=CUT, engine="yices", mode="bmc", depth=50, weight=60,
        controls=(
            Control("the processor starts a step during an access", 40, build=sharing(TINY, steps=True, polite=False)),
        ),
    ),
)  # fmt: skip
