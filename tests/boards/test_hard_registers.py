"""Registers that move into multipliers and block RAMs, and those that must not."""

from __future__ import annotations

from typing import Any

import pytest

from solsa.boards.hard_registers import use_hard_registers

CLOCK, RESET = 2, 3


def _flip_flop(d: int, q: int, **changes: Any) -> dict[str, Any]:
    parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET", "SRMODE": "LSR_OVER_CE"}
    connections = {"CLK": [CLOCK], "DI": [d], "LSR": [RESET], "Q": [q]}
    for name, value in changes.items():
        (connections if name in ("CLK", "LSR") else parameters)[name] = value
    return {
        "type": "TRELLIS_FF",
        "parameters": parameters,
        "attributes": {},
        "port_directions": {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
        "connections": connections,
    }


def _design(cells: dict[str, Any], outputs: list[int]) -> dict[str, Any]:
    ports = {"q": {"direction": "output", "bits": outputs}, "clk": {"direction": "input", "bits": [CLOCK]}}
    return {"modules": {"top": {"ports": ports, "cells": cells, "netnames": {}}}}


def _product(**changes: Any) -> dict[str, Any]:
    """A product of one bit by one bit: operands from flip-flops 10 and 11, result 20 into the one that drives 21."""
    multiplier = {
        "type": "MULT18X18D",
        "parameters": {},
        "attributes": {},
        "port_directions": {"A0": "input", "B0": "input", "P0": "output"},
        "connections": {"A0": [11], "B0": [13], "P0": [20]},
    }
    return {
        "a": _flip_flop(10, 11),
        "b": _flip_flop(12, 13),
        "mult": multiplier,
        "p": _flip_flop(20, 21, **changes),
    }


def test_registers_move_into_the_multiplier() -> None:
    cells = _product()
    moved = use_hard_registers(_design(cells, [21]))
    assert (moved.inputs, moved.outputs, moved.flip_flops) == (1, 1, 3)
    assert list(cells) == ["mult"]
    connections = cells["mult"]["connections"]
    assert {name: connections[name] for name in ("A0", "B0", "P0")} == {"A0": [10], "B0": [12], "P0": [21]}
    assert (connections["CLK0"], connections["RST0"], connections["CE0"]) == ([CLOCK], [RESET], ["1"])


def test_an_operand_that_others_take_as_well_keeps_its_flip_flop() -> None:
    cells = _product()
    moved = use_hard_registers(_design(cells, [21, 11]))
    assert moved.flip_flops == 2
    assert "a" in cells
    assert cells["mult"]["connections"]["A0"] == [10]


@pytest.mark.parametrize(
    "changes",
    [{"CEMUX": "CE"}, {"REGSET": "SET"}, {"CLKMUX": "INV"}, {"SRMODE": "ASYNC"}],
    ids=lambda c: next(iter(c)),
)
def test_flip_flops_of_another_kind_stay(changes: dict[str, Any]) -> None:
    cells = _product(**changes)
    moved = use_hard_registers(_design(cells, [21]))
    assert moved.outputs == 0
    assert "p" in cells


def test_a_product_that_is_also_taken_directly_stays() -> None:
    cells = _product()
    assert use_hard_registers(_design(cells, [21, 20])).outputs == 0


@pytest.mark.parametrize("changes", [{"CLK": [7]}, {"LSR": [8]}], ids=["clock", "reset"])
def test_registers_with_another_clock_or_reset_do_not_mix(changes: dict[str, Any]) -> None:
    cells = _product(**changes)
    moved = use_hard_registers(_design(cells, [21]))
    assert (moved.inputs, moved.outputs) == (0, 1)
    assert {"a", "b"} <= set(cells)


def test_a_constant_one_keeps_the_operands_outside() -> None:
    """In the first clock the register inside would hold zero."""
    cells = _product()
    cells["mult"]["connections"]["A1"], cells["mult"]["port_directions"]["A1"] = ["1"], "input"
    assert use_hard_registers(_design(cells, [21])).inputs == 0


@pytest.mark.parametrize(("reset", "memories"), [(["0"], 1), ([RESET], 0)], ids=["none", "reset"])
def test_only_registers_without_reset_move_into_a_block_ram(reset: list[Any], memories: int) -> None:
    memory = {
        "type": "DP16KD",
        "parameters": {"DATA_WIDTH_B": f"{18:032b}", "REGMODE_B": "NOREG"},
        "attributes": {},
        "port_directions": {"CLKB": "input", "DOB0": "output"},
        "connections": {"CLKB": [CLOCK], "DOB0": [30]},
    }
    cells = {"memory": memory, "late": _flip_flop(30, 31, LSR=reset)}
    assert use_hard_registers(_design(cells, [31])).memories == memories
    assert memory["parameters"]["REGMODE_B"] == ("OUTREG" if memories else "NOREG")
    assert ("late" in cells) is not bool(memories)
