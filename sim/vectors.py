"""Stored vectors: a case with every number written out, as JSON, so that a past failure runs again for ever."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, Parameters

from .random_networks import Case
from .records import StepInput

#: Changes with the layout of the file.
FORMAT = 1


@dataclass(frozen=True)
class Vector:
    """A case and why it is kept.

    Attributes
    ----------
    case : Case
        What is run.
    about : str
        Where it comes from.
    mismatch : str, optional
        What the checker said when it was found.
    planted : str, optional
        Planted bug with which it was found; without the bug it must pass.
    """

    case: Case
    about: str
    mismatch: str | None = None
    planted: str | None = None


def write_vector(path: Path, vector: Vector) -> None:
    """Write a vector; one line per step and per weight row, so that differences can be read."""
    case = vector.case
    plain: dict[str, Any] = {
        "format": FORMAT,
        "about": vector.about,
        "mismatch": vector.mismatch,
        "planted": vector.planted,
        "config": case.config.to_dict(),
        "parameters": case.parameters.to_dict(),
    }
    head = json.dumps(plain, indent=1)[:-2]
    weights = ",\n".join(f"  {json.dumps(w.tolist())}" for w in case.weights)
    steps = ",\n".join(f"  {json.dumps(_step(one))}" for one in case.stimuli)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(f'{head},\n "weights": [\n{weights}\n ],\n "stimuli": [\n{steps}\n ]\n}}\n', encoding="utf-8")
    part.replace(path)


def read_vector(path: Path) -> Vector:
    """Read a vector.

    Raises
    ------
    ConfigError
        One line, if the file is not one.
    """
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["format"] != FORMAT:
            raise ConfigError(f"{path}: format {plain['format']}, allowed {FORMAT}")
        case = Case(
            NetworkConfig.from_dict(plain["config"]),
            Parameters.from_dict(plain["parameters"]),
            [np.array(rows, dtype=np.int64) for rows in plain["weights"]],
            [_stimulus(step) for step in plain["stimuli"]],
        )
        case.parameters.check(case.config)
        return Vector(case, plain["about"], plain["mismatch"], plain["planted"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a stored vector ({error})") from None


def _step(one: StepInput) -> dict[str, Any]:
    target = None if one.target is None else one.target.tolist()
    return {"inputs": one.inputs.tolist(), "label": one.label, "target": target,
            "reset": one.reset, "learn": one.learn, "adapt": one.adapt,
            **({"probe": True} if one.probe else {})}  # fmt: skip


def _stimulus(plain: dict[str, Any]) -> StepInput:
    target = None if plain["target"] is None else np.array(plain["target"], dtype=np.int64)
    inputs = np.array(plain["inputs"], dtype=np.int64)
    probe = plain.get("probe", False)
    return StepInput(inputs, plain["label"], target, plain["reset"], plain["learn"], plain["adapt"], probe)
