"""The fit check against what the tools counted, and its lines."""

from __future__ import annotations

import pytest

from solsa.boards.catalogue import BOARDS
from solsa.boards.families import ECP5, GW1N, ICE40
from solsa.boards.fit import blocks, capacity, check_fit, lanes_that_fit, multiplier_blocks, needs
from solsa.boards.survey import Multiplier, Ram, is_bank, survey
from solsa.contract import BankKind, ConfigError, Layout, NetworkConfig, preset

ULX3S_25F, ULX3S_85F, UP5K = BOARDS["ulx3s_25f"], BOARDS["ulx3s_85f"], BOARDS["icebreaker"].chip


def test_the_survey_finds_the_memories_of_the_layout() -> None:
    config = NetworkConfig(layers=(20, 33, 17, 5), lanes=4, groups=2)
    layout, found = Layout(config), {(ram.name, ram.width, ram.depth): ram.count for ram in survey(config).memories}
    word = config.formats.weight.width + config.formats.trace.width
    assert [n for (name, *shape), n in found.items() if is_bank(name) and shape == [word, layout.synapse_depth]] == [4]
    assert found["core.lanes.lane#.gains", config.formats.gain.width, layout.block_depth] == 4
    assert found["core.presynaptic.filter#", config.formats.trace.width, layout.filter_depth] == layout.filter_banks
    assert found["core.control.schedule", 1, config.max_steps] == 1
    assert found["link.bytes.receiver.buffer", 8, config.frame_bytes] == 1


def test_the_survey_finds_two_multipliers_in_every_lane() -> None:
    found = [m for m in survey(preset("vowels")).multipliers if m.name == "core.lanes.lane#"]
    assert sum(m.count for m in found) == 2 * 8
    assert not any(min(m.left, m.right) < 5 for m in survey(preset("vowels")).multipliers)


def test_single_port_banks_are_rams_of_the_up5k_and_memories_elsewhere() -> None:
    config = preset("icebreaker")
    assert survey(config, "iCE40UP5K").spram == 4
    assert not any(is_bank(ram.name) for ram in survey(config, "iCE40UP5K").memories)
    elsewhere = survey(config, "LFE5U-25F")
    assert elsewhere.spram == 0
    assert sum(ram.count for ram in elsewhere.memories if is_bank(ram.name)) == 4


def test_predictions_are_what_the_tools_counted() -> None:
    """Stands in docs/results/boards/ulx3s_85f-vowels.json."""
    found = needs(preset("vowels"), ULX3S_85F.chip)
    assert (found.bram, found.dsp, found.bank_bram) == (15, 39, 1)


@pytest.mark.parametrize(
    ("width", "depth", "count"),
    [(32, 512, 1), (32, 513, 2), (36, 1536, 3), (37, 512, 2), (8, 1024, 1), (16, 1024, 1), (1, 16384, 1), (1, 16385, 2),
     (32, 16, 0), (16, 76, 0), (128, 73, 4)],
)  # fmt: skip
def test_block_rams_of_a_memory(width: int, depth: int, count: int) -> None:
    assert blocks(Ram("m", width, depth), ECP5) == count


@pytest.mark.parametrize(("left", "right", "count"), [(16, 18, 1), (18, 18, 1), (24, 17, 2), (24, 24, 4)])
def test_blocks_of_a_multiplier(left: int, right: int, count: int) -> None:
    assert multiplier_blocks(Multiplier("m", left, right), ECP5) == count


def test_a_network_larger_than_the_chip_is_refused_with_what_would_fit() -> None:
    config = NetworkConfig(layers=(12, 256, 128, 9), lanes=2)
    with pytest.raises(ConfigError) as caught:
        check_fit(config, ULX3S_25F)
    room = max(capacity(config.with_(lanes=lanes), ULX3S_25F.chip) for lanes in (1, 2))
    assert room < config.synapses
    assert str(caught.value).startswith(f"ulx3s_25f holds {room} synapses; 12-256-128-9 needs 36992 (")
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_what_the_line_says_would_fit_fits() -> None:
    config = NetworkConfig(layers=(64, 128, 64), lanes=2)
    room = capacity(config, ULX3S_25F.chip)
    fits = NetworkConfig(layers=(room // 128 - 64, 128, 64), lanes=2)
    check_fit(fits, ULX3S_25F)
    more = fits.with_(layers=(fits.layers[0] + 8, 128, 64))
    assert needs(more, ULX3S_25F.chip).over(ULX3S_25F.chip).endswith("block RAMs of 56")


def test_too_many_lanes_for_the_multipliers_are_refused_with_how_many_would_fit() -> None:
    line = r"^12-64-9 with 8 lanes needs 39 multipliers of 28 on ulx3s_25f, enough for --lanes 2$"
    with pytest.raises(ConfigError, match=line):
        check_fit(preset("vowels"), ULX3S_25F)
    assert lanes_that_fit(preset("vowels"), ULX3S_25F.chip) == 2


@pytest.mark.parametrize(
    ("left", "right", "ice40", "gowin"),
    [(16, 18, 2, 1), (16, 16, 1, 1), (24, 17, 2, 2), (20, 17, 2, 1), (17, 17, 1, 1), (24, 24, 4, 4), (24, 15, 2, 2)],
)  # fmt: skip
def test_multipliers_of_other_families(left: int, right: int, ice40: int, gowin: float) -> None:
    assert multiplier_blocks(Multiplier("m", left, right), ICE40) == ice40
    assert multiplier_blocks(Multiplier("m", right, left), GW1N) == gowin


def test_what_the_small_core_takes_of_the_up5k() -> None:
    found = needs(preset("icebreaker"), UP5K)
    assert (found.spram, found.dsp, found.bank_bram) == (4, 4, 0)
    assert found.over(UP5K) == ""


def test_a_network_larger_than_the_single_port_ram_is_refused_with_what_would_fit() -> None:
    config = preset("icebreaker").with_(layers=(12, 256, 128, 9))
    assert config.bank is BankKind.SINGLE_PORT
    with pytest.raises(ConfigError) as caught:
        check_fit(config, BOARDS["icebreaker"])
    assert str(caught.value) == ("icebreaker holds 32768 synapses; 12-256-128-9 needs 36992 (8 single-port RAMs of 4)")
    assert capacity(config, UP5K) == 4 * (1 << 14) // 2  # weight and trace lie in a RAM each


def test_a_chip_too_small_for_one_lane_says_so() -> None:
    config = preset("tiny")
    with pytest.raises(ConfigError, match=r"^icebreaker is too small for this core: 3-5-3 with one lane needs \d+ "):
        check_fit(config, BOARDS["icebreaker"])


def test_many_neurons_do_not_fit_though_their_synapses_would() -> None:
    config = preset("icebreaker").with_(layers=(12, 256, 112, 9))  # 32752 synapses
    with pytest.raises(ConfigError, match=r"^icebreaker is too small for this core: .* needs \d+ block RAMs of 30$"):
        check_fit(config, BOARDS["icebreaker"])
