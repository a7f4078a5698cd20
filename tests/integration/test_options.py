"""Options of learning in lockstep: early stop and probe of changes, their clocks, and bugs planted into them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import Case, make_case, observed

from solsa.contract import BankKind, NetworkConfig, NeuronUnit, Readout, Register, Space, preset
from solsa.contract.cycles import predicted_cycles
from solsa.sim.coverage import Observer
from solsa.sim.lockstep import Lockstep, Mismatch
from solsa.sim.planted import Bug, planted
from solsa.sim.pysim import PysimCore
from solsa.sim.readback import read_back
from solsa.sim.verify import run_case

# as few words to load as can be
BOTH = NetworkConfig(
    layers=(2, 3, 2), lanes=4, groups=2, max_steps=8, surrogate_entries=4, frame_bytes=256, early_stop=True, probe=True
)
SERIAL = BOTH.with_(neuron_unit=NeuronUnit.SERIAL, bank=BankKind.SINGLE_PORT, lanes=1)
LEARN = "RLLLLRLLL"
#: A margin with which some samples of the cases below stop and some do not.
MARGIN = 1000


def stopping(config: NetworkConfig, seed: int = 10, *, margin: int = MARGIN, points: int = 2) -> Case:
    """Case in which every step is scheduled, with an early stop; no other target readout could have one."""
    if not config.early_stop:
        margin, points = 0, 0
    case = make_case(config, seed, LEARN)
    every = tuple(range(config.max_steps))
    return replace(case, parameters=case.parameters.with_(schedule=every, stop_margin=margin, stop_points=points))


def probing(config: NetworkConfig, seed: int = 10, *, points: int = 0) -> Case:
    """The same with a probe in its middle, across the border of two samples."""
    case = stopping(config, seed, points=points)
    return replace(case, stimuli=[replace(s, probe=3 <= i < 7) for i, s in enumerate(case.stimuli)])


@pytest.mark.parametrize("readout", [Readout.MEMBRANE, Readout.SPIKE], ids=lambda r: r.value)
def test_early_stop(readout: Readout) -> None:
    """Samples stop, the rest of them infers, the next one learns; all words equal golden's."""
    config = BOTH.with_(readout=readout)
    case = stopping(config, margin=MARGIN if config.readout is Readout.MEMBRANE else 1)
    run, observer = Lockstep(config, case.parameters, case.weights, PysimCore(config)), Observer(case)
    for _ in observed(run, observer, case):
        pass
    assert read_back(run) is None
    for point in ("taken", "not_yet", "rest_infers", "ended_by_reset"):
        assert observer.counts[f"early_stop.{point}"], point


def test_probe() -> None:
    """A probe changes no weight, constant or generator; S is golden's, and that of the changes by hand."""
    config = BOTH.with_(readout=Readout.TARGET, early_stop=False)
    case = probing(config)
    run = Lockstep(config, case.parameters, case.weights, PysimCore(config))
    wanted = np.zeros(config.max_steps)
    for one in case.stimuli:
        state = run.golden.state
        before = ([layer.copy() for layer in state.layers], state.rng, state.updates)
        found = run.step(one)
        assert found is None, str(found)
        assert run.trace is not None
        if not one.probe:
            continue
        layers, rng, updates = before
        assert (state.rng, state.updates, run.trace.probed, run.trace.updated) == (rng, updates, True, False)
        for old, new in zip(layers, state.layers, strict=True):
            assert np.array_equal(old.weight, new.weight)
            assert np.array_equal(old.a, new.a)
        f = config.formats
        units = sum(np.abs(np.outer(x.rate_step, np.ones(x.trace.shape[1])) * x.trace).sum() for x in state.layers)
        wanted[run.trace.step] += np.floor(units * 2.0 ** -(f.rate_step.frac + f.trace.frac - f.weight.frac))
    assert read_back(run) is None
    assert np.array_equal(wanted, run.golden.state.changes)
    assert np.count_nonzero(wanted) == 4  # two steps of each sample


def test_a_probe_looks_past_an_early_stop() -> None:
    assert run_case(probing(BOTH, points=1), PysimCore(BOTH)) is None


def test_the_host_sets_and_reads_the_changes() -> None:
    """Their words lie behind the schedule; 31 bits are kept; a probe adds to them and stays at the largest word."""
    core, words = PysimCore(BOTH), BOTH.max_steps
    for step, value in ((0, 7), (words - 1, 0xFFFFFFFF)):
        assert core.write(Space.SCHEDULE, words + step, value) == 0
        assert core.write(Space.SCHEDULE, step, 0) == 0
        assert core.read(Space.SCHEDULE, words + step) == value & 0x7FFFFFFF
        assert core.read(Space.SCHEDULE, step) == 0
    assert saturated(core) is None


def saturated(core: PysimCore) -> Mismatch | None:
    """Word that differs after a probe that finds S one below its end."""
    case, first, end = probing(core.config), 3, core.config.formats.change.max
    run = Lockstep(core.config, case.parameters, case.weights, core)
    run.golden.state.changes[:] = [core.read(Space.SCHEDULE, core.config.max_steps + i) for i in range(8)]
    run.golden.state.changes[first] = end - 1
    core.write(Space.SCHEDULE, core.config.max_steps + first, end - 1)
    for one in case.stimuli[: first + 1]:
        assert run.step(one) is None
    assert run.golden.state.changes[first] == end
    return read_back(run)


def test_registers_of_options() -> None:
    """They keep what is written within their ranges, and do not exist in a core without the option."""
    core, without = PysimCore(SERIAL), PysimCore(preset("tiny"))
    for register, value in ((Register.STOP_MARGIN, 0x80000000), (Register.STOP_POINTS, 255), (Register.PROBE, 1)):
        assert core.write(Space.REGISTER, register, value) == 0
        assert core.read(Space.REGISTER, register) == value
        assert without.write(Space.REGISTER, register, 0) != 0
    assert core.write(Space.REGISTER, Register.STOP_POINTS, 256) != 0
    assert core.write(Space.REGISTER, Register.RIGHT, 0) != 0


@pytest.mark.parametrize("config", [BOTH, SERIAL], ids=["pipelined", "serial"])
def test_clocks(config: NetworkConfig) -> None:
    """A probe takes the predicted clocks; the step that stops those of a learning step; options off cost none."""
    predicted, off = predicted_cycles(config), predicted_cycles(config.with_(early_stop=False, probe=False))
    case = probing(config)
    run = Lockstep(config, case.parameters, case.weights, PysimCore(config))
    for one in case.stimuli[:5]:
        assert run.step(one) is None
        wanted = predicted.probe_step if one.probe else off.adapting_step
        assert run.backend.step_clocks == wanted
    case = stopping(config, margin=-(1 << 31), points=1)
    run = Lockstep(config, case.parameters, case.weights, PysimCore(config))
    assert run.step(case.stimuli[0]) is None
    assert run.backend.step_clocks == off.learning_step
    assert run.step(case.stimuli[1]) is None
    assert run.backend.step_clocks <= off.inference_step


def test_what_a_probe_sums_may_not_wrap() -> None:
    """The bug is caught; those of sim/planted.py have stored vectors (tests/sim/test_vectors.py)."""
    wrong = Bug("changes.py", "Mux(grown > fmt.max, fmt.max, grown)", "grown", "S wraps around")
    found = saturated(PysimCore(BOTH, make_core=lambda: planted(wrong).core.Core(BOTH, observe=True)))
    assert found is not None
    assert (found.kind, found.post) == ("change (memory)", 3)
