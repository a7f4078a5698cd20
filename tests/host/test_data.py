"""Data sets that load: the bundled ones as aeon reads them, and every file kind."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_data import CSV, TS, toy_arrays, toy_pair

from solsa.host.data import KNOWN, DataError, load_dataset


@pytest.mark.parametrize(
    ("name", "sizes", "shape", "t_max", "names"),
    [
        ("JapaneseVowels", (270, 370), 12, 29, tuple("123456789")),
        ("BasicMotions", (40, 40), 6, 100, ("standing", "running", "walking", "badminton")),
    ],
)
def test_known_sets_equal_aeon(
    name: str, sizes: tuple[int, int], shape: int, t_max: int, names: tuple[str, ...]
) -> None:
    from aeon.datasets import load_from_ts_file

    data = load_dataset(name)
    assert (len(data.train), len(data.test)) == sizes
    assert (data.name, data.n_channels, data.n_classes, data.t_max) == (name, shape, len(names), t_max)
    assert data.class_names == names
    assert data.notes == ()
    import aeon

    folder = Path(aeon.__file__).parent / "datasets" / "data" / name
    for part, samples, labels in (("TRAIN", data.train, data.train_labels), ("TEST", data.test, data.test_labels)):
        theirs, their_labels = load_from_ts_file(str(folder / f"{name}_{part}.ts"))
        assert [names[k] for k in labels] == list(their_labels)
        for mine, other in zip(samples, theirs, strict=True):
            assert mine.dtype == np.float64
            np.testing.assert_array_equal(mine, other.T)


def test_only_ts_files_import_aeon(tmp_path: Path) -> None:
    """Its import takes seconds."""
    np.savez(tmp_path / "toy.npz", **toy_arrays())
    code = "import sys, solsa.host.cli, solsa.host.data as d; d.load_dataset(sys.argv[1]); print('aeon' in sys.modules)"
    for path, imported in ((tmp_path / "toy.npz", "False"), (toy_pair(tmp_path), "True")):
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        assert (done.stdout.strip(), done.stderr) == (imported, "")


def test_missing_aeon_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError) as caught:
        load_dataset("JapaneseVowels")
    assert str(caught.value) == (
        "JapaneseVowels: comes with aeon, which is not installed; install it with: pip install 'solsa[data]'"
    )


def test_ts_files_need_aeon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aeon.datasets", None)
    path = toy_pair(tmp_path)
    with pytest.raises(DataError) as caught:
        load_dataset(str(path))
    assert str(caught.value) == f"{path}: .ts files need aeon.datasets; install it with: pip install 'solsa[data]'"


def test_ts_labels_are_in_lower_case_and_may_hold_any_letters(tmp_path: Path) -> None:
    """Class names that contain the letters nan, which aeon takes for missing values everywhere in a line."""
    text = TS.replace("true up down", "true Banana Down").replace(":up", ":Banana")
    assert load_dataset(str(toy_pair(tmp_path, text, text))).class_names == ("banana", "down")


def test_ts_with_a_byte_order_mark(tmp_path: Path) -> None:
    train = toy_pair(tmp_path, "\ufeff" + TS)
    assert load_dataset(str(train)).train[1][1, 0] == -2.5


def test_ts_pair_from_either_file_and_from_the_folder(tmp_path: Path) -> None:
    train = toy_pair(tmp_path, test=TS.replace("1,2,3:", "9,8,7:"))
    for given_path in (train, tmp_path / "Toy_TEST.ts", tmp_path):
        data = load_dataset(str(given_path))
        assert (data.name, data.class_names, data.notes) == ("Toy", ("up", "down"), ())
        np.testing.assert_array_equal(data.train[0], [[1, 4], [2, 5], [3, 6]])
        np.testing.assert_array_equal(data.train[1], [[-1, 0], [-2.5, 1e-3]])
        np.testing.assert_array_equal(data.test[0], [[9, 4], [8, 5], [7, 6]])
        np.testing.assert_array_equal(data.test_labels, [0, 1])
        assert (data.n_channels, data.n_classes, data.t_max) == (2, 2, 3)


def test_folder_with_two_pairs_takes_the_one_named_like_it(tmp_path: Path) -> None:
    folder = tmp_path / "Toy"
    folder.mkdir()
    toy_pair(folder)
    toy_pair(folder, name="Toy_eq")
    assert load_dataset(str(folder)).name == "Toy"


def test_class_without_training_sample_is_left_out(tmp_path: Path) -> None:
    data = load_dataset(str(toy_pair(tmp_path, train=TS.replace("up down", "up left down"))))
    assert data.class_names == ("up", "down")


def test_lone_file_is_split_per_class_always_the_same_way(tmp_path: Path) -> None:
    head, _, _ = TS.partition("@data\n")
    lines = [f"{i}:0:up" for i in range(20)] + [f"{i}:1:down" for i in range(100, 108)]
    path = tmp_path / "lone.ts"
    path.write_text(head + "@data\n" + "\n".join(lines))
    first, second = load_dataset(str(path)), load_dataset(str(path))
    assert [len(first.train), len(first.test)] == [21, 7]
    assert list(np.bincount(first.test_labels)) == [5, 2]
    seen = sorted(float(s[0, 0]) for s in (*first.train, *first.test))
    assert seen == [*range(20), *range(100, 108)]
    for sample, label in (*zip(first.train, first.train_labels), *zip(first.test, first.test_labels)):  # noqa: B905
        assert sample[0, 1] == label
    np.testing.assert_array_equal(np.concatenate(first.test), np.concatenate(second.test))
    assert first.notes == (f"no test split in {path}: 25% of each class held out here, seed 0",)


def test_npz_with_test_split_lengths_and_classes(tmp_path: Path) -> None:
    arrays = toy_arrays() | {"classes": np.array(["no", "yes"]), "speaker": np.zeros(8)}
    arrays |= {"lengths": np.array([5, 1, 2, 3, 4, 5, 5, 5]), "lengths_test": np.array([1, 2, 3, 5])}
    arrays["X"][1, 1:] = np.nan  # padding behind the length is not read
    np.savez(path := tmp_path / "toy.npz", **arrays)
    data = load_dataset(str(path))
    assert [len(s) for s in data.train] == [5, 1, 2, 3, 4, 5, 5, 5]
    assert [len(s) for s in data.test] == [1, 2, 3, 5]
    np.testing.assert_array_equal(data.test[3], arrays["X_test"][3])
    np.testing.assert_array_equal(data.train_labels, arrays["y"])
    assert data.class_names == ("no", "yes")
    assert data.notes == ("arrays not used: speaker",)


def test_npz_labels_need_not_be_consecutive_and_test_split_is_ours(tmp_path: Path) -> None:
    arrays = {"X": toy_arrays()["X"].astype(np.float32), "y": np.array([11, 9, 3, 9, 3, 9, 3, 11])}
    np.savez_compressed(path := tmp_path / "toy.npz", **arrays)
    data = load_dataset(str(path))
    assert data.class_names == ("3", "9", "11")
    assert list(np.bincount(np.concatenate([data.train_labels, data.test_labels]))) == [3, 3, 2]
    assert "held out" in data.notes[0]


def test_csv_with_interleaved_samples(tmp_path: Path) -> None:
    data = load_dataset(str(toy_pair(tmp_path, CSV, CSV.replace("8.5", "9"), suffix=".csv")))
    assert (data.name, data.class_names, data.notes) == ("Toy", ("0", "7"), ())
    np.testing.assert_array_equal(data.train[0], [[1, 2], [5, 6]])
    np.testing.assert_array_equal(data.train[1], [[3, 4], [-7, 8.5]])
    np.testing.assert_array_equal(data.train_labels, [0, 1, 0, 1])
    assert data.test[1][1, 1] == 9


def test_the_spoken_digits_layout(tmp_path: Path) -> None:
    """The keys of the FSDD_logmel20 archive: X_train, len_train ..., with speakers beside them."""
    a = toy_arrays()
    np.savez(
        path := tmp_path / "digits.npz",
        X_train=a["X"].astype(np.float32),
        y_train=a["y"].astype(np.int32),
        len_train=np.full(8, 4, np.int32),
        speaker_train=np.zeros(8, np.int32),
        X_test=a["X_test"].astype(np.float32),
        y_test=a["y_test"].astype(np.int32),
        len_test=np.full(4, 3, np.int32),
        speakers=np.array(["george"]),
        classes=np.array(["0", "1"]),
    )
    data = load_dataset(str(path))
    assert (data.t_max, len(data.train), len(data.test)) == (4, 8, 4)
    assert data.notes == ("arrays not used: speaker_train, speakers",)


def test_a_dataset_is_read_only(tmp_path: Path) -> None:
    data = load_dataset(str(toy_pair(tmp_path)))
    with pytest.raises(ValueError, match="read-only"):
        data.train[0][0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        data.test_labels[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "x"  # type: ignore[misc]


def test_known_names_are_all_loadable() -> None:
    assert [load_dataset(name).name for name in KNOWN] == list(KNOWN)
