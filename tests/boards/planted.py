"""What tools write: a report of nextpnr, a driver conflict of yosys, a netlist."""

from __future__ import annotations

from typing import Any

#: As yosys prints it.
CONFLICT = (
    "Warning: Driver-driver conflict for $techmap1234\\y [3] between cell $auto$5.Q and constant 1'0 in top: "
    "Resolved using constant.\n"
)


def report(achieved: float = 90.0, constraint: float = 75.0) -> dict[str, Any]:
    def step(kind: str, delay: float, start: str, end: str) -> dict[str, Any]:
        return {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}

    first, middle, last = "device.core.lanes.lane0.bank.0.0", "device.core.x_LUT4_Z", "device.core.lanes.lane0.a_left"
    return {
        "fmax": {"$glbnet$clk": {"achieved": achieved, "constraint": constraint}},
        "utilization": {
            "TRELLIS_COMB": {"used": 12000, "available": 83640},
            "TRELLIS_FF": {"used": 9000, "available": 83640},
            "DP16KD": {"used": 15, "available": 208},
            "MULT18X18D": {"used": 39, "available": 156},
        },
        "critical_paths": [
            {"from": "<async>", "to": "posedge $glbnet$clk", "path": [step("routing", 99.0, "pin", first)]},
            {
                "from": "posedge $glbnet$clk",
                "to": "posedge $glbnet$clk",
                "path": [
                    step("clk-to-q", 5.5, first, first),
                    {
                        **step("routing", 3.0, first, middle),
                        "sources": ["/any/where/rtl/lane.py:142", "/share/lattice/arith_map_ccu2c.v:74.7-80.4"],
                    },
                    step("logic", 0.5, middle, middle),
                    step("routing", 2.0, middle, f"{last}_TRELLIS_FF_Q"),
                    step("setup", 0.1, f"{last}_TRELLIS_FF_Q", f"{last}_TRELLIS_FF_Q"),
                ],
            },
        ],
    }


def _cell(connections: dict[str, list[int]]) -> dict[str, Any]:
    return {"attributes": {}, "connections": connections, "port_directions": dict.fromkeys(connections, "input")}


def lanes_netlist(lanes: int, memories: int) -> dict[str, Any]:
    """Netlist with the block RAMs and multipliers of every lane, as yosys names them."""
    cells: dict[str, Any] = {}
    names: dict[str, Any] = {}
    for p in range(lanes):
        for k in range(memories):
            name = f"device.core.lanes.lane{p}.bank.memory.0.{k}"
            cells[name] = {"type": "DP16KD", "parameters": {"DATA_WIDTH_B": f"{36:032b}"}, **_cell({})}
        for k, operand in enumerate("ab"):
            bit = 10 * p + k + 100
            cells[f"product{p}_{operand}"] = {"type": "MULT18X18D", "parameters": {}, **_cell({"A0": [bit]})}
            names[f"device.core.lanes.lane{p}.{operand}_right"] = {"bits": [bit]}
    return {"modules": {"top": {"cells": cells, "netnames": names, "ports": {}}}}
