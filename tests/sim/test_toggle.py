"""Coverage figures: parser, merging of instances and builds, waivers, and one small build end to end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from solsa.contract import NetworkConfig
from solsa.sim.toggle import UNITS, WAIVERS, Coverage, Waiver, label, main, numbered, parse, report, unit_of
from solsa.sim.toggle_build import only_named_signals
from solsa.sim.toggle_runs import Run, drive

RTL = Path(__file__).resolve().parents[2] / "rtl"


def counter(page: str, item: str, count: int, line: int = 7) -> str:
    fields = {"f": "top.v", "l": str(line), "n": "3", "t": page, "page": page, "o": item, "h": "TOP.top"}
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in fields.items()) + f"' {count}\n"


def dat(*counters: str) -> str:
    return "# SystemC::Coverage-3\n" + "".join(counters)


def bit(module: str, name: str, rises: int, falls: int) -> str:
    page = f"v_toggle/{module}"
    return counter(page, f"{name}:0->1", rises) + counter(page, f"{name}:1->0", falls)


def test_parse_gives_the_names_of_the_verilog() -> None:
    text = dat(
        counter("v_toggle/top__DOT__core", "bus___05Fdata__0248[3]:0->1", 5), counter("v_line/top", "if", 2, line=9)
    )
    assert list(parse(text)) == [
        ("toggle", "top.core", "7", "bus__data$8[3]:0->1", 5),
        ("line", "top", "9", "if", 2),
    ]


@pytest.mark.parametrize("text", ["", "nonsense\n", dat("D nothing\n")])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a co"):
        list(parse(text))


def test_instances_and_builds_are_merged() -> None:
    """A bit that rises in one lane and falls in another has toggled; a build with fewer bits takes none away."""
    coverage = Coverage()
    coverage.add("a", dat(bit("top.lanes.lane0", "total[0]", 1, 0), bit("top.lanes.lane1", "total[0]", 0, 2)))
    coverage.add("b", dat(bit("top.core.lanes.lane0", "total[1]", 3, 0), bit("top.core.lanes", "total", 0, 0)))
    assert {label(key): point.toggled for key, point in coverage.bits.items()} == {
        "lane.total[0]": True, "lane.total[1]": False, "lanes.total[0]": False,
    }  # fmt: skip
    found = report(coverage, ())
    assert found.total["bits"] == 3
    assert found.total["toggled"] == 1
    assert found.untoggled == ["lane.total[1]", "lanes.total[0]"]


def test_signals_of_one_name_stay_apart() -> None:
    """Amaranth numbers them; builds number them differently but in the same order."""
    assert numbered(["valid", "valid$35", "valid$9", "post$4"]) == {
        "valid": "valid", "valid$9": "valid'1", "valid$35": "valid'2", "post$4": "post",
    }  # fmt: skip
    coverage = Coverage()
    coverage.add("a", dat(bit("top.core", "valid", 1, 1), bit("top.core", "valid$35", 0, 0)))
    coverage.add("b", dat(bit("top", "valid$2", 0, 0), bit("top", "valid$77", 0, 4)), root="core")
    toggled = {label(key): point.toggled for key, point in coverage.bits.items()}
    assert toggled == {"core.valid[0]": True, "core.valid'1[0]": False}


def test_lines_count_per_build() -> None:
    coverage = Coverage()
    coverage.add("a", dat(counter("v_line/top.adapt", "if", 0), counter("v_branch/top.adapt", "else", 3)))
    coverage.add("b", dat(counter("v_line/top.adapt", "if", 9)))
    assert report(coverage, ()).units["adapt"]["lines"] == 3
    assert report(coverage, ()).units["adapt"]["executed"] == 2


def test_waivers_are_counted_apart() -> None:
    coverage = Coverage()
    coverage.add("a", dat(bit("top.adapt", "old[0]", 1, 1), *(bit("top.adapt", f"old[{i}]", 1, 0) for i in (1, 2, 3))))
    total = report(coverage, (Waiver(r"adapt\.old\[[23]\]", "never"),)).total
    assert (total["bits"], total["toggled"], total["waived"]) == (4, 1, 2)
    assert (total["toggled_percent"], total["toggled_percent_after_waivers"]) == (25.0, 50.0)


@pytest.mark.parametrize("pattern", [r"adapt\.old\[0\]", r"adapt\.gone\[\d+\]"])
def test_a_waiver_that_nothing_needs_fails(pattern: str) -> None:
    """Whether its bit toggles or does not exist."""
    coverage = Coverage()
    coverage.add("a", dat(bit("top.adapt", "old[0]", 1, 1), bit("top.adapt", "old[1]", 0, 0)))
    with pytest.raises(ValueError, match="is not needed"):
        report(coverage, (Waiver(pattern, "no reason"),))


def test_every_waiver_has_a_reason() -> None:
    for waiver in WAIVERS:
        assert re.compile(waiver.pattern)
        assert len(waiver.reason) > 15


def test_units_are_files_of_rtl() -> None:
    modules = ["top.core.lanes.lane12", "top.core.error$244.softmax.divider", "top.link.bytes.transmitter"]
    modules += ["top.link.transmitter", "top.link.receiver.synchroniser", "core.generator", "core.host"]
    for module in modules:
        assert (RTL / f"{unit_of(module)[0]}.py").exists(), module
    assert unit_of("top.link.bytes.transmitter")[0] == "frames"
    assert unit_of("top.link.transmitter")[0] == "uart"
    assert len({unit for _, unit in UNITS}) == len(UNITS)
    with pytest.raises(ValueError, match="extend UNITS"):
        unit_of("top.core.novelty")


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("  wire [3:0] \\$12 ;", False),
        ("  reg \\beat.valid ;", False),
        ("  wire [15:0] \\constants[3] ;", False),
        ("  input [4:0] \\port$3090$0 ;", False),
        ("  reg [31:0] bank [18:0];", False),
        ("  reg [15:0] \\table  [255:0];", False),
        ("  wire [7:0] \\beat$4 ;", True),
        ("  reg [1:0] state = 2'h0;", True),
        ("  wire \\begin ;", True),
        ("  output [7:0] o__payload;", True),
    ],
)
def test_only_named_signals_are_counted(line: str, counted: bool) -> None:
    text = f"module top(a);\n{line}\nendmodule\n"
    assert ("coverage_off" not in only_named_signals(text)) == counted


@pytest.mark.bench  # what `make coverage` does, on a smaller core
def test_a_small_core_end_to_end() -> None:
    """Builds, runs in lockstep, counts: most bits toggle even in a short run, and every module is known."""
    text, done = drive(Run("small", NetworkConfig(layers=(3, 5, 3), lanes=2, groups=2, max_steps=4), 2), seed=1)
    assert done["steps"] == 60
    coverage = Coverage()
    coverage.add("small", text, root="core")
    found = report(coverage, ())
    assert {"adapt", "core", "error", "lane", "lanes", "neuron", "softmax"} <= set(found.units)
    assert 70 < found.total["toggled_percent"] < 100
    assert found.total["lines_percent"] > 80
    assert any(name.startswith("registers.cycles[") for name in found.untoggled)


def test_bad_arguments_end_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--seed", "x"])
    assert ended.value.code == 2
    assert "--seed" in capsys.readouterr().err
