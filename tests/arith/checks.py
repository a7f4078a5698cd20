"""One check per row of the number table: RTL unit, golden model and the row itself must agree on every operand.

The third opinion, :func:`by_row`, computes from the row alone (shift, rounding, overflow), with divisions instead of
shifts: a row that is changed without the code, or code without the row, is found as well.

Sums and products around an operation belong to it: a check hands operands to the unit and takes what it stores.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from bench import Ints
from rtl_side import expect
from setups import Setup

#: Setup to number of cases.
Check = Callable[[Setup], int]
CHECKS: dict[str, Check] = {}
#: Saturations and shifts that are no row of the table.
EXTRA: dict[str, Check] = {}


def check(name: str, table: dict[str, Check] = CHECKS) -> Callable[[Check], Check]:
    """Register the check of an operation."""

    def register(function: Check) -> Check:
        assert name not in CHECKS | EXTRA
        table[name] = function
        return function

    return register


def by_row(setup: Setup, name: str, value: Ints, *, shift: Ints | int | None = None, random: Ints | int = 0) -> Ints:
    """Operation ``name`` on exact values, from its row alone."""
    row = setup.ops[name]
    rounding = type(row.rounding)
    unit = np.asarray(1 << np.asarray(row.shift if shift is None else shift))
    value = np.asarray(value)
    if row.rounding is rounding.TOWARD_ZERO:
        return np.sign(value) * (np.abs(value) // unit)
    if row.rounding is rounding.HALF_UP:
        return (2 * value + unit) // (2 * unit)
    if row.rounding is rounding.STOCHASTIC:
        return (value + random) // unit
    assert row.rounding is rounding.FLOOR
    return value // unit


def stored(setup: Setup, name: str, value: Ints) -> Ints:
    """The store that follows an operation, from its row alone."""
    row = setup.ops[name]
    fmt = getattr(setup.f, row.result)
    if row.overflow is type(row.overflow).SATURATE:
        return np.clip(value, fmt.min, fmt.max)
    assert row.overflow is type(row.overflow).NONE
    assert fmt.min <= np.min(value)
    assert np.max(value) <= fmt.max
    return np.asarray(value)


def chunks(size: int, *columns: Ints) -> list[list[Ints]]:
    """Columns in pieces of at most ``size`` cases."""
    return [[column[i : i + size] for column in columns] for i in range(0, len(columns[0]), size)]


def agree(setup: Setup, name: str, got: Ints, model: Ints, row: Ints, **operands: Ints) -> int:
    """RTL against golden, golden against the table's row; returns the number of cases."""
    expect(f"{setup.name} {name}: RTL against golden", got, model, **operands)
    expect(f"{setup.name} {name}: golden against the table", model, row, **operands)
    return int(np.size(got))
