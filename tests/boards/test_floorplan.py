"""Places of block RAMs and multipliers of a large core on the LFE5U-85F."""

from __future__ import annotations

import re
from typing import Any

import pytest
from planted import lanes_netlist

from solsa.boards.floorplan import MEMORY_ROWS, MULTIPLIER_ROWS, plan


def _places(design: dict[str, Any]) -> dict[str, str]:
    return {name: c["attributes"]["BEL"] for name, c in design["modules"]["top"]["cells"].items() if c["attributes"]}


@pytest.mark.parametrize(("lanes", "memories"), [(64, 3), (64, 1), (32, 3), (20, 2)])
def test_every_cell_has_a_site_of_its_own(lanes: int, memories: int) -> None:
    design = lanes_netlist(lanes, memories)
    assert plan(design, lanes) == lanes * (memories + 2)
    places = _places(design)
    assert len(set(places.values())) == len(places) == lanes * (memories + 2)
    for name, place in places.items():
        rows = MEMORY_ROWS if "bank" in name else MULTIPLIER_ROWS
        found = re.fullmatch(r"X(\d+)/Y(\d+)/(EBR[0-3]|MULT18_[0145])", place)
        assert found is not None
        assert int(found[2]) in rows
        assert 4 <= int(found[1]) <= 120


def test_neighbours_in_the_unload_chain_lie_near_each_other() -> None:
    design = lanes_netlist(64, 3)
    plan(design, 64)
    places = _places(design)
    spots = []
    for p in range(64):
        found = re.match(r"X(\d+)/Y(\d+)/", places[f"device.core.lanes.lane{p}.bank.memory.0.1"])
        assert found is not None
        spots.append((int(found[1]), int(found[2])))
    far = max(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in zip(spots, spots[1:], strict=False))
    assert far <= 36


@pytest.mark.parametrize(("lanes", "memories"), [(64, 4), (128, 1)])
def test_a_core_that_does_not_fit_is_left_to_the_tool(lanes: int, memories: int) -> None:
    design = lanes_netlist(lanes, memories)
    assert plan(design, lanes) == 0
    assert not _places(design)
