"""Estimate of power: sums of counts times energies, its ranges, its page, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from solsa.contract import PRESETS
from solsa.contract.cycles import predicted_cycles
from solsa.host import bench_power
from solsa.host.bench_power import PLAN, estimate, run_power
from solsa.host.energy import CHIPS, Range, energies, energy, toggles, total
from solsa.host.equality import Plan
from solsa.sim.activity import counters
from solsa.sim.activity_reference import IDLE, LOOK_UP, MULTIPLIER
from solsa.sim.build import ToolError

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: As sim/activity_reference.py counts them, in round numbers.
REFERENCE = {
    name: dict.fromkeys(counters("ice40")[1:], 0.0) | counts
    for name, counts in {
        "counter": {"lut": 2.0, "carry": 1.0, "flip_flop": 2.0, "luts": 24.0, "flip_flops": 24.0},
        "look_up": {"lut": 43.0, "carry": 5.0, "flip_flop": 8.0, "luts": 143.0, "flip_flops": 40.0},
        "multiplier": {"lut": 10.0, "carry": 5.0, "flip_flop": 8.0, "product": 8.0, "multiply": 1.0, "luts": 58.0,
                       "flip_flops": 40.0},
    }.items()
}  # fmt: skip
CONFIG = PRESETS["tiny"]


def counts(clocks: int, **others: int) -> dict[str, int]:
    return dict.fromkeys(counters("ice40"), 0) | {"clocks": clocks} | others


def working() -> list[dict[str, int]]:
    """Counts of the plan's steps, with the clocks that they take."""
    cycles = predicted_cycles(CONFIG)
    learning = [cycles.scheduled_step if t in PLAN.schedule else cycles.learning_step for t in range(PLAN.steps)]
    return [counts(n, lut=10 * n, block_ram=n) for n in [*learning, *[cycles.inference_step] * PLAN.steps]]


@pytest.mark.parametrize("name", CHIPS)
def test_ranges(name: str) -> None:
    found = energies(CHIPS[name], REFERENCE)
    assert all(0 <= value.low <= value.high and how for value, how in found.values())
    assert 0 < CHIPS[name].static_ma.low < CHIPS[name].static_ma.high


def test_measured_energies() -> None:
    """By hand from the currents at 12 MHz: 351 uA for the product, less 16 flip-flops, over 51 toggles."""
    found = energies(CHIPS["iCE40UP5K"], REFERENCE)
    flip_flop = found["flip_flop_clock"][0]
    assert flip_flop.low == pytest.approx(3.15 / 28 * 1.219 / 12)
    high = (351 * 1.219 / 12 - 16 * flip_flop.low) / 51
    assert found["toggle"][0].high == pytest.approx(high)
    assert found["toggle"][0].low == pytest.approx(high / 2 / (180 / 119))
    # The currents are met again: high toggles with a multiplication at the energy that they leave.
    again = 16 * flip_flop.low + 26 * high + found["multiply"][0].low
    assert again == pytest.approx(237 * 1.219 / 12)


def test_a_lost_product_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Yosys may prove that a design does not need its product, and did: nothing is estimated then."""
    made = {IDLE: REFERENCE["counter"], LOOK_UP: REFERENCE["look_up"], MULTIPLIER: REFERENCE["multiplier"]}
    monkeypatch.setattr(bench_power, "measure", lambda which, *_: made[which])
    assert bench_power.reference_counts("yosys", {}) == REFERENCE
    made[LOOK_UP] = made[LOOK_UP] | {"luts": 58.0}
    with pytest.raises(ToolError, match="lost their product: 58 look-up tables"):
        bench_power.reference_counts("yosys", {})


def test_sum() -> None:
    """Every count meets its energy: clocks once for the tree and once for each flip-flop."""
    figures = {name: Range(1.0, 2.0) for name in
               ("clock_tree", "flip_flop_clock", "toggle", "multiply", "block_ram", "large_ram", "pad")}  # fmt: skip
    made = {name: float(10**i) for i, name in enumerate(counters("ice40"))}
    assert toggles(made) == 10 + 100 + 1000 + 10_000 + 100_000
    parts = energy(made, 3, figures)
    assert [part.low for part in parts.values()] == [1, 3, 111_110, 1e7, 1e8, 1e9, 1e6]
    assert total(parts).high == 2 * total(parts).low == 2 * sum(part.low for part in parts.values())


@pytest.mark.parametrize("name", CHIPS)
def test_estimate_and_its_page(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"board": "a", "device": name, "family": "ice40", "preset": "tiny", "clock_mhz": 50.0, "flip_flops": 100,
           "nets": 1000, "synapses": 30, "mismatch": "", "problem": "", "words_compared": 5}  # fmt: skip
    chip = CHIPS[name]
    found = estimate(chip, run, CONFIG, PLAN, working(), [counts(20, lut=20)], REFERENCE)
    assert {kind: step["steps"] for kind, step in found["kinds"].items()} == {
        "learning": 6, "scheduled": 3, "inference": 9
    }  # fmt: skip
    sample, power, clock = found["sample"], found["milliwatts"], found["picojoules_per_clock"]
    assert sample["weight_updates"] == 3 * CONFIG.synapses
    assert sample["state_updates"] == 12 * CONFIG.synapses
    for bound in ("low", "high"):
        assert power["learning"][bound] == pytest.approx(clock["all"][bound] * 0.05, rel=0.01)
        per_update = clock["all"][bound] * sample["clocks"] / sample["weight_updates"]
        assert sample["picojoules_per_weight_update"][bound] == pytest.approx(per_update, rel=0.01)
        static = getattr(chip.static_ma, bound) * chip.volts * sample["clocks"] / 50e6 * 1e9 / sample["weight_updates"]
        with_static = sample["picojoules_per_weight_update_with_static"][bound]
        assert with_static == pytest.approx(per_update + static, rel=0.02)
        assert power["waiting"][bound] < power["learning"][bound]
    monkeypatch.syspath_prepend(str(DOCS))
    from power_page import power_section

    text = "\n".join(power_section({"runs": [run | found], "date": "2026-01-01", "whole_design": [], "sources": []}))
    assert "**ESTIMATE. No board was measured.**" in text
    assert f"{sample['clocks']:,} clocks, exactly those predicted" in text


def test_other_clocks_are_named() -> None:
    """The clocks with the LED lit are those of contract/cycles.py, or the run fails."""
    made = working()
    assert bench_power._unlike(CONFIG, PLAN, made) == ""
    made[2]["clocks"] += 1
    assert "step 2 (scheduled) kept the LED lit for" in bench_power._unlike(CONFIG, PLAN, made)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nothing"], "board 'nothing'"),
        (["tang_nano_9k"], "no energy figures are known of GW1NR-9C, allowed are boards with iCE40UP5K and LFE5U-85F"),
        (["icebreaker:none"], "preset 'none' is not known"),
        (["icebreaker", "--manifests", "."], "no kept build of icebreaker with icebreaker"),
        (["icebreaker", "--clock", "0"], "--clock 0, allowed is more than 0"),
        (["icebreaker", "--seed", "-1"], "--seed -1, allowed is 0 or more"),
        (["icebreaker", "--json", "nowhere/x.json"], "the folder nowhere does not exist"),
    ],
)
def test_wrong_calls(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench_power", *arguments])
    with pytest.raises(SystemExit) as stopped:
        bench_power.main()
    text = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line in text
    assert text.count("\n") == 1


@pytest.mark.bench
@pytest.mark.parametrize(
    ("board", "config"),
    [
        ("icebreaker", PRESETS["icebreaker"].with_(layers=(3, 5, 3), max_steps=16, frame_bytes=256)),
        ("ulx3s_85f", PRESETS["tiny"]),
    ],
)
def test_small_netlist(board: str, config: object) -> None:
    """The whole run for one small core: equal to golden, in the predicted clocks."""
    plan = Plan(("L", "."), 3, (2,), False)
    run = run_power(board, config=config, clock_mhz=12.0, plan=plan, reference=REFERENCE)  # type: ignore[arg-type]
    assert (run["mismatch"], run["problem"], run["steps"]) == ("", "", 6)
    assert run["sample"]["picojoules_per_weight_update"]["low"] > 0
