"""A sweep from its space to its results: propose trials, run their jobs on the workers, keep what comes back."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from solsa.contract import ConfigError, Layout
from solsa.contract.cycles import predicted_cycles

from .data import Dataset, load_dataset
from .display import Bar
from .errors import RunFailed, RunInterrupted
from .options import optional
from .sweep_cluster import Workers
from .sweep_jobs import hardware_job, train_job
from .sweep_plan import Plan, check_space, key_of, plan_for, samples_sha256, split
from .sweep_space import BOARD, Space
from .sweep_study import SAMPLERS, Study, Trial, objectives
from .train import versions

_TICK = 0.5
TRAINING, HARDWARE = "training", "hardware"


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Arguments of ``solsa sweep``."""

    space: Space
    study: Path
    trials: int
    workers: int = 2
    scheduler: str | None = None
    sampler: str = "tpe"
    seed: int = 0


def run_sweep(options: SweepOptions, console: Console) -> dict[str, Any]:
    """Run trials until the study has as many as asked for; returns what ``--json`` writes.

    Raises
    ------
    ConfigError, DataError
        For a space, a study or a scheduler that cannot be used.
    RunFailed
        If the study cannot be written or the scheduler is lost; what was done is kept.
    RunInterrupted
        On an interrupt, likewise.
    """
    if options.sampler not in SAMPLERS:
        raise ConfigError(f"sampler {options.sampler!r}, allowed are {', '.join(SAMPLERS)}")
    space, whole = options.space, load_dataset(options.space.dataset)
    for board in space.boards:
        optional("solsa.boards.catalogue", "find_board", "boards")(board)
    check_space(space, whole)
    data = split(whole, space.validation)
    fingerprint = samples_sha256(data)
    with Study(options.study, space, options.sampler, options.seed, fingerprint) as study:
        sweep = _Sweep(study, space, whole, data, fingerprint, options, console)
        try:
            sweep.run()
        except KeyboardInterrupt:
            done = sum(not trial.running for trial in study.trials)
            raise RunInterrupted(
                f"interrupted; {options.study} keeps {done} trials, the same command goes on"
            ) from None
        return sweep.result()


class _Sweep:
    """The loop: every trial needs its hardware job, then its training job; trials may share one."""

    def __init__(
        self, study: Study, space: Space, whole: Dataset, data: Dataset, fingerprint: str, options: SweepOptions,
        console: Console,
    ) -> None:  # fmt: skip
        self.study, self.space, self.console, self.options = study, space, console, options
        self._whole, self._data, self._fingerprint = whole, data, fingerprint
        self._total = min(options.trials, study.most or options.trials)
        self._known: dict[str, dict[str, Any]] = {}
        self._waiting: dict[str, list[Trial]] = {}
        self._manifests = dict(_manifests(space))
        self._before = sum(not trial.running for trial in study.trials)
        self._seconds, self._jobs, self._threads = 0.0, 0, 0
        self._busy = 0.0

    def run(self) -> None:
        """Finish the trials that are not, then new ones up to the total."""
        trials = self.study.trials
        self._remember()
        left = [trial for trial in trials if trial.running]
        if not left and len(trials) >= self._total:
            return
        with Workers(self.options.workers, self.options.scheduler) as workers, Bar(self.console, self._total) as bar:
            self._threads = workers.threads
            began = time.perf_counter()
            for trial in left:
                self._advance(trial, workers)
            while True:
                while len(trials) < self._total and workers.hungry and self.study.ready():
                    self._start(workers)
                self._show(bar, workers)
                if not self._waiting:
                    break
                answer = workers.next(_TICK)
                if answer is not None:
                    self._take(*answer, workers)
            self._seconds = time.perf_counter() - began

    def _remember(self) -> None:
        """Results that the study holds already, also of trials that were cut off between two jobs."""
        for trial in self.study.trials:
            if trial.plan is None:
                continue
            plan = Plan.from_dict(trial.plan)
            for name, content in self._contents(plan):
                result = getattr(trial, name)
                if result is not None:
                    self._known[key_of(content)] = result

    def _start(self, workers: Workers) -> None:
        point = self.study.propose()
        try:
            plan = plan_for(self.space, point, self._whole)
        except ConfigError as error:
            self._fail(self.study.add(point, None), str(error))
            return
        self._advance(self.study.add(point, plan.to_dict()), workers)

    def _contents(self, plan: Plan) -> Iterable[tuple[str, dict[str, Any]]]:
        hardware = plan.hardware(self.space)
        if hardware is not None:
            yield HARDWARE, hardware
        yield TRAINING, plan.training(self._fingerprint)

    def _advance(self, trial: Trial, workers: Workers) -> None:
        """Take what is known of a trial; hand out the first job that is not."""
        if trial.plan is None:  # cut off before it could be told that it makes no network
            self._retry_plan(trial)
            return
        plan = Plan.from_dict(trial.plan)
        for name, content in self._contents(plan):
            key = key_of(content)
            kept = self._manifests.get((plan.board or "", plan.config.config_hash)) if name == HARDWARE else None
            if kept is not None and plan.clock_mhz in (None, kept["clock_mhz"]):
                self._known.setdefault(key, {"source": "built", **kept})
            if key not in self._known:
                if key not in self._waiting:
                    job = (train_job, content, self._data) if name == TRAINING else (hardware_job, content)
                    workers.submit(key, *job)
                self._waiting.setdefault(key, []).append(trial)
                return
            result = self._known[key]
            if "failed" in result:
                self._fail(trial, result["failed"])
                return
            if getattr(trial, name) is None:
                self.study.note(trial, name, result)
        self.study.complete(trial, _values(plan, trial))
        self._tell_best(trial)

    def _retry_plan(self, trial: Trial) -> None:
        try:
            plan_for(self.space, trial.point, self._whole)
        except ConfigError as error:
            self._fail(trial, str(error))
        else:
            self._fail(trial, "was written without its plan")

    def _take(self, key: str, result: dict[str, Any], workers: Workers) -> None:
        self._known[key] = result
        self._jobs += 1
        self._busy += result.get("seconds", 0.0)
        for trial in self._waiting.pop(key):
            self._advance(trial, workers)

    def _fail(self, trial: Trial, cause: str) -> None:
        self.study.fail(trial, " ".join(cause.split()))
        self.console.print(f"trial {trial.number} failed: {trial.cause}", markup=False, highlight=False)

    # -- display ------------------------------------------------------------------------------------------------------
    def _best(self) -> Trial | None:
        done = [trial for trial in self.study.trials if trial.complete]
        return max(done, key=lambda trial: (trial.values["accuracy"], -trial.number), default=None)

    def _tell_best(self, trial: Trial) -> None:
        if self._best() is trial:
            shown = "  ".join(f"{name} {value}" for name, value in trial.point.items())
            self.console.print(
                f"trial {trial.number}: best accuracy so far {trial.values['accuracy']:.4f}  [dim]{shown}[/]",
                highlight=False,
            )

    def _show(self, bar: Bar, workers: Workers) -> None:
        done = sum(not trial.running for trial in self.study.trials)
        failed = sum(bool(trial.cause) for trial in self.study.trials)
        best = self._best()
        note = [f"best {best.values['accuracy']:.4f} (trial {best.number})"] if best else []
        note += [f"{failed} failed"] if failed else []
        note += [f"{workers.threads} workers" if workers.threads else "waiting for a worker"]
        bar.update(done, f"trial {done}/{self._total}", "  ".join(note))

    def result(self) -> dict[str, Any]:
        """What ``--json`` writes."""
        done = [trial for trial in self.study.trials if not trial.running]
        front = pareto(self.study.trials, objectives(self.space))
        new = len(done) - self._before
        if done and all(trial.cause for trial in done):
            raise RunFailed(f"all {len(done)} trials failed, the first: {done[0].cause}")
        return {
            "study": str(self.options.study),
            "space": self.space.to_dict(),
            "sampler": self.options.sampler,
            "seed": self.options.seed,
            "data_sha256": self._fingerprint,
            "training_samples": len(self._data.train),
            "validation_samples": len(self._data.test),
            "trials": len(done),
            "failed": sum(bool(trial.cause) for trial in done),
            "results_sha256": results_sha256(done),
            "front": [trial.number for trial in front],
            "objectives": {name: "max" if large else "min" for name, large in objectives(self.space).items()},
            "timing": {
                "workers": self._threads,
                "scheduler": self.options.scheduler or "local processes",
                "trials_run": new,
                "jobs_run": self._jobs,
                "wall_seconds": round(self._seconds, 3),
                "job_seconds": round(self._busy, 3),
                "overhead_seconds_per_trial": (
                    round((self._seconds * self._threads - self._busy) / new, 4) if new else None
                ),
            },
            "versions": versions(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "rows": [_row(trial) for trial in done],
        }


def pareto(trials: Iterable[Trial], goals: dict[str, bool]) -> list[Trial]:
    """Complete trials that no other beats: none is as good in every objective and better in one.

    Of equal ones the first stands for all.
    """
    done = [trial for trial in trials if trial.complete]
    points = [tuple(t.values[name] * (1 if large else -1) for name, large in goals.items()) for t in done]
    kept = []
    for i, mine in enumerate(points):
        beaten = any(
            all(a >= b for a, b in zip(other, mine, strict=True)) and (other != mine or j < i)
            for j, other in enumerate(points)
            if j != i
        )
        if not beaten:
            kept.append(done[i])
    return kept


def results_sha256(trials: Iterable[Trial]) -> str:
    """Fingerprint of all that must be equal for equal seeds: parameters, objectives, weights, causes."""
    plain = [
        [t.number, t.point, t.values, t.cause, None if t.training is None else t.training["weight_sha256"]]
        for t in sorted(trials, key=lambda trial: trial.number)
    ]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _values(plan: Plan, trial: Trial) -> dict[str, float]:
    assert trial.training is not None
    values: dict[str, float] = {
        "accuracy": trial.training["accuracy"],
        "state_bits": sum(Layout(plan.config).state_bits().values()),
        "clocks_per_step": predicted_cycles(plan.config).scheduled_step,
    }
    if trial.hardware is not None:
        values |= {name: trial.hardware[name] for name in ("updates_per_second", "lut")}
    return values


def _row(trial: Trial) -> dict[str, Any]:
    row: dict[str, Any] = {"trial": trial.number, "parameters": trial.point}
    if trial.cause:
        return {**row, "failed": trial.cause}
    assert trial.plan is not None
    assert trial.training is not None
    row |= trial.values
    row |= {"network": "-".join(map(str, trial.plan["config"]["layers"])), "lanes": trial.plan["config"]["lanes"],
            "config_hash": trial.plan["config_hash"], "seed": trial.plan["seed"]}  # fmt: skip
    if trial.hardware is not None:
        row |= {BOARD: trial.plan["board"], "hardware": trial.hardware["source"]}
        row |= {name: trial.hardware.get(name) for name in ("clock_mhz", "fmax_mhz", "ff", "bram", "dsp", "spram")}
    row |= {name: trial.training[name] for name in ("train_accuracy", "weight_sha256", "seconds")}
    return row


def _manifests(space: Space) -> Iterable[tuple[tuple[str, str], dict[str, Any]]]:
    """Manifests of earlier builds, by board and configuration."""
    for folder in space.manifests:
        for path in sorted(Path(folder).rglob("*.json")):
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                if not kept["problem"]:
                    yield (kept["board"], kept["config_hash"]), kept
            except (OSError, ValueError, LookupError, TypeError):
                continue  # other files may lie there too
