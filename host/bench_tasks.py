"""The data sets of ``solsa bench learning``, each as the device would see it, with the effort it is given."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from solsa.contract import NetworkConfig, Readout
from solsa.golden.baselines.network import Samples

from .data import DataError, Dataset, load_dataset
from .geometry import network_for
from .recipe import RECIPES
from .start import plan_for
from .synthetic import Generated, cue_accumulation, pattern_generation, poisson_patterns
from .train import quantise, start_network

#: Where the spoken digits lie: the environment variable, or beside the project. They are not part of it (CC BY-SA).
SPOKEN_VARIABLE = "SOLSA_SPOKEN_DIGITS"
SPOKEN_FILE = Path("../shared/data/FSDD_logmel20.npz")


@dataclass(frozen=True, eq=False)
class Task:
    """A data set and what the comparison does with it.

    Attributes
    ----------
    name : str
        Key in results.
    dataset : Dataset
        Labelled samples.
    train, test : Samples
        Quantised as for the device, as real numbers.
    config : NetworkConfig
        channels-64-classes.
    epochs : int
        Of every run.
    folds : int
        Of the training samples, for tuning; 1: one quarter validates once.
    tuning_samples : int
        Training samples that tuning uses; 0: all.
    window : int
        Last steps with an error and a decision; 0: all.
    generated : bool
        A synthetic task, not a data set that ``solsa learn`` knows.
    rules_only : bool
        Rules are compared, fixed point and SOLSA's parts are not: it takes too long, or formats of its own
        (host/bench_cues.py).
    """

    name: str
    dataset: Dataset
    train: Samples
    test: Samples
    config: NetworkConfig
    epochs: int
    folds: int = 1
    tuning_samples: int = 0
    window: int = 0
    generated: bool = False
    rules_only: bool = False

    @property
    def regression(self) -> bool:
        """Whether the readout follows a signal."""
        return self.config.readout is Readout.TARGET

    @property
    def steps(self) -> int:
        """Steps of the longest sample in training."""
        return self.train.longest


def _labelled(name: str, where: str, epochs: int, folds: int = 1, tuning_samples: int = 0) -> Task:
    return _task(name, load_dataset(where), epochs, folds, tuning_samples)


def _task(name: str, data: Dataset, epochs: int, folds: int = 1, tuning_samples: int = 0) -> Task:
    """A data set as ``solsa learn`` gives it to a device: encoded, scaled, rounded, decided over the same steps.

    What a recipe changes in training samples from epoch to epoch (host/augment.py) is left out: rules are compared on
    the samples as they are.
    """
    config, recipe, encoder = plan_for(data)
    network = start_network(config, name, recipe, data, 0, encoder)
    one = config.formats.input.one
    train, test = (Samples.pack([x / one for x in part.inputs], part.labels) for part in quantise(data, network))
    # Rules are compared on the whole sample unless a tuned recipe says otherwise: the default's half suits SOLSA alone.
    window = recipe.decided(train.longest) if data.name in RECIPES and np.ptp(train.lengths) == 0 else 0
    return Task(name, data, train, test, config, epochs, folds, tuning_samples, window)


def _generated(
    name: str, train: Generated, test: Generated, epochs: int, tuning_samples: int = 0, window: int = 0
) -> Task:
    classes = tuple(str(k) for k in range(int(train.labels.max()) + 1))
    data = Dataset(name, train.inputs, train.labels, test.inputs, test.labels, classes)
    config, _ = network_for(data, None)
    parts = [Samples.pack(part.inputs, part.labels, part.targets) for part in (train, test)]
    if train.targets:
        outputs = parts[0].targets.shape[1]
        config = config.with_(readout=Readout.TARGET, layers=(*config.layers[:-1], outputs))
    return Task(name, data, parts[0], parts[1], config, epochs, 2, tuning_samples, window, True)


def _spoken() -> Task:
    path = Path(os.environ.get(SPOKEN_VARIABLE, SPOKEN_FILE))
    if not path.exists():
        raise DataError(f"spoken_digits: {path} does not exist; name FSDD_logmel20.npz in {SPOKEN_VARIABLE}")
    return _labelled("spoken_digits", str(path), epochs=10, folds=2, tuning_samples=800)


def _cues(milliseconds: int) -> Task:
    train, test = (cue_accumulation(n, seed, milliseconds=milliseconds) for n, seed in ((300, 1), (200, 2)))
    made = _generated("cue_accumulation", train, test, epochs=10, tuning_samples=200, window=150 // milliseconds)
    if milliseconds == 10:
        return made
    return replace(made, name=f"cue_accumulation_{milliseconds}ms", folds=1, rules_only=True)


#: Everything that can be compared, by name. Real data first.
TASKS: dict[str, Callable[[], Task]] = {
    "JapaneseVowels": lambda: _labelled("JapaneseVowels", "JapaneseVowels", epochs=12, folds=2),
    "BasicMotions": lambda: _labelled("BasicMotions", "BasicMotions", epochs=25, folds=2),
    "digits": lambda: _labelled("digits", "digits", epochs=30, folds=2),
    "spoken_digits": _spoken,
    "cue_accumulation": lambda: _cues(10),
    "poisson_patterns": lambda: _generated(
        "poisson_patterns", poisson_patterns(400, 1), poisson_patterns(400, 2), epochs=15
    ),
    "pattern_generation": lambda: _generated(
        "pattern_generation", pattern_generation(60, 1), pattern_generation(30, 2), epochs=60
    ),
    "cue_accumulation_1ms": lambda: _cues(1),
}


def subset(samples: Samples, chosen: np.ndarray) -> Samples:
    """Some of the samples."""
    parts = [slice(samples.starts[n], samples.starts[n + 1]) for n in chosen]
    targets = [samples.targets[p] for p in parts] if len(samples.targets) else []
    return Samples.pack([samples.x[p] for p in parts], samples.labels[chosen], targets)
