"""Counted activity on a netlist made by hand, whose toggles are known; planted mistakes give other counts."""

from __future__ import annotations

import pytest

from solsa.contract import PRESETS
from solsa.sim.activity import CountedDevice, build_counted, counted_nets
from solsa.sim.netlist import Design, Netlist


def _cell(kind: str, number: int, ports: dict[str, str], parameters: str = "") -> str:
    head = f"  {kind} #(\n    {parameters}\n  ) _{number}_ (\n" if parameters else f"  {kind} _{number}_ (\n"
    return head + ",\n".join(f"    .{name}({net})" for name, net in ports.items()) + "\n  );\n"


def _lut(number: int, table: str, one: str, other: str, out: str) -> str:
    inputs = {"I0": one, "I1": other, "I2": "1'h0", "I3": "1'h0", "O": out}
    return _cell("SB_LUT4", number, inputs, f".LUT_INIT(16'h{table})")


#: q halves the clock, h halves q, d is q one clock later. The memory is read while q is high; the multiplier's operand
#: is h; the LED is h; the last look-up table leads nowhere.
Q, H, D, NOT_Q, NEXT_H, NOWHERE = (f"_{i}_" for i in range(6))
NETLIST = (
    "module netlist(clk, tx, led_0__io);\n  input clk;\n  output tx;\n  output led_0__io;\n"
    + "".join(f"  wire _{i}_;\n" for i in range(6))
    + _cell("SB_DFF", 10, {"C": "clk", "D": NOT_Q, "Q": Q})
    + _cell("SB_DFF", 11, {"C": "clk", "D": NEXT_H, "Q": H})
    + _cell("SB_DFF", 12, {"C": "clk", "D": Q, "Q": D})
    + _lut(13, "5555", Q, "1'h0", NOT_Q)
    + _lut(14, "6666", Q, H, NEXT_H)
    + _lut(15, "8888", D, H, NOWHERE)
    + _cell("SB_MAC16", 16, {"A": f"{{ 15'h0000, {H} }}", "B": "16'h0003"})
    + _cell("SB_RAM40_4K", 17, {"RCLKE": "1'h1", "RE": Q, "RCLK": "clk", "RADDR": "11'h000", "WCLKE": "1'h0",
                                "WE": "1'h1", "WCLK": "clk", "WADDR": "11'h000", "WDATA": "16'h0000",
                                "MASK": "16'h0000"})
    + _cell("SB_IO_OUT", 18, {"D_OUT_0": H, "OUTPUT_ENABLE": "1'h1", "PACKAGE_PIN": "led_0__io"})
    + "endmodule\n"
)  # fmt: skip
#: Clocks counted.
CLOCKS = 40


def _expected() -> tuple[dict[str, int], dict[str, int]]:
    """What the comment above says, clock by clock, for h low and high."""
    sets: tuple[dict[str, int], dict[str, int]] = ({}, {})
    levels = [
        {"q": k % 2, "h": k // 2 % 2, "next": (k % 2) ^ (k // 2 % 2), "d": (k - 1) % 2} for k in range(CLOCKS + 1)
    ]
    for was, now in zip(levels, levels[1:], strict=False):
        moved = {name: int(was[name] != now[name]) for name in now}
        found = {
            "clocks": 1,
            "lut": moved["q"] + moved["next"],
            "flip_flop": moved["q"] + moved["h"] + moved["d"],
            "pad": moved["h"],
            "multiply": moved["h"],
            "block_ram": now["q"],
        }
        for name, count in found.items():
            mine = sets[now["h"]]
            mine[name] = mine.get(name, 0) + count
    return sets


@pytest.fixture(scope="module")
def counted() -> tuple[dict[str, int], dict[str, int]]:
    """Counts of the netlist; where it has nothing to count, planted mistakes are counted instead."""
    nets = counted_nets(NETLIST, "ice40")
    # One net left out, one taken twice, one of another kind.
    nets |= {"carry": nets["lut"][:1], "memory": [*nets["flip_flop"], nets["flip_flop"][0]], "product": [H, NEXT_H]}
    design = Design("ice40", "", "", {"clk": "clk", "tx": "tx"})
    netlist = Netlist(design, NETLIST, "", {})
    device = CountedDevice(PRESETS["tiny"], "ice40", build_counted(netlist, nets=nets))
    assert set(device.counts()[0].values()) | set(device.counts()[1].values()) == {0}, "nothing counts before it is on"
    device.run(-device.cycles % 4)
    device.count(True)
    device.run(CLOCKS + 1)
    device.count(False)
    device.run(50)
    found = device.counts()
    device.close()
    return found


def test_every_toggle_is_counted_once(counted: tuple[dict[str, int], dict[str, int]]) -> None:
    for found, expected in zip(counted, _expected(), strict=True):
        assert {name: found[name] for name in expected} == expected
        assert found["large_ram"] == 0


def test_planted_mistakes_are_seen(counted: tuple[dict[str, int], dict[str, int]]) -> None:
    """A net left out, one taken twice and one in a wrong list change the counts."""
    expected = _expected()
    for name, right in (("carry", "lut"), ("memory", "flip_flop"), ("product", "flip_flop")):
        assert sum(found[name] for found in counted) != sum(found[right] for found in expected), name


def test_nets_that_lead_nowhere_do_not_count() -> None:
    nets = counted_nets(NETLIST, "ice40")
    assert nets["lut"] == [NOT_Q, NEXT_H]
    assert nets["flip_flop"] == [Q, H, D]
    assert nets["pad"] == [H]
