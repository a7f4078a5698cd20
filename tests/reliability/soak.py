"""Measures what issue 7 promises of the host: learning over a line that lies, runs that are killed, a long soak.

``python -m tests.reliability.soak --json docs/results/reliability.json``

1. ``learn`` over a line with 1 % byte errors and a disconnection every 100 samples, against a perfect one.
2. A run that is killed (kill -9) at random moments, each of its own, and resumed, against one that nobody disturbs.
3. With ``--minutes``: the simulated device over the lying line, new seeds until the time is over, against golden.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from solsa.contract import NetworkConfig, preset
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.faulty import Faults
from solsa.host.files import write_json
from solsa.host.geometry import network_for
from solsa.host.recipe import recipe_for
from solsa.host.train import learn, start_network, versions

from .killed import killed_run, whole_run

LYING = Faults(flip=0.006, drop=0.002, duplicate=0.002, disconnect=100)


def trained(device: Device, dataset: Dataset, config: NetworkConfig, epochs: int, seed: int) -> tuple[str, float]:
    """weight_sha256 and seconds of a training."""
    recipe = recipe_for(dataset.name, config).with_(epochs=epochs)
    network = start_network(config, "soak", recipe, dataset, seed)
    began = time.monotonic()
    with device:
        return learn(device, network, dataset, epochs).weight_sha256, time.monotonic() - began


def lying_line(dataset: Dataset, epochs: int, seed: int) -> dict[str, Any]:
    """``learn`` on golden over both lines."""
    config = network_for(dataset, None)[0]
    faults = dataclasses.replace(LYING, seed=seed)
    expected, perfect_seconds = trained(Device.open("golden", config), dataset, config, epochs, seed)
    device = Device.open("golden", config, faults=faults)
    found, seconds = trained(device, dataset, config, epochs, seed)
    return {
        "dataset": dataset.name,
        "epochs": epochs,
        "faults": dataclasses.asdict(faults),
        "retries": device.link.retries,
        "reconnects": device.link.reconnects,
        "seconds": round(seconds, 2),
        "seconds_perfect_line": round(perfect_seconds, 2),
        "weight_sha256": found,
        "weight_sha256_perfect_line": expected,
        "equal": found == expected,
    }


def kills(name: str, epochs: int, count: int, seed: int) -> dict[str, Any]:
    """``count`` runs, each killed once at a random moment and resumed."""
    with tempfile.TemporaryDirectory() as folder:
        expected, seconds = whole_run(name, Path(folder) / "whole", epochs)
        runs = []
        for number in range(count):
            result, (struck,) = killed_run(name, Path(folder) / "killed", epochs, 1, seconds, seed + number)
            runs.append({**struck, "equal": result["weight_sha256"] == expected["weight_sha256"]})
            print(f"kill {number + 1}/{count}: {runs[-1]}", file=sys.stderr, flush=True)
    return {
        "dataset": Path(name).stem,
        "epochs": epochs,
        "kills": count,
        "equal": sum(run["equal"] for run in runs),
        "seconds_from_first_sample_undisturbed": round(seconds, 2),
        "weight_sha256": expected["weight_sha256"],
        "runs": runs,
    }


def soak(minutes: float, seed: int) -> dict[str, Any]:
    """Simulated device over the lying line, until the time is over."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 1, (60, 6, 3)), np.arange(60) % 3
    config = preset("tiny")
    deadline, runs, equal, retries, reconnects = time.monotonic() + 60 * minutes, 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "soak.npz", X=x, y=y)
        dataset = load_dataset(str(Path(folder) / "soak.npz"))
    while not runs or time.monotonic() < deadline:
        faults = dataclasses.replace(
            LYING, cut=0.01, split=0.05, delay=0.01, disconnect=int(rng.integers(20, 101)), seed=seed + runs
        )
        expected, _ = trained(Device.open("golden", config), dataset, config, 1, seed + runs)
        device = Device.open("sim", config, faults=faults)
        found, _ = trained(device, dataset, config, 1, seed + runs)
        runs, equal = runs + 1, equal + (found == expected)
        retries, reconnects = retries + device.link.retries, reconnects + device.link.reconnects
        print(f"soak run {runs}: {'equal' if found == expected else 'DIFFERENT'}", file=sys.stderr, flush=True)
    return {"minutes": minutes, "runs": runs, "equal": equal, "retries": retries, "reconnects": reconnects}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.soak", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--dataset", default="JapaneseVowels")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=0.0, help="soak of the simulated device; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    result: dict[str, Any] = {"lying_line": lying_line(load_dataset(a.dataset), a.epochs, a.seed)}
    passed = result["lying_line"]["equal"]
    if a.kills:
        result["killed"] = kills(a.dataset, a.epochs, a.kills, a.seed)
        passed &= result["killed"]["equal"] == a.kills
    if a.minutes:
        result["soak"] = soak(a.minutes, a.seed)
        passed &= result["soak"]["equal"] == result["soak"]["runs"]
    result |= {
        "seed": a.seed,
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.reliability.soak --dataset {a.dataset} --epochs {a.epochs} --kills {a.kills} "
        f"--minutes {a.minutes:g} --seed {a.seed}",
    }
    print(json.dumps(result, indent=2))
    if a.json:
        a.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(a.json, result)
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
