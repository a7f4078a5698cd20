"""The complete device in two simulators, through UART pins only; the tests that run there are in bench.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from solsa.sim.planted import BUGS, Bug

from . import icarus
from .case import PinCase
from .simulators import Outcome, run

TESTS = ("boot", "learn", "noise", "protocol")
SMALL = (2, 3, 2)

#: Every readout, clock-to-baud ratios from 4 to 64, hosts that send without a pause, with pauses, and 2 % off. `make
#: pins` runs them all, `make test` the first two and, on Icarus, one.
ON_VERILATOR = [
    PinCase(readout="membrane", divisor=4),
    PinCase(readout="spike", divisor=7, gap=4, seed=5),
    PinCase(readout="membrane", divisor=64, layers=SMALL, skew=-0.02, seed=1),
    PinCase(readout="membrane", divisor=4, gap=3, seed=3),
    PinCase(readout="target", divisor=16, gap=1.5, skew=0.02, seed=2),
]
#: Icarus knows X, Verilator does not; it is some thirty times slower, so the networks and the lists are short.
ON_ICARUS = [
    (PinCase(readout="spike", divisor=4, layers=SMALL, seed=3), TESTS),
    (PinCase(readout="target", divisor=4, layers=SMALL, gap=0.5, seed=1), ("learn",)),
    (PinCase(readout="membrane", divisor=5, layers=SMALL, seed=1), ("learn",)),
]

SHORT_BITS = Bug(
    "uart.py", "m.d.sync += [timer.eq(self.divisor - 1), shift.eq(shift[1:])]",
    "m.d.sync += [timer.eq(self.divisor - 2), shift.eq(shift[1:])]", "bits on tx are one clock short",
)  # fmt: skip
NO_CRC = Bug("frames.py", "spoiled | ~crc.good | (put < 0)", "spoiled | (put < 0)", "the CRC of a request is ignored")


@pytest.fixture
def needs_icarus() -> None:
    """Skip with the way out."""
    if icarus.find() is None:
        pytest.skip("iverilog is not installed: python tests/pins/icarus.py fetches it on Debian and Ubuntu")


def check(outcome: Outcome, tests: tuple[str, ...] = TESTS) -> None:
    """These tests of the bench ran, and passed."""
    assert not outcome.failed, "\n".join(f"{name}: {text}" for name, text in outcome.failed.items())
    assert outcome.passed == tests


def some(cases: list[Any], names: list[str], count: int) -> list[Any]:
    """Parameters of a test, the second of the first ``count`` marked as long, those behind them as bench."""
    marks = [() if i == 0 else pytest.mark.long if i < count else pytest.mark.bench for i in range(len(cases))]
    return [pytest.param(case, id=name, marks=mark) for case, name, mark in zip(cases, names, marks, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("case", some(ON_VERILATOR, [case.name for case in ON_VERILATOR], 2))
def test_verilator(case: PinCase, tmp_path: Path) -> None:
    check(run("verilator", case, tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("needs_icarus")
@pytest.mark.parametrize("chosen", some(ON_ICARUS, [case.name for case, _ in ON_ICARUS], 1))
def test_icarus(chosen: tuple[PinCase, tuple[str, ...]], tmp_path: Path) -> None:
    case, tests = chosen
    check(run("icarus", case, tmp_path, tests=tests), tests)


@pytest.mark.slow
def test_a_wrong_core_fails(tmp_path: Path) -> None:
    """Learning with a planted bug: cocotb reports the test that compares, names the word, and passes the others."""
    outcome = run("verilator", PinCase(readout="membrane", divisor=4), tmp_path, bug=BUGS["lane-swap"])
    assert set(outcome.failed) == {"learn"}
    assert ", golden " in outcome.failed["learn"]
    assert outcome.passed == ("boot", "noise", "protocol")


@pytest.mark.slow
@pytest.mark.usefixtures("needs_icarus")
@pytest.mark.parametrize(
    ("bug", "test", "message"),
    [(SHORT_BITS, "boot", "bits have 40000 ps"), (NO_CRC, "noise", "a wrong CRC")],
    ids=["short bits", "no CRC"],
)
def test_a_wrong_link_fails(bug: Bug, test: str, message: str, tmp_path: Path) -> None:
    """The monitor sees bits of a wrong length, the noise test a damaged frame that is executed."""
    case = PinCase(readout="spike", divisor=4, layers=SMALL)
    outcome = run("icarus", case, tmp_path, bug=bug, tests=(test,))
    assert outcome.passed == ()
    assert set(outcome.failed) == {test}
    assert message in outcome.failed[test]


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["--find"], 1, "icarus.py: neither iverilog on PATH nor an unpacked one"),
        ([], 1, "icarus.py: iverilog is not on PATH and apt-get, which would fetch it, is neither: install Icarus"),
        (["--fetch"], 2, "icarus.py: '--fetch' is not known, allowed: --find"),
    ],
    ids=["find", "no apt-get", "typing error"],
)
def test_without_icarus(
    arguments: list[str], status: int, line: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One line each, and nothing is left behind."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SOLSA_CACHE", str(tmp_path / "cache"))
    assert icarus.main(arguments) == status
    assert capsys.readouterr().err == line + "\n"
    assert not (tmp_path / "cache").exists()
