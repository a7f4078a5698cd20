"""The top of every board: pins, clock and netlist, without any tool."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from amaranth.hdl import ClockDomain, Fragment, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext

from solsa.boards import clocks
from solsa.boards.board import Board
from solsa.boards.build import _commands
from solsa.boards.catalogue import BOARDS
from solsa.boards.clocks import PllDomain
from solsa.boards.pll import PllKind, PllSettings, clock_for, find_pll
from solsa.boards.top import BoardTop
from solsa.contract import NetworkConfig

#: The smallest core: a board top is looked at here, not the core.
SMALL = NetworkConfig(layers=(2, 2), lanes=1, groups=1, max_steps=2, surrogate_entries=4, frame_bytes=64)
PRIMITIVE = {PllKind.ECP5: "EHXPLLL", PllKind.ICE40: "SB_PLL40_PAD", PllKind.GW1N: "rPLL", PllKind.GW2A: "rPLL"}
#: Pin of clock, into the FPGA and out of it; from the boards' schematics, see boards/platforms.py.
PINS = {
    "icebreaker": ("35", "6", "9"),
    "ulx3s_12f": ("G2", "M1", "L4"),
    "ulx3s_25f": ("G2", "M1", "L4"),
    "ulx3s_45f": ("G2", "M1", "L4"),
    "ulx3s_85f": ("G2", "M1", "L4"),
    "icesugar_pro": ("P6", "A9", "B9"),
    "ecpix5_45f": ("K23", "R26", "R24"),
    "ecpix5_85f": ("K23", "R26", "R24"),
    "colorlight_i5": ("P3", "H18", "J17"),
    "colorlight_i9": ("P3", "H18", "J17"),
    "orangecrab_25f": ("A9", "N17", "M18"),
    "orangecrab_85f": ("A9", "N17", "M18"),
    "tang_nano_9k": ("52", "18", "17"),
    "tang_nano_20k": ("4", "70", "69"),
}


def plan(board: Board, clock_mhz: float | None = None) -> dict[str, str]:
    clock, pll = clock_for(board.family.pll, board.reference_mhz, clock_mhz or board.clock_mhz)
    top = BoardTop(SMALL, round(clock), pll)
    files = board.platform().build(top, do_build=False, synth_opts=board.family.synth_opts).files
    return {name: text if isinstance(text, str) else text.decode() for name, text in files.items()}


def pins(files: dict[str, str]) -> dict[str, str]:
    for name, text in files.items():
        if name.endswith(".lpf"):
            return dict(re.findall(r'LOCATE COMP "(\w+)" SITE "(\w+)"', text))
        if name.endswith(".pcf"):
            return dict(re.findall(r"set_io (\w+) (\w+)", text))
        if name.endswith(".cst"):
            return dict(re.findall(r'IO_LOC "(\w+)" (\w+)', text))
    raise AssertionError("no file of constraints")


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_elaborates(name: str) -> None:
    """With a PLL; one board of each family without as well, which takes a second each."""
    board = BOARDS[name]
    primitive = PRIMITIVE[board.family.pll]
    clocks = [(2 * board.reference_mhz, 1), (board.reference_mhz, 0)]
    for mhz, expected in clocks if name in ("icebreaker", "ulx3s_85f", "tang_nano_9k") else clocks[:1]:
        files = plan(board, mhz)
        assert len(re.findall(rf"cell \\{primitive} ", files["top.il"])) == expected
        modules = set(re.findall(r"^module \\(\S+)", files["top.il"], re.MULTILINE))
        assert {"top.device.core.lanes.lane0", "top.device.link.receiver"} <= modules
        found = pins(files)
        clock = next(pin for port, pin in found.items() if "clk" in port)
        assert (clock, found["uart_0__rx__io"], found["uart_0__tx__io"]) == PINS[name]
        assert any("led" in port for port in found)
        _, commands = _commands(files["build_top.sh"])
        assert [re.match(r'"\$(\w+)"', line)[1] for line in commands] == [  # type: ignore[index]
            tool.variable for tool in board.family.tools
        ]
        assert f"-o top{board.family.bitstream}" in commands[2] or f"top{board.family.bitstream}" in commands[2]


@pytest.mark.parametrize("name", ["ulx3s_85f", "icebreaker"])
def test_the_clock_of_the_crystal_is_constrained(name: str) -> None:
    files = plan(BOARDS[name])
    if name == "icebreaker":
        assert re.findall(r"set_frequency (\w+) ([\d.]+)", files["top.pcf"]) == [("clk12_0__io", "12.0")]
    else:
        assert re.findall(r'FREQUENCY PORT "(\w+)" ([\d.]+) HZ', files["top.lpf"]) == [("clk25_0__io", "25000000.0")]


@pytest.mark.parametrize("name", ["tang_nano_9k", "tang_nano_20k"])
def test_gowin_is_placed_by_himbaechel_with_its_options(name: str) -> None:
    _, (_, place, pack) = _commands(plan(BOARDS[name])["build_top.sh"])
    family = {"tang_nano_9k": "GW1N-9C", "tang_nano_20k": "GW2A-18C"}[name]
    assert f"--device {BOARDS[name].device} --vopt family={family} --vopt cst=top.cst --json top.syn.json" in place
    assert f"-d {family} -o top.fs" in pack


def test_other_colours_of_an_rgb_led_are_dark() -> None:
    netlist = plan(BOARDS["icesugar_pro"])["top.il"]
    top = netlist[re.search(r"^module \\top$", netlist, re.MULTILINE).start() :]  # type: ignore[union-attr]
    cells = {colour: re.search(rf"cell \\top\.led_{colour} .*?\n  end\n", top, re.DOTALL) for colour in "rgb"}
    # every colour has a buffer; only one has a signal of the design at its input, the others hold 0
    assert {colour: "connect \\o" in cell[0] for colour, cell in cells.items() if cell} == {
        "r": False, "g": True, "b": False,
    }  # fmt: skip


def test_names_of_boards_and_their_chips_agree() -> None:
    for name, board in BOARDS.items():
        assert board.name == name
        assert set(PINS) == set(BOARDS)
        device = getattr(board.platform(), "device", None) or board.platform().part
        assert board.device.startswith(device), name


class Pll(wiring.Component):
    """In place of a primitive that no simulator knows: the test is the lock."""

    def __init__(self, settings: PllSettings) -> None:
        super().__init__({"reference": In(1), "clock": Out(1), "locked": Out(1)})
        self.lock = Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [self.clock.eq(self.reference), self.locked.eq(self.lock)]
        return m


def test_reset_lasts_until_the_lock_has_settled_and_comes_back_with_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Pll] = []
    monkeypatch.setattr(clocks, "Ecp5Pll", lambda settings: made.append(Pll(settings)) or made[0])
    settings = find_pll(PllKind.ECP5, 25.0, 50.0)
    pin = io.SimulationPort("i", 1)
    platform = SimpleNamespace(default_clk="clk", default_rst=None, request=lambda name, dir: pin)
    top = Module()
    top.domains += ClockDomain("sync")
    top.submodules.domain = Fragment.get(PllDomain(settings), platform)
    reset = Signal()
    top.d.comb += reset.eq(ResetSignal("sync"))

    async def bench(ctx: SimulatorContext) -> None:
        async def clock_until(value: int, limit: int) -> int:
            for i in range(limit):
                if ctx.get(reset) == value:
                    return i
                for level in (1, 0):
                    ctx.set(pin.i, level)
                    await ctx.delay(1e-8)
            return limit

        assert await clock_until(0, 3000) == 3000  # not without a lock
        ctx.set(made[0].lock, 1)
        settled = await clock_until(0, 3000)
        assert clocks.SETTLE * 50_000_000 <= settled < 3 * clocks.SETTLE * 50_000_000
        ctx.set(made[0].lock, 0)
        assert await clock_until(1, 10) <= 4
        assert await clock_until(0, 3000) == 3000

    simulation = Simulator(top)
    simulation.add_testbench(bench)
    simulation.run()
