"""Data that cannot be used: each wrong input is answered by one line that says what, where and what is allowed."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_data import CSV, TS, toy_arrays, toy_pair

from solsa.host.data import DataError, load_dataset


def _refusal(path: Path | str) -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(str(path))
    message = str(caught.value)
    assert "\n" not in message
    assert message == message.strip()
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("JapaneseVowel", "unknown data set 'JapaneseVowel'; did you mean JapaneseVowels?"),
        ("japanesevowels", "did you mean JapaneseVowels?"),
        ("basic-motion", "did you mean BasicMotions?"),
        (
            "zzz",
            "unknown data set 'zzz'; allowed are JapaneseVowels, BasicMotions, digits, or a .ts, .csv, .npz, .h5, "
            ".hdf5 file or a folder",
        ),
        ("", "unknown data set ''; allowed are"),
        ("no/such/folder/x.ts", "no/such/folder/x.ts: no such file or folder; allowed are"),
        ("gone.npz", "gone.npz: no such file or folder; allowed are"),
    ],
)
def test_unknown_names(name: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in _refusal(name)


def test_missing_file_names_a_close_one(tmp_path: Path) -> None:
    toy_pair(tmp_path)
    assert f"did you mean {tmp_path / 'Toy_TRAIN.ts'}?" in _refusal(tmp_path / "Toy_TRIAN.ts")


def test_wrong_kinds_of_file(tmp_path: Path) -> None:
    (tmp_path / "x.arff").write_text("@relation x")
    assert "ending '.arff' is not known; allowed are .ts, .csv, .npz" in _refusal(tmp_path / "x.arff")
    (tmp_path / "plain").write_text("x")
    assert "ending 'none' is not known" in _refusal(tmp_path / "plain")
    assert "a folder needs one pair NAME_TRAIN.ts and NAME_TEST.ts; found: none" in _refusal(tmp_path)
    (tmp_path / "A_TRAIN.ts").write_text(TS)
    assert "A_TEST.ts: no such file; a folder needs one pair" in _refusal(tmp_path)
    (tmp_path / "B_TRAIN.ts").write_text(TS)
    assert "found: A_TRAIN.ts, B_TRAIN.ts" in _refusal(tmp_path)
    (tmp_path / "folder.ts").mkdir()
    assert "a folder needs one pair" in _refusal(tmp_path / "folder.ts")


BAD_TS = {
    "no number": (("4,5,6", "4,five,6"), "not a .ts file that aeon reads (could not convert string to float: 'five')"),
    "empty cell": (("4,5,6", "4,,6"), "not a .ts file that aeon reads (could not convert string to float: '')"),
    "nan": (("0,1e-3", "0,NaN"), "sample 1, channel 1, step 1: nan in the data; allowed are finite values"),
    "missing": (("1,2,3", "1,?,3"), "sample 0, channel 0, step 1: nan in the data; allowed are finite values"),
    "infinite": (("-1,-2.5", "-1,-inf"), "sample 1, channel 0, step 1: -inf in the data; allowed are finite values"),
    "overflow": (("-1,-2.5", "-1,1e999"), "sample 1, channel 0, step 1: inf in the data"),
    "ragged sample": (("4,5,6", "4,5"), "aeon reads (Channel 1 in case 1 has a different number of observations to"),
    "ragged set": (("equalLength false", "equalLength true"), "Saw 3 in the first channel but 2 in the channel 0.)"),
    "ragged channels": (("0,1e-3:down", "down"), "aeon reads (Inconsistent number of dimensions in case 2. Expecting"),
    "two channels declared as one": (("@univariate false", ""), "aeon reads (Seen 2 in case 2.Expecting univariate"),
    "empty sample": (("1,2,3:4,5,6:up", "::up"), "aeon reads (could not convert string to float: '')"),
    "no channels": (("1,2,3:4,5,6:up\n-1,-2.5:0,1e-3:", "up\n"), "sample 0: empty, 1 steps of 0 channels; allowed are"),
    "blank line": (("\n-1,-2.5", "\n\n-1,-2.5"), "aeon reads (Inconsistent number of dimensions in case 2."),
    "unknown label": ((":down\n", ":left\n"), "sample 1: label 'left' is not one of @classLabel (up, down)"),
    "no label": (
        (":up\n-1,-2.5:0,1e-3:down", "\n-1,-2.5:0,1e-3"),
        "sample 0: label '4,5,6' is not one of @classLabel (up, down)",
    ),
    "one class": ((":down\n", ":up\n"), "only one class (up); allowed are 2 or more"),
    "class twice": (("up down", "up Up"), "a class name twice in @classLabel (upper and lower case count as the same)"),
    "no labels": (("@classLabel true up down", "@classLabel false"), "no class labels; '@classLabel true NAME NAME"),
    "no class line": (("@classLabel true up down", ""), "no class labels"),
    "no names": (("@classLabel true up down", "@classLabel true"), "aeon reads (if the classlabel tag is true then"),
    "no flag": (("@classLabel true up down", "@classLabel"), "aeon reads (list index out of range)"),
    "regression": (
        ("@classLabel true up down", "@targetLabel true"),
        "line 6: a regression file; allowed is '@classLabel",
    ),
    "time stamps": (
        ("@timeStamps false", "@TimeStamps  True"),
        "line 3: time stamps are not supported; allowed is '@timeStamps false'",
    ),
    "no data tag": (("@data", "# data"), "line 9: '1,2,3:4,5,6:up' stands before @data; only @ and # lines may"),
    "header only": (
        (TS[TS.index("@data") :], ""),
        "no @data line; a .ts file has a header, @data, then one line per sample",
    ),
    "no samples": ((TS[TS.index("1,2") :], ""), "no samples; allowed is at least one"),
    "split of one": (("1,2,3", "1,2,3"), "class up has 1 sample; to hold out a test split, 2 or more are needed"),
}


@pytest.mark.parametrize("case", BAD_TS)
def test_bad_ts(case: str, tmp_path: Path) -> None:
    (old, new), expected = BAD_TS[case]
    assert old in TS
    path = tmp_path / "bad.ts"
    path.write_text(TS.replace(old, new))
    message = _refusal(path)
    assert message.startswith(str(path))
    assert expected in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("@classLabel true up down", "@classLabel true up down left", None),
        (TS[TS.index("@class") :], "@classLabel true left\n@data\n1:2:left", "sample 0: label left is not in training"),
        (
            "1,2,3:4,5,6:up\n-1,-2.5:0,1e-3",
            "1,2:up\n1,2",
            "sample 0: 1 channels, but the training split has 2; all need",
        ),
        (TS[TS.index("1,2") :], "", "no samples"),
    ],
)
def test_bad_test_split(old: str, new: str, expected: str | None, tmp_path: Path) -> None:
    train = toy_pair(tmp_path, test=TS.replace(old, new))
    if expected is None:
        load_dataset(str(train))
    else:
        message = _refusal(train)
        assert message.startswith(str(tmp_path / "Toy_TEST.ts"))
        assert expected in message


def test_text_that_is_not_text(tmp_path: Path) -> None:
    for suffix in (".ts", ".csv"):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(b"@data\n\xff\xfe")
        assert _refusal(path) == f"{path}: not UTF-8 text (byte 6)"
        path.write_bytes(b"")
        assert str(path) in _refusal(path)


BAD_CSV = {
    "header": (("sample,step,label", "id,step,label"), "header 'id,step,label,ax,ay'; allowed is 'sample,step,label,'"),
    "no channel": ((CSV, "sample,step,label\n"), "header 'sample,step,label'; allowed is"),
    "no rows": ((CSV, "sample,step,label,x\n"), "no samples"),
    "short row": (("a,1,0,5,6", "a,1,0,5"), "line 4: 4 cells, but the header has 5; every row needs all of them"),
    "long row": (("a,1,0,5,6", "a,1,0,5,6,7"), "line 4: 6 cells, but the header has 5"),
    "no number": (("a,1,0,5,6", "a,1,0,5,x"), "line 4, sample a, channel 1 (ay): 'x' is not a number"),
    "nan": (("a,1,0,5,6", "a,1,0,5,nan"), "sample 0, channel 1, step 1: nan in the data; allowed are finite values"),
    "empty cell": (("a,1,0,5,6", "a,1,0,,6"), "line 4, sample a, channel 0 (ax): '' is not a number"),
    "label no integer": (("a,1,0,5,6", "a,1,up,5,6"), "line 4, label: 'up' is not an integer"),
    "label a fraction": (("a,1,0,5,6", "a,1,0.5,5,6"), "line 4, label: '0.5' is not an integer"),
    "label negative": (
        ("b2,0,7", "b2,0,-7"),
        "line 7, sample b2: label -7 is out of range; allowed are integers from 0 up",
    ),
    "label changes": (("a,1,0,5,6", "a,1,7,5,6"), "line 4, sample a: label 7, but 0 before; a sample has one label"),
    "step skipped": (("a,1,0,5,6", "a,2,0,5,6"), "line 4, sample a: step 2, expected 1; steps of a sample are 0, 1, 2"),
    "step twice": (("a,1,0,5,6", "a,0,0,5,6"), "line 4, sample a: step 0, expected 1"),
    "step no integer": (("a,1,0,5,6", "a,x,0,5,6"), "line 4, step: 'x' is not an integer"),
    "one class": ((",7,", ",0,"), "only one class (0); allowed are 2 or more"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv(case: str, tmp_path: Path) -> None:
    (old, new), expected = BAD_CSV[case]
    assert old in CSV
    path = tmp_path / "bad.csv"
    path.write_text(CSV.replace(old, new))
    message = _refusal(path)
    assert message.startswith(str(path))
    assert expected in message


def _with(key: str, index: tuple[int, ...] | int, value: float) -> dict[str, np.ndarray]:
    array = toy_arrays()[key].copy()
    array[index] = value
    return {key: array}


def _ragged() -> np.ndarray:
    array = np.empty(8, dtype=object)
    array[:] = [np.zeros((2, 3))] * 8
    return array


BAD_NPZ: dict[str, tuple[dict[str, np.ndarray | None], str]] = {
    "object X": ({"X": _ragged()}, "array 'X': holds Python objects; allowed are plain numbers"),
    "object y": ({"y": np.array([0, "a"] * 4, dtype=object)}, "array 'y': holds Python objects"),
    "no X": ({"X": None}, "no array 'X'; needed are X [n, T, channels] and y [n], found: X_test, y, y_test"),
    "no y": ({"y": None}, "no array 'y'; needed are"),
    "no y_test": ({"y_test": None}, "an incomplete test split; allowed are X_test and y_test together, or neither"),
    "no X_test": ({"X_test": None}, "an incomplete test split"),
    "X twice": ({"X_train": toy_arrays()["X"]}, "arrays X, X_train mean the same; give only 'X'"),
    "2 dimensions": (
        {"X": np.zeros((8, 5))},
        "array 'X': 2 dimensions (8, 5); allowed are 3: [samples, steps, channels]",
    ),
    "text X": ({"X": np.full((8, 5, 3), "a")}, "array 'X': type <U1; allowed are real numbers"),
    "complex X": ({"X": np.zeros((8, 5, 3), complex)}, "array 'X': type complex128; allowed are real numbers"),
    "y 2 dimensions": (
        {"y": np.zeros((8, 2), int)},
        "array 'y': 2 dimensions (8, 2); allowed is 1: one label per sample",
    ),
    "y count": ({"y": np.arange(7) % 2}, "array 'y': 7 labels for 8 samples; allowed is one label per sample"),
    "y float": (
        {"y": np.array([0.0, 1.5] * 4)},
        "array 'y': labels of type float64 are not integers; allowed are integers",
    ),
    "y text": ({"y": np.array(["a", "b"] * 4)}, "array 'y': labels of type <U1 are not integers"),
    "y negative": (_with("y", 3, -1), "array 'y', sample 3: label -1 is out of range; allowed are integers from 0 up"),
    "y beyond": (
        _with("y", 2, 2) | {"classes": np.array(["a", "b"])},
        "array 'y', sample 2: label 2 is out of range; allowed are 0 to 1",
    ),
    "one class": ({"y": np.zeros(8, int)}, "array 'X': only one class (0); allowed are 2 or more"),
    "unseen label": (_with("y_test", 1, 5), "array 'X_test', sample 1: label 5 is not in training; allowed are 0, 1"),
    "nan": (
        _with("X", (2, 1, 0), np.nan),
        "array 'X', sample 2, channel 0, step 1: nan in the data; allowed are finite",
    ),
    "inf in test": (_with("X_test", (1, 4, 2), np.inf), "array 'X_test', sample 1, channel 2, step 4: inf in the data"),
    "nan tail": (
        _with("X", (6, slice(3, None)), np.nan),
        "array 'X', sample 6: ends in NaN, as if padded; give the true ",
    ),
    "nan test tail": (
        _with("X_test", (0, 4), np.nan),
        "sample 0: ends in NaN, as if padded; give the true lengths as array",
    ),
    "no samples": ({"X": np.zeros((0, 5, 3)), "y": np.zeros(0, int)}, "array 'X': no samples; allowed is at least one"),
    "no steps": (
        {"X": np.zeros((8, 0, 3))},
        "array 'X', sample 0: empty, 0 steps of 3 channels; allowed are 1 or more",
    ),
    "no channels": (
        {"X": np.zeros((8, 5, 0))},
        "array 'X', sample 0: empty, 5 steps of 0 channels; allowed are 1 or more",
    ),
    "other channels": (
        {"X_test": np.zeros((4, 5, 2))},
        "array 'X_test', sample 0: 2 channels, but the training split has 3; all need the same",
    ),
    "length 0": (
        {"lengths": np.array([5, 0] * 4)},
        "array 'lengths', sample 1: length 0 is out of range; allowed are 1 to 5",
    ),
    "length 6": ({"lengths": np.array([5, 6] * 4)}, "array 'lengths', sample 1: length 6 is out of range"),
    "length huge": (
        {"lengths": np.array([2**64 - 1] * 8, np.uint64)},
        "array 'lengths', sample 0: length -1 is out of range",
    ),
    "length count": (
        {"lengths": np.array([5] * 7)},
        "array 'lengths': int64 (7,); allowed is one integer per sample (8)",
    ),
    "length float": (
        {"lengths": np.array([5.0] * 8)},
        "array 'lengths': float64 (8,); allowed is one integer per sample",
    ),
    "lengths_test alone": (
        {"lengths_test": np.array([5] * 4), "X_test": None, "y_test": None},
        "an incomplete test split",
    ),
    "class names twice": ({"classes": np.array(["a", "a"])}, "array 'classes': the same class name twice"),
    "class names shape": (
        {"classes": np.zeros((2, 2))},
        "array 'classes': float64 (2, 2); allowed is one list of names",
    ),
    "nan within length": (
        _with("X", (2, 1, 0), np.nan) | {"lengths": np.array([5] * 8)},
        "array 'X', sample 2, channel 0, step 1: nan in the data",
    ),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz(case: str, tmp_path: Path) -> None:
    changes, expected = BAD_NPZ[case]
    arrays = {key: array for key, array in (toy_arrays() | changes).items() if array is not None}
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    message = _refusal(path)
    assert message.startswith(str(path))
    assert expected in message


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **toy_arrays())
    whole = path.read_bytes()
    contents = {"text": b"hello", "empty": b"", "cut short": whole[: len(whole) // 2], "only a name": b"PK"}
    for content in contents.values():
        path.write_bytes(content)
        assert "allowed is what numpy.savez writes" in _refusal(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "a single array and not an .npz file" in _refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", b"no array")
        archive.writestr("y.npy", b"no array")
    assert f"{path}, array 'X': not in NumPy's format" in _refusal(path)
    damaged = bytearray(whole)
    damaged[300] ^= 0xFF  # inside the first array: the checksum of the archive no longer holds
    path.write_bytes(bytes(damaged))
    assert f"{path}, array 'X': cannot be read" in _refusal(path)


@given(st.text(alphabet="@#:,.?-+ \n\tabcdelsLT019é", max_size=200), st.sampled_from([".ts", ".csv"]))
def test_no_text_escapes_the_error_class(tmp_path_factory: pytest.TempPathFactory, text: str, suffix: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz{suffix}"
    for content in (text, TS + text, CSV + text):
        path.write_text(content)
        with contextlib.suppress(DataError):
            load_dataset(str(path))


@given(st.integers(0, 2**31), st.integers(1, 255), st.booleans())
def test_no_damaged_archive_escapes_the_error_class(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int, compressed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    (np.savez_compressed if compressed else np.savez)(path, **toy_arrays())
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= flip
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):
        load_dataset(str(path))
