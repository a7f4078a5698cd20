"""Event lists: addresses and times of spikes, from ``.csv``, ``.npz`` and HDF5 files, counted in bins of time.

HDF5 files are those of the Spiking Heidelberg Digits: ``spikes/times`` and ``spikes/units`` with one array per sample,
``labels``, and class names in ``extra/keys`` if there are any.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .data_files import (
    DataError,
    FloatArray,
    Split,
    ascending,
    integer,
    load_array,
    open_file,
    open_npz,
    read_text,
    short,
)
from .words import Ints

#: Header of a .csv file of events.
HEADER = ("sample", "label", "time", "address")
#: Bins of the longest recording unless the user says otherwise.
BINS = 100
_MOST_ADDRESSES = 1 << 16
_MOST_BINS = 1 << 16


@dataclass(frozen=True, eq=False)
class Events:
    """Recordings of one file.

    Attributes
    ----------
    times : list of float arrays
        In any unit, not negative; one per sample.
    addresses : list of int64 arrays
        From 0; as long as the times.
    labels, order, where
        As in :class:`~solsa.host.data_files.Split`.
    """

    times: list[FloatArray]
    addresses: list[Ints]
    labels: list[str]
    order: tuple[str, ...]
    where: str

    def __post_init__(self) -> None:
        if not self.times:
            raise DataError(f"{self.where}: no samples; allowed is at least one")
        for i, (times, addresses) in enumerate(zip(self.times, self.addresses, strict=True)):
            where = f"{self.where}, sample {i}"
            if len(times) != len(addresses):
                raise DataError(f"{where}: {len(times)} times for {len(addresses)} addresses; allowed are as many")
            if len(times) and not (np.isfinite(times).all() and times.min() >= 0):
                raise DataError(f"{where}: a time is negative or not finite; allowed are times from 0 up")
            if len(addresses) and not 0 <= addresses.min() <= addresses.max() < _MOST_ADDRESSES:
                raise DataError(f"{where}: address {addresses.min()} to {addresses.max()}, allowed 0 to "
                                f"{_MOST_ADDRESSES - 1}")  # fmt: skip


@dataclass(frozen=True)
class Binning:
    """How events were counted; a network keeps it, so that other recordings are counted in the same way."""

    #: Steps of the longest training recording.
    bins: int
    #: Time of one bin, in the unit of the recordings.
    width: float
    #: Addresses from 0.
    channels: int

    @classmethod
    def of(cls, parts: Sequence[Events], bins: int) -> Binning:
        """Bins of one width, such that the longest recording of the first part has ``bins`` of them."""
        if not 1 <= bins <= _MOST_BINS:
            raise DataError(f"{bins} bins, allowed are 1 to {_MOST_BINS}")
        end = max((float(times.max()) for times in parts[0].times if len(times)), default=0.0)
        channels = 1 + max((int(a.max()) for part in parts for a in part.addresses if len(a)), default=0)
        return cls(bins, end / bins if end > 0 else 1.0, channels)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Binning:
        """Inverse of ``dataclasses.asdict``; DataError for what it cannot be."""
        try:
            made = cls(int(plain["bins"]), float(plain["width"]), int(plain["channels"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"bins: cannot be read ({error})") from None
        if not (1 <= made.bins <= _MOST_BINS and 0 < made.width < np.inf and 1 <= made.channels <= _MOST_ADDRESSES):
            raise DataError(f"bins: {made} makes no sense")
        return made


def binned(parts: Sequence[Events], binning: Binning) -> list[Split]:
    """Count events per address and bin. A sample ends with its last event; one without events has one empty bin."""
    splits, channels = [], binning.channels
    for part in parts:
        samples = []
        for i, (times, addresses) in enumerate(zip(part.times, part.addresses, strict=True)):
            where = f"{part.where}, sample {i}"
            if len(addresses) and addresses.max() >= channels:
                raise DataError(f"{where}: address {addresses.max()}, the network was trained on 0 to {channels - 1}")
            with np.errstate(over="ignore"):
                place = times / binning.width
            if len(place) and place.max() > _MOST_BINS:
                raise DataError(f"{where}: time {times.max():g} is {place.max():.4g} bins of {binning.width:g}; "
                                f"allowed are {_MOST_BINS}")  # fmt: skip
            at = np.where(place > 0, np.ceil(place) - 1, 0).astype(np.int64)  # the last event ends the last bin
            sample = np.zeros((int(at.max()) + 1 if len(at) else 1, channels))
            np.add.at(sample, (at, addresses), 1.0)
            samples.append(sample)
        splits.append(Split(samples, part.labels, part.order, part.where))
    return splits


def is_event_csv(path: Path) -> bool:
    """Whether a .csv file has the header of events."""
    first = read_text(path).split("\n", 1)[0]
    return tuple(cell.strip().lower() for cell in first.split(",")) == HEADER


def read_event_csv(path: Path) -> Events:
    """Read a table with the columns ``sample, label, time, address``, one row per event in any order."""
    rows = csv.reader(read_text(path).splitlines())
    next(rows)
    times: dict[str, list[float]] = {}
    addresses: dict[str, list[int]] = {}
    labels: dict[str, int] = {}
    for row in rows:
        if not row:
            continue
        where = f"{path}, line {rows.line_num}"
        if len(row) != len(HEADER):
            raise DataError(f"{where}: {len(row)} cells; allowed are {len(HEADER)}: {', '.join(HEADER)}")
        key, label, address = row[0].strip(), integer(row[1], f"{where}, label"), integer(row[3], f"{where}, address")
        try:
            time = float(row[2])
        except ValueError:
            raise DataError(f"{where}, time: {short(row[2])} is not a number") from None
        if label < 0:
            raise DataError(f"{where}: label {label} is out of range; allowed are integers from 0 up")
        if labels.setdefault(key, label) != label:
            raise DataError(f"{where}, sample {key}: label {label}, but {labels[key]} before; a sample has one label")
        if abs(address) >= 1 << 32:
            raise DataError(f"{where}: address {address}, allowed 0 to {_MOST_ADDRESSES - 1}")
        times.setdefault(key, []).append(time)
        addresses.setdefault(key, []).append(address)
    numbers = list(labels.values())
    return Events(
        [np.array(t) for t in times.values()], [np.array(a, dtype=np.int64) for a in addresses.values()],
        [str(label) for label in numbers], ascending(numbers), str(path),
    )  # fmt: skip


def events_of_arrays(arrays: dict[str, Any], suffix: str, where: str) -> Events:
    """Events of flat arrays ``times``, ``addresses``, ``offsets`` [n + 1] and ``y`` [n] of an .npz file.

    Sample i has the events ``offsets[i]`` up to, but without, ``offsets[i + 1]``.
    """
    keys = [name + suffix for name in ("times", "addresses", "offsets", "y")]
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise DataError(f"{where}: no array {missing[0]!r}; events need {', '.join(keys)}")
    times, addresses, offsets, y = (np.asarray(arrays[key]) for key in keys)
    for key, array, kinds in zip(keys, (times, addresses, offsets, y), ("fiu", "iu", "iu", "iu"), strict=True):
        if array.ndim != 1 or array.dtype.kind not in kinds:
            raise DataError(f"{where}, array {key!r}: {array.dtype} {array.shape}; allowed is one list of "
                            f"{'numbers' if kinds == 'fiu' else 'integers'}")  # fmt: skip
    cuts = offsets.astype(np.int64)
    if len(cuts) != len(y) + 1 or (np.diff(cuts) < 0).any() or cuts[0] != 0 or cuts[-1] != len(times):
        raise DataError(f"{where}, array {keys[2]!r}: allowed are {len(y) + 1} rising numbers from 0 to {len(times)}")
    if len(addresses) != len(times):
        raise DataError(f"{where}: {len(addresses)} addresses for {len(times)} times; allowed are as many")
    numbers = [int(label) for label in y.tolist()]
    if min(numbers, default=0) < 0:
        raise DataError(f"{where}, array {keys[3]!r}: a negative label; allowed are integers from 0 up")
    return Events(
        np.split(times.astype(np.float64), cuts[1:-1]), np.split(addresses.astype(np.int64), cuts[1:-1]),
        [str(label) for label in numbers], ascending(numbers), where,
    )  # fmt: skip


def read_event_npz(path: Path) -> list[Events]:
    """Training and, if it is there, test events of an .npz file; nothing if it holds no array ``addresses``."""
    with open_file(path) as file, open_npz(file, path) as archive:
        if "addresses" not in archive.files:
            return []
        arrays = {key: load_array(archive, key, path) for key in archive.files}
    suffixes = ("", "_test") if "addresses_test" in arrays else ("",)
    return [events_of_arrays(arrays, suffix, str(path)) for suffix in suffixes]


def read_hdf5(path: Path) -> Events:
    """Read a file of the Spiking Heidelberg Digits' form."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise DataError(f"{path}: HDF5 files need {error.name}; install it with: pip install 'solsa[events]'") from None
    try:
        with h5py.File(path, "r") as file:
            missing = [key for key in ("spikes/times", "spikes/units", "labels") if key not in file]
            if missing:
                found = ", ".join(list(file)[:10]) or "nothing"
                raise DataError(
                    f"{path}: no {missing[0]!r}; needed are spikes/times, spikes/units, labels; found: {found}"
                )
            times = [np.asarray(t, dtype=np.float64) for t in file["spikes/times"][()]]
            units = [np.asarray(u).astype(np.int64) for u in file["spikes/units"][()]]
            labels = np.asarray(file["labels"][()])
            names = [k.decode() if isinstance(k, bytes) else str(k) for k in file["extra/keys"][()]] \
                if "extra/keys" in file else []  # fmt: skip
    except (OSError, TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not an HDF5 file of events ({error})") from None
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels) == len(times) == len(units):
        raise DataError(
            f"{path}: {len(times)} times, {len(units)} units and labels {labels.dtype} {labels.shape}; allowed are as "
            "many of each, labels as integers"
        )
    numbers = [int(label) for label in labels.tolist()]
    if min(numbers, default=0) < 0 or (names and max(numbers, default=0) >= len(names)):
        allowed = f"0 to {len(names) - 1}" if names else "integers from 0 up"
        raise DataError(f"{path}: labels {min(numbers)} to {max(numbers)}, allowed are {allowed}")
    if names and len(set(names)) == len(names):
        return Events(times, units, [names[k] for k in numbers], tuple(names), str(path))
    return Events(times, units, [str(k) for k in numbers], ascending(numbers), str(path))
