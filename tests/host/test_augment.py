"""Training samples that are changed anew in every epoch: the same of the same seed, on every device, after a resume."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import bad, good
from toy_data import toy_arrays

from solsa.contract import ConfigError, preset
from solsa.host import Device, Network
from solsa.host.augment import augmented
from solsa.host.data import Dataset
from solsa.host.encoders import Encoder
from solsa.host.fast_golden import trained
from solsa.host.golden_run import GoldenRun
from solsa.host.recipe import RECIPES, Recipe, default_recipe
from solsa.host.train import epoch_samples, first_difference, learn, quantise, start_network

CONFIG = preset("tiny").with_(layers=(8, 6, 2))
PLAIN = default_recipe(CONFIG).with_(rates=(0.02, 0.02), epochs=2)
RECIPE = PLAIN.with_(noise=0.3, shift=0.4)
ENCODER = Encoder.parse("delays:taps=2,clock=2")


def data(n: int = 12, channels: int = 3) -> Dataset:
    """Two classes: the channel that goes up."""
    labels = np.arange(n) % 2
    x = np.random.default_rng(1).normal(0, 0.3, (n, 6, channels))
    x[np.arange(n), :, labels] += np.linspace(0, 2, 6)
    return Dataset("up", list(x[:8]), labels[:8], list(x[8:]), labels[8:], ("0", "1"))


def start(recipe: Recipe = RECIPE, seed: int = 0) -> Network:
    return start_network(CONFIG, "8-6-2", recipe, data(), seed, ENCODER)


def inputs(network: Network, epoch: int) -> list[list[list[int]]]:
    train, _ = quantise(data(), network)
    return [x.tolist() for x in epoch_samples(data(), network, train, epoch).inputs]


def test_off_is_the_sample_itself_and_leaves_recipes_as_they_were() -> None:
    network = start(PLAIN)
    train, _ = quantise(data(), network)
    assert epoch_samples(data(), network, train, 1) is train
    assert not {"noise", "shift"} & set(PLAIN.to_dict())
    assert Recipe.from_dict(RECIPE.to_dict()) == RECIPE
    assert (RECIPES["JapaneseVowels"].augments, RECIPES["digits"].augments) == (False, True)


def test_seed_and_epoch_say_all() -> None:
    assert inputs(start(), 3) == inputs(start(), 3)
    found = [inputs(start(), 0), inputs(start(), 1), inputs(start(seed=1), 0), inputs(start(PLAIN), 0)]
    assert all(a != b for a, b in itertools.combinations(found, 2))


def test_the_same_with_every_numpy_and_on_every_machine() -> None:
    x = [np.arange(4.0).reshape(2, 2) + n for n in range(3)]
    rows = [np.rint(sample * 1000).astype(int).tolist() for sample in augmented(x, RECIPE, 7, 2)]
    assert rows == [[[-134, 235], [1872, 3667]], [[1004, 2503], [2961, 4003]], [[2514, 3072], [3860, 5125]]]


def test_a_share_of_the_samples_moves_by_one_channel() -> None:
    x = [np.arange(1.0, 11.0).reshape(2, 5) for _ in range(2000)]
    moved = augmented(x, PLAIN.with_(shift=0.3), 0, 0)
    rows = [sample[0].tolist() for sample in moved]
    up, down, same = ([1, 1, 2, 3, 4], [2, 3, 4, 5, 5], [1, 2, 3, 4, 5])
    assert all(row in (up, down, same) for row in rows)
    assert [rows.count(row) / 2000 for row in (up, down, same)] == pytest.approx([0.15, 0.15, 0.7], abs=0.03)
    assert all(sample[1].tolist() == [v + 5 for v in sample[0]] for sample in moved)


@pytest.mark.parametrize(
    ("scale", "spread"), [("channel", (1.0, 3.0, 0.0)), ("common", ((10 / 3) ** 0.5, (10 / 3) ** 0.5, 0.0))]
)
def test_noise_is_in_units_of_the_scale(scale: str, spread: tuple[float, ...]) -> None:
    rows = np.random.default_rng(0).choice([-1.0, 1.0], (4000, 3)) * [1.0, 3.0, 0.0] + [5.0, 0.0, 1.0]
    (changed,) = augmented([rows], PLAIN.with_(noise=0.5, scale=scale), 0, 0)
    assert (changed - rows).std(0).tolist() == pytest.approx([0.5 * s for s in spread], rel=0.05)
    assert (changed - rows).mean(0).tolist() == pytest.approx([0.0] * 3, abs=0.06)


@pytest.mark.parametrize("stop", [3, 8, 15])
def test_a_run_that_stops_within_an_epoch_gets_the_same_samples_again(tmp_path: Path, stop: int) -> None:
    whole, part, count = start(), start(), itertools.count(1)

    class Stopped(Exception):
        pass

    def keep(network: Network) -> None:
        network.save(tmp_path / "c.npz")
        raise Stopped

    with Device.open("golden", CONFIG) as device:
        learn(device, whole, data(), 2)
    with Device.open("golden", CONFIG) as device, pytest.raises(Stopped):
        learn(device, part, data(), 2, due=lambda: next(count) == stop, on_snapshot=keep)
    resumed = Network.load(tmp_path / "c.npz")
    with Device.open("golden", CONFIG) as device:
        learn(device, resumed, data(), 2)
    assert first_difference(resumed, whole, "resumed") is None


def test_all_ways_of_training_end_with_the_same_words_and_others_than_without() -> None:
    device_side, plain, fast = start(), start(PLAIN), start()
    with GoldenRun(device_side, data(), 2) as golden:
        for network in (device_side, plain):
            with Device.open("golden", CONFIG) as device:
                learn(device, network, data(), 2)
        assert first_difference(device_side, golden.result(), "here") is None
    trained(fast, data())
    assert first_difference(device_side, fast, "device") is None
    assert device_side.sha256 != plain.sha256


@pytest.mark.slow
def test_the_simulated_core_ends_with_the_words_of_the_golden_model() -> None:
    found = {}
    for where in ("golden", "sim"):
        found[where] = start()
        with Device.open(where, CONFIG) as device:
            learn(device, found[where], data(), 2)
    assert first_difference(found["sim"], found["golden"], "sim") is None


def test_decisions_see_the_samples_as_they_are() -> None:
    network = start()
    with Device.open("golden", network) as device:
        with_noise = device.decision_function(data().test)
        network.recipe = PLAIN
        assert (device.decision_function(data().test) == with_noise).all()
    # a look at the training samples too: as without the augmentation once nothing is learned
    still = [start(recipe.with_(rates=(0.0, 0.0))) for recipe in (RECIPE, PLAIN)]
    results = []
    for one in still:
        with Device.open("golden", CONFIG) as device:
            results.append(learn(device, one, data(), 1))
    assert results[0].train_accuracy == results[1].train_accuracy
    assert results[0].test_accuracy == results[1].test_accuracy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": -0.1}, "recipe: noise -0.1, allowed are standard deviations from 0 up"),
        ({"noise": float("nan")}, "recipe: noise nan, allowed"),
        ({"shift": 1.5}, "recipe: shift 1.5, allowed are shares from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PLAIN.with_(**changes)


def test_the_command_line_has_both(tmp_path: Path) -> None:
    file, out = tmp_path / "toy.npz", tmp_path / "run"
    np.savez(file, **toy_arrays())
    text = good("learn", file, "--noise", 0.2, "--shift", 0.5, "--epochs", 1, "--out", out)
    assert "anew in every epoch: 50% of the samples moved by a channel, noise of 0.2" in " ".join(text.split())
    recipe = Network.load(out / "network.npz").recipe
    assert (recipe.noise, recipe.shift) == (0.2, 0.5)
    plain = json.loads(good("learn", file, "--epochs", 1, "--json", "-"))
    zero = json.loads(good("learn", file, "--noise", 0, "--shift", 0, "--epochs", 1, "--json", "-"))
    changed = json.loads((out / "result.json").read_text())
    assert plain["weight_sha256"] == zero["weight_sha256"] != changed["weight_sha256"]
    assert "recipe: shift 2.0, allowed are shares" in bad("learn", file, "--shift", 2)
    assert "leave --noise out" in bad("learn", file, "--resume", out, "--noise", 0.1, "--epochs", 2)
