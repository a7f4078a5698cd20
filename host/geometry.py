"""Which network for which data: a preset that must fit, or one derived from the data set."""

from __future__ import annotations

from solsa.contract import ConfigError, NetworkConfig, preset

from .data import Dataset

#: The preset that derived networks take everything but sizes from.
BASE = "vowels"
_LARGEST_TABLE = 65536


def network_for(dataset: Dataset, name: str | None) -> tuple[NetworkConfig, str]:
    """Configuration for a data set, and its name in results.

    Parameters
    ----------
    dataset : Dataset
        Data to be learned.
    name : str, optional
        Preset; without it the network is channels-64-classes with everything else from the preset ``vowels``.

    Raises
    ------
    ConfigError
        For an unknown preset or one of other sizes, and for data that no network can be built for.
    """
    if name is not None:
        config = preset(name)
        check_sizes(config, dataset, f"preset {name}")
        return config, name
    base = preset(BASE)
    layers = (dataset.n_channels, base.layers[1], dataset.n_classes)
    steps = max(len(sample) for sample in dataset.train)
    config = base.with_(
        layers=layers,
        frame_bytes=_power(max(base.frame_bytes, layers[0] + 11, 8 * layers[-1] + 7)),
        max_steps=min(_LARGEST_TABLE, _power(max(base.max_steps, steps))),
    )
    return config, BASE if config == base else sizes(config)


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
