"""Configuration: what is refused and how, identity, presets."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from solsa.contract import PRESETS, BankKind, ConfigError, Format, Formats, NetworkConfig, NeuronUnit, Readout, preset
from solsa.contract.config import MAX_LAYERS, MAX_POSTS, PIPELINED_ONLY

BASE = NetworkConfig(layers=(12, 64, 9))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ()}, "0 sizes given, allowed 2 to 9"),
        ({"layers": (4,)}, "1 sizes given, allowed 2 to 9"),
        ({"layers": (4,) * (MAX_LAYERS + 2)}, "10 sizes given, allowed 2 to 9"),
        ({"layers": (4, 0, 2)}, "a layer of 0 neurons, allowed 1 to 4096"),
        ({"layers": (-1, 2)}, "a layer of -1 neurons, allowed 1 to 4096"),
        ({"layers": (4, MAX_POSTS + 1)}, "a layer of 4097 neurons, allowed 1 to 4096"),
        ({"layers": (4, 2.0)}, "a layer of 2.0 neurons, allowed 1 to 4096"),
        ({"layers": (4, "2")}, "a layer of 2 neurons, allowed 1 to 4096"),
        ({"lanes": 0}, "0 lanes, allowed a power of two up to 128"),
        ({"lanes": 3}, "3 lanes, allowed a power of two up to 128"),
        ({"lanes": -2}, "-2 lanes, allowed a power of two up to 128"),
        ({"lanes": 256}, "256 lanes, allowed a power of two up to 128"),
        ({"lanes": 4.0}, "4.0 lanes, allowed a power of two up to 128"),
        ({"groups": 0}, "0 filter groups, allowed 1, 2, 4 or 8"),
        ({"groups": 3}, "3 filter groups, allowed 1, 2, 4 or 8"),
        ({"groups": 16}, "16 filter groups, allowed 1, 2, 4 or 8"),
        ({"max_steps": 1}, "a schedule table of 1 steps, allowed a power of two from 2 to 65536"),
        ({"max_steps": 100}, "a schedule table of 100 steps, allowed a power of two from 2 to 65536"),
        ({"max_steps": 131072}, "a schedule table of 131072 steps, allowed a power of two from 2 to 65536"),
        ({"surrogate_entries": 2}, "2 surrogate entries, allowed a power of two from 4 to 1024"),
        ({"surrogate_entries": 65}, "65 surrogate entries, allowed a power of two from 4 to 1024"),
        ({"surrogate_entries": 2048}, "2048 surrogate entries, allowed a power of two from 4 to 1024"),
        ({"frame_bytes": 32}, "frames of 32 bytes, allowed a power of two from 64 to 16384"),
        ({"frame_bytes": 1000}, "frames of 1000 bytes, allowed a power of two from 64 to 16384"),
        ({"frame_bytes": 32768}, "frames of 32768 bytes, allowed a power of two from 64 to 16384"),
        ({"layers": (54, 2), "frame_bytes": 64},
         "frames of 64 bytes hold no step of 54 inputs and 2 outputs, allowed a larger frame_bytes"),
        ({"layers": (2, 8), "frame_bytes": 64},
         "frames of 64 bytes hold no step of 2 inputs and 8 outputs, allowed a larger frame_bytes"),
        ({"layers": (50, 2), "readout": Readout.TARGET, "frame_bytes": 64},
         "frames of 64 bytes hold no step of 50 inputs and 2 outputs, allowed a larger frame_bytes"),
        ({"layers": (2, 256), "frame_bytes": 4096}, "a softmax over 256 classes, allowed up to 255"),
        (
            {"formats": Formats(delta=Format(24, 14), adapt_trace=Format(40, 6)), "layers": (3, 5)},
            "the sum of delta*A takes 67 bits with these formats and layers, allowed up to 63",
        ),
        ({"formats": Formats(weight=Format(25, 13))}, "weight has 25 bits, allowed 4 to 24"),
    ],
    ids=str,
)  # fmt: skip
def test_refused(changes: dict[str, Any], message: str) -> None:
    values = {f.name: getattr(BASE, f.name) for f in fields(BASE)} | changes
    with pytest.raises(ConfigError) as caught:
        NetworkConfig(**values)
    text = str(caught.value)
    assert text == f"network {'-'.join(map(str, values['layers']))}: {message}"
    assert "\n" not in text
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": (1, 1)},
        {"layers": (4,) * (MAX_LAYERS + 1)},
        {"layers": (MAX_POSTS, MAX_POSTS, 2), "frame_bytes": 8192},
        {"lanes": 1},
        {"lanes": 128},
        {"groups": 8},
        {"max_steps": 2},
        {"max_steps": 65536},
        {"surrogate_entries": 4},
        {"surrogate_entries": 1024},
        {"layers": (53, 7), "frame_bytes": 64},
        {"layers": (2, 255), "frame_bytes": 4096},
        {"layers": (2, 256), "readout": Readout.SPIKE, "frame_bytes": 4096},
        {"layers": (49, 2), "readout": Readout.TARGET, "frame_bytes": 64},
    ],
    ids=str,
)
def test_the_ends_of_the_ranges_are_accepted(changes: dict[str, Any]) -> None:
    assert BASE.with_(**changes).config_hash


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        BASE.lanes = 4  # type: ignore[misc]
    assert hash(BASE) == hash(BASE.with_())


def test_geometry() -> None:
    config = NetworkConfig(layers=(3, 5, 7, 2), lanes=2, groups=4, readout=Readout.TARGET)
    assert (config.depth, config.inputs, config.outputs, config.synapses) == (3, 3, 2, 15 + 35 + 14)
    assert [config.pre(i) for i in range(3)] == [3, 5, 7]
    assert [config.post(i) for i in range(3)] == [5, 7, 2]
    assert [config.used_groups(i) for i in range(3)] == [4, 4, 2]
    assert config.step_bytes == 3 + 2 * 2
    assert config.with_(readout=Readout.MEMBRANE).step_bytes == 3
    for readout, last in ((Readout.MEMBRANE, False), (Readout.SPIKE, True), (Readout.TARGET, False)):
        changed = config.with_(readout=readout)
        assert [changed.spiking(i) for i in range(3)] == [True, True, last]
        assert readout.spiking == last


def test_geometry_of_a_recurrent_network() -> None:
    config = NetworkConfig(layers=(3, 5, 7, 2), recurrent=True)
    assert [config.pre(i) for i in range(3)] == [3 + 5, 5 + 7, 7]
    assert [config.own(i) for i in range(3)] == [5, 7, 0]
    assert config.synapses == 5 * 8 + 7 * 12 + 2 * 7
    assert [config.with_(recurrent=False).own(i) for i in range(3)] == [0, 0, 0]
    with pytest.raises(ConfigError, match="network 3-2: recurrent without a hidden layer, allowed with three sizes"):
        NetworkConfig(layers=(3, 2), recurrent=True)
    with pytest.raises(ConfigError, match="filtered_surrogate without a hidden layer, allowed with three sizes"):
        NetworkConfig(layers=(3, 2), filtered_surrogate=True)
    for name in PIPELINED_ONLY:
        with pytest.raises(ConfigError, match=f"{name} with the serial neuron unit, allowed is the pipelined one"):
            BASE.with_(**{name: True, "neuron_unit": NeuronUnit.SERIAL})


# -- identity -------------------------------------------------------------------------------------------------------
CHANGED: dict[str, Any] = {
    "layers": (12, 64, 8),
    "lanes": 4,
    "groups": 2,
    "readout": Readout.SPIKE,
    "max_steps": 128,
    "surrogate_entries": 32,
    "frame_bytes": 2048,
    "neuron_unit": NeuronUnit.SERIAL,
    "bank": BankKind.SINGLE_PORT,
    "early_stop": True,
    "probe": True,
    "recurrent": True,
    "normalise": True,
    "filtered_surrogate": True,
    "stream": True,
}


def _variants() -> dict[str, NetworkConfig]:
    found = {name: BASE.with_(**{name: value}) for name, value in CHANGED.items()}
    for f in fields(Formats):
        old = getattr(BASE.formats, f.name)
        found[f"{f.name}.width"] = BASE.with_(formats=Formats(**{f.name: Format(old.width - 1, old.frac)}))
    found["input.frac"] = BASE.with_(formats=Formats(input=Format(8, 4)))
    return found


def test_the_hash_changes_with_every_field() -> None:
    assert set(CHANGED) == {f.name for f in fields(NetworkConfig)} - {"formats"}
    variants = _variants()
    hashes = {config.config_hash for config in variants.values()} | {BASE.config_hash}
    assert len(hashes) == len(variants) + 1


@pytest.mark.parametrize("config", [BASE, *PRESETS.values(), *_variants().values()], ids=lambda c: c.config_hash)
def test_survives_a_round_trip(config: NetworkConfig) -> None:
    plain = json.loads(json.dumps(config.to_dict()))
    again = NetworkConfig.from_dict(plain)
    assert again == config
    assert again.config_hash == config.config_hash
    assert len(config.config_hash) == 8
    int(config.config_hash, 16)


def test_stored_hashes() -> None:
    """Identity on other machines and Python versions: these may only change together with CONTRACT_VERSION."""
    assert {name: preset(name).config_hash for name in STORED} == STORED


STORED = {"tiny": "6f902995", "vowels": "a136885c"}


def test_options_of_a_preset() -> None:
    """They follow its name, each once or more, and change the configuration and its hash."""
    both = preset("tiny+probe+early_stop")
    assert both == preset("tiny").with_(early_stop=True, probe=True)
    assert both.options == ("early_stop", "probe")
    assert preset("tiny").options == ()
    assert (
        len({preset(name).config_hash for name in ("tiny", "tiny+probe", "tiny+early_stop", "tiny+probe+early_stop")})
        == 4
    )
    with pytest.raises(
        ConfigError, match=r"preset 'tiny\+magic': option 'magic' is not known, allowed: early_stop, probe"
    ):
        preset("tiny+magic")
    with pytest.raises(ConfigError, match="preset 'tin' is not known"):
        preset("tin+probe")
    with pytest.raises(ConfigError, match="early_stop with readout target"):
        both.with_(readout=Readout.TARGET)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probe": 1}, "probe is 1, allowed true or false"),
        (
            {"lane": 3},
            "unknown key 'lane', allowed bank, early_stop, filtered_surrogate, formats, frame_bytes, groups, lanes, ",
        ),
        ({"readout": "vote"}, "configuration: 'vote' is not a valid Readout"),
        ({"layers": 5}, "configuration: "),
        ({"formats": {"weight": {"width": 16}}}, "configuration: "),
        ({"formats": 3}, "configuration: "),
        ({"formats": {"weights": {"width": 16, "frac": 13}}}, "configuration: "),
        ({"lanes": 3}, "3 lanes"),
        ({"lanes": None}, "None lanes"),
    ],
    ids=str,
)
def test_from_dict_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        NetworkConfig.from_dict(BASE.to_dict() | changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_from_dict_needs_layers() -> None:
    with pytest.raises(ConfigError, match="configuration: 'layers'"):
        NetworkConfig.from_dict({"lanes": 2})
    assert NetworkConfig.from_dict({"layers": [12, 64, 9]}) == BASE


def test_presets() -> None:
    assert {"tiny", "vowels"} <= set(PRESETS)
    assert preset("vowels").layers == (12, 64, 9)
    with pytest.raises(ConfigError) as caught:
        preset("vowel")
    assert str(caught.value) == f"preset 'vowel' is not known, allowed: {', '.join(PRESETS)}"
