"""Learns on the simulated device over a line that lies for a chosen time, and compares with golden: ``make soak``.

``python -m tests.reliability.soak --minutes 10 --json docs/results/reliability-soak.json``

Every run has new samples, new faults (bytes flipped, lost, doubled, transfers cut, split and late, the cable falling
out, now and then with a loss of power) and its own training; its weights must be those of the golden model over a
perfect line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from solsa.contract import preset
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.files import check_file, write_json

from .training import LYING, origin, trained

SAMPLES = 60


def samples(seed: int) -> Dataset:
    """A data set for the smallest preset."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "soak.npz"
        np.savez(path, X=rng.normal(0, 1, (SAMPLES, 6, 3)), y=np.arange(SAMPLES) % 3)
        return load_dataset(str(path))


def soak(minutes: float, seed: int) -> dict[str, Any]:
    """Runs until the time is over, at least one."""
    rng, config = np.random.default_rng(seed), preset("tiny")
    began, runs, equal, retries, reconnects, bad = time.monotonic(), 0, 0, 0, 0, []
    while not runs or time.monotonic() - began < 60 * minutes:
        number = seed + runs
        dataset = samples(number)
        distance = int(rng.integers(10, 41))
        # A test set is decided anew after a loss of power: between two losses it must come to its end.
        power = int(rng.integers(2)) * (2 * SAMPLES // distance + 1)
        faults = dataclasses.replace(
            LYING, cut=0.01, split=0.05, delay=0.01, disconnect=distance, power=power, seed=number,
        )  # fmt: skip
        every = int(rng.integers(5, 21))
        expected, _ = trained(Device.open("golden", config), dataset, config, 1, number)
        device = Device.open("sim", config, faults=faults)
        count = iter(range(1, 1 << 30))
        found, _ = trained(device, dataset, config, 1, number, due=lambda: next(count) % every == 0)  # noqa: B023
        runs, equal = runs + 1, equal + (found == expected)
        retries, reconnects = retries + device.link.retries, reconnects + device.link.reconnects
        if found != expected:
            bad.append(dataclasses.asdict(faults))
        print(f"soak run {runs}: {'equal' if found == expected else 'DIFFERENT'}", file=sys.stderr, flush=True)
    return {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "runs": runs,
        "equal": equal,
        "samples_learned": runs * SAMPLES,
        "retries": retries,
        "reconnects": reconnects,
        "different": bad,
    }


def main() -> int:
    """Command line."""
    text = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.soak", description=text)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the next one takes the next number")
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    check_file(a.json, "--json")
    result = soak(a.minutes, a.seed)
    result |= origin(a.seed, f"python -m tests.reliability.soak --minutes {a.minutes:g} --seed {a.seed}")
    print(json.dumps(result, indent=2))
    if a.json:
        write_json(a.json, result)
    return int(result["equal"] != result["runs"])


if __name__ == "__main__":
    sys.exit(main())
