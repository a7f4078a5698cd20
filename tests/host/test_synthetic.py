"""The synthetic tasks are what they say: shapes, rates, and where the answer lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from solsa.host.synthetic import Generated, cue_accumulation, pattern_generation, poisson_patterns


@pytest.mark.parametrize("make", [cue_accumulation, poisson_patterns, pattern_generation])
def test_a_seed_gives_the_same_samples(make: Callable[[int, int], Generated]) -> None:
    a, b, other = make(6, 3), make(6, 3), make(6, 4)
    assert all(np.array_equal(x, y) for x, y in zip(a.inputs, b.inputs, strict=True))
    assert any(not np.array_equal(x, y) for x, y in zip(a.inputs, other.inputs, strict=True))


@pytest.mark.parametrize(("milliseconds", "steps"), [(10, 225), (1, 2250)])
def test_cues_are_counted_by_the_side_with_more(milliseconds: int, steps: int) -> None:
    made = cue_accumulation(40, 1, milliseconds=milliseconds)
    assert {x.shape for x in made.inputs} == {(steps, 40)}
    per_cue = 15 * 10 // milliseconds
    right = 0
    for x, label in zip(made.inputs, made.labels, strict=True):
        assert not x[: -150 // milliseconds, 20:30].any()
        assert not x[7 * per_cue :, :20].any()
        sides = [x[k * per_cue : (k + 1) * per_cue, 10:20].sum() > x[k * per_cue : (k + 1) * per_cue, :10].sum()
                 for k in range(7)]  # fmt: skip
        right += int(sum(sides) > 3) == label
    assert right == 40
    assert 5 < made.labels.sum() < 35


def test_poisson_classes_differ_in_time_not_in_rate() -> None:
    made = poisson_patterns(200, 1)
    rates = np.array([np.mean([x.mean() for x, k in zip(made.inputs, made.labels, strict=True) if k == c])
                      for c in range(10)])  # fmt: skip
    assert np.ptp(rates) < 0.02
    means = [np.mean([x for x, k in zip(made.inputs, made.labels, strict=True) if k == c], axis=0) for c in range(10)]
    other = poisson_patterns(50, 2)
    nearest = [np.argmin([((x - m) ** 2).sum() for m in means]) for x in other.inputs]
    assert np.mean(nearest == other.labels) > 0.9


def test_a_generated_pattern_has_its_target() -> None:
    made = pattern_generation(6, 1)
    assert {y.shape for y in made.targets} == {(100, 2)}
    assert np.array_equal(made.targets[0], made.targets[3])
    assert not np.array_equal(made.targets[0], made.targets[1])
    assert max(np.abs(y).max() for y in made.targets) <= 1.0
