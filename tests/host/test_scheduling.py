"""Schedule search, early stop and the end of a run: what is chosen, what stays untouched, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solsa.contract import ConfigError, NetworkConfig, Register, Space, preset
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.expected import Expected
from solsa.host.network import Network
from solsa.host.recipe import RECIPES, Recipe, default_recipe
from solsa.host.scheduling import (
    changed,
    described,
    has_learned,
    largest,
    measure_changes,
    probe_samples,
    with_options,
)
from solsa.host.train import LearnResult, learn, start_network
from solsa.host.words import pack_words

CONFIG = NetworkConfig(layers=(2, 4, 2), lanes=2, groups=2, max_steps=8, surrogate_entries=16, frame_bytes=128)
RECIPE = default_recipe(CONFIG).with_(rates=(0.02, 0.02), adapt_rates=(1e-3, 1e-3), updates=3, epochs=4)
SEARCH = RECIPE.with_(search=2, search_samples=4)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two classes: the channel that goes up."""
    rng = np.random.default_rng(1)
    labels = np.arange(24) % 2
    x = rng.normal(0, 0.3, (24, 6, 2))
    x[np.arange(24), :, labels] += np.linspace(0, 2, 6)
    np.savez(tmp_path / "up.npz", X=x[:16], y=labels[:16], X_test=x[16:], y_test=labels[16:])
    return load_dataset(str(tmp_path / "up.npz"))


def trained(
    dataset: Dataset, recipe: Recipe, epochs: int = 4, device: str = "golden"
) -> tuple[Network, LearnResult, int]:
    """(Network, result, weight updates) of a run."""
    config, name = with_options(CONFIG, "2-4-2", recipe)
    network = start_network(config, name, recipe, dataset, 0)
    with Device.open(device, config) as opened:
        result = learn(opened, network, dataset, epochs)
        return network, result, opened.read_register("updates")


def test_a_probe_changes_nothing_but_its_sums(dataset: Dataset) -> None:
    config = CONFIG.with_(probe=True)
    network = start_network(config, "2-4-2+probe", SEARCH, dataset, 0)
    x = np.ones((6, 2), dtype=np.int64) * 20
    with Device.open("golden", network) as device:

        def state() -> Any:
            return [w.tolist() for w in device.read_weights()], device.read_filter_constants(), [
                device.read_register(name) for name in ("rng", "updates", "probe")
            ]  # fmt: skip

        before = state()
        once = measure_changes(device, [(x, 0)])
        assert np.array_equal(measure_changes(device, [(x, 0), (x, 0)]), 2 * once)
        assert state() == before
        assert device.read_words(Space.SCHEDULE, 0, 8).nonzero()[0].tolist() == list(network.parameters.schedule)
    assert (once[1:6] > 0).all()
    assert not once[6:].any()


def test_the_largest_steps_become_the_schedule(dataset: Dataset) -> None:
    """As many as were evenly spaced; the weights move where they move most; a resumed run ends with the same bits."""
    network, _, updates = trained(dataset, SEARCH, 2)
    even, _, as_many = trained(dataset, RECIPE, 2)
    assert len(network.parameters.schedule) == len(even.parameters.schedule) == 3
    assert network.parameters.schedule != even.parameters.schedule
    assert updates == as_many == 2 * 16 * 3
    whole, _, _ = trained(dataset, SEARCH, 4)
    with Device.open("golden", network.config) as device:
        learn(device, network, dataset, 4)
    assert network.sha256 == whole.sha256
    assert network.parameters.schedule == whole.parameters.schedule


def test_early_stop_saves_updates(dataset: Dataset, tmp_path: Path) -> None:
    recipe = RECIPE.with_(stop_margin=0.5, stop_points=1)
    network, result, updates = trained(dataset, recipe)
    assert 0 < updates < 4 * 16 * 3
    assert result.test_accuracy == 1
    network.save(tmp_path / "n.npz")
    assert Network.load(tmp_path / "n.npz").recipe == recipe
    assert Network.load(tmp_path / "n.npz").parameters.stop_points == 1


def test_a_run_that_has_learned_ends(dataset: Dataset) -> None:
    _, result, _ = trained(dataset, RECIPE.with_(stop_learned=2), 40)
    assert 2 <= result.epochs < 40
    assert [e["online_accuracy"] for e in result.history[-2:]] == [1, 1]
    right, wrong = {"online_accuracy": 1.0}, {"online_accuracy": 0.9}
    assert not has_learned(RECIPE, [right] * 9)
    for history, enough in (([], False), ([right], False), ([right, wrong], False), ([wrong, right, right], True)):
        assert has_learned(RECIPE.with_(stop_learned=2), history) == enough


def test_choices() -> None:
    assert largest(np.array([5, 0, 7, 5, 9]), 3) == (0, 2, 4)
    assert largest(np.array([5, 0, 0]), 3) == (0,)
    assert largest(np.zeros(4, dtype=np.int64), 3) == ()
    assert probe_samples(np.array([0, 0, 0, 2, 1, 1]), 4) == [0, 1, 3, 4]
    assert probe_samples(np.array([0, 1]), 9) == [0, 1]


def test_options_of_the_command() -> None:
    recipe = changed(RECIPE, "2.5:3", "search:5", 4)
    assert (recipe.stop_margin, recipe.stop_points, recipe.search, recipe.stop_learned) == (2.5, 3, 5, 4)
    assert changed(RECIPE, "-1", "search", None) == RECIPE.with_(stop_margin=-1.0, stop_points=1, search=3)
    assert changed(SEARCH, None, "even", None).search == 0
    config, name = with_options(preset("vowels"), "vowels", recipe)
    assert (config, name) == (preset("vowels+early_stop+probe"), "vowels+early_stop+probe")
    assert with_options(config, name, recipe) == (config, name)
    assert with_options(CONFIG, "x", RECIPE) == (CONFIG, "x")
    assert described(recipe, 3) == (
        "3 steps of the longest sample, searched every 5 epochs; a sample stops once right by 2.5 at 3 of them; "
        "the run stops after 4 epochs without a wrong training sample"
    )
    for bad in (("x", None), ("1:0", None), ("1:256", None), ("nan", None), ("1:2:3", None), (None, "odd"),
                (None, "search:0"), (None, "search:x"), (None, "even:2")):  # fmt: skip
        with pytest.raises(ConfigError, match="allowed") as caught:
            changed(RECIPE, *bad, None)
        assert "\n" not in str(caught.value)


def test_recipes_keep_their_identity() -> None:
    """What is off is in no file, so that hashes over recipes stay as they were."""
    for recipe in RECIPES.values():
        assert not {"search", "search_samples", "stop_points", "stop_margin", "stop_learned"} & set(recipe.to_dict())
    full = changed(RECIPE, "2.5:3", "search:5", 4)
    assert Recipe.from_dict(full.to_dict()) == full


def test_what_is_expected_of_a_device_that_probes_or_stops() -> None:
    """Words behind the table are no schedule; a probe counts no update; after an early stop updates are not known."""
    info = pack_words(np.zeros(9, dtype=np.int64))

    def expected() -> Any:
        session = Expected(info, 8)
        session.note(4, bytes([Space.SCHEDULE, 0, 0, 0]) + pack_words(np.ones(8, dtype=np.int64)))
        return session

    run = bytes([3, 0, 0, 2, 0])  # RESET and LEARN, label 0, 2 steps
    session = expected()
    session.note(4, bytes([Space.SCHEDULE, 8, 0, 0]) + pack_words(np.ones(8, dtype=np.int64)))
    assert len(session._schedule) == 8
    session.note(6, run)
    assert session._updates == 2
    session.note(3, bytes([Space.REGISTER, Register.PROBE, 0, 0]) + pack_words(np.array([1])))
    session.note(6, run)
    assert session._updates == 2
    session = expected()
    session.note(3, bytes([Space.REGISTER, Register.STOP_POINTS, 0, 0]) + pack_words(np.array([1])))
    session.note(6, run)
    assert session._updates is None
