"""Cue accumulation in fixed point: a decision after a delay, with steps of 10 ms and of 1 ms.

Run as ``python -m solsa.host.bench_cues --json docs/results/cues.json``. ``--write FILE`` leaves the task with steps of
10 ms as a data set; ``solsa learn`` knows its recipe if the file is called ``cues.npz``.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from solsa.contract import Formats
from solsa.contract.formats import Format
from solsa.golden.baselines.network import Samples

from .bench_learning import fold
from .bench_runs import run
from .bench_search import Choice
from .bench_tasks import TASKS, Task
from .recipe import RECIPES, Recipe, slower
from .study import StudyParser, in_one_line, keep, known
from .synthetic import cue_accumulation

#: Name by which ``solsa learn`` knows the task with steps of 10 ms: that of the file.
KNOWN = "cues"
TEN, ONE = "cue_accumulation", "cue_accumulation_1ms"
#: Training samples, three times those on which the rules are compared (host/bench_tasks.py): with those the network has
#: them by heart and decides worse on others (``--validate --samples 300``).
SAMPLES = 900
TUNED = (
    "The recipe for steps of 10 ms is the default of that length with fewer updates (early stop at four points did "
    "best when the rules were tuned); epochs and the number of training samples were judged on validation samples; for "
    "1 ms it is `slower` of `host/recipe.py`."
)
#: Formats for 2250 steps. Traces sum ten times as many steps, so they need range, and decay by truncation toward zero,
#: so they need fraction bits as well. Weights are a tenth; rates a hundredth, so g = eta*delta needs bits below 2^-20.
LONG = Formats(trace=Format(24, 10), weight=Format(18, 16), rate_step=Format(18, 26))


def cases() -> dict[str, tuple[Formats, Recipe, int]]:
    """Formats, recipe and epochs by task."""
    recipe = RECIPES[KNOWN]
    return {
        TEN: (Formats(), recipe, recipe.epochs),
        ONE: (LONG, slower(recipe, 10), recipe.epochs),
    }


CASES = cases()


def task_of(name: str, samples: int) -> Task:
    """The task of the comparison with so many training samples; the test samples stay."""
    task = TASKS[name]()
    if name not in (TEN, ONE):
        return task
    made = cue_accumulation(samples, 1, milliseconds=10 if name == TEN else 1)
    return replace(task, train=Samples.pack(made.inputs, made.labels, made.targets))


def measured(task: Task, formats: Formats, recipe: Recipe, epochs: int, seeds: int, validate: bool) -> dict[str, Any]:
    """Accuracies on the test samples, or with ``validate`` on a quarter of the training samples."""
    task = replace(task, epochs=epochs, tuning_samples=0, config=task.config.with_(formats=formats))
    recipe = recipe.with_(epochs=epochs)
    train, test = fold(task, 0) if validate else (task.train, task.test)
    began = time.perf_counter()
    records = [
        run(task, "solsa", Choice(recipe=recipe), seed, train, test, every_epoch=False, fixed=True)
        for seed in range(seeds)
    ]
    accuracies = [record["accuracy"] for record in records]
    return {
        "steps": task.steps,
        "training_samples": len(train.labels),
        "judged_on": "validation" if validate else "test",
        "formats": {"trace": str(formats.trace), "weight": str(formats.weight), "g": str(formats.rate_step)},
        "recipe": recipe.to_dict(),
        "epochs": epochs,
        "accuracies": accuracies,
        "online": [record["online_accuracy"] for record in records],
        "mean": statistics.mean(accuracies),
        "deviation": statistics.pstdev(accuracies),
        "seconds": round(time.perf_counter() - began, 1),
    }


def write(path: Path, samples: int) -> None:
    """Keep the task with steps of 10 ms as a data set: so many training samples and half as many test samples."""
    train, test = (
        cue_accumulation(samples, 1),
        cue_accumulation(max(2, samples // 2), 2),
    )
    np.savez_compressed(
        path, X=np.stack(train.inputs), y=train.labels, X_test=np.stack(test.inputs), y_test=test.labels
    )


def main() -> int:
    """Command line."""
    parser = StudyParser("solsa.host.bench_cues", __doc__, seeds=5)
    parser.add_argument("tasks", nargs="*", default=tuple(CASES), metavar="TASK", help=", ".join(CASES))
    parser.add_argument("--validate", action="store_true", help="judge on a quarter of the training samples")
    parser.add_argument("--write", type=Path, metavar="FILE", help="only write the task as a data set (.npz)")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="training samples")
    options = parser.parse()
    known(options.tasks, CASES)
    found: dict[str, Any] = {}
    with in_one_line(write=options.write, json=options.json):
        if options.write:
            write(options.write, options.samples)
            return 0
        for name in options.tasks:
            formats, recipe, epochs = CASES[name]
            task = task_of(name, options.samples)
            row = found[name] = measured(
                task, formats, recipe, options.epochs or epochs, options.seeds, options.validate
            )
            print(f"{name}: {row['mean']:.4f} on {row['judged_on']} samples, {row['seconds']:.0f} s", flush=True)
            keep(options.json, results=found, tuned=TUNED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
