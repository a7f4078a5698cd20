"""Cue accumulation in fixed point: a decision after a delay, with steps of 10 ms and of 1 ms.

Run as ``python -m solsa.host.bench_cues --json docs/results/cues.json``. ``--write FILE`` leaves the task with steps of
10 ms as a data set; ``solsa learn`` knows its recipe if the file is called ``cues.npz``.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from solsa.contract import Formats
from solsa.contract.formats import Format
from solsa.golden.baselines.network import Samples

from .bench_runs import run
from .bench_search import Choice
from .bench_tasks import TASKS, Task
from .files import OutputError
from .recipe import RECIPES, Recipe
from .study import StudyParser, in_one_line, keep, known, rows_of, summed
from .synthetic import cue_accumulation

#: Name by which ``solsa learn`` knows the task with steps of 10 ms: that of the file.
KNOWN = "cues"
TEN, ONE = "cue_accumulation", "cue_accumulation_1ms"
#: Training samples, three times those on which the rules are compared (host/bench_tasks.py): with those the network has
#: them by heart and decides worse on others (``--validate --samples 300``).
SAMPLES = 900
#: Seeds of the samples: training and test as in the comparison, and others that no run learns.
TRAINING, VALIDATION = 1, 3
#: Runs that validate take other seeds than those that are judged on the test samples.
VALIDATION_SEEDS = 10
TUNED = (
    "The recipe for steps of 10 ms is the default of that length with fewer updates and a readout that forgets nothing "
    "of a sample: its time constant, the epochs and the number of training samples were judged on validation samples "
    "made from another seed (`--validate`). That for 1 ms has filters, start weights and rates of its own, chosen on "
    "the same kind of samples and with other seeds of the network: in float with a hidden layer that stands still, by "
    "what its spike counts say, then in fixed point. There a hidden rate of 0 validates as well as the one given: the "
    "errors come a second after the cues, which is longer than the hidden traces reach, so it is the readout that "
    "learns the count. Its formats, of 36 bits a synapse, were chosen on validation samples "
    "too."
)
#: Formats for 2250 steps. The readout's trace counts the spikes of a whole sample, so it needs range;
#: it decays by truncation toward zero, in each step by up to its last bit, so it needs fraction bits as well. The
#: readout's rate is small as its traces are large: g = eta*delta needs bits below 2^-20. A synapse has 36 bits, a word
#: of the ECP5's memories.
LONG = Formats(trace=Format(20, 11), weight=Format(16, 14), rate_step=Format(18, 26))
#: Steps of 1 ms. With time constants ten times as many steps, the recipe for 10 ms decides worse: a neuron is no longer
#: held to a spike in 10 ms, and slow currents count the noise. Here membranes of 20 to 100 ms are the only filters, so
#: that an input spike counts once; the readout's time constant is that of 10 ms, 10 s.
FINE = RECIPES[KNOWN].with_(
    a=((0.0,) * 4, (0.0,) * 4),
    lam=((0.95, 1 - 1 / 35, 1 - 1 / 60, 0.99), (0.9999,) * 4),
    weight_sd=(0.4, 0.01),
    rates=(0.02, 1.4e-5),
)
#: Formats, recipe and epochs by task.
CASES: dict[str, tuple[Formats, Recipe, int]] = {
    TEN: (Formats(), RECIPES[KNOWN], RECIPES[KNOWN].epochs),
    ONE: (LONG, FINE, FINE.epochs),
}


def task_of(name: str, samples: int, validate: bool = False) -> Task:
    """The task of the comparison with so many training samples, and its test samples or others to validate on."""
    task = TASKS[name]()
    if name not in (TEN, ONE):
        return task
    milliseconds = 10 if name == TEN else 1
    made = cue_accumulation(samples, TRAINING, milliseconds=milliseconds)
    task = replace(task, train=Samples.pack(made.inputs, made.labels, made.targets))
    if validate:
        others = cue_accumulation(2 * len(task.test), VALIDATION, milliseconds=milliseconds)
        task = replace(task, test=Samples.pack(others.inputs, others.labels, others.targets))
    return task


def measured(task: Task, formats: Formats, recipe: Recipe, epochs: int, seeds: range, judged: str) -> dict[str, Any]:
    """Accuracies on the task's test samples, which ``judged`` names."""
    task = replace(task, epochs=epochs, config=task.config.with_(formats=formats))
    recipe = recipe.with_(epochs=epochs)
    began = time.perf_counter()
    records = trained(task, recipe, seeds, fixed=True)
    accuracies = [record["accuracy"] for record in records]
    return {
        "steps": task.steps,
        "training_samples": len(task.train),
        "judged_on": judged,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "formats": {
            "trace": str(formats.trace),
            "weight": str(formats.weight),
            "g": str(formats.rate_step),
            "k": str(formats.gain),
            "membrane": str(formats.membrane),
        },
        "recipe": recipe.to_dict(),
        "epochs": epochs,
        "accuracies": accuracies,
        "online": [record["online_accuracy"] for record in records],
        "mean": statistics.mean(accuracies),
        "deviation": statistics.pstdev(accuracies),
        "seconds": round(time.perf_counter() - began, 1),
    }


def trained(task: Task, recipe: Recipe, seeds: Iterable[int], *, fixed: bool) -> list[dict[str, Any]]:
    """Records of training with every seed."""
    choice = Choice(recipe=recipe)
    return [run(task, "solsa", choice, seed, task.train, task.test, every_epoch=False, fixed=fixed) for seed in seeds]


def in_float(row: dict[str, Any], name: str) -> dict[str, Any]:
    """What float reaches with recipe, samples and seeds of a row, start weights as its formats have them."""
    task = task_of(name, row["training_samples"])
    task = replace(task, epochs=row["epochs"], config=task.config.with_(formats=CASES[name][0]))
    records = trained(task, Recipe.from_dict(row["recipe"]), range(len(row["accuracies"])), fixed=False)
    return summed([record["accuracy"] for record in records])


def write(path: Path, samples: int) -> None:
    """Keep the task with steps of 10 ms as a data set: so many training samples and half as many test samples."""
    train, test = cue_accumulation(samples, TRAINING), cue_accumulation(max(2, samples // 2), 2)
    np.savez_compressed(
        path, X=np.stack(train.inputs), y=train.labels, X_test=np.stack(test.inputs), y_test=test.labels
    )


def main() -> int:
    """Command line."""
    parser = StudyParser("solsa.host.bench_cues", __doc__, seeds=5)
    parser.add_argument("tasks", nargs="*", default=tuple(CASES), metavar="TASK", help=", ".join(CASES))
    parser.add_argument("--validate", action="store_true", help="judge on samples made from another seed")
    parser.add_argument("--write", type=Path, metavar="FILE", help="only write the task as a data set (.npz)")
    parser.add_argument("--float", action="store_true", help="only measure float, for the rows that --json FILE has")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="training samples")
    options = parser.parse()
    if options.float and (options.validate or not options.json):
        parser.error("--float needs --json, the file with rows on test samples, and goes without --validate")
    known(options.tasks, CASES)
    with in_one_line(write=options.write, json=options.json):
        if options.write:
            write(options.write, options.samples)
            return 0
        # A step of 1 ms takes ten times as long as one of 10 ms: tasks that are not named keep their rows.
        found = rows_of(options.json)
        for name in options.tasks:
            if options.float:
                if found.get(name, {}).get("judged_on") != "test":
                    raise OutputError(f"{options.json}: no row {name} on test samples, measure that first")
                row = found[name]["float"] = in_float(found[name], name)
                print(f"{name}: {row['mean']:.4f} in float", flush=True)
                keep(options.json, results=found, tuned=TUNED)
                continue
            formats, recipe, epochs = CASES[name]
            first = VALIDATION_SEEDS if options.validate else 0
            row = found[name] = measured(
                task_of(name, options.samples, options.validate), formats, recipe, options.epochs or epochs,
                range(first, first + options.seeds), "validation" if options.validate else "test",
            )  # fmt: skip
            print(f"{name}: {row['mean']:.4f} on {row['judged_on']} samples, {row['seconds']:.0f} s", flush=True)
            keep(options.json, results={key: found[key] for key in CASES if key in found}, tuned=TUNED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
