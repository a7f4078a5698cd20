"""The random bits of stochastic rounding, defined once for golden and RTL.

The generator is xorshift32 (Marsaglia 2003, triple 13/17/5), a linear-feedback generator over 32 bits. A master state
advances once per layer of every weight update. The sweep of that layer starts each block of posts from the master
state and advances once per pre index; every post adds (XOR) a constant that is linear in the bits of its index.
So the bits belong to (update, layer, post, pre) and do not depend on the number of lanes.
"""

from __future__ import annotations

MASK32 = 0xFFFFFFFF
XORSHIFT = (13, 17, 5)
#: Non-zero start of the master state after reset of the device.
DEFAULT_RNG = 0x2545F491
#: One constant per bit of the post index: successive words of a splitmix64 sequence started at 0, upper halves.
POST_HASH_BITS = 12


def _splitmix64_high(count: int) -> tuple[int, ...]:
    words, state = [], 0
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        words.append((z ^ (z >> 31)) >> 32)
    return tuple(words)


POST_HASH = _splitmix64_high(POST_HASH_BITS)


def xorshift32(state: int) -> int:
    """Advance the generator by one step.

    Parameters
    ----------
    state : int
        32-bit state, not zero.
    """
    left, right, last = XORSHIFT
    state ^= (state << left) & MASK32
    state ^= state >> right
    state ^= (state << last) & MASK32
    return state


def post_hash(post: int) -> int:
    """32-bit constant of a post index: XOR of one word per set bit, so hash(i ^ j) = hash(i) ^ hash(j)."""
    word = 0
    for bit in range(POST_HASH_BITS):
        if post >> bit & 1:
            word ^= POST_HASH[bit]
    return word
