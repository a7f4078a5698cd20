"""The page docs/learning.md, from docs/results/learning.json as ``solsa bench learning`` wrote it."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from study_page import study_parts

from solsa.contract import PRESETS, Formats
from solsa.contract.formats import Format
from solsa.host.memory import CLAIM, first_steps

#: Data sets with a goal, all of which are measured in fixed point too.
SETS = ("JapaneseVowels", "BasicMotions", "spoken_digits", "digits", "cue_accumulation")
PICTURES = (
    ("learning_rules.png", "Test accuracy of every rule on every data set"),
    ("learning_parts.png", "Change of the accuracy when one part of SOLSA is switched"),
    ("widths.png", "Accuracy over the widths of traces, weights and errors, beside float"),
    ("memory.png", "Bits saved against BPTT over the steps of a sample"),
)
_INTRODUCTION = "Written by `docs/generate.py` from `docs/results/learning.json`, the result of `solsa bench learning`."
_RULES = """Every rule's update is compared with automatic differentiation or its published equation in
`tests/golden/test_baselines.py`. OSTL on this neuron is SOLSA without its enhancements, summed over the sample; OTTT is
that without the reset term."""
_TASKS = (
    "data set",
    "network",
    "train / test",
    "steps min / median / max",
    "epochs",
    "tuned on",
    "measure",
    "decision",
)
#: What a complete comparison has: data sets and tuned configurations per rule.
_COMPLETE = (*SETS, "poisson_patterns", "pattern_generation", "cue_accumulation_1ms")
_ENOUGH = 8
_OWN = ("solsa", "solsa_even", "solsa_fixed", "solsa_filtered")


def learning_page(results: Path, pictures: Path) -> str:
    """The whole page."""
    content: dict[str, Any] = json.loads((results / "learning.json").read_text())
    lines = ["# Learning: SOLSA beside other rules", "", _INTRODUCTION, ""]
    for part in (_incomplete, _protocol, _tables, _verdict, _fixed, _pairs, _parts):
        lines += part(content)
    lines += study_parts(results)
    lines += _memory()
    shown = [f"![{text}](pictures/{name})\n" for name, text in PICTURES if (pictures / name).exists()]
    if shown:
        lines += ["## Pictures", "", *shown]
    return "\n".join(lines).rstrip() + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _points(row: dict[str, Any]) -> str:
    return f"{100 * row['mean']:.1f} ± {100 * row['deviation']:.1f}"


def _incomplete(content: dict[str, Any]) -> list[str]:
    """Say what this measurement lacks."""
    missing = [name for name in _COMPLETE if name not in content["results"]]
    tried = content["budget"]["configurations_per_rule"]
    lacks = [f"not measured: {', '.join(missing)}"] if missing else []
    if tried < _ENOUGH:
        lacks.append(f"only {tried} configurations tried per rule, where {_ENOUGH} or more are meant")
    return [f"**Incomplete**: {'; '.join(lacks)}. `make bench-learning` measures the rest.", ""] if lacks else []


def _protocol(content: dict[str, Any]) -> list[str]:
    budget = content["budget"]
    lines = ["## What was done", ""]
    lines += [
        f"Same network (a hidden layer of 64, 4 filter groups), same inputs and start weights. Every rule gets the "
        f"same {budget['configurations_per_rule']} random configurations, judged on a validation part of the training "
        f"samples ({budget['judged_by']}); the best one is trained with {budget['seeds']} fresh seeds, and the test "
        f"accuracy after the last epoch counts. Learning is online, one sample at a time. Rules that sum their "
        f"gradients (BPTT, e-prop, OTTT, OSTL) update once per sample, SOLSA and DECOLLE at every scheduled step.",
        "",
        _RULES,
        "",
    ]
    rows = []
    for name, t in content["tasks"].items():
        tuning = f"{t['tuning_samples']} samples, " + (
            f"{t['folds']} folds" if t["folds"] > 1 else "a quarter held out"
        )
        steps = " / ".join(map(str, t["steps"]))
        rows.append((name, "-".join(map(str, t["layers"])), f"{t['train']} / {t['test']}", steps, t["epochs"], tuning,
                     t["measure"], t["decided_over"]))  # fmt: skip
    return [*lines, *_table(_TASKS, rows), f"Measured {content['date'][:10]}, {_versions(content)}.", ""]


def _versions(content: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in content["versions"].items())


def _tables(content: dict[str, Any]) -> list[str]:
    lines = ["## Results", ""]
    head = ("rule", "accuracy, %", "epochs to 95 %", "epochs", "updates", "state bits", "multiplies per step")
    for dataset, rules in content["results"].items():
        rows = []
        for name, r in rules.items():
            to = "" if r["epochs_to_95"] is None else f"{r['epochs_to_95']:.1f}"
            rows.append((content["titles"][name], _points(r), to, f"{statistics.mean(r['epochs']):.1f}",
                         f"{r['updates']:,}", f"{r['state_bits']:,}", f"{r['multiplies_per_step']:,}"))  # fmt: skip
        lines += [f"### {dataset}", "", *_table(head, rows)]
    return lines


def _verdict(content: dict[str, Any]) -> list[str]:
    means = content["mean"]
    lines = ["## SOLSA against the others, averaged over the data sets", ""]
    if not {"solsa", "bptt"} <= set(means):
        return [*lines, "Not every data set has every rule yet.", ""]
    rows = [(content["titles"][n], f"{100 * m['mean']:.1f}", f"{100 * m['deviation']:.1f}") for n, m in means.items()]
    lines += _table(("rule", "mean, %", "deviation over the seeds"), rows)
    others = {n: m for n, m in means.items() if n not in (*_OWN, "bptt")}
    count = len(content["results"])
    lines += [f"Over {count} data set{'s' if count > 1 else ''}: {', '.join(content['results'])}.", ""]
    best = max(others, key=lambda n: others[n]["mean"])
    for what, other, goal, claim in (("BPTT", "bptt", 1.0, 5.0), ("the best other rule", best, 3.0, 14.2)):
        gain, spread = _gain(means, "solsa", other)
        state = "reached" if gain >= goal else "**missed**"
        lines += [
            f"- Against {what} ({content['titles'][other]}): {gain:+.1f} ± {spread:.1f} points (standard error over "
            f"seeds); goal {goal:+.0f}: {state}. The abstract claims {claim:+g}, on data and networks that "
            f"are not public to us; {'it did not reproduce here' if gain < claim else 'it reproduced here'}."
        ]
    if "solsa_filtered" in means:
        pairs = (("BPTT", "bptt"), (content["titles"][best], best), ("SOLSA without it", "solsa"))
        gains = [(what, *_gain(means, "solsa_filtered", other)) for what, other in pairs]
        compared = ", ".join(f"{what} {gain:+.1f} ± {spread:.1f}" for what, gain, spread in gains)
        option = "With the option `filtered_surrogate` ([decision 16](decisions/0016-filtered-surrogate.md))"
        lines += [f"- {option}, against {compared} points."]
    return [*lines, "", *_differences(content, best)]


def _gain(means: dict[str, Any], mine: str, other: str) -> tuple[float, float]:
    """Points between two averages, and the standard error."""
    gain = 100 * (means[mine]["mean"] - means[other]["mean"])
    return gain, 100 * (means[mine]["error"] ** 2 + means[other]["error"] ** 2) ** 0.5


def _differences(content: dict[str, Any], best: str) -> list[str]:
    """SOLSA less the others by data set: where the averages come from."""
    titles, own = content["titles"], [n for n in ("solsa", "solsa_filtered") if n in content["mean"]]
    rows = [
        (
            dataset,
            *(f"{100 * (rules[mine]['mean'] - rules[other]['mean']):+.1f}" for mine in own for other in ("bptt", best)),
        )
        for dataset, rules in content["results"].items()
    ]
    head = [f"{titles[mine]}, less {titles[other]}" for mine in own for other in ("bptt", best)]
    return ["Points by data set:", "", *_table(("data set", *head), rows)]


def _fixed(content: dict[str, Any]) -> list[str]:
    lines = ["## Fixed point", ""]
    lines += [
        "The integer golden model, which the chip equals bit by bit; same recipe, start weights, inputs, order "
        "and schedule as the float network of the row `SOLSA, evenly spaced updates only`. The difference is taken "
        "seed by seed (mean and its standard error), over more seeds than the rows have where five leave it open. "
        "Steps of 1 ms have formats of their own, see below.", "",
    ]  # fmt: skip
    rows = []
    for dataset, rules in content["results"].items():
        if "solsa_fixed" not in rules:
            continue
        fixed, real = rules["solsa_fixed"], rules["solsa_even"]
        pairs = fixed["against_float"]
        gap = 100 * pairs["mean"]
        near = "yes" if abs(gap) <= 0.5 else "better" if gap > 0 else "**no**"
        rows.append((dataset, _points(fixed), _points(real), f"{gap:+.2f} ± {100 * pairs['error']:.2f}",
                     len(pairs["differences"]), near))  # fmt: skip
    head = ("data set", "fixed, %", "float, %", "difference, points", "seeds of it", "within 0.5")
    missing = [d for d in SETS if not any(row[0] == d for row in rows)]
    lines += _table(head, rows) if rows else []
    if missing:
        lines += [f"Not measured yet in fixed point: {', '.join(missing)}.", ""]
    return lines


def _pairs(content: dict[str, Any]) -> list[str]:
    """Where SOLSA's two tuned rows differ in its own switches alone, they measure these."""
    rows = []
    for dataset, rules in content["results"].items():
        if not {"solsa", "solsa_even"} <= rules.keys():
            continue
        (own, rest), (none, others) = (_split(rules[name]["config"]) for name in ("solsa", "solsa_even"))
        followed = content["tasks"][dataset]["measure"] != "accuracy"  # nothing is decided, so nothing stops early
        differ = [n for n in own if own[n] != none[n] and not (followed and n == "early stop")]
        if rest == others and differ:
            on, off = rules["solsa"], rules["solsa_even"]
            change = f"{100 * (on['mean'] - off['mean']):+.1f}"
            rows.append((dataset, ", ".join(differ), _points(on), _points(off), change, f"{on['updates']:,}",
                         f"{off['updates']:,}"))  # fmt: skip
    if not rows:
        return []
    lines = ["## SOLSA's switches on and off", ""]
    lines += [
        "Data sets on which the two tuned rows `SOLSA` and `SOLSA, evenly spaced updates only` have the same "
        "constants, rates and start weights, and differ in SOLSA's own switches.", "",
    ]  # fmt: skip
    head = ("data set", "on and off", "on, %", "off, %", "difference", "updates on", "updates off")
    return [*lines, *_table(head, rows)]


def _split(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """SOLSA's own switches of a configuration, and everything else."""
    recipe = dict(config["recipe"])
    rest = {name: value for name, value in config.items() if name != "recipe"}
    switches = {
        "searched schedule": rest.pop("schedule"),
        "early stop": (rest.pop("stop_after"), rest.pop("stop_margin")),
        "adaptive filters": recipe.pop("adapt_rates"),
    }
    return switches, {**rest, "recipe": recipe}


def _parts(content: dict[str, Any]) -> list[str]:
    sets: dict[str, Any] = content["ablations"]
    if not sets:
        return ["## SOLSA's parts", "", "Not measured yet.", ""]
    lines = ["## SOLSA's parts, one changed at a time", ""]
    lines += [
        f"From SOLSA as tuned, not tuned again; {content['budget']['ablation_seeds']} seeds, accuracy in %.", ""
    ]  # fmt: skip
    names = list(dict.fromkeys(name for rows in sets.values() for name in rows))
    rows = [(n, *(_points(r[n]) if n in r else "" for r in sets.values())) for n in names]
    lines += _table(("", *sets), rows)
    changes = []
    for name in names:
        gains = [100 * (r[name]["mean"] - r["as tuned"]["mean"]) for r in sets.values() if name in r]
        if name != "as tuned":
            changes.append((name, f"{statistics.mean(gains):+.1f}"))
    return [*lines, *_table(("change", "points, mean of the data sets"), changes)]


def _memory() -> list[str]:
    lines = ["## Memory", ""]
    lines += [
        "Bits of state while learning (`contract/layout.py`; `solsa info --steps T`). The core's do not grow "
        "with the steps of a sample, BPTT's do. The rows say from how many steps on it needs less, and "
        f"{100 * CLAIM:.0f} % less, as the abstract claims. For shorter samples the core needs more.", "",
    ]  # fmt: skip
    vowels = PRESETS["vowels"]
    networks = [
        ("vowels", vowels), ("traces of 12 bits", vowels.with_(formats=Formats(trace=Format(12, 6)))),
        ("one filter group", vowels.with_(groups=1)), ("128 hidden", vowels.with_(layers=(12, 128, 9))),
        ("two hidden layers", vowels.with_(layers=(12, 64, 64, 9))),
        ("cue accumulation", vowels.with_(layers=(40, 64, 2))), ("large", vowels.with_(layers=(128, 256, 32))),
    ]  # fmt: skip
    rows = [
        (name, "-".join(map(str, config.layers)), first_steps(config, 0.0), first_steps(config, CLAIM))
        for name, config in networks
    ]
    return [*lines, *_table(("network", "sizes", "less from, steps", "72 % less from, steps"), rows)]
