"""One training on an open device: what the measurements of this folder compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from solsa.contract import NetworkConfig
from solsa.host.data import Dataset
from solsa.host.device import Device
from solsa.host.faulty import Faults
from solsa.host.recipe import recipe_for
from solsa.host.train import Progress, learn, start_network, versions

#: 1 % of all bytes wrong, and the cable falls out every 100 samples.
LYING = Faults(flip=0.006, drop=0.002, duplicate=0.002, disconnect=100)


def trained(
    device: Device,
    dataset: Dataset,
    config: NetworkConfig,
    epochs: int,
    seed: int,
    on_progress: Callable[[Progress], None] = lambda _: None,
    due: Callable[[], bool] = lambda: False,
) -> tuple[str, float]:
    """weight_sha256 and seconds of a training; the device is closed."""
    recipe = recipe_for(dataset.name, config).with_(epochs=epochs)
    network = start_network(config, "measured", recipe, dataset, seed)
    began = time.monotonic()
    with device:
        result = learn(device, network, dataset, epochs, on_progress, due=due)
    return result.weight_sha256, time.monotonic() - began


def origin(seed: int, command: str) -> dict[str, Any]:
    """What a result file says about where it comes from."""
    return {
        "seed": seed,
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
    }
