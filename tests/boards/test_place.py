"""Two small cores through all tools, one of each large family: counts of cells are exact, the clock is met.

Minutes; the result is kept in build/ under the hash of sources and tools, so the next run takes it from there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from solsa.boards.build import build_board, result_folder
from solsa.boards.catalogue import BOARDS
from solsa.boards.fit import blocks, needs
from solsa.boards.logs import memory_cells
from solsa.boards.manifest import Manifest
from solsa.boards.survey import plain, survey
from solsa.contract import preset

FOLDER = Path(__file__).resolve().parents[2] / "build"
#: board, preset, sizes, clock through the PLL, then block RAMs, single-port RAMs and multipliers
BUILDS = {
    "ecp5": ("ulx3s_25f", "tang_nano_9k", (12, 64, 9), 30.0, 11, 0, 4),
    "ice40": ("icebreaker", "icebreaker_vowels", (3, 5, 3), 18.0, 18, 4, 4),
}


def check_counts(manifest: dict[str, Any], yosys_log: str) -> None:
    """Memories lie in block RAM, synapse words above all, and products in multipliers, as many as the netlist has.

    yosys drops columns of a memory that nobody reads, so block RAM may be less than predicted by one.
    """
    board = BOARDS[manifest["board"]]
    layers = tuple(map(int, manifest["layers"].split("-")))
    config = preset(manifest["preset"]).with_(layers=layers, lanes=manifest["lanes"])
    need = needs(config, board.chip)
    assert (manifest["spram"], manifest["dsp"]) == (need.spram, need.dsp)
    assert need.bram - 1 <= manifest["bram"] <= need.bram
    cells = memory_cells(yosys_log)
    in_blocks = {ram.name for ram in survey(config, board.chip.part).memories if blocks(ram, board.family)}
    mapped = {plain(name.removeprefix("top.device.")): cell for name, cell in cells.items()}
    assert {mapped[name] for name in in_blocks} <= set(board.family.block_cells)


@pytest.mark.long
@pytest.mark.parametrize("name", BUILDS)
def test_a_small_build_has_exact_counts_and_meets_its_clock(name: str) -> None:
    board, core, layers, clock, bram, spram, dsp = BUILDS[name]
    manifest = build_board(board, core, layers=layers, clock_mhz=clock, folder=FOLDER)
    assert manifest["problem"] == ""
    assert (manifest["bram"], manifest["spram"], manifest["dsp"]) == (bram, spram, dsp)
    check_counts(manifest, (result_folder(manifest, FOLDER) / "yosys.log").read_text(errors="replace"))
    assert manifest["clock_mhz"] == clock
    assert manifest["fmax_mhz"] >= clock
    bitstream = Path(manifest["bitstream"])
    assert bitstream.stat().st_size > 10_000
    assert Manifest.read(bitstream.parent / "manifest.json").to_dict() == manifest
    page = (bitstream.parent / "report.html").read_text()
    assert manifest["critical_path"].split(":")[0].split(" to ")[0] in page
    # the cells of some families keep no reference to the source
    assert ("rtl/" in page) == ("rtl/" in manifest["critical_path"])


LOG = "".join(
    f"mapping memory top.device.{name} via $__DP16KD_\n"
    for name in ("link.bytes.receiver.buffer", "link.bytes.transmitter.buffer", "core.error$1.softmax.table")
)


@pytest.mark.parametrize(("field", "wrong"), [("bram", 1), ("bram", 4), ("dsp", 24), ("dsp", 26), ("spram", 1)])
def test_a_wrong_count_is_caught(field: str, wrong: int) -> None:
    good = {"board": "ulx3s_25f", "preset": "tiny", "layers": "3-5-3", "lanes": 2, "bram": 3, "spram": 0, "dsp": 25}
    check_counts(good, LOG)
    with pytest.raises(AssertionError):
        check_counts({**good, field: wrong}, LOG)


def test_a_memory_in_flip_flops_is_caught() -> None:
    good = {"board": "ulx3s_25f", "preset": "tiny", "layers": "3-5-3", "lanes": 2, "bram": 3, "spram": 0, "dsp": 25}
    log = LOG.replace("mapping memory top.device.core.error$1.softmax.table via $__DP16KD_", "using FF mapping for "
                      "memory top.device.core.error$1.softmax.table")  # fmt: skip
    with pytest.raises(AssertionError):
        check_counts(good, log)
