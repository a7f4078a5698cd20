"""Data sets that nobody tuned for: what ``solsa learn FILE`` reaches without options, beside a linear classifier.

Run as ``python -m solsa.host.bench_unseen --json docs/results/unseen.json``. The data are the ``.ts`` files of the
installed aeon. Network, recipe and encoder are those of ``solsa learn``, on the golden model as compiled loops; the
linear classifier is scikit-learn's logistic regression on every channel's mean over time.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from solsa.golden.compiled import CompiledCore

from .data import DataError, Dataset, load_dataset
from .fast_golden import accuracy, trained
from .geometry import sizes
from .recipe import RECIPES
from .saturation import WARN
from .start import plan_for
from .study import StudyParser, in_one_line, keep, rows_of
from .train import quantise, start_network

#: One sample in so many is watched for words that do not fit.
WATCH = 256
#: Data sets that recipes were tuned on; their variants of equal length are no news either.
SEEN = ("JapaneseVowels", "BasicMotions")
#: Those whose training samples the default recipe was tuned on (folds of them): their test samples are new alone.
TUNED_ON = ("ArrowHead", "Covid3Month_disc", "GunPoint")


def files() -> list[Path]:
    """Training files of aeon's data sets but those that recipes were tuned on, small ones first.

    Raises
    ------
    DataError
        If aeon is not installed.
    """
    try:
        import aeon.datasets
    except ModuleNotFoundError:
        raise DataError("aeon is not installed; install it with: pip install 'solsa[data]'") from None
    folder = Path(str(aeon.datasets.__file__)).parent / "data"
    found = sorted(folder.glob("*/*_TRAIN.ts"), key=lambda path: (path.stat().st_size, path.name))
    return [path for path in found if path.parent.name not in SEEN]


def linear(dataset: Dataset) -> float:
    """Test accuracy of logistic regression on the mean of every channel over time, scaled by the training samples."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = (np.array([x.mean(axis=0) for x in part]) for part in (dataset.train, dataset.test))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(model.fit(train, dataset.train_labels).score(test, dataset.test_labels))


def measured(dataset: Dataset, seeds: int, watch: int = WATCH, epochs: int | None = None) -> dict[str, Any]:
    """One data set.

    ``diverged`` names the seeds whose network, once trained, decides less of its training samples right than the most
    frequent class is of them: it has lost what it had. ``online`` is the accuracy of the last epoch while it learned.
    """
    config, recipe, encoder = plan_for(dataset)
    recipe = recipe.with_(epochs=epochs or recipe.epochs)
    began, accuracies, online, trained_on = time.perf_counter(), [], [], []
    stores: dict[str, list[int]] = {}
    for seed in range(seeds):
        network = start_network(config, sizes(config), recipe, dataset, seed, encoder)
        counts = trained(network, dataset, watch=watch, test_every=recipe.epochs)
        accuracies.append(network.history[-1]["test_accuracy"])
        online.append(network.history[-1]["online_accuracy"])
        core = CompiledCore(config, network.current_parameters(), network.weights)
        trained_on.append(accuracy(core, network, quantise(dataset, network)[0]) or 0.0)
        for name, c in (counts or {"stores": {}})["stores"].items():
            held = stores.setdefault(name, [0, 0])
            held[0], held[1] = held[0] + c["saturated"], held[1] + c["stored"]
    shares = {name: saturated / stored for name, (saturated, stored) in stores.items() if saturated}
    frequent = float(np.bincount(dataset.train_labels).max() / len(dataset.train))
    lengths = [len(x) for x in dataset.train]
    return {
        "train": len(dataset.train),
        "test": len(dataset.test),
        "steps": [min(lengths), int(statistics.median(lengths)), max(lengths)],
        "layers": list(config.layers),
        "recipe": recipe.to_dict(),
        "tuned": dataset.name in RECIPES,
        "accuracies": accuracies,
        "mean": statistics.mean(accuracies),
        "deviation": statistics.pstdev(accuracies),
        "online": online,
        "training": trained_on,
        "frequent": frequent,
        "diverged": [seed for seed, right in enumerate(trained_on) if right < frequent],
        "linear": linear(dataset),
        "saturated": dict(sorted(shares.items())),
        "warned": sorted(name for name, share in shares.items() if share >= WARN),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> int:
    """Command line."""
    parser = StudyParser("solsa.host.bench_unseen", __doc__, seeds=3)
    parser.add_argument("files", nargs="*", help="instead of all of aeon's; the others keep their rows", metavar="FILE")
    options = parser.parse()
    with in_one_line(json=options.json):
        found, skipped = (rows_of(options.json, part) if options.files else {} for part in ("results", "skipped"))
        for path in options.files or files():
            try:
                dataset = load_dataset(str(path))
            except DataError as error:
                if options.files:
                    raise
                skipped[Path(path).name] = str(error).removeprefix(f"{path}, ")
                continue
            row = found[dataset.name] = measured(dataset, options.seeds, epochs=options.epochs)
            print(f"{dataset.name}: {row['mean']:.3f}, linear {row['linear']:.3f}, {row['seconds']:.0f} s", flush=True)
            keep(options.json, results=found, skipped=skipped, tuned_on=TUNED_ON, seeds=options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
