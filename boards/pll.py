"""Dividers of a PLL: the nearest clock that is not above the wanted one, within the limits of the data sheets.

Three primitives, one search. All compute

    detector = reference / R        oscillator = detector * M        output = oscillator / D

and differ in how R, M and D are made of parameters, and in the limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from solsa.contract import ConfigError


class PllKind(Enum):
    """Primitive; the value is the name of the cell."""

    #: Lattice ECP5; FPGA-DS-02012 (sysCLOCK PLL timing), FPGA-TN-02200.
    ECP5 = "EHXPLLL"
    #: Lattice iCE40; FPGA-DS-02008 and FPGA-DS-02029 (sysCLOCK PLL timing), FPGA-TN-02052.
    ICE40 = "SB_PLL40_PAD"
    #: Gowin GW1N(R)-9 at speed C6/I5; DS117 (PLL), UG286.
    GW1N = "rPLL of GW1N"
    #: Gowin GW2A(R)-18 at speed C8/I7; DS226 (PLL), UG286.
    GW2A = "rPLL of GW2A"


@dataclass(frozen=True)
class Range:
    """Closed range of frequencies in MHz."""

    low: Fraction
    high: Fraction

    def __contains__(self, mhz: Fraction) -> bool:
        return self.low <= mhz <= self.high

    def __str__(self) -> str:
        return f"{float(self.low):g} to {float(self.high):g} MHz"


@dataclass(frozen=True)
class Limits:
    """What a data sheet allows."""

    reference: Range
    detector: Range
    oscillator: Range
    output: Range


def _range(low: str, high: str) -> Range:
    return Range(Fraction(low), Fraction(high))


LIMITS = {
    PllKind.ECP5: Limits(_range("8", "400"), _range("10", "400"), _range("400", "800"), _range("3.125", "400")),
    PllKind.ICE40: Limits(_range("10", "133"), _range("10", "133"), _range("533", "1066"), _range("16", "275")),
    PllKind.GW1N: Limits(_range("3", "400"), _range("3", "400"), _range("400", "1200"), _range("3.125", "600")),
    PllKind.GW2A: Limits(_range("3", "500"), _range("3", "500"), _range("500", "1250"), _range("3.90625", "625")),
}
#: Values that a Gowin ODIV can take (UG286).
_GOWIN_ODIV = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@dataclass(frozen=True)
class PllSettings:
    """Dividers of a PLL, R, M and D of the module docstring, and the frequencies they give."""

    kind: PllKind
    reference: Fraction
    before: int
    times: int
    after: int

    @property
    def detector(self) -> Fraction:
        """MHz at the phase detector."""
        return self.reference / self.before

    @property
    def oscillator(self) -> Fraction:
        """MHz of the oscillator."""
        return self.detector * self.times

    @property
    def output(self) -> Fraction:
        """MHz of the clock."""
        return self.oscillator / self.after

    def problem(self) -> str:
        """First limit that is broken, or an empty string."""
        limits = LIMITS[self.kind]
        for name in ("reference", "detector", "oscillator", "output"):
            value, allowed = getattr(self, name), getattr(limits, name)
            if value not in allowed:
                return f"{name} at {float(value):g} MHz, allowed {allowed}"
        return ""

    def parameters(self) -> dict[str, int | str]:
        """Parameters of the primitive."""
        if self.kind is PllKind.ECP5:
            # The feedback runs through CLKOP, whose divider is M; the clock is CLKOS, so that D is free of M.
            return {
                "CLKI_DIV": self.before, "CLKFB_DIV": 1, "CLKOP_DIV": self.times, "CLKOS_DIV": self.after,
                "CLKOP_CPHASE": self.times - 1, "CLKOS_CPHASE": self.after - 1,
            }  # fmt: skip
        if self.kind is PllKind.ICE40:
            return {
                "DIVR": self.before - 1, "DIVF": self.times - 1, "DIVQ": self.after.bit_length() - 1,
                "FILTER_RANGE": _filter_range(self.detector),
            }  # fmt: skip
        return {
            "FCLKIN": f"{float(self.reference):g}",
            "IDIV_SEL": self.before - 1, "FBDIV_SEL": self.times // self.after - 1, "ODIV_SEL": self.after,
            "DEVICE": "GW1NR-9C" if self.kind is PllKind.GW1N else "GW2AR-18C",
        }  # fmt: skip


def _filter_range(detector: Fraction) -> int:
    """Loop filter of an iCE40's PLL by its detector's frequency (FPGA-TN-02052, table of FILTER_RANGE)."""
    return next((code for code, top in enumerate((17, 26, 44, 66, 101), 1) if detector < top), 6)


def _stages(kind: PllKind) -> Iterator[tuple[int, int, int]]:
    """Every D, with the step and the largest value that M can have beside it."""
    if kind is PllKind.ECP5:
        yield from ((after, 1, 128) for after in range(1, 129))
    elif kind is PllKind.ICE40:
        yield from ((1 << after, 1, 128) for after in range(1, 7))
    else:  # the feedback comes after the last divider, so that M = FBDIV * ODIV
        yield from ((after, after, 64 * after) for after in _GOWIN_ODIV)


def _candidates(kind: PllKind, reference: Fraction, wanted: Fraction) -> Iterator[PllSettings]:
    """The fastest clock up to the wanted one for every R and D that keeps the limits."""
    limits = LIMITS[kind]
    for before in range(1, {PllKind.ECP5: 128, PllKind.ICE40: 16}.get(kind, 64) + 1):
        detector = reference / before
        if detector not in limits.detector:
            continue
        for after, step, largest in _stages(kind):
            times = min(wanted * after / detector, limits.oscillator.high / detector, Fraction(largest)) // step * step
            settings = PllSettings(kind, reference, before, times, after)
            if times and not settings.problem():
                yield settings


def exact(mhz: float) -> Fraction:
    """A frequency as it was written, 0.1 as a tenth."""
    return Fraction(repr(mhz))


def find_pll(kind: PllKind, reference_mhz: float, wanted_mhz: float) -> PllSettings:
    """Dividers for the nearest clock that is not above the wanted one.

    Of equal clocks the one with the fastest phase detector is taken, then the one whose oscillator
    is nearest to the middle of its range.

    Raises
    ------
    ConfigError
        If the reference or every clock that could be made is outside the limits.
    """
    reference, wanted = exact(reference_mhz), exact(wanted_mhz)
    limits = LIMITS[kind]
    if reference not in limits.reference:
        raise ConfigError(f"{kind.value}: a reference of {reference_mhz:g} MHz, allowed {limits.reference}")
    fits = list(_candidates(kind, reference, wanted))
    if wanted > limits.output.high or not fits:
        raise ConfigError(
            f"{kind.value} makes no {wanted_mhz:g} MHz from {reference_mhz:g} MHz, allowed {limits.output}"
        )
    middle = (limits.oscillator.low + limits.oscillator.high) / 2
    return max(fits, key=lambda s: (s.output, s.detector, -abs(s.oscillator - middle)))


def clock_for(kind: PllKind, reference_mhz: float, wanted_mhz: float) -> tuple[Fraction, PllSettings | None]:
    """(Clock in MHz, the PLL that makes it), without a PLL where the crystal itself is the wanted clock."""
    if exact(reference_mhz) == exact(wanted_mhz):
        return exact(reference_mhz), None
    settings = find_pll(kind, reference_mhz, wanted_mhz)
    return settings.output, settings
