"""The core at exact edges that random stimuli hardly meet; golden beside it, and the expected word by hand."""

from __future__ import annotations

import numpy as np
import pytest
from networks import NARROW

from solsa.contract import Layout, NetworkConfig, Space, make_parameters
from solsa.sim.lockstep import Lockstep
from solsa.sim.pysim import PysimCore
from solsa.sim.records import StepInput

CONFIG = NetworkConfig(layers=(1, 3, 1), lanes=2, groups=1, max_steps=4, surrogate_entries=4, frame_bytes=64)


@pytest.mark.parametrize("learn", [False, True], ids=["inference", "learning"])
def test_a_neuron_at_the_threshold_does_not_fire(learn: bool) -> None:
    """V = theta is not above theta; one step of V more is."""
    f = CONFIG.formats
    theta = 1 << f.threshold.frac
    parameters = make_parameters(CONFIG, a=(0.0,), lam=(0.0,), theta=1.0)
    drop = f.operations()["current_sum"].shift
    # x = 1.0 makes V = I = w in the format of V; weights one below, at and one above the threshold
    at = theta << drop >> f.input.frac
    one = (1 << drop) >> f.input.frac
    weights = [np.array([[at - one], [at], [at + one]]), np.zeros((1, 3), dtype=np.int64)]
    run = Lockstep(CONFIG, parameters, weights, PysimCore(CONFIG))
    found = run.step(StepInput(np.array([f.input.one]), 0, None, True, learn, False))
    assert found is None, str(found)
    layer = run.golden.state.layers[0]
    assert layer.membrane.tolist() == [theta - 1, theta, theta + 1]
    assert layer.spike.tolist() == [0, 0, 1]


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sum_of_a_wide_layer(sign: int) -> None:
    """Every input and weight at the end of its range: the accumulator holds the exact sum, then I saturates."""
    config = NetworkConfig(layers=(9, 2), lanes=1, groups=1, max_steps=4, surrogate_entries=4, frame_bytes=64)
    f = config.formats
    weights = [np.full((2, 9), f.weight.min if sign < 0 else f.weight.max)]
    run = Lockstep(config, make_parameters(config, a=(0.5,), lam=(0.5,)), weights, PysimCore(config))
    for step in range(2):
        found = run.step(StepInput(np.full(9, f.input.min), 0, None, step == 0, True, False))
        assert found is None, str(found)
    exact = 9 * f.input.min * int(weights[0][0, 0])
    assert exact.bit_length() > f.weight.width + f.input.width - 1  # more than one product has bits


def test_words_of_groups_without_a_post_stay() -> None:
    """F of a group that no post belongs to is never written."""
    config = NetworkConfig(layers=(2, 1, 1), lanes=4, groups=4, max_steps=4, surrogate_entries=4, frame_bytes=64)
    core, layout = PysimCore(config), Layout(config)
    parameters = make_parameters(config, a=(0.5,) * 4, lam=(0.5,) * 4, theta=-1.0)
    weights = [np.ones((config.post(i), config.pre(i)), dtype=np.int64) for i in range(config.depth)]
    run = Lockstep(config, parameters, weights, core)
    for step in range(3):
        found = run.step(StepInput(np.array([20, -30]), 0, None, step == 0, True, False))
        assert found is None, str(found)
    for layer in range(config.depth):
        for pre in range(config.pre(layer)):
            words = []
            for group in range(config.groups):
                bank, address = layout.filter_address(layer, pre, group)
                words.append(core.read(Space.FILTER, address * layout.filter_banks + bank))
            assert words[0] != 0
            assert words[1:] == [0, 0, 0]


def test_filter_traces_saturate() -> None:
    """Inputs at the end of their range through filters that hardly decay: F stops at the end of its format."""
    config = NetworkConfig(layers=(3, 1), lanes=1, groups=1, max_steps=4, surrogate_entries=4, formats=NARROW)
    f = config.formats
    run = Lockstep(
        config, make_parameters(config, a=(0.99,), lam=(0.5,)), [np.zeros((1, 3), dtype=np.int64)], PysimCore(config)
    )
    for step in range(6):
        found = run.step(StepInput(np.array([f.input.max, f.input.min, 0]), 0, None, step == 0, True, False))
        assert found is None, str(found)
    assert run.golden.state.layers[0].filter.tolist() == [[f.trace.max, f.trace.min, 0]]
