"""Graded inputs for the first layer: z-score per channel, then the chip's input format.

The scale is fitted on the training set only and travels with the network file, so a board, the simulated device and the
golden model receive the same integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from solsa.host.data_files import DataError, FloatArray

IntArray = NDArray[np.int8 | np.int16]

# A channel whose spread is below this part of its largest value is taken as constant: the rest is rounding noise.
CONSTANT_BELOW = 2.0**-40
#: Part of a channel's values that a robust scale lets saturate.
SATURATED = 0.05


class QuantisedSet(NamedTuple):
    """Samples in the input format, and how many of their values had to be clipped to it."""

    #: One integer array [T, channels] per sample.
    samples: list[IntArray]
    #: Values that did not fit and were set to the nearest end of the range.
    n_saturated: int
    #: All values.
    n_values: int


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Per-channel z-score followed by rounding to a signed fixed-point format.

    ``q = sat(round((x - mean) / std * 2**frac_bits))``, round half to even, saturating to ``width`` bits of two's
    complement. With the default s8 and 5 fraction bits the range is -4 to +3.97 standard deviations. A channel that is
    constant over the training set has ``std`` 0 and always gives 0: nothing was learned about its scale.

    Attributes
    ----------
    mean, std
        float64 [channels], over all steps of all training samples (population standard deviation).
    frac_bits
        Fraction bits of the result.
    width
        Bits of the result, sign included, 2 to 16; results are int8 up to 8 bits, else int16.
    constant
        One more channel follows, which is always 1.0: what weights on it add is a bias.

    Raises
    ------
    DataError
        Shapes or values of the parameters that make no sense.
    """

    mean: FloatArray
    std: FloatArray
    frac_bits: int = 5
    width: int = 8
    constant: bool = False

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.std.shape or not self.mean.size:
            raise DataError(f"quantiser: mean {self.mean.shape}, std {self.std.shape}; allowed is one per channel")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std >= 0).all()):
            raise DataError("quantiser: mean and std must be finite and std not negative")
        if not 2 <= self.width <= 16:
            raise DataError(f"quantiser: width {self.width}; allowed are 2 to 16 bits")
        if not 0 <= self.frac_bits < self.width:
            raise DataError(f"quantiser: frac_bits {self.frac_bits}; allowed are 0 to {self.width - 1}")

    @classmethod
    def fit(cls, train: Sequence[FloatArray], frac_bits: int = 5, width: int = 8) -> Self:
        """Take mean and spread of every channel from the training samples.

        Sums are exact (`math.fsum`), so the result depends neither on the order of the samples nor on the machine.

        Parameters
        ----------
        train
            Training samples, float [T, channels] each; never the test samples.
        frac_bits, width
            Format of the result.
        """
        if not train:
            raise DataError("quantiser: no training samples; at least one is needed")
        shapes = {np.shape(sample)[1:] for sample in train}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError("quantiser: training samples of different channels; allowed is [steps, channels] for all")
        values = np.concatenate([np.asarray(sample, dtype=np.float64) for sample in train])
        if not values.size:
            raise DataError("quantiser: empty training samples; at least one step of one channel is needed")
        if not np.isfinite(values).all():
            raise DataError("quantiser: a training value is NaN or infinite; allowed are finite values")
        mean, std = np.zeros(values.shape[1]), np.zeros(values.shape[1])
        for c, column in enumerate(values.T):
            numbers: list[float] = column.tolist()
            try:
                mean[c] = middle = math.fsum(numbers) / len(numbers)
                spread = math.sqrt(math.fsum((v - middle) * (v - middle) for v in numbers) / len(numbers))
            except OverflowError:
                spread = math.inf
            if not math.isfinite(spread):
                raise DataError(f"quantiser, channel {c}: values too large to scale; allowed are below about 1e150")
            std[c] = spread if spread > CONSTANT_BELOW * np.abs(column).max() else 0.0
        return cls(mean, std, frac_bits, width)

    @classmethod
    def unscaled(cls, channels: int, frac_bits: int = 5, width: int = 8) -> Self:
        """Take values as they are, as for spikes of 1.0."""
        return cls(np.zeros(channels), np.ones(channels), frac_bits, width)

    def by(self, scale: str, train: Sequence[FloatArray]) -> Self:
        """Scale of a recipe: ``channel``, ``common`` or ``robust``."""
        if scale == "common":
            return self.common()
        return self.robust(train) if scale == "robust" else self

    def common(self) -> Self:
        """One spread for all channels: the root mean square of theirs. Channels that do not move stay so."""
        spread = math.sqrt(math.fsum(float(v) * float(v) for v in self.std) / len(self.std))
        return replace(self, std=np.where(self.std > 0, spread, 0.0))

    def robust(self, train: Sequence[FloatArray]) -> Self:
        """Mean and spread of what the format holds, for data whose few largest values hide all others.

        Values beyond the format's range saturate, and then say less than their share of the spread. Mean and spread are
        taken again of the saturated values until they stay, for channels that lose a tenth of their spread by it; the
        others keep theirs. At most SATURATED of a channel's values saturate.
        """
        mean, std = self.mean.copy(), self.std.copy()
        reach = 2.0 ** (self.width - 1 - self.frac_bits)
        for c, column in enumerate(np.concatenate([np.asarray(x, dtype=np.float64) for x in train]).T):
            for turn in range(64):
                held = np.clip(column, mean[c] - reach * std[c], mean[c] + reach * std[c])
                middle = math.fsum(held.tolist()) / len(held)
                spread = math.sqrt(math.fsum(((held - middle) ** 2).tolist()) / len(held))
                if not spread or spread > (0.9 if turn == 0 else 0.99) * std[c]:
                    break
                if np.count_nonzero(np.abs(column - middle) > reach * spread) > SATURATED * len(held):
                    break
                mean[c], std[c] = middle, spread
        return replace(self, mean=mean, std=std)

    def with_plain(self, count: int) -> Self:
        """With so many more channels behind, which are taken as they are."""
        return replace(self, mean=np.append(self.mean, np.zeros(count)), std=np.append(self.std, np.ones(count)))

    @property
    def constant_channels(self) -> tuple[int, ...]:
        """Channels that carry no information in the training set and always give 0."""
        return tuple(int(c) for c in np.flatnonzero(self.std == 0))

    def transform(self, sample: FloatArray) -> IntArray:
        """Quantise one sample, float [T, channels], to integers of the same shape (and the constant channel).

        Raises
        ------
        DataError
            Another number of channels than fitted, or a value that is not finite.
        """
        return self.transform_all([sample]).samples[0]

    def transform_all(self, samples: Sequence[FloatArray]) -> QuantisedSet:
        """Quantise many samples and count the values that saturate."""
        low, high = -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        dtype: type[np.int8 | np.int16] = np.int8 if self.width <= 8 else np.int16
        live = self.std > 0
        scale = np.where(live, self.std, 1.0)
        done: list[IntArray] = []
        n_saturated = n_values = 0
        for i, raw in enumerate(samples):
            sample = np.asarray(raw, dtype=np.float64)
            if sample.ndim != 2 or sample.shape[1] != self.mean.size:
                raise DataError(f"quantiser, sample {i}: shape {sample.shape}; allowed is [steps, {self.mean.size}]")
            if not np.isfinite(sample).all():
                t, c = np.argwhere(~np.isfinite(sample))[0]
                bad = sample[t, c]
                raise DataError(f"quantiser, sample {i}, channel {c}, step {t}: {bad}; allowed are finite values")
            with np.errstate(over="ignore"):  # a huge value becomes infinite here and saturates below
                z = np.where(live, (sample - self.mean) / scale, 0.0)
                rounded = np.rint(z * 2.0**self.frac_bits)
            n_saturated += int(np.count_nonzero((rounded < low) | (rounded > high)))
            n_values += sample.size
            whole = np.clip(rounded, low, high)
            if self.constant:
                whole = np.pad(whole, ((0, 0), (0, 1)), constant_values=min(high, 1 << self.frac_bits))
            done.append(whole.astype(dtype))
        return QuantisedSet(done, n_saturated, n_values)

    def to_dict(self) -> dict[str, NDArray[Any]]:
        """Return the parameters as plain arrays, for the network file."""
        return {
            "mean": self.mean.copy(),
            "std": self.std.copy(),
            "frac_bits": np.array(self.frac_bits, dtype=np.int64),
            "width": np.array(self.width, dtype=np.int64),
            "constant": np.array(self.constant),
        }

    @classmethod
    def from_dict(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild a quantiser from :meth:`to_dict`.

        Raises
        ------
        DataError
            A parameter is missing or has the wrong form.
        """
        missing = [key for key in ("mean", "std", "frac_bits", "width") if key not in arrays]
        if missing:
            raise DataError(f"quantiser: {', '.join(missing)} missing; needed are mean, std, frac_bits and width")
        try:
            mean, std = (np.array(arrays[key], dtype=np.float64) for key in ("mean", "std"))
            frac_bits, width = (int(np.asarray(arrays[key]).item()) for key in ("frac_bits", "width"))
            constant = bool(np.asarray(arrays.get("constant", False)).item())  # older files have none
        except (TypeError, ValueError) as error:
            raise DataError(f"quantiser: parameters cannot be read ({error})") from None
        return cls(mean, std, frac_bits, width, constant)
