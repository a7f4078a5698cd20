"""The scikit-learn classifier: scikit-learn's own checks, and time series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from solsa.host import DataError, DeviceError, SolsaClassifier

#: Checks of scikit-learn that do not hold, and why; none is left out. pytest says so if one of them begins to hold.
EXPECTED_FAILURES: dict[str, str] = {}


@parametrize_with_checks(
    [SolsaClassifier(8, epochs=2, steps=2)],
    expected_failed_checks=lambda _: EXPECTED_FAILURES, xfail_strict=True,
)  # fmt: skip
def test_the_checks_of_scikit_learn(estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # or scikit-learn skips a check
    check(estimator)


def series(n: int = 30, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    x = rng.normal(0, 0.3, (n, 6, 3))
    x[np.arange(n), :, labels] += np.linspace(0, 2, 6)
    return x, np.array(["a", "b", "c"])[labels]


X, Y = series()


def test_time_series_of_one_and_of_many_lengths() -> None:
    model = SolsaClassifier(8).fit(X, Y)
    assert model.score(X, Y) >= 0.9
    assert model.n_features_in_ == 3
    ragged = [x[: 4 + i % 3] for i, x in enumerate(X)]
    assert model.predict(ragged).shape == (30,)
    assert SolsaClassifier(8).fit(ragged, Y).score(ragged, Y) >= 0.8
    with pytest.raises(DataError, match="X has 2 channels, SolsaClassifier was fitted on 3"):
        model.predict(X[..., :2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, Y[:-1])


def test_seed_and_batches() -> None:
    def trained(random_state: Any) -> str:
        return SolsaClassifier(8, epochs=1, random_state=random_state).fit(X, Y).network_.sha256

    assert trained(1) == trained(1) != trained(2)
    assert trained(np.random.RandomState(5)) == trained(np.random.RandomState(5))
    model = SolsaClassifier(8)
    for at in range(0, 30, 10):
        model.partial_fit(X[at : at + 10], Y[at : at + 10], classes=["c", "b", "a"])
    assert model.score(X, Y) >= 0.6
    with pytest.raises(DataError, match="label 'd' is not one of"):
        model.partial_fit(X[:1], ["d"])
    with pytest.raises(DataError, match="those of the first call were"):
        model.partial_fit(X[:1], ["a"], classes=["a", "z"])


def test_pipelines_and_cross_validation() -> None:
    table = X[:, -1]
    model = make_pipeline(StandardScaler(), SolsaClassifier(8, epochs=6, steps=4))
    assert cross_val_score(model, table, Y, cv=3).mean() >= 0.8
    assert cross_val_score(SolsaClassifier((8, 6), epochs=6), X, Y, cv=3).mean() >= 0.6
    with pytest.raises(DataError, match="steps=0, allowed are integers from 1 up"):
        SolsaClassifier(steps=0).fit(table, Y)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(
        DeviceError, match="port /dev/nothing: no such port; allowed are golden, sim, sim-serial or a serial port"
    ):
        SolsaClassifier(device="/dev/nothing").fit(X, Y)
