"""Data sets: labelled time series by name, or from a ``.ts``, ``.npz``, ``.csv`` or HDF5 file or a folder.

:func:`load_dataset` is the only way in; what it returns has been checked, so nothing behind it needs to look again.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from solsa.host.data_files import DataError, FloatArray, Split, read_csv, read_npz, read_ts
from solsa.host.events import BINS, Binning, Events, binned, is_event_csv, read_event_csv, read_event_npz, read_hdf5

__all__ = ["KNOWN", "DataError", "Dataset", "FloatArray", "load_dataset"]

LabelArray = NDArray[np.int64]

#: Data sets known by name, no network is needed: two in the aeon wheel with their official splits, and scikit-learn's
#: 8x8 digits, rows as steps, the first half for training.
KNOWN = ("JapaneseVowels", "BasicMotions", "digits")

# A file without a test split is split by us: this part goes to the test set, per class, with this seed.
TEST_PART = 0.25
SPLIT_SEED = 0

_TEXT_READERS: dict[str, Callable[[Path], Split]] = {".ts": read_ts, ".csv": read_csv}
_HDF5 = (".h5", ".hdf5")
_SUFFIXES = (*_TEXT_READERS, ".npz", *_HDF5)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled time series, in a training and a test split.

    Attributes
    ----------
    name
        As given, or the file's name without its ending.
    train, test
        Samples, read-only float64 [T, channels] each; T may differ.
    train_labels, test_labels
        int64 [samples], classes 0 to ``n_classes - 1``; every class occurs in the training split.
    class_names
        One name per class.
    notes
        What a reader of results should know, e.g. that the split is ours.
    binning
        How its events were counted, if it was made from event lists.
    """

    name: str
    train: list[FloatArray]
    train_labels: LabelArray
    test: list[FloatArray]
    test_labels: LabelArray
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    binning: Binning | None = None

    @property
    def n_channels(self) -> int:
        """Channels of every sample."""
        return int(self.train[0].shape[1])

    @property
    def n_classes(self) -> int:
        """Classes, 2 or more."""
        return len(self.class_names)

    @property
    def t_max(self) -> int:
        """Steps of the longest sample of both splits."""
        return max(len(sample) for sample in (*self.train, *self.test))


def load_dataset(name_or_path: str, bins: int | None = None, like: Binning | None = None) -> Dataset:
    """Load and check a data set.

    Parameters
    ----------
    name_or_path
        A known name (:data:`KNOWN`); a ``.ts`` or ``.csv`` file (``NAME_TRAIN.ts`` takes ``NAME_TEST.ts`` beside it as
        its test split; a lone file is split 75/25 per class with a fixed seed, and `Dataset.notes` says so); an
        ``.npz`` file; an HDF5 file of events (``.h5``); a folder with ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``.
        See :mod:`solsa.host.data_files`.
    bins
        Steps of the longest training recording of event lists (:mod:`solsa.host.events`), 100 without it.
    like
        Count events as these were counted, in place of ``bins``.

    Raises
    ------
    DataError
        The data cannot be used. One line: what, where, what is allowed.
    """
    dataset = _load(name_or_path, bins or BINS, like)
    if bins is not None and dataset.binning is None:
        raise DataError(f"{name_or_path}: holds no events that could be counted in {bins} bins; leave the bins out")
    return dataset


def _load(name_or_path: str, bins: int, like: Binning | None) -> Dataset:
    test: Split | None
    if name_or_path == "digits":
        train, test = _digits()
        return _assemble(name_or_path, train, test, ("no official split: the first 898 samples train, the rest test",))
    if name_or_path in KNOWN:
        folder = _bundled_folder(name_or_path)
        train, test = read_ts(folder / f"{name_or_path}_TRAIN.ts"), read_ts(folder / f"{name_or_path}_TEST.ts")
        return _assemble(name_or_path, train, test)
    path = Path(name_or_path)
    if not name_or_path or not path.exists():
        raise DataError(_not_found(name_or_path))
    if path.is_dir():
        path = _train_file(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        events = read_event_npz(path)
        if events:
            return _binned(path.stem, events, bins, like)
        train, test, notes = read_npz(path)
        return _assemble(path.stem, train, test, notes)
    if suffix not in _SUFFIXES:
        raise DataError(f"{path}: ending {suffix or 'none'!r} is not known; allowed are {', '.join(_SUFFIXES)}")
    name, train_path, test_path = _pair(path)
    if suffix in _HDF5 or (suffix == ".csv" and is_event_csv(path)):
        load = read_hdf5 if suffix in _HDF5 else read_event_csv
        return _binned(name, [load(p) for p in (train_path, test_path) if p], bins, like)
    read = _TEXT_READERS[suffix]
    return _assemble(name, read(train_path), read(test_path) if test_path else None)


def _binned(name: str, parts: list[Events], bins: int, like: Binning | None) -> Dataset:
    binning = like or Binning.of(parts, bins)
    train, *test = binned(parts, binning)
    notes = (f"events counted in {binning.bins} bins of one width",)
    return replace(_assemble(name, train, test[0] if test else None, notes), binning=binning)


def _bundled_folder(name: str) -> Path:
    spec = importlib.util.find_spec("aeon")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"{name}: comes with aeon, which is not installed; install it with: pip install 'solsa[data]'")
    folder = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data" / name
    if not folder.is_dir():
        raise DataError(f"{name}: not in the installed aeon ({folder} is missing); allowed is aeon 1.x")
    return folder


def _digits() -> tuple[Split, Split]:
    if importlib.util.find_spec("sklearn") is None:
        raise DataError(
            "digits: comes with scikit-learn, which is not installed; install it with: pip install 'solsa[data]'"
        )
    from sklearn.datasets import load_digits

    bunch = load_digits()
    samples = [np.array(image, dtype=np.float64) for image in bunch.images]
    labels = [str(label) for label in bunch.target.tolist()]
    half, order = len(samples) // 2, tuple(str(k) for k in range(10))
    parts = ((slice(None, half), "training"), (slice(half, None), "test"))
    train, test = (Split(samples[s], labels[s], order, f"digits, {name} split") for s, name in parts)
    return train, test


def _not_found(text: str) -> str:
    path = Path(text)
    allowed = f"allowed are {', '.join(KNOWN)}, or a {', '.join(_SUFFIXES)} file or a folder"
    if path.suffix.lower() in _SUFFIXES or len(path.parts) > 1:
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, siblings, n=1)
        if not close:
            return f"{text}: no such file or folder; {allowed}"
        return f"{text}: no such file or folder; did you mean {path.parent / close[0]}?"
    lower = {name.lower(): name for name in KNOWN}
    close = difflib.get_close_matches(text.lower(), list(lower), n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(lower[name] for name in close)}? " if close else ""
    return f"unknown data set {text!r}; {hint}{allowed}"


def _train_file(folder: Path) -> Path:
    found = sorted(p for p in folder.iterdir() if p.name.endswith("_TRAIN.ts"))
    preferred = [p for p in found if p.name == f"{folder.resolve().name}_TRAIN.ts"] or found
    if len(preferred) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise DataError(f"{folder}: a folder needs one pair NAME_TRAIN.ts and NAME_TEST.ts; found: {names}")
    train = preferred[0]
    test = train.with_name(train.name.replace("_TRAIN.ts", "_TEST.ts"))
    if not test.is_file():
        raise DataError(f"{test}: no such file; a folder needs one pair NAME_TRAIN.ts and NAME_TEST.ts")
    return train


def _pair(path: Path) -> tuple[str, Path, Path | None]:
    """Name, training file and, when there is one beside it, test file."""
    for mine, other in (("_TRAIN", "_TEST"), ("_TEST", "_TRAIN"), ("_train", "_test"), ("_test", "_train")):
        if path.stem.endswith(mine):
            name = path.stem.removesuffix(mine)
            twin = path.with_name(f"{name}{other}{path.suffix}")
            if twin.is_file():
                return (name, path, twin) if mine.upper() == "_TRAIN" else (name, twin, path)
    return path.stem, path, None


def _assemble(name: str, train: Split, test: Split | None, notes: tuple[str, ...] = ()) -> Dataset:
    check_samples(train, n_channels=None)
    present = set(train.labels)
    class_names = tuple(label for label in train.order if label in present)
    if len(class_names) < 2:
        raise DataError(f"{train.where}: only one class ({class_names[0]}); allowed are 2 or more")
    train_labels = _to_indices(train, class_names)
    if test is None:
        held_out = hold_out(train_labels, class_names, train.where)
        notes += (f"no test split in {train.where}: {TEST_PART:.0%} of each class held out here, seed {SPLIT_SEED}",)
        test_samples = [sample for sample, out in zip(train.samples, held_out, strict=True) if out]
        train_samples = [sample for sample, out in zip(train.samples, held_out, strict=True) if not out]
        train_labels, test_labels = train_labels[~held_out], train_labels[held_out]
    else:
        check_samples(test, n_channels=train.samples[0].shape[1])
        train_samples, test_samples, test_labels = train.samples, test.samples, _to_indices(test, class_names)
    for array in (*train_samples, train_labels, *test_samples, test_labels):
        array.setflags(write=False)
    return Dataset(name, train_samples, train_labels, test_samples, test_labels, class_names, notes)


def check_samples(split: Split, n_channels: int | None) -> None:
    """Check shapes and values; `n_channels` is the training split's when the test split is checked."""
    if not split.samples:
        raise DataError(f"{split.where}: no samples; allowed is at least one")
    reference = "the training split" if n_channels is not None else "sample 0"
    for i, sample in enumerate(split.samples):
        where = f"{split.where}, sample {i}"
        n_channels = sample.shape[1] if n_channels is None else n_channels
        if not sample.size:
            raise DataError(f"{where}: empty, {len(sample)} steps of {sample.shape[1]} channels; allowed are 1 or more")
        if sample.shape[1] != n_channels:
            raise DataError(f"{where}: {sample.shape[1]} channels, but {reference} has {n_channels}; all need the same")
        if not np.isfinite(sample).all():
            t, c = np.argwhere(~np.isfinite(sample))[0]
            raise DataError(f"{where}, channel {c}, step {t}: {sample[t, c]} in the data; allowed are finite values")


def _to_indices(split: Split, class_names: tuple[str, ...]) -> LabelArray:
    index = {label: k for k, label in enumerate(class_names)}
    for i, label in enumerate(split.labels):
        if label not in index:
            allowed = ", ".join(class_names[:20])
            raise DataError(f"{split.where}, sample {i}: label {label} is not in training; allowed are {allowed}")
    return np.array([index[label] for label in split.labels], dtype=np.int64)


def hold_out(
    labels: LabelArray, class_names: tuple[str, ...], where: str, share: float = TEST_PART, seed: int = SPLIT_SEED
) -> NDArray[np.bool_]:
    """Choose the samples to hold out: a fixed part of every class, at least one and not all."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    for k, class_name in enumerate(class_names):
        members = np.flatnonzero(labels == k)
        if len(members) < 2:
            raise DataError(f"{where}: class {class_name} has 1 sample; to hold out a test split, 2 or more are needed")
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    return chosen
