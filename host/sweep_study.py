"""The study of a sweep: one SQLite file (optuna's storage) with every trial, whatever becomes of the process.

A trial is written with its parameters before it runs, and finished under the same number; after a kill the ones that
were running are run again, and nothing else. Parameters follow from seed, number and the results of earlier batches
alone, so that neither the order in which workers answer nor a kill changes them.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from solsa.contract import ConfigError

from .sweep_space import BOARD, Dimension, Space, Value

NAME = "solsa sweep"
#: Changes when a study would be read in another way.
STUDY_VERSION = 1
SAMPLERS = ("grid", "random", "tpe")
#: Trials that TPE proposes from the same results. A constant: with more workers the proposals must not change.
BATCH = 8
#: What is wanted of a trial, and whether it is to be large.
WITH_BOARD = {"accuracy": True, "updates_per_second": True, "lut": False, "state_bits": False}
WITHOUT_BOARD = {"accuracy": True, "clocks_per_step": False, "state_bits": False}
#: Seconds that a locked database is waited for.
_PATIENCE = 10
_TRAINING, _HARDWARE, _PLAN, _CAUSE = "training", "hardware", "plan", "cause"


@dataclass
class Trial:
    """One trial.

    Attributes
    ----------
    number : int
        From 0.
    point : dict
        Its parameters, by their names in the study.
    plan : dict, optional
        What it runs (:class:`Plan`); None if the point makes no network.
    values : dict
        Objectives, when it is complete.
    training, hardware : dict, optional
        Results of its jobs.
    cause : str
        Why it failed.
    running : bool
        Neither complete nor failed.
    """

    number: int
    point: dict[str, Value]
    plan: dict[str, Any] | None = None
    values: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    hardware: dict[str, Any] | None = None
    cause: str = ""
    running: bool = True

    @property
    def complete(self) -> bool:
        """It has its results."""
        return not self.running and not self.cause


def objectives(space: Space) -> dict[str, bool]:
    """Names of the objectives, and whether large is good."""
    return WITHOUT_BOARD if space.hardware == "none" else WITH_BOARD


class Study:
    """The trials of a sweep, in memory and in its file. A context manager that holds the study's lock.

    Parameters
    ----------
    path : Path
        SQLite file, made if it is not there.
    space : Space
        Where to search.
    sampler : str
        Of SAMPLERS.
    seed : int
        Of the sampler.
    data : str
        Fingerprint of training and validation samples.

    Raises
    ------
    ConfigError
        If the file is no study, one of another sweep, or in use.
    """

    def __init__(self, path: Path, space: Space, sampler: str, seed: int, data: str) -> None:
        self.path, self.space, self.sampler, self.seed = path, space, sampler, seed
        self.trials: list[Trial] = []
        self._new = not path.exists()
        self._lock = _Lock(path)
        self._goals = objectives(space)
        self._grid = _points(space) if sampler == "grid" else None
        about = {"version": STUDY_VERSION, "space": space.to_dict(), "sampler": sampler, "seed": seed, "data": data}
        try:
            with _as_config_error(path):
                self._study = optuna.create_study(
                    storage=_storage(path), study_name=NAME, load_if_exists=True,
                    directions=["maximize" if large else "minimize" for large in self._goals.values()],
                )  # fmt: skip
                kept = self._study.user_attrs.get("about")
                if kept is None:
                    self._study.set_user_attr("about", about)
                    with _quiet():
                        self._study.set_metric_names(list(self._goals))
                elif kept != about:
                    raise ConfigError(f"study {path} is of another sweep: {_first_difference(kept, about)}")
                self.trials = _trials(self._study, self._goals)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._study._storage.remove_session()
        if self._new and not self.trials:  # nothing was run: leave nothing
            self.path.unlink(missing_ok=True)
        self._lock.release()

    @property
    def most(self) -> int | None:
        """Number of trials after which there is nothing left to try; None without an end."""
        return None if self._grid is None else len(self._grid)

    def ready(self) -> bool:
        """Whether the parameters of the next trial are settled: those of TPE wait for the batches before."""
        if self.sampler != "tpe":
            return True
        return not any(trial.running for trial in self.trials[: len(self.trials) // BATCH * BATCH])

    def propose(self) -> dict[str, Value]:
        """Parameters of the next trial."""
        number = len(self.trials)
        if self._grid is not None:
            return self._grid[number]
        draw = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.sampler == "random":
            # a study of its own for each: the sampler then depends on nothing but the seed
            model = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=draw))
            return self._ask(model)
        with _quiet():
            tpe = optuna.samplers.TPESampler(seed=draw, n_startup_trials=BATCH, constant_liar=True)
        model = optuna.create_study(sampler=tpe, directions=self._study.directions)
        first = number // BATCH * BATCH
        model.add_trials([self._frozen(trial, done=trial.number < first) for trial in self.trials])
        return self._ask(model)

    def add(self, point: dict[str, Value], plan: dict[str, Any] | None) -> Trial:
        """Write a trial down as running, in one step."""
        trial = Trial(len(self.trials), point, plan)
        frozen = create_trial(
            state=TrialState.RUNNING, params=point, distributions=self._distributions(point), user_attrs={_PLAN: plan}
        )
        with _as_run_failed(self.path):
            self._study.add_trial(frozen)
        self.trials.append(trial)
        return trial

    def note(self, trial: Trial, name: str, result: dict[str, Any]) -> None:
        """Write the result of a job of a running trial: ``training`` or ``hardware``."""
        setattr(trial, name, result)
        with _as_run_failed(self.path):
            self._set(trial, name, result)

    def complete(self, trial: Trial, values: Mapping[str, float]) -> None:
        """Finish a trial with its objectives."""
        trial.values, trial.running = {name: float(values[name]) for name in self._goals}, False
        with _as_run_failed(self.path):
            self._study.tell(trial.number, list(trial.values.values()))

    def fail(self, trial: Trial, cause: str) -> None:
        """Finish a trial without results."""
        trial.cause, trial.running = cause, False
        with _as_run_failed(self.path):
            self._set(trial, _CAUSE, cause)
            self._study.tell(trial.number, state=TrialState.FAIL)

    # -- optuna -------------------------------------------------------------------------------------------------------
    def _set(self, trial: Trial, name: str, value: Any) -> None:
        storage = self._study._storage
        identity = storage.get_trial_id_from_study_id_trial_number(self._study._study_id, trial.number)
        storage.set_trial_user_attr(identity, name, value)

    def _ask(self, model: optuna.Study) -> dict[str, Value]:
        trial = model.ask()
        board = None
        if self.space.boards:
            board = str(trial.suggest_categorical(BOARD, list(self.space.boards)))
        for key, dimension in self.space.dimensions(board).values():
            distribution = _distribution(dimension)
            if isinstance(distribution, CategoricalDistribution):
                trial.suggest_categorical(key, distribution.choices)
            elif isinstance(distribution, IntDistribution):
                trial.suggest_int(key, distribution.low, distribution.high, step=distribution.step,
                                  log=distribution.log)  # fmt: skip
            elif isinstance(distribution, FloatDistribution):
                trial.suggest_float(key, distribution.low, distribution.high, step=distribution.step,
                                    log=distribution.log)  # fmt: skip
        return dict(trial.params)

    def _distributions(self, point: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        board = None if BOARD not in point else str(point[BOARD])
        found = {key: _distribution(dimension) for key, dimension in self.space.dimensions(board).values()}
        return found | ({BOARD: CategoricalDistribution(list(self.space.boards))} if board else {})

    def _frozen(self, trial: Trial, done: bool) -> optuna.trial.FrozenTrial:
        """A trial as a sampler sees it: one of its own batch has no result yet, whatever is known by now."""
        state = TrialState.RUNNING if not done else TrialState.COMPLETE if trial.complete else TrialState.FAIL
        values = list(trial.values.values()) if state is TrialState.COMPLETE else None
        return create_trial(
            state=state, values=values, params=trial.point, distributions=self._distributions(trial.point)
        )


def read_study(path: Path) -> tuple[dict[str, Any], list[Trial]]:
    """What a study is about, and its trials; also of a sweep that is running.

    Raises
    ------
    ConfigError
        If there is no such file, or it is no study.
    """
    if not path.is_file():
        raise ConfigError(f"study {path}: no such file")
    with _as_config_error(path):
        if not _holds_sweep(path):
            raise ConfigError(f"study {path}: holds no sweep of solsa")
        storage = _storage(path)
        study = optuna.load_study(storage=storage, study_name=NAME)
        about = study.user_attrs.get("about", {})
        if about.get("version") != STUDY_VERSION:
            raise ConfigError(f"study {path}: version {about.get('version')}, this solsa reads {STUDY_VERSION}")
        goals = WITHOUT_BOARD if about["space"]["hardware"] == "none" else WITH_BOARD
        trials = _trials(study, goals)
        storage.remove_session()
    return about, trials


def _trials(study: optuna.Study, goals: Mapping[str, bool]) -> list[Trial]:
    found = []
    for kept in study.get_trials(deepcopy=False):
        attributes = kept.user_attrs
        complete = kept.state is TrialState.COMPLETE
        found.append(
            Trial(
                number=kept.number,
                point=dict(kept.params),
                plan=attributes.get(_PLAN),
                values=dict(zip(goals, kept.values, strict=True)) if complete else {},
                training=attributes.get(_TRAINING),
                hardware=attributes.get(_HARDWARE),
                cause="" if not kept.state.is_finished() or complete else attributes.get(_CAUSE, "unknown"),
                running=not kept.state.is_finished(),
            )
        )
    return found


def _points(space: Space) -> list[dict[str, Value]]:
    space.grid_size()  # refuses what has no end
    return list(space.grid())


def _distribution(dimension: Dimension) -> BaseDistribution:
    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    if isinstance(dimension.low, int):
        # a step and a logarithm exclude each other
        step = 1 if dimension.log else int(dimension.step or 1)
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log, step=step)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _holds_sweep(path: Path) -> bool:
    """Whether a sweep has made its study in this file. Optuna would add the tables that it misses, and a sweep that is
    just beginning would fail on them.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "studies" not in tables:
            return False
        return bool(database.execute("SELECT 1 FROM studies WHERE study_name = ?", (NAME,)).fetchall())


def _storage(path: Path) -> optuna.storages.RDBStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": _PATIENCE}})


def _first_difference(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    for key in {**kept, **now}:
        old, new = kept.get(key), now.get(key)
        if old != new:
            if isinstance(old, dict) and isinstance(new, dict):
                return f"{key}.{_first_difference(old, new)}"
            return f"{key} was {old} and is {new}; take another file"
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without optuna's warnings that an argument may change."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


@contextmanager
def _as_config_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, RuntimeError, sqlite3.Error) as error:
        raise ConfigError(f"study {path}: {_reason(error)}") from None


@contextmanager
def _as_run_failed(path: Path) -> Iterator[None]:
    from .errors import RunFailed

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise RunFailed(f"study {path}: {_reason(error)}; the same command goes on") from None


def _reason(error: BaseException) -> str:
    """The database's own words."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "orig", None) or error).splitlines()[0]
    if "locked" in text:
        return "locked by another program"
    if "not a database" in text:
        return "not a study of solsa"
    return text


class _Lock:
    """A lock file beside the study that only one sweep can hold; a kill releases it."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f".{path.name}.lock")
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ConfigError(f"study {path}: cannot be written ({error.strerror})") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(self._handle).st_ino == os.stat(self._path).st_ino
        except OSError:
            held = False
        if not held:
            os.close(self._handle)
            raise ConfigError(f"study {path}: locked, another sweep is running on it")

    def release(self) -> None:
        """Let others in."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)
