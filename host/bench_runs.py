"""One training run of the learning benchmark, in float by any rule or on the integer golden model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from solsa.contract import NetworkConfig, Readout
from solsa.golden.baselines.network import Options, RuleNetwork, Samples
from solsa.golden.baselines.rules import RULES, Rule
from solsa.golden.compiled import CompiledCore

from .bench_search import Choice
from .bench_tasks import Task
from .recipe import Recipe, initial_weights, per_group, per_layer
from .words import Ints

FloatArray = NDArray[np.float64]
#: Epochs between two probe sweeps, and samples of a sweep.
PROBE_EVERY, PROBE_SAMPLES = 2, 64
#: A run with early stop ends after this many epochs in which every training sample was decided right.
PERFECT_EPOCHS = 2


class Learner(Protocol):
    """What a run needs of a network."""

    def learn(
        self, samples: Samples, order: Sequence[int], schedule: NDArray[np.bool_], epoch: int
    ) -> tuple[float, int]:
        """Learn samples; accuracy while learning and updates made."""
        ...

    def scores(self, samples: Samples) -> tuple[FloatArray, float]:
        """Scores [samples, outputs] without learning, and the mean squared error of a followed signal."""
        ...

    def probe(self, samples: Samples, order: Sequence[int]) -> FloatArray:
        """Change of the weights that an update at every step would make, [longest]."""
        ...


def configured(task: Task, choice: Choice) -> NetworkConfig:
    """The task's network with the choice's hidden layers and groups."""
    layers = (task.config.layers[0], *choice.hidden, task.config.layers[-1])
    return task.config.with_(layers=layers, groups=choice.groups, filtered_surrogate=choice.filtered_surrogate)


class FloatLearner:
    """A float network that learns by a rule, with a choice's switches."""

    def __init__(self, task: Task, rule: Rule, choice: Choice, seed: int) -> None:
        config, recipe = configured(task, choice), choice.recipe
        weights = start_weights(config, recipe, seed, choice.recurrent)
        self._recipe, self._depth = recipe, config.depth
        a, lam = (
            [per_group(row, config.groups) for row in per_layer(rows, config.depth)] for rows in (recipe.a, recipe.lam)
        )
        self.network = RuleNetwork(
            config.layers, weights, a, lam, replace(rule, reset_term=rule.reset_term and choice.reset_term),
            theta=recipe.theta, rho=recipe.rho, width=recipe.surrogate_width,
            peak=recipe.surrogate_peak, seed=seed,
            options=Options(
                adapt=recipe.adapts, a_max=recipe.a_max, stop_after=choice.stop_after, stop_margin=choice.stop_margin,
                normalise="row" if choice.normalise else "", recurrent=choice.recurrent, regression=task.regression,
                window=task.window, filtered_surrogate=choice.filtered_surrogate,
            ),
        )  # fmt: skip

    def learn(
        self, samples: Samples, order: Sequence[int], schedule: NDArray[np.bool_], epoch: int
    ) -> tuple[float, int]:
        """Learn samples with the rates of an epoch."""
        factor = self._recipe.factor(epoch)
        rates, slow = (
            np.array(per_layer(v, self._depth)) * factor for v in (self._recipe.rates, self._recipe.adapt_rates)
        )
        found = self.network.epoch(samples, order, schedule, rates, slow)
        return found.accuracy, found.updates

    def scores(self, samples: Samples) -> tuple[FloatArray, float]:
        """Decide without learning."""
        return self.network.evaluate(samples)

    def probe(self, samples: Samples, order: Sequence[int]) -> FloatArray:
        """Probe sweep at the rates of the first epoch."""
        return self.network.probe(samples, order, np.array(per_layer(self._recipe.rates, self._depth)))


class FixedLearner:
    """The integer golden model, with the same start weights, inputs, order and schedule as the float network."""

    def __init__(self, task: Task, choice: Choice, seed: int) -> None:
        self._config, self._recipe, self._window = configured(task, choice), choice.recipe, task.window
        self._rng_seed = seed
        parameters = self._recipe.parameters(self._config, ())
        self.core = CompiledCore(self._config, parameters, initial_weights(self._config, self._recipe, seed))

    def learn(
        self, samples: Samples, order: Sequence[int], schedule: NDArray[np.bool_], epoch: int
    ) -> tuple[float, int]:
        """Learn samples with the registers of an epoch."""
        steps = tuple(int(t) for t in np.flatnonzero(schedule))
        before, right = self.core.state.updates, 0
        self.core.set_parameters(self._recipe.parameters(self._config, steps, epoch))
        for n in order:
            scores = self._sample(samples, n, True)
            right += int(np.argmax(scores) == samples.labels[n])
        return right / max(1, len(order)), self.core.state.updates - before

    def scores(self, samples: Samples) -> tuple[FloatArray, float]:
        """Decide without learning."""
        if self._config.readout is Readout.TARGET:
            return np.zeros((len(samples), self._config.outputs)), self._followed(samples)
        found = np.array([self._sample(samples, n, False) for n in range(len(samples))], dtype=np.float64)
        return found / self._config.formats.score.one, 0.0

    def _followed(self, samples: Samples) -> float:
        """Mean squared error of the readout's membranes; samples are not learned."""
        core, one, total = self.core, self._config.formats.membrane.one, 0.0
        for n in range(len(samples)):
            inputs, row = self._inputs(samples, n), samples.starts[n]
            core.reset_sample()
            for t in range(len(inputs)):
                core.run(inputs[t : t + 1])
                membrane = core.state.layers[-1].membrane / one
                total += float(np.sum((membrane - samples.targets[row + t]) ** 2))
        return total / samples.targets.size

    def _inputs(self, samples: Samples, n: int) -> Ints:
        one = self._config.formats.input.one
        return np.rint(samples.x[samples.starts[n] : samples.starts[n + 1]] * one).astype(np.int64)

    def probe(self, samples: Samples, order: Sequence[int]) -> FloatArray:
        """Not part of the core."""
        raise NotImplementedError

    def _sample(self, samples: Samples, n: int, learn: bool) -> Any:
        core, inputs = self.core, self._inputs(samples, n)
        label, adapt = int(samples.labels[n]), learn and self._recipe.adapts
        core.reset_sample()
        if self._config.readout is Readout.TARGET:
            fmt = self._config.formats.target
            wanted = np.rint(samples.targets[samples.starts[n] : samples.starts[n + 1]] * fmt.one).astype(np.int64)
            core.run(inputs, targets=np.clip(wanted, fmt.min, fmt.max), learn=learn, adapt=adapt)
            return core.state.score
        first = max(0, len(inputs) - self._window) if self._window else 0
        core.run(inputs[:first], label=label, learn=learn, adapt=adapt)
        early = core.state.score.copy()
        core.run(inputs[first:], label=label, learn=learn, adapt=adapt)
        return core.state.score - early


def start_weights(config: NetworkConfig, recipe: Recipe, seed: int, recurrent: bool) -> list[FloatArray]:
    """The device's start weights as real numbers; random recurrent ones appended if wanted."""
    found: list[FloatArray] = [w / config.formats.weight.one for w in initial_weights(config, recipe, seed)]
    if recurrent:
        rng = np.random.default_rng([seed, 5])
        for layer in range(config.depth - 1):
            m = config.post(layer)
            found[layer] = np.hstack([found[layer], rng.normal(0.0, 0.3 * m**-0.5, (m, m))])
    return found


def first_schedule(task: Task, choice: Choice, samples: Samples) -> NDArray[np.bool_]:
    """Where updates happen in the first epoch, [longest]; a searched schedule begins with last steps."""
    lengths, longest = np.sort(samples.lengths), samples.longest
    where = np.zeros(longest, dtype=bool)
    if task.window:
        where[longest - task.window :] = True
        if choice.schedule in ("last", "searched"):
            where[:-1] = False
        elif choice.schedule == "even":
            every = max(1, round(task.window / choice.recipe.updates))
            where &= (longest - 1 - np.arange(longest)) % every == 0
    elif choice.schedule in ("last", "searched"):
        where[[int(n) - 1 for n in (lengths[0], lengths[len(lengths) // 2], longest)]] = True
    elif choice.schedule == "all":
        where[:] = True
    else:
        where[list(choice.recipe.schedule(configured(task, choice), [int(n) for n in lengths]))] = True
    return where


def run(
    task: Task,
    rule: str,
    choice: Choice,
    seed: int,
    train: Samples,
    test: Samples,
    *,
    every_epoch: bool,
    fixed: bool = False,
) -> dict[str, Any]:
    """Train once; returns a JSON-ready record.

    ``accuracy`` is that of the last epoch on ``test``, or for a followed signal the explained part of its variance.
    """
    began = time.perf_counter()
    learner: Learner = FixedLearner(task, choice, seed) if fixed else FloatLearner(task, RULES[rule], choice, seed)
    rng = np.random.default_rng([seed, 3])
    where = first_schedule(task, choice, train)
    history: list[dict[str, float]] = []
    updates = perfect = 0
    for epoch in range(task.epochs):
        if choice.schedule == "searched" and epoch and epoch % PROBE_EVERY == 1:
            where = searched(learner, task, choice, train, rng)
        online, made = learner.learn(train, rng.permutation(len(train)).tolist(), where, epoch)
        updates += made
        perfect = perfect + 1 if online == 1.0 else 0
        done = epoch == task.epochs - 1 or bool(choice.stop_after and perfect >= PERFECT_EPOCHS)
        entry = {"epoch": epoch + 1, "online_accuracy": online}
        if every_epoch or done:
            entry["test_accuracy"], loss = measure(task, learner, test)
        history.append(entry)
        if done:
            break
    final = history[-1]["test_accuracy"]
    record: dict[str, Any] = {
        "accuracy": final,
        "loss": loss,
        "online_accuracy": history[-1]["online_accuracy"],
        "epochs": len(history),
        "updates": updates,
        "scheduled": float(np.mean(where)),
        "schedule": [int(t) for t in np.flatnonzero(where)] if choice.schedule == "searched" else None,
        "seconds": round(time.perf_counter() - began, 3),
    }
    if every_epoch:
        curve = [entry["test_accuracy"] for entry in history]
        record["curve"] = [round(v, 4) for v in curve]
        record["epochs_to_95"] = next(i + 1 for i, v in enumerate(curve) if v >= 0.95 * final)
    return record


def searched(
    learner: Learner, task: Task, choice: Choice, train: Samples, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """The steps at which a probe sweep finds the largest sums of |dw|, as many as the choice has updates."""
    changes = learner.probe(train, rng.permutation(len(train))[:PROBE_SAMPLES].tolist())
    if task.window:
        changes[: len(changes) - task.window] = 0.0
    where = np.zeros(len(changes), dtype=bool)
    where[np.argsort(-np.nan_to_num(changes), kind="stable")[: choice.recipe.updates]] = True
    return where & (changes > 0) if np.any(changes > 0) else where


def measure(task: Task, learner: Learner, test: Samples) -> tuple[float, float]:
    """Accuracy and cross-entropy of the mean readout; for a followed signal the explained variance and the error."""
    scores, error = learner.scores(test)
    if task.regression:
        explained = 1.0 - error / float(np.var(test.targets))
        return (max(0.0, explained), error) if np.isfinite(error) else (0.0, 1e9)
    if not np.isfinite(scores).all():
        return 0.0, 1e9
    lengths = np.minimum(test.lengths, task.window or test.longest)[:, None]
    mean = scores / lengths
    mean = mean - mean.max(1, keepdims=True)
    chance = mean[np.arange(len(mean)), test.labels] - np.log(np.exp(mean).sum(1))
    return float(np.mean(scores.argmax(1) == test.labels)), float(-chance.mean())
