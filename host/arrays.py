"""Samples and labels as a notebook holds them, checked and turned into what the trainer takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Dataset, check_samples
from .data_files import DataError, FloatArray, Split
from .words import Ints

#: Anything that numpy makes an array of, or a list of arrays of different lengths.
ArrayLike = Any


def as_samples(x: ArrayLike, where: str = "X") -> list[FloatArray]:
    """One float64 array [T, channels] per sample.

    Parameters
    ----------
    x : array [n, T, channels] or sequence of arrays [T, channels]
        In a sequence T may differ.
    where : str
        Name in error messages.

    Raises
    ------
    DataError
        For other shapes, no samples, and values that are not finite real numbers.
    """
    whole = isinstance(x, np.ndarray) and x.dtype != object
    if whole and x.ndim != 3:
        hint = "; x[:, None, :] makes every row a sample of one step" if x.ndim == 2 else ""
        raise DataError(f"{where} of shape {x.shape}, allowed [samples, steps, channels] or a list of samples{hint}")
    samples = []
    try:
        parts = list(x)
    except TypeError:
        raise DataError(f"{where} is {type(x).__name__}, allowed are an array or a list of samples") from None
    for i, part in enumerate(parts):
        try:
            found = np.asarray(part)
        except ValueError:
            raise DataError(f"{where}, sample {i}: rows of different lengths, allowed is [steps, channels]") from None
        if found.ndim != 2:
            raise DataError(f"{where}, sample {i}: shape {found.shape}, allowed is [steps, channels]")
        if found.dtype.kind not in "fiub":
            raise DataError(f"{where}, sample {i}: type {found.dtype}, allowed are real numbers")
        samples.append(found.astype(np.float64))
    check_samples(Split(samples, [], (), where), None)
    return samples


def as_labels(y: ArrayLike, count: int | None = None, where: str = "y") -> NDArray[Any]:
    """Labels as an array [count] of integers or of strings; DataError for anything else."""
    found = np.asarray(y)
    if found.dtype == object:
        found = np.array([str(label) if isinstance(label, str) else label for label in found.tolist()])
    if found.ndim != 1 or (count is not None and len(found) != count):
        samples = "" if count is None else f" for {count} samples"
        raise DataError(f"{where} of shape {found.shape}{samples}, allowed is one label per sample")
    if found.dtype.kind == "b":
        found = found.astype(np.int64)
    if found.dtype.kind not in "iuU":
        raise DataError(f"{where} of type {found.dtype}, allowed are integers or strings")
    return found


def class_names(classes: ArrayLike, where: str = "classes") -> tuple[str, ...]:
    """Names of classes in their order; DataError if one occurs twice."""
    found = np.asarray(classes)
    names = tuple(as_labels(found, found.size, where).astype(str).tolist())
    if len(set(names)) != len(names):
        raise DataError(f"{where}: a class occurs twice, allowed are distinct ones")
    return names


def class_values(names: Sequence[str]) -> NDArray[Any]:
    """Labels behind class names: int64 if every name is the usual spelling of an integer, else strings."""
    if all(re.fullmatch(r"0|-?[1-9][0-9]{0,17}", name) for name in names):
        return np.array([int(name) for name in names], dtype=np.int64)
    return np.array(names, dtype=np.str_)


def label_indices(y: NDArray[Any], names: Sequence[str], where: str = "y") -> Ints:
    """Index of every label's class, int64; DataError names a label that is no class."""
    index = {name: i for i, name in enumerate(names)}
    labels = y.astype(str).tolist()
    for i, label in enumerate(labels):
        if label not in index:
            allowed = ", ".join(list(names)[:10]) + (" ..." if len(names) > 10 else "")
            raise DataError(f"{where}, sample {i}: label {label!r} is no class of the network, allowed are {allowed}")
    return np.array([index[label] for label in labels], dtype=np.int64)


def dataset_of(
    x: ArrayLike,
    y: ArrayLike,
    names: Sequence[str],
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    name: str = "arrays",
) -> Dataset:
    """Data set of arrays; without ``validation`` its test split is empty.

    Raises
    ------
    DataError
        For arrays that do not fit each other or the classes.
    """
    train = as_samples(x)
    labels = label_indices(as_labels(y, len(train)), names)
    test: list[FloatArray] = []
    test_labels = np.zeros(0, dtype=np.int64)
    if validation is not None:
        if not isinstance(validation, tuple | list) or len(validation) != 2:
            raise DataError("validation: allowed is a pair (X, y)")
        test = as_samples(validation[0], "X of validation")
        check_samples(Split(test, [], (), "X of validation"), train[0].shape[1])
        test_labels = label_indices(as_labels(validation[1], len(test), "y of validation"), names, "y of validation")
    return Dataset(name, train, labels, test, test_labels, tuple(names))
