"""Event lists from .csv, .npz and HDF5 files, and encoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from solsa.host.cli import app
from solsa.host.data import DataError, Dataset, load_dataset
from solsa.host.encoders import KINDS, Encoder, encoder_of

TIMES = [[0.0, 0.5, 1.0], [0.25, 0.25], [0.1], [1.0, 0.9]]
UNITS = [[0, 2, 1], [1, 1], [0], [2, 2]]
LABELS = [0, 1, 0, 1]


def as_csv(path: Path, times: Any = TIMES) -> Path:
    rows = [f"{i},{LABELS[i]},{t},{u}" for i in range(4) for t, u in zip(times[i], UNITS[i], strict=True)]
    path.write_text("sample,label,time,address\n" + "\n".join(rows) + "\n")
    return path


def as_npz(path: Path, **changes: Any) -> Path:
    arrays = {"times": np.concatenate(TIMES), "addresses": np.concatenate(UNITS), "y": np.array(LABELS),
              "offsets": np.cumsum([0, *map(len, TIMES)])}  # fmt: skip
    both = arrays | {f"{key}_test": value for key, value in arrays.items()}
    np.savez(path, **{key: value for key, value in (both | changes).items() if value is not None})
    return path


def as_hdf5(path: Path, names: Any = None, labels: Any = LABELS, **leave: Any) -> Path:
    with h5py.File(path, "w") as file:
        for key, values, kind in (("times", TIMES, np.float32), ("units", UNITS, np.uint16)):
            if key not in leave:
                rows = file.create_dataset(f"spikes/{key}", (4,), dtype=h5py.vlen_dtype(kind))
                for i, row in enumerate(values):
                    rows[i] = np.array(row, dtype=kind)
        file["labels"] = np.array(labels)
        if names:
            file["extra/keys"] = np.array(names, dtype="S")
    return path


def test_all_kinds_of_event_files_give_the_same_counts(tmp_path: Path) -> None:
    as_csv(tmp_path / "e_TRAIN.csv")
    as_csv(tmp_path / "e_TEST.csv")
    as_hdf5(tmp_path / "e_train.h5", ["zero", "one"])
    as_hdf5(tmp_path / "e_test.h5", ["zero", "one"])
    found = [load_dataset(str(p), bins=4) for p in
             (tmp_path / "e_TRAIN.csv", as_npz(tmp_path / "e.npz"), tmp_path / "e_train.h5")]  # fmt: skip
    first = [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    for data in found:
        assert (data.name, data.n_channels, data.train_labels.tolist()) == ("e", 3, LABELS)
        assert data.train[0].tolist() == first
        assert data.train[1].tolist() == [[0, 2, 0]]
        assert [len(x) for x in data.train] == [4, 1, 1, 4]
        assert data.notes == ("events counted in 4 bins of one width",)
        assert len(data.test) == 4
    assert found[2].class_names == ("zero", "one")
    assert load_dataset(str(tmp_path / "e.npz")).t_max == 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: as_csv(p / "a.csv", [[0, -1, 1], [0, 0], [1], [1, 2]]), "sample 0: a time is negative"),
        (lambda p: as_csv(p / "a.csv", [[0, "x", 1], [0, 0], [1], [1, 2]]), "line 3, time: 'x' is not a number"),
        (lambda p: as_npz(p / "a.npz", offsets=np.array([0, 1])), "array 'offsets': allowed are 5 rising numbers"),
        (lambda p: as_npz(p / "a.npz", y=None), "no array 'y'; events need times, addresses, offsets, y"),
        (lambda p: as_npz(p / "a.npz", addresses=np.zeros(3, int)), "3 addresses for 8 times"),
        (lambda p: as_npz(p / "a.npz", times_test=np.array(["a"])), "array 'times_test': <U1"),
        (lambda p: as_hdf5(p / "a.h5", units=None), "no 'spikes/units'; needed are spikes/times, spikes/units, labels"),
        (lambda p: as_hdf5(p / "a.h5", ["a"]), "labels 0 to 1, allowed are 0 to 0"),
        (lambda p: as_hdf5(p / "a.h5", labels=[0, 1]), "4 times, 4 units and labels int64"),
    ],
)
def test_wrong_event_files_are_one_line(make: Any, message: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        load_dataset(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "bad.h5").write_text("x")
    with pytest.raises(DataError, match="not an HDF5 file of events"):
        load_dataset(str(tmp_path / "bad.h5"))


RAMP = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [4.0, 1.0]])


def test_encoders_by_hand() -> None:
    def encoded(text: str, sample: np.ndarray = RAMP) -> list[list[float]]:
        return Encoder.parse(text).fit([RAMP]).transform(sample).tolist()

    assert encoded("direct:repeat=2", RAMP[:1]) == [[0, 1], [0, 1]]
    assert encoded("spikes") == [[0, 1], [1, 1], [1, 1], [1, 1]]
    # the second channel never moves; the standard deviation of the first is 1.479
    assert encoded("delta:threshold=1") == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert encoded("delta:threshold=0.5", RAMP[::-1])[1] == [0, 0, 1, 0]
    assert [row[0] for row in encoded("latency:window=3")] == [0, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0]
    population = np.array(encoded("population:neurons=2"))
    assert population.shape == (4, 4)
    assert population[0].tolist() == pytest.approx([np.exp(-0.5), np.exp(-4.5), np.exp(-0.5), np.exp(-0.5)])
    assert encoded("delays:taps=2,clock=2,repeat=2", RAMP[:3])[::2] == [[0, 1, 0, 1, 1, 0], [1, 1, 0, 1, 1, 0],
                                                                        [2, 1, 1, 1, 0, 1]]  # fmt: skip
    clock = np.array(encoded("delays:taps=1,clock=3", np.repeat(RAMP, 2, axis=0)))[:, 2:]
    assert clock.argmax(1).tolist() == [0, 0, 1, 2, 2, 2, 2, 2]  # of 4 steps in training
    rate = np.array(encoded("rate:repeat=500"))
    assert rate.shape == (2000, 2)
    assert rate.reshape(4, 500, 2).mean(1)[:, 0].tolist() == pytest.approx([0, 0.25, 0.5, 1], abs=0.07)
    assert (rate == encoded("rate:repeat=500")).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_is_stored_and_applied(kind: str) -> None:
    encoder = Encoder.parse(kind).fit([RAMP])
    again = Encoder.from_dict(encoder.to_dict())
    assert (again.transform(RAMP) == encoder.transform(RAMP)).all()
    data = Dataset("d", [RAMP], np.array([0]), [RAMP[:2]], np.array([0]), ("a", "b"))
    out = encoder.apply(data)
    assert out.n_channels == encoder.width(2) == 2 * encoder.factor + (8 if kind == "delays" else 0)
    assert out.notes == (f"encoder {encoder}",)
    with pytest.raises(DataError, match=r"shape \(4, 1\), fitted on 2 channels"):
        encoder.transform(RAMP[:, :1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rat", "encoder 'rat' is not known, allowed: direct, spikes, delta, rate, latency, population, delays"),
        ("rate:x=1", "encoder rate: option 'x' is not known, allowed: repeat, seed"),
        ("rate:repeat=0", "encoder rate: repeat '0', allowed are integers above 0 up to 1000"),
        ("delta:threshold=a", "encoder delta: threshold 'a', allowed are numbers above 0 up to 1000"),
        ("spikes:x=1", "option 'x' is not known, allowed: none"),
    ],
)
def test_wrong_encoders_are_one_line(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        Encoder.parse(text)
    assert message in str(caught.value)
    with pytest.raises(DataError, match="encoder latency:window=1000: 300000 steps of 300, allowed 262144"):
        Encoder.parse("latency:window=1000").fit([RAMP]).transform(np.zeros((300, 2)))
    assert encoder_of(None) is encoder_of("direct") is None
    with pytest.raises(DataError, match="encoder: cannot be read"):
        Encoder.from_dict({"kind": "rate"})


def test_the_program_shows_data(tmp_path: Path) -> None:
    path, picture, result = as_npz(tmp_path / "e.npz"), tmp_path / "e.png", tmp_path / "e.json"
    args = ["data", "show", str(path), "--bins", "4", "--encoder", "rate:repeat=2"]
    done = CliRunner().invoke(app, [*args, "--out", str(picture), "--json", str(result)])
    assert done.exit_code == 0, done.output
    for text in ("e: 4 training, 4 test samples", "3 channels, 2 to 8 steps", "channel 2: 0 to 1, mean", "note"):
        assert text in done.output
    assert picture.read_bytes()[:4] == b"\x89PNG"
    content = json.loads(result.read_text())
    assert content["classes"] == [{"name": "0", "train": 2, "test": 2}, {"name": "1", "train": 2, "test": 2}]
    assert len(content["channels"]) == 3
    for wrong, message in (
        (["--encoder", "rat"], "encoder 'rat' is not known"),
        (["--out", str(tmp_path)], "is a folder, a file is needed"),
        (["--bins", "100000"], "100000 bins, allowed are 1 to 65536"),
    ):
        done = CliRunner().invoke(app, [*args, *wrong])
        assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.output
        assert message in done.stderr
