"""Ablation of the options: every fourth sample of a class is held back, and each variant is its own recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from solsa.host.bench_options import held_back, measured, variants
from solsa.host.data import load_dataset
from solsa.host.scheduling import changed
from solsa.host.start import plan_for


def test_samples_are_held_back_and_variants_differ(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(16) % 2
    x = rng.normal(0, 0.3, (16, 5, 2))
    x[np.arange(16), :, labels] += np.linspace(0, 2, 5)
    np.savez(tmp_path / "up.npz", X=x, y=labels, X_test=x[:2] + 9, y_test=labels[:2])
    dataset = held_back(load_dataset(str(tmp_path / "up.npz")))
    assert [float(s[0, 0]) for s in dataset.test] == [float(v[0, 0]) for v in x[[6, 7, 14, 15]]]
    assert dataset.test_labels.tolist() == [0, 1, 0, 1]
    assert len(dataset.train) == len(dataset.train_labels) == 12
    assert list(variants(("1:1",))) == [
        "even, no early stop", "even, early stop 1:1", "search, no early stop", "search, early stop 1:1",
    ]  # fmt: skip
    base = plan_for(dataset)[1]
    plain, both = (measured(dataset, changed(base, *how, None), 1, 0) for how in ((None, "even"), ("0.1:1", "search")))
    assert plain["config_hash"] != both["config_hash"]
    assert 0 < both["updates"] < plain["updates"] == 12 * len(plain["schedule"])
