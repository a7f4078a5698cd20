"""Functional coverage: what random runs must have done at least once before "no mismatch" means anything.

Points of the core are counted from golden's state, which the run has shown to be the core's; points of the link from
requests and replies (:mod:`solsa.sim.requests`). A point that cannot happen is not listed; the proof stands beside the
list. Counts are steps (or networks, or requests) in which a point was hit.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from solsa.contract import BankKind, Layout, NetworkConfig, NeuronUnit, Readout, Space
from solsa.contract.registers import WRITABLE_SPACES
from solsa.contract.wire import Opcode, RunFlag, Status
from solsa.golden import StepTrace
from solsa.golden.arith import surrogate_index

from .random_networks import Case
from .records import Ints, StepInput

# -- stores -----------------------------------------------------------------------------------------------------------
#: Every store of golden that may saturate (names of GoldenCore.watch): clamped from above and from below.
#: Rows of Formats.operations that are missing overflow nowhere (Overflow.NONE): current_sum, exponent, reciprocal,
#: probability. gain_decay is k = lam of neurons without a reset: lam >= 0, so it is never clamped from below.
STORES = (
    "filter_start", "filter_decay", "trace_decay", "current_decay", "membrane_decay", "gain_reset",
    "filter_trace_in", "filter_trace_decay", "adapt_trace_in", "adapt_trace_decay",
    "target_error", "error", "hidden_delta", "rate_step", "weight_step", "adapt_sum", "adapt_step", "score",
)  # fmt: skip
_SATURATION = [f"saturate.{name}.{end}" for name in STORES for end in ("high", "low")] + [
    "saturate.gain_decay.high",
    "saturate.change.high",  # S is a sum of magnitudes
    "saturate.surrogate_decay.high",  # and H of surrogates
]

# -- networks and steps -----------------------------------------------------------------------------------------------
_GEOMETRY = [
    "geometry.one_pre", "geometry.one_post", "geometry.one_lane", "geometry.one_layer", "geometry.several_layers",
    "geometry.lanes_below_groups", "geometry.posts_below_lanes", "geometry.posts_below_groups",
    "geometry.ragged_block", "geometry.whole_blocks",
]  # fmt: skip
_WEIGHTS = ["weights.all_highest", "weights.all_lowest"]
_SCHEDULE = ["schedule.empty", "schedule.full", "schedule.partial", "schedule.past_its_end"]
_STEPS = [
    "step.inference", "step.learning", "step.scheduled", "step.adapting", "step.scheduled_without_adapting",
    "step.sample_reset", "step.learning_begins_in_a_sample", "step.learning_goes_on_after_a_pause",
]  # fmt: skip
_INPUTS = ["input.silent", "input.all_highest", "input.all_lowest", "input.alternating", "input.every_one_active"]
_NEURONS = [
    "spikes.none", "spikes.all", "spikes.some", "surrogate.first_entry", "surrogate.last_entry",
    "softmax.certain", "softmax.vanishing", "rate.zero", "rate.largest_mantissa", "rate.no_shift",
    "rate.largest_shift",
]  # fmt: skip
_READOUTS = [f"readout.{readout.value}" for readout in Readout]
_KINDS = [f"unit.{unit.value}" for unit in NeuronUnit] + [f"bank.{bank.value}" for bank in BankKind]
#: A step stops its sample, one is not right by the margin or not often enough, the rest infers, a reset ends it.
#: Rates per neuron: none, no mean before, at the reference, below and above it, far from it, at an end of the shift.
_OPTIONS = [
    "early_stop.off", "early_stop.taken", "early_stop.not_yet", "early_stop.rest_infers", "early_stop.ended_by_reset",
    "probe.measured", "probe.past_the_table", "probe.in_inference",
    "recurrent.spikes_before", "recurrent.spikes_of_the_sample_before", "recurrent.several_blocks",
    "normalise.off", "normalise.first", "normalise.as_given", "normalise.faster", "normalise.slower",
    "normalise.limited", "normalise.no_shift_left", "normalise.largest_shift",
    "filtered_surrogate.kept", "filtered_surrogate.forgotten_by_reset",
]  # fmt: skip

# -- link -------------------------------------------------------------------------------------------------------------
#: Replies that a request can get. INFO carries no address and no value; READ and STATE no value; STEP and RUN no
#: address. BAD_CRC and BAD_OPCODE are answered before an opcode is looked at, see the points after it.
REPLIES: dict[Opcode, tuple[Status, ...]] = {
    Opcode.INFO: (Status.OK, Status.BAD_LENGTH),
    Opcode.READ: (Status.OK, Status.BAD_LENGTH, Status.BAD_ADDRESS),
    Opcode.WRITE: (Status.OK, Status.BAD_LENGTH, Status.BAD_ADDRESS, Status.BAD_VALUE),
    Opcode.LOAD: (Status.OK, Status.BAD_LENGTH, Status.BAD_ADDRESS, Status.BAD_VALUE),
    Opcode.STEP: (Status.OK, Status.BAD_LENGTH, Status.BAD_VALUE),
    Opcode.RUN: (Status.OK, Status.BAD_LENGTH, Status.BAD_VALUE),
    Opcode.STATE: (Status.OK, Status.BAD_LENGTH, Status.BAD_ADDRESS),
}
_LINK = [
    *(f"link.{opcode.name}.{status.name}" for opcode, statuses in REPLIES.items() for status in statuses),
    "link.unknown.BAD_OPCODE", "link.BAD_CRC.damaged", "link.BAD_CRC.short", "link.BAD_CRC.long", "link.BAD_CRC.cobs",
    "link.repeated_request", "link.sequence_zero", "link.empty_frame",
    *(f"link.read.{space.name}" for space in Space), *(f"link.write.{space.name}" for space in sorted(WRITABLE_SPACES)),
    *(f"link.flag.{flag.name}" for flag in RunFlag),
]  # fmt: skip

#: Every point.
POINTS: tuple[str, ...] = (
    *_READOUTS, *_KINDS, *_GEOMETRY, *_WEIGHTS, *_SCHEDULE, *_STEPS, *_INPUTS, *_NEURONS, *_OPTIONS,
    *_SATURATION, *_LINK,
)  # fmt: skip


def report(counts: Counter[str]) -> dict[str, object]:
    """Counts of every point, percentage of points that were hit, and those that were not.

    Raises
    ------
    ValueError
        For a count under a name that is no point: a typing error would hide a hole.
    """
    if unknown := sorted(set(counts) - set(POINTS)):
        raise ValueError(f"coverage point {unknown[0]!r} is not known")
    missed = [point for point in POINTS if not counts[point]]
    return {
        "coverage": {point: counts[point] for point in POINTS},
        "coverage_points": len(POINTS),
        "coverage_percent": round(100 * (len(POINTS) - len(missed)) / len(POINTS), 2),
        "uncovered": missed,
    }


class Observer:
    """Counts the points of one network.

    Parameters
    ----------
    case : Case
        What is run.

    Attributes
    ----------
    counts : Counter
        Hits by point.
    """

    def __init__(self, case: Case) -> None:
        self.counts: Counter[str] = Counter()
        self._case = case
        self._before: StepInput | None = None
        #: whether a hidden neuron fired in the step before
        self._fired = False
        #: whether the sample has learned at all, whether its last step did, whether it has had a step
        self._learned = self._learning = self._began = self._stopped = False
        #: running means of |delta| before the step
        self._means = [np.zeros(size, dtype=np.int64) for size in case.config.layers[1:]]
        #: whether a layer's filtered surrogates had a word above 0 in the step before
        self._filtered = [False] * case.config.depth
        self._network(case)

    def _hit(self, point: str, happened: object = True) -> None:
        if happened:
            self.counts[point] += 1

    def watch(self, name: str, value: Ints, low: int, high: int) -> None:
        """For ``GoldenCore.watch``."""
        if value.max() > high:
            self.counts[f"saturate.{name}.high"] += 1
        if value.min() < low:
            self.counts[f"saturate.{name}.low"] += 1

    def _network(self, case: Case) -> None:
        c: NetworkConfig = case.config
        posts, hit = c.layers[1:], self._hit
        hit(f"unit.{c.neuron_unit.value}")
        hit(f"bank.{c.bank.value}")
        hit("geometry.one_pre", 1 in c.layers[:-1])
        hit("geometry.one_post", 1 in posts)
        hit("geometry.one_lane", c.lanes == 1)
        hit("geometry.one_layer", c.depth == 1)
        hit("geometry.several_layers", c.depth > 1)
        hit("geometry.lanes_below_groups", c.lanes < c.groups)
        hit("geometry.posts_below_lanes", min(posts) < c.lanes)
        hit("geometry.posts_below_groups", min(posts) < c.groups)
        ragged = [Layout(c).blocks(i) > 1 and c.post(i) % c.lanes > 0 for i in range(c.depth)]
        hit("geometry.ragged_block", any(ragged))
        hit("geometry.whole_blocks", c.lanes > 1 and any(size % c.lanes == 0 for size in posts))
        hit("recurrent.several_blocks", c.recurrent and any(size > c.lanes for size in posts[:-1]))
        fmt = c.formats.weight
        hit("weights.all_highest", any((w == fmt.max).all() for w in case.weights))
        hit("weights.all_lowest", any((w == fmt.min).all() for w in case.weights))

    def step(self, stimulus: StepInput, trace: StepTrace) -> None:
        """Count a step that has run: its stimulus and golden's words after it."""
        c, p, hit = self._case.config, self._case.parameters, self._hit
        if c.early_stop:
            self._early_stop(stimulus, trace)
        if c.probe:
            hit("probe.measured", trace.probed)
            hit("probe.past_the_table", stimulus.probe and trace.learned and not trace.probed)
            hit("probe.in_inference", stimulus.probe and not trace.learned)
        if c.recurrent:
            hit("recurrent.spikes_before", self._fired and not stimulus.reset)
            hit("recurrent.spikes_of_the_sample_before", self._fired and stimulus.reset)
            self._fired = any(layer.spike.any() for layer in trace.layers[:-1])
        if stimulus.reset:
            self._learned = self._learning = self._began = False
        hit("step.sample_reset", stimulus.reset)
        hit("step.inference", not trace.learned)
        hit("step.learning", trace.learned)
        hit("step.scheduled", trace.updated)
        adapting = trace.updated and stimulus.adapt
        hit("step.adapting", adapting)
        hit("step.scheduled_without_adapting", trace.updated and not adapting)
        hit("step.learning_begins_in_a_sample", trace.learned and self._began and not self._learned)
        hit("step.learning_goes_on_after_a_pause", trace.learned and self._learned and not self._learning)
        self._learned |= trace.learned
        self._learning, self._began = trace.learned, True
        if trace.learned:
            size = len(p.schedule)
            kind = "empty" if not size else "full" if size == c.max_steps else "partial"
            hit(f"schedule.{kind}")
            hit("schedule.past_its_end", trace.step >= c.max_steps)
        self._inputs(stimulus)
        self._neurons(trace, stimulus.reset)
        if trace.updated:
            self._update(stimulus, trace, adapting)

    def _early_stop(self, stimulus: StepInput, trace: StepTrace) -> None:
        p, hit = self._case.parameters, self._hit
        due = trace.learned and not stimulus.probe and trace.step in p.schedule
        hit("early_stop.off", due and not p.stop_points)
        hit("early_stop.ended_by_reset", self._stopped and stimulus.reset and trace.learned)
        self._stopped = self._stopped and not stimulus.reset
        taken = due and not trace.updated
        hit("early_stop.taken", taken)
        hit("early_stop.not_yet", due and p.stop_points and trace.updated)
        hit("early_stop.rest_infers", stimulus.learn and not trace.learned)
        self._stopped |= taken

    def _normalise(self, trace: StepTrace) -> None:
        p, hit = self._case.parameters, self._hit
        for i, (layer, before) in enumerate(zip(trace.layers, self._means, strict=True)):
            reference, limit = p.norm[i] if p.norm else (0, 0)
            above = np.array([int(v).bit_length() - reference for v in before[before > 0]], dtype=np.int64)
            shifts = p.rate[i][1] + np.clip(above, -limit, limit)
            hit("normalise.off", not limit)
            hit("normalise.first", limit and (before == 0).any())
            hit("normalise.as_given", limit and (above == 0).any())
            hit("normalise.faster", limit and (above < 0).any())
            hit("normalise.slower", limit and (above > 0).any())
            hit("normalise.limited", limit and (abs(above) > limit).any())
            hit("normalise.no_shift_left", (shifts < 0).any())
            hit("normalise.largest_shift", (shifts > 31).any())
            self._means[i] = layer.mean_error

    def _inputs(self, stimulus: StepInput) -> None:
        fmt, x, hit = self._case.config.formats.input, stimulus.inputs, self._hit
        low, high = bool((x == fmt.min).all()), bool((x == fmt.max).all())
        hit("input.silent", not x.any())
        hit("input.every_one_active", x.all())
        hit("input.all_highest", high)
        hit("input.all_lowest", low)
        if self._before is not None and not stimulus.reset:
            before = self._before.inputs
            hit("input.alternating", low and (before == fmt.max).all() or high and (before == fmt.min).all())
        self._before = stimulus

    def _neurons(self, trace: StepTrace, reset: bool) -> None:
        c, p, hit = self._case.config, self._case.parameters, self._hit
        for i, layer in enumerate(trace.layers):
            if not c.spiking(i):
                continue
            spikes = int(layer.spike.sum())
            hit("spikes.none" if not spikes else "spikes.all" if spikes == c.post(i) else "spikes.some")
            index = surrogate_index(layer.membrane, p.theta[i], p.surrogate_shift, c.surrogate_entries)
            hit("surrogate.first_entry", index.min() == 0)
            hit("surrogate.last_entry", index.max() == c.surrogate_entries - 1)
            if c.filtered_surrogate and i < c.depth - 1:
                h = np.array(p.surrogate)[index]
                hit("filtered_surrogate.kept", (layer.surrogate > h).any())
                hit("filtered_surrogate.forgotten_by_reset", reset and self._filtered[i])
                self._filtered[i] = bool(layer.surrogate.any())

    def _update(self, stimulus: StepInput, trace: StepTrace, adapting: bool) -> None:
        c, p, hit = self._case.config, self._case.parameters, self._hit
        hit(f"readout.{c.readout.value}")
        for mantissa, shift in (*p.rate, *(p.adapt_rate if adapting else ())):
            hit("rate.zero", mantissa == 0)
            hit("rate.largest_mantissa", mantissa == 0xFFFF)
            hit("rate.no_shift", shift == 0)
            hit("rate.largest_shift", shift == 31)
        if c.normalise:
            self._normalise(trace)
        if c.readout is Readout.MEMBRANE:
            probability = trace.layers[-1].delta + c.formats.delta.one * (np.arange(c.outputs) == stimulus.label)
            hit("softmax.certain", probability.max() == c.formats.delta.one)
            hit("softmax.vanishing", probability.min() == 0)
