"""Rates per neuron in lockstep: option normalise, its words, clocks and registers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import FORMATS, Case, make_case, observed

from solsa.contract import ConfigError, LayerRegister, NetworkConfig, NeuronUnit, Readout, Register, Space
from solsa.contract.cycles import predicted_cycles
from solsa.contract.registers import layer_address
from solsa.sim.coverage import Observer
from solsa.sim.lockstep import Lockstep
from solsa.sim.pysim import PysimCore
from solsa.sim.readback import read_back
from solsa.sim.verify import run_case

CONFIG = NetworkConfig(
    layers=(2, 3, 2), lanes=4, groups=2, max_steps=8, surrogate_entries=4, frame_bytes=256, normalise=True, probe=True
)


def learning(config: NetworkConfig, seed: int = 3, *, limit: int = 3, shift: int = 2) -> Case:
    """Case in which every step is scheduled."""
    case = make_case(config, seed, "RLLLRL")
    top = config.formats.mean_error.width
    changed = case.parameters.with_(
        schedule=tuple(range(config.max_steps)), norm=((top - 6, limit), (top - 4, limit)), norm_shift=shift
    )
    return replace(case, parameters=changed)


@pytest.mark.parametrize(("readout", "formats"), [(Readout.MEMBRANE, "default"), (Readout.TARGET, "wide")])
def test_equals_golden(readout: Readout, formats: str) -> None:
    """Every word, the means among them when they are written and in memory; rates move both ways and to a limit."""
    config = CONFIG.with_(readout=readout, formats=FORMATS[formats])
    case = learning(config, limit=1)
    run, observer = Lockstep(config, case.parameters, case.weights, PysimCore(config)), Observer(case)
    for _ in observed(run, observer, case):
        assert run.backend.step_clocks == predicted_cycles(config.with_(normalise=False)).adapting_step
    assert read_back(run) is None
    assert any(layer.mean_error.any() for layer in run.golden.state.layers)
    assert observer.counts["normalise.first"]
    assert observer.counts["normalise.faster"] + observer.counts["normalise.slower"]
    assert observer.counts["normalise.limited"]


def test_a_probe_measures_with_the_means_as_they_are() -> None:
    case = learning(CONFIG)
    case = replace(case, stimuli=[replace(one, probe=2 <= i < 5) for i, one in enumerate(case.stimuli)])
    assert run_case(case, PysimCore(CONFIG)) is None


def test_the_host_sets_and_reads_the_means() -> None:
    """Their words lie behind the surrogate table; learning goes on from them."""
    core, case = PysimCore(CONFIG), learning(CONFIG)
    run = Lockstep(CONFIG, case.parameters, case.weights, core)
    words = np.arange(1, 6) << 20
    for i, value in enumerate(words.tolist()):
        assert core.write(Space.SURROGATE, CONFIG.surrogate_entries + i, value) == 0
    assert [core.read(Space.SURROGATE, CONFIG.surrogate_entries + i) for i in range(5)] == words.tolist()
    assert [core.read(Space.SURROGATE, i) for i in range(4)] == list(case.parameters.surrogate)
    run.golden.load_mean_errors([words[:3], words[3:]])
    for one in case.stimuli:
        assert run.step(one) is None
    assert read_back(run) is None


def test_registers() -> None:
    """They keep what is written within their ranges."""
    core = PysimCore(CONFIG)
    for address, value in (
        (Register.NORM_SHIFT, 8),
        (layer_address(0, LayerRegister.NORM_REFERENCE), 31),
        (layer_address(1, LayerRegister.NORM_LIMIT), 7),
    ):
        assert core.write(Space.REGISTER, address, value) == 0
        assert core.read(Space.REGISTER, address) == value
        assert core.write(Space.REGISTER, address, value + 1) != 0


def test_the_serial_unit_has_none() -> None:
    with pytest.raises(ConfigError, match="normalise with the serial neuron unit"):
        CONFIG.with_(neuron_unit=NeuronUnit.SERIAL)
