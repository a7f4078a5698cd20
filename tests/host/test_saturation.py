"""Counters of words that did not fit: they count, they warn, and they change nothing."""

from __future__ import annotations

import numpy as np

from solsa.contract import preset
from solsa.host.device import Device
from solsa.host.recipe import default_recipe, initial_weights
from solsa.host.saturation import EVERY, Saturation, rows

CONFIG = preset("tiny")
RECIPE = default_recipe(CONFIG)


def learned(weight: int | None, samples: int = 2 * EVERY, count: bool = True) -> tuple[list[np.ndarray], dict | None]:
    weights = initial_weights(CONFIG, RECIPE, 0)
    if weight is not None:
        weights = [np.full_like(w, weight) for w in weights]
    x = np.full((12, 3), 127, dtype=np.int64)
    with Device.open("golden", CONFIG) as device:
        device.load_network(RECIPE.parameters(CONFIG, (5, 11)), weights)
        counter = Saturation(device) if count else None
        for n in range(samples):
            device.run_sample(x, n % 3, learn=True)
            if counter is not None:
                counter.sample(n + 1)
        return device.read_weights(), counter.end() if counter is not None else None


def test_words_that_fit_give_no_warning() -> None:
    _, found = learned(None, 1)
    assert found is not None
    assert found["watched_samples"] == 1
    assert found["stores"]["trace_decay"]["stored"] > 0
    assert [name for name, _ in rows(found)] == ["saturated"]
    assert "no word" in rows(found)[0][1]


def test_words_that_do_not_fit_are_counted_and_warned_about() -> None:
    _, found = learned(CONFIG.formats.weight.max)
    assert found is not None
    assert found["watched_samples"] == 3
    assert found["stores"]["weight_step"]["saturated"] > 0
    lines = rows(found)
    assert any(name == "warning" and text.startswith("weight_step saturates") for name, text in lines)


def test_counting_changes_no_word() -> None:
    for a, b in zip(learned(None)[0], learned(None, count=False)[0], strict=True):
        assert np.array_equal(a, b)


def test_another_device_counts_nothing() -> None:
    assert rows(None) == []
