"""From a preset to a bitstream: fit check, synthesis, place and route, packing, manifest; cached.

A build works in a hidden folder beside its result and is moved in place when complete, so that a bitstream is either
whole and judged good, or absent.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from solsa.contract import CONTRACT_VERSION, PRESETS, ConfigError, NetworkConfig
from solsa.contract import preset as preset_of

from . import logs
from .board import Board, Tool
from .fit import Needs, check_fit
from .manifest import Manifest, versions
from .ulx3s import ULX3S_85F

ROOT = Path(__file__).resolve().parent.parent
BOARDS = {board.name: board for board in (ULX3S_85F,)}
#: Without a preset of its own a board is built with this one.
DEFAULT_PRESET = "vowels"
#: The host's default too, see host/transport.py.
DEFAULT_BAUD = 1_000_000
#: Seconds after which a build counts as stuck.
TIME_LIMIT = 4 * 3600
MANIFEST = "manifest.json"
_TOP = "top"
_KEPT = {
    f"{_TOP}.rpt": "yosys.log",
    f"{_TOP}.tim": "nextpnr.log",
    "report.json": "report.json",
    "tools.log": "tools.log",
}


class BuildError(OSError):
    """A tool failed or a folder cannot be written; the message is one line. An OSError, so the host needs no import."""


def find_board(name: str) -> Board:
    """Board of a name.

    Raises
    ------
    ConfigError
        For an unknown one; close names are suggested.
    """
    if name in BOARDS:
        return BOARDS[name]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), BOARDS, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(BOARDS)}"
    raise ConfigError(f"board {name!r} is not known, {hint}")


def default_preset(board: str) -> str:
    """Preset that a board is built with unless the user names one: its own, or ``vowels``."""
    return board if board in PRESETS else DEFAULT_PRESET


def build_board(
    board: str,
    preset: str | None = None,
    *,
    seed: int = 1,
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
    seed : int
        Of nextpnr.
    baud : int
        Bits per second of the serial line.
    folder : Path
        The result is ``folder/<board>-<preset>-<hash>/``: bitstream, ``manifest.json`` and the tools' logs.
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
    preset = preset or default_preset(board)
    config = preset_of(preset)
    need = check_fit(config, chosen)
    divisor = _divisor(chosen, baud)
    environment, own = _tools(chosen)
    used = versions(chosen, own)
    digest = hashlib.sha256(_sources())
    digest.update(json.dumps([board, config.to_dict(), CONTRACT_VERSION, seed, divisor, used], sort_keys=True).encode())
    target = folder / f"{board}-{preset}-{digest.hexdigest()[:10]}"
    if (target / MANIFEST).exists():
        return Manifest.read(target / MANIFEST).to_dict()

    started = time.monotonic()
    with _workplace(target) as work:
        if say:
            say(f"building {target.name} ({need.bram} block RAMs, {need.dsp} multipliers predicted; minutes)")
        _run(chosen, config, divisor, seed, work, environment, target)
        problem, report = _judge(chosen, config, need, work)
        timing, cells = logs.timing(report), logs.utilization(report, chosen.family)
        updates = round(config.lanes * timing.clock_mhz * 1e6)
        bitstream = "" if problem else f"{board}.bit"
        manifest = Manifest(
            board=board,
            device=chosen.device,
            preset=preset,
            layers="-".join(map(str, config.layers)),
            lanes=config.lanes,
            synapses=config.synapses,
            config_hash=config.config_hash,
            contract_version=CONTRACT_VERSION,
            clock_mhz=timing.clock_mhz,
            fmax_mhz=timing.fmax_mhz,
            **cells,
            updates_per_second=updates,
            updates_per_second_per_lut=round(updates / max(1, cells["lut"])),
            critical_path=logs.critical_path(report),
            slowest=logs.slowest(report),
            seed=seed,
            baud=baud,
            versions=used,
            build_seconds=round(time.monotonic() - started, 1),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            bitstream=str(target / bitstream) if bitstream else "",
            problem=problem,
        )
        result = work / "result"
        result.mkdir()
        _keep_logs(work, result)
        if bitstream:
            os.replace(work / f"{_TOP}.bit", result / bitstream)
        manifest.write(result / MANIFEST)
        _move(result, target)
    return manifest.to_dict()


def _divisor(board: Board, baud: int) -> int:
    """Clocks per bit of the serial line; ConfigError if the clock cannot make that rate."""
    clock = board.clock_mhz * 1e6
    divisor = round(clock / baud)
    if divisor < 4 or abs(clock / divisor - baud) > 0.02 * baud:
        raise ConfigError(
            f"{board.name} cannot make {baud} baud from {board.clock_mhz:g} MHz, allowed up to {clock / 4:.0f}"
        )
    return divisor


def _tools(board: Board) -> tuple[dict[str, str], dict[str, str]]:
    """(Environment in which a build finds its tools, versions of tools that the user named)."""
    environment, own = dict(os.environ), {}
    environment.setdefault("YOWASP_CACHE_DIR", str(_yowasp_cache()))
    for tool in board.family.tools:
        named = os.environ.get(tool.variable)
        program = _program(named or tool.program)
        if program is None:
            raise ConfigError(_missing(board, tool, named))
        environment[tool.variable] = program
        if named:
            own[tool.package] = _version(program)
    return environment, own


def _program(name: str) -> str | None:
    """Path of a program: beside this Python (a virtual environment need not be active), then on the path."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def _missing(board: Board, tool: Tool, named: str | None) -> str:
    if named:
        return f"{tool.variable}={named} names no program, needed to build for {board.name}"
    return f"{tool.program} is not installed, needed to build for {board.name}: pip install 'solsa[boards]'"


def _version(program: str) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return ((done.stdout + done.stderr).strip().splitlines() or ["unknown"])[0]


def _yowasp_cache() -> Path:
    """Where the tools keep their compiled WebAssembly: in a source tree .cache/yowasp, else the user's cache."""
    if (ROOT / "pyproject.toml").exists() and os.access(ROOT, os.W_OK):
        return ROOT / ".cache" / "yowasp"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "solsa" / "yowasp"


def _sources() -> bytes:
    """Everything of this project that a netlist is made of."""
    digest = hashlib.sha256()
    for package in ("contract", "rtl", "boards"):
        for path in sorted((ROOT / package).glob("*.py")):
            digest.update(f"{package}/{path.name}\0".encode() + path.read_bytes())
    return digest.digest()


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """Folder beside the result to work in, removed in the end whatever happens."""
    work = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob(f".{target.name}.*.part"):  # of builds that were killed
            if not _alive(int(old.suffixes[-2][1:])):
                shutil.rmtree(old, ignore_errors=True)
        work.mkdir()
    except OSError as error:
        raise BuildError(f"cannot build in {target.parent}: {error.strerror}") from None
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _run(
    board: Board, config: NetworkConfig, divisor: int, seed: int, work: Path, environment: dict[str, str], target: Path
) -> None:
    """Elaborate and run the tools in ``work``; BuildError with the first error line if one fails."""
    options = f"--report report.json --detailed-timing-report --seed {seed} --timing-allow-fail"
    plan = board.platform().build(
        board.top(config, divisor), name=_TOP, do_build=False, do_program=False, nextpnr_opts=options
    )
    plan.extract(str(work))
    with (work / "tools.log").open("wb") as log:
        try:
            status = run_script(["sh", f"{plan.script}.sh"], work, environment, log)
        except subprocess.TimeoutExpired:
            raise BuildError(f"{board.name}: no bitstream after {TIME_LIMIT} s") from None
    if status:
        texts = [(work / name).read_text(errors="replace") for name in _KEPT if (work / name).exists()]
        line = next(filter(None, map(logs.first_error, texts)), f"exit status {status}")
        failed = target.with_name(f"{target.name}-failed")
        shutil.rmtree(failed, ignore_errors=True)
        failed.mkdir()
        _keep_logs(work, failed)
        raise BuildError(f"{board.name}: {line} (logs in {failed})")


def run_script(command: list[str], folder: Path, environment: dict[str, str], log: IO[bytes]) -> int:
    """Exit status of a script. If this process is interrupted, the tools that the script started end with it."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if main else None
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(TIME_LIMIT)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if main:
            signal.signal(signal.SIGTERM, before)


def _judge(board: Board, config: NetworkConfig, need: Needs, work: Path) -> tuple[str, dict[str, Any]]:
    """(Problem or an empty string, nextpnr's report)."""
    yosys_log = (work / f"{_TOP}.rpt").read_text(errors="replace")
    report = json.loads((work / "report.json").read_text())
    return find_problem(yosys_log, report, board, config, need), report


def find_problem(yosys_log: str, report: dict[str, Any], board: Board, config: NetworkConfig, need: Needs) -> str:
    """Why a build that the tools finished must not be used, in one line, or an empty string."""
    if conflict := logs.driver_conflict(yosys_log):
        return f"yosys: {conflict}"
    if need.bank_bram and (lost := logs.lost_banks(yosys_log, board.family, config.lanes)):
        return lost
    timing = logs.timing(report)
    if timing.clock_mhz < board.clock_mhz - 0.01:
        return f"timing was checked at {timing.clock_mhz:g} MHz only, the clock is {board.clock_mhz:g} MHz"
    if timing.fmax_mhz < timing.clock_mhz:
        return (f"timing missed: {timing.fmax_mhz:g} MHz reached, {timing.clock_mhz:g} MHz needed; "
                f"{logs.critical_path(report)}")  # fmt: skip
    return ""


def _keep_logs(work: Path, result: Path) -> None:
    for name, kept in _KEPT.items():
        if (work / name).exists():
            shutil.copyfile(work / name, result / kept)


def _move(result: Path, target: Path) -> None:
    """Put a complete result in place; if another process was faster, its result is as good."""
    if target.exists() and not (target / MANIFEST).exists():
        shutil.rmtree(target)
    try:
        os.replace(result, target)
    except OSError as error:
        if not (target / MANIFEST).exists():
            raise BuildError(f"cannot write {target}: {error.strerror}") from None
