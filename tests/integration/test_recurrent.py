"""Recurrent layers (option ``recurrent``) in lockstep: every unit and bank, exact clocks, and no second half."""

from __future__ import annotations

from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib.memory import Memory
from networks import Case, make_case

from solsa.contract import BankKind, NetworkConfig, NeuronUnit, Readout
from solsa.contract.cycles import predicted_cycles
from solsa.golden import GoldenCore
from solsa.rtl import presynaptic
from solsa.rtl.halves import Halves
from solsa.sim import shrink
from solsa.sim.coverage import Observer
from solsa.sim.lockstep import Lockstep, Mismatch
from solsa.sim.pysim import PysimCore
from solsa.sim.readback import read_back

#: Two recurrent layers; as few words to load as can be. The second has two blocks.
OWN = NetworkConfig(
    layers=(2, 2, 3, 2), lanes=2, groups=2, max_steps=4, surrogate_entries=4, frame_bytes=256, recurrent=True
)
SERIAL = OWN.with_(
    layers=(1, 2, 2), lanes=1, neuron_unit=NeuronUnit.SERIAL, bank=BankKind.SINGLE_PORT, readout=Readout.SPIKE
)
KINDS = {"single port": OWN.with_(bank=BankKind.SINGLE_PORT, readout=Readout.TARGET), "serial": SERIAL}


def firing(config: NetworkConfig, learn: str, seed: int = 2) -> Case:
    """Case whose neurons fire at some steps and not at others: thresholds near what their weights give."""
    case = make_case(config, seed, learn)
    return replace(case, parameters=case.parameters.with_(theta=(config.formats.threshold.one // 8,) * config.depth))


def first_mismatch(case: Case, observer: Observer | None = None) -> Mismatch | None:
    """First word that differs, those that are read back at the end included."""
    run = Lockstep(case.config, case.parameters, case.weights, PysimCore(case.config))
    for one in case.stimuli:
        found = run.step(one)
        if found is not None:
            return found
        if observer is not None:
            assert run.trace is not None
            observer.step(one, run.trace)
    return read_back(run)


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_lockstep(config: NetworkConfig) -> None:
    """Learning, inference, one after the other, and samples that begin after one that fired."""
    case = firing(config, "RLLL.LR.Lr.", seed=9)
    observer = Observer(case)
    found = first_mismatch(case, observer)
    assert found is None, str(found)
    for point in ("spikes_before", "spikes_of_the_sample_before", "several_blocks"):
        assert observer.counts[f"recurrent.{point}"], point
    assert observer.counts["spikes.some"]


@pytest.mark.parametrize("config", [OWN, SERIAL], ids=["two lanes", "serial"])
def test_clocks(config: NetworkConfig) -> None:
    """Every neuron fires: each kind of step takes the predicted clocks, the first inference of a sample fewer."""
    predicted = predicted_cycles(config)
    case = firing(config, "RLL.r")
    low = case.parameters.with_(theta=(config.formats.threshold.min,) * config.depth, schedule=(1,))
    run = Lockstep(config, low, case.weights, PysimCore(config))
    spent = []
    for one in case.stimuli:
        inputs = one.inputs * 0 + 1
        assert run.step(replace(one, inputs=inputs)) is None
        spent.append(run.backend.step_clocks)
    learning, inference = predicted.learning_step, predicted.inference_step
    assert spent[:-1] == [learning, predicted.adapting_step, learning, inference]
    assert spent[-1] < inference


class OneHalf(Halves):
    """What a core without a second half would be: own spikes of this step where those of the step before are read."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name in ("x", "list"):
            port = getattr(self, f"{name}_read")
            memory = Memory(shape=port.data.shape(), depth=self._depth, init=[])
            m.submodules[f"{name}_memory"] = memory
            read = memory.read_port()
            m.d.comb += [read.addr.eq(port.addr), port.data.eq(read.data)]
            for source in (getattr(self, f"{name}_now"), getattr(self, f"{name}_next")):
                write = memory.write_port()
                for field in ("en", "addr", "data"):
                    m.d.sync += getattr(write, field).eq(getattr(source, field))
        return m


def test_one_half_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later blocks would see spikes of this step; with a lane for every neuron there is only one block."""
    monkeypatch.setattr(presynaptic, "Halves", OneHalf)
    config = OWN.with_(layers=(2, 5, 2), lanes=1, groups=1)
    case = firing(config, "RLr.", seed=4)
    found = first_mismatch(case)
    assert found is not None
    assert (found.layer, found.kind) == (0, "current")
    assert found.post > 0
    assert first_mismatch(replace(case, config=config.with_(lanes=8))) is None


def test_a_failure_can_be_shrunk() -> None:
    """Every smaller network is whole; a layer that becomes the readout loses its own spikes, as does one without."""
    case = make_case(OWN.with_(layers=(2, 4, 3, 2)), 0, "RL.")
    found = list(shrink._smaller_networks(case))
    for smaller in found:
        golden = GoldenCore(smaller.config, smaller.parameters, smaller.weights)
        for one in smaller.stimuli:
            golden.step(one.inputs, label=one.label, learn=one.learn)
    sizes = {one.config.layers: one for one in found if one.config.recurrent}
    own = case.weights[0][:2, [0, 1, 2, 3]]
    assert sizes[2, 2, 3, 2].weights[0].tolist() == own.tolist()
    assert sizes[4, 3, 2].weights[0].tolist() == case.weights[1].tolist()
    assert sizes[2, 4, 3].weights[1].tolist() == case.weights[1][:, :4].tolist()
    assert any(not one.config.recurrent and one.config.layers == case.config.layers for one in found)
