"""Addresses: every word has its own place inside its bank; sizes against a count by hand."""

from __future__ import annotations

from itertools import product

import pytest

from solsa.contract import Layout, NetworkConfig, Readout, Space
from solsa.contract.registers import space_words

GEOMETRIES = [
    NetworkConfig(layers=layers, lanes=lanes, groups=groups)
    for layers, lanes, groups in product([(3, 5, 3), (7, 13), (2, 1, 9, 4)], [1, 2, 4, 8], [1, 2, 4, 8])
]
GEOMETRIES += [config.with_(recurrent=True) for config in GEOMETRIES if config.depth > 1 and config.groups == 4]


def _name(config: NetworkConfig) -> str:
    return f"{'-'.join(map(str, config.layers))} P{config.lanes} G{config.groups}{' own' if config.recurrent else ''}"


@pytest.mark.parametrize("config", GEOMETRIES, ids=_name)
def test_synapse_addresses(config: NetworkConfig) -> None:
    layout, seen = Layout(config), set()
    for layer in range(config.depth):
        for post, pre in product(range(config.post(layer)), range(config.pre(layer))):
            lane, address = layout.synapse_address(layer, post, pre)
            assert lane == post % config.lanes
            assert 0 <= address < layout.synapse_depth
            seen.add((lane, address))
    assert len(seen) == config.synapses
    assert layout.synapse_depth * config.lanes >= config.synapses
    # the neighbours of a post walk through its bank one by one
    assert layout.synapse_address(0, 0, 1)[1] == layout.synapse_address(0, 0, 0)[1] + 1
    assert layout.synapse_base == tuple(layout.synapse_address(i, 0, 0)[1] for i in range(config.depth))


@pytest.mark.parametrize("config", GEOMETRIES, ids=_name)
def test_filter_addresses(config: NetworkConfig) -> None:
    layout, seen = Layout(config), set()
    assert layout.filter_banks == min(config.lanes, config.groups)
    assert layout.filter_banks * layout.filter_slots == config.groups
    for layer in range(config.depth):
        for pre, group in product(range(config.pre(layer)), range(config.groups)):
            bank, address = layout.filter_address(layer, pre, group)
            assert 0 <= bank < layout.filter_banks
            assert 0 <= address < layout.filter_depth
            seen.add((bank, address))
            # every post finds its group in the bank that its lane is wired to, in the slot that its block selects
            for post in range(group, config.post(layer), config.groups):
                block, lane = divmod(post, config.lanes)
                assert lane % layout.filter_banks == bank
                slot = block % layout.filter_slots
                assert address == (layout.pre_base[layer] + pre) * layout.filter_slots + slot
    assert len(seen) == config.groups * layout.pre_depth == layout.filter_banks * layout.filter_depth


@pytest.mark.parametrize("config", GEOMETRIES, ids=_name)
def test_bases_and_depths(config: NetworkConfig) -> None:
    layout = Layout(config)
    blocks = [-(-m // config.lanes) for m in config.layers[1:]]
    own = [m if config.recurrent else 0 for m in config.layers[1:-1]] + [0]
    pres = [n + m for n, m in zip(config.layers[:-1], own, strict=True)]
    assert [layout.blocks(i) for i in range(config.depth)] == blocks
    for sizes, base, depth in (
        (blocks, layout.block_base, layout.block_depth),
        (pres, layout.pre_base, layout.pre_depth),
        (config.layers[1:], layout.post_base, layout.post_depth),
        ([b * n for b, n in zip(blocks, pres, strict=True)], layout.synapse_base, layout.synapse_depth),
    ):
        assert base == tuple(sum(sizes[:i]) for i in range(config.depth))
        assert depth == sum(sizes)


def test_filter_slots_by_hand() -> None:
    """P < G: several words per pre and bank; P >= G: one bank per group."""
    few = Layout(NetworkConfig(layers=(3, 9), lanes=2, groups=8))
    assert (few.filter_banks, few.filter_slots, few.filter_depth) == (2, 4, 12)
    assert [few.filter_address(0, 1, g) for g in range(8)] == [(g % 2, 4 + g // 2) for g in range(8)]
    many = Layout(NetworkConfig(layers=(3, 9), lanes=8, groups=2))
    assert (many.filter_banks, many.filter_slots, many.filter_depth) == (2, 1, 3)
    assert [many.filter_address(0, 2, g) for g in range(2)] == [(0, 2), (1, 2)]


def test_state_bits_by_hand() -> None:
    """3-5-3, two groups: 30 synapses, 8 posts, 8 pre-synaptic signals, 2 layers."""
    layout = Layout(NetworkConfig(layers=(3, 5, 3), lanes=2, groups=2))
    assert layout.state_bits() == {
        "weights": 30 * 16,
        "eligibility_traces": 30 * 16,
        "filter_traces": 2 * 8 * 16,
        "neurons": 8 * (24 + 24 + 1 + 15 + 16),
        "adaptive_filters": 8 * (24 + 24) + 2 * 2 * (24 + 16),
        "errors": 8 * (18 + 18),
    }


def test_bptt_bits_by_hand() -> None:
    """The same network over 29 steps: 3 graded inputs and 5 spikes, current and membrane of 8 posts per step."""
    layout = Layout(NetworkConfig(layers=(3, 5, 3), lanes=2, groups=2))
    found = layout.bptt_bits(29)
    assert found == {
        "weights": 30 * 16,
        "gradients": 30 * 16,
        "history": 29 * (3 * 8 + 5 + 8 * (24 + 24)),
        "backward_state": 8 * (18 + 24 + 24),
    }
    assert layout.bptt_bits(58)["history"] == 2 * found["history"]


def test_bits_of_a_recurrent_network_by_hand() -> None:
    """25 more synapses and 5 more pre-synaptic signals; BPTT keeps no spike twice."""
    plain = Layout(NetworkConfig(layers=(3, 5, 3), lanes=2, groups=2))
    found = Layout(plain.config.with_(recurrent=True))
    more = {"weights": 25 * 16, "eligibility_traces": 25 * 16, "filter_traces": 2 * 5 * 16}
    assert found.state_bits() == {name: bits + more.get(name, 0) for name, bits in plain.state_bits().items()}
    more = {"weights": 25 * 16, "gradients": 25 * 16}
    assert found.bptt_bits(29) == {name: bits + more.get(name, 0) for name, bits in plain.bptt_bits(29).items()}


def test_space_words_by_hand() -> None:
    config = NetworkConfig(layers=(3, 5, 3), lanes=2, groups=4, readout=Readout.SPIKE, max_steps=16)
    assert space_words(config) == {
        Space.REGISTER: 0x140 + 8 * 2,
        Space.WEIGHT: 2 * (3 * 3 + 2 * 5),
        Space.TRACE: 2 * (3 * 3 + 2 * 5),
        Space.FILTER: 4 * 8,
        Space.NEURON: 8 * 8,
        Space.SCHEDULE: 16,
        Space.SURROGATE: 64,
        Space.SCORE: 3,
    }
    assert space_words(config.with_(probe=True)) == space_words(config) | {Space.SCHEDULE: 32}
