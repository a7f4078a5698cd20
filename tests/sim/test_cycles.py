"""Predicted clocks against the simulation, and the bounds of the specification."""

from __future__ import annotations

import pytest

from solsa.contract import PRESETS, BankKind, NetworkConfig, NeuronUnit, Readout
from solsa.contract.cycles import inference_bound, predicted_cycles, scheduled_bound, trace_bound
from solsa.sim.clocks import measure

MEASURED = [
    NetworkConfig(layers=(12, 64, 9), lanes=8, groups=4, max_steps=16),
    NetworkConfig(layers=(1, 1), lanes=1, readout=Readout.SPIKE, max_steps=16),
    NetworkConfig(layers=(2, 7, 3, 4), lanes=4, groups=8, readout=Readout.TARGET, max_steps=16),
    NetworkConfig(layers=(5, 16, 16, 16), lanes=16, groups=4, max_steps=16),
    # so many lanes that all they get passes a register more
    NetworkConfig(layers=(5, 40, 33, 4), lanes=32, groups=4, max_steps=16),
    # serial neuron unit and single-port banks, alone and together
    NetworkConfig(layers=(3, 5, 3), lanes=1, groups=2, max_steps=16, bank=BankKind.SINGLE_PORT),
    NetworkConfig(layers=(5, 9, 6, 4), lanes=4, groups=8, max_steps=16, neuron_unit=NeuronUnit.SERIAL),
    NetworkConfig(
        layers=(7, 11, 5, 3), lanes=1, readout=Readout.SPIKE, max_steps=16, neuron_unit=NeuronUnit.SERIAL,
        bank=BankKind.SINGLE_PORT,
    ),
    PRESETS["icebreaker"].with_(layers=(12, 17, 9), max_steps=16),
]  # fmt: skip


@pytest.mark.parametrize("config", MEASURED, ids=lambda c: f"{'-'.join(map(str, c.layers))}x{c.lanes}")
def test_prediction_equals_simulation(config: NetworkConfig) -> None:
    """Every kind of step, with every input and neuron active, takes exactly the predicted clocks."""
    found = measure(config)
    assert found.mismatch is None
    predicted = predicted_cycles(config)
    assert found.clocks == {name: {getattr(predicted, name)} for name in found.clocks}
    assert len(found.clocks) == 4


def test_inference_follows_activity() -> None:
    """Silent inputs cost no clocks: the step stays within the bound for its own activity."""
    found = measure(NetworkConfig(layers=(40, 8, 4), lanes=4, max_steps=16))
    spent = [clocks for _, clocks, _ in found.activity]
    assert all(clocks <= bound for _, clocks, bound in found.activity)
    assert spent == sorted(set(spent))


GEOMETRIES = [
    ((12, 64, 9), 1), ((12, 64, 9), 8), ((12, 64, 9), 64), ((20, 128, 10), 16), ((40, 100, 2), 4),
    ((160, 512, 32), 64), ((64, 64, 64, 10), 8), ((64, 64, 64, 10), 64), ((8, 256, 4), 32), ((100, 10), 2),
    ((16, 33, 17, 5), 8), ((256, 256, 16), 16), ((28, 128, 128, 10), 32), ((700, 256, 20), 64),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "lanes"), GEOMETRIES)
def test_bounds_of_the_specification(layers: tuple[int, ...], lanes: int) -> None:
    """SPEC section 4: clocks of inference, trace and scheduled steps."""
    config = NetworkConfig(layers=layers, lanes=lanes, groups=4)
    predicted = predicted_cycles(config)
    assert predicted.inference_step <= inference_bound(config)
    assert predicted.learning_step <= trace_bound(config)
    assert predicted.scheduled_step <= scheduled_bound(config)
