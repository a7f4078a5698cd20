"""Every rounding and overflow of the number table: all operands at small widths, corners at the default widths.

golden against RTL against the table, in the units that do the work; see checks.py. The small widths come from copies
of the three packages with smaller constants (copies.py), so that even a, lam and the rates are tried out completely.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import checks_error  # noqa: F401  (registers its checks)
import checks_lane  # noqa: F401
import checks_neuron  # noqa: F401
import mutants
import pytest
from bench import Bench
from checks import CHECKS, EXTRA
from copies import SMALL, Edit, edited
from setups import SETUPS

from solsa.contract import Formats

SMALL_SETUPS = ["small_a", "small_b"]


def test_every_operation_has_a_check_and_a_mutant() -> None:
    """A row that is added to the table fails here until it is checked, and its check was seen to fail."""
    table = set(Formats().operations())
    assert set(CHECKS) == table
    assert set(mutants.RTL) == table
    # The reciprocal is not a function of its own in the golden model: its mutant is that of the probability.
    assert set(mutants.GOLDEN) == table - {"reciprocal"}


@pytest.mark.parametrize("name", [*CHECKS, *EXTRA])
@pytest.mark.parametrize("setup", SMALL_SETUPS)
def test_all_operands_at_small_widths(setup: str, name: str) -> None:
    assert (CHECKS | EXTRA)[name](SETUPS[setup]) > 100


@pytest.mark.parametrize("name", [*CHECKS, *EXTRA])
def test_corners_at_the_default_widths(name: str) -> None:
    assert (CHECKS | EXTRA)[name](SETUPS["default"]) > 100


def test_small_widths_drop_bits() -> None:
    """At small widths every operation drops at least one bit; where formats may leave none to drop, that as well."""
    for name, row in Formats().operations().items():
        shifts = {SETUPS[setup].ops[name].shift for setup in SMALL_SETUPS}
        assert row.variable or max(shifts) > 0 or name == "reciprocal"
        assert 0 in shifts or name not in ("current_sum", "filter_trace_in")


@pytest.fixture(scope="module")
def mutated_units() -> Bench:
    """All units with a planted bug, side by side in one library with the sound ones that checks use beside them."""
    small = SETUPS["small_a"]
    sound = {unit: small.make(unit) for unit in ("lane", "neuron", "error", "backward", "adapt")}
    return Bench({**sound, **{f"m{i}": _mutant(name) for i, name in enumerate(mutants.RTL)}})


def _mutant(name: str) -> Any:
    unit, edit = mutants.RTL[name]
    return replace(SETUPS["small_a"], package=edited((*SMALL, edit))).make(unit)


@pytest.mark.parametrize("name", mutants.RTL)
def test_wrong_rtl_is_caught(mutated_units: Bench, name: str) -> None:
    alias = {mutants.RTL[name][0]: f"m{list(mutants.RTL).index(name)}"}
    with pytest.raises(AssertionError, match="cases differ"):
        CHECKS[name](SETUPS["small_a"].on(mutated_units, alias=alias))


@pytest.mark.parametrize("name", mutants.GOLDEN)
def test_wrong_golden_model_is_caught(name: str) -> None:
    package = edited((*SMALL, mutants.GOLDEN[name]))
    with pytest.raises(AssertionError, match="cases differ"):
        CHECKS[name](SETUPS["small_a"].on(SETUPS["small_a"].bench, package=package))


def test_wrong_half_of_the_golden_model_is_caught_everywhere() -> None:
    """The half of HALF_UP off by one, at every operation that rounds so."""
    package = edited((*SMALL, mutants.GOLDEN["current_sum"]))
    setup = SETUPS["small_a"].on(SETUPS["small_a"].bench, package=package)
    for name in ("current_sum", "error", "hidden_delta", "rate_step", "probability"):
        with pytest.raises(AssertionError, match="cases differ"):
            CHECKS[name](setup)


def test_a_row_that_only_the_table_changes_is_caught() -> None:
    """Golden and RTL read the shift from the table but name most roundings themselves."""
    edit = Edit(
        "contract/formats.py", '"J\' = a*J + [I]", c.frac - j.frac, floor', '"J\' = a*J + [I]", c.frac - j.frac, half'
    )
    setup = SETUPS["small_a"].on(SETUPS["small_a"].bench, package=edited((*SMALL, edit)))
    with pytest.raises(AssertionError, match="golden against the table"):
        CHECKS["filter_trace_in"](setup)


def test_an_edit_whose_text_is_gone_is_refused() -> None:
    with pytest.raises(ValueError, match="occurs 0 times, needed once"):
        edited((Edit("rtl/lane.py", "no such text", ""),))
    with pytest.raises(ValueError, match="no such file"):
        edited((Edit("rtl/nothing.py", "a", "b"),))
