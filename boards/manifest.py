"""The manifest beside every bitstream: what it was made from, with which tools, and what came out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .board import Board

#: File name of a manifest beside its bitstream.
MANIFEST = "manifest.json"
#: Packages besides the tools that change a netlist.
_PACKAGES = ("amaranth", "amaranth-boards")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One build.

    Attributes
    ----------
    config_hash : str
        What the host compares with the device.
    clock_mhz, fmax_mhz : float
        Clock of the board and what the slowest path would allow.
    lut, ff, bram, dsp, spram : int
        Cells after packing, the whole design: look-up tables (on iCE40 logic cells, each with a flip-flop), flip-flops,
        block RAMs, multipliers, single-port RAMs of the UP5K.
    updates_per_second : int
        Synapse states advanced at ``clock_mhz``: one per lane and clock during a sweep.
    updates_per_second_per_lut : int
        The same for each of the design's LUTs.
    slowest : dict
        Registers whose inputs arrive last, in nanoseconds.
    seed : int
        Of nextpnr; the best of ``seeds``.
    seeds : dict
        Fmax in MHz of every seed that was tried; 0 for one that nextpnr gave up.
    baud : int
        Bits per second of the serial line.
    critical_path : str
        In the words of the source.
    bitstream : str
        Path, empty when ``problem`` is not.
    problem : str
        Empty, or one line: why there is no bitstream.
    """

    board: str
    device: str
    preset: str
    layers: str
    lanes: int
    synapses: int
    config_hash: str
    contract_version: int
    clock_mhz: float
    fmax_mhz: float
    lut: int
    ff: int
    bram: int
    dsp: int
    spram: int
    updates_per_second: int
    updates_per_second_per_lut: int
    critical_path: str
    slowest: dict[str, float]
    seed: int
    seeds: dict[str, float]
    baud: int
    versions: dict[str, str]
    build_seconds: float
    date: str
    bitstream: str
    problem: str

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form."""
        return asdict(self)

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Inverse of :meth:`write`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def versions(board: Board, own: dict[str, str]) -> dict[str, str]:
    """Versions of everything that shapes the bitstream of a board.

    Parameters
    ----------
    board : Board
        Names the tools.
    own : dict
        Versions of tools that the user named by a variable instead of the packages' own, by package.
    """
    packages = [*_PACKAGES, *(tool.package for tool in board.family.tools)]
    return {package: own.get(package) or _installed(package) for package in packages}


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
