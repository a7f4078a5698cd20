"""Training: exact resume, the comparison with the golden model, and that something is learned."""

from __future__ import annotations

import copy
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from solsa.contract import preset
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.errors import RunFailed
from solsa.host.golden_run import GoldenRun
from solsa.host.network import Network, NetworkError
from solsa.host.recipe import RECIPES, default_recipe
from solsa.host.train import LearnResult, Progress, evaluate, first_difference, learn, quantise, start_network

CONFIG = preset("tiny").with_(layers=(2, 6, 2))
RECIPE = default_recipe(CONFIG).with_(rates=(0.02, 0.02), adapt_rates=(1e-3, 1e-3), final=0.4, epochs=5)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two classes: the channel that goes up."""
    rng = np.random.default_rng(1)
    labels = np.arange(24) % 2
    x = rng.normal(0, 0.3, (24, 6, 2))
    x[np.arange(24), :, labels] += np.linspace(0, 2, 6)
    np.savez(tmp_path / "up.npz", X=x[:16], y=labels[:16], X_test=x[16:], y_test=labels[16:])
    return load_dataset(str(tmp_path / "up.npz"))


def train(network: Network, dataset: Dataset, epochs: int) -> LearnResult:
    with Device.open("golden", network.config) as device:
        return learn(device, network, dataset, epochs)


def start(dataset: Dataset, seed: int = 0) -> Network:
    return start_network(CONFIG, "2-6-2", RECIPE, dataset, seed)


def test_it_learns_and_reports(dataset: Dataset) -> None:
    network = start(dataset)
    seen: list[Progress] = []
    kept: list[int] = []
    with Device.open("golden", CONFIG) as device:
        result = learn(device, network, dataset, 6, seen.append, lambda n: kept.append(n.epochs_done))
        train, test = quantise(dataset, network)
        decisions = evaluate(device, test)
        known = evaluate(device, train)
    assert result.test_accuracy == result.history[-1]["test_accuracy"] == np.mean(decisions == dataset.test_labels) == 1
    assert result.train_accuracy == np.mean(known == dataset.train_labels) == 1
    assert result.steps == 6 * 24 * 6 + 16 * 6  # the training samples once more for their accuracy
    assert result.weight_sha256 == network.sha256
    assert result.device_cycles is None
    assert (result.device, result.config_hash, result.epochs, result.seed) == ("golden", CONFIG.config_hash, 6, 0)
    assert kept == [1, 2, 3, 4, 5, 6]
    assert len(seen) == 6 * 24
    assert [p.phase for p in seen[:24]] == ["train"] * 16 + ["test"] * 8
    assert seen[-1] == Progress(6, "test", 8, 8, 8)
    assert network.weights[0].tolist() != start(dataset).weights[0].tolist()
    assert network.constants != start(dataset).constants
    assert result.to_dict()["versions"]["numpy"] == np.__version__


def test_stopping_saving_and_going_on_is_the_same_as_not_stopping(dataset: Dataset, tmp_path: Path) -> None:
    whole, part = start(dataset), start(dataset)
    train(whole, dataset, 5)
    train(part, dataset, 2)
    part.save(tmp_path / "n.npz")
    resumed = Network.load(tmp_path / "n.npz")
    result = train(resumed, dataset, 5)
    assert first_difference(resumed, whole, "resumed") is None
    assert result.epochs == 5
    assert resumed.shuffler == whole.shuffler
    assert resumed.sha256 == whole.sha256 != part.sha256
    assert [entry["epoch"] for entry in resumed.history] == [1, 2, 3, 4, 5]


def test_seeds_differ(dataset: Dataset) -> None:
    hashes = []
    for seed in (0, 0, 1):
        network = start(dataset, seed)
        hashes.append(train(network, dataset, 1).weight_sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_first_difference_is_named(dataset: Dataset) -> None:
    golden = start(dataset)
    train(golden, dataset, 1)
    assert first_difference(golden, copy.deepcopy(golden), "sim") is None
    other = copy.deepcopy(golden)
    other.weights[1][1, 4] += 1
    value = golden.weights[1][1, 4]
    assert first_difference(other, golden, "sim") == (
        f"weight of layer 1, post 1, pre 4: {value + 1} on sim, {value} in the golden model "
        "(1 of 12 weights of this layer differ)"
    )
    other = copy.deepcopy(golden)
    other.constants[0][1] = 5
    expected = f"filter constant of layer 0, group 1: 5 on sim, {golden.constants[0][1]} in the golden model"
    assert first_difference(other, golden, "sim") == expected
    other = copy.deepcopy(golden)
    other.rng ^= 1
    assert str(first_difference(other, golden, "sim")).startswith("random generator: ")
    other = copy.deepcopy(golden)
    other.history[0]["test_accuracy"] = 0.125
    assert str(first_difference(other, golden, "sim")).startswith("epoch 1 test_accuracy: 0.125 on sim, ")


def test_the_scale_comes_from_training_samples_alone(dataset: Dataset) -> None:
    other = Dataset(**{**dataset.__dict__, "test": [sample + 100 for sample in dataset.test]})
    assert start(dataset).quantiser.mean.tolist() == start(other).quantiser.mean.tolist()


def test_other_data_is_refused(dataset: Dataset) -> None:
    network = start(dataset)
    wide = Dataset(**{**dataset.__dict__, "train": [np.hstack([s, s]) for s in dataset.train]})
    with Device.open("golden", CONFIG) as device, pytest.raises(NetworkError, match="4 channels"):
        learn(device, network, wide, 1)


def test_the_golden_run_is_the_same_training_in_another_process(dataset: Dataset) -> None:
    network = start(dataset)
    with GoldenRun(network, dataset, 3) as golden:
        train(network, dataset, 3)
        assert first_difference(network, golden.result(), "here") is None


def test_a_golden_run_that_fails_says_why(dataset: Dataset) -> None:
    wide = Dataset(**{**dataset.__dict__, "train": [np.hstack([s, s]) for s in dataset.train]})
    with GoldenRun(start(dataset), wide, 1) as golden, pytest.raises(RunFailed, match="failed: NetworkError: .* 4 "):
        golden.result()
    with GoldenRun(start(dataset), dataset, 1000) as golden:
        os.kill(golden.pid, signal.SIGKILL)
        with pytest.raises(RunFailed, match="process ended with status -9"):
            golden.result()


@pytest.mark.slow
def test_japanese_vowels_learns_and_is_fast_enough() -> None:
    vowels = load_dataset("JapaneseVowels")
    network = start_network(preset("vowels"), "vowels", RECIPES["JapaneseVowels"].with_(epochs=3), vowels, 0)
    result = train(network, vowels, 3)
    assert result.test_accuracy >= 0.9
    # 3 s are the bound on a free machine; a shared one may be several times slower.
    assert min(entry["seconds"] for entry in result.history) < 9
