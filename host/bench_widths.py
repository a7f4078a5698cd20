"""How many bits SOLSA needs: accuracy over the widths of traces, weights and errors, beside float.

Run as ``python -m solsa.host.bench_widths --json docs/results/widths.json``. One width is changed at a time from the
default formats; recipes are not tuned again. Judged are folds of the training samples, as in ``solsa bench learning``:
default widths are a choice, and test samples take part in none. Float and fixed runs begin with the same weights,
inputs, order and schedule.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from solsa.contract import Formats
from solsa.contract.formats import Format

from .bench_learning import fold
from .bench_runs import run
from .bench_search import Choice, draw
from .bench_tasks import TASKS, Task
from .errors import USER_ERRORS, WRONG_USE, stop
from .files import check_file, write_json
from .plots_bench import draw_widths
from .train import versions

#: Traces: width and fraction bits. The first ones differ in range, the last ones in resolution.
TRACES = ((10, 5), (12, 5), (12, 6), (12, 7), (14, 7), (16, 8), (20, 12))
#: Weights, all with a range of +-4.
WEIGHTS = ((10, 7), (12, 9), (14, 11), (16, 13), (18, 15), (20, 17))
#: Errors; those with fewer fraction bits than the membrane's 12 take these from it as well.
DELTAS = ((12, 8), (14, 10), (16, 12), (18, 14))
DATASETS = ("JapaneseVowels", "BasicMotions", "digits")


def variants() -> dict[str, dict[str, Formats]]:
    """Formats by quantity and name; the defaults are among each."""
    found: dict[str, dict[str, Formats]] = {"trace": {}, "weight": {}, "delta": {}}
    for width, frac in TRACES:
        found["trace"][f"s{width}.{frac}"] = Formats(trace=Format(width, frac))
    for width, frac in WEIGHTS:
        # More fraction bits of the weight than the rate step has would leave its stochastic rounding none to drop.
        found["weight"][f"s{width}.{frac}"] = Formats(weight=Format(width, frac))
    for width, frac in DELTAS:
        low = min(frac, 12)
        state = {name: Format(12 + low, low) for name in ("current", "membrane", "threshold")}
        found["delta"][f"s{width}.{frac}"] = Formats(
            delta=Format(width, frac), score=Format(32, low), target=Format(16, low),
            filter_trace=Format(24, min(8, low)), **state,
        )  # fmt: skip
    return found


def measured(task: Task, formats: Formats | None, seeds: int, choice: Choice | None = None) -> dict[str, Any]:
    """Validation accuracy of some formats, None for float, over folds and seeds."""
    chosen = choice or draw(task, 0)
    shown = task if formats is None else replace(task, config=task.config.with_(formats=formats))
    values = []
    for seed in range(seeds):
        records = [
            run(shown, "solsa", chosen, seed, *fold(task, k), every_epoch=False, fixed=formats is not None)
            for k in range(task.folds)
        ]
        values.append(statistics.mean(r["accuracy"] for r in records))
    return {"accuracies": values, "mean": statistics.mean(values), "deviation": statistics.pstdev(values)}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m solsa.host.bench_widths", description=__doc__.split("\n", 1)[0])
    parser.add_argument("datasets", nargs="*", default=DATASETS, metavar="DATASET", help=", ".join(TASKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="instead of those of the data set")
    parser.add_argument("--quantities", default="trace,weight,delta", metavar="A,B")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the result")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="measure nothing, draw this earlier --json")
    options = parser.parse_args()
    if unknown := [name for name in options.datasets if name not in TASKS]:
        stop(f"data set {unknown[0]!r}, allowed: {', '.join(TASKS)}", WRONG_USE)
    if unknown := [name for name in options.quantities.split(",") if name not in variants()]:
        stop(f"--quantities {unknown[0]!r}, allowed: {', '.join(variants())}", WRONG_USE)
    found: dict[str, Any] = {}
    try:
        check_file(options.json, "--json")
        check_file(options.picture, "--picture")
        if options.draw and options.picture:
            draw_widths(json.loads(options.draw.read_text()), options.picture)
            return 0
        for name in options.datasets:
            task = TASKS[name]()
            if options.epochs:
                task = replace(task, epochs=options.epochs)
            choice = draw(task, 0)
            entry = found[name] = {"epochs": task.epochs, "choice": choice.to_dict(), "float": {}, "fixed": {}}
            entry["float"] = measured(task, None, options.seeds, choice)
            same: dict[Formats, dict[str, Any]] = {}
            for quantity in options.quantities.split(","):
                rows = entry["fixed"].setdefault(quantity, {})
                for text, formats in variants()[quantity].items():
                    same[formats] = rows[text] = same.get(formats) or measured(task, formats, options.seeds, choice)
                    print(f"{name}, {quantity} {text}: {rows[text]['mean']:.4f}, "
                          f"float {entry['float']['mean']:.4f}", flush=True)  # fmt: skip
                if options.json:
                    write_json(options.json, {
                        "results": found, "seeds": options.seeds, "versions": versions(),
                        "date": datetime.now(UTC).isoformat(timespec="seconds"),
                    })  # fmt: skip
        if options.picture:
            draw_widths({"results": found}, options.picture)
    except USER_ERRORS as error:
        stop(str(error), WRONG_USE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
