"""PLL dividers against the limits of the data sheets, and the nearest clock below the wanted one."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solsa.boards.pll import LIMITS, PllKind, PllSettings, clock_for, find_pll
from solsa.contract import ConfigError

REFERENCES = {PllKind.ECP5: (25.0, 48.0, 100.0), PllKind.ICE40: (12.0,), PllKind.GW1N: (27.0,), PllKind.GW2A: (27.0,)}
#: Written again from the data sheets, in MHz: detector, oscillator, output; what dividers may be.
SHEETS = {
    PllKind.ECP5: ((10, 400), (400, 800), (3.125, 400), 128, 128, range(1, 129)),
    PllKind.ICE40: ((10, 133), (533, 1066), (16, 275), 16, 128, (2, 4, 8, 16, 32, 64)),
    PllKind.GW1N: ((3, 400), (400, 1200), (3.125, 600), 64, 64 * 128, (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)),
    PllKind.GW2A: ((3, 500), (500, 1250), (3.90625, 625), 64, 64 * 128, (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)),
}
CASES = [(kind, reference) for kind, references in REFERENCES.items() for reference in references]


def brute(kind: PllKind, reference: float, wanted: Fraction) -> Fraction:
    """The nearest clock below the wanted one, by trying everything."""
    detector_range, oscillator_range, output_range, before, times, after = SHEETS[kind]
    best = Fraction(0)
    for r in range(1, before + 1):
        detector = Fraction(reference) / r
        if not detector_range[0] <= detector <= detector_range[1]:
            continue
        for d in after:
            step = d if kind in (PllKind.GW1N, PllKind.GW2A) else 1
            for m in range(step, min(times, 64 * step if step > 1 else times) + 1, step):
                output = detector * m / d
                if (best < output <= wanted and oscillator_range[0] <= detector * m <= oscillator_range[1]
                        and output_range[0] <= output <= output_range[1]):  # fmt: skip
                    best = output
    return best


@pytest.mark.parametrize(("kind", "reference"), CASES)
@pytest.mark.parametrize("wanted", [16.2, 24, 33.3, 50, 66.6, 100])
def test_the_clock_is_the_nearest_below_that_the_limits_allow(kind: PllKind, reference: float, wanted: float) -> None:
    assert find_pll(kind, reference, wanted).output == brute(kind, reference, Fraction(repr(wanted)))


@pytest.mark.parametrize("kind", PllKind)
@given(wanted=st.floats(17, 250, allow_nan=False).map(lambda x: round(x, 3)))
def test_every_frequency_inside_is_within_the_limits(kind: PllKind, wanted: float) -> None:
    for reference in REFERENCES[kind]:
        settings = find_pll(kind, reference, wanted)
        assert settings.problem() == ""
        assert 0 < settings.output <= Fraction(repr(wanted))
        detector, oscillator, output, before, times, after = SHEETS[kind]
        assert detector[0] <= settings.detector <= detector[1]
        assert oscillator[0] <= settings.oscillator <= oscillator[1]
        assert output[0] <= settings.output <= output[1]
        assert settings.before <= before
        assert settings.times <= times
        assert settings.after in after


@pytest.mark.parametrize("kind", PllKind)
def test_the_limits_are_those_of_the_data_sheets(kind: PllKind) -> None:
    found = [
        (float(r.low), float(r.high)) for r in (LIMITS[kind].detector, LIMITS[kind].oscillator, LIMITS[kind].output)
    ]
    assert found == [tuple(map(float, values)) for values in SHEETS[kind][:3]]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (PllSettings(PllKind.ECP5, Fraction(25), 3, 60, 10), "detector at 8.33333 MHz, allowed 10 to 400 MHz"),
        (PllSettings(PllKind.ECP5, Fraction(25), 1, 33, 16), "oscillator at 825 MHz, allowed 400 to 800 MHz"),
        (PllSettings(PllKind.ICE40, Fraction(12), 1, 50, 64), "output at 9.375 MHz, allowed 16 to 275 MHz"),
    ],
)
def test_broken_limits_are_named(settings: PllSettings, text: str) -> None:
    assert settings.problem() == text


def test_parameters_give_the_frequency_by_the_equations_of_the_vendors() -> None:
    ecp5 = find_pll(PllKind.ECP5, 25.0, 60.0)
    p = ecp5.parameters()
    assert ecp5.output == Fraction(25) / int(p["CLKI_DIV"]) * int(p["CLKFB_DIV"]) * int(p["CLKOP_DIV"]) / int(
        p["CLKOS_DIV"]
    )
    assert (p["CLKOS_CPHASE"], p["CLKOP_CPHASE"]) == (int(p["CLKOS_DIV"]) - 1, int(p["CLKOP_DIV"]) - 1)
    ice40 = find_pll(PllKind.ICE40, 12.0, 24.0)
    # icepll of Project IceStorm says the same for 12 and 24 MHz
    assert ice40.parameters() == {"DIVR": 0, "DIVF": 63, "DIVQ": 5, "FILTER_RANGE": 1}
    gowin = find_pll(PllKind.GW1N, 27.0, 54.0)
    p = gowin.parameters()
    assert gowin.output == Fraction(27) * (int(p["FBDIV_SEL"]) + 1) / (int(p["IDIV_SEL"]) + 1) == 54
    assert gowin.oscillator == 54 * int(p["ODIV_SEL"])
    assert p["FCLKIN"] == "27"


@pytest.mark.parametrize(
    ("kind", "reference", "wanted", "line"),
    [
        (PllKind.ECP5, 25.0, 500.0, "EHXPLLL makes no 500 MHz from 25 MHz, allowed 3.125 to 400 MHz"),
        (PllKind.ECP5, 25.0, 3.0, "EHXPLLL makes no 3 MHz from 25 MHz, allowed 3.125 to 400 MHz"),
        (PllKind.ICE40, 12.0, 15.9, "SB_PLL40_PAD makes no 15.9 MHz from 12 MHz, allowed 16 to 275 MHz"),
        (PllKind.ECP5, 5.0, 50.0, "EHXPLLL: a reference of 5 MHz, allowed 8 to 400 MHz"),
    ],
)
def test_a_clock_that_cannot_be_made_is_one_line(kind: PllKind, reference: float, wanted: float, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_pll(kind, reference, wanted)
    assert str(caught.value) == line


def test_the_crystals_own_clock_takes_no_pll() -> None:
    assert clock_for(PllKind.ICE40, 12.0, 12.0) == (Fraction(12), None)
    clock, pll = clock_for(PllKind.ICE40, 12.0, 24.0)
    assert clock == 24
    assert pll is not None
