"""What a toggle costs: published currents, and ranges of energy made of them. Everything here is an ESTIMATE.

No board was measured by us. An iCE40 UP5K was, by others, running small designs (host/bench_power.py counts what these
do); no such figures of an ECP5 were found, so those are the iCE40's, scaled. Each event has a low and a high energy,
and sums are of all low or of all high ones: the truth is between them unless an assumption below is wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from solsa.contract import ConfigError

#: (what, address) of everything used, in the order in which documents number them.
SOURCES: tuple[tuple[str, str], ...] = (
    ("tinyVision.ai, iCE40 Power Testing: core current of a UP5K for small designs built with yosys and nextpnr",
     "https://github.com/tinyvision-ai-inc/ice40_power"),
    ("M. Horowitz, Computing's energy problem, ISSCC 2014: 64-bit access to 8 kB 10 pJ, to 32 kB 20 pJ; 45 nm, 0.9 V",
     "https://doi.org/10.1109/ISSCC.2014.6757323"),
    ("T. Czajkowski, Fast toggle rate computation for FPGA circuits: glitches can double the toggles",
     "https://m.moam.info/download/fast-toggle-rate-computation-for-fpga-circuits-eecg-toronto_5b70250e097c47c9248b457c.html"),
    ("butterstick-hardware, issue 2, after Lattice's data sheet of the ECP5: standby core current 212 mA of the 85F",
     "https://github.com/butterstick-fpga/butterstick-hardware/issues/2"),
    ("Symbiotic EDA, MARLANN, power-test: core power of a UP5K with a whole design (a convolution engine)",
     "https://github.com/SymbioticEDA/MARLANN/tree/master/power-test"),
)  # fmt: skip
#: Source 1: volts of the core rail, and its currents in uA.
VOLTS = 1.219
BLANK, IN_RESET, HALTED = 85.6, 188.3, 92.1
#: uA of the PLL's rail at 48 and at 16 MHz.
PLL = (103.6, 138.6)
#: (Logic cells, uA) of counters of 28, 56, 112 and 224 bits, whose further bits hardly move, with a clock of 12 MHz.
COUNTERS = ((32, 613.5), (60, 616.65), (116, 624.2), (228, 641.3))
#: (MHz, uA) of a counter of 24 bits on the chip's oscillator.
OSCILLATOR = ((6, 388.4), (48, 2184.0))
#: The same at 12 MHz; with the product of two counters in look-up tables, and by a multiplier.
COUNTER_24, LOOK_UP_24, MULTIPLIER_24 = 645.0, 996.0, 882.0
#: Logic cells of the second, of which the counter of 24 bits takes 28.
LOOK_UP_CELLS, COUNTER_CELLS = 208, 28
MEGAHERTZ = 12
#: Source 2: pJ of a 64-bit access to 8 and to 32 kB, and its volts.
CACHE_8K, CACHE_32K, CACHE_BITS, CACHE_VOLTS = 10.0, 20.0, 64, 0.9
#: Source 5: (MHz, mW of the core rail).
WHOLE_DESIGN = ((12, 10.58), (20, 16.99))
#: Volts of the pins; farads of a pin and what hangs on it, assumed.
PIN_VOLTS, PIN_FARADS = 3.3, (10e-12, 30e-12)
#: An ECP5's nets against an iCE40's at the same voltage, assumed: as long, and up to so many times as long.
LONGER = 3.0
#: Source 4: mA of the core rail of the 85F.
STANDBY_MA = 212
#: Leakage falls to about a third from the data sheet's temperature to a cool chip, assumed.
COOL = 1 / 3


@dataclass(frozen=True)
class Range:
    """Least and greatest value."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def times(self, low: float, high: float | None = None) -> Range:
        """Scaled by a factor, or by one that lies between two."""
        return Range(self.low * low, self.high * (low if high is None else high))

    def record(self, digits: int = 3) -> dict[str, float]:
        """For a result file, with so many significant digits."""
        return {"low": float(f"{self.low:.{digits}g}"), "high": float(f"{self.high:.{digits}g}")}


@dataclass(frozen=True)
class Chip:
    """A device whose figures are known.

    Attributes
    ----------
    name : str
        As in a board's definition.
    luts : int
        Four-input look-up tables.
    volts : float
        Core rail.
    bits : int
        Width of a block RAM's port.
    static_ma : Range
        Current of the core without a clock; with that of the PLL where it is known.
    static_how : str
        Where that is from.
    """

    name: str
    luts: int
    volts: float
    bits: int
    static_ma: Range
    static_how: str


CHIPS = {
    "iCE40UP5K": Chip(
        "iCE40UP5K", 5280, VOLTS, 16, Range((BLANK + PLL[0]) / 1e3, (IN_RESET + PLL[1]) / 1e3),
        "source 1: low an empty design, high a chip held in reset; both with the PLL's rail",
    ),
    "LFE5U-85F": Chip(
        "LFE5U-85F", 83640, 1.1, 18, Range(STANDBY_MA * COOL, STANDBY_MA),
        "source 4: high the data sheet's standby current, low a third of it for a cool chip (assumed); without the PLL",
    ),
}  # fmt: skip


def find_chip(device: str) -> Chip:
    """Chip of a device's name.

    Raises
    ------
    ConfigError
        If there are no figures of it.
    """
    if device not in CHIPS:
        raise ConfigError(f"no energy figures are known of {device}, allowed are boards with {' and '.join(CHIPS)}")
    return CHIPS[device]


def toggles(counts: dict[str, float]) -> float:
    """Toggles of all nets among counts."""
    return sum(counts[name] for name in ("lut", "carry", "flip_flop", "memory", "product"))


def energies(chip: Chip, reference: dict[str, dict[str, float]]) -> dict[str, tuple[Range, str]]:
    """(pJ, how it was found) of every event.

    Parameters
    ----------
    chip : Chip
        Of the board.
    reference : dict
        What the designs ``counter``, ``look_up`` and ``multiplier`` of source 1 do per clock: counts, ``luts`` and
        ``flip_flops`` (sim/activity_reference.py).
    """
    found = _measured(reference)
    words = (CACHE_8K, CACHE_32K)
    for name, whole in zip(("block_ram", "large_ram"), words, strict=True):
        high = whole * max(1.0, chip.volts / CACHE_VOLTS) ** 2
        how = f"source 2: low its energy for {chip.bits} bits, high all 64 bits at {chip.volts:g} V"
        found[name] = (Range(whole * chip.bits / CACHE_BITS, high), how)
    pins = Range(*(farads * PIN_VOLTS**2 / 2 * 1e12 for farads in PIN_FARADS))
    if chip.name == "iCE40UP5K":
        return found | {"pad": (pins, "assumed: 10 to 30 pF at 3.3 V")}
    drop = (chip.volts / VOLTS) ** 2
    size = chip.luts / CHIPS["iCE40UP5K"].luts
    scaled = f"the UP5K's times (1.1/{VOLTS})^2"
    found["multiply"] = (found["multiply"][0].times(drop), scaled)  # its wires are among the nets
    for name in ("flip_flop_clock", "toggle"):
        found[name] = (found[name][0].times(drop, drop * LONGER), f"{scaled}, high times {LONGER:g} (assumed)")
    found["clock_tree"] = (found["clock_tree"][0].times(drop * math.sqrt(size), drop * size),
                           f"{scaled} times the chip's size: low by length, high by area")  # fmt: skip
    return found | {"pad": (pins, "assumed: 10 to 30 pF at 3.3 V")}


def _measured(reference: dict[str, dict[str, float]]) -> dict[str, tuple[Range, str]]:
    """What source 1 measured on the UP5K."""
    external = (COUNTERS[0][1] - HALTED) * VOLTS / MEGAHERTZ
    (slow, less), (fast, more) = OSCILLATOR
    trees = sorted((external, (more - less) * VOLTS / (fast - slow)))
    cells = sorted((b[1] - a[1]) / (b[0] - a[0]) * VOLTS / MEGAHERTZ
                   for a, b in zip(COUNTERS, COUNTERS[1:], strict=False))  # fmt: skip
    idle, look_up, multiplier = (reference[name] for name in ("counter", "look_up", "multiplier"))
    registers = (look_up["flip_flops"] - idle["flip_flops"]) * cells[0]
    # Today's yosys needs fewer look-up tables for the product than the one that was measured: as many fewer toggles.
    then = (LOOK_UP_CELLS - COUNTER_CELLS) / (look_up["luts"] - idle["luts"])
    moved = toggles(look_up) - toggles(idle)
    toggle = ((LOOK_UP_24 - COUNTER_24) * VOLTS / MEGAHERTZ - registers) / moved
    per_toggle = Range(toggle / max(1.0, then) / 2, toggle)
    rest = (MULTIPLIER_24 - COUNTER_24) * VOLTS / MEGAHERTZ - registers
    moved = toggles(multiplier) - toggles(idle)
    operation = Range(max(0.0, rest - moved * per_toggle.high), 4 * (rest - moved * per_toggle.low))
    return {
        "clock_tree": (Range(trees[0], trees[-1]), "source 1: current per MHz with a small counter, two clock sources"),
        "flip_flop_clock": (Range(cells[0], cells[-1]), "source 1: further cells of wide counters"),
        "toggle": (per_toggle, "source 1: product in look-up tables over its toggles counted here; glitches are in it: "
                   "low for logic with half as many (source 3), built of as many cells as theirs"),
        "multiply": (operation, "source 1: product by a multiplier, less its nets; high for 16 by 16 bits, four times "
                     "8 by 8"),
    }  # fmt: skip


def energy(counts: dict[str, float], flip_flops: int, figures: dict[str, Range]) -> dict[str, Range]:
    """pJ of what was counted, by part of the chip.

    Parameters
    ----------
    counts : dict
        By the names of :func:`solsa.sim.activity.counters`.
    flip_flops : int
        Of the design: each sees every clock.
    figures : dict
        pJ of every event.
    """
    clocks = counts["clocks"]
    return {
        "clock tree": figures["clock_tree"].times(clocks),
        "clock of flip-flops": figures["flip_flop_clock"].times(clocks * flip_flops),
        "nets": figures["toggle"].times(toggles(counts)),
        "multipliers": figures["multiply"].times(counts["multiply"]),
        "block RAM": figures["block_ram"].times(counts["block_ram"]),
        "large RAM": figures["large_ram"].times(counts["large_ram"]),
        "pins": figures["pad"].times(counts["pad"]),
    }


def total(parts: dict[str, Range]) -> Range:
    """Sum of parts."""
    return sum(parts.values(), Range(0.0, 0.0))


def sources() -> list[dict[str, Any]]:
    """For a result file."""
    return [{"what": what, "address": address} for what, address in SOURCES]
