"""Where the lanes of a large core lie on an LFE5U-85F: block RAMs and multipliers of a lane beside each other.

nextpnr places block RAMs and multipliers where it finds room. With nearly all of them in use there is little left for
the last lanes, and a lane whose memory is at one end of the chip and whose multiplier is at the other misses its clock.
So both get their place here, and the tool places the logic around them.

The chip has four rows of block RAMs and three of multipliers, each of 13 groups of four sites. A cluster of eight lanes
(rtl/lanes.py) takes half a row of block RAMs, six groups; the group in the middle of each row is left for the rest of
the core. Clusters follow each other so that neighbours in the unload chain are neighbours on the chip, and the two
clusters of a row of lanes lie in one quarter.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from solsa.rtl.lanes import CLUSTER

#: Device of the platforms with this grid.
DEVICE = "LFE5U-85F"
#: Groups of four sites that a cluster may use; the group in the middle.
GROUPS, SITES, MIDDLE = 6, 4, 6
#: Rows of the grid that have block RAMs, and multipliers.
MEMORY_ROWS, MULTIPLIER_ROWS = (22, 46, 70, 82), (10, 34, 58)
#: Name of a kind's sites, and by site of a group its column from the group's first on and its number.
_KINDS = {"DP16KD": ("EBR", (0, 2, 4, 6), (0, 1, 2, 3)), "MULT18X18D": ("MULT18_", (0, 1, 4, 5), (0, 1, 4, 5))}
#: Half row of each cluster: row of its block RAMs, side, whether its lanes go from the middle outward, and the row of
#: each lane's multipliers, or the two rows of the one and the other.
_HALVES = (
    (46, "left", True, (34,)),
    (22, "left", False, (10,)),
    (22, "right", True, (10,)),
    (46, "right", False, (34,)),
    (70, "right", True, (34, 58)),
    (82, "right", False, (58,)),
    (82, "left", True, (58,)),
    (70, "left", False, (34, 58)),
)
#: Groups of multipliers that are left for the rest of the core: its arithmetic is in one place.
_CORE = {10: range(MIDDLE - 2, MIDDLE + 3), 34: (MIDDLE,), 58: (MIDDLE,)}
#: Cells of the rest of the core that go to the middle group of a row, so that neighbours stay together.
_MIDDLE = (
    ("DP16KD", 22, r"\.neurons\.(late_)?memory\."),
    ("DP16KD", 46, r"\.backward\.memory\.|\.softmax\.table\."),
    ("DP16KD", 70, r"\.presynaptic\.filter\d+\."),
    ("DP16KD", 82, r"\.presynaptic\.(active|x_memory)\.|\.(receiver|transmitter)\.buffer\."),
    ("MULT18X18D", 34, r"\.softmax\.(power|product)_|\.error[^.]*\.product5_"),
    ("MULT18X18D", 58, r"\.presynaptic\.product\d+_"),
)
_BANK = re.compile(r"\.lanes\.lane(\d+)\.bank\.")
_OPERAND = re.compile(r"\.lanes\.lane(\d+)\.[ab]_right$")


def column(kind: str, group: int, site: int) -> int:
    """Column of a site; the groups right of the middle lie two columns further."""
    return 4 + 9 * group + (2 if group > MIDDLE else 0) + _KINDS[kind][1][site]


def _put(cell: dict[str, Any], row: int, group: int, site: int) -> None:
    """Give a cell its site."""
    kind = cell["type"]
    name, _, numbers = _KINDS[kind]
    cell["attributes"]["BEL"] = f"X{column(kind, group, site)}/Y{row}/{name}{numbers[site]}"


def plan(design: dict[str, Any], lanes: int, top: str = "top") -> int:
    """Give block RAMs and multipliers of the lanes their places.

    Parameters
    ----------
    design : dict
        Netlist of ``synth_ecp5`` as yosys' ``write_json`` has it; cells get the attribute ``BEL``.
    lanes : int
        P.
    top : str
        Name of the module.

    Returns
    -------
    int
        Cells that were placed; 0 if the lanes do not fit into half rows.
    """
    module = design["modules"][top]
    banks, multipliers = _of_lanes(module)
    clusters = [range(start, min(start + CLUSTER, lanes)) for start in range(0, lanes, CLUSTER)]
    fits = len(clusters) <= len(_HALVES) and all(sum(len(banks[p]) for p in c) <= GROUPS * SITES for c in clusters)
    if not fits or any(len(multipliers[p]) != 2 for p in range(lanes)):
        return 0
    free = {y: {(k, i) for k in range(13) if k not in _CORE[y] for i in range(SITES)} for y in MULTIPLIER_ROWS}
    placed = 0
    for cluster, (row, side, outward, rows) in zip(clusters, _HALVES, strict=False):
        groups = range(GROUPS) if side == "left" else range(MIDDLE + 1, MIDDLE + 1 + GROUPS)
        sites = [(k, i) for k in groups for i in range(SITES)]
        if outward == (side == "left"):
            sites.reverse()
        for p in cluster:
            own = [sites.pop(0) for _ in banks[p]]
            for name, site in zip(banks[p], own, strict=True):
                _put(module["cells"][name], row, *site)
            middle = sum(column("DP16KD", *site) for site in own) / len(own)
            for name, y in zip(multipliers[p], (rows[0], rows[-1]), strict=True):
                here = [site for site in free[y] if site[0] in groups]
                best = min(here, key=lambda site: (abs(column("MULT18X18D", *site) - middle), site))
                free[y].remove(best)
                _put(module["cells"][name], y, *best)
            placed += len(own) + 2
    return placed + _middle(module)


def _middle(module: dict[str, Any]) -> int:
    placed = 0
    for kind, row, pattern in _MIDDLE:
        of_kind = sorted(name for name, cell in module["cells"].items() if cell["type"] == kind)
        names = [name for name in of_kind if re.search(pattern, name)]
        for i, name in enumerate(names[:SITES]):
            _put(module["cells"][name], row, MIDDLE, i)
            placed += 1
    return placed


def _of_lanes(module: dict[str, Any]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """(Block RAMs, multipliers) of each lane by name. A multiplier is known by the register of its right operand."""
    lane_of: dict[int, int] = {}
    for name, net in module["netnames"].items():
        if found := _OPERAND.search(name):
            lane_of |= {bit: int(found[1]) for bit in net["bits"] if isinstance(bit, int)}
    banks, multipliers = defaultdict(list), defaultdict(list)
    for name, cell in sorted(module["cells"].items()):
        found = _BANK.search(name)
        if cell["type"] == "DP16KD" and found:
            banks[int(found[1])].append(name)
        if cell["type"] == "MULT18X18D":
            bits = [cell["connections"].get(f"{operand}0", ["x"])[0] for operand in "AB"]
            for lane in {lane_of[bit] for bit in bits if bit in lane_of}:
                multipliers[lane].append(name)
    return banks, multipliers
