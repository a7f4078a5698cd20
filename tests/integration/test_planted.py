"""Bugs planted into the RTL: the lockstep checker must find each of them and name the word.

A bug is a unit of the core that is changed while the core is elaborated: one of the helpers that it computes with is
replaced, or a statement is added after its own (the last assignment to a signal wins). Golden stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from unittest.mock import patch

import pytest
from amaranth.hdl import C, Fragment, Module, Value
from networks import NARROW, make_case

from solsa.contract import Format, Formats, Rounding, preset
from solsa.rtl import arith
from solsa.rtl.adapt import Adapt
from solsa.rtl.core import Core
from solsa.rtl.error import ErrorUnit
from solsa.rtl.lanes import Lanes
from solsa.rtl.neuron import Neurons
from solsa.rtl.presynaptic import Presynaptic
from solsa.sim.lockstep import Lockstep, Mismatch
from solsa.sim.pysim import PysimCore

CONFIG = preset("tiny").with_(surrogate_entries=16)  # fewer words to load
LEARN = "RLLLLLLLr..RLLLLLL"
Plant = Callable[[], AbstractContextManager[object]]


def run(plants: Iterable[Plant] = (), *, extreme: bool = False) -> Mismatch | None:
    """First word in which the changed core differs from the golden model.

    ``extreme`` drives narrow words into saturation; else hardly any word saturates.
    """
    config = CONFIG.with_(formats=NARROW) if extreme else CONFIG
    case = make_case(config, 7, LEARN, extreme=extreme)
    parameters = case.parameters
    if extreme:
        # neurons that fire, filters that hardly decay, an update at every step
        mild, slow = make_case(config, 7, LEARN).parameters, (65000 << 8,) * config.groups
        parameters = mild.with_(schedule=tuple(range(config.max_steps)), a=(slow,) * config.depth)
    with ExitStack() as stack:
        for plant in plants:
            stack.enter_context(plant())
        checker = Lockstep(config, parameters, case.weights, PysimCore(config))
    for stimulus in case.stimuli:
        if found := checker.step(stimulus):
            return found
    return None


@pytest.mark.parametrize("extreme", [False, True])
def test_nothing_planted(extreme: bool) -> None:
    """The stimuli below find nothing in the core as it is."""
    assert run(extreme=extreme) is None


# -- helpers replaced ----------------------------------------------------------------------------------------------
def never_negative(value: Value, shift: int) -> Value:
    """Round down instead of toward zero."""
    return C(0, shift)


def floor_and_add(value: Value, shift: int, addend: Value) -> Value:
    """Round down instead of toward zero."""
    return (value >> shift) + addend


def wrap(value: Value, fmt: Format) -> Value:
    """Forget to saturate."""
    return value[: fmt.width].as_signed()


def in_unit(unit: str, name: str, other: object) -> Plant:
    """Replace a helper that a unit uses."""
    return lambda: patch(f"solsa.rtl.{unit}.{name}", other)


def row(name: str, **changes: object) -> Plant:
    """Change a row of the operations table for the hardware: only while the core is elaborated."""
    operations, elaborate = Formats.operations, Core.elaborate

    def changed(self: Formats) -> dict[str, object]:
        rows = operations(self)
        return rows | {name: replace(rows[name], **changes)}  # type: ignore[arg-type]

    def wrong(self: Core, platform: object) -> Fragment:
        with patch.object(Formats, "operations", changed):
            return Fragment.get(elaborate(self, platform), platform)  # elaborates the units too

    return lambda: patch.object(Core, "elaborate", wrong)


# -- statements added ----------------------------------------------------------------------------------------------
def added(unit: type, statement: Callable[[object, Module], None]) -> Plant:
    """Add statements to a unit."""
    original = unit.elaborate  # type: ignore[attr-defined]

    def elaborate(self: object, platform: object) -> Module:
        m = original(self, platform)
        statement(self, m)
        return m

    return lambda: patch.object(unit, "elaborate", elaborate)


def stale_filter(self: Presynaptic, m: Module) -> None:
    """The lanes get F of the step before (the classic F_j[t-1] of the published code)."""
    for bank in range(len(self.filter)):
        before = arith.delayed(m, self.filter_words[bank], 3, f"stale{bank}")[3]
        with m.If(self.filter_retired):
            m.d.sync += self.filter[bank].eq(before)


def forgotten_write(self: Presynaptic, m: Module) -> None:
    """The last pre-synaptic signal of layer 1 is not retired."""
    with m.If((self.filter_beat.layer == 1) & (self.filter_beat.pre == CONFIG.pre(1) - 1)):
        m.d.comb += self.filter_retired.eq(0)


def stale_rate_step(self: Lanes, m: Module) -> None:
    """Learning steps of layer 0 never reach the lanes."""
    for p in range(CONFIG.lanes):
        lane = getattr(m.submodules, f"lane{p}")
        with m.If(lane.error_block < self.geometry.blocks[0]):
            m.d.comb += lane.error_write.eq(0)


def deaf_lane(self: Lanes, m: Module) -> None:
    """Lane 0 computes, but writes no word back after the first step."""
    lane = m.submodules.lane0
    with m.If(lane.control4.trace):
        m.d.comb += lane.owned.eq(0)


def always_fires(self: Neurons, m: Module) -> None:
    """The first neuron of every layer always fires."""
    with m.If(self.spike_post == 0):
        m.d.comb += self.spike.eq(1)


def kept_score(self: Neurons, m: Module) -> None:
    """The score of neuron 1 is not written (and not retired)."""
    with m.If(self.spike_post == 1):
        m.d.sync += self.score_retired.eq(0)


def label_off_by_one(self: Core, m: Module) -> None:
    """The error unit takes the class below."""
    m.d.comb += m.submodules.error.label.eq(m.submodules.control.label - 1)


def no_restart(self: Core, m: Module) -> None:
    """The traces do not start from zero with a sample."""
    m.d.comb += m.submodules.lanes.fresh.eq(0)


def late_post(self: ErrorUnit, m: Module) -> None:
    """Errors of hidden neurons go to the neuron before."""
    with m.If(self.layer == 0):
        m.d.comb += self.post.eq(arith.delayed(m, self.post, 1, "late")[1])


def clip_ignored(self: Core, m: Module) -> None:
    """The limits of the filter constants are those of the format."""
    m.d.comb += [m.submodules.adapt.a_min.eq(0), m.submodules.adapt.a_max.eq(0xFFFF)]


def first_rate(self: Core, m: Module) -> None:
    """Every layer learns at the rate of layer 0."""
    m.d.comb += m.submodules.error.rate_mantissa[1].eq(m.submodules.registers.rate_mantissa[0])


def stuck_constant(self: Adapt, m: Module) -> None:
    """The constant of layer 0 and group 0 is computed, but not stored."""
    with m.If(self.retired):
        m.d.sync += self.constants[0].eq(self.constants[0])


#: name: (plant, extreme stimuli, state word that must be named)
PLANTED: dict[str, tuple[Plant, bool, str]] = {
    "trace decay rounds down": (in_unit("lane", "toward_zero_bits", never_negative), False, "trace"),
    "synapse word not saturated": (in_unit("lane", "saturate", wrap), True, "weight"),
    "filter decay rounds down": (in_unit("presynaptic", "drop_and_add", floor_and_add), False, "filter"),
    "filter not saturated": (in_unit("presynaptic", "saturate", wrap), True, "filter"),
    "filter of the step before": (added(Presynaptic, stale_filter), False, "trace"),
    "filter word forgotten": (added(Presynaptic, forgotten_write), False, "filter"),
    "traces not restarted": (added(Core, no_restart), False, "trace"),
    "neuron rounds down": (in_unit("neuron", "drop_and_add", floor_and_add), False, "current"),
    "neuron not saturated": (in_unit("neuron", "saturate", wrap), True, "membrane"),
    "neuron always fires": (added(Neurons, always_fires), False, "filter"),
    "gain rounds up": (row("gain_reset", rounding=Rounding.HALF_UP), False, "gain"),
    "score word forgotten": (added(Neurons, kept_score), False, "score"),
    "label off by one": (added(Core, label_off_by_one), False, "delta"),
    "softmax rounds down": (row("probability", rounding=Rounding.FLOOR), False, "delta"),
    "hidden error rounds down": (row("hidden_delta", rounding=Rounding.FLOOR), False, "delta"),
    "hidden error of the neuron before": (added(ErrorUnit, late_post), False, "delta"),
    "rate of another layer": (added(Core, first_rate), False, "rate_step"),
    "learning step of the update before": (added(Lanes, stale_rate_step), False, "weight"),
    "generator has another tap": (in_unit("random", "XORSHIFT", (13, 17, 6)), False, "weight"),
    "posts share their random bits": (in_unit("lane", "post_hash", lambda post: 0), False, "weight"),
    "lane writes no trace": (added(Lanes, deaf_lane), False, "trace"),
    "constants not clipped": (added(Core, clip_ignored), False, "constant"),
    "constant not stored": (added(Adapt, stuck_constant), False, "filter"),
}
#: These retire too few words or at the wrong place: the checker names the layer and counts.
COUNTED = {"filter word forgotten", "score word forgotten"}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_named(name: str) -> None:
    plant, extreme, kind = PLANTED[name]
    found = run([plant], extreme=extreme)
    assert found is not None, "not found"
    assert found.kind == kind, str(found)
    layer = f"layer {found.layer}"
    assert 0 <= found.layer < CONFIG.depth
    assert 0 <= found.step < len(LEARN)
    if name in COUNTED:
        assert str(found).startswith(f"{kind} at step {found.step}, {layer}, post -1, pre -1: expected ")
        assert "words" in str(found)
        return
    assert 0 <= found.post < CONFIG.post(found.layer)
    assert 0 <= found.pre < CONFIG.pre(found.layer)
    where = f"step {found.step}, {layer}, post {found.post}, pre {found.pre}"
    assert str(found) == f"{kind} at {where}: expected {found.expected}, got {found.got}"
    assert isinstance(found.expected, int)
    assert isinstance(found.got, int)
    assert found.expected != found.got


def test_the_exact_word_of_a_planted_bug() -> None:
    """One bug whose first victim is known beforehand: F of the step before is zero at the first step."""
    case = make_case(CONFIG, 7, LEARN)
    found = run([added(Presynaptic, stale_filter)])
    first = next(j for j, x in enumerate(case.stimuli[0].inputs) if x)
    f = CONFIG.formats
    wanted = int(case.stimuli[0].inputs[first]) << (f.trace.frac - f.input.frac)
    assert found == Mismatch(step=0, kind="trace", layer=0, post=0, pre=first, expected=wanted, got=0)
