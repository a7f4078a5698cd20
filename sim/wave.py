"""Waveforms: ``solsa verify --wave FILE`` runs a network on Amaranth's simulator and keeps what its units did.

The file is a VCD with a scope per unit (sim/signals.py). Fixed-point words are real numbers, enums their names. Beside
it lie the lists of signals for GTKWave (.gtkw) and for Surfer (.sucl). Time begins after the network has been loaded; a
clock is 10 ns.
"""

from __future__ import annotations

import datetime
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaranth.hdl import Cat, Elaboratable, Module
from vcd import VCDWriter
from vcd.gtkw import GTKWSave
from vcd.writer import Variable

from solsa.contract import ConfigError, NetworkConfig, preset
from solsa.rtl.core import Core

from .lockstep import Lockstep
from .planted import bug, planted
from .pysim import PysimCore
from .records import HangError
from .signals import Shown, shown_signals
from .strategies import random_case

#: Nanoseconds of a clock in the file.
CLOCK = 10
#: Steps that are run; as many more as it takes with a planted bug.
STEPS, SEARCHED = 12, 200
ROOT = "solsa"


class WatchedCore(PysimCore):
    """Core on Amaranth's simulator that tells the value of every shown signal in every clock.

    Parameters
    ----------
    config : NetworkConfig
        What to simulate.
    make_core : callable, optional
        Another design with the same ports (planted bugs).
    """

    def __init__(self, config: NetworkConfig, make_core: Callable[[], Elaboratable] | None = None) -> None:
        self.signals: list[Shown] = []
        #: Called with the clock and the signals that have changed; nothing is watched while it is None.
        self.on_clock: Callable[[int, list[tuple[Shown, int]]], None] | None = None
        self.clock = 0
        make: Callable[[], Any] = make_core or (lambda: Core(config, observe=True))
        super().__init__(config, make_core=lambda: self._opened(make()))
        assert self._simulator is not None
        self._simulator.add_testbench(self._watch, background=True)

    def _opened(self, core: Any) -> Any:
        """A core that names its units to us when it is built."""
        elaborate = core.elaborate

        def opened(platform: object) -> Module:
            module: Module = elaborate(platform)
            self.signals = shown_signals(self.config, module.submodules)
            return module

        core.elaborate = opened
        return core

    async def _watch(self, ctx: Any) -> None:
        places, low = [], 0
        for shown in self.signals:
            places.append((shown, low, (1 << shown.width) - 1))
            low += shown.width
        while self.on_clock is None:
            await ctx.tick()
        before: int | None = None
        async for _, _, word in ctx.tick().sample(Cat(*(shown.value for shown in self.signals))):
            differs = word ^ before if before is not None else -1
            changed = [(shown, word >> low & mask) for shown, low, mask in places if differs >> low & mask]
            self.on_clock(self.clock, changed)
            before = word
            self.clock += 1


class WaveFile:
    """A VCD being written.

    Parameters
    ----------
    file : text file
        Open for writing.
    signals : list of Shown
        What goes in.
    """

    def __init__(self, file: Any, signals: list[Shown]) -> None:
        self._writer = VCDWriter(file, timescale="1 ns", comment="solsa verify --wave", check_values=False)
        register = self._writer.register_var
        self._clk = register(ROOT, "clk", "wire", size=1, init=0)
        self._step = register(f"{ROOT}.run", "step", "integer", size=32, init=0)
        self._what = register(f"{ROOT}.run", "what", "string", init="loaded")
        self._verdict = register(f"{ROOT}.run", "verdict", "string", init="equal")
        self._variables: dict[Shown, Variable] = {}
        for shown in signals:
            scope = f"{ROOT}.{shown.scope}"
            if shown.names is not None:
                variable = register(scope, shown.name, "string", init="")
            elif shown.format is not None:
                variable = register(scope, shown.name, "real", init=0.0)
            else:
                variable = register(scope, shown.name, "wire", size=shown.width, init=0)
            self._variables[shown] = variable
        self.now = 0

    def clock(self, number: int, changed: list[tuple[Shown, int]]) -> None:
        """Write one clock."""
        self.now = number * CLOCK
        change = self._writer.change
        change(self._clk, self.now, 1)
        for shown, bits in changed:
            change(self._variables[shown], self.now, shown.decode(bits))
        change(self._clk, self.now + CLOCK // 2, 0)
        self.now += CLOCK

    def step(self, number: int, what: str) -> None:
        """Say what the step that begins now is."""
        self._writer.change(self._step, self.now, number)
        self._writer.change(self._what, self.now, what.replace(" ", "_"))

    def end(self, verdict: str) -> None:
        """Write how it ended."""
        self._writer.change(self._verdict, self.now, verdict.replace(" ", "_"))
        self._writer.close(self.now + CLOCK)


def run_wave(
    file: Path, preset_name: str = "tiny", seed: int = 0, plant: str | None = None, steps: int = STEPS
) -> dict[str, Any]:
    """Run a preset in lockstep with the golden model and write the waveform and its two lists of signals.

    Parameters
    ----------
    file : Path
        Of the VCD; the lists get its name with other endings.
    preset_name : str
        Network.
    seed : int
        Of parameters, weights and inputs.
    plant : str, optional
        Planted bug; the wave then ends with the step in which the first word differs.
    steps : int
        Time steps.

    Returns
    -------
    dict
        As :func:`solsa.sim.verify.run_verify`, with the files.
    """
    if file.suffix.lower() != ".vcd":
        raise ConfigError(f"--wave {file}: the name must end with .vcd")
    config = preset(preset_name)
    make_core = None
    if plant is not None:
        change = bug(plant)
        steps = SEARCHED
        make_core = lambda: planted(change).core.Core(config, observe=True)  # noqa: E731
    began = time.monotonic()
    case = random_case(seed, 0, config=config, steps=steps)
    core = WatchedCore(config, make_core)
    run = Lockstep(config, case.parameters, case.weights, core)
    found: object = None
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", delete=False) as out:
        temporary = Path(out.name)
        try:
            wave = WaveFile(out, core.signals)
            core.on_clock = wave.clock
            for stimulus in case.stimuli[:steps]:
                what = "learning" if stimulus.learn else "inference"
                wave.step(run.steps, what + (" after reset" if stimulus.reset else ""))
                try:
                    found = run.step(stimulus)
                except HangError as error:
                    found = error
                if found is not None:
                    break
            wave.end("equal" if found is None else str(found))
        except BaseException:
            temporary.unlink()
            raise
        finally:
            core.close()
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)  # tempfile makes files private
    temporary.replace(file)
    gtkw, surfer = file.with_suffix(".gtkw"), file.with_suffix(".sucl")
    _write_gtkw(gtkw, file, core.signals)
    surfer.write_text(_surfer(core.signals))
    return {
        "networks": 1,
        "steps": run.steps,
        "clocks": core.clock,
        "words_compared": run.words,
        "mismatches": int(found is not None),
        "first_mismatch": None if found is None else str(found),
        "preset": preset_name,
        "seed": seed,
        "planted": plant,
        "wave": str(file),
        "gtkwave": f"gtkwave {file} {gtkw}",
        "surfer": f"surfer {file} --command-file {surfer}",
        "wall_seconds": round(time.monotonic() - began, 2),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _groups(signals: list[Shown]) -> dict[str, list[Shown]]:
    found: dict[str, list[Shown]] = {}
    for shown in signals:
        found.setdefault(shown.scope, []).append(shown)
    return found


def _write_gtkw(path: Path, wave: Path, signals: list[Shown]) -> None:
    """List of signals for GTKWave, a group per unit."""
    with path.open("w") as out:
        save = GTKWSave(out)
        save.dumpfile(str(wave.resolve()))
        save.treeopen(f"{ROOT}.")
        save.trace(f"{ROOT}.clk")
        for name in ("step", "what", "verdict"):
            save.trace(f"{ROOT}.run.{name}", datafmt="signed" if name == "step" else "ascii")
        for scope, group in _groups(signals).items():
            with save.group(scope):
                for shown in group:
                    size = f"[{shown.width - 1}:0]" if shown.width > 1 and not (shown.names or shown.format) else ""
                    kind = "ascii" if shown.names else "real" if shown.format else "dec"
                    save.trace(f"{ROOT}.{scope}.{shown.name}{size}", alias=f"{scope}.{shown.name}", datafmt=kind)


def _surfer(signals: list[Shown]) -> str:
    """Commands for Surfer: a divider per unit, and its signals."""
    lines = [f"variable_add {ROOT}.clk", *(f"variable_add {ROOT}.run.{name}" for name in ("step", "what", "verdict"))]
    for scope, group in _groups(signals).items():
        lines.append(f"divider_add {scope}")
        lines += [f"variable_add {ROOT}.{scope}.{shown.name}" for shown in group]
    return "\n".join([*lines, "zoom_fit"]) + "\n"
