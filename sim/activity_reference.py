"""The small designs whose current others have measured on an iCE40 UP5K: their activity gives the energy of a toggle.

As described in the README of github.com/tinyvision-ai-inc/ice40_power: a counter of 24 bits, alone or beside two
counters of 8 bits that step by 3 and 5 and whose product is formed in every clock, of look-up tables or by a
multiplier.
"""

from __future__ import annotations

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal

from solsa.contract import PRESETS

from .activity import CountedDevice, build_counted, flip_flops
from .netlist import LEVEL, Design, synthesise

#: Designs: nothing but the counter, the product of look-up tables, the product by a multiplier.
IDLE, LOOK_UP, MULTIPLIER = "counter", "product in look-up tables", "product by a multiplier"
#: Clocks counted: the two small counters go through all their pairs.
CLOCKS = 256 * 16


def reference(which: str) -> Design:
    """One of the designs, as synthesised for an iCE40."""
    m = Module()
    m.domains.sync = sync = ClockDomain(reset_less=True)
    rx, tx = Signal(name="rx"), Signal(name="tx")
    counter = Signal(24)
    m.d.sync += counter.eq(counter + 1)
    any_one = counter[-1]
    if which != IDLE:
        first, second, product = Signal(8), Signal(8), Signal(16)
        m.d.sync += [first.eq(first + 3), second.eq(second + 5)]
        m.d.comb += product.eq(first * second)
        # No product of two bytes is all ones, and today's yosys knows: the pin keeps it from dropping the product.
        any_one = any_one | first.all() | second.all() | (product ^ rx.replicate(16)).all()
    m.d.comb += tx.eq(any_one)
    text = rtlil.convert(m, name="top", ports=[sync.clk, rx, tx], emit_src=False)
    script = f"read_rtlil top.il\nsynth_ice40 -top top {'-dsp' if which == MULTIPLIER else ''}\n"
    return Design("ice40", text, script, {"clk": "clk", "rx": "rx", "tx": "tx"})


def measure(which: str, yosys: str, environment: dict[str, str], *, level: str = LEVEL) -> dict[str, float]:
    """Activity of one of the designs, per clock, and its cells.

    Parameters
    ----------
    which : str
        One of :data:`IDLE`, :data:`LOOK_UP` and :data:`MULTIPLIER`.
    yosys : str
        Program.
    environment : dict
        Its environment.
    level : str
        g++ optimisation.

    Returns
    -------
    dict
        Counts per clock, by the names of :func:`~solsa.sim.activity.counters`, ``luts`` and ``flip_flops``.
    """
    netlist = synthesise(reference(which), yosys, environment)
    # The configuration only bounds how long the harness waits: there is no device behind these pins.
    device = CountedDevice(PRESETS["tiny"], "ice40", build_counted(netlist, level=level))
    try:
        device.count(True)
        device.run(CLOCKS + 1)
        counts = device.counts()[0]
    finally:
        device.close()
    clocks = counts.pop("clocks")
    luts, registers = netlist.cells.get("SB_LUT4", 0), flip_flops("ice40", netlist.cells)
    return {name: count / clocks for name, count in counts.items()} | {"luts": luts, "flip_flops": registers}
