"""Parts of docs/learning.md from the studies in fixed point: goals, unseen data, widths, options, cue accumulation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from solsa.host.augment import varied
from solsa.host.recipe import Recipe


def study_parts(results: Path) -> list[str]:
    """Every part whose result lies in the folder."""
    lines: list[str] = []
    for name, part in PARTS.items():
        if (results / name).exists():
            lines += part(json.loads((results / name).read_text()))
    options = sorted(results.glob("options*.json"))
    if options:
        lines += _options([json.loads(path.read_text()) for path in options])
    missing = [name for name in PARTS if not (results / name).exists()] + ([] if options else ["options.json"])
    if missing:
        commands = ", ".join(f"`python -m solsa.host.bench_{name.removesuffix('.json')}`" for name in missing)
        lines += ["## Studies not measured yet", "", f"{commands}, each with `--json docs/results/NAME.json`.", ""]
    return lines


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    """A table with an empty line behind it."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _percent(row: dict[str, Any]) -> str:
    return f"{100 * row['mean']:.1f} ± {100 * row['deviation']:.1f}"


def _sizes(layers: list[int]) -> str:
    return "-".join(map(str, layers))


def _measured(content: dict[str, Any], command: str) -> str:
    return f"Measured {content['date'][:10]} by `{command}`, {content['seeds']} seeds."


def _goals(content: dict[str, Any]) -> list[str]:
    lines = ["## Goals", ""]
    lines += [
        "Test accuracy after the last epoch of what `solsa learn DATASET` does without options, fixed point. A second "
        "hidden layer and a recurrent one (option `recurrent`, [decision 12](decisions/0012-recurrence.md)) have the "
        "recipe of the first, not tuned again. " + _measured(content, "python -m solsa.host.bench_goals"),
        "",
    ]
    rows = []
    for name, r in content["results"].items():
        one = r["one"]
        state = "reached" if one["mean"] >= r["goal"] else f"**missed** by {100 * (r['goal'] - one['mean']):.1f}"
        gains = [
            f"{_percent(r[other])} ({100 * (r[other]['mean'] - one['mean']):+.1f})" if other in r else "not measured"
            for other in ("two", "recurrent")
        ]
        rows.append((name, _sizes(one["layers"]), one["epochs"], _percent(one), f"{100 * r['goal']:g}", state, *gains))
    head = ("data set", "network", "epochs", "accuracy, %", "goal", "", "two hidden layers", "recurrent")
    return [*lines, *table(head, rows), *_inputs(content["results"])]


def _inputs(results: dict[str, Any]) -> list[str]:
    """What else than the values of a step goes into a network, and what training changes in them."""
    lines = []
    for name, entry in results.items():
        recipe = Recipe.from_dict(entry["one"]["recipe"])
        parts = [f"through [encoder](data.md#encoders) `{recipe.encoder}`"] if recipe.encoder else []
        parts += [varied(recipe)] if recipe.augments else []
        lines += [f"- {name}: {'; '.join(parts)}."] if parts else []
    return [*lines, ""] if lines else []


def _given(content: dict[str, Any]) -> list[str]:
    lines = ["## What the digits are given", ""]
    lines += [
        f"The recipe of {content['dataset']} with parts of what [decision 15](decisions/0015-delays.md) gave it, in "
        f"fixed point, on {content['blocks']} blocks of neighbouring training samples, each decided by a network that "
        "has learned all others. No test sample takes part. " + _measured(content, "python -m solsa.host.bench_inputs"),
        "",
    ]
    rows = [
        (
            name,
            f"`{r['recipe']['encoder']}`",
            f"{100 * r['mean']:.1f}",
            *(f"{100 * f(r['accuracies']):.1f}" for f in (min, max)),
        )
        for name, r in content["results"].items()
    ]
    return [*lines, *table(("inputs", "encoder", "accuracy, %", "worst block", "best block"), rows)]


def _unseen(content: dict[str, Any]) -> list[str]:
    lines = ["## Data that nobody tuned for", ""]
    lines += [
        "What `solsa learn FILE` reaches without options on the `.ts` files that aeon brings, beside logistic "
        "regression on the mean of every channel over time. The default recipe was tuned on parts of the training "
        f"samples of {', '.join(content['tuned_on'])}; so these are not unseen, though their test samples are. "
        "Diverged: seeds whose trained network decides less of its training samples right than the most frequent class "
        "is of them. " + _measured(content, "python -m solsa.host.bench_unseen"),
        "",
    ]
    rows, below = [], []
    for name, r in content["results"].items():
        saturated = ", ".join(f"{n} {100 * v:.2g} %" for n, v in r["saturated"].items()) or "no word"
        above = r["mean"] >= r["linear"]
        below += [] if above else [name]
        rows.append((name + (" (tuned on)" if name in content["tuned_on"] else ""), f"{r['train']} / {r['test']}",
                     _sizes(r["layers"]), r["steps"][2], _percent(r), f"{100 * r['linear']:.1f}",
                     "yes" if above else "**no**", len(r["diverged"]), saturated))  # fmt: skip
    head = ("data set", "train / test", "network", "steps", "accuracy, %", "linear, %", "at least linear",
            "diverged", "saturated")  # fmt: skip
    lines += table(head, rows)
    diverged = [name for name, r in content["results"].items() if r["diverged"]]
    missed = f"**not** on {', '.join(below)}" if below else f"on all {len(rows)} of these"
    lines += [
        f"- At least the linear classifier: {missed}.",
        f"- Diverged: {', '.join(diverged) if diverged else 'none'}.",
        *(f"- Left out: {name}: {why}." for name, why in content["skipped"].items()),
        "",
    ]
    return lines


def _widths(content: dict[str, Any]) -> list[str]:
    lines = ["## How many bits", ""]
    lines += [
        "Validation accuracy in % (folds of the training samples, as for tuning) when one width is changed from the "
        "default, which is bold; sWIDTH.FRAC as in [numbers](numbers.md). Errors of fewer than 12 fraction bits take "
        "membrane and current with them. " + _measured(content, "python -m solsa.host.bench_widths"),
        "",
    ]
    sets = content["results"]
    rows: list[tuple[Any, ...]] = [("float", "", *(_percent(r["float"]) for r in sets.values()))]
    default = {"trace": "s16.8", "weight": "s16.13", "delta": "s18.14"}
    for quantity in next(iter(sets.values()))["fixed"]:
        for text in next(iter(sets.values()))["fixed"][quantity]:
            shown = f"**{text}**" if default[quantity] == text else text
            rows.append((quantity, shown, *(_percent(r["fixed"][quantity][text]) for r in sets.values())))
    lines += table(("quantity", "format", *sets), rows)
    worse = [
        f"{quantity} {text} on {name}"
        for name, r in sets.items()
        for quantity, formats in r["fixed"].items()
        for text, row in formats.items()
        if 100 * (row["mean"] - r["float"]["mean"]) < -0.5
    ]
    lines.append(f"- More than 0.5 point below float: {', '.join(worse) if worse else 'no format that was tried'}.")
    for name, r in sets.items():
        if "trace" not in r["fixed"]:
            continue
        fixed = r["fixed"]["trace"][default["trace"]]
        gap = 100 * (fixed["mean"] - r["float"]["mean"])
        lines.append(f"- {name}: defaults against float {gap:+.1f} points, within 0.5 or better: "
                     f"{'yes' if gap >= -0.5 else '**no**'}.")  # fmt: skip
    return [*lines, ""]


def _cues(content: dict[str, Any]) -> list[str]:
    lines = ["## Cue accumulation", ""]
    lines += [
        "40 inputs in 4 groups, 7 cues, delay, decision over the last 150 ms (`host/synthetic.py`), fixed point, test "
        "accuracy after the last epoch. " + content["tuned"] + " Goal 95 %. Measured "
        f"{content['date'][:10]} by `python -m solsa.host.bench_cues`, float with the same recipe, samples and "
        "seeds by `--float`.",
        "",
    ]
    rows = []
    for name, r in content["results"].items():
        recipe = r["recipe"]
        slowest = (max(row) for row in (recipe["a"][0], recipe["lam"][0], recipe["lam"][1]))
        tau = " / ".join(f"{1 / (1 - x):.0f}" for x in slowest)
        state = "reached" if r["mean"] >= 0.95 else "**missed**"
        formats = ", ".join(f"{n} {v}" for n, v in r["formats"].items())
        filters = "learned" if any(recipe["adapt_rates"]) else "fixed"
        real = _percent(r["float"]) if "float" in r else ""
        rows.append(
            (name, r["steps"], formats, tau, filters, r["epochs"], len(r["accuracies"]), _percent(r), state, real)
        )
    head = ("step", "steps", "formats", "slowest current / membrane / readout, steps", "filters", "epochs", "seeds",
            "accuracy, %", "goal", "float, %")  # fmt: skip
    return [*lines, *table(head, rows)]


def _options(contents: list[dict[str, Any]]) -> list[str]:
    lines = ["## Early stop and searched schedule in fixed point", ""]
    lines += [
        "On the golden device, judged on every fourth training sample of a class, none of them learned "
        "(`python -m solsa.host.bench_options`). Early stop MARGIN:POINTS as in `solsa learn --early-stop`.",
        "",
    ]
    for content in contents:
        rows = []
        for name, v in content["variants"].items():
            accuracies = [run["validation_accuracy"] for run in v["runs"]]
            updates = [run["updates"] for run in v["runs"]]
            spread = f"{100 * min(accuracies):.1f} to {100 * max(accuracies):.1f}"
            rows.append((name, f"{100 * sum(accuracies) / len(accuracies):.1f}", spread,
                         f"{sum(updates) / len(updates):,.0f}"))  # fmt: skip
        count = len(next(iter(content["variants"].values()))["runs"])
        lines += [f"### {content['dataset']}, {content['epochs']} epochs, {count} seeds", ""]
        lines += table(("variant", "accuracy, %", "of the seeds, %", "updates"), rows)
    return lines


def _normalise(content: dict[str, Any]) -> list[str]:
    lines = ["## Rates per neuron", ""]
    lines += [
        "Option `normalise` ([decision 13](decisions/0013-rate-normalisation.md)) off, for hidden layers and for all, "
        "in fixed point: test accuracy in % after the last epoch of `solsa learn`, with so many filter groups G. "
        + _measured(content, "python -m solsa.host.bench_normalise"),
        "",
    ]
    sets = content["results"]
    fixed = [r["fixed"] for r in sets.values() if "fixed" in r]
    if fixed:
        rows = [(name, *(_percent(r[name]) if name in r else "" for r in fixed)) for name in fixed[0]]
        lines += table(("fixed point", *(name for name, r in sets.items() if "fixed" in r)), rows)
    for name, r in sets.items():
        if "float" in r:
            lines += [
                f"{name} in float, one filter group: accuracy in % on every fourth training sample of a class, none "
                "of them learned, with the recipe's rates times a factor. `row`: rates divided by the root of the "
                "running mean square of the gradient row; `error`: by the running mean of |delta|, as on the device.",
                "",
            ]
            factors = next(iter(r["float"].values()))["factors"]
            rows = [(form, *(_percent(v) for v in entry["factors"].values())) for form, entry in r["float"].items()]
            lines += table(("form, layers", *(f"x{factor}" for factor in factors)), rows)
    return lines


PARTS = {
    "goals.json": _goals, "inputs.json": _given, "unseen.json": _unseen, "widths.json": _widths, "cues.json": _cues,
    "normalise.json": _normalise,
}  # fmt: skip
