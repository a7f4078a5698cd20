"""Registers: addresses that must not move, ranges, and the register map of a configuration."""

from __future__ import annotations

import pytest

from solsa.contract import (
    OPTIONS,
    Format,
    LayerRegister,
    NetworkConfig,
    NeuronField,
    Readout,
    Register,
    Space,
    preset,
)
from solsa.contract.registers import (
    LAYER_WINDOW,
    MAGIC,
    READOUT_CODES,
    WRITABLE_SPACES,
    a_address,
    lam_address,
    layer_address,
    register_map,
    space_words,
)
from solsa.contract.wire import Opcode, RunFlag, Status

#: Numbers that devices and hosts in the field know. Add to them; never change one.
FROZEN = {
    Register: {
        "MAGIC": 0, "CONTRACT_VERSION": 1, "CONFIG_HASH": 2, "GEOMETRY": 3, "CYCLES_LOW": 4, "CYCLES_HIGH": 5,
        "FRESH": 6, "STEP": 7, "UPDATES": 8, "RNG": 9, "SURROGATE_SHIFT": 10, "A_MIN": 11, "A_MAX": 12, "INPUTS": 13,
        "STOP_MARGIN": 14, "STOP_POINTS": 15, "RIGHT": 16, "PROBE": 17, "NORM_SHIFT": 18,
        "LAYER": 64, "A": 256, "LAM": 320,
    },
    LayerRegister: {
        "POSTS": 0, "THETA": 1, "RHO": 2, "RATE_MANTISSA": 3, "RATE_SHIFT": 4, "ADAPT_MANTISSA": 5, "ADAPT_SHIFT": 6,
        "NORM_REFERENCE": 7, "NORM_LIMIT": 8,
    },
    Space: {
        "REGISTER": 0, "WEIGHT": 1, "TRACE": 2, "FILTER": 3, "NEURON": 4, "SCHEDULE": 5, "SURROGATE": 6, "SCORE": 7,
    },
    NeuronField: {
        "CURRENT": 0, "MEMBRANE": 1, "SPIKE": 2, "SURROGATE": 3, "GAIN": 4, "FILTER_TRACE": 5, "ADAPT_TRACE": 6,
    },
    Opcode: {"INFO": 1, "READ": 2, "WRITE": 3, "LOAD": 4, "STEP": 5, "RUN": 6, "STATE": 7, "STREAM": 8},
    Status: {
        "OK": 0, "BAD_CRC": 1, "BAD_OPCODE": 2, "BAD_LENGTH": 3, "BAD_ADDRESS": 4, "BAD_VALUE": 5,
        "BAD_SEQUENCE": 6,
    },
    RunFlag: {"RESET": 1, "LEARN": 2, "ADAPT": 4, "LAST": 8},
}  # fmt: skip

#: Register map of `tiny` (3-5-3, two groups): address, width, signed, writable, reset, low, high.
TINY = {
    "magic": (0, 32, False, False, 0x534F4C53, 0, 0),
    "contract_version": (1, 32, False, False, 1, 0, 0),
    "config_hash": (2, 32, False, False, 0x6F902995, 0, 0),
    "geometry": (3, 32, False, False, 2 | 2 << 8 | 2 << 16, 0, 0),
    "cycles_low": (4, 32, False, False, 0, 0, 0),
    "cycles_high": (5, 32, False, False, 0, 0, 0),
    "fresh": (6, 32, False, False, 3, 0, 0),
    "step": (7, 32, False, False, 0, 0, 0),
    "updates": (8, 32, False, False, 0, 0, 0),
    "rng": (9, 32, False, True, 0x2545F491, 1, 0xFFFFFFFF),
    "surrogate_shift": (10, 5, False, True, 0, 0, 31),
    "a_min": (11, 16, False, True, 0, 0, 65535),
    "a_max": (12, 16, False, True, 65535, 0, 65535),
    "inputs": (13, 32, False, False, 3, 0, 0),
    **{
        f"layer{i}.{name}": (64 + 16 * i + offset, *rest)
        for i, posts in enumerate((5, 3))
        for name, offset, *rest in (
            ("posts", 0, 32, False, False, posts, 0, 0),
            ("theta", 1, 24, True, True, 4096, -(1 << 23), (1 << 23) - 1),
            ("rho", 2, 24, True, True, 4096, 0, (1 << 23) - 1),
            ("rate_mantissa", 3, 16, False, True, 0, 0, 65535),
            ("rate_shift", 4, 5, False, True, 0, 0, 31),
            ("adapt_mantissa", 5, 16, False, True, 0, 0, 65535),
            ("adapt_shift", 6, 5, False, True, 0, 0, 31),
            ("a0", 192 - 8 * i, 24, False, True, 0, 0, (1 << 24) - 1),
            ("a1", 193 - 8 * i, 24, False, True, 0, 0, (1 << 24) - 1),
            ("lam0", 256 - 8 * i, 16, False, True, 0, 0, 65535),
            ("lam1", 257 - 8 * i, 16, False, True, 0, 0, 65535),
        )
    },
}


@pytest.mark.parametrize("enum", FROZEN, ids=lambda e: e.__name__)
def test_numbers_do_not_move(enum: type) -> None:
    found = {member.name: int(member) for member in enum}  # type: ignore[attr-defined]
    for name, value in FROZEN[enum].items():
        assert found.get(name) == value, f"{enum.__name__}.{name} must stay {value}"
    assert set(found) == set(FROZEN[enum]), "store the number of a new member here"


def test_the_register_map_of_tiny_does_not_move() -> None:
    found = {
        e.name: (e.address, e.width, e.signed, e.writable, e.reset, e.low, e.high)
        for e in register_map(preset("tiny")).values()
    }
    assert found == TINY


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(layers=(1, 1)),
        NetworkConfig(layers=(2,) * 9, groups=8, lanes=128, readout=Readout.TARGET),
        preset("vowels"),
    ],
    ids=lambda c: c.config_hash,
)
def test_every_register_has_its_own_address(config: NetworkConfig) -> None:
    entries = register_map(config)
    count = 14 + config.depth * (7 + 2 * config.groups)
    assert len(entries) == count  # a clash would have lost one
    assert len({e.name for e in entries.values()}) == count
    for address, entry in entries.items():
        assert address == entry.address
        assert 0 <= address < space_words(config)[Space.REGISTER]
        fmt = Format(entry.width, 0, entry.signed)
        assert fmt.min <= entry.low <= entry.high <= fmt.max
        if entry.writable:
            assert entry.low <= entry.reset <= entry.high


def test_windows_do_not_overlap() -> None:
    """The deepest network's per-layer windows end before the constants begin, those of a before those of lam."""
    assert max(LayerRegister) < LAYER_WINDOW
    assert max(r for r in Register if r < Register.LAYER) < Register.LAYER
    assert layer_address(7, LayerRegister(6)) < Register.A
    assert a_address(7, 7) < Register.LAM
    assert lam_address(7, 7) == 0x140 + 63


def test_geometry_register() -> None:
    config = NetworkConfig(layers=(4, 5, 6, 7), lanes=16, groups=8, readout=Readout.TARGET)
    assert register_map(config)[Register.GEOMETRY].reset == 3 | 16 << 8 | 8 << 16 | 2 << 24
    assert READOUT_CODES == {"membrane": 0, "spike": 1, "target": 2}
    assert set(READOUT_CODES) == {r.value for r in Readout}


def test_registers_of_options() -> None:
    """Each option adds its own and moves none."""
    plain = register_map(preset("tiny"))
    added = {
        name: {e.name: (e.width, e.signed, e.writable, e.low, e.high) for a, e in found.items() if a not in plain}
        for name in OPTIONS
        for found in [register_map(preset(f"tiny+{name}"))]
    }
    assert added == {
        "early_stop": {
            "stop_margin": (32, True, True, -(1 << 31), (1 << 31) - 1),
            "stop_points": (8, False, True, 0, 255),
            "right": (8, False, False, 0, 0),
        },
        "probe": {"probe": (1, False, True, 0, 1)},
        "recurrent": {},
        "normalise": {
            "norm_shift": (4, False, True, 0, 8),
            **{f"layer{i}.norm_reference": (5, False, True, 0, 31) for i in range(2)},
            **{f"layer{i}.norm_limit": (3, False, True, 0, 7) for i in range(2)},
        },
        "filtered_surrogate": {},
        "stream": {},
    }
    assert set(plain) < set(register_map(preset("tiny+early_stop+probe+normalise")))


def test_magic_and_hash() -> None:
    entries = register_map(preset("vowels"))
    assert MAGIC.to_bytes(4, "big") == b"SOLS"
    assert entries[Register.CONFIG_HASH].reset == int(preset("vowels").config_hash, 16)


def test_writable_spaces() -> None:
    assert set(WRITABLE_SPACES) == {Space.REGISTER, Space.WEIGHT, Space.TRACE, Space.SCHEDULE, Space.SURROGATE}
