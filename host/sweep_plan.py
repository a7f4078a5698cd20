"""From a point of a search space to what is run: a core, a recipe, and the jobs of the trial.

A job is a pure function of its content, whose digest is its key: two trials that need the same job share its result.
The golden model's bits depend neither on lanes nor on the kind of neuron unit or memory, so a training leaves them out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from solsa.contract import BankKind, ConfigError, Format, NetworkConfig, NeuronUnit, preset

from .data import Dataset, hold_out
from .geometry import fitted, network_for, sizes
from .recipe import Recipe, recipe_for
from .sweep_space import BOARD, FORMATS, RECIPE_FIELDS, Space, Value
from .train import fingerprint

#: Seed of the choice of validation samples: the same for all trials of all sweeps.
VALIDATION_SEED = 1
_PER_LAYER = {"rate": "rates", "adapt_rate": "adapt_rates", "weight_sd": "weight_sd"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a trial runs.

    Attributes
    ----------
    config : NetworkConfig
        Core that is trained and built.
    recipe : Recipe
        How it is trained.
    seed : int
        Of start weights and order of samples.
    name : str
        Of the configuration: its preset, or sizes and hash.
    board : str, optional
        What it is built for.
    clock_mhz : float, optional
        In place of the board's.
    nextpnr_seed : int
        First seed of place and route.
    """

    config: NetworkConfig
    recipe: Recipe
    seed: int = 0
    name: str = ""
    board: str | None = None
    clock_mhz: float | None = None
    nextpnr_seed: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form."""
        return {
            "config": self.config.to_dict(),
            "config_hash": self.config.config_hash,
            "recipe": self.recipe.to_dict(),
            **{key: getattr(self, key) for key in ("seed", "name", "board", "clock_mhz", "nextpnr_seed")},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Plan:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        ConfigError
            If it was made by a solsa in which the configuration means something else.
        """
        values = {key: plain[key] for key in ("seed", "name", "board", "clock_mhz", "nextpnr_seed")}
        config = NetworkConfig.from_dict(plain["config"])
        if config.config_hash != plain["config_hash"]:
            raise ConfigError(
                f"made for configuration {plain['config_hash']}, which this solsa computes as {config.config_hash}: "
                "another contract version"
            )
        return cls(config=config, recipe=Recipe.from_dict(plain["recipe"]), **values)

    def training(self, data: str) -> dict[str, Any]:
        """Content of the training job: all that its result depends on; ``data`` is the fingerprint of the samples."""
        config = self.config.with_(lanes=1, neuron_unit=NeuronUnit.PIPELINED, bank=BankKind.DUAL_PORT)
        return {"config": config.to_dict(), "recipe": self.recipe.to_dict(), "seed": self.seed, "data": data}

    def hardware(self, space: Space) -> dict[str, Any] | None:
        """Content of the hardware job, None where no board is asked for."""
        if self.board is None or space.hardware == "none":
            return None
        content = {"mode": space.hardware, "board": self.board, "config": self.config.to_dict(), "name": self.name,
                   "clock_mhz": self.clock_mhz}  # fmt: skip
        if space.hardware == "build":
            content |= {"seed": self.nextpnr_seed, "seeds": space.nextpnr_seeds}
        return content


def key_of(content: Mapping[str, Any]) -> str:
    """Key of a job: a digest of its content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]


def split(dataset: Dataset, share: float) -> Dataset:
    """Training samples alone, a part of them in place of the test samples: what trials are trained and judged on."""
    held = hold_out(dataset.train_labels, dataset.class_names, dataset.name, share, VALIDATION_SEED)
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    return replace(
        dataset,
        train=[dataset.train[i] for i in train],
        train_labels=dataset.train_labels[train],
        test=[dataset.train[i] for i in validation],
        test_labels=dataset.train_labels[validation],
    )


def samples_sha256(dataset: Dataset) -> str:
    """Fingerprint of training and validation samples."""
    validation = replace(dataset, train=dataset.test, train_labels=dataset.test_labels)
    return hashlib.sha256((fingerprint(dataset) + fingerprint(validation)).encode()).hexdigest()


def plan_for(space: Space, point: Mapping[str, Value], dataset: Dataset) -> Plan:
    """What a trial at a point of the space runs.

    Raises
    ------
    ConfigError
        For a core that cannot be built or a recipe that its formats cannot hold.
    """
    values: dict[str, Any] = space.plain(point)
    board = values.pop(BOARD, None)
    config, base = _config(space, board, values, dataset)
    recipe = _recipe(recipe_for(dataset.name, config), values)
    recipe.parameters(config, recipe.schedule(config, [len(sample) for sample in dataset.train]))
    same = base is not None and config == preset(base).with_(lanes=config.lanes)
    return Plan(
        config=config,
        recipe=recipe,
        seed=_at_least(0, "seed", values.get("seed", 0)),
        name=base if base is not None and same else f"{sizes(config)}-{config.config_hash}",
        board=board,
        clock_mhz=values.get("clock_mhz"),
        nextpnr_seed=_at_least(0, "nextpnr_seed", values.get("nextpnr_seed", 1)),
    )


def check_space(space: Space, dataset: Dataset) -> None:
    """Raise ConfigError for a dimension with a value that cannot be built whatever the others are.

    Every choice and both ends of every range are tried alone; what only a combination breaks fails its trials.
    """
    for board in space.boards or (None,):
        for name, (key, dimension) in space.dimensions(board).items():
            for value in dimension.ends():
                try:
                    if name.startswith(FORMATS):  # some make sense only together
                        _format(name, str(value))
                    else:
                        plan_for(space, {key: value} | ({BOARD: board} if board else {}), dataset)
                except ConfigError as error:
                    raise ConfigError(f"space.{key} = {value}: {error}") from None


def _config(
    space: Space, board: str | None, values: Mapping[str, Any], dataset: Dataset
) -> tuple[NetworkConfig, str | None]:
    """Configuration of a trial and the preset it started from."""
    name = space.boards[board] if board is not None else space.preset
    base = preset(name) if name is not None else network_for(dataset, None)[0]
    hidden = base.layers[1:-1]
    if "hidden" in values:
        hidden = _hidden(values["hidden"])
    elif "hidden_size" in values or "hidden_layers" in values:
        hidden = (values.get("hidden_size", hidden[0]),) * values.get("hidden_layers", len(hidden))
    formats = {
        key.removeprefix(FORMATS): _format(key, value) for key, value in values.items() if key.startswith(FORMATS)
    }
    changes: dict[str, Any] = {key: values[key] for key in ("lanes", "groups") if key in values}
    if formats:
        changes["formats"] = replace(base.formats, **formats)
    return fitted(base.with_(**changes), dataset, hidden), name


def _recipe(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    changes: dict[str, Any] = {key: values[key] for key in RECIPE_FIELDS if key in values}
    for prefix, name in _PER_LAYER.items():
        *hidden, last = getattr(recipe, name)
        if f"{prefix}_hidden" in values:
            hidden = [values[f"{prefix}_hidden"]] * len(hidden)
        changes[name] = (*hidden, values.get(f"{prefix}_readout", last))
    for key in ("epochs", "updates"):
        if key in changes:
            _at_least(1, key, changes[key])
    for key, value in changes.items():
        for number in value if isinstance(value, tuple) else (value,):
            if number < 0:
                raise ConfigError(f"{key} {number:g}, allowed are 0 or more")
    return recipe.with_(**changes)


def _hidden(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split("-"))
    except ValueError:
        raise ConfigError(f"hidden {text!r} are not sizes such as 64 or 64-32") from None


def _format(key: str, text: str) -> Format:
    width, dot, frac = text.partition(".")
    if not (dot and width.isdecimal() and frac.isdecimal()):
        raise ConfigError(f"{key} {text!r} is not WIDTH.FRACTION such as 16.13")
    return Format(int(width), int(frac))


def _at_least(least: int, name: str, value: int) -> int:
    if value < least:
        raise ConfigError(f"{name} {value}, allowed are {least} or more")
    return value
