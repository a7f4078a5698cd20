"""The field's synthetic tasks as data sets: made from a seed, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LabelArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Generated:
    """Samples [T, channels], their classes, targets [T, outputs] of a task that follows a signal, else none."""

    inputs: list[FloatArray]
    labels: LabelArray
    targets: list[FloatArray]


def cue_accumulation(samples: int, seed: int, *, milliseconds: int = 10, delay_ms: int = 1050) -> Generated:
    """Delayed decision: which side got more of seven cues (the e-prop task, Bellec et al. 2020).

    40 inputs in 4 groups of 10 that spike at random: cues on the left, cues on the right (100 ms each at 40 Hz, 50 ms
    apart), the recall signal (the last 150 ms at 40 Hz), and noise (10 Hz throughout).

    Parameters
    ----------
    samples, seed : int
        How many, from which seed.
    milliseconds : int
        Length of a step: 10 gives 225 steps, 1 gives 2250.
    delay_ms : int
        Between the last gap and the recall signal.
    """
    rng = np.random.default_rng([seed, 11])
    cue, gap, recall = 100 // milliseconds, 50 // milliseconds, 150 // milliseconds
    steps = 7 * (cue + gap) + delay_ms // milliseconds + recall
    strong, weak = 0.04 * milliseconds, 0.01 * milliseconds
    inputs, labels = [], np.zeros(samples, dtype=np.int64)
    for n in range(samples):
        sides = rng.integers(0, 2, 7)
        labels[n] = int(sides.sum() > 3)
        chance = np.zeros((steps, 40))
        for k, side in enumerate(sides):
            start = k * (cue + gap)
            chance[start : start + cue, 10 * side : 10 * side + 10] = strong
        chance[-recall:, 20:30] = strong
        chance[:, 30:] = weak
        inputs.append((rng.random(chance.shape) < chance).astype(np.float64))
    return Generated(inputs, labels, [])


def poisson_patterns(
    samples: int, seed: int, *, classes: int = 10, channels: int = 40, steps: int = 60, templates: int = 0
) -> Generated:
    """Which of ten Poisson spike patterns: every class is one pattern at rate 0.08 per step.

    A sample keeps each spike with 0.7, moves it by up to two steps, and has spikes of its own at rate 0.03: a third of
    its spikes. The classes have the same rate on average, so the times of spikes tell them apart.
    """
    patterns = np.random.default_rng([templates, 12]).random((classes, steps, channels)) < 0.08
    rng = np.random.default_rng([seed, 13])
    labels = rng.permutation(np.arange(samples) % classes)
    inputs = []
    for label in labels:
        x = (rng.random((steps, channels)) < 0.03).astype(np.float64)
        t, c = np.nonzero(patterns[label])
        kept = rng.random(len(t)) < 0.7
        moved = np.clip(t + rng.integers(-2, 3, len(t)), 0, steps - 1)
        x[moved[kept], c[kept]] = 1.0
        inputs.append(x)
    return Generated(inputs, labels.astype(np.int64), [])


def pattern_generation(
    samples: int, seed: int, *, patterns: int = 3, channels: int = 40, steps: int = 100
) -> Generated:
    """Follow a signal: each of three Poisson inputs (rate 0.1) asks for two outputs, sums of four sines each.

    A sample loses a tenth of its input spikes at random; inputs and targets of the patterns are the same for all seeds.
    """
    fixed = np.random.default_rng([0, 14])
    asked = fixed.random((patterns, steps, channels)) < 0.1
    time = np.arange(steps) / steps
    waves = np.zeros((patterns, steps, 2))
    for p in range(patterns):
        for o in range(2):
            for frequency in (1, 2, 3, 5):
                waves[p, :, o] += fixed.normal() * np.sin(2 * np.pi * (frequency * time + fixed.random()))
            waves[p, :, o] /= np.abs(waves[p, :, o]).max()
    rng = np.random.default_rng([seed, 15])
    labels = np.arange(samples) % patterns
    inputs = [(asked[k] & (rng.random((steps, channels)) < 0.9)).astype(np.float64) for k in labels]
    return Generated(inputs, labels.astype(np.int64), [waves[k] for k in labels])
