"""The generator of the random bits: known words, no short period, linear constants."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solsa.contract.random import (
    DEFAULT_RNG,
    MASK32,
    POST_HASH,
    POST_HASH_BITS,
    XORSHIFT,
    post_hash,
    xorshift32,
)

INDEX = st.integers(0, (1 << POST_HASH_BITS) - 1)
WORD = st.integers(0, MASK32)


def test_known_words() -> None:
    """Marsaglia 2003, page 4: seed 2463534242 gives 723471715 first; seed 1 gives 270369."""
    assert XORSHIFT == (13, 17, 5)
    assert xorshift32(2463534242) == 723471715
    words, state = [], 1
    for _ in range(5):
        state = xorshift32(state)
        words.append(state)
    assert words == [270369, 67634689, 2647435461, 307599695, 2398689233]


@given(WORD, WORD)
def test_linear_and_one_to_one(one: int, other: int) -> None:
    assert xorshift32(one ^ other) == xorshift32(one) ^ xorshift32(other)
    assert 0 <= xorshift32(one) <= MASK32
    assert (xorshift32(one) == xorshift32(other)) == (one == other)


def _power(matrix: list[int], exponent: int) -> list[int]:
    """Power of a 32 x 32 matrix over GF(2), columns as words."""

    def apply(columns: list[int], word: int) -> int:
        out = 0
        for bit, column in enumerate(columns):
            if word >> bit & 1:
                out ^= column
        return out

    result = [1 << i for i in range(32)]
    while exponent:
        if exponent & 1:
            result = [apply(matrix, column) for column in result]
        matrix = [apply(matrix, column) for column in matrix]
        exponent >>= 1
    return result


def test_full_period() -> None:
    """2**32 - 1 steps are the identity and no divisor of that number is: all states but 0 are on one cycle."""
    step, identity, period = [xorshift32(1 << i) for i in range(32)], [1 << i for i in range(32)], (1 << 32) - 1
    assert 3 * 5 * 17 * 257 * 65537 == period
    assert _power(step, period) == identity
    for prime in (3, 5, 17, 257, 65537):
        assert _power(step, period // prime) != identity


def test_no_state_returns_soon() -> None:
    seen, state = set(), DEFAULT_RNG
    for _ in range(100_000):
        assert state not in seen
        seen.add(state)
        state = xorshift32(state)


@given(INDEX, INDEX)
def test_post_hash_is_linear(one: int, other: int) -> None:
    assert post_hash(one ^ other) == post_hash(one) ^ post_hash(other)


def test_post_hash_words() -> None:
    """First words of splitmix64 from seed 0 (its published vector), upper halves; no two posts share a constant."""
    vector = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC, 0x1B39896A51A8749B)
    assert POST_HASH[:5] == tuple(word >> 32 for word in vector)
    assert post_hash(0) == 0
    assert [post_hash(1 << bit) for bit in range(POST_HASH_BITS)] == list(POST_HASH)
    assert len({post_hash(i) for i in range(1 << POST_HASH_BITS)}) == 1 << POST_HASH_BITS


@pytest.mark.parametrize(("bits", "posts"), [(15, 2048), (16, 4096), (12, 1024)])
def test_posts_differ_in_the_bits_that_are_used(bits: int, posts: int) -> None:
    """Updates use the upper bits only; up to this many posts no two round alike."""
    assert len({post_hash(i) >> (32 - bits) for i in range(posts)}) == posts


def test_default_start() -> None:
    assert 0 < DEFAULT_RNG <= MASK32
    assert all(a != b for a, b in pairwise(POST_HASH))
