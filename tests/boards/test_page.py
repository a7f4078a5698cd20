"""docs/boards.md from manifests."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from test_report import manifest

from solsa.boards.page import boards_page, load, steps_per_second
from solsa.contract import preset
from solsa.contract.cycles import predicted_cycles


def write(folder: Path, name: str, **changes: object) -> None:
    (folder / f"{name}.json").write_text(json.dumps(asdict(manifest(**changes))))


def test_good_and_bad_builds_and_boards_without_one(tmp_path: Path) -> None:
    write(tmp_path, "b", board="ulx3s_85f")
    write(tmp_path, "a", board="icebreaker", preset="icebreaker", lanes=1, spram=4, ff=0)
    write(tmp_path, "c", board="tang_nano_9k", problem="timing missed: 20 MHz reached", bitstream="")
    text = boards_page(tmp_path)
    good, bad = text.split("## Built, but not usable")
    assert good.index("| iCEBreaker |") < good.index("| ULX3S-85F |")
    assert "| Tang Nano 9K | vowels | 8 | timing missed: 20 MHz reached |" in bad
    assert "Without a result here" in bad
    assert "ULX3S-12F" in bad.split("Without a result here")[1].split("\n")[0]
    cells = next(line for line in good.splitlines() if line.startswith("| iCEBreaker")).split(" | ")
    assert len(cells) == len(next(line for line in good.splitlines() if line.startswith("| board")).split(" | "))
    assert f"| {steps_per_second(load(tmp_path)[1]):,} |" in good


def test_steps_per_second_are_clocks_of_the_contract() -> None:
    entry = asdict(manifest(clock_mhz=50.0, lanes=4))
    config = preset("vowels").with_(lanes=4)
    assert steps_per_second(entry) == round(50e6 / predicted_cycles(config).learning_step)
    serial = asdict(manifest(preset="icebreaker", lanes=1, layers="240-64-16"))
    config = preset("icebreaker").with_(layers=(12, 64, 9))
    assert steps_per_second(serial) == round(25e6 / predicted_cycles(config).learning_step)


def test_the_kept_manifests_make_a_page() -> None:
    folder = Path(__file__).resolve().parents[2] / "docs" / "results" / "boards"
    text = boards_page(folder)
    assert "| ULX3S-85F |" in text
    assert all(len(line.split(" | ")) == 16 for line in text.split("## Built")[1].splitlines()[2:4])
