"""Words on the wire: 32-bit packing, and where the synapses of a network lie in the device's address spaces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solsa.contract import Format, Layout, NetworkConfig

Ints = NDArray[np.int64]
AnyInts = NDArray[np.integer[Any]]


def pack_words(values: Ints) -> bytes:
    """Integers as little-endian 32-bit words; negative values in two's complement."""
    return np.asarray(values, dtype=np.int64).astype("<u4").tobytes()


def unpack_words(data: bytes) -> Ints:
    """Words as signed integers, int64 [len(data) / 4]."""
    return np.frombuffer(data, dtype="<i4").astype(np.int64)


def truncate(values: Ints, fmt: Format) -> Ints:
    """Low bits of each value, read again as a value of the format: what a narrow memory keeps of a word."""
    low = values & ((1 << fmt.width) - 1)
    return np.where(low > fmt.max, low - (1 << fmt.width), low) if fmt.signed else low


def synapse_positions(config: NetworkConfig) -> Ints:
    """Synapse behind every index of the spaces WEIGHT and TRACE.

    Returns
    -------
    int64 array [words of the space]
        Position in the weights of all layers, each [M, N] row by row, one after the other; -1 for a padding word
        (a lane without a post in the last block of a layer).
    """
    layout, lanes, start = Layout(config), config.lanes, 0
    parts = []
    for layer in range(config.depth):
        posts, pres = config.post(layer), config.pre(layer)
        post = np.arange(layout.blocks(layer) * lanes, dtype=np.int64).reshape(-1, 1, lanes)
        pre = np.arange(pres, dtype=np.int64).reshape(1, -1, 1)
        parts.append(np.where(post < posts, start + post * pres + pre, -1).ravel())
        start += posts * pres
    return np.concatenate(parts)


def runs(addresses: Iterable[int]) -> list[tuple[int, int]]:
    """(first, behind the last) of every run of addresses without a gap."""
    found: list[tuple[int, int]] = []
    for address in sorted(addresses):
        if found and found[-1][1] == address:
            found[-1] = (found[-1][0], address + 1)
        else:
            found.append((address, address + 1))
    return found


def split_layers(config: NetworkConfig, flat: Ints) -> list[Ints]:
    """One array [M, N] per layer from the synapses of all layers in a row."""
    sizes = [config.post(i) * config.pre(i) for i in range(config.depth)]
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return [part.reshape(config.post(i), config.pre(i)) for i, part in enumerate(parts)]
