"""Integer arithmetic of the golden model: exhaustive at small widths against exact rationals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slow_core import post_constant, slow_softmax, xorshift

from solsa.contract import Format, Rounding
from solsa.contract.formats import EXP_INDEX_BITS
from solsa.contract.random import DEFAULT_RNG, MASK32
from solsa.golden.arith import drop, exp_table, random_bits, saturate, softmax, surrogate_index

WIDTH = 9
ALL = np.arange(-(1 << (WIDTH - 1)), 1 << (WIDTH - 1), dtype=np.int64)

EXACT = {
    Rounding.FLOOR: lambda q: math.floor(q),
    Rounding.TOWARD_ZERO: lambda q: math.trunc(q),
    Rounding.HALF_UP: lambda q: math.floor(q + Fraction(1, 2)),
}


@pytest.mark.parametrize("shift", range(0, WIDTH + 2))
@pytest.mark.parametrize("rounding", EXACT)
def test_drop(rounding: Rounding, shift: int) -> None:
    """Every value of a small width, every shift up to beyond the width."""
    wanted = [EXACT[rounding](Fraction(int(v), 1 << shift)) for v in ALL]
    assert drop(ALL, shift, rounding).tolist() == wanted


@pytest.mark.parametrize("shift", range(1, 7))
def test_drop_stochastic(shift: int) -> None:
    """Every value with every random word; the mean over the random words is the exact quotient."""
    random = np.arange(1 << shift, dtype=np.int64)
    for v in ALL:
        found = drop(np.full_like(random, v), shift, Rounding.STOCHASTIC, random)
        assert found.tolist() == [math.floor(Fraction(int(v) + int(r), 1 << shift)) for r in random]
        assert Fraction(int(found.sum()), len(random)) == Fraction(int(v), 1 << shift)


def test_drop_nothing() -> None:
    assert drop(ALL, 0, Rounding.EXACT) is ALL
    assert drop(ALL, 0, Rounding.STOCHASTIC) is ALL
    with pytest.raises(ValueError, match="random bits"):
        drop(ALL, 1, Rounding.STOCHASTIC)


@given(st.integers(-(2**61), 2**61), st.integers(1, 61))
def test_drop_wide(value: int, shift: int) -> None:
    for rounding, exact in EXACT.items():
        assert drop(np.array([value]), shift, rounding)[0] == exact(Fraction(value, 1 << shift))


@pytest.mark.parametrize("decay", [0.5, 0.9, 65535 / 65536])
def test_a_decay_toward_zero_ends_at_zero(decay: float) -> None:
    """The reason for the rounding: both signs reach zero and stay, with no limit cycle."""
    factor = round(decay * 65536)
    for start in (300, -300):
        value = np.array([start])
        for _ in range(abs(start) + 1):
            value = drop(value * factor, 16, Rounding.TOWARD_ZERO)
        assert value[0] == 0


@pytest.mark.parametrize("fmt", [Format(4, 0), Format(8, 3), Format(2, 1), Format(5, 2, signed=False)], ids=str)
def test_saturate(fmt: Format) -> None:
    found = saturate(ALL, fmt)
    assert found.tolist() == [min(max(int(v), fmt.min), fmt.max) for v in ALL]
    assert found.tolist() == [fmt.saturate(int(v)) for v in ALL]
    inside = (fmt.min <= ALL) & (fmt.max >= ALL)
    assert (found[inside] == ALL[inside]).all()


def test_surrogate_index() -> None:
    for theta in (-7, 0, 20):
        for shift in (0, 2, 9):
            wanted = [min(abs(int(v) - theta) // 2**shift, 7) for v in ALL]
            assert surrogate_index(ALL, theta, shift, 8).tolist() == wanted


def test_exp_table() -> None:
    """Entries are within half a unit of 2**-f in the middle of their interval; monotone; u0.16."""
    table = exp_table()
    assert len(table) == 1 << EXP_INDEX_BITS
    for i, entry in enumerate(table.tolist()):
        assert abs(entry - 65535 * 2.0 ** (-(i + 0.5) / 256)) <= 0.5
    assert (np.diff(table) < 0).all()
    assert 1 << 15 < table.min() < table.max() < 1 << 16


# -- softmax ---------------------------------------------------------------------------------------------------------
#: A table entry stands for an interval of 1/256 in the exponent: at most 2**(1/512) - 1 = 0.14 % off its ends; the
#: constant log2(e) is off by 2**-15, over the 16 octaves that count below 0.04 %; both in numerator and denominator.
#: Entries are cut to u0.16 after their shift: up to one unit of 2**-16 each.
def softmax_bound(posts: int, out_frac: int) -> float:
    return 0.004 + (posts + 1) * 2.0**-16 + 2.0**-out_frac


@given(
    st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=20),
    st.sampled_from([(8, 10), (12, 14), (15, 15)]),
    st.integers(0, 12),
)
def test_softmax(membranes: list[int], fracs: tuple[int, int], shrink: int) -> None:
    frac, out_frac = fracs
    v = np.array(membranes, dtype=np.int64) >> shrink  # all scales, from one-sided to flat
    p, posts, one = softmax(v, frac, out_frac), len(v), 1 << out_frac
    assert p.tolist() == slow_softmax(v.tolist(), frac, out_frac)
    assert abs(int(p.sum()) - one) <= posts
    assert p.min() >= 0
    assert p.max() <= one
    assert (p[v == v.max()] == p.max()).all()
    order = np.argsort(v, kind="stable")
    assert (np.diff(p[order]) >= 0).all()
    exact = np.exp((v - v.max()) / 2.0**frac)
    exact /= exact.sum()
    assert np.abs(p / one - exact).max() <= softmax_bound(posts, out_frac)


@pytest.mark.parametrize("posts", [1, 2, 3, 9, 255])
def test_softmax_extremes(posts: int) -> None:
    low, high, one = -(1 << 31), (1 << 31) - 1, 1 << 14
    equal = softmax(np.full(posts, low), 12, 14)
    assert len(set(equal.tolist())) == 1
    assert abs(int(equal[0]) * posts - one) <= posts
    first = np.full(posts, low)
    first[-1] = high
    assert softmax(first, 12, 14).tolist() == [0] * (posts - 1) + [one]
    # shifting every membrane changes nothing
    v = np.arange(posts, dtype=np.int64) * 700
    assert softmax(v, 12, 14).tolist() == softmax(v - 123456, 12, 14).tolist()


def test_softmax_cuts_off_sixteen_octaves_below() -> None:
    """A membrane 16 ln 2 = 11.09 below the maximum counts as nothing, one just above that limit not."""
    frac = 12
    edge = math.ceil(16 * math.log(2) * 2**frac) + 8
    weights = [softmax(np.array([0, -d]), frac, 15)[1] for d in (edge, edge - 2 * 2**frac)]
    assert weights[0] == 0
    assert weights[1] > 0


# -- random bits -----------------------------------------------------------------------------------------------------
def slow_bits(master: int, posts: int, pres: int, bits: int) -> list[list[int]]:
    found = []
    for i in range(posts):
        state, row = master, []
        for _ in range(pres):
            state = xorshift(state)
            row.append((state ^ post_constant(i)) >> (32 - bits))
        found.append(row)
    return found


@given(st.integers(1, MASK32), st.integers(1, 9), st.integers(1, 9), st.integers(1, 30))
def test_random_bits(master: int, posts: int, pres: int, bits: int) -> None:
    found = random_bits(master, posts, pres, bits)
    assert found.tolist() == slow_bits(master, posts, pres, bits)
    assert found.min() >= 0
    assert found.max() < 1 << bits


def test_random_bits_at_the_last_post() -> None:
    assert random_bits(DEFAULT_RNG, 4096, 1, 20)[4095].tolist() == slow_bits(DEFAULT_RNG, 4096, 1, 20)[4095]


def test_random_bits_are_uniform() -> None:
    """Mean and bins of a sweep of 256 x 256; rows and columns differ at the width of the default formats."""
    found = random_bits(DEFAULT_RNG, 256, 256, 15)
    assert abs(found.mean() / 2**15 - 0.5) < 5 * 0.2887 / 256  # five standard errors
    counts = np.bincount(found.ravel() >> 7, minlength=256)
    assert abs(counts - 256).max() < 6 * 16
    assert len({tuple(row) for row in found.tolist()}) == 256
    assert len({tuple(row) for row in found.T.tolist()}) == 256


@pytest.mark.parametrize("value", [0.3, -0.3, 0.01, -0.01, 2.75])
def test_stochastic_rounding_is_unbiased(value: float) -> None:
    """The same small step in all synapses of a large layer moves the mean weight by that step."""
    bits = 15
    exact = round(value * 2**bits)
    random = random_bits(DEFAULT_RNG, 256, 512, bits)
    found = drop(np.full_like(random, exact), bits, Rounding.STOCHASTIC, random)
    fraction = exact / 2**bits - math.floor(exact / 2**bits)
    error = math.sqrt(fraction * (1 - fraction) / found.size)
    assert abs(found.mean() - exact / 2**bits) < 5 * error
    assert set(np.unique(found)) <= {math.floor(value), math.floor(value) + 1}
