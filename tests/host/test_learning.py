"""Network and Device as a notebook uses them: arrays in, classes out, the same bits on golden model and simulation."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solsa.contract import ConfigError, NetworkConfig, Readout, preset
from solsa.host import DataError, Device, DeviceError, Network, NetworkError
from solsa.host.data import Dataset
from solsa.host.device import Device as LowDevice
from solsa.host.expected import StateLost
from solsa.host.recipe import default_recipe
from solsa.host.train import first_difference, learn, start_network

# the configuration of tests/integration/test_simulated_device.py: it is compiled once for both
SMALL = {"lanes": 2, "groups": 2, "max_steps": 16, "frame_bytes": 128}
RECIPE = {"rates": (0.02, 0.02), "adapt_rates": (1e-3, 1e-3), "epochs": 4}


def up(n: int = 24, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Three classes: the channel that goes up."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    x = rng.normal(0, 0.3, (n, 6, 3))
    x[np.arange(n), :, labels] += np.linspace(0, 2, 6)
    return x, labels


def made(**changes: Any) -> Network:
    return Network.create((3, 5, 3), recipe=RECIPE, **SMALL, **changes)


X, Y = up()


def test_fit_is_what_the_command_line_trains() -> None:
    network, seen, epochs = made(seed=3), [], []
    with Device.open("golden", network) as device:
        assert device.fit(X, Y, validation=(X[:8], Y[:8]), on_sample=seen.append, on_epoch=epochs.append) is device
        assert device.network is network
        assert device.score(X, Y) >= 0.9
        assert device.decision_function(X).shape == (24, 3)
    dataset = Dataset("arrays", list(X), Y, list(X[:8]), Y[:8], ("0", "1", "2"))
    other = start_network(network.config, "3-5-3", network.recipe, dataset, 3)
    with LowDevice.open("golden", network.config) as device:
        learn(device, other, dataset, 4)
    assert first_difference(network, other, "fit") is None
    assert (network.sha256, network.shuffler) == (other.sha256, other.shuffler)
    assert epochs == network.history
    assert (len(seen), seen[-1].phase, seen[23].correct) == (4 * 32, "test", round(24 * epochs[0]["online_accuracy"]))


def test_a_fit_begins_anew_and_keeps_seed_and_recipe() -> None:
    network = made()
    with Device.open("golden", network) as device:
        first = device.fit(X, Y).network.sha256
        device.partial_fit(X, Y)
        assert network.sha256 != first
        assert device.fit(X, Y).network.sha256 == first
        assert device.fit(X, Y, epochs=1).network.epochs_done == 1
        assert [entry["test_accuracy"] for entry in network.history] == [None]
        device.fit(X, Y, epochs=5, on_epoch=lambda entry: entry["epoch"] == 2)
        assert network.epochs_done == 2
        expected = network.sha256
        assert device.read_network().sha256 == expected


@pytest.mark.parametrize("labels", [np.array(["up", "down", "left"]), np.array([7, -1, 10])])
def test_labels_come_back_as_they_were(labels: np.ndarray, tmp_path: Path) -> None:
    y = labels[Y]
    with Device.open("golden", made()) as device:
        device.fit(list(X), y.tolist())
        assert device.predict(X).tolist() == y.tolist()
        device.save(tmp_path / "network.npz")
        assert device.classes_.tolist() == sorted(labels.tolist())
    with Device.open("golden", Network.load(tmp_path / "network.npz")) as device:
        assert device.score(X, y) == 1.0
        assert (device.predict(X[:2]) == y[:2]).all()


def test_samples_of_different_lengths_and_classes_in_my_order() -> None:
    ragged = [x[: 3 + i % 4] for i, x in enumerate(X)]
    with Device.open("golden", made(classes=["b", "a", "c"])) as device:
        assert device.classes_.tolist() == ["b", "a", "c"]
        device.fit(ragged, np.array(["a", "b", "c"])[Y], classes=["b", "a", "c"])
        assert device.classes_.tolist() == ["b", "a", "c"]
        assert device.score(ragged, np.array(["a", "b", "c"])[Y]) >= 0.8


def test_partial_fit_learns_batch_by_batch() -> None:
    network = made()
    assert not network.fitted
    with Device.open("golden", network) as device:
        device.partial_fit(X[:1], Y[:1], classes=[0, 1, 2])
        scale = network.quantiser.mean.copy()
        assert network.fitted
        for at in range(1, 24, 5):
            device.partial_fit(X[at : at + 5], Y[at : at + 5])
        assert (network.quantiser.mean == scale).all()
        assert device.score(X, Y) >= 0.75
        assert network.epochs_done == 0
        with pytest.raises(DataError, match=r"classes \('2', '1', '0'\), the network has \('0', '1', '2'\)"):
            device.partial_fit(X, Y, classes=[2, 1, 0])


def test_a_stream_is_the_sample_step_by_step() -> None:
    network = made()
    with Device.open("golden", network) as device:
        device.fit(X, Y)
        before = device.decision_function(X[:1])
        stream = device.stream()
        outputs = [stream.step(row) for row in X[0]]
        assert (outputs[-1].score == before[0]).all()
        assert outputs[-1].decision == device.predict(X[:1])[0]
        assert np.allclose(sum(out.membrane for out in outputs), outputs[-1].score, atol=0)
        # learning in a stream is learning of the sample; the network follows when it is read back
        expected = copy.deepcopy(network)
        stream = device.stream()
        for row in X[1]:
            stream.step(row, Y[1], learn=True)
        assert first_difference(network, expected, "read back") is None
        streamed = device.read_network().sha256
        device.load(expected).partial_fit(X[1:2], Y[1:2])
        assert expected.sha256 == streamed


def test_a_new_network_streams_and_learns_at_every_step() -> None:
    with Device.open("golden", made()) as device:
        stream, start = device.stream(), device.network.sha256
        for row in X[0]:
            stream.step(row, 0, learn=True)
        assert device.read_network().sha256 != start
        assert device.read_register("updates") == 6


@pytest.mark.slow
def test_simulation_and_golden_model_end_with_the_same_bits(tmp_path: Path) -> None:
    """Fit, partial fit and stream; and training resumed from a file in the middle equals training in one go."""
    found = {}
    for where in ("golden", "sim"):
        with Device.open(where, made(seed=2)) as device:
            device.fit(X[:8], Y[:8], epochs=2)
            device.partial_fit(X[8:12], Y[8:12])
            halfway, traces = device.read_network().sha256, device.read_traces()
            device.save(tmp_path / f"{where}.npz")
            scores = device.partial_fit(X[12:14], Y[12:14]).decision_function(X[:3])
            found[where] = (halfway, scores.tolist(), device.network.sha256, device.network.rng)
        with Device.open(where, Network.load(tmp_path / f"{where}.npz")) as device:
            device.partial_fit(X[12:14], Y[12:14])
            assert (device.network.sha256, device.network.rng) == found[where][2:]
        found[where] += (json.dumps([t.tolist() for t in traces]),)
    assert found["golden"] == found["sim"]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["golden", "sim"])
@pytest.mark.parametrize("stop", [3, 9])
def test_a_checkpoint_goes_on_exactly(where: str, stop: int, tmp_path: Path) -> None:
    """Within an epoch and between two; the file is all that is kept."""
    dataset = Dataset("up", list(X[:6]), Y[:6], list(X[6:8]), Y[6:8], ("0", "1", "2"))
    config = made().config
    recipe = default_recipe(config).with_(**RECIPE)
    whole, part, count = (start_network(config, "3-5-3", recipe, dataset, 0) for _ in range(2)), None, 0
    uninterrupted, part = whole

    class Stopped(Exception):
        pass

    def due() -> bool:
        nonlocal count
        count += 1
        return count == stop

    def keep(network: Network) -> None:
        network.save(tmp_path / "c.npz")
        raise Stopped

    with Device.open(where, config) as device:
        learn(device, uninterrupted, dataset, 2)
        end = (device.read_weights(), device.read_filter_constants(), device.read_register("rng"))
    with Device.open(where, config) as device, pytest.raises(Stopped):
        learn(device, part, dataset, 2, due=due, on_snapshot=keep)
    resumed = Network.load(tmp_path / "c.npz")
    with Device.open(where, config) as device:
        learn(device, resumed, dataset, 2)
        again = (device.read_weights(), device.read_filter_constants(), device.read_register("rng"))
    assert first_difference(resumed, uninterrupted, where) is None
    assert resumed.shuffler == uninterrupted.shuffler
    assert all((a == b).all() for a, b in zip(end[0], again[0], strict=True))
    assert end[1:] == again[1:]


def test_a_device_that_lost_its_state_is_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = made()
    with Device.open("golden", network) as device:
        device.fit(X, Y)
        expected, run, count = device.decision_function(X), device.run_sample, 0

        def lossy(*args: Any, **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == 5:
                device.load_network(made(seed=9).current_parameters(), made(seed=9).weights)
                raise StateLost("gone")
            return run(*args, **more)

        monkeypatch.setattr(device, "run_sample", lossy)
        assert (device.decision_function(X) == expected).all()
        assert count == 4 + 1 + 24


# -- what is refused --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.fit(X[:, 0], Y), r"X of shape \(24, 3\), allowed \[samples, steps, channels\] or a list"),
        (lambda d: d.fit(3, Y), "X is int, allowed are an array or a list of samples"),
        (lambda d: d.fit([[1, 2]] * 3, [0, 1, 2]), r"X, sample 0: shape \(2,\), allowed is \[steps, channels\]"),
        (lambda d: d.fit([[[1], [1, 2]]], [0, 1, 2]), "X, sample 0: rows of different lengths"),
        (lambda d: d.fit([[["a"]]], [0, 1, 2]), "X, sample 0: type <U1, allowed are real numbers"),
        (lambda d: d.fit([], [0, 1, 2]), "X: no samples"),
        (lambda d: d.fit(X * np.nan, Y), "X, sample 0, channel 0, step 0: nan in the data"),
        (lambda d: d.fit(X[..., :1], Y), "X has 1 channels, the network 3"),
        (lambda d: d.fit([X[0], X[1][:, :1]], [0, 1, 2]), "X, sample 1: 1 channels, but sample 0 has 3"),
        (lambda d: d.fit(X, Y[:-1]), r"y of shape \(23,\) for 24 samples"),
        (lambda d: d.fit(X, Y[:, None]), r"y of shape \(24, 1\), allowed is one label per sample"),
        (lambda d: d.fit(X, Y * 0.5), "y of type float64, allowed are integers or strings"),
        (lambda d: d.fit(X, Y * 0), r"1 classes \(0\), the network has 3 outputs; make one of that size, or name all"),
        (lambda d: d.fit(X, Y, classes=[0, 0, 1]), "classes: a class occurs twice"),
        (
            lambda d: d.fit(X, Y, classes=[1, 2, 3]),
            "y, sample 0: label '0' is no class of the network, allowed are 1, 2, 3",
        ),
        (lambda d: d.fit(X, Y, epochs=0), "0 epochs, allowed are 1 or more"),
        (lambda d: d.fit(X, Y, validation=X), "validation: allowed is a pair"),
        (lambda d: d.fit(X, Y, validation=(X[..., :1], Y)), "X of validation, sample 0: 1 channels, but the training"),
        (lambda d: d.partial_fit(X[:1], Y[:1]), r"1 classes \(0\), the network has 3 outputs"),
        (lambda d: d.predict(X[..., :1]), "X has 1 channels, the network 3"),
        (lambda d: d.score(X, Y[:3]), r"y of shape \(3,\) for 24 samples"),
        (lambda d: d.stream().step(X[0]), r"a step of shape \(6, 3\), allowed is \[channels\]"),
        (lambda d: d.stream().step([1, 2, 3], 5), "label, sample 0: label '5' is no class of the network"),
        (lambda d: d.stream().step([1, 2, 3], learn=True), "the membrane readout needs a label to learn"),
        (lambda d: d.load(Network.create("tiny")), "a network of configuration .*, device golden has"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(call: Callable[[Device], object], message: str) -> None:
    network = made()
    start, history = network.sha256, list(network.history)
    with Device.open("golden", network) as device:
        with pytest.raises((DataError, DeviceError), match=message) as caught:
            call(device)
        assert "\n" not in str(caught.value)
        assert (device.read_network().sha256, network.history, network.fitted) == (start, history, False)


def test_a_device_without_a_network_says_so() -> None:
    with (
        Device.open("golden", preset("tiny")) as device,
        pytest.raises(DeviceError, match=r"opened without a network; use Device.open\(where, network\)"),
    ):
        device.predict(X)
    with (
        Device.open("golden", Network.create("tiny", readout="target")) as device,
        pytest.raises(DeviceError, match="the target readout learns from targets"),
    ):
        device.fit(X, Y)


def test_networks_are_made_of_sizes_or_presets(tmp_path: Path) -> None:
    network = Network.create("vowels", groups=1)
    assert (network.preset, network.config) == ("12-64-9", preset("vowels").with_(groups=1))
    assert Network.create("vowels").preset == "vowels"
    wide = Network.create(np.array([1000, 8, 4]), readout="spike", lanes=4)
    assert isinstance(wide.config, NetworkConfig)
    assert (wide.config.layers, wide.config.readout, wide.config.frame_bytes) == ((1000, 8, 4), Readout.SPIKE, 1024)
    wide.save(tmp_path / "w.npz")
    again = Network.load(str(tmp_path / "w.npz"))
    assert (again.sha256, again.fitted, again.class_names) == (wide.sha256, False, ("0", "1", "2", "3"))


def test_a_spiking_readout_counts_spikes() -> None:
    with Device.open("golden", made(readout="spike")) as device:
        scores = device.fit(X, Y).decision_function(X)
    assert (scores == np.rint(scores)).all()
    assert scores.max() <= 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Network.create("vowel"), "preset 'vowel' is not known, allowed: tiny"),
        (lambda: Network.create((3,)), "network 3: 1 sizes given, allowed 2 to 9"),
        (lambda: Network.create((3, 0)), "a layer of 0 neurons, allowed 1 to"),
        (lambda: Network.create(("a", 2)), "network: invalid literal"),
        (lambda: Network.create((3, 2), lanes=3), "3 lanes, allowed a power of two"),
        (lambda: Network.create((3, 2), lane=2), "network: .* unexpected keyword argument 'lane'"),
        (lambda: Network.create((3, 2), readout="x"), "network: 'x' is not a valid Readout"),
        (lambda: Network.create((3, 2), recipe={"rate": 1}), "recipe: .* unexpected keyword argument 'rate'"),
        (lambda: Network.create((3, 2), seed=-1), "seed -1, allowed are integers from 0 up"),
        (lambda: Network.create((3, 2), classes=["a"]), "1 classes for 2 outputs of 3-2"),
        (lambda: Network.create((3, 2), classes=["a", "a"]), "classes: a class occurs twice"),
    ],
)
def test_a_network_that_cannot_be_made_is_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises((ConfigError, DataError, NetworkError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
