"""The fit check against the netlist, and its lines."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from amaranth.back import rtlil

from solsa.boards.board import ECP5
from solsa.boards.fit import (
    Multiplier,
    Ram,
    blocks,
    capacity,
    check_fit,
    memories,
    multiplier_blocks,
    multipliers,
    needs,
)
from solsa.boards.ulx3s import ULX3S_85F
from solsa.contract import ConfigError, NetworkConfig, Readout, preset
from solsa.rtl.top import Device

CONFIGS = {
    "vowels": preset("vowels"),
    "icebreaker": preset("icebreaker"),
    "spike, three layers": NetworkConfig(layers=(20, 33, 17, 5), lanes=4, groups=2, readout=Readout.SPIKE),
    "target, one layer": NetworkConfig(layers=(7, 3), lanes=1, groups=8, readout=Readout.TARGET),
}
_CELL = re.compile(r"  cell \$mul .*?\n(.*?)\n  end\n", re.DOTALL)


def netlist(config: NetworkConfig) -> str:
    return rtlil.convert(Device(config, divisor=25), name="top", emit_src=False)


@pytest.mark.parametrize("name", CONFIGS)
def test_lists_of_memories_and_multipliers_are_those_of_the_netlist(name: str) -> None:
    config = CONFIGS[name]
    text = netlist(config)
    found = Counter((int(w), int(d)) for w, d in re.findall(r"memory width (\d+) size (\d+)", text))
    expected: Counter[tuple[int, int]] = Counter()
    for ram in memories(config):
        expected[ram.width, ram.depth] += ram.count
    assert found == expected

    products: Counter[tuple[int, ...]] = Counter()
    for body in _CELL.findall(text):
        widths = [int(re.search(rf"\\{side}_WIDTH (\d+)", body)[1]) for side in "AB"]  # type: ignore[index]
        if min(widths) > 4:  # layer*groups and the like are indices, made of a few LUTs
            products[tuple(sorted(widths))] += 1
    listed: Counter[tuple[int, ...]] = Counter()
    for multiplier in multipliers(config):
        listed[tuple(sorted((multiplier.left, multiplier.right)))] += multiplier.count
    assert products == listed


def test_predictions_are_what_the_tools_counted() -> None:
    """The first stands in docs/results/boards/, the second was counted after yosys' memory and multiplier mapping."""
    found = needs(preset("vowels"), ECP5)
    assert (found.bram, found.dsp, found.bank_bram) == (15, 39, 1)
    found = needs(NetworkConfig(layers=(152, 448, 64), lanes=64, groups=4), ECP5)
    assert (found.bram, found.dsp, found.bank_bram) == (208, 151, 3)


@pytest.mark.parametrize(
    ("width", "depth", "count"),
    [(32, 512, 1), (32, 513, 2), (36, 1536, 3), (37, 512, 2), (8, 1024, 1), (16, 1024, 1), (1, 16384, 1), (1, 16385, 2),
     (32, 16, 0), (16, 76, 0), (128, 73, 4)],
)  # fmt: skip
def test_block_rams_of_a_memory(width: int, depth: int, count: int) -> None:
    assert blocks(Ram("m", width, depth), ECP5) == count


@pytest.mark.parametrize(("left", "right", "count"), [(16, 18, 1), (18, 18, 1), (24, 17, 2), (24, 24, 4), (37, 18, 3)])
def test_blocks_of_a_multiplier(left: int, right: int, count: int) -> None:
    assert multiplier_blocks(Multiplier("m", left, right), ECP5) == count


def test_a_network_larger_than_the_chip_is_refused_with_what_would_fit() -> None:
    config = NetworkConfig(layers=(12, 1024, 128, 9), lanes=8)
    with pytest.raises(ConfigError) as caught:
        check_fit(config, ULX3S_85F)
    room = capacity(config, ULX3S_85F)
    assert room < config.synapses
    assert str(caught.value).startswith(f"ulx3s_85f holds {room} synapses with 8 lanes; 12-1024-128-9 needs 144512 (")
    assert "\n" not in str(caught.value)


def test_what_the_line_says_would_fit_fits() -> None:
    config = NetworkConfig(layers=(128, 512, 64), lanes=8)
    room = capacity(config, ULX3S_85F)
    fits = NetworkConfig(layers=(room // 512 - 64, 512, 64), lanes=8)
    check_fit(fits, ULX3S_85F)
    assert fits.synapses == room
    with pytest.raises(ConfigError, match=r"holds"):
        check_fit(fits.with_(layers=(room // 512 - 63, 512, 64)), ULX3S_85F)


def test_words_lost_to_ragged_blocks_are_counted() -> None:
    config = NetworkConfig(layers=(1000, 65, 1), lanes=64)  # 65000 synapses, but two blocks of 64 posts
    with pytest.raises(ConfigError, match=r"needs \d+ words, whole blocks of posts counted"):
        check_fit(config.with_(frame_bytes=2048, layers=(1000, 65, 9)), ULX3S_85F)


def test_too_many_lanes_for_the_multipliers_are_refused_with_how_many_would_fit() -> None:
    config = NetworkConfig(layers=(12, 64, 9), lanes=128)
    line = r"ulx3s_85f has 156 multipliers, enough for 64 lanes; 12-64-9 with 128 lanes needs 276"
    with pytest.raises(ConfigError, match=line):
        check_fit(config, ULX3S_85F)
    check_fit(config.with_(lanes=64), ULX3S_85F)
