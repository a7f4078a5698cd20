"""Readers for files of labelled time series: ``.ts``, ``.npz`` and ``.csv``, each into plain :class:`Split` objects.

The readers check what only they can name (a line, an array, a token); :mod:`solsa.host.data` checks the values and maps
the labels to classes. Samples, channels and steps are counted from 0 in every message of ours. ``.ts`` files go through
aeon, which needs 1.7 s to import and is imported only then; what it would read wrongly without a word is refused first.
"""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
AnyArray = NDArray[Any]

# Names under which an array may stand in an .npz file, for each role; the first is the documented one.
NPZ_KEYS = {
    "X": ("X", "X_train"),
    "y": ("y", "y_train"),
    "lengths": ("lengths", "lengths_train", "len_train"),
    "X_test": ("X_test",),
    "y_test": ("y_test",),
    "lengths_test": ("lengths_test", "len_test"),
    "classes": ("classes", "class_names"),
}

# What NumPy and zipfile raise on a damaged, encrypted or oversized archive.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


_NO_CLASSES = "no class labels; '@classLabel true NAME NAME ...' is needed before @data"


class DataError(ValueError):
    """A data set that cannot be used; the message is one line: what is wrong, where, and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one file or array pair, labels still as the file spells them.

    Attributes
    ----------
    samples
        One array [T, channels] per sample.
    labels
        The class name of every sample.
    order
        Class names in order: as the file declares them, else ascending by number. May list classes without a sample.
    where
        The file, or file and array, to name in messages.
    """

    samples: list[FloatArray]
    labels: list[str]
    order: tuple[str, ...]
    where: str


def read_ts(path: Path) -> Split:
    """Read one UEA/UCR ``.ts`` file with class labels, through aeon.

    Parameters
    ----------
    path
        File with an ``@classLabel true ...`` header, and ``@equalLength false`` if samples differ in length. Channels
        are separated by ``:``, steps by ``,``; the label ends the line. aeon reads labels in lower case.

    Raises
    ------
    DataError
        aeon is not installed or cannot read the file; no class labels, time stamps, no ``@data``, a label that the
        header does not list.
    """
    _check_ts_header(path)
    try:
        from aeon.datasets import load_from_ts_file
    except ModuleNotFoundError as error:
        raise DataError(f"{path}: .ts files need {error.name}; install it with: pip install 'solsa[data]'") from None
    try:
        values, found, header = load_from_ts_file(str(path), return_meta_data=True, encoding="utf-8-sig")
    except (OSError, ValueError, TypeError, LookupError) as error:
        text = re.sub(r"^Error loading <.*?>\. ", "", " ".join(str(error).split()))
        reason = " ".join(re.split(r"(?<=\.) ", text)[:2])  # what follows explains the format at length
        raise DataError(f"{path}: not a .ts file that aeon reads ({reason})") from None
    labels = [str(label).strip().lower() for label in found]  # aeon writes the letters nan in a label as NaN
    classes = tuple(header["class_values"])
    if not classes:
        raise DataError(f"{path}: {_NO_CLASSES}")
    if len(set(classes)) < len(classes):
        raise DataError(f"{path}: a class name twice in @classLabel (upper and lower case count as the same)")
    for i, label in enumerate(labels):
        if label not in classes:
            raise DataError(f"{path}, sample {i}: label {label!r} is not one of @classLabel ({_listed(classes)})")
    return Split([np.array(sample.T, dtype=np.float64) for sample in values], labels, classes, str(path))


def _check_ts_header(path: Path) -> None:
    """Refuse what aeon reads wrongly without an error: time stamps (it drops minus signs), data before ``@data``."""
    for number, raw in enumerate(read_text(path).splitlines(), start=1):
        line = raw.strip()
        key, *values = line.lower().split() or [""]
        if key == "@data":
            return
        if line and line[0] not in "@#":
            raise DataError(f"{path}, line {number}: {short(line)} stands before @data; only @ and # lines may")
        if key == "@timestamps" and values[:1] == ["true"]:
            raise DataError(f"{path}, line {number}: time stamps are not supported; allowed is '@timeStamps false'")
        if key == "@classlabel" and values[:1] == ["false"]:
            raise DataError(f"{path}, line {number}: {_NO_CLASSES}")
        if key == "@targetlabel" and values[:1] == ["true"]:
            raise DataError(f"{path}, line {number}: a regression file; allowed is '@classLabel true NAME NAME ...'")
    raise DataError(f"{path}: no @data line; a .ts file has a header, @data, then one line per sample")


def read_npz(path: Path) -> tuple[Split, Split | None, tuple[str, ...]]:
    """Read ``X`` [n, T, channels], ``y`` [n] and, optionally, ``lengths`` [n] and the same three for the test split.

    Parameters
    ----------
    path
        File in NumPy's ``.npz`` format without object arrays. Samples shorter than T need ``lengths``; what stands
        behind a sample's length is padding and is not read. See :data:`NPZ_KEYS` for the accepted array names;
        ``classes`` may name the integer labels.

    Returns
    -------
    tuple
        Training split, test split or None, and notes (arrays that were not used).

    Raises
    ------
    DataError
        Not an ``.npz`` file, object arrays (they would need pickle), missing arrays, wrong dimensions or types.
    """
    with open_file(path) as file, open_npz(file, path) as archive:
        names = {role: [key for key in keys if key in archive.files] for role, keys in NPZ_KEYS.items()}
        for role, found in names.items():
            if len(found) > 1:
                raise DataError(f"{path}: arrays {_listed(found)} mean the same; give only {role!r}")
        arrays = {role: load_array(archive, found[0], path) for role, found in names.items() if found}
        unused = sorted(set(archive.files) - {key for found in names.values() for key in found})
    for role in ("X", "y"):
        if role not in arrays:
            found_text = _listed(sorted({*unused, *arrays}))
            raise DataError(f"{path}: no array {role!r}; needed are X [n, T, channels] and y [n], found: {found_text}")
    if ("X_test" in arrays) != ("y_test" in arrays) or ("lengths_test" in arrays and "X_test" not in arrays):
        raise DataError(f"{path}: an incomplete test split; allowed are X_test and y_test together, or neither")
    classes = _class_names(arrays["classes"], f"{path}, array {names['classes'][0]!r}") if "classes" in arrays else ()
    labelled = {role: (found[0] if found else "") for role, found in names.items()}
    train = _npz_split(arrays, labelled, path, "", classes)
    test = _npz_split(arrays, labelled, path, "_test", classes) if "X_test" in arrays else None
    return train, test, (f"arrays not used: {', '.join(unused)}",) if unused else ()


def open_file(path: Path) -> IO[bytes]:
    """File opened to be read; DataError if it cannot be."""
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def open_npz(file: IO[bytes], path: Path) -> np.lib.npyio.NpzFile:
    """Archive of an open file; DataError if it is none."""
    try:
        archive = np.load(file, allow_pickle=False)  # given open: numpy leaks the handle of a bad archive it opened
    except _UNREADABLE as error:
        raise DataError(f"{path}: not an .npz file ({error}); allowed is what numpy.savez writes") from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(f"{path}: a single array and not an .npz file; allowed is what numpy.savez writes")
    return archive


def load_array(archive: np.lib.npyio.NpzFile, key: str, path: Path) -> AnyArray:
    """Array of an archive; DataError if it cannot be read or holds objects."""
    try:
        array: AnyArray | bytes = archive[key]
    except _UNREADABLE as error:
        if "Object arrays" in str(error):  # numpy's refusal without allow_pickle
            raise DataError(f"{path}, array {key!r}: holds Python objects; allowed are plain numbers") from None
        raise DataError(
            f"{path}, array {key!r}: cannot be read ({error}); allowed is what numpy.savez writes"
        ) from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}, array {key!r}: not in NumPy's format; allowed is what numpy.savez writes")
    return array


def _npz_split(
    arrays: dict[str, AnyArray], names: dict[str, str], path: Path, suffix: str, classes: tuple[str, ...]
) -> Split:
    x, y, lengths = arrays["X" + suffix], arrays["y" + suffix], arrays.get("lengths" + suffix)
    where_x, where_y = f"{path}, array {names['X' + suffix]!r}", f"{path}, array {names['y' + suffix]!r}"
    if x.ndim != 3:
        raise DataError(f"{where_x}: {x.ndim} dimensions {x.shape}; allowed are 3: [samples, steps, channels]")
    if x.dtype.kind not in "fiub":
        raise DataError(f"{where_x}: type {x.dtype}; allowed are real numbers")
    if y.ndim != 1:
        raise DataError(f"{where_y}: {y.ndim} dimensions {y.shape}; allowed is 1: one label per sample")
    if y.dtype.kind not in "iu":
        raise DataError(f"{where_y}: labels of type {y.dtype} are not integers; allowed are integers from 0 up")
    n, steps, _ = x.shape
    if len(y) != n:
        raise DataError(f"{where_y}: {len(y)} labels for {n} samples; allowed is one label per sample")
    numbers = [int(label) for label in y.tolist()]
    for i, label in enumerate(numbers):
        if label < 0 or (classes and label >= len(classes)):
            allowed = f"0 to {len(classes) - 1}" if classes else "integers from 0 up"
            raise DataError(f"{where_y}, sample {i}: label {label} is out of range; allowed are {allowed}")
    used = np.full(n, steps, dtype=np.int64)
    if lengths is not None:
        where_l = f"{path}, array {names['lengths' + suffix]!r}"
        if lengths.shape != (n,) or lengths.dtype.kind not in "iu":
            raise DataError(f"{where_l}: {lengths.dtype} {lengths.shape}; allowed is one integer per sample ({n})")
        used = lengths.astype(np.int64)
        for i in np.flatnonzero((used < 1) | (used > steps)):
            raise DataError(f"{where_l}, sample {i}: length {used[i]} is out of range; allowed are 1 to {steps}")
    samples = [np.array(x[i, : used[i]], dtype=np.float64) for i in range(n)]
    if lengths is None:
        _refuse_nan_tail(samples, where_x, "lengths" + suffix)
    if classes:
        return Split(samples, [classes[label] for label in numbers], classes, where_x)
    return Split(samples, [str(label) for label in numbers], ascending(numbers), where_x)


def _refuse_nan_tail(samples: list[FloatArray], where: str, key: str) -> None:
    for i, sample in enumerate(samples):
        if sample.size and np.isnan(sample[-1]).all():
            raise DataError(f"{where}, sample {i}: ends in NaN, as if padded; give the true lengths as array {key!r}")


def _class_names(array: AnyArray, where: str) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise DataError(f"{where}: {array.dtype} {array.shape}; allowed is one list of names, one per class")
    names = tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in array.tolist())
    if len(set(names)) != len(names):
        raise DataError(f"{where}: the same class name twice; allowed are distinct names")
    return names


def read_csv(path: Path) -> Split:
    """Read a table with the columns ``sample, step, label`` and one more per channel, one row per sample and step.

    Parameters
    ----------
    path
        UTF-8 text with commas and a header row. Rows of one sample come in the order of their steps 0, 1, 2 ...; rows
        of different samples may be interleaved. Samples keep the order in which they first appear.

    Raises
    ------
    DataError
        Another header, missing cells, tokens that are no numbers, steps out of order, a label that changes.
    """
    rows = csv.reader(read_text(path).splitlines())
    header = [cell.strip() for cell in next(rows, [])]
    if [cell.lower() for cell in header[:3]] != ["sample", "step", "label"] or len(header) < 4:
        found = short(",".join(header))
        raise DataError(f"{path}: header {found}; allowed is 'sample,step,label,' and a name per channel")
    steps: dict[str, list[list[float]]] = {}
    labels: dict[str, int] = {}
    for row in rows:
        if not row:
            continue
        where = f"{path}, line {rows.line_num}"
        if len(row) != len(header):
            raise DataError(f"{where}: {len(row)} cells, but the header has {len(header)}; every row needs all of them")
        key, step, label = row[0].strip(), integer(row[1], f"{where}, step"), integer(row[2], f"{where}, label")
        where = f"{where}, sample {key}"
        sample = steps.setdefault(key, [])
        if step != len(sample):
            raise DataError(f"{where}: step {step}, expected {len(sample)}; steps of a sample are 0, 1, 2 ... in order")
        if label < 0:
            raise DataError(f"{where}: label {label} is out of range; allowed are integers from 0 up")
        if labels.setdefault(key, label) != label:
            raise DataError(f"{where}: label {label}, but {labels[key]} before; a sample has one label")
        for c, cell in enumerate(row[3:]):
            if not _is_number(cell):
                raise DataError(f"{where}, channel {c} ({header[3 + c]}): {short(cell)} is not a number")
        sample.append([float(cell) for cell in row[3:]])
    samples = [np.array(sample, dtype=np.float64) for sample in steps.values()]
    numbers = list(labels.values())
    return Split(samples, [str(label) for label in numbers], ascending(numbers), str(path))


def ascending(numbers: list[int]) -> tuple[str, ...]:
    """Distinct numbers as class names, in order."""
    return tuple(str(label) for label in sorted(set(numbers)))


def read_text(path: Path) -> str:
    """Text of a UTF-8 file; DataError for another one."""
    with open_file(path) as file:
        content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from None


def integer(text: str, where: str) -> int:
    """Integer of a cell; DataError with ``where``."""
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{where}: {short(text)} is not an integer") from None


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def short(text: str, limit: int = 40) -> str:
    """Text for an error message, cut if it is long."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def _listed(items: tuple[str, ...] | list[str], limit: int = 10) -> str:
    shown = ", ".join(items[:limit]) + (", ..." if len(items) > limit else "")
    return shown or "nothing"
