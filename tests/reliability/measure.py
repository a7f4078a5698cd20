"""Measures what the host promises when the line lies, the host is killed, or memory loses a bit: ``make reliability``.

``python -m tests.reliability.measure PART --json docs/results/reliability-PART.json``

- ``line``: ``learn`` over a line with 1 % byte errors and a disconnection every 100 samples, against a perfect one.
- ``kills``: runs that are killed (kill -9), each at a random moment, and resumed, against one that nobody disturbs.
- ``memory``: bits flipped in the weight memory of the simulated device: found, named, and undone while it learns.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from solsa.contract import NetworkConfig
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.files import check_file, write_json
from solsa.host.geometry import network_for
from solsa.host.recipe import recipe_for
from solsa.host.scrub import MemoryFault, ScrubbedDevice
from solsa.host.train import Progress, start_network
from solsa.host.transport import longest_silence
from solsa.sim.upset import UpsetDevice

from .killed import killed_run, whole_run
from .training import LYING, origin, trained

#: Samples between two reads of the whole memory while it learns.
EVERY = 20


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


def kills(name: str, epochs: int, count: int, seed: int, jobs: int) -> dict[str, Any]:
    """``count`` runs, each killed once at a random moment and resumed."""
    with tempfile.TemporaryDirectory() as folder:
        expected, seconds = whole_run(name, Path(folder) / "whole", epochs)

        def kill(number: int) -> dict[str, Any]:
            result, (struck,) = killed_run(name, Path(folder) / f"killed{number}", epochs, 1, seconds, seed + number)
            run = {**struck, "equal": result["weight_sha256"] == expected["weight_sha256"]}
            print(f"kill {number + 1} of {count}: {run}", file=sys.stderr, flush=True)
            return run

        with ThreadPoolExecutor(jobs) as pool:
            runs = list(pool.map(kill, range(count)))
    return {
        "dataset": Path(name).stem,
        "epochs": epochs,
        "kills": count,
        "equal": sum(run["equal"] for run in runs),
        "seconds_from_first_sample_undisturbed": round(seconds, 2),
        "weight_sha256": expected["weight_sha256"],
        "runs": runs,
    }


class Upsets:
    """Flips one random weight bit at a time while a device learns, the next once the last was found.

    Parameters
    ----------
    simulated, device : UpsetDevice, ScrubbedDevice
        The same device, its memory and its host's view.
    rng : Generator
        Draws moments, places and bits.
    count : int
        Bits to flip.
    """

    def __init__(self, simulated: UpsetDevice, device: ScrubbedDevice, rng: np.random.Generator, count: int) -> None:
        self._simulated, self._device, self._rng, self._left = simulated, device, rng, count
        self._place: tuple[int, int, int] | None = None
        self._age, self._wait = 0, self._pause()
        self.flipped = self.named = 0
        self.ages: list[int] = []

    def place(self) -> tuple[int, int, int]:
        """A synapse: layer, post, pre."""
        config = self._simulated.config
        layer = int(self._rng.choice(config.depth, p=np.array(synapses(config)) / config.synapses))
        return layer, int(self._rng.integers(config.post(layer))), int(self._rng.integers(config.pre(layer)))

    def bit(self) -> int:
        """A bit of a weight."""
        return int(self._rng.integers(self._simulated.config.formats.weight.width))

    def __call__(self, _: Progress) -> None:
        """After every sample."""
        self.settle()
        self._age += 1
        if self._place is None and self._left and self._age > self._wait:
            self._place, self._age = self.place(), 0
            self._simulated.flip_weight(*self._place, self.bit())
            self._left, self.flipped = self._left - 1, self.flipped + 1

    def settle(self) -> None:
        """See whether the last flip has been found."""
        if self._place is not None and len(self._device.found) > len(self.ages):
            self.ages.append(self._age + 1)
            self.named += self._place in [fault[1:4] for fault in self._device.found[-1].faults]
            self._place, self._age, self._wait = None, 0, self._pause()

    def _pause(self) -> int:
        """Samples until the next flip: a run that loses its state without any progress is given up."""
        return int(self._rng.integers(EVERY // 2, 3 * EVERY // 2))


def synapses(config: NetworkConfig) -> list[int]:
    """Synapses of every layer."""
    return [config.post(layer) * config.pre(layer) for layer in range(config.depth)]


def memory(dataset: Dataset, seed: int, places: int, flips: int) -> dict[str, Any]:
    """Flipped bits in the compiled RTL: with the device at rest, then while it learns."""
    config, rng = network_for(dataset, None)[0], np.random.default_rng(seed)
    expected, seconds = trained(Device.open("golden", config), dataset, config, 1, seed)
    _, beside = trained(ScrubbedDevice.open("golden", config), dataset, config, 1, seed)
    simulated = UpsetDevice(config, silence=longest_silence(config))
    device = ScrubbedDevice(simulated, config, "sim")
    network = start_network(config, "measured", recipe_for(dataset.name, config), dataset, seed)
    device.load_network(network.current_parameters(), network.weights)
    upsets, exact = Upsets(simulated, device, rng, flips), 0
    for _ in range(places):
        place, bit = upsets.place(), upsets.bit()
        simulated.flip_weight(*place, bit)
        try:
            device.scrub()
        except MemoryFault as found:
            exact += [fault[1:4] for fault in found.faults] == [place] and f"(bit {bit} flipped)" in str(found)
        simulated.flip_weight(*place, bit)
    device.scrub()
    device.found.clear()
    print(f"{exact} of {places} flipped bits named", file=sys.stderr, flush=True)
    count = iter(range(1, 1 << 30))
    sha, learning = trained(device, dataset, config, 1, seed, on_progress=upsets, due=lambda: next(count) % EVERY == 0)
    upsets.settle()
    return {
        "dataset": dataset.name,
        "at_rest": {"flipped": places, "found_and_named_exactly": exact},
        "learning": {
            "epochs": 1,
            "flipped": upsets.flipped,
            "found": len(upsets.ages),
            "named": upsets.named,
            "samples_between_reads": EVERY,
            "samples_until_found_most": max(upsets.ages, default=0),
            "samples_until_found_median": float(np.median(upsets.ages)) if upsets.ages else 0.0,
            "seconds": round(learning, 2),
            "weight_sha256": sha,
            "weight_sha256_golden": expected,
            "equal": sha == expected,
        },
        "seconds_golden": round(seconds, 2),
        "seconds_golden_checked": round(beside, 2),
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.measure", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("part", choices=("line", "kills", "memory"))
    parser.add_argument("--dataset", default="JapaneseVowels")
    parser.add_argument("--epochs", type=int, default=2, help="of line and kills")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1, help="runs that are killed at the same time")
    parser.add_argument("--places", type=int, default=100, help="bits flipped in a device at rest")
    parser.add_argument("--flips", type=int, default=20, help="bits flipped while it learns")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    check_file(a.json, "--json")
    command = f"python -m tests.reliability.measure {a.part} --dataset {a.dataset} --seed {a.seed}"
    if a.part == "kills":
        command += f" --epochs {a.epochs} --kills {a.kills} --jobs {a.jobs}"
        result = kills(a.dataset, a.epochs, a.kills, a.seed, a.jobs)
        passed = result["equal"] == a.kills
    elif a.part == "line":
        command += f" --epochs {a.epochs}"
        result = lying_line(load_dataset(a.dataset), a.epochs, a.seed)
        passed = result["equal"]
    else:
        command += f" --places {a.places} --flips {a.flips}"
        result = memory(load_dataset(a.dataset), a.seed, a.places, a.flips)
        learning = result["learning"]
        passed = learning["equal"] and learning["found"] == learning["flipped"] == a.flips
        passed &= result["at_rest"]["found_and_named_exactly"] == a.places
    result |= origin(a.seed, command)
    print(json.dumps(result, indent=2))
    if a.json:
        write_json(a.json, result)
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
