"""Parameters: rates as mantissa and shift, the surrogate table, and what is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solsa.contract import ConfigError, NetworkConfig, Parameters, make_parameters, preset
from solsa.contract.parameters import adapt_offset, decode_rate, encode_rate, rate_offset, surrogate_table

CONFIG = preset("tiny")
GOOD = make_parameters(CONFIG, a=(0.5, 0.9), lam=(0.75, 0.99), rates=(0.01, 0.02), adapt_rates=(0.001, 0.0))


# -- rates ----------------------------------------------------------------------------------------------------------
@given(st.floats(2.0**-40, 2.0**-2), st.integers(-8, 8))
def test_rate_is_near(rate: float, offset: int) -> None:
    """Half a unit of the mantissa; the mantissa has all its 16 bits unless the shift is at its end."""
    top = 65535 * 2.0**-offset
    if round(rate * 2.0**offset) > 65535:
        with pytest.raises(ConfigError):
            encode_rate(rate, offset)
        return
    mantissa, shift = encode_rate(rate, offset)
    assert 0 <= mantissa <= 65535
    assert 0 <= shift <= 31
    unit = 2.0 ** -(shift + offset)
    assert abs(decode_rate((mantissa, shift), offset) - rate) <= unit / 2
    assert mantissa >= 32767 or shift == 31
    assert rate <= top * (1 + 2.0**-16)


@given(st.integers(0, 65535), st.integers(0, 31), st.integers(-8, 8))
def test_rate_round_trip(mantissa: int, shift: int, offset: int) -> None:
    """What a register can hold is encoded without error."""
    value = decode_rate((mantissa, shift), offset)
    assert decode_rate(encode_rate(value, offset), offset) == value


def test_rates_at_the_ends() -> None:
    assert encode_rate(0.0, 6) == (0, 31)
    assert encode_rate(65535.0, 0) == (65535, 0)
    assert encode_rate(1.0, 6) == (32768, 9)
    for rate, message in (
        (65536.0, "learning rate is 65536.0, allowed at most 65535 with these formats"),
        (-1e-9, "learning rate is -1e-09, allowed finite and not negative"),
        (math.nan, "learning rate is nan, allowed finite and not negative"),
        (math.inf, "learning rate is inf, allowed finite and not negative"),
    ):
        with pytest.raises(ConfigError) as caught:
            encode_rate(rate, 0)
        assert str(caught.value) == message
    with pytest.raises(ConfigError, match=r"^filter rate is -1"):
        encode_rate(-1.0, 0, "filter rate")


def test_offsets_by_hand() -> None:
    """g = delta*mantissa >> shift has 20 fraction bits, delta 14; a' - a = q*mantissa >> 8 has 24, delta*A 14 + 6."""
    assert rate_offset(CONFIG) == 20 - 14
    assert adapt_offset(CONFIG) == 24 + 8 - (14 + 6)
    eta, delta = 0.015625, 0.5
    mantissa, shift = encode_rate(eta, rate_offset(CONFIG))
    assert (int(delta * 2**14) * mantissa >> shift) / 2**20 == eta * delta
    mantissa, shift = encode_rate(eta, adapt_offset(CONFIG))
    gradient = int(0.25 * 2**20)
    assert ((gradient >> shift) * mantissa >> 8) / 2**24 == eta * 0.25


# -- surrogate ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("entries", [4, 64, 1024])
@pytest.mark.parametrize("width", [0.01, 0.5, 3.0, 100.0])
def test_surrogate_table(entries: int, width: float) -> None:
    config = CONFIG.with_(surrogate_entries=entries)
    table, shift = surrogate_table(config, width)
    f, interval = config.formats, (1 << shift) / config.formats.membrane.one
    assert len(table) == entries
    assert table[-1] == 0
    assert list(table) == sorted(table, reverse=True)
    assert 0 < table[0] <= f.surrogate.one
    assert entries * interval >= 4 * width  # reaches four widths
    assert shift == 0 or entries * interval < 8 * width  # and no more than needed
    for i, h in enumerate(table[:-1]):
        exact = math.exp(-0.5 * ((i + 0.5) * interval / width) ** 2)
        assert abs(h / f.surrogate.one - exact) <= 0.5 / f.surrogate.one


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan])
def test_surrogate_width_refused(width: float) -> None:
    with pytest.raises(ConfigError, match=f"surrogate width is {width}"):
        surrogate_table(CONFIG, width)


def test_a_lower_peak_scales_the_table() -> None:
    (whole, shift), (low, same) = surrogate_table(CONFIG, 0.5), surrogate_table(CONFIG, 0.5, 0.25)
    assert shift == same
    assert all(abs(4 * h - full) <= 2.5 for h, full in zip(low, whole, strict=True))


@pytest.mark.parametrize("peak", [0.0, -0.5, 1.001, math.nan])
def test_surrogate_peak_refused(peak: float) -> None:
    with pytest.raises(ConfigError, match=f"surrogate peak is {peak}, allowed above 0, at most 1"):
        surrogate_table(CONFIG, 0.5, peak)


def test_surrogate_too_wide() -> None:
    with pytest.raises(ConfigError, match="too wide for the table"):
        surrogate_table(CONFIG, 1e9)


# -- parameters -----------------------------------------------------------------------------------------------------
def test_from_real_numbers() -> None:
    p = make_parameters(
        CONFIG, a=(0.5, 0.75), lam=(0.25, 0.9), theta=1.5, rho=0.5, rates=(0.25, 0.5), adapt_rates=(0.0, 1.0),
        a_min=0.125, a_max=0.5, schedule=(7, 3, 7), rng=9,
    )  # fmt: skip
    assert p.theta == (6144, 6144)
    assert p.rho == (2048, 2048)
    assert p.a == ((1 << 23, 3 << 22),) * 2
    assert p.lam == ((16384, round(0.9 * 65536)),) * 2
    assert (p.a_min, p.a_max, p.schedule, p.rng) == (8192, 32768, (3, 7), 9)
    assert [decode_rate(r, rate_offset(CONFIG)) for r in p.rate] == [0.25, 0.5]
    assert [decode_rate(r, adapt_offset(CONFIG)) for r in p.adapt_rate] == [0.0, 1.0]
    assert make_parameters(CONFIG, a=(0, 0), lam=(0, 0)).rate == ((0, 31),) * 2
    layered = make_parameters(CONFIG, a=((0.5, 0.75), (0.25, 0.0)), lam=(0.25, 0.9))
    assert layered.a == ((1 << 23, 3 << 22), (1 << 22, 0))
    assert layered.lam == p.lam


def test_round_trip() -> None:
    assert Parameters.from_dict(json.loads(json.dumps(GOOD.to_dict()))) == GOOD
    with pytest.raises(ConfigError, match="parameters: .*unexpected keyword argument 'teta'"):
        Parameters.from_dict(GOOD.to_dict() | {"teta": 1})
    with pytest.raises(ConfigError, match="parameters: .*missing"):
        Parameters.from_dict({"theta": [1]})


TOP = (1 << 23) - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"theta": (1,)}, "theta has 1 layers, the network has 2"),
        ({"adapt_rate": ((0, 0),) * 3}, "adapt_rate has 3 layers, the network has 2"),
        ({"theta": (0, TOP + 1)}, f"theta of layer 1 is {TOP + 1}, allowed {-TOP - 1} to {TOP}"),
        ({"rho": (-1, 0)}, f"rho of layer 0 is -1, allowed 0 to {TOP}"),
        ({"lam": ((0, 0), (0,))}, "lam of layer 1 has 1 groups, the network 2"),
        ({"lam": ((0, 65536), (0, 0))}, "lam of layer 0 is 65536, allowed 0 to 65535"),
        ({"a": ((0, -1), (0, 0))}, "a of layer 0 is -1, allowed 0 to 16777215"),
        ({"a": ((0, 0), (0, 1 << 24))}, "a of layer 1 is 16777216, allowed 0 to 16777215"),
        ({"rate": ((65536, 0), (0, 0))}, "mantissa of rate of layer 0 is 65536, allowed 0 to 65535"),
        ({"adapt_rate": ((0, 0), (0, 32))}, "shift of adapt_rate of layer 1 is 32, allowed 0 to 31"),
        ({"surrogate": (0,) * 63}, "surrogate table of 63, allowed exactly 64"),
        ({"surrogate": (0,) * 63 + (1 << 15,)}, "surrogate table entry is 32768, allowed 0 to 32767"),
        ({"surrogate_shift": 32}, "surrogate_shift is 32, allowed 0 to 31"),
        ({"a_min": -1}, "a_min is -1, allowed 0 to 65535"),
        ({"a_max": 65536}, "a_max is 65536, allowed 0 to 65535"),
        ({"a_min": 2, "a_max": 1}, "a_min 2 is above a_max 1"),
        ({"schedule": (3, 16)}, "scheduled step is 16, allowed 0 to 15"),
        ({"schedule": (-1,)}, "scheduled step is -1, allowed 0 to 15"),
        ({"rng": 0}, "rng is 0, allowed 1 to 4294967295"),
        ({"rng": 1 << 32}, "rng is 4294967296, allowed 1 to 4294967295"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    GOOD.check(CONFIG)
    with pytest.raises(ConfigError) as caught:
        GOOD.with_(**changes).check(CONFIG)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": (0.5,)}, "a of layer 0 has 1 constants, the network 2 groups"),
        ({"lam": (0.5, 0.5, 0.5)}, "lam of layer 0 has 3 constants, the network 2 groups"),
        ({"a": (0.5, 1.0)}, "a of layer 0 is 1.0, allowed 0 to below 1"),
        ({"lam": (-0.1, 0.5)}, "lam of layer 0 is -0.1, allowed 0 to below 1"),
        ({"a": ((0.5, 0.5),)}, "a has 1 layers, the network has 2"),
        ({"a": ((0.5, 0.5), (0.5,))}, "a of layer 1 has 1 constants, the network 2 groups"),
        ({"lam": ((0.5, 0.5), (0.5, 1.5))}, "lam of layer 1 is 1.5, allowed 0 to below 1"),
        ({"rates": (0.1,)}, "rate has 1 layers, the network has 2"),
        ({"rates": (0.1, -1.0)}, "learning rate is -1.0, allowed finite and not negative"),
        ({"adapt_rates": (0.1, math.inf)}, "filter rate is inf, allowed finite and not negative"),
        ({"schedule": (99,)}, "scheduled step is 99, allowed 0 to 15"),
        ({"surrogate_width": 0.0}, "surrogate width is 0.0, allowed above 0"),
        ({"a_min": 0.9, "a_max": 0.5}, "a_min 58982 is above a_max 32768"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_real_numbers_refused(changes: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {"a": (0.5, 0.5), "lam": (0.5, 0.5)} | changes
    with pytest.raises(ConfigError) as caught:
        make_parameters(CONFIG, **values)
    assert str(caught.value) == message


def test_parameters_fit_every_preset() -> None:
    for config in (CONFIG, NetworkConfig(layers=(2, 3), groups=8)):
        count = config.groups
        p = make_parameters(config, a=(0.999,) * count, lam=(0.999,) * count)
        p.check(config)
        assert len(p.a) == len(p.lam) == config.depth
