"""Time constants of neurons on a core that holds a few pairs (a, lam) per layer: post i has those of group i mod G.

A hidden layer's neurons may be put in another order, since nobody sees it; those of the readout may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solsa.contract.config import MAX_GROUPS

from .words import Ints

#: Integers of a and lam; None for a neuron that takes any.
Pair = tuple[int, int] | None
SIZES = tuple(g for g in (1, 2, 4, 8) if g <= MAX_GROUPS)


@dataclass(frozen=True)
class Grouping:
    """Order and constants of one layer.

    Attributes
    ----------
    order : list of int
        Neuron of the graph that stands at every place.
    pairs : list of (a, lam)
        Of every group.
    """

    order: list[int]
    pairs: list[tuple[int, int]]


def grouped(layers: Sequence[Sequence[Pair]], least: int = 1) -> tuple[int, list[Grouping]] | int:
    """Fewest groups, from ``least`` up, that hold the constants of all layers exactly, and how.

    If there are none: the layer that does not fit.
    """
    failed = 0
    for groups in (size for size in SIZES if size >= least):
        found = []
        for index, pairs in enumerate(layers):
            one = _in_place(pairs, groups)
            if one is None and index < len(layers) - 1:
                one = _in_order(pairs, groups)
            if one is None:
                failed = index
                break
            found.append(one)
        else:
            return groups, found
    return failed


def approximated(layers: Sequence[Sequence[Pair]]) -> tuple[int, list[Grouping]]:
    """Eight groups of similar neurons in every layer, each with the mean of its constants."""
    groups, found = SIZES[-1], []
    for index, pairs in enumerate(layers):
        order = list(range(len(pairs)))
        if index < len(layers) - 1:
            known = sorted(order, key=lambda i: (pairs[i] is None, pairs[i] or (0, 0)))
            places = [p for g in range(groups) for p in range(g, len(pairs), groups)]
            order = [neuron for _, neuron in sorted(zip(places, known, strict=True))]
        means = []
        for g in range(groups):
            own = [pair for i in order[g::groups] if (pair := pairs[i]) is not None]
            mean = np.rint(np.mean(own, axis=0)).astype(int).tolist() if own else [0, 0]
            means.append((mean[0], mean[1]))
        found.append(Grouping(order, means))
    return groups, found


def _in_place(pairs: Sequence[Pair], groups: int) -> Grouping | None:
    """Grouping without another order, if every group has one pair."""
    made: list[tuple[int, int]] = []
    for g in range(groups):
        own = {pair for pair in pairs[g::groups] if pair is not None}
        if len(own) > 1:
            return None
        made.append(own.pop() if own else (made[0] if made else (0, 0)))
    return Grouping(list(range(len(pairs))), made)


def _in_order(pairs: Sequence[Pair], groups: int) -> Grouping | None:
    """Grouping in another order, if whole groups can be given to the pairs."""
    sizes = [len(pairs[g::groups]) for g in range(groups)]
    kinds = sorted({pair for pair in pairs if pair is not None})
    wild = [i for i, pair in enumerate(pairs) if pair is None]
    members = {kind: [i for i, pair in enumerate(pairs) if pair == kind] for kind in kinds}
    if len(kinds) > groups:
        return None
    for spare in kinds if wild else [None]:
        wanted = [len(members[kind]) + (len(wild) if kind == spare else 0) for kind in kinds]
        owner = _shared(sizes, wanted, [])
        if owner is None:
            continue
        left = {kind: list(members[kind]) + (wild if kind == spare else []) for kind in kinds}
        order = [left[kinds[owner[place % groups]]].pop(0) for place in range(len(pairs))]
        return Grouping(order, [kinds[k] for k in owner])
    return None


def _shared(sizes: list[int], wanted: list[int], chosen: list[int]) -> list[int] | None:
    """Owner of every group such that the sizes of an owner's groups add up to what it wants."""
    if len(chosen) == len(sizes):
        return chosen if not any(wanted) else None
    size = sizes[len(chosen)]
    tried: set[int] = set()
    for k, rest in enumerate(wanted):
        if rest < size or rest in tried:
            continue
        tried.add(rest)
        found = _shared(sizes, [*wanted[:k], rest - size, *wanted[k + 1 :]], [*chosen, k])
        if found is not None:
            return found
    return None


def constants_of(grouping: Grouping, groups: int, posts: int) -> tuple[Ints, Ints]:
    """Integers of a and lam at every place, int64 [posts] each."""
    table = np.array(grouping.pairs, dtype=np.int64)[np.arange(posts) % groups]
    return table[:, 0], table[:, 1]
