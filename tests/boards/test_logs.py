"""Logs and reports of the tools, problems planted."""

from __future__ import annotations

from typing import Any

import pytest
from planted import CONFLICT, report

from solsa.boards import logs
from solsa.boards.build import find_problem
from solsa.boards.catalogue import BOARDS
from solsa.boards.cores import Core, candidates
from solsa.boards.families import ECP5, GW2A
from solsa.boards.fit import needs
from solsa.contract import preset

VOWELS = preset("vowels")
ULX3S_85F = BOARDS["ulx3s_85f"]
NEEDS = needs(VOWELS, ULX3S_85F.chip)


def core(name: str) -> Core:
    return next(candidates(ULX3S_85F, name, baud=1_000_000))


BANKS = "".join(f"mapping memory top.device.core.lanes.lane{i}.bank.memory via $__PDPW16KD_\n" for i in range(8))
CLEAN = f"""2.28. Executing MEMORY_LIBMAP pass (mapping memories to cells).
mapping memory top.device.core.error$241.softmax.table via $__DP16KD_
{BANKS}mapping memory top.device.core.lanes.lane0.gains via $__TRELLIS_DPR16X4_
Extracted data FF from read port 0 of top.device.core.lanes.lane0.gains: $rdreg[0]
using FF mapping for memory top.$flatten\\device.\\link.$auto$proc_rom.cc:155:do_switch$231
"""


def problem(yosys_log: str = CLEAN, **timing: float) -> str:
    return find_problem(yosys_log, report(**timing), ULX3S_85F, core("vowels"), NEEDS)


def test_a_clean_build_has_no_problem() -> None:
    assert problem() == ""


@pytest.mark.parametrize("before", ["", "some line\n", "abc9: "])
def test_a_driver_conflict_is_found(before: str) -> None:
    found = problem(CLEAN + before + CONFLICT + "more\n")
    assert found.startswith("yosys: ")
    assert "Driver-driver conflict for $techmap1234" in found
    assert "\n" not in found


def test_a_missed_clock_is_told_with_the_path() -> None:
    assert problem(achieved=74.87) == (
        "timing missed: 74.87 MHz reached, 75 MHz needed; "
        "core.lanes.lane0.bank to core.lanes.lane0.a_left: 11.1 ns, 5.0 ns of it routing, through rtl/lane.py:142"
    )
    assert problem(achieved=75.0) == ""


def test_a_lost_clock_constraint_is_a_problem() -> None:
    assert problem(achieved=90.0, constraint=12.0) == "timing was checked at 12 MHz only, the clock is 75 MHz"


@pytest.mark.parametrize("cell", ["mapping memory {} via $__TRELLIS_DPR16X4_", "using FF mapping for memory {}"])
def test_synapse_words_outside_block_ram_are_a_problem(cell: str) -> None:
    name = "top.device.core.lanes.lane3.bank.memory"
    log = CLEAN.replace(f"mapping memory {name} via $__PDPW16KD_", cell.format(name))
    assert problem(log).startswith("synapse words are not in block RAM: yosys made ")
    assert problem(log).endswith(f" of {name}")


@pytest.mark.parametrize(
    ("part", "cell", "good"),
    [(0, "$__TRELLIS_DPR16X4_", False), (1, "$__TRELLIS_DPR16X4_", True), (1, "$__PDPW16KD_", True)],
)
def test_a_bank_of_several_memories(part: int, cell: str, good: bool) -> None:
    """A last part of a few words may be in LUTs, the others may not."""
    memory = "mapping memory top.device.core.lanes.lane{}.bank.memory{} via {}\n"
    several = "".join(memory.format(i, k, "$__DP16KD_") for i in range(8) for k in range(3) if k != part)
    log = CLEAN.replace(BANKS, several + "".join(memory.format(i, part, cell) for i in range(8)))
    assert (problem(log) == "") is good


def test_a_part_in_flip_flops_is_a_problem() -> None:
    name = "top.device.core.lanes.lane3.bank.memory1"
    assert problem(CLEAN + f"using FF mapping for memory {name}\n").endswith(f"yosys made FF of {name}")


def test_a_bank_that_is_gone_is_a_problem() -> None:
    log = CLEAN.replace("mapping memory top.device.core.lanes.lane3.bank.memory via $__PDPW16KD_\n", "")
    assert problem(log) == "synapse words are not in block RAM: yosys mapped 7 banks of 8"


def test_banks_that_are_cheaper_in_lut_ram_are_none() -> None:
    tiny = preset("tiny")
    assert find_problem("", report(), ULX3S_85F, core("tiny"), needs(tiny, ULX3S_85F.chip)) == ""


def test_the_slowest_clock_against_its_constraint_counts() -> None:
    two = {"fmax": {"a": {"achieved": 100.0, "constraint": 25.0}, "b": {"achieved": 110.0, "constraint": 125.0}}}
    assert logs.timing(two) == logs.Timing(clock_mhz=125.0, fmax_mhz=110.0)
    with pytest.raises(ValueError, match="no clock"):
        logs.timing({"fmax": {}})


def test_utilization_by_manifest_field() -> None:
    assert logs.utilization(report(), ECP5) == {"lut": 12000, "ff": 9000, "bram": 15, "dsp": 39, "spram": 0}
    gowin = {
        "utilization": {"LUT4": {"used": 100}, "ALU": {"used": 20}, "MULT18X18": {"used": 3}, "MULT9X9": {"used": 3}}
    }
    assert logs.utilization(gowin, GW2A) == {"lut": 120, "ff": 0, "bram": 0, "dsp": 5, "spram": 0}


def test_first_error_of_a_log() -> None:
    assert logs.first_error("Info: a\nERROR: no place for\nERROR: b\n") == "ERROR: no place for"
    assert logs.first_error("Info: ERRORs 0\n") == ""


def test_an_unnamed_signal_is_named_by_its_unit() -> None:
    plain = report()
    path = plain["critical_paths"][1]["path"]
    path[0]["from"]["cell"] = "device.core.adapt.$signal_TRELLIS_FF_Q_1"
    path[-1]["to"]["cell"] = "device.core.neurons.a[3]_TRELLIS_FF_Q"
    assert logs.critical_path(plain).startswith("core.adapt to core.neurons.a[3]: ")


def test_a_design_without_registers_has_no_critical_path() -> None:
    assert logs.critical_path({"critical_paths": []}) == ""


def test_the_registers_that_come_next() -> None:
    def net(cell: str, *delay: float, event: str = "posedge clk") -> dict[str, Any]:
        return {"endpoints": [{"cell": cell, "delay": list(delay), "event": event, "port": "DI"}]}

    timings = [
        net("device.core.adapt.gradient_TRELLIS_FF_Q", 13.8, 14.92),
        net("device.core.adapt.gradient_TRELLIS_FF_Q_3", 15.0),
        net("device.core.lanes.lane0.total_TRELLIS_FF_Q_9", 9.0),
        net("device.core.lanes.lane5.total_TRELLIS_FF_Q_9", 9.31),
        net("led.buf.buf0", 30.0, event="async"),
        net("device.core.neurons.index6_TRELLIS_FF_Q", 3.0),
    ]
    found = logs.slowest({"detailed_net_timings": timings}, 2)
    assert found == {"core.adapt.gradient": 15.0, "core.lanes.lane#.total": 9.3}
    assert logs.slowest({}) == {}
