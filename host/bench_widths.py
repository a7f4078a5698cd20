"""How many bits SOLSA needs: accuracy over the widths of traces, weights and errors, beside float.

Run as ``python -m solsa.host.bench_widths --json docs/results/widths.json``. One width is changed at a time from the
default formats; recipes are not tuned again. Judged are folds of the training samples, as in ``solsa bench learning``:
default widths are a choice, and test samples take part in none. Float and fixed runs begin with the same weights,
inputs, order and schedule.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from solsa.contract import Formats
from solsa.contract.formats import Format

from .bench_learning import fold
from .bench_runs import run
from .bench_search import Choice, draw
from .bench_tasks import TASKS, Task
from .data import DataError
from .plots_bench import draw_widths
from .study import StudyParser, in_one_line, keep, known

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
    parser = StudyParser("solsa.host.bench_widths", __doc__, seeds=3)
    parser.add_argument("datasets", nargs="*", default=DATASETS, metavar="DATASET", help=", ".join(TASKS))
    parser.add_argument("--quantities", default="trace,weight,delta", metavar="A,B")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the result")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="measure nothing, draw this earlier --json")
    options = parser.parse()
    quantities = options.quantities.split(",")
    known(options.datasets, TASKS)
    known(quantities, variants(), "--quantities")
    if options.draw and not options.picture:
        parser.error("--draw needs --picture, the file to draw into")
    found: dict[str, Any] = {}
    with in_one_line(json=options.json, picture=options.picture):
        if options.draw:
            draw_widths(_earlier(options.draw), options.picture)
            return 0
        for name in options.datasets:
            task = TASKS[name]()
            if options.epochs:
                task = replace(task, epochs=options.epochs)
            choice = draw(task, 0)
            entry = found[name] = {"epochs": task.epochs, "choice": choice.to_dict(), "float": {}, "fixed": {}}
            entry["float"] = measured(task, None, options.seeds, choice)
            same: dict[Formats, dict[str, Any]] = {}
            for quantity in quantities:
                rows = entry["fixed"].setdefault(quantity, {})
                for text, formats in variants()[quantity].items():
                    same[formats] = rows[text] = same.get(formats) or measured(task, formats, options.seeds, choice)
                    print(f"{name}, {quantity} {text}: {rows[text]['mean']:.4f}, "
                          f"float {entry['float']['mean']:.4f}", flush=True)  # fmt: skip
                keep(options.json, results=found, seeds=options.seeds)
        if options.picture:
            draw_widths({"results": found}, options.picture)
    return 0


def _earlier(path: Path) -> dict[str, Any]:
    """What an earlier run has kept; DataError if that is not what the file holds."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if all("fixed" in entry for entry in found["results"].values()):
            return found
    except OSError as error:
        raise DataError(f"--draw {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise DataError(f"--draw {path}: not a result, allowed is what --json wrote")


if __name__ == "__main__":
    sys.exit(main())
