"""What delays, a clock, noise and shift give the digits: the recipe with parts of them, on blocks of training samples.

Run as ``python -m solsa.host.bench_inputs --json docs/results/inputs.json``. The training samples are cut into blocks
of neighbours, and every block is decided, in fixed point, by a network that has learned all others. Neighbours are
mostly by the same people, and the test samples by others than the training samples: random parts would flatter. No test
sample takes part.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from .data import Dataset, load_dataset
from .encoders import encoder_of
from .fast_golden import trained
from .geometry import network_for, sizes
from .recipe import RECIPES, Recipe
from .study import StudyParser, in_one_line, keep, summed
from .train import start_network

DATASET = "digits"
BLOCKS = 6
#: Filters and start weights of a network without delays, whose currents are all that it knows of rows before.
SLOW = {"a": ((0.0, 0.5, 0.7, 0.9), (0.0,) * 4), "weight_sd": (0.18, 0.01)}


def variants(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe and what it is made of, simplest first."""
    plain = recipe.with_(noise=0.0, shift=0.0)
    return {
        "rows": plain.with_(**SLOW, encoder="direct:repeat=2", bias=True),
        "clock": plain.with_(**SLOW, encoder="delays:taps=1,clock=8,repeat=2"),
        "delays": plain.with_(encoder="delays:taps=4,clock=1,repeat=2"),
        "delays and clock": plain,
        "and shift": recipe.with_(noise=0.0),
        "and noise": recipe.with_(shift=0.0),
        "and both": recipe,
    }


def block(dataset: Dataset, index: int) -> Dataset:
    """A block of the training samples as test samples, all others for training."""
    held = np.zeros(len(dataset.train), dtype=bool)
    held[np.array_split(np.arange(len(held)), BLOCKS)[index]] = True
    parts = [[x for x, chosen in zip(dataset.train, mask, strict=True) if chosen] for mask in (~held, held)]
    labels = dataset.train_labels
    return replace(dataset, train=parts[0], train_labels=labels[~held], test=parts[1], test_labels=labels[held])


def accuracy(dataset: Dataset, recipe: Recipe, seed: int) -> float:
    """Test accuracy after the last epoch of the network that ``solsa learn`` would take with this recipe."""
    encoder = encoder_of(recipe.encoder)
    shaped = dataset if encoder is None else encoder.fit(dataset.train).apply(dataset)
    config, _ = network_for(shaped, None, bias=recipe.bias)
    network = start_network(config, sizes(config), recipe, dataset, seed, encoder)
    trained(network, dataset, test_every=recipe.epochs)
    return float(network.history[-1]["test_accuracy"])


def main() -> int:
    """Command line."""
    options = StudyParser("solsa.host.bench_inputs", __doc__, seeds=1).parse()
    found = {}
    with in_one_line(json=options.json):
        dataset, recipe = load_dataset(DATASET), RECIPES[DATASET]
        recipe = recipe.with_(epochs=options.epochs or recipe.epochs)
        for name, variant in variants(recipe).items():
            places = [(index, seed) for seed in range(options.seeds) for index in range(BLOCKS)]
            runs = [accuracy(block(dataset, index), variant, seed) for index, seed in places]
            found[name] = {**summed(runs), "recipe": variant.to_dict()}
            print(f"{DATASET}, {name}: {found[name]['mean']:.4f}", flush=True)
            keep(options.json, dataset=DATASET, blocks=BLOCKS, results=found, seeds=options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
