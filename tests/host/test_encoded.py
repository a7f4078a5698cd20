"""Encoders and event bins on the way from a file or array to a trained network, and back from its file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import bad, good
from toy_data import toy_arrays

from solsa.contract import ConfigError
from solsa.host import DataError, Device, Network, NetworkError, SolsaClassifier, import_nir
from solsa.host.data import load_dataset
from solsa.host.encoders import KINDS, Encoder
from solsa.host.events import Binning
from solsa.host.progress import load_progress

SMALL = {"lanes": 2, "groups": 2, "max_steps": 16, "frame_bytes": 128}
RECIPE = {"rates": (0.02, 0.02), "epochs": 3}


def up(n: int = 24, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Three classes: the channel that goes up."""
    labels = np.arange(n) % 3
    x = np.random.default_rng(seed).normal(0, 0.3, (n, 6, 3))
    x[np.arange(n), :, labels] += np.linspace(0, 2, 6)
    return x, labels


X, Y = up()


def events(path: Path, n: int = 12, addresses: int = 3, last: float = 1.0) -> Path:
    """Two classes by the address that fires most; one event at the end sets the length."""
    rng, arrays = np.random.default_rng(0), {}
    for suffix in ("", "_test"):
        times, units, cuts = [], [], [0]
        for i in range(n):
            times += [*np.sort(rng.uniform(0, last, 20)), last]
            units += [*rng.choice(addresses, 21, p=[0.8, 0.1, 0.1] if i % 2 else [0.1, 0.1, 0.8])]
            cuts.append(len(times))
        arrays |= {"times" + suffix: np.array(times), "addresses" + suffix: np.array(units),
                   "offsets" + suffix: np.array(cuts), "y" + suffix: np.arange(n) % 2}  # fmt: skip
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run through ``population``; its data lie above."""
    folder = tmp_path_factory.mktemp("encoded")
    np.savez(folder / "toy.npz", **toy_arrays())
    good("learn", folder / "toy.npz", "--encoder", "population:neurons=3", "--epochs", 2, "--out", folder / "run")
    return folder / "run"


# -- the command line -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["delta", "latency", "delays"])
def test_every_encoder_learns_and_is_kept(kind: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", **toy_arrays())
    file = tmp_path / "network.npz"
    text = good("learn", tmp_path / "toy.npz", "--encoder", kind, "--epochs", 1, "--out", tmp_path)
    result, network = json.loads((tmp_path / "result.json").read_text()), Network.load(file)
    encoder = network.encoder
    assert encoder is not None
    assert (encoder.kind, encoder.channels, network.channels) == (kind, 3, 3)
    assert network.config.inputs == encoder.width(3)
    assert result["encoder"] == load_progress(tmp_path)["run"]["encoder"] == str(encoder)
    assert f"encoder   {encoder}" in text
    assert f"{result['test_accuracy']:.4f}" in good("eval", file, tmp_path / "toy.npz")


def test_the_default_is_no_encoder(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", **toy_arrays())
    found = [json.loads(good("learn", tmp_path / "toy.npz", "--epochs", 1, "--json", "-", *more))
             for more in ([], ["--encoder", "direct"])]  # fmt: skip
    assert found[0]["weight_sha256"] == found[1]["weight_sha256"]
    assert found[1]["encoder"] is None


def test_the_golden_model_encodes_alike_and_the_report_says_how(trained: Path, tmp_path: Path) -> None:
    data = trained.parent / "toy.npz"
    text = "population:neurons=3"  # may be said again
    good("learn", data, "--resume", trained / "network.npz", "--encoder", text, "--epochs", 3, "--out", tmp_path,
         "--check-golden")  # fmt: skip
    good("report", tmp_path)
    assert str(Network.load(tmp_path / "network.npz").encoder) == text
    assert text in (tmp_path / "report.html").read_text()


def test_events_are_counted_as_the_network_knows_them(tmp_path: Path) -> None:
    data, out = events(tmp_path / "e.npz"), tmp_path / "run"
    good("learn", data, "--bins", 20, "--encoder", "spikes", "--epochs", 2, "--out", out)
    network = Network.load(out / "network.npz")
    assert network.binning == Binning(20, 0.05, 3)
    good("eval", out / "network.npz", data)
    good("learn", data, "--resume", out / "network.npz", "--bins", 20, "--epochs", 3, "--out", tmp_path / "b")
    assert "was trained with --bins 20, not 30" in bad("learn", data, "--resume", out, "--bins", 30)
    # other recordings: bins of the same width, channels of the network
    longer = load_dataset(str(events(tmp_path / "f.npz", last=2.0)), like=network.binning)
    assert (longer.t_max, longer.n_channels) == (40, 3)
    network.binning = Binning(20, 0.05, 2)
    with pytest.raises(DataError, match="address 2, the network was trained on 0 to 1"):
        load_dataset(str(data), like=network.binning)
    with pytest.raises(DataError, match=r"time 1 is 1e\+06 bins of 1e-06; allowed are 65536"):
        load_dataset(str(data), like=Binning(20, 1e-6, 3))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("learn {toy} --encoder rat", "encoder 'rat' is not known, allowed: direct, spikes, delta, rate, latency, pop"),
        ("learn {toy} --encoder delta:threshold=-1", "encoder delta: threshold '-1', allowed are numbers above 0 up"),
        ("learn {toy} --encoder rate:steps=3", "encoder rate: option 'steps' is not known, allowed: repeat, seed"),
        ("learn {toy} --bins 5", "toy.npz: holds no events that could be counted in 5 bins; leave the bins out"),
        ("data show {toy} --bins 5", "toy.npz: holds no events that could be counted in 5 bins; leave the bins out"),
        (
            "learn {toy} --encoder delta --preset tiny",
            "preset tiny (3-5-3) takes 3 channels and 3 classes, toy through",
        ),
        ("learn {toy} --resume {run} --encoder delta", "with --encoder population:neurons=3, not delta:threshold=0.25"),
        (
            "learn {toy} --resume {run} --encoder direct",
            "trained with --encoder population:neurons=3, not direct; leav",
        ),
        ("learn --encoder delta --from-sweep s.db --trial 1", "--encoder and --from-sweep exclude each other"),
        ("learn {wide} --resume {run}", "wide has 4 channels, the network was trained on 3"),
    ],
)
def test_a_mistake_is_one_line(trained: Path, tmp_path: Path, args: str, message: str) -> None:
    wide = tmp_path / "wide.npz"
    np.savez(wide, **toy_arrays(channels=4))
    assert message in bad(*args.format(toy=trained.parent / "toy.npz", run=trained, wide=wide).split())


# -- the Python side --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_every_encoder_can_be_fitted(kind: str, tmp_path: Path) -> None:
    network = Network.create((3, 4, 3), encoder=kind, recipe=RECIPE, **SMALL | {"max_steps": 64})
    with Device.open("golden", network) as device:
        scores = device.fit(X[:6], Y[:6], epochs=1).decision_function(X[:2])
        device.save(tmp_path / "n.npz")
    with Device.open("golden", Network.load(tmp_path / "n.npz")) as device:
        assert (device.decision_function(X[:2]) == scores).all()


def test_fit_through_an_encoder(tmp_path: Path) -> None:
    network = Network.create((3, 8, 3), encoder="population:neurons=3", recipe=RECIPE, seed=3, **SMALL)
    assert (network.config.layers, network.channels) == ((9, 8, 3), 3)
    with Device.open("golden", network) as device:
        device.fit(X, Y, validation=(X[:6], Y[:6]))
        assert device.score(X, Y) >= 0.9
        scores, end = device.decision_function(X), network.sha256
        # the encoder can be given with the data as well, and left out
        assert device.fit(X, Y, encoder="population:neurons=3").network.sha256 == end
        assert device.fit(X, Y, encoder=Encoder.parse("population:neurons=3")).network.sha256 == end
        encoded = Encoder.parse("population:neurons=3").fit(list(X))
        device.fit([encoded.transform(x) for x in X], Y, encoder="direct")
        assert (network.encoder, network.channels) == (None, 9)
        device.fit(X, Y, encoder="population:neurons=3").save(tmp_path / "n.npz")
    again = Network.load(tmp_path / "n.npz")
    assert str(again.encoder) == "population:neurons=3"
    with Device.open("golden", again) as device:
        assert (device.decision_function(X) == scores).all()
    for network in (import_nir(again.to_nir(tmp_path / "n.nir"))[0], Network.from_nir(tmp_path / "n.nir")):
        with Device.open("golden", network) as device:
            assert (device.decision_function(X) == scores).all()


@pytest.mark.parametrize("encoder", ["spikes", "delta:threshold=0.5", "population:neurons=2", "delays:taps=3,clock=4"])
def test_a_stream_is_the_encoded_sample(encoder: str) -> None:
    network = Network.create((3, 8, 3), encoder=encoder, recipe=RECIPE, **SMALL)
    with Device.open("golden", network) as device:
        device.partial_fit(X, Y)
        for x in X[:3]:
            stream = device.stream()
            assert ([stream.step(row) for row in x][-1].score == device.decision_function(x[None])[0]).all()


@pytest.mark.parametrize("encoder", ["delta", "delays"])
def test_a_stream_before_the_first_training_is_refused_in_one_line(encoder: str) -> None:
    network = Network.create((3, 8, 3), encoder=encoder, recipe=RECIPE, **SMALL)
    with Device.open("golden", network) as device, pytest.raises(DataError, match="knows no ranges before the first"):
        device.stream()


def test_the_classifier_takes_an_encoder() -> None:
    model = SolsaClassifier(8, epochs=4, encoder="population:neurons=2").fit(X, Y)
    assert model.score(X, Y) >= 0.8
    assert model.network_.config.inputs == 6


def made() -> Network:
    return Network.create((3, 8, 3), encoder="delta", recipe=RECIPE, **SMALL)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.fit(X, Y, encoder="rat"), "encoder 'rat' is not known"),
        (lambda d: d.fit(X[..., :2], Y), r"X has 2 channels, of which encoder delta:threshold=0.25 makes 4, the netw"),
        (lambda d: d.fit(X, Y, encoder="direct"), "X has 3 channels, the network 6"),
        (lambda d: d.predict(X), "encoder delta: knows no ranges before the first training; call fit or partial_fit"),
        (lambda d: d.fit(X * 1e200, Y), "encoder delta, channel 0: values too large; allowed are below about 1e150"),
        (lambda d: Network.create((3, 2), encoder="rat"), "encoder 'rat' is not known"),
        (lambda d: Network.create("tiny", encoder="delta"), "encoder delta.*: 2 channels of one, but 3 inputs of tiny"),
        (
            lambda d: Network.create("tiny", encoder="delays:taps=1"),
            "encoder delays.*: 1 channels of one and 8 more, but 3 inputs of tiny",
        ),
    ],
)
def test_a_mistake_in_python_is_one_line(call: Callable[[Device], object], message: str) -> None:
    network = made()
    with Device.open("golden", network) as device:
        with pytest.raises((DataError, ConfigError, NetworkError), match=message) as caught:
            call(device)
        assert "\n" not in str(caught.value)
        assert not network.fitted


def test_a_stream_refuses_several_steps_of_one() -> None:
    network = Network.create((3, 8, 3), encoder="latency:window=4", recipe=RECIPE, **SMALL)
    with Device.open("golden", network) as device, pytest.raises(DataError, match="4 steps of one do not fit a stream"):
        device.stream()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("encoder", {"kind": "rate"}, "encoder: cannot be read"),
        (
            "encoder",
            {"kind": "spikes", "options": {}, "low": [0.0], "high": [1.0], "std": [1.0]},
            "of 1 channels for 9",
        ),
        ("encoder", {"kind": "spikes", "options": {}, "low": [0.0], "high": [1e999], "std": [1.0]}, "not finite"),
        (
            "encoder",
            {"kind": "spikes", "options": {}, "low": [0.0], "high": [1.0], "std": [1.0], "length": 3},
            "of 3 st",
        ),
        (
            "encoder",
            {"kind": "delays", "options": {"clock": 2}, "low": [0.0], "high": [1.0], "std": [1.0]},
            "encoder delays:.*: a longest sample of 0 steps",
        ),
        ("binning", {"bins": 0, "width": 1, "channels": 3}, "makes no sense"),
        ("binning", {"bins": "x"}, "bins: cannot be read"),
        ("binning", 3, "damaged|bins: cannot be read"),
    ],
)
def test_a_damaged_encoder_in_a_file_is_one_line(
    trained: Path, tmp_path: Path, key: str, value: Any, message: str
) -> None:
    arrays = dict(np.load(trained / "network.npz"))
    meta = json.loads(arrays["meta"].tobytes()) | {key: value}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(tmp_path / "n.npz", **arrays)
    with pytest.raises(NetworkError, match=message):
        Network.load(tmp_path / "n.npz")
