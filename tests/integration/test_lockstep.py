"""Golden model and core in lockstep: every retired word of every step is compared."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from amaranth.hdl import Module
from networks import FORMATS, Case, make_case

from solsa.contract import Layout, NetworkConfig, NeuronField, Readout, Register, Space, preset
from solsa.contract.registers import a_address
from solsa.golden import GoldenCore, LayerState
from solsa.rtl.core import Core
from solsa.sim.build import QUICK
from solsa.sim.compiled import CompiledCore
from solsa.sim.lockstep import Lockstep, Mismatch, load_core
from solsa.sim.pysim import PysimCore
from solsa.sim.records import CoreBackend, HangError, Kind, Records

TINY = preset("tiny").with_(surrogate_entries=16)  # fewer words to load
#: See networks.make_stimuli: R and r reset the sample, capital letters learn.
PATTERNS = {
    "learning": "RLLLLLRLLLLLL",
    "inference": "r....r...",
    "toggled": "r..LL.LRL..LLr.LL",
    "no reset": "LLL..LL",
}


def lockstep(case: Case, backend: CoreBackend) -> Lockstep:
    """Run the case; fails with the first word that differs."""
    run = Lockstep(case.config, case.parameters, case.weights, backend)
    for stimulus in case.stimuli:
        found = run.step(stimulus)
        assert found is None, str(found)
    assert run.steps == len(case.stimuli)
    return run


@pytest.mark.parametrize("learn", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("readout", Readout, ids=lambda r: r.value)
def test_tiny(readout: Readout, learn: str, seed: int) -> None:
    case = make_case(TINY.with_(readout=readout), seed, learn)
    run = lockstep(case, PysimCore(case.config))
    assert run.words > 50 * run.steps
    if learn == PATTERNS["learning"]:
        assert any(updated for _, updated, _ in run.clocks)


@pytest.mark.parametrize("readout", Readout, ids=lambda r: r.value)
def test_without_adaptation(readout: Readout, seed: int) -> None:
    """The filter constants stand still and none is retired."""
    case = make_case(TINY.with_(readout=readout), seed + 1, "RLLLLL", adapt=False)
    backend = PysimCore(case.config)
    run = lockstep(case, backend)
    for i, row in enumerate(case.parameters.a):
        assert run.golden.state.layers[i].a.tolist() == list(row)
        assert [backend.read(Space.REGISTER, a_address(i, g)) for g in range(len(row))] == list(row)


@pytest.mark.parametrize("formats", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("readout", Readout, ids=lambda r: r.value)
def test_extremes(readout: Readout, formats: object, seed: int) -> None:
    """Inputs, weights, constants, tables and rates from the ends of their ranges, in several formats."""
    config = TINY.with_(readout=readout, formats=formats)
    case = make_case(config, seed + 2, "RLLLLr.LL", extreme=True)
    lockstep(case, PysimCore(config))


@pytest.mark.parametrize(
    ("layers", "lanes", "groups"),
    [
        ((1, 1), 1, 1),
        ((1, 1), 4, 8),
        ((2, 1, 1, 2), 2, 4),
        ((9, 3), 1, 8),
        ((2, 9, 5), 4, 8),
        ((5, 3, 6, 2), 8, 2),
        ((1, 17, 1), 2, 1),
    ],
    ids=str,
)
def test_odd_geometries(layers: tuple[int, ...], lanes: int, groups: int, seed: int) -> None:
    """Single neurons, more groups than posts, more lanes than posts, more groups than lanes, ragged blocks."""
    config = NetworkConfig(layers=layers, lanes=lanes, groups=groups, max_steps=8, surrogate_entries=8, frame_bytes=256)
    case = make_case(config, seed + 3, "RLLLr.L.RLLLLLLLLLL")  # past the end of the schedule table
    lockstep(case, PysimCore(config))


@pytest.mark.parametrize(("layers", "lanes"), [((3, 1, 3, 5), 2), ((2, 3, 3, 3), 1), ((7, 4, 6, 7), 2)], ids=str)
def test_a_short_layer_that_is_chased(layers: tuple[int, ...], lanes: int) -> None:
    """Past bug: a late slot of a layer's first block was followed too soon by the same pre of the second block, which
    then read F before it was written (2 to 4 pre-synaptic signals, several blocks).
    """
    config = NetworkConfig(layers=layers, lanes=lanes, groups=1, max_steps=8, surrogate_entries=8, frame_bytes=256)
    case = make_case(config, 3, "RLLLLL")
    lockstep(case, PysimCore(config))


@pytest.mark.parametrize(
    ("layers", "lanes"), [((7, 2, 3, 1), 2), ((2, 2, 1, 1), 1), ((5, 1, 3), 4), ((2, 3, 2), 1)], ids=str
)
def test_more_groups_than_posts(layers: tuple[int, ...], lanes: int, seed: int) -> None:
    """Past bug: with fewer posts in every layer than groups, an index had fewer bits than the group needs, and layers
    after the first took another layer's constants and filter words.
    """
    config = NetworkConfig(layers=layers, lanes=lanes, groups=8, max_steps=8, surrogate_entries=8, frame_bytes=256)
    case = make_case(config, seed + 9, "RLLLrLL")
    backend = PysimCore(config)
    golden = lockstep(case, backend).golden
    layout = Layout(config)
    for i, layer in enumerate(golden.state.layers):
        for group in range(config.used_groups(i)):
            for pre in range(config.pre(i)):
                bank, address = layout.filter_address(i, pre, group)
                word = backend.read(Space.FILTER, address * layout.filter_banks + bank)
                assert _signed(word) == layer.filter[group, pre]


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(layers=(7, 13), lanes=1, groups=8, readout=Readout.SPIKE, max_steps=16, frame_bytes=256),
        NetworkConfig(layers=(6, 11, 9, 5), lanes=4, groups=8, max_steps=16, frame_bytes=256),
        NetworkConfig(layers=(5, 19, 10, 3), lanes=8, groups=4, readout=Readout.TARGET, max_steps=16, frame_bytes=256,
                      formats=FORMATS["narrow"]),
    ],
    ids=["P1 G8 spike", "P4 G8 membrane", "P8 G4 target narrow"],
)  # fmt: skip
def test_compiled(config: NetworkConfig, seed: int) -> None:
    """Longer runs, with plain and with extreme parameters, on the compiled core."""
    for extreme in (False, True):
        backend = CompiledCore(config, level=QUICK)
        case = make_case(config, seed + 4, ("RLLLLLLLLr.LL..RLLLLLL" + "RLLLLL" * 3) * 3, extreme=extreme)
        lockstep(case, backend)
        backend.close()


@pytest.mark.slow
def test_both_backends_return_the_same_records(seed: int) -> None:
    """Same words, in the same order, in the same number of clocks, and the same answers on the bus."""
    case = make_case(TINY, seed + 5, "RLLLLLr..L.LRLL")
    backends: list[CoreBackend] = [PysimCore(TINY), CompiledCore(TINY, level=QUICK)]
    streams: list[list[tuple[int, Records]]] = []
    for backend in backends:
        load_core(backend, TINY, case.parameters, case.weights)
        streams.append([])
        for s in case.stimuli:
            records = backend.step(
                s.inputs, label=s.label, target=s.target, reset=s.reset, learn=s.learn, adapt=s.adapt
            )  # fmt: skip
            streams[-1].append((backend.step_clocks, records))
    for number, ((clocks, mine), (their_clocks, theirs)) in enumerate(zip(*streams, strict=True)):
        assert clocks == their_clocks, f"step {number}"
        assert len(mine) == len(theirs), f"step {number}"
        assert mine.tolist() == theirs.tolist(), f"step {number}"
    for space, count in ((Space.WEIGHT, 10), (Space.NEURON, 24), (Space.FILTER, 8), (Space.SCORE, 3)):
        words = [[b.read(space, index) for index in range(count)] for b in backends]
        assert words[0] == words[1]
        assert any(words[0])
    answers = [[b.write(Space.REGISTER, r, v) for r, v in ((Register.RNG, 0), (Register.MAGIC, 1), (99, 1))]
               for b in backends]  # fmt: skip
    assert answers[0] == answers[1]
    assert 0 not in answers[0]


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word


def test_every_word_can_be_read_back(seed: int) -> None:
    """After some samples the bus gives the same memories as the golden model."""
    config = TINY
    case = make_case(config, seed + 6, "RLLLLLRLL")
    backend = PysimCore(config)
    golden = lockstep(case, backend).golden
    layout, names = Layout(config), {f.name for f in fields(LayerState)}
    for i, layer in enumerate(golden.state.layers):
        for post in range(config.post(i)):
            for pre in range(config.pre(i)):
                lane, address = layout.synapse_address(i, post, pre)
                index = address * config.lanes + lane
                assert _signed(backend.read(Space.WEIGHT, index)) == layer.weight[post, pre]
                assert _signed(backend.read(Space.TRACE, index)) == layer.trace[post, pre]
            neuron = layout.post_base[i] + post
            for field in NeuronField:
                assert field.name.lower() in names
                word = _signed(backend.read(Space.NEURON, neuron * 8 + field))
                assert word == getattr(layer, field.name.lower())[post], field
        for group in range(config.used_groups(i)):
            for pre in range(config.pre(i)):
                bank, address = layout.filter_address(i, pre, group)
                word = backend.read(Space.FILTER, address * layout.filter_banks + bank)
                assert _signed(word) == layer.filter[group, pre]
    scores = [_signed(backend.read(Space.SCORE, i)) for i in range(config.outputs)]
    assert scores == golden.state.score.tolist()
    assert backend.read(Space.REGISTER, Register.STEP) == golden.state.step
    assert backend.read(Space.REGISTER, Register.UPDATES) == golden.state.updates
    assert backend.read(Space.REGISTER, Register.RNG) == golden.state.rng


def test_a_reset_without_memory_clear_forgets_the_sample(seed: int) -> None:
    """A sample gives the same words whatever ran before it; only weights, constants and generator carry over."""
    config = TINY
    case = make_case(config, seed + 7, "RL.LRL.L")
    still = case.parameters.with_(schedule=())
    half = len(case.stimuli) // 2
    backend = PysimCore(config)
    load_core(backend, config, still, case.weights)
    runs = []
    for start in (0, 0):
        runs.append([])
        for s in case.stimuli[start:half]:
            records = backend.step(
                s.inputs, label=s.label, target=s.target, reset=s.reset, learn=s.learn, adapt=s.adapt
            )  # fmt: skip
            runs[-1].append(records.tolist())
        for s in case.stimuli[half:]:  # another sample in between
            backend.step(s.inputs, label=s.label, target=s.target, reset=s.reset, learn=s.learn, adapt=s.adapt)
    assert runs[0] == runs[1]


class Deaf(Core):
    """A core that answers no access."""

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        m.d.comb += self.bus.done.eq(0)
        return m


def test_a_hang_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step or an access that takes more clocks than allowed raises, and the simulation can be used further."""
    case = make_case(TINY, 0, "R")
    backend = PysimCore(TINY, step_limit=5)
    load_core(backend, TINY, case.parameters, case.weights)
    s = case.stimuli[0]
    with pytest.raises(HangError, match="the core does not end its step"):
        backend.step(s.inputs, label=0, target=None, reset=True, learn=True, adapt=False)
    assert backend.read(Space.REGISTER, Register.INPUTS) == TINY.inputs  # waits until the step has ended after all
    backend.close()
    with pytest.raises(RuntimeError, match="closed"):
        backend.read(Space.REGISTER, 0)
    monkeypatch.setattr("solsa.sim.pysim.BUS_LIMIT", 30)
    with pytest.raises(HangError, match="the bus does not answer at space 2, index 5"):
        PysimCore(TINY, make_core=lambda: Deaf(TINY, observe=True)).read(Space.TRACE, 5)


def test_lanes_do_not_change_the_weights(seed: int) -> None:
    """P = 1, 2, 4, 8 end with the same weights and constants, read from the core itself, and those of golden."""
    digests = set()
    for lanes in (1, 2, 4, 8):
        config = NetworkConfig(
            layers=(2, 5, 3), lanes=lanes, groups=4, max_steps=8, surrogate_entries=8, frame_bytes=256
        )
        case = make_case(config, seed + 8, "RLLLLLLL")
        backend = PysimCore(config)
        run = lockstep(case, backend)
        layout, words = Layout(config), []
        for i in range(config.depth):
            for post in range(config.post(i)):
                for pre in range(config.pre(i)):
                    lane, address = layout.synapse_address(i, post, pre)
                    words.append(_signed(backend.read(Space.WEIGHT, address * lanes + lane)))
        words += [backend.read(Space.REGISTER, a_address(i, g)) for i in range(config.depth) for g in range(4)]
        start = np.concatenate([w.ravel() for w in case.weights]).tolist()
        ended = np.concatenate([x.weight.ravel() for x in run.golden.state.layers]).tolist()
        assert words[: len(start)] == ended != start
        digests.add(tuple(words))
    assert len(digests) == 1


class Replay:
    """Backend that takes every write and returns given records."""

    step_clocks = 0

    def __init__(self, records: Records) -> None:
        self.records = records

    def write(self, space: int, index: int, value: int) -> int:
        return 0

    def read(self, space: int, index: int) -> int:
        return 0

    def step(self, *args: object, **named: object) -> Records:
        return self.records

    def close(self) -> None:
        pass


def test_the_checker_looks_at_every_word(seed: int) -> None:
    """A word that is wrong, missing or retired twice is found, whichever it is."""
    config = TINY.with_(normalise=True)
    case = make_case(config, seed, "R")
    parameters, s = case.parameters.with_(schedule=(0,)), case.stimuli[0]
    core = PysimCore(config)
    load_core(core, config, parameters, case.weights)
    records = core.step(s.inputs, label=s.label, target=s.target, reset=s.reset, learn=s.learn, adapt=s.adapt)

    def check(changed: Records) -> Mismatch | None:
        return Lockstep(config, parameters, case.weights, Replay(changed)).step(s)

    assert check(records) is None
    assert set(records["kind"]) == set(Kind)
    for at, record in enumerate(records):
        kind, layer, post, pre, value = (int(v) for v in record)
        for changed in (np.delete(records, at), np.insert(records, at, record)):
            found = check(changed)
            assert found is not None
            assert (found.kind, found.layer) == (Kind(kind).name.lower(), layer)
            assert "words" in str(found)
        changed = records.copy()
        changed["value"][at] ^= 1
        assert check(changed) == Mismatch(0, Kind(kind).name.lower(), layer, post, pre, value, value ^ 1)


def test_golden_needs_no_lanes() -> None:
    """The golden model never looks at the number of lanes."""
    words = []
    for lanes in (1, 64):
        config = NetworkConfig(layers=(5, 9, 4), lanes=lanes, groups=2, max_steps=16)
        case = make_case(config, 1, "RLLLLLLL")
        golden = GoldenCore(config, case.parameters, case.weights)
        for s in case.stimuli:
            golden.step(s.inputs, label=s.label, learn=s.learn, adapt=s.adapt, trace=False)
        words.append([w.weight.tolist() for w in golden.state.layers])
    assert words[0] == words[1]
