"""The input quantiser: named stimuli with their exact integers, and its properties against many inputs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from solsa.host.data import DataError, load_dataset
from solsa.host.quantise import Quantiser

UNIT = Quantiser(mean=np.array([0.0]), std=np.array([1.0]))


def _column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def test_fit_is_the_population_z_score_per_channel() -> None:
    q = Quantiser.fit([np.array([[1.0, 10.0], [3.0, 10.0]]), np.array([[5.0, 40.0]])])
    np.testing.assert_array_equal(q.mean, [3.0, 20.0])
    np.testing.assert_array_equal(q.std, [np.sqrt(8 / 3), np.sqrt(200.0)])
    assert (q.frac_bits, q.width) == (5, 8)


def test_ties_round_to_even() -> None:
    ties = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.51, -0.49])
    got = UNIT.transform(ties[:, None] / 32)
    np.testing.assert_array_equal(got[:, 0], [0, 2, 2, 0, -2, -2, 1, 0])
    assert got.dtype == np.int8


def test_saturation_at_both_ends_is_counted() -> None:
    # 127.5 is a tie that rounds to 128 and must saturate; 127.49 fits. -128.5 rounds to -128 and fits.
    values = _column(127.49, 127.5, 128, 1e300, -128, -128.5, -129, -1e300) / 32
    done = UNIT.transform_all([values, _column(0.0)])
    np.testing.assert_array_equal(done.samples[0][:, 0], [127, 127, 127, 127, -128, -128, -128, -128])
    assert (done.n_saturated, done.n_values) == (5, 9)


@pytest.mark.parametrize(
    ("frac_bits", "width", "dtype"), [(0, 2, np.int8), (7, 8, np.int8), (8, 9, np.int16), (5, 16, np.int16)]
)
def test_other_formats(frac_bits: int, width: int, dtype: type) -> None:
    q = Quantiser(np.zeros(1), np.ones(1), frac_bits, width)
    got = q.transform(_column(-1e9, 1e9, 1.0))
    limit = 2 ** (width - 1)
    np.testing.assert_array_equal(got[:, 0], [-limit, limit - 1, min(2**frac_bits, limit - 1)])
    assert got.dtype == dtype


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e200, 5e-324])
def test_constant_channel_gives_zero_always(value: float) -> None:
    q = Quantiser.fit([np.column_stack([np.full(7, value), np.arange(7.0)])])
    assert q.constant_channels == (0,)
    np.testing.assert_array_equal(q.transform(np.array([[value, 3.0], [value + 1e6, 3.0], [-1e300, 3.0]])), 0)


def test_rounding_noise_counts_as_constant() -> None:
    assert Quantiser.fit([_column(1.0, np.nextafter(1.0, 2), 1.0)]).constant_channels == (0,)
    assert Quantiser.fit([_column(1.0, 1.0 + 1e-9, 1.0)]).constant_channels == ()


def test_only_the_training_split_matters_and_order_does_not() -> None:
    data = load_dataset("JapaneseVowels")
    q, backwards = Quantiser.fit(data.train), Quantiser.fit([s[::-1] for s in data.train[::-1]])
    np.testing.assert_array_equal(q.mean, backwards.mean)
    np.testing.assert_array_equal(q.std, backwards.std)
    done = q.transform_all(data.train)
    values = np.concatenate(done.samples) / 32
    assert np.abs(values.mean(axis=0)).max() < 0.01
    assert np.abs(values.std(axis=0) - 1).max() < 0.01
    assert 0 < done.n_saturated < done.n_values // 1000


def test_one_scale_for_all_channels() -> None:
    q = Quantiser.fit([np.array([[0.0, 0.0, 5.0], [2.0, 14.0, 5.0]])]).common()
    assert q.std.tolist() == [np.sqrt(50 / 3), np.sqrt(50 / 3), 0.0]
    assert q.mean.tolist() == [1.0, 7.0, 5.0]


def test_a_few_large_values_do_not_hide_the_others() -> None:
    rng = np.random.default_rng(0)
    plain = [rng.normal(0, 1, (50, 2)) for _ in range(20)]
    fitted = Quantiser.fit(plain)
    assert (fitted.robust(plain).std == fitted.std).all()
    tailed = [x * np.array([1.0, 1.0 if n else 1000.0]) for n, x in enumerate(plain)]
    fitted = Quantiser.fit(tailed)
    q = fitted.robust(tailed)
    assert q.std[0] == fitted.std[0]
    assert fitted.std[1] > 100
    assert q.std[1] < 3
    seldom = [np.array([[0.0], [float(n == 7)]]) for n in range(40)]  # what is seldom is all there is
    assert Quantiser.fit(seldom).robust(seldom).std[0] > 0


def test_plain_arrays_round_trip() -> None:
    q = Quantiser.fit([np.random.default_rng(1).normal(size=(50, 3))], frac_bits=4, width=7)
    again = Quantiser.from_dict({key: np.asarray(value) for key, value in q.to_dict().items()})
    np.testing.assert_array_equal(again.mean, q.mean)
    np.testing.assert_array_equal(again.std, q.std)
    assert (again.frac_bits, again.width) == (4, 7)
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in q.to_dict().values())


FINITE = st.floats(-1e6, 1e6)


@given(arrays(np.float64, (6, 2), elements=FINITE), arrays(np.float64, (4, 2), elements=FINITE), st.integers(0, 7))
def test_equals_exact_arithmetic_on_the_scaled_value(train: np.ndarray, sample: np.ndarray, frac_bits: int) -> None:
    """Rounding and saturation against Python's exact fractions; the float z-score itself is the definition."""
    q = Quantiser.fit([train], frac_bits=frac_bits)
    got = q.transform_all([sample])
    saturated = 0
    for (t, c), value in np.ndenumerate(sample):
        z = (value - q.mean[c]) / q.std[c] if q.std[c] else 0.0
        exact = round(Fraction(float(z)) * 2**frac_bits)  # Fraction rounds halves to even
        saturated += not -128 <= exact <= 127
        assert got.samples[0][t, c] == min(max(exact, -128), 127)
    assert got.n_saturated == saturated


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: Quantiser.fit([]), "quantiser: no training samples; at least one is needed"),
        (lambda: Quantiser.fit([np.zeros((0, 2))]), "empty training samples"),
        (lambda: Quantiser.fit([np.zeros(3)]), "allowed is [steps, channels] for all"),
        (lambda: Quantiser.fit([np.zeros((3, 2)), np.zeros((3, 1))]), "training samples of different channels"),
        (lambda: Quantiser.fit([_column(0, np.nan)]), "a training value is NaN or infinite; allowed are finite values"),
        (lambda: Quantiser.fit([_column(1e200, -1e200)]), "channel 0: values too large to scale"),
        (lambda: Quantiser.fit([_column(1.7e308, 1.7e308)]), "channel 0: values too large to scale"),
        (lambda: Quantiser.fit([_column(0, 1)], width=17), "width 17; allowed are 2 to 16 bits"),
        (lambda: Quantiser.fit([_column(0, 1)], width=1, frac_bits=0), "width 1; allowed are 2 to 16 bits"),
        (lambda: Quantiser.fit([_column(0, 1)], frac_bits=8), "frac_bits 8; allowed are 0 to 7"),
        (lambda: Quantiser.fit([_column(0, 1)], frac_bits=-1), "frac_bits -1; allowed are 0 to 7"),
        (lambda: Quantiser(np.zeros(2), np.ones(3)), "mean (2,), std (3,); allowed is one per channel"),
        (lambda: Quantiser(np.zeros(1), -np.ones(1)), "finite and std not negative"),
        (lambda: UNIT.transform(np.zeros((2, 2))), "sample 0: shape (2, 2); allowed is [steps, 1]"),
        (lambda: UNIT.transform(np.zeros(2)), "sample 0: shape (2,); allowed is [steps, 1]"),
        (
            lambda: UNIT.transform_all([_column(0), _column(0, np.inf)]),
            "sample 1, channel 0, step 1: inf; allowed are finite",
        ),
        (lambda: Quantiser.from_dict({"mean": np.zeros(1)}), "std, frac_bits, width missing; needed are"),
        (lambda: Quantiser.from_dict(UNIT.to_dict() | {"width": np.zeros(2)}), "parameters cannot be read"),
        (lambda: Quantiser.from_dict(UNIT.to_dict() | {"mean": np.array(["x"])}), "parameters cannot be read"),
    ],
)
def test_wrong_use_is_one_line(call: object, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        call()  # type: ignore[operator]
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
