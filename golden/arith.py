"""Integer arithmetic of the contract on NumPy arrays: each rounding and overflow once, no tolerance anywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from solsa.contract.formats import (
    EXP_INDEX_BITS,
    EXP_WIDTH,
    LOG2E,
    LOG2E_FRAC,
    RECIPROCAL_BITS,
    Format,
    Rounding,
    exp_entries,
)
from solsa.contract.random import POST_HASH_BITS, post_hash, xorshift32

Ints = npt.NDArray[np.int64]


def drop(value: Ints, shift: int, rounding: Rounding, random: Ints | None = None) -> Ints:
    """Arithmetic right shift with a named rounding.

    Parameters
    ----------
    value : int64 array
        Any shape.
    shift : int
        Bits to drop, 0 to 62.
    rounding : Rounding
        Treatment of the dropped bits.
    random : int64 array, optional
        Uniform integers in [0, 2**shift), for ``STOCHASTIC`` only.
    """
    if shift == 0:
        return value
    if rounding is Rounding.TOWARD_ZERO:
        return (value + ((value >> 63) & ((1 << shift) - 1))) >> shift
    if rounding is Rounding.HALF_UP:
        return (value + (1 << (shift - 1))) >> shift
    if rounding is Rounding.STOCHASTIC:
        if random is None:
            raise ValueError("stochastic rounding needs random bits")
        return (value + random) >> shift
    return value >> shift


def saturate(value: Ints, fmt: Format) -> Ints:
    """Clamp to the range of a format."""
    return np.minimum(np.maximum(value, fmt.min), fmt.max)


def surrogate_index(membrane: Ints, theta: int, shift: int, entries: int) -> Ints:
    """Entry of the surrogate table for each membrane: min(|V - theta| >> shift, entries - 1)."""
    return np.minimum(np.abs(membrane - theta) >> shift, entries - 1)


def exp_table() -> Ints:
    """2**-f with f in the middle of each of the table's intervals, u0.16, shape [2**EXP_INDEX_BITS]."""
    return np.array(exp_entries(), dtype=np.int64)


_EXP_TABLE = exp_table()


def softmax(membrane: Ints, frac: int, out_frac: int) -> Ints:
    """Softmax on integers, as the chip computes it (SPEC section 2).

    Parameters
    ----------
    membrane : int64 array [M]
        Fixed point with ``frac`` fraction bits.
    out_frac : int
        Fraction bits of the probabilities.

    Returns
    -------
    int64 array [M]
        Probabilities; they sum to 1 within M units of the last place.
    """
    below = membrane.max() - membrane
    power = (below * LOG2E) >> LOG2E_FRAC
    whole = power >> frac
    index = (power & ((1 << frac) - 1)) >> (frac - EXP_INDEX_BITS)
    weight = np.where(whole >= EXP_WIDTH, 0, _EXP_TABLE[index] >> np.minimum(whole, EXP_WIDTH))
    reciprocal = (1 << RECIPROCAL_BITS) // int(weight.sum())
    return drop(weight * reciprocal, RECIPROCAL_BITS - out_frac, Rounding.HALF_UP)


def _hash_table(posts: int) -> Ints:
    return np.array([post_hash(i) for i in range(posts)], dtype=np.int64)


_HASHES = _hash_table(1 << POST_HASH_BITS)


def random_bits(master: int, posts: int, pres: int, bits: int) -> Ints:
    """Random words of one layer's update sweep, shape [posts, pres], uniform in [0, 2**bits).

    ``master`` is the generator's state for this layer and update; see :mod:`solsa.contract.random`.
    """
    row, state = np.empty(pres, dtype=np.int64), master
    for j in range(pres):
        state = xorshift32(state)
        row[j] = state
    return (row[None, :] ^ _HASHES[:posts, None]) >> (32 - bits)
