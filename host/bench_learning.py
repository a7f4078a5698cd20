"""``solsa bench learning``: the same tuning budget for every rule, then fresh seeds on the test set.

Per data set and rule: ``configurations`` draws are trained on a part of the training samples and judged on the rest (k
folds for small sets) by the accuracy after the last epoch, ties by cross-entropy. The best one is trained on all
training samples with every seed, and the test accuracy after the last epoch counts. Test samples take no part in any
choice. Every finished run is kept (:mod:`solsa.host.bench_store`).
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from solsa.golden.baselines.network import Samples
from solsa.golden.baselines.rules import RULES, Rule, multiplies, state_bits

from .bench_runs import configured, run
from .bench_search import Choice, draw
from .bench_store import Store
from .bench_tasks import TASKS, Task, subset
from .recipe import Recipe
from .study import summed
from .train import versions

#: Changes when the same key would mean another run.
PROTOCOL = 2
TUNING_SEED = 100
FILTERED = "solsa_filtered"
#: What is tuned: name in results, rule, whether SOLSA's own switches are drawn. ``solsa_filtered`` has the
#: core's option ``filtered_surrogate``.
TUNED: dict[str, tuple[str, bool]] = {
    "solsa": ("solsa", True),
    "solsa_even": ("solsa", False),
    FILTERED: ("solsa", True),
    **{name: (name, False) for name in RULES if name != "solsa"},
}
TITLES = {
    "solsa": "SOLSA",
    "solsa_even": "SOLSA, evenly spaced updates only",
    FILTERED: "SOLSA, filtered surrogate",
    "solsa_fixed": "SOLSA, evenly spaced updates, fixed point",
    **{name: rule.title for name, rule in RULES.items() if name != "solsa"},
}
#: The rule whose best configuration fixed point is measured with: what the core has today.
FIXED_BASE, FIXED = "solsa_even", "solsa_fixed"
#: Fixed point and float are compared seed by seed, over more seeds than the plan has until the mean difference is known
#: this well (standard error of the accuracy), or over so many; plans of fewer than five seeds keep to theirs.
PRECISION, MOST_SEEDS = 0.0025, 20


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured."""

    datasets: tuple[str, ...]
    rules: tuple[str, ...] = tuple(TUNED)
    configurations: int = 4
    seeds: int = 5
    ablation_seeds: int = 3
    fixed: bool = True
    ablation: bool = True


@dataclass(frozen=True)
class Job:
    """One training run. ``fold`` of ``folds`` validates; -1: all training samples, judged on the test set."""

    dataset: str
    rule: str
    stage: str
    choice: Choice
    seed: int
    fold: int = -1
    fixed: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """Identity in the store."""
        return {"protocol": PROTOCOL, "dataset": self.dataset, "rule": self.rule, "choice": self.choice.to_dict(),
                "seed": self.seed, "fold": self.fold, "fixed": self.fixed}  # fmt: skip


#: Called before (record None) and after every run that was not in the store, with what is being done.
OnRun = Callable[[Job, "dict[str, Any] | None"], None]


class Bench:
    """A plan at work.

    Parameters
    ----------
    plan : Plan
        What to measure.
    store : Store
        Where finished runs are kept.
    on_run : callable
        Progress.
    """

    def __init__(self, plan: Plan, store: Store, on_run: OnRun = lambda _job, _record: None) -> None:
        self.plan, self.store, self.on_run = plan, store, on_run
        self._tasks: dict[str, Task] = {}

    def task(self, name: str) -> Task:
        """A data set, loaded once."""
        if name not in self._tasks:
            self._tasks[name] = TASKS[name]()
        return self._tasks[name]

    # -- runs --------------------------------------------------------------------------------------------------------
    def record(self, job: Job) -> dict[str, Any]:
        """Result of a run, from the store or by running it."""
        found = self.store.get(job.key)
        if found is not None:
            return found
        self.on_run(job, None)
        task = self.task(job.dataset)
        train, test = task.train, task.test
        if job.fold >= 0:
            train, test = fold(task, job.fold)
        record = run(
            task,
            job.rule,
            job.choice,
            job.seed,
            train,
            test,
            every_epoch=job.fold < 0 and not job.fixed,
            fixed=job.fixed,
        )
        self.store.put(job.key, record)
        self.on_run(job, record)
        return record

    def judged(self, dataset: str, rule: str, choice: Choice, stage: str) -> tuple[float, float]:
        """Accuracy and minus cross-entropy of a configuration on the validation samples: larger is better."""
        folds = range(self.task(dataset).folds)
        records = [self.record(Job(dataset, rule, stage, choice, TUNING_SEED, k)) for k in folds]
        return statistics.mean(r["accuracy"] for r in records), -statistics.mean(r["loss"] for r in records)

    def tuned(self, dataset: str, name: str) -> tuple[Choice, float]:
        """Best configuration of a rule, and its accuracy on the validation samples."""
        rule, enhanced = TUNED[name]
        entries = []
        for index in range(self.plan.configurations):
            choice = draw(self.task(dataset), index, enhanced=enhanced, filtered=name == FILTERED)
            stage = f"tune {name} {index + 1}/{self.plan.configurations}"
            entries.append((*self.judged(dataset, rule, choice, stage), -index, choice))
        best = max(entries, key=lambda entry: entry[:3])
        return best[3], best[0]

    def recipes(self) -> dict[str, dict[str, Any]]:
        """Recipes for ``solsa learn``, by the name that it knows a data set by.

        The best one, on the validation samples, of what the core has (evenly spaced updates); that which ``learn`` has
        now is among those tried. Generated tasks are left out.
        """
        found = {}
        for dataset in self.plan.datasets:
            task = self.task(dataset)
            if task.generated or FIXED_BASE not in self.plan.rules:
                continue
            found[task.dataset.name] = self.tuned(dataset, FIXED_BASE)[0].recipe.to_dict()
        return found

    def measured(
        self, dataset: str, name: str, choice: Choice, *, fixed: bool = False, seeds: int | None = None
    ) -> dict[str, Any]:
        """Test results of a configuration over the seeds."""
        rule = TUNED[FIXED_BASE][0] if fixed else TUNED.get(name, (name, False))[0]
        jobs = [Job(dataset, rule, name, choice, seed, fixed=fixed) for seed in range(seeds or self.plan.seeds)]
        return summary(self.task(dataset), RULES[rule], choice, [self.record(job) for job in jobs])

    def paired(self, dataset: str, choice: Choice) -> dict[str, Any]:
        """Fixed point less float over the same seeds, and the standard error of the mean."""
        rule, least = TUNED[FIXED_BASE][0], max(2, self.plan.seeds)
        differences, error = list[float](), math.inf
        while len(differences) < least or (
            self.plan.seeds >= 5 and error > PRECISION and len(differences) < MOST_SEEDS
        ):
            fixed, real = (
                self.record(Job(dataset, rule, name, choice, len(differences), fixed=name == FIXED))["accuracy"]
                for name in (FIXED, FIXED_BASE)
            )
            differences.append(fixed - real)
            if len(differences) > 1:
                error = statistics.stdev(differences) / len(differences) ** 0.5
        return {"mean": statistics.mean(differences), "error": error, "differences": differences}

    # -- the whole ---------------------------------------------------------------------------------------------------
    def stages(self) -> Iterator[dict[str, Any]]:
        """Work through the plan; yields the results so far after every data set and stage, the last ones complete."""
        results: dict[str, dict[str, Any]] = {}
        ablations: dict[str, dict[str, Any]] = {}
        for dataset in self.plan.datasets:
            rows = results.setdefault(dataset, {})
            for name in self.plan.rules:
                choice, validation = self.tuned(dataset, name)
                rows[name] = {**self.measured(dataset, name, choice), "validation_accuracy": validation}
            yield self._content(results, ablations)
        studied = [name for name in self.plan.datasets if not self.task(name).rules_only]
        if self.plan.fixed:
            for dataset in studied:
                if FIXED_BASE in self.plan.rules:
                    choice, _ = self.tuned(dataset, FIXED_BASE)
                    row = self.measured(dataset, FIXED, choice, fixed=True)
                    results[dataset][FIXED] = {**row, "against_float": self.paired(dataset, choice)}
                    yield self._content(results, ablations)
        if self.plan.ablation and "solsa" in self.plan.rules:
            for dataset in studied:
                choice, _ = self.tuned(dataset, "solsa")
                ablations[dataset] = {
                    name: self.measured(dataset, "solsa", changed, seeds=self.plan.ablation_seeds)
                    for name, changed in variants(choice).items()
                }
                yield self._content(results, ablations)
        yield self._content(results, ablations)

    def _content(self, results: dict[str, Any], ablations: dict[str, Any]) -> dict[str, Any]:
        return {
            "results": results,
            "ablations": ablations,
            "mean": averages(results),
            "tasks": {name: describe(self.task(name)) for name in results},
            "budget": {
                "configurations_per_rule": self.plan.configurations,
                "seeds": self.plan.seeds,
                "ablation_seeds": self.plan.ablation_seeds,
                "search": "random, the same draws for every rule; SOLSA's own switches drawn beside them",
                "tuning_seed": TUNING_SEED,
                "judged_by": "accuracy after the last epoch on validation samples, ties by cross-entropy",
                "protocol": PROTOCOL,
            },
            "titles": TITLES,
            "versions": {**versions(), "cpus": str(os.cpu_count())},
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def fold(task: Task, index: int) -> tuple[Samples, Samples]:
    """Training and validation part number ``index``: every k-th sample of each class, in a fixed random order."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(task.train))[: task.tuning_samples or None]
    parts, k = max(4, task.folds), index
    if task.regression:
        held = np.arange(len(order)) % parts == k
    else:
        held = np.zeros(len(order), dtype=bool)
        for label in np.unique(task.train.labels[order]):
            members = np.flatnonzero(task.train.labels[order] == label)
            held[members[k::parts]] = True
    return subset(task.train, np.sort(order[~held])), subset(task.train, np.sort(order[held]))


def variants(best: Choice) -> dict[str, Choice]:
    """SOLSA's best configuration with one thing changed at a time; rates are not tuned again."""
    recipe = best.recipe
    rate = recipe.adapt_rates[0] or 2.0**-11
    found = {
        "schedule: last step": best.with_(schedule="last"),
        "schedule: every step": best.with_(schedule="all"),
        "schedule: even": best.with_(schedule="even"),
        "schedule: searched": best.with_(schedule="searched"),
        "early stop: off": best.with_(stop_after=0, stop_margin=0.0),
        "early stop: on": best.with_(stop_after=best.stop_after or 2, stop_margin=best.stop_margin or 3.0),
        "adaptive filters: off": best.with_(recipe=recipe.with_(adapt_rates=(0.0, 0.0))),
        "adaptive filters: on": best.with_(recipe=recipe.with_(adapt_rates=(rate, 0.0))),
        "reset term: off": best.with_(reset_term=False),
        "surrogate peak: 0.1": best.with_(recipe=peaked(recipe, 0.1)),
        "surrogate peak: 1": best.with_(recipe=peaked(recipe, 1.0)),
        "filtered h: on": best.with_(filtered_surrogate=True),
        "one filter group": best.with_(groups=1),
        "rate per post: on": best.with_(normalise=True),
        "recurrent hidden layer": best.with_(recurrent=True),
        "two hidden layers": best.with_(
            hidden=(64, 64), recipe=recipe.with_(
                weight_sd=(recipe.weight_sd[0], 0.25, recipe.weight_sd[-1]),
                rates=(recipe.rates[0], recipe.rates[0], recipe.rates[-1]),
                adapt_rates=(*(recipe.adapt_rates[0],) * 2, 0.0),
                a=(recipe.a[0], recipe.a[0], recipe.a[-1]), lam=(recipe.lam[0], recipe.lam[0], recipe.lam[-1]),
            )
        ),
    }  # fmt: skip
    if recipe.updates > 1 << 16:  # every step is scheduled: a searched schedule takes nine
        found["schedule: searched"] = best.with_(schedule="searched", recipe=recipe.with_(updates=9))
        found["schedule: even"] = best.with_(schedule="even", recipe=recipe.with_(updates=9))
    return {"as tuned": best, **found}


def peaked(recipe: Recipe, peak: float) -> Recipe:
    """Recipe with another peak of the surrogate and hidden rates that make up for it in the errors."""
    *hidden, last = recipe.rates
    factor = recipe.surrogate_peak / peak
    return recipe.with_(surrogate_peak=peak, rates=(*(rate * factor for rate in hidden), last))


def summary(task: Task, rule: Rule, choice: Choice, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Numbers over the seeds, and the costs of the rule on this network."""
    accuracies = [r["accuracy"] for r in records]
    config, adapt = configured(task, choice), choice.recipe.adapts
    scheduled = statistics.mean(r["scheduled"] for r in records)
    plain = replace(rule, reset_term=rule.reset_term and choice.reset_term)
    return {
        **summed(accuracies),
        "epochs": [r["epochs"] for r in records],
        "epochs_to_95": statistics.mean(r["epochs_to_95"] for r in records) if "epochs_to_95" in records[0] else None,
        "updates": round(statistics.mean(r["updates"] for r in records)),
        "state_bits": state_bits(plain, config, task.steps, adapt=adapt),
        "multiplies_per_step": round(multiplies(plain, config, scheduled, adapt=adapt)),
        "schedules": [r["schedule"] for r in records if r["schedule"] is not None],
        "config": choice.to_dict(),
    }


def averages(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Per rule: mean over the data sets that every rule has, and the deviation of that mean over the seeds."""
    names = [n for n in TUNED if results and all(n in rows for rows in results.values())]
    if results and all(FIXED in rows for rows in results.values()):
        names.append(FIXED)
    found = {}
    for name in names:
        per_seed = list(zip(*(rows[name]["accuracies"] for rows in results.values()), strict=True))
        means = [statistics.mean(values) for values in per_seed]
        found[name] = {
            "mean": statistics.mean(means),
            "deviation": statistics.stdev(means) if len(means) > 1 else 0.0,
            "error": math.sqrt(statistics.variance(means) / len(means)) if len(means) > 1 else 0.0,
        }
    return found


def describe(task: Task) -> dict[str, Any]:
    """What a reader needs to know of a data set."""
    lengths = task.train.lengths
    return {
        "layers": list(task.config.layers),
        "train": len(task.train),
        "test": len(task.test),
        "steps": [int(lengths.min()), int(np.median(lengths)), int(lengths.max())],
        "epochs": task.epochs,
        "folds": task.folds,
        "tuning_samples": task.tuning_samples or len(task.train),
        "measure": "explained variance of the signal" if task.regression else "accuracy",
        "decided_over": f"last {task.window} steps" if task.window else "all steps",
    }
