"""From a preset to a bitstream: fit check, synthesis, place and route, packing, manifest; cached.

A build works in a hidden folder beside its result and is moved in place when complete, so that a bitstream is either
whole and judged good, or absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from solsa.contract import CONTRACT_VERSION, NetworkConfig

from . import floorplan, logs
from .board import Board
from .catalogue import find_board
from .cores import DEFAULT_BAUD, Core, candidates, default_preset
from .fit import Needs, blocks, needs
from .manifest import MANIFEST, Manifest, versions
from .report import REPORT, page
from .survey import plain, survey
from .tools import ROOT, TIME_LIMIT, BuildError, find_tools, run_script
from .top import BoardTop
from .workplace import keep, keep_failed, move_in, sweep, workplace

__all__ = ["BuildError", "build_board", "default_preset", "find_problem"]

_TOP = "top"
_SEED = "--seed 0"
_KEPT = {
    f"{_TOP}.rpt": "yosys.log",
    f"{_TOP}.tim": "nextpnr.log",
    "report.json": "report.json",
    "tools.log": "tools.log",
}


def build_board(
    board: str,
    preset: str | None = None,
    *,
    config: NetworkConfig | None = None,
    layers: tuple[int, ...] | None = None,
    lanes: int | None = None,
    clock_mhz: float | None = None,
    seed: int = 1,
    seeds: int = 1,
    baud: int = DEFAULT_BAUD,
    folder: Path = Path("build"),
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Build the bitstream of a board, or take it from an earlier build of the same sources with the same tools.

    Parameters
    ----------
    board : str
        Name of a board.
    preset : str, optional
        Name of a preset; without it the board's own.
    config : NetworkConfig, optional
        What to build in place of a preset; ``preset`` is then only its name in the result.
    layers : tuple of int, optional
        Sizes in place of the preset's.
    lanes : int, optional
        In place of the preset's; without it as many of those as fit and meet the clock.
    clock_mhz : float, optional
        Clock of the core, or the nearest below it that the PLL makes; without it the board's.
    seed, seeds : int
        First seed of nextpnr, and how many are tried. The best clock counts.
    baud : int
        Bits per second of the serial line.
    folder : Path
        The result is ``folder/<board>-<preset>-<hash>/``: bitstream, ``manifest.json``, ``report.html`` and the tools'
        logs.
    say : callable, optional
        Called with a line before something slow.

    Returns
    -------
    dict
        The manifest. ``problem`` is empty, or one line that says why no bitstream was kept.

    Raises
    ------
    ConfigError
        For an unknown board or preset, a network larger than the device, a missing tool.
    BuildError
        If a tool fails or the folder cannot be written.
    """
    chosen = find_board(board)
    cores = candidates(chosen, preset, layers=layers, lanes=lanes, clock_mhz=clock_mhz, baud=baud, config=config)
    core = next(cores)
    environment, own = find_tools(chosen)
    used = versions(chosen, own)
    tried = range(seed, seed + max(1, seeds))
    while True:
        smaller = next(cores, None)
        try:
            manifest = _build(chosen, core, tried, baud, folder, environment, used, say)
        except BuildError as error:
            # nextpnr gives up on a design that is too tight; a folder or a tool that fails would fail again
            if smaller is None or not isinstance(error, PlaceError):
                raise
            problem = str(error)
        else:
            problem = manifest["problem"]
            if smaller is None or not problem.startswith(TIMING):
                return manifest
        if say:
            say(f"{problem}; trying {smaller.config.lanes} lanes")
        core = smaller


class PlaceError(BuildError):
    """Place and route gave up on every seed."""


#: How the problem of a missed clock begins.
TIMING = "timing missed"


def _build(
    board: Board,
    core: Core,
    seeds: range,
    baud: int,
    folder: Path,
    environment: dict[str, str],
    used: dict[str, str],
    say: Callable[[str], None] | None,
) -> dict[str, Any]:
    """Manifest of one core; see :func:`build_board`."""
    config = core.config
    need = needs(config, board.chip)
    identity = [board.name, config.to_dict(), CONTRACT_VERSION, str(core.clock), list(seeds), core.divisor, used]
    digest = hashlib.sha256(_sources() + json.dumps(identity, sort_keys=True).encode())
    target = folder / f"{board.name}-{core.preset}-{digest.hexdigest()[:10]}"
    if (target / MANIFEST).exists():
        return Manifest.read(target / MANIFEST).to_dict()

    started = time.monotonic()
    with workplace(target) as work:
        if say:
            say(f"building {target.name}: {_summary(core, need)}; minutes")
        fmax = _run(board, core, seeds, work, environment, target)
        report = json.loads((work / "report.json").read_text())
        timing, cells = logs.timing(report), logs.utilization(report, board.family)
        problem = find_problem((work / f"{_TOP}.rpt").read_text(errors="replace"), report, board, core, need)
        updates = round(config.lanes * core.clock * 1_000_000)
        bitstream = "" if problem else f"{board.name}{board.family.bitstream}"
        manifest = Manifest(
            board=board.name,
            device=board.device,
            preset=core.preset,
            layers="-".join(map(str, config.layers)),
            lanes=config.lanes,
            synapses=config.synapses,
            config_hash=config.config_hash,
            contract_version=CONTRACT_VERSION,
            clock_mhz=round(core.clock_mhz, 4),
            fmax_mhz=timing.fmax_mhz,
            **cells,
            updates_per_second=updates,
            updates_per_second_per_lut=round(updates / max(1, cells["lut"])),
            critical_path=logs.critical_path(report),
            slowest=logs.slowest(report),
            seed=max(fmax, key=lambda s: (fmax[s], -s)),
            seeds={str(s): mhz for s, mhz in fmax.items()},
            baud=baud,
            versions=used,
            build_seconds=round(time.monotonic() - started, 1),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            bitstream=str(target / bitstream) if bitstream else "",
            problem=problem,
        )
        result = work / "result"
        result.mkdir()
        keep(work, _KEPT, result)
        if bitstream:
            os.replace(work / f"{_TOP}{board.family.bitstream}", result / bitstream)
        manifest.write(result / MANIFEST)
        (result / REPORT).write_text(page(manifest, config, board, report), encoding="utf-8")
        move_in(result, target)
    return manifest.to_dict()


def result_folder(manifest: dict[str, Any], folder: Path = Path("build")) -> Path:
    """Folder of a build by its manifest, also of one that kept no bitstream."""
    if manifest["bitstream"]:
        return Path(manifest["bitstream"]).parent
    for path in folder.glob(f"{manifest['board']}-{manifest['preset']}-*/{MANIFEST}"):
        if json.loads(path.read_text()) == manifest:
            return path.parent
    raise BuildError(f"no build in {folder} has this manifest")


def _summary(core: Core, need: Needs) -> str:
    parts = [f"{core.config.lanes} lanes", f"{core.clock_mhz:g} MHz", f"{need.bram} block RAMs"]
    parts += [f"{need.spram} single-port RAMs"] if need.spram else []
    return ", ".join([*parts, f"{need.dsp} multipliers", f"about {need.lut} LUTs predicted"])


def _sources() -> bytes:
    """Everything of this project that a netlist is made of."""
    digest = hashlib.sha256()
    for package in ("contract", "rtl", "boards"):
        for path in sorted((ROOT / package).glob("*.py")):
            digest.update(f"{package}/{path.name}\0".encode() + path.read_bytes())
    return digest.digest()


def _run(
    board: Board, core: Core, seeds: range, work: Path, environment: dict[str, str], target: Path
) -> dict[int, float]:
    """Elaborate and run the tools in ``work``; returns Fmax by seed, the best seed's files stay.

    BuildError with the first error line if a tool fails, PlaceError if nextpnr does on every seed.
    """
    options = f"--report report.json --detailed-timing-report {_SEED} --timing-allow-fail {board.family.place_opts}"
    if board.family.freq:
        options += f" --freq {core.clock_mhz:.4f}"
    plan = board.platform().build(
        BoardTop(core.config, core.divisor, core.pll),
        name=_TOP,
        do_build=False,
        do_program=False,
        nextpnr_opts=options,
        synth_opts=board.family.synth_opts,
        script_after_read=board.family.script_after_read,
    )
    plan.extract(str(work))
    head, (synthesis, place, *packing) = _commands(plan.files[f"{plan.script}.sh"])
    fmax: dict[int, float] = {}
    with (work / "tools.log").open("wb") as log:

        def run(line: str) -> int:
            try:
                return run_script(["sh", "-e", "-c", f"{head}\n{line}"], work, environment, log)
            except subprocess.TimeoutExpired:
                raise BuildError(f"{board.name}: no bitstream after {TIME_LIMIT} s") from None

        if status := run(synthesis):
            raise _failed(BuildError, board, status, work, target)
        _finish(board, core, work / f"{_TOP}.json")
        before, best = {path.name for path in work.iterdir()}, work / "best"
        for seed in seeds:
            status = run(place.replace(_SEED, f"--seed {seed}"))
            if status < 0 or status > 128:  # killed, which says nothing about the design
                raise _failed(BuildError, board, status, work, target)
            new = [path for path in work.iterdir() if path.name not in before and path != best]
            fmax[seed] = 0.0
            if status == 0:
                fmax[seed] = logs.timing(json.loads((work / "report.json").read_text())).fmax_mhz
            if status == 0 and fmax[seed] >= max(fmax.values()):
                best.mkdir(exist_ok=True)
                for path in new:
                    os.replace(path, best / path.name)
            elif status == 0 or seed != seeds[-1] or best.exists():
                sweep(work, [path.name for path in new])
        if not best.exists():
            raise _failed(PlaceError, board, status, work, target)
        for path in best.iterdir():
            os.replace(path, work / path.name)
        for line in packing:
            if status := run(line):
                raise _failed(BuildError, board, status, work, target)
    return fmax


def _finish(board: Board, core: Core, path: Path) -> None:
    """Change the netlist between synthesis and place and route."""
    if board.family.finish is None:
        return
    try:
        design = json.loads(path.read_text())
    except (OSError, ValueError):
        raise BuildError(f"{board.name}: yosys ended well and left no netlist that can be read") from None
    if board.chip.part == floorplan.DEVICE and core.config.relay:
        floorplan.plan(design, core.config.lanes, _TOP)
    board.family.finish(design)
    path.write_text(json.dumps(design))


def _commands(script: str | bytes) -> tuple[str, list[str]]:
    """(What comes before the tools of a build script, the lines that run them)."""
    text = script if isinstance(script, str) else script.decode()
    lines = text.splitlines()
    tools = [line for line in lines if line.startswith('"$')]
    return "\n".join(line for line in lines if line not in tools), tools


def _failed(kind: type[BuildError], board: Board, status: int, work: Path, target: Path) -> BuildError:
    texts = [(work / name).read_text(errors="replace") for name in _KEPT if (work / name).exists()]
    words = f"exit status {status}" if 0 <= status <= 128 else f"a tool was killed by signal {status % 128}"
    line = next(filter(None, map(logs.first_error, texts)), words)
    return kind(f"{board.name}: {line} (logs in {keep_failed(work, _KEPT, target)})")


def find_problem(yosys_log: str, report: dict[str, Any], board: Board, core: Core, need: Needs) -> str:
    """Why a build that the tools finished must not be used, in one line, or an empty string."""
    if conflict := logs.driver_conflict(yosys_log):
        return f"yosys: {conflict}"
    if need.bank_bram and (lost := logs.lost_banks(yosys_log, board.family, core.config.lanes)):
        return lost
    if lost := lost_memories(yosys_log, board, core):
        return lost
    spram = logs.utilization(report, board.family)["spram"]
    if spram != need.spram:
        return f"{spram} single-port RAMs counted, {need.spram} needed"
    timing = logs.timing(report)
    if timing.clock_mhz < core.clock_mhz - 0.01:
        return f"timing was checked at {timing.clock_mhz:g} MHz only, the clock is {core.clock_mhz:g} MHz"
    if timing.fmax_mhz < timing.clock_mhz:
        return (f"{TIMING}: {timing.fmax_mhz:g} MHz reached, {timing.clock_mhz:g} MHz needed; "
                f"{logs.critical_path(report)}")  # fmt: skip
    return ""


def lost_memories(yosys_log: str, board: Board, core: Core) -> str:
    """Why a memory that should be block RAM is in flip-flops, or an empty string."""
    found = survey(core.config, board.chip.part)
    large = {ram.name: ram for ram in found.memories if blocks(ram, board.family)}
    for name, cell in logs.memory_cells(yosys_log).items():
        ram = large.get(plain(name.removeprefix("top.").removeprefix("device.")))
        if ram and cell == "FF":
            return f"memory lost to logic: yosys made flip-flops of {ram.name}, {ram.depth} words of {ram.width} bits"
    return ""
