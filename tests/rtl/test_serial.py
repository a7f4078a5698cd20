"""The serial unit in lockstep with the golden model: every word of every kind of step, at narrow and default widths."""

from __future__ import annotations

import numpy as np
import pytest
from networks import FORMATS, make_case

from solsa.contract import BankKind, NetworkConfig, NeuronUnit, Readout, make_parameters
from solsa.sim.lockstep import Lockstep
from solsa.sim.pysim import PysimCore
from solsa.sim.records import StepInput

CONFIGS = {
    "membrane": NetworkConfig(layers=(3, 5, 3), lanes=2, groups=2),
    "spike": NetworkConfig(layers=(2, 3, 3, 2), lanes=1, groups=1, readout=Readout.SPIKE),
    "single-port": NetworkConfig(layers=(3, 3, 2), lanes=1, groups=4, bank=BankKind.SINGLE_PORT),
}
SERIAL = {"neuron_unit": NeuronUnit.SERIAL, "max_steps": 8, "surrogate_entries": 8, "frame_bytes": 128}


@pytest.mark.parametrize("formats", ["default", "narrow"])
@pytest.mark.parametrize("name", CONFIGS)
def test_serial_unit_equals_golden(name: str, formats: str, seed: int) -> None:
    """Learning and inference in turn; the narrow widths with parameters from the ends of their ranges too."""
    config = CONFIGS[name].with_(formats=FORMATS[formats], **SERIAL)
    for extreme in (False, True) if formats == "narrow" else (False,):
        case = make_case(config, seed, "RLL.LLr.L", extreme=extreme)
        # an update at nearly every step
        run = Lockstep(config, case.parameters.with_(schedule=(0, 1, 2, 4, 5)), case.weights, PysimCore(config))
        for stimulus in case.stimuli:
            found = run.step(stimulus)
            assert found is None, f"extreme {extreme}: {found}"
        assert sum(updated for _, updated, _ in run.clocks) >= 4


@pytest.mark.parametrize("share", [0.25, 0.4, 1.0])
def test_a_membrane_far_below_the_maximum_counts_for_nothing(share: float) -> None:
    """Its exponential underflows: more than 16 halvings, which the four bits of the shift do not hold."""
    config = NetworkConfig(layers=(2, 2), lanes=1, groups=1, **SERIAL)
    most = int(share * config.formats.weight.max)
    weights = [np.array([[most, most], [-most, -most]])]
    parameters = make_parameters(config, a=(0.5,), lam=(0.5,), rates=(0.01,), schedule=(0, 1))
    run = Lockstep(config, parameters, weights, PysimCore(config))
    full = np.full(2, config.formats.input.max)
    for label in (0, 1):
        assert run.step(StepInput(full, label, None, label == 0, learn=True)) is None
        assert run.trace is not None
        far = int(run.trace.layers[0].membrane[0] - run.trace.layers[0].membrane[1])
        assert far > 16 * np.log(2) * config.formats.membrane.one
