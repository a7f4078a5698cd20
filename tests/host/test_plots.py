"""Pictures: written as PNG with what they must show; a record is what the network did."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from solsa.contract import Readout, make_parameters, preset
from solsa.host.device import Device
from solsa.host.plots import SampleRecord, learning_curve, record_sample, spike_raster


@pytest.mark.parametrize("layers", [(3, 2), (3, 5, 3), (3, 5, 4, 3)])
@pytest.mark.parametrize("readout", [Readout.MEMBRANE, Readout.SPIKE])
def test_a_record_is_the_sample(layers: tuple[int, ...], readout: Readout) -> None:
    config = preset("tiny").with_(layers=layers, readout=readout)
    rng = np.random.default_rng(0)
    weights = [rng.integers(-9000, 9000, (config.post(i), config.pre(i))) for i in range(config.depth)]
    x = rng.integers(-99, 99, (6, 3))
    with Device.open("golden", config) as device:
        device.load_network(make_parameters(config, a=(0.5, 0.8), lam=(0.5, 0.8)), weights)
        record = record_sample(device, x)
        assert record.scores.tolist() == device.run_sample(x).tolist()
    assert [s.shape for s in record.spikes] == [(6, size) for size in layers[1:-1]]
    assert record.membranes.shape == (6, layers[-1])
    if readout is Readout.MEMBRANE:
        assert (record.membranes * config.formats.membrane.one).sum(axis=0).tolist() == record.scores.tolist()
    assert record.inputs.tolist() == (x / 32).tolist()
    assert all(0 < s.mean() < 1 for s in record.spikes)


def picture(path: Path) -> np.ndarray:
    data = matplotlib.image.imread(path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    return data


@pytest.mark.parametrize(("epochs", "test"), [(1, 0.4), (2, None), (40, 0.4)])
def test_the_learning_curve(tmp_path: Path, epochs: int, test: float | None) -> None:
    """Without test samples their accuracy is None, and there is one curve."""
    history = [{"epoch": i + 1, "online_accuracy": 1 - 1 / (i + 2), "test_accuracy": test} for i in range(epochs)]
    learning_curve(history, tmp_path / "a.png", "title")
    data = picture(tmp_path / "a.png")
    assert data.shape[:2] == (630, 1050)
    assert data[..., :3].std() > 0.05
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]


@pytest.mark.parametrize(
    ("steps", "hidden", "outputs", "scale", "label"),
    [(1, [1], 2, 1.0, 0), (20, [64], 9, 300.0, 8), (200, [500, 30], 3, 1.0, 1), (5, [], 2, 1.0, 0)],
)
def test_the_raster(tmp_path: Path, steps: int, hidden: list[int], outputs: int, scale: float, label: int) -> None:
    rng = np.random.default_rng(0)
    record = SampleRecord(
        rng.normal(size=(steps, 4)),
        [rng.integers(0, 2, (steps, size)) for size in hidden],
        scale * rng.normal(size=(steps, outputs)),
        np.arange(outputs)[::-1],
    )
    spike_raster(record, tmp_path / "a.png", "title", "source", [str(i) for i in range(outputs)], label)
    assert picture(tmp_path / "a.png")[..., :3].std() > 0.05


def test_a_network_without_spikes_can_be_drawn(tmp_path: Path) -> None:
    none = np.zeros((3, 5), dtype=np.int64)
    record = SampleRecord(np.zeros((3, 2)), [none], np.zeros((3, 2)), none[0, :2])
    spike_raster(record, tmp_path / "a.png", "title", "source", ["a", "b"], 0)
    picture(tmp_path / "a.png")
