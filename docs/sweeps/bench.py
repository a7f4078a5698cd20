"""The measurement behind docs/sweeps.md: 100 trials on one local process, on two, and on a Dask cluster of two.

Writes docs/results/sweep-local-1.json, -local-2.json, -dask-2.json and sweep.json, which compares them. The cluster is
started as Dask's documentation says. Exit status 1 if results differ.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
BIN = Path(sys.executable).parent
TRIALS, SEED = 100, 0


def sweep(name: str, folder: Path, *more: str) -> dict[str, Any]:
    """Result of one sweep in a fresh study."""
    file, load = RESULTS / f"sweep-{name}.json", os.getloadavg()[0]
    space = str(ROOT / "docs" / "sweeps" / "vowels.toml")
    what = ["--study", str(folder / f"{name}.db"), "--trials", str(TRIALS), "--seed", str(SEED), "--json", str(file)]
    command = [str(BIN / "solsa"), "sweep", space, *what, *more]
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(file.read_text())
    return {**found, "load_before": load}


def cluster(folder: Path) -> dict[str, Any]:
    """The same on a scheduler and two workers of their own."""
    file, processes = folder / "scheduler.json", []
    try:
        for kind, more in (("scheduler", ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]),
                           ("worker", ["--nthreads", "1", "--no-dashboard"]),
                           ("worker", ["--nthreads", "1", "--no-dashboard"])):  # fmt: skip
            command = [str(BIN / "dask"), kind, *more, "--scheduler-file", str(file)]
            processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            while not file.exists():
                time.sleep(0.1)
        return sweep("dask-2", folder, "--scheduler", json.loads(file.read_text())["address"])
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def main() -> int:
    """Measure and compare."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, two = (sweep(f"local-{n}", folder, "--workers", str(n)) for n in (1, 2))
        dask = cluster(folder)
    runs = {"local-1": one, "local-2": two, "dask-2": dask}
    summary = {
        "trials": TRIALS,
        "seed": SEED,
        "sampler": one["sampler"],
        "results_sha256": {key: run["results_sha256"] for key, run in runs.items()},
        "equal": len({run["results_sha256"] for run in runs.values()}) == 1,
        "speed_up_of_two": round(one["timing"]["wall_seconds"] / two["timing"]["wall_seconds"], 3),
        "speed_up_of_two_dask": round(one["timing"]["wall_seconds"] / dask["timing"]["wall_seconds"], 3),
        "timing": {key: run["timing"] for key, run in runs.items()},
        "load_average_before": {key: run["load_before"] for key, run in runs.items()},
        "processors": os.cpu_count(),
        "versions": one["versions"],
        "date": one["date"],
    }
    (RESULTS / "sweep.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps(summary, indent=2))
    return int(not summary["equal"])


if __name__ == "__main__":
    sys.exit(main())
