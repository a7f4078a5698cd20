"""Encoders: values over time as currents or spikes for the first layer.

An encoder is fitted to the training samples (range or spread of every channel) and travels with the network file. What
it puts out has float values in which a spike is 1.0.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from .data import Dataset
from .data_files import DataError, FloatArray

#: Steps of an encoded sample at most.
_MOST_STEPS = 1 << 18


@dataclass(frozen=True)
class Kind:
    """What the encoders of one name have in common."""

    #: Options with their defaults; all are positive numbers of the type of the default.
    options: Mapping[str, float]
    #: Channels made of one.
    channels: Callable[[Mapping[str, float]], int]
    #: Steps made of one.
    steps: Callable[[Mapping[str, float]], int]
    #: Whether the output is scaled like data afterwards (z-score), not taken as it is.
    graded: bool
    about: str
    #: Channels added to those, which are never scaled.
    added: Callable[[Mapping[str, float]], int] = lambda _: 0


def _option(name: str) -> Callable[[Mapping[str, float]], int]:
    return lambda options: int(options[name])


def _one(_: Mapping[str, float]) -> int:
    return 1


#: Every encoder by its name.
KINDS: dict[str, Kind] = {
    "direct": Kind({"repeat": 1}, _one, _option("repeat"), True, "values as currents, each held for `repeat` steps"),
    "spikes": Kind({}, _one, _one, False, "1.0 where a value is above 0: events counted in bins"),
    "delta": Kind({"threshold": 0.25}, lambda _: 2, _one, False,
                  "a spike up or down when a value has moved by `threshold` standard deviations"),
    "rate": Kind({"repeat": 4, "seed": 1}, _one, _option("repeat"), False,
                 "`repeat` steps per value, each a spike with the value's place in its range as probability"),
    "latency": Kind({"window": 8}, _one, _option("window"), False,
                    "one spike per value within `window` steps, the earlier the larger the value"),
    "population": Kind({"neurons": 4}, _option("neurons"), _one, False,
                       "`neurons` graded signals per channel, bell curves over its range"),
    "delays": Kind({"taps": 4, "clock": 8, "repeat": 1}, _option("taps"), _option("repeat"), True,
                   "currents of the last `taps` steps side by side, each held for `repeat` steps, and `clock` channels "
                   "of which one is 1.0, the first in the first part of the longest sample, and so on",
                   _option("clock")),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Encoder:
    """An encoder with its options and, once fitted, what it knows of the channels.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    options : dict
        Its options, all of them.
    low, high, std : float array [channels]
        Range and standard deviation of the training samples; empty until fitted.
    length : int
        Steps of the longest training sample, which a clock divides into parts; 0 without a clock.
    """

    kind: str
    options: dict[str, float]
    low: FloatArray = field(default_factory=lambda: np.zeros(0))
    high: FloatArray = field(default_factory=lambda: np.zeros(0))
    std: FloatArray = field(default_factory=lambda: np.zeros(0))
    length: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NAME`` or ``NAME:option=value,option=value``; DataError for anything else."""
        kind, _, rest = text.partition(":")
        if kind not in KINDS:
            raise DataError(f"encoder {kind!r} is not known, allowed: {', '.join(KINDS)}")
        options: dict[str, float] = dict(KINDS[kind].options)
        for part in filter(None, rest.split(",")):
            key, _, value = part.partition("=")
            if key not in options:
                allowed = ", ".join(options) or "none"
                raise DataError(f"encoder {kind}: option {key!r} is not known, allowed: {allowed}")
            try:
                number = type(KINDS[kind].options[key])(value)
            except ValueError:
                number = 0
            if not 0 < number <= 1000:
                what = "integers" if isinstance(KINDS[kind].options[key], int) else "numbers"
                raise DataError(f"encoder {kind}: {key} {value!r}, allowed are {what} above 0 up to 1000")
            options[key] = number
        return cls(kind, options)

    def __str__(self) -> str:
        options = ",".join(f"{key}={value:g}" for key, value in self.options.items())
        return f"{self.kind}:{options}" if options else self.kind

    @property
    def graded(self) -> bool:
        """Whether its output is scaled like data."""
        return KINDS[self.kind].graded

    @property
    def channels(self) -> int:
        """Channels of the data; 0 until fitted."""
        return len(self.low)

    @property
    def factor(self) -> int:
        """Channels that it makes of one."""
        return KINDS[self.kind].channels(self.options)

    @property
    def added(self) -> int:
        """Channels that it adds behind those, which are taken as they are."""
        return KINDS[self.kind].added(self.options)

    def width(self, channels: int) -> int:
        """Channels that it makes of so many."""
        return channels * self.factor + self.added

    @property
    def stretch(self) -> int:
        """Steps that it makes of one."""
        return KINDS[self.kind].steps(self.options)

    def fit(self, train: Sequence[FloatArray]) -> Self:
        """Take range and spread of every channel from the training samples; DataError for values too large for it."""
        values = np.concatenate(train)
        with np.errstate(over="ignore", invalid="ignore"):
            std = values.std(axis=0)
        if not np.isfinite(std).all():
            channel = int(np.argmin(np.isfinite(std)))
            raise DataError(f"encoder {self.kind}, channel {channel}: values too large; allowed are below about 1e150")
        length = max(len(sample) for sample in train) if self.added else 0
        return replace(self, low=values.min(axis=0), high=values.max(axis=0), std=std, length=length)

    def transform(self, sample: FloatArray) -> FloatArray:
        """Encode a sample [T, channels] to [steps, outputs]; DataError for another number of channels."""
        self._check_fitted()
        if sample.ndim != 2 or sample.shape[1] != self.channels:
            raise DataError(f"encoder {self.kind}: shape {sample.shape}, fitted on {self.channels} channels")
        if len(sample) * self.stretch > _MOST_STEPS:
            raise DataError(
                f"encoder {self}: {len(sample) * self.stretch} steps of {len(sample)}, allowed {_MOST_STEPS}"
            )
        encoded: FloatArray = getattr(self, f"_{self.kind}")(sample)
        return encoded

    def _check_fitted(self) -> None:
        if not self.channels:
            raise DataError(f"encoder {self.kind}: knows no ranges before the first training; call fit or partial_fit")

    def stepper(self) -> Callable[[FloatArray], FloatArray]:
        """Encoder of the steps of one sample as they come: a function from [channels] to [outputs].

        Raises
        ------
        DataError
            If it makes several steps of one, so that a stream of steps has no place for them, or is not fitted yet.
        """
        if self.stretch > 1:
            raise DataError(f"encoder {self}: {self.stretch} steps of one do not fit a stream; give whole samples")
        self._check_fitted()
        if self.kind == "delta":
            return self._follower()
        if self.kind == "delays":
            return self._line()
        return lambda row: self.transform(row[None])[0]

    def apply(self, dataset: Dataset) -> Dataset:
        """Data set with all samples encoded."""
        return replace(
            dataset,
            train=[self.transform(sample) for sample in dataset.train],
            test=[self.transform(sample) for sample in dataset.test],
            notes=(*dataset.notes, f"encoder {self}"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form."""
        arrays = {key: getattr(self, key).tolist() for key in ("low", "high", "std")}
        length = {"length": self.length} if self.length else {}
        return {"kind": self.kind, "options": dict(self.options), **arrays, **length}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`; DataError for what it cannot be."""
        try:
            options = ",".join(f"{key}={value}" for key, value in plain["options"].items())
            made = cls.parse(f"{plain['kind']}:{options}")
            low, high, std = (np.array(plain[key], dtype=np.float64) for key in ("low", "high", "std"))
            length = int(plain.get("length", 0))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"encoder: cannot be read ({error})") from None
        if low.ndim != 1 or not low.shape == high.shape == std.shape:
            raise DataError("encoder: ranges of different channels")
        if not (np.isfinite(low).all() and np.isfinite(high).all() and np.isfinite(std).all()):
            raise DataError("encoder: ranges that are not finite")
        if (length > 0) != bool(made.added and len(low)):
            raise DataError(f"encoder {made}: a longest sample of {length} steps")
        return replace(made, low=low, high=high, std=std, length=length)

    # -- one per kind -------------------------------------------------------------------------------------------------
    def _place(self, sample: FloatArray) -> FloatArray:
        """Place of every value in the range of its channel, 0 to 1; 0.5 in a channel that is constant."""
        width = self.high - self.low
        with np.errstate(over="ignore"):
            place = np.clip((sample - self.low) / np.where(width > 0, width, 1.0), 0.0, 1.0)
        return np.where(width > 0, place, 0.5)

    def _direct(self, sample: FloatArray) -> FloatArray:
        return np.repeat(sample, int(self.options["repeat"]), axis=0)

    def _spikes(self, sample: FloatArray) -> FloatArray:
        return (sample > 0).astype(np.float64)

    def _delta(self, sample: FloatArray) -> FloatArray:
        step = self._follower()
        return np.array([step(row) for row in sample])

    def _follower(self) -> Callable[[FloatArray], FloatArray]:
        """Channels going up, then channels going down; the reference follows by a threshold per spike."""
        threshold = np.where(self.std > 0, self.std * self.options["threshold"], np.inf)
        reference: FloatArray | None = None

        def step(row: FloatArray) -> FloatArray:
            nonlocal reference
            before = row if reference is None else reference
            up, down = row - before >= threshold, before - row >= threshold
            reference = before + np.where(up, threshold, 0.0) - np.where(down, threshold, 0.0)
            return np.concatenate([up, down]).astype(np.float64)

        return step

    def _delays(self, sample: FloatArray) -> FloatArray:
        step = self._line()
        return np.repeat(np.array([step(row) for row in sample]), int(self.options["repeat"]), axis=0)

    def _line(self) -> Callable[[FloatArray], FloatArray]:
        """Channels of this step, of the one before, ..., then the clock. Before the first step it has always been that.

        The clock counts steps, so a stream can follow it; in samples longer than all of training its last part lasts.
        """
        kept: deque[FloatArray] = deque(maxlen=int(self.options["taps"]))
        parts, done = np.eye(self.added), 0

        def step(row: FloatArray) -> FloatArray:
            nonlocal done
            kept.extendleft([row] * (1 if kept else int(self.options["taps"])))
            part = min(done * self.added // self.length, self.added - 1)
            done += 1
            return np.concatenate([*kept, parts[part]])

        return step

    def _rate(self, sample: FloatArray) -> FloatArray:
        """Random, but the same for the same sample: the generator starts from the sample's values."""
        seed = [int(self.options["seed"]), zlib.crc32(np.ascontiguousarray(sample).tobytes())]
        place = np.repeat(self._place(sample), int(self.options["repeat"]), axis=0)
        source = np.random.PCG64(np.random.SeedSequence(seed))
        uniform = (source.random_raw(place.size) >> np.uint64(11)) * 2.0**-53
        return (uniform.reshape(place.shape) < place).astype(np.float64)

    def _latency(self, sample: FloatArray) -> FloatArray:
        window = int(self.options["window"])
        at = np.rint((1 - self._place(sample)) * (window - 1)).astype(np.int64)
        found = (np.arange(window)[None, :, None] == at[:, None, :]).astype(np.float64)
        return found.reshape(-1, sample.shape[1])

    def _population(self, sample: FloatArray) -> FloatArray:
        """Neurons of the first channel, then of the next; centres evenly spaced, neighbours meet at exp(-1/2)."""
        neurons = int(self.options["neurons"])
        centres = (np.arange(neurons) + 0.5) / neurons
        distance = (self._place(sample)[:, :, None] - centres) * 2 * neurons
        return np.exp(-0.5 * distance**2).reshape(len(sample), -1)


def encoder_of(given: str | Encoder | None) -> Encoder | None:
    """Encoder of an option, or none for the default: values as currents, one step each."""
    made = Encoder.parse(given) if isinstance(given, str) else given
    return None if made is None or (made.kind == "direct" and made.options["repeat"] == 1) else made
