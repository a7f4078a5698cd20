"""Training samples that are changed a little, anew in every epoch: noise, and a shift by one channel.

It happens on the host, before encoder and scale, so every device gets the same words. What an epoch changes follows
from the network's seed and the epoch's number alone: a run that is resumed within an epoch gets the same samples again.
The generator's raw output is all that is used of it, so they are the same with every NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .data_files import FloatArray
from .quantise import Quantiser
from .recipe import Recipe

#: Apart from the network's other generators.
_STREAM = 6
#: Standard deviation of the sum of four uniform 16-bit numbers, and their mean.
_SPREAD, _MIDDLE = (4 * ((1 << 32) - 1) / 12) ** 0.5, 2 * ((1 << 16) - 1)


def augmented(train: Sequence[FloatArray], recipe: Recipe, seed: int, epoch: int) -> list[FloatArray]:
    """Training samples of an epoch, of the shapes they had.

    Parameters
    ----------
    train : sequence of array [T, channels]
        As they are in the data set.
    recipe : Recipe
        Its ``noise`` and ``shift``.
    seed, epoch : int
        Of the network; counted from 0.
    """
    source = np.random.PCG64(np.random.SeedSequence([seed, _STREAM, epoch]))
    spread = Quantiser.fit(train).by(recipe.scale, train).std
    found = []
    for sample in train:
        if recipe.shift:
            word = int(source.random_raw())
            if (word >> 11) * 2.0**-53 < recipe.shift:
                sample = _moved(sample, 1 if word & 1 else -1)
        if recipe.noise:
            sample = sample + _normal(source, sample.shape) * (recipe.noise * spread)
        found.append(sample)
    return found


def varied(recipe: Recipe) -> str:
    """What a recipe changes in training samples, in one line."""
    parts = []
    if recipe.shift:
        parts.append(f"{recipe.shift:.0%} of the samples moved by a channel")
    if recipe.noise:
        parts.append(f"noise of {recipe.noise:g} standard deviations")
    return f"in training, anew in every epoch: {', '.join(parts)}"


def _moved(sample: FloatArray, by: int) -> FloatArray:
    """Every value one channel further; the channel at the end that nothing moves to keeps its own."""
    padded = np.pad(sample, ((0, 0), (1, 1)), mode="edge")
    return padded[:, 1 - by : 1 - by + sample.shape[1]]


def _normal(source: np.random.PCG64, shape: tuple[int, ...]) -> FloatArray:
    """Near enough to a normal distribution, of mean 0 and deviation 1: sums of four 16-bit parts of a word."""
    words: NDArray[np.uint64] = source.random_raw(int(np.prod(shape)))
    parts = [(words >> np.uint64(16 * k)) & np.uint64(0xFFFF) for k in range(4)]
    total = sum(part.astype(np.int64) for part in parts)
    return ((total - _MIDDLE) / _SPREAD).reshape(shape)
