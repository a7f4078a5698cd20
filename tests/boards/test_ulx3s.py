"""The top of the board: pins, clock and netlist, without any tool."""

from __future__ import annotations

import re

from solsa.boards.build import BOARDS
from solsa.contract import preset


def plan() -> dict[str, str]:
    board = BOARDS["ulx3s_85f"]
    return board.platform().build(board.top(preset("tiny"), 25), do_build=False).files


def test_serial_line_and_led_are_on_their_pins_and_the_clock_is_constrained() -> None:
    lpf = plan()["top.lpf"]
    assert dict(re.findall(r'LOCATE COMP "(\w+)" SITE "(\w+)"', lpf)) == {
        "uart_0__rx__io": "M1",  # driven by the USB chip
        "uart_0__tx__io": "L4",
        "led_0__io": "B2",
        "clk25_0__io": "G2",
    }
    assert re.findall(r'FREQUENCY PORT "(\w+)" ([\d.]+) HZ', lpf) == [("clk25_0__io", "25000000.0")]


def test_the_netlist_holds_the_whole_device() -> None:
    modules = set(re.findall(r"^module \\(\S+)", plan()["top.il"], re.MULTILINE))
    assert {"top.device.core.lanes.lane1", "top.device.link.receiver"} <= modules


def test_the_script_runs_synthesis_place_and_route_and_packing() -> None:
    tools = re.findall(r'^"\$(\w+)"', plan()["build_top.sh"], re.MULTILINE)
    assert tools == [tool.variable for tool in BOARDS["ulx3s_85f"].family.tools]
