"""Goals of the project: test accuracy of ``solsa learn``'s own recipes, fixed point, last epoch, mean of five seeds.

Run as ``python -m solsa.host.bench_goals --json docs/results/goals.json``. Samples run as compiled loops with the words
of the golden device (host/fast_golden.py). Beside the network that ``learn`` takes, one with a second hidden layer of
the same size, and one whose hidden layer is recurrent (option ``recurrent``, docs/decisions/0012-recurrence.md); their
recipes are that of the first, not tuned again.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from solsa.contract import NetworkConfig

from .bench_tasks import SPOKEN_FILE, SPOKEN_VARIABLE
from .data import Dataset, load_dataset
from .encoders import Encoder
from .fast_golden import trained
from .geometry import sizes
from .recipe import Recipe
from .start import plan_for
from .study import StudyParser, in_one_line, keep, known, rows_of, summed
from .train import start_network

#: Test accuracy to be reached by data set.
GOALS = {"JapaneseVowels": 0.96, "BasicMotions": 1.0, "digits": 0.93, "spoken_digits": 0.93}
#: Networks: the one of ``learn``, and what is changed of it.
ROWS: dict[str, dict[str, Any]] = {"one": {}, "two": {"layers": 2}, "recurrent": {"recurrent": True}}
#: Standard deviation of the start weights between two hidden layers of 64: spikes are rare.
BETWEEN = 0.25


def where(name: str) -> str:
    """What :func:`load_dataset` takes for a data set of the goals."""
    return os.environ.get(SPOKEN_VARIABLE, str(SPOKEN_FILE)) if name == "spoken_digits" else name


def deeper(recipe: Recipe) -> Recipe:
    """Recipe for one more hidden layer."""
    first, last = recipe.weight_sd[0], recipe.weight_sd[-1]
    return recipe.with_(weight_sd=(first, BETWEEN, last), rates=(recipe.rates[0], recipe.rates[0], recipe.rates[-1]))


def runs(
    dataset: Dataset, config: NetworkConfig, recipe: Recipe, encoder: Encoder | None, seeds: int
) -> dict[str, Any]:
    """Test accuracies after the last epoch, and the weights' hashes, of so many seeds; samples as compiled loops."""
    networks = [start_network(config, sizes(config), recipe, dataset, seed, encoder) for seed in range(seeds)]
    for network in networks:
        trained(network, dataset, test_every=recipe.epochs)
    found = summed([network.history[-1]["test_accuracy"] for network in networks])
    return {**found, "weight_sha256": [network.sha256 for network in networks]}


def measured(
    dataset: Dataset, seeds: int, *, layers: int = 1, recurrent: bool = False, epochs: int | None = None
) -> dict[str, Any]:
    """Test accuracies of a data set with so many hidden layers of the size that ``solsa learn`` takes."""
    config, recipe, encoder = plan_for(dataset)
    config = config.with_(recurrent=recurrent)
    if layers > 1:
        first, *_, last = config.layers
        config = config.with_(layers=(first, *(config.layers[1],) * layers, last))
        recipe = deeper(recipe)
    recipe = recipe.with_(epochs=epochs or recipe.epochs)
    began = time.perf_counter()
    return {
        "layers": list(config.layers),
        "epochs": recipe.epochs,
        **runs(dataset, config, recipe, encoder, seeds),
        "recipe": recipe.to_dict(),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> int:
    """Command line."""
    parser = StudyParser("solsa.host.bench_goals", __doc__, seeds=5)
    parser.add_argument("datasets", nargs="*", default=tuple(GOALS), metavar="DATASET", help=", ".join(GOALS))
    parser.add_argument(
        "--only", nargs="+", choices=ROWS, help="measure these, keep what else is in the file of --json"
    )
    options = parser.parse()
    known(options.datasets, GOALS)
    found: dict[str, Any] = {}
    with in_one_line(json=options.json):
        if options.only:
            found = rows_of(options.json)
        for name in options.datasets:
            dataset = load_dataset(where(name))
            entry = found.setdefault(name, {})
            entry["goal"] = GOALS[name]
            for row in options.only or ROWS:
                entry[row] = measured(dataset, options.seeds, epochs=options.epochs, **ROWS[row])
                print(f"{name}, {row}: {entry[row]['mean']:.4f}, goal {GOALS[name]:g}", flush=True)
            keep(options.json, results=found, seeds=options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
