"""The serial unit in lockstep with the golden model: every word of every kind of step, at narrow and default widths."""

from __future__ import annotations

import pytest
from networks import FORMATS, make_case

from solsa.contract import BankKind, NetworkConfig, NeuronUnit, Readout
from solsa.sim.lockstep import Lockstep
from solsa.sim.pysim import PysimCore

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
