"""The choice after a sweep: one of its trials, to be trained in full or built."""

from __future__ import annotations

from pathlib import Path

from solsa.contract import ConfigError

from .sweep_plan import Plan
from .sweep_study import read_study


def chosen_plan(study: Path, number: int) -> Plan:
    """What a trial of a study ran.

    Raises
    ------
    ConfigError
        If there is no such study or trial, or the trial has no result.
    """
    _, trials = read_study(study)
    if number >= len(trials):
        raise ConfigError(f"study {study}: trial {number}, allowed are 0 to {len(trials) - 1}")
    trial = trials[number]
    if trial.cause:
        raise ConfigError(f"study {study}: trial {number} failed: {trial.cause}")
    if trial.running or trial.plan is None:
        raise ConfigError(f"study {study}: trial {number} has not ended yet")
    return Plan.from_dict(trial.plan)


def chosen_dataset(study: Path) -> str:
    """Data set of a study, as it was given to the sweep."""
    return str(read_study(study)[0]["space"]["dataset"])
