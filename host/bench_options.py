"""Ablation of the options of learning in fixed point: schedule search and early stop, each on and off.

Run as ``python -m solsa.host.bench_options JapaneseVowels --epochs 6 --seeds 2 --json FILE``. Networks and rates are
those of ``solsa learn``; measured are the accuracy on every fourth training sample of a class, none of them learned,
and the weight updates that the golden device counts.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from .data import Dataset, load_dataset
from .device import Device
from .geometry import sizes
from .recipe import Recipe
from .scheduling import changed, described, with_options
from .start import plan_for
from .study import StudyParser, in_one_line, keep
from .train import learn, start_network

#: Early stops that are tried: margin in units of the membrane summed over steps, and scheduled steps.
STOPS = ("2:1", "4:2")
#: Of so many training samples of a class one is held back.
PART = 4


def variants(stops: tuple[str, ...] = STOPS) -> dict[str, tuple[str | None, str | None]]:
    """(early stop, schedule) of every variant by name."""
    return {
        f"{schedule}, {f'early stop {early}' if early else 'no early stop'}": (early, schedule)
        for schedule in ("even", "search")
        for early in (None, *stops)
    }


def held_back(dataset: Dataset) -> Dataset:
    """Training samples alone, every fourth of a class as the test samples."""
    labels, ranks = dataset.train_labels, np.zeros(len(dataset.train), dtype=np.int64)
    for label in np.unique(labels):
        ranks[labels == label] = np.arange(np.count_nonzero(labels == label))
    out = ranks % PART == PART - 1
    return replace(
        dataset,
        train=[x for x, held in zip(dataset.train, out, strict=True) if not held],
        test=[x for x, held in zip(dataset.train, out, strict=True) if held],
        train_labels=labels[~out],
        test_labels=labels[out],
    )


def measured(dataset: Dataset, recipe: Recipe, epochs: int, seed: int) -> dict[str, Any]:
    """One run."""
    plain, _, encoder = plan_for(dataset)
    config, name = with_options(plain, sizes(plain), recipe)
    network = start_network(config, name, recipe, dataset, seed, encoder)
    began = time.perf_counter()
    with Device.open("golden", config) as device:
        result = learn(device, network, dataset, epochs, look_back=False)
        updates = device.read_register("updates")
    return {
        "seed": seed,
        "validation_accuracy": result.test_accuracy,
        "online_accuracy": network.history[-1]["online_accuracy"],
        "updates": updates,
        "schedule": list(network.parameters.schedule),
        "config_hash": config.config_hash,
        "weight_sha256": network.sha256,
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> int:
    """Command line."""
    parser = StudyParser("solsa.host.bench_options", __doc__, seeds=2, epochs=6)
    parser.add_argument("dataset")
    parser.add_argument("--stops", nargs="*", default=STOPS, metavar="MARGIN:POINTS")
    options = parser.parse()
    runs: dict[str, Any] = {}
    with in_one_line(json=options.json):
        dataset = held_back(load_dataset(options.dataset))
        base = plan_for(dataset)[1].with_(epochs=options.epochs)
        for seed in range(options.seeds):
            for name, (early, schedule) in variants(tuple(options.stops)).items():
                recipe = changed(base, early, schedule, None)
                run = measured(dataset, recipe, options.epochs, seed)
                entry = runs.setdefault(name, {"recipe": recipe.to_dict(), "runs": []})
                entry["runs"].append(run)
                entry["described"] = described(recipe, len(run["schedule"]))
                print(f"seed {seed}, {name}: {run['validation_accuracy']:.4f}, {run['updates']:,} updates", flush=True)
                keep(options.json, dataset=dataset.name, training=len(dataset.train), validation=len(dataset.test),
                     epochs=options.epochs, variants=runs)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
