"""Predicted clocks against the simulation, and the bounds of the specification."""

from __future__ import annotations

import numpy as np
import pytest

from solsa.contract import PRESETS, BankKind, NetworkConfig, NeuronUnit, Readout, make_parameters
from solsa.contract.cycles import inference_bound, predicted_cycles, scheduled_bound, trace_bound
from solsa.sim.build import QUICK
from solsa.sim.compiled import CompiledCore
from solsa.sim.lockstep import Lockstep
from solsa.sim.records import StepInput

MEASURED = [
    NetworkConfig(layers=(12, 64, 9), lanes=8, groups=4, max_steps=16),
    NetworkConfig(layers=(1, 1), lanes=1, readout=Readout.SPIKE, max_steps=16),
    NetworkConfig(layers=(2, 7, 3, 4), lanes=4, groups=8, readout=Readout.TARGET, max_steps=16),
    NetworkConfig(layers=(5, 16, 16, 16), lanes=16, groups=4, max_steps=16),
    # serial neuron unit and single-port banks, alone and together
    NetworkConfig(layers=(3, 5, 3), lanes=1, groups=2, max_steps=16, bank=BankKind.SINGLE_PORT),
    NetworkConfig(layers=(5, 9, 6, 4), lanes=4, groups=8, max_steps=16, neuron_unit=NeuronUnit.SERIAL),
    NetworkConfig(
        layers=(7, 11, 5, 3), lanes=1, readout=Readout.SPIKE, max_steps=16, neuron_unit=NeuronUnit.SERIAL,
        bank=BankKind.SINGLE_PORT,
    ),
    PRESETS["icebreaker"].with_(layers=(12, 17, 9), max_steps=16),
]  # fmt: skip


def _constants(config: NetworkConfig) -> tuple[float, ...]:
    return tuple(float(v) for v in np.linspace(0.3, 0.9, config.groups))


@pytest.mark.parametrize("config", MEASURED, ids=lambda c: f"{'-'.join(map(str, c.layers))}x{c.lanes}")
def test_prediction_equals_simulation(config: NetworkConfig) -> None:
    """Every kind of step, with every input and neuron active, takes exactly the predicted clocks."""
    rng = np.random.default_rng(0)
    constants = _constants(config)
    parameters = make_parameters(
        config, a=constants, lam=constants, theta=-2000, rates=(0.01,) * config.depth,
        adapt_rates=(1e-4,) * config.depth, schedule=(0, 2, 4),
    )  # fmt: skip
    weights = [rng.integers(-8000, 8000, (config.post(i), config.pre(i))) for i in range(config.depth)]
    run = Lockstep(config, parameters, weights, CompiledCore(config, level=QUICK))
    seen: dict[str, set[int]] = {}
    for step in range(40):
        learn, adapt = step % 20 < 10, step % 40 < 20
        target = rng.integers(-3000, 3000, config.outputs) if config.readout is Readout.TARGET else None
        label = int(rng.integers(config.outputs))
        x = rng.integers(1, 127, config.inputs)
        assert run.step(StepInput(x, label, target, step % 10 == 0, learn, adapt)) is None
        learned, updated, clocks = run.clocks[-1]
        kind = ("adapting" if adapt else "scheduled") if updated else "learning" if learned else "inference"
        seen.setdefault(f"{kind}_step", set()).add(clocks)
    predicted = predicted_cycles(config)
    assert seen == {name: {getattr(predicted, name)} for name in seen}
    assert len(seen) == 4


def test_inference_follows_activity() -> None:
    """Silent inputs cost no clocks: the step stays within the bound for its own activity."""
    config = NetworkConfig(layers=(40, 8, 4), lanes=4, max_steps=16)
    parameters = make_parameters(config, a=(0.5,), lam=(0.5,), theta=2000)
    weights = [np.ones((config.post(i), config.pre(i)), dtype=np.int64) for i in range(config.depth)]
    run = Lockstep(config, parameters, weights, CompiledCore(config, level=QUICK))
    clocks = {}
    for active in (0, 1, 10, 40):
        x = np.zeros(40, dtype=np.int64)
        x[:active] = 5
        assert run.step(StepInput(x, reset=True)) is None
        clocks[active] = run.clocks[-1][2]
        assert clocks[active] <= inference_bound(config, [active, 0])
    assert clocks[0] < clocks[10] < clocks[40]


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
