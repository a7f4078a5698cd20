"""Memories of the core through its bus: every word at its own place, lanes without a post never hold anything."""

from __future__ import annotations

import numpy as np
import pytest

from solsa.contract import BankKind, Layout, NetworkConfig, NeuronUnit, Space, make_parameters
from solsa.contract.registers import space_words
from solsa.contract.wire import Status
from solsa.sim.lockstep import Lockstep
from solsa.sim.pysim import PysimCore
from solsa.sim.records import StepInput

CONFIGS = {
    "lanes": NetworkConfig(layers=(3, 3, 2), lanes=4, groups=2, max_steps=4, surrogate_entries=4),
    "one lane": NetworkConfig(layers=(3, 2, 1), lanes=1, groups=1, max_steps=4, surrogate_entries=4),
    "small": NetworkConfig(layers=(3, 2, 1), lanes=1, groups=1, max_steps=4, surrogate_entries=4,
                           neuron_unit=NeuronUnit.SERIAL, bank=BankKind.SINGLE_PORT),
}  # fmt: skip


def synapses(config: NetworkConfig) -> set[int]:
    """Indices of the words that belong to a synapse."""
    layout, found = Layout(config), set()
    for layer in range(config.depth):
        for post in range(config.post(layer)):
            for pre in range(config.pre(layer)):
                lane, address = layout.synapse_address(layer, post, pre)
                found.add(address * config.lanes + lane)
    return found


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_words_are_read_back(config: NetworkConfig) -> None:
    """A different word in every place of every memory; what belongs to no synapse keeps zero."""
    core, words, real = PysimCore(config), space_words(config), synapses(config)
    f = config.formats
    wanted: dict[Space, list[int]] = {}
    for space, low, high in ((Space.WEIGHT, f.weight.min, f.weight.max), (Space.TRACE, f.trace.min, f.trace.max),
                             (Space.SURROGATE, 0, f.surrogate.max), (Space.SCHEDULE, 0, 1)):  # fmt: skip
        values = [low + (37 * (index + 1) + space) % (high - low + 1) for index in range(words[space])]
        for index, value in enumerate(values):
            assert core.write(space, index, value) == Status.OK
        padded = space in (Space.WEIGHT, Space.TRACE)
        wanted[space] = [value if not padded or index in real else 0 for index, value in enumerate(values)]
    for space, values in wanted.items():
        # backwards: no word may depend on the one read before
        got = {index: core.read(space, index) for index in reversed(range(words[space]))}
        assert [got[index] for index in range(words[space])] == [value & 0xFFFFFFFF for value in values]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_step_leaves_lanes_without_a_post_alone(config: NetworkConfig) -> None:
    parameters = make_parameters(
        config, a=(0.5,) * config.groups, lam=(0.5,) * config.groups, theta=-1.0, rates=(0.1,) * config.depth,
        schedule=(1,),
    )  # fmt: skip
    weights = [np.full((config.post(i), config.pre(i)), 100) for i in range(config.depth)]
    core = PysimCore(config)
    run = Lockstep(config, parameters, weights, core)
    for step in range(3):
        found = run.step(StepInput(np.array([50, -50, 90]), 0, None, step == 0, True, False))
        assert found is None, str(found)
    real = synapses(config)
    for space in (Space.WEIGHT, Space.TRACE):
        others = [core.read(space, index) for index in range(space_words(config)[space]) if index not in real]
        assert not any(others)
