"""``solsa bench core``, ``link`` and ``sim`` on small networks; what does not hold is named."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from command_line import bad

from solsa.contract import PRESETS, ConfigError, NetworkConfig, Readout
from solsa.host import bench_core
from solsa.host.bench_link import bench_link, bench_sim
from solsa.host.bench_stream import bench_stream
from solsa.host.plots_core import ACTIVITY_FILE, SYNAPSES_FILE, draw_core
from solsa.sim.clocks import measure, row

ROOT = Path(__file__).resolve().parent.parent.parent
SMALL = NetworkConfig(layers=(3, 5, 3), lanes=2, groups=2, max_steps=16, readout=Readout.SPIKE, frame_bytes=256)


def manifest(**changes: object) -> dict[str, object]:
    """Fields of a kept build that the benchmark reads."""
    config = PRESETS["tiny"]
    return {
        "board": "ulx3s_85f", "preset": "tiny", "layers": "3-5-3", "lanes": 2, "config_hash": config.config_hash,
        "clock_mhz": 50.0, "fmax_mhz": 60.0, "lut": 1000, "dsp": 25, "problem": "",
        "device": "LFE5U-85F-6BG381C", "bram": 13, "ff": 900, "spram": 0, "critical_path": "a to b: 16.7 ns", **changes,
    }  # fmt: skip


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setattr(bench_core, "GEOMETRIES", (((3, 5, 3), 2),))
    monkeypatch.setattr(bench_core, "BOARD_PRESETS", ())
    (tmp_path / "a.json").write_text(json.dumps(manifest()))
    (tmp_path / "b.json").write_text(json.dumps(manifest(config_hash="00000000", problem="timing missed")))
    return bench_core.bench_core(tmp_path, quick=True, jobs=1)


def test_pictures(found: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One network has nothing to compare lanes with; the page of its run is whole."""
    assert {file.name for file in draw_core(found, tmp_path)} == {SYNAPSES_FILE, ACTIVITY_FILE}
    assert all((tmp_path / name).stat().st_size > 5000 for name in (SYNAPSES_FILE, ACTIVITY_FILE))
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    page = runpy.run_path(str(ROOT / "docs" / "performance_page.py"))["performance"](found)
    for part in (
        "`sim-serial`",
        "All end with the same weights",
        "for 75 MHz and 3,000,000 baud",
        "| 3-5-3 | 2 |",
        "| `a` | 1 % | 6 % | - | 16 % | multipliers |",
        "| a to b: 16.7 ns |",
    ):
        assert part in page
    # 100 M updates/s, 100 k per LUT; ReckOn's 315 M and 4.7 k, of a limit of 10.9 G.
    assert "| 0.3 times | 21.3 times |" in page
    assert "50 MHz; 1 % of the chip's limit" in page
    assert "ESTIMATE" not in page


def test_core(found: dict[str, object]) -> None:
    assert (found["networks"], found["mismatches"], found["predictions_exact"], found["within_bounds"]) == (1, 0, 1, 1)
    assert bench_core.problem(found) == ""
    (measured,) = found["rows"]  # type: ignore[misc]
    assert set(measured["clocks"]) == {f"{kind}_step" for kind in ("inference", "learning", "scheduled", "adapting")}
    assert [a["active_inputs"] for a in measured["activity"]] == [0, 0, 1, 2, 3]
    good, bad = found["builds"]  # type: ignore[misc]
    assert (good["peak_updates_per_second"], good["peak_per_lut"], good["config_is_current"]) == (
        100_000_000,
        100_000,
        True,
    )
    assert 0 < good["sustained_updates_per_second"] < good["peak_updates_per_second"]
    assert (bad["problem"], bad["config_is_current"]) == ("timing missed", False)


def test_different_weights_are_named(found: dict[str, object]) -> None:
    found["simulation"]["equal"] = False  # type: ignore[index]
    assert "different weights" in bench_core.problem(found)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"mismatch": "weight at step 3"}, "3-5-3 on 2 lanes: weight at step 3"),
        ({"prediction_exact": False}, "are not those of contract/cycles.py"),
        ({"within_bounds": False, "bounds": {"learning_step": 1}}, "3-5-3 on 2 lanes: over the bound: learning"),
    ],
)
def test_what_does_not_hold_is_named(found: dict[str, object], changes: dict[str, object], line: str) -> None:
    found["rows"][0].update(changes)  # type: ignore[index]
    assert line in bench_core.problem(found)


def test_a_wrong_clock_is_not_exact() -> None:
    measured = measure(SMALL)
    assert row(SMALL, measured)["prediction_exact"]
    measured.clocks["learning_step"] = {count + 1 for count in measured.clocks["learning_step"]}
    assert not row(SMALL, measured)["prediction_exact"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["core", "--manifests", "nowhere"], "--manifests nowhere: no such folder"),
        (["core", "--manifests", "."], "x.json: not a manifest, allowed is what solsa build --json wrote"),
        (["link", "--clock", 75, "--baud", 30_000_000], "allowed up to 18750000 baud (4 clocks)"),
        (["link", "--preset", "none"], "preset 'none' is not known"),
        (["link", "--latency", "-1"], "--latency': Input should be greater than or equal to 0"),
    ],
)
def test_wrong_calls(arguments: list[object], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.json").write_text('{"board": "ulx3s_85f"}')
    assert line in bad("bench", *arguments)


@pytest.mark.bench
def test_samples_ahead_hide_the_latency() -> None:
    """The simulated host hears late: one by one every sample pays for it, ahead hardly any; the words are the same."""
    found = bench_stream(PRESETS["tiny"], clock_mhz=12.0, baud=3_000_000, latencies=(0.0, 0.5), lengths=(8,), ahead=30)
    assert found["equal"]
    for each in found["rows"]:
        one, ahead = each["one_by_one"]["microseconds"], each["ahead"]["microseconds"]
        assert each["ahead"]["bound"] == "wire"
        assert one["wire"] + one["core"] + 1000 * each["latency_ms"] < one["total"]
        assert ahead["wire"] <= ahead["total"] < 1.1 * ahead["wire"]
    with pytest.raises(ConfigError, match="latencies nan ms, allowed are 4 clocks per bit or more, and 0 to 100 ms"):
        bench_stream(PRESETS["tiny"], clock_mhz=12.0, baud=3_000_000, latencies=(float("nan"),))


def test_link_and_simulation() -> None:
    """Wire and core account for the time of a sample but for a few hundred clocks; both devices end alike."""
    link = bench_link(PRESETS["tiny"], clock_mhz=25.0, baud=1_000_000)
    assert [r["steps"] for r in link["rows"]] == [1, 8, 16]
    assert all(0 < r["turn_around_clocks"] < 1500 for r in link["rows"])
    assert {r["bound"] for r in link["rows"]} == {"wire"}
    sim = bench_sim(PRESETS["tiny"], samples=3, steps=4)
    assert sim["equal"]
    assert sim["sim"]["core_clocks"] == sim["sim-serial"]["core_clocks"]
    assert 0 < 2 * sim["sim"]["link_clocks"] < sim["sim-serial"]["link_clocks"]
