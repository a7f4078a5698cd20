"""Number formats, the operations table, and every reason to refuse formats."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, fields
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import FORMATS

from solsa.contract import Format, Formats, Operation, Overflow, Rounding
from solsa.contract.formats import ADAPT_GUARD, DECAY_FRAC, LOG2E, LOG2E_FRAC, RECIPROCAL_BITS


@pytest.mark.parametrize(
    ("fmt", "low", "high", "one", "text"),
    [
        (Format(8, 5), -128, 127, 32, "s8.5"),
        (Format(16, 13), -32768, 32767, 8192, "s16.13"),
        (Format(2, 0), -2, 1, 1, "s2.0"),
        (Format(16, 16, signed=False), 0, 65535, 65536, "u16.16"),
        (Format(3, 1, signed=False), 0, 7, 2, "u3.1"),
    ],
)
def test_format(fmt: Format, low: int, high: int, one: int, text: str) -> None:
    assert (fmt.min, fmt.max, fmt.one, str(fmt)) == (low, high, one, text)
    assert fmt.saturate(low - 1) == fmt.saturate(low) == low
    assert fmt.saturate(high + 1) == fmt.saturate(high) == high
    assert fmt.from_float(-1e9) == low
    assert fmt.from_float(1e9) == high
    with pytest.raises(FrozenInstanceError):
        fmt.width = 3  # type: ignore[misc]


@given(st.integers(2, 24), st.integers(0, 20), st.booleans(), st.data())
def test_format_to_and_from_float(width: int, frac: int, signed: bool, data: st.DataObject) -> None:
    fmt = Format(width, frac, signed)
    value = data.draw(st.integers(fmt.min, fmt.max))
    assert fmt.max - fmt.min == 2**width - 1
    assert fmt.to_float(value) == value / 2**frac
    assert fmt.from_float(fmt.to_float(value)) == value
    assert fmt.from_float((value + 0.25) / 2**frac) == value
    assert fmt.saturate(value) == value


def test_ties_go_to_even() -> None:
    assert [Format(8, 1).from_float(v / 4) for v in (-3, -1, 1, 3, 5)] == [-2, 0, 0, 2, 2]


# -- operations -----------------------------------------------------------------------------------------------------
#: Fraction bits before and after each drop, of the default formats, from the equations: (before, after).
BITS = {
    "filter_decay": (16 + 8, 8),
    "trace_decay": (14 + 8, 8),
    "current_sum": (13 + 5, 12),
    "current_decay": (16 + 12, 12),
    "membrane_decay": (16 + 12, 12),
    "gain_decay": (16, 14),
    "gain_reset": (12 + 14, 14),
    "filter_trace_in": (12, 8),
    "filter_trace_decay": (16 + 8, 8),
    "adapt_trace_in": (8, 6),
    "adapt_trace_decay": (14 + 6, 6),
    "exponent": (12 + 14, 12),
    "reciprocal": (0, 0),
    "probability": (32, 14),
    "error": (13 + 14, 14),
    "hidden_delta": (14 + 14, 14),
    "rate_step": (0, 0),
    "weight_step": (20 + 8, 13),
    "adapt_sum": (0, 0),
    "adapt_step": (8, 0),
}
DECAYS = {name for name in BITS if name.endswith("_decay") and name != "gain_decay"}


def test_operations_of_the_default_formats() -> None:
    rows = Formats().operations()
    assert set(rows) == set(BITS)
    for name, (before, after) in BITS.items():
        assert rows[name].name == name
        assert rows[name].shift == before - after, name
        assert "[" in rows[name].equation
        assert "]" in rows[name].equation


@pytest.mark.parametrize("formats", FORMATS.values(), ids=FORMATS)
def test_every_operation_is_well_formed(formats: Formats) -> None:
    known = {f.name for f in fields(Formats)} | {"adaptive"}
    assert formats.problems() == []
    for row in formats.operations().values():
        assert isinstance(row, Operation)
        assert row.shift >= 0
        assert row.result in known or row.name in ("exponent", "reciprocal")  # these stay inside the softmax
        # What is fed back decays toward zero; nothing else needs to.
        assert (row.rounding is Rounding.TOWARD_ZERO) == (row.name in DECAYS)
        assert (row.rounding is Rounding.STOCHASTIC) == (row.name == "weight_step")
        assert (row.overflow is Overflow.CLIP) == (row.name == "adapt_step")
        assert row.variable == (row.name in ("rate_step", "adapt_sum"))
        with pytest.raises(FrozenInstanceError):
            row.shift = 0  # type: ignore[misc]


def test_derived_formats() -> None:
    f = Formats()
    assert (str(f.surrogate), str(f.decay), str(f.adaptive), f.spike) == ("u15.14", "u16.16", "u24.24", 32)
    assert f.surrogate.max >= f.surrogate.one == f.delta.one  # 1.0 itself can be held
    assert f.adaptive.width - f.decay.width == ADAPT_GUARD
    narrow = FORMATS["narrow"]
    assert (str(narrow.surrogate), narrow.spike) == ("u11.10", 8)


def test_constants() -> None:
    assert abs(Fraction(LOG2E, 1 << LOG2E_FRAC) - Fraction(math.log2(math.e))) < Fraction(1, 2 << LOG2E_FRAC)
    assert DECAY_FRAC == 16
    assert RECIPROCAL_BITS == 32


# -- refusals -------------------------------------------------------------------------------------------------------
RANGES = {
    "weight": (4, 24), "trace": (4, 24), "input": (2, 8), "current": (8, 32), "membrane": (8, 32),
    "threshold": (4, 32), "gain": (4, 18), "delta": (6, 24), "rate_step": (6, 24), "filter_trace": (6, 32),
    "adapt_trace": (6, 32), "adapt_sum": (6, 32), "score": (8, 32), "target": (2, 16),
}  # fmt: skip


def test_every_width_has_a_range() -> None:
    assert set(RANGES) == {f.name for f in fields(Formats)}


@pytest.mark.parametrize("name", RANGES)
def test_width_out_of_range(name: str) -> None:
    low, high = RANGES[name]
    frac = getattr(Formats(), name).frac
    for width in (low - 1, high + 1):
        found = Formats(**{name: Format(width, frac)}).problems()
        assert f"{name} has {width} bits, allowed {low} to {high}" in found
    for width in (low, high):
        found = Formats(**{name: Format(width, frac)}).problems()
        assert not any(text.startswith(f"{name} has {width} bits") for text in found)


@pytest.mark.parametrize(
    ("name", "fmt", "problem"),
    [
        ("weight", Format(41, 13), "weight has 41 bits, allowed 2 to 40"),
        ("trace", Format(1, 0), "trace has 1 bits, allowed 2 to 40"),
        ("weight", Format(16, -1), "weight has -1 fraction bits, allowed 0 or more"),
        ("weight", Format(16, 13, signed=False), "weight must be signed"),
        ("target", Format(16, 12, signed=False), "target must be signed"),
        ("current", Format(24, 11), "current and membrane must have the same fraction bits"),
        ("threshold", Format(24, 11), "threshold and membrane must have the same fraction bits"),
        ("trace", Format(16, 4), "trace must have at least the fraction bits of input"),
        ("input", Format(6, 5), "input s6.5 cannot hold a spike of 1.0"),
        ("delta", Format(15, 14), "delta s15.14 cannot hold 1.0"),
        ("target", Format(16, 13), "membrane must have at least the fraction bits of target"),
        ("delta", Format(18, 11), "delta must have at least the fraction bits of membrane"),
        ("membrane", Format(24, 7), "membrane has 7 fraction bits, allowed 8 or more"),
        ("delta", Format(18, 16), "delta has 16 fraction bits, allowed 15 or fewer"),
        ("weight", Format(16, 6), "current_sum ([sum w*x]) would have to shift left by 1 bits"),
        ("filter_trace", Format(24, 13), "filter_trace_in (J' = a*J + [I]) would have to shift left by 1 bits"),
        ("adapt_trace", Format(24, 9), "adapt_trace_in (A' = k*A + [J']) would have to shift left by 1 bits"),
        ("gain", Format(18, 17), "gain_decay (k' = [lam] - rho*h) would have to shift left by 1 bits"),
        ("rate_step", Format(18, 5), "weight_step must drop 1 to 30 bits: rate_step.frac + trace.frac - weight.frac"),
        ("rate_step", Format(24, 36), "weight_step must drop 1 to 30 bits: rate_step.frac + trace.frac - weight.frac"),
    ],
)
def test_problem(name: str, fmt: Format, problem: str) -> None:
    assert problem in Formats(**{name: fmt}).problems()


def test_the_ends_of_the_weight_step() -> None:
    for frac, fine in ((5, False), (6, True), (35, True), (36, False)):
        found = Formats(rate_step=Format(24, frac)).problems()
        assert any("weight_step" in text for text in found) != fine
