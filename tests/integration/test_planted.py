"""Bugs planted into the RTL: the lockstep checker must find each of them and name the word.

A bug is a unit of the core that is changed while the core is elaborated: one of the helpers that it computes with is
replaced, or a statement is added after its own (the last assignment to a signal wins). Golden stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest
from amaranth.hdl import C, Module, Value
from networks import make_case

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

CONFIG = preset("tiny")
LEARN = "RLLLLLLLr..RLLLLLL"
Plant = Callable[[], object]


def run(plants: list[Plant] | None = None, *, extreme: bool = False, seed: int = 7) -> Mismatch | None:
    """First word in which the changed core differs."""
    case = make_case(CONFIG, seed, LEARN, extreme=extreme)
    if extreme:  # large errors at every step, but neurons that fire
        mild = make_case(CONFIG, seed, LEARN).parameters
        case = replace(case, parameters=mild.with_(schedule=tuple(range(CONFIG.max_steps))))
    with ExitStack() as stack:
        for plant in plants or []:
            stack.enter_context(plant())  # type: ignore[arg-type]
        backend = PysimCore(CONFIG)
        checker = Lockstep(CONFIG, case.parameters, case.weights, backend)
    for stimulus in case.stimuli:
        if found := checker.step(stimulus):
            return found
    return None


@pytest.mark.parametrize("extreme", [False, True])
def test_nothing_planted(extreme: bool) -> None:
    """The stimuli below find nothing in the core as it is."""
    assert run(extreme=extreme) is None


# -- helpers replaced ---------------------------------------------------------------------------------------------------
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


def rounding(name: str, other: Rounding) -> Plant:
    """Another rounding in the hardware's copy of a row of the operations table."""
    return row(name, rounding=other)


def row(name: str, **changes: object) -> Plant:
    """Another row of the operations table, only in the hardware."""
    original = Formats.operations

    def changed(self: Formats) -> dict[str, object]:
        rows = original(self)
        return rows | {name: replace(rows[name], **changes)}  # type: ignore[arg-type]

    @contextmanager
    def plant() -> Iterator[None]:
        # Only while the core is elaborated; golden reads the table afterwards.
        with patch.object(Core, "elaborate", _with(Formats, "operations", changed)):
            yield

    return plant


_ELABORATE = Core.elaborate


def _with(owner: type, name: str, other: object) -> Callable[[Core, object], Module]:
    def elaborate(self: Core, platform: object) -> Module:
        from amaranth.hdl import Fragment

        with patch.object(owner, name, other):
            return Fragment.get(_ELABORATE(self, platform), platform)  # submodules are elaborated here as well

    return elaborate


# -- statements added -----------------------------------------------------------------------------------------------------
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


def spilled_block(self: Lanes, m: Module) -> None:
    """All lanes write in a ragged last block and count as one more neuron of the layer above: wrong owner."""
    m.d.comb += getattr(m.submodules, "lane0").owned.eq(0)


def spike_at_threshold(self: Neurons, m: Module) -> None:
    """The first neuron of every layer always fires."""
    with m.If(self.spike_post == 0):
        m.d.comb += self.spike.eq(1)


def kept_score(self: Neurons, m: Module) -> None:
    """The score of neuron 1 is not written (and not retired)."""
    with m.If(self.score_post == 1):
        m.d.comb += self.score_retired.eq(0)


def label_off_by_one(self: Core, m: Module) -> None:
    """The error unit takes the class below."""
    m.d.comb += m.submodules.error.label.eq(m.submodules.control.label - 1)


def no_restart(self: Core, m: Module) -> None:
    """The traces do not start from zero with a sample."""
    m.d.comb += m.submodules.lanes.fresh.eq(0)


def late_surrogate(self: ErrorUnit, m: Module) -> None:
    """Errors of hidden neurons go to the neuron before."""
    with m.If(self.layer == 0):
        m.d.comb += self.post.eq(arith.delayed(m, self.post, 1, "late")[1])


def clip_ignored(self: Core, m: Module) -> None:
    """The limits of the filter constants are those of the format."""
    m.d.comb += [m.submodules.adapt.a_min.eq(0), m.submodules.adapt.a_max.eq(0xFFFF)]


def wrong_group(self: Adapt, m: Module) -> None:
    """The first constant does not follow."""
    with m.If(self.retired):
        m.d.sync += self.constants[0].eq(self.constants[0])


#: name: (plants, extreme stimuli, state word that must be named, layer and pre or None for any)
PLANTED: dict[str, tuple[list[Plant], bool, str]] = {
    "trace decay rounds down": ([in_unit("lane", "toward_zero_bits", never_negative)], False, "trace"),
    "trace not saturated": ([in_unit("lane", "saturate", wrap)], True, "trace"),
    "filter decay rounds down": ([in_unit("presynaptic", "drop_and_add", floor_and_add)], False, "filter"),
    "filter not saturated": ([in_unit("presynaptic", "saturate", wrap)], True, "filter"),
    "filter of the step before": ([added(Presynaptic, stale_filter)], False, "trace"),
    "filter word forgotten": ([added(Presynaptic, forgotten_write)], False, "filter"),
    "traces not restarted": ([added(Core, no_restart)], False, "trace"),
    "neuron rounds down": ([in_unit("neuron", "drop_and_add", floor_and_add)], False, "current"),
    "neuron not saturated": ([in_unit("neuron", "saturate", wrap)], True, "current"),
    "one neuron always fires": ([added(Neurons, spike_at_threshold)], False, "filter"),
    "gain rounds up": ([rounding("gain_reset", Rounding.HALF_UP)], False, "gain"),
    "score word forgotten": ([added(Neurons, kept_score)], False, "score"),
    "label off by one": ([added(Core, label_off_by_one)], False, "delta"),
    "softmax rounds down": ([rounding("probability", Rounding.FLOOR)], False, "delta"),
    "hidden error rounds down": ([rounding("hidden_delta", Rounding.FLOOR)], False, "delta"),
    "hidden error of the neuron before": ([added(ErrorUnit, late_surrogate)], False, "delta"),
    "learning rate off by a bit": ([row("rate_step", rounding=Rounding.FLOOR)], False, ""),
    "learning step of the update before": ([added(Lanes, stale_rate_step)], False, "weight"),
    "generator has another tap": ([in_unit("random", "XORSHIFT", (13, 17, 6))], False, "weight"),
    "all posts share their random bits": ([in_unit("lane", "post_hash", lambda post: 0)], False, "weight"),
    "lane 0 never writes": ([added(Lanes, spilled_block)], False, "trace"),
    "constants not clipped": ([added(Core, clip_ignored)], False, "constant"),
    "constant does not follow": ([added(Adapt, wrong_group)], False, ""),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_named(name: str) -> None:
    plants, extreme, kind = PLANTED[name]
    found = run(plants, extreme=extreme)
    print(found)
    assert found is not None, f"{name}: not found"
