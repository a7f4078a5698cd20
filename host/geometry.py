"""Which network for which data: a preset that must fit, or one derived from the data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from solsa.contract import ConfigError, NetworkConfig, Readout, preset

from .data import Dataset

#: The preset that derived networks take everything but sizes from.
BASE = "vowels"
_LARGEST_TABLE = 65536


def network_for(dataset: Dataset, name: str | None, *, bias: bool = False) -> tuple[NetworkConfig, str]:
    """Configuration for a data set, and its name in results.

    Parameters
    ----------
    dataset : Dataset
        Data to be learned.
    name : str, optional
        Preset; without it the network is channels-64-classes with everything else from the preset ``vowels``.
    bias : bool
        One more input, without a preset.

    Raises
    ------
    ConfigError
        For an unknown preset or one of other sizes, and for data that no network can be built for.
    """
    if name is not None:
        config = preset(name)
        check_sizes(config, dataset, f"preset {name}")
        return config, name
    layers = (dataset.n_channels + bias, preset(BASE).layers[1], dataset.n_classes)
    config = config_for(layers, max(len(sample) for sample in dataset.train))
    return config, BASE if config == preset(BASE) else sizes(config)


def config_for(layers: tuple[int, ...], steps: int = 0, **changes: Any) -> NetworkConfig:
    """Configuration of these layer sizes, everything else as in the preset ``vowels`` unless ``changes`` says so.

    Frames and schedule table are made large enough for the layers and for samples of ``steps`` steps.

    Raises
    ------
    ConfigError
        For sizes or changes that cannot be built.
    """
    base = preset(BASE)
    frame, table = base.frame_bytes, base.max_steps
    if layers and all(isinstance(size, int) for size in layers):  # what is wrong with them is said below
        targets = 2 * layers[-1] if changes.get("readout") is Readout.TARGET else 0
        frame = _power(max(frame, layers[0] + targets + 11, 8 * layers[-1] + 7))
        table = min(_LARGEST_TABLE, _power(max(table, steps)))
    return base.with_(**{"layers": layers, "frame_bytes": frame, "max_steps": table} | changes)


def named_config(layers: str | Sequence[int], changes: dict[str, Any]) -> tuple[NetworkConfig, str]:
    """Configuration of a preset or of layer sizes with some fields changed, and its name; raises ConfigError."""
    try:
        if "readout" in changes:
            changes["readout"] = Readout(changes["readout"])
        if isinstance(layers, str):
            made = preset(layers).with_(**changes)
            return made, layers if made == preset(layers) else sizes(made)
        made = config_for(tuple(int(size) for size in layers), **changes)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"network: {error}") from None
    return made, sizes(made)


def fitted(base: NetworkConfig, dataset: Dataset, hidden: tuple[int, ...]) -> NetworkConfig:
    """Configuration with hidden layers of these sizes, and channels, classes, frames and steps as data needs them.

    Raises
    ------
    ConfigError
        If no network can be built so.
    """
    layers = (dataset.n_channels, *hidden, dataset.n_classes)
    steps = max(len(sample) for sample in dataset.train)
    return base.with_(
        layers=layers,
        frame_bytes=_power(max(base.frame_bytes, layers[0] + 11, 8 * layers[-1] + 7)),
        max_steps=min(_LARGEST_TABLE, _power(max(base.max_steps, steps))),
    )


def check_sizes(config: NetworkConfig, dataset: Dataset, name: str) -> None:
    """Raise ConfigError unless a configuration has the channels and classes of a data set."""
    if (config.inputs, config.outputs) != (dataset.n_channels, dataset.n_classes):
        raise ConfigError(
            f"{name} ({sizes(config)}) takes {config.inputs} channels and {config.outputs} classes, "
            f"{dataset.name} has {dataset.n_channels} and {dataset.n_classes}; leave the preset out for one that fits"
        )


def sizes(config: NetworkConfig) -> str:
    """Layer sizes, such as ``12-64-9``."""
    return "-".join(map(str, config.layers))


def _power(value: int) -> int:
    return 1 << (value - 1).bit_length()
