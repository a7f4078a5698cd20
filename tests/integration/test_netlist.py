"""Netlist equality on small networks: the serial unit of an iCE40, and one pipelined on an ECP5."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.build import Attrs, Pins, Resource
from amaranth.hdl import Module, Shape, Signal
from amaranth.lib import io

from solsa.boards.top import BoardTop
from solsa.contract import PRESETS, ConfigError, NetworkConfig
from solsa.host.equality import Plan, board_design, compare, run_netlist
from solsa.host.golden_device import GoldenDevice
from solsa.sim.netlist import Netlist, synthesise
from solsa.sim.netlist_faults import FaultyNetlist, plant

CONFIGS = {
    "icebreaker": PRESETS["icebreaker"].with_(layers=(3, 5, 3), max_steps=16, frame_bytes=256),
    "ulx3s_85f": PRESETS["tiny"],
}


def check(mismatch: str, steps: int, words: int, changed: dict[str, int]) -> None:
    """Four samples, three steps each, all words read after every step."""
    assert (mismatch, steps) == ("", 12)
    assert words > 12 * 100
    # Everything that can change did: weights, traces, filters, neurons, score, filter constants.
    assert len(changed) == 6
    assert all(changed.values())


@pytest.mark.bench
@pytest.mark.parametrize("board", CONFIGS)
def test_netlist_learns_like_golden(board: str) -> None:
    """The whole command for one core; without faults, the next test does the same."""
    run = run_netlist(board, config=CONFIGS[board])
    assert run["problem"] == ""
    check(run["mismatch"], run["steps"], run["words_compared"], run["words_changed"])


def _netlist(board: str) -> Netlist:
    design, yosys, environment = board_design(board, CONFIGS[board])
    return synthesise(design, yosys, environment)


@pytest.mark.slow
@pytest.mark.parametrize(("board", "per_kind"), [
    pytest.param("icebreaker", 4, marks=pytest.mark.long), pytest.param("ulx3s_85f", 8, marks=pytest.mark.bench)
])  # fmt: skip
def test_wrong_netlists_are_caught(board: str, per_kind: int) -> None:
    """Of every kind of fault one is caught: a bit of a look-up table, a multiplier's output, two swapped flip-flops.

    Not every fault can be seen: the first of a kind that is caught will do.
    """
    config = CONFIGS[board]
    faulty = FaultyNetlist(config, _netlist(board), per_kind=per_kind)
    for kind in ("lut", "multiplier", "swap"):
        numbers = [fault.number for fault in faulty.faults if fault.kind == kind]
        assert len(numbers) == per_kind
        assert any(compare(config, faulty.device(number)).mismatch for number in numbers), kind
    # The same cells without an active fault: it is the fault that is caught.
    result = compare(config, faulty.device(0))
    check(result.mismatch, result.steps, result.words, result.changed)


class MiscompiledTop(BoardTop):
    """In place of the device (nothing is simulated) the multiplier that yosys turns into constants."""

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        spare = [
            Resource("spare", i, Pins(pin, dir="o", conn=("pmod", 0)), Attrs(IO_STANDARD="SB_LVCMOS"))
            for i, pin in enumerate("12")
        ]
        platform.add_resources(spare)
        pins = [io.Buffer("o", platform.request("spare", i, dir="-")) for i in range(2)]
        m.submodules += pins
        a, b = Signal(Shape(12, True)), Signal(12)
        first, second = (Signal(Shape(24, True), reset_less=True, name=f"p{i}") for i in range(2))
        m.d.sync += [a.eq(a + 1), b.eq(b + 3), first.eq(a * b), second.eq(first)]
        m.d.comb += [pins[0].o.eq(second[:12].xor()), pins[1].o.eq(second[12:].xor())]
        return m


@pytest.mark.slow
def test_known_miscompile_fails_the_run() -> None:
    """Nothing is simulated: the warning is enough, though no word of the state would differ."""
    run = run_netlist("icebreaker", config=CONFIGS["icebreaker"], make_top=MiscompiledTop)
    assert "Driver-driver conflict" in run["problem"]
    assert (run["steps"], run["words_compared"]) == (0, 0)


def test_board_without_models_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tang_nano_9k: .* allowed are boards of ice40 and ecp5"):
        board_design("tang_nano_9k", CONFIGS["ulx3s_85f"])


ONE_CELL = "module netlist(a);\n  LUT4 #(\n    .INIT(16'h1)\n  ) _1_ (\n    .A(_2_),\n    .Z(_3_)\n  );\nendmodule\n"


def test_faults_need_cells() -> None:
    with pytest.raises(ValueError, match="the netlist has 1 cells LUT4"):
        plant(ONE_CELL, 2, 0)


def test_preset_and_configuration() -> None:
    assert isinstance(CONFIGS["icebreaker"], NetworkConfig)
    assert CONFIGS["icebreaker"].serial


def test_a_slow_machine_is_no_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies that take minutes are waited for: netlists ran out of time beside other work, and looked wrong."""
    clock = iter(range(0, 10**9, 100))
    monkeypatch.setattr("solsa.host.link.time.monotonic", lambda: next(clock))
    config = PRESETS["tiny"]
    result = compare(config, GoldenDevice(config), plan=Plan(("L",), 2, (1,), every_step=False))
    assert (result.mismatch, result.steps) == ("", 2)
