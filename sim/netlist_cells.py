"""Cells of a netlist as text: sim/netlist.py writes them one port a line, every bit a net of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

_INSTANCE = re.compile(
    r"^  (?P<cell>\w+) (?:#\(\n(?P<parameters>(?:    .*\n)*?)  \) )?(?P<name>\w+) \(\n(?P<ports>(?:    .*\n)+)  \);$",
    re.MULTILINE,
)
_PORT = re.compile(r"\.(\w+)\((.*?)\)(?:,?\n)")
NET = re.compile(r"\b_\d+_\b")


@dataclass(frozen=True)
class Cell:
    """An instance.

    Attributes
    ----------
    kind, name : str
        Type of the cell and name of the instance.
    ports : dict
        What every port is connected to.
    spans : dict
        Where that stands in the text.
    """

    kind: str
    name: str
    ports: dict[str, str]
    spans: dict[str, tuple[int, int]]

    def output(self, *names: str) -> str:
        """Net of the first of these ports that has one, or an empty string."""
        for name in names:
            if found := NET.search(self.ports.get(name, "")):
                return found[0]
        return ""

    def nets(self, pattern: str) -> list[str]:
        """Nets of the ports whose names match, lowest bit last."""
        names = [name for name in self.ports if re.fullmatch(pattern, name)]
        return [net for name in names for net in NET.findall(self.ports[name])]


def cells(text: str, pattern: str = r"\w+") -> list[Cell]:
    """Instances whose type matches, in their order."""
    found = []
    for instance in _INSTANCE.finditer(text):
        if not re.fullmatch(pattern, instance["cell"]):
            continue
        ports, spans = {}, {}
        for port in _PORT.finditer(instance["ports"]):
            ports[port[1]] = port[2]
            spans[port[1]] = (instance.start("ports") + port.start(2), instance.start("ports") + port.end(2))
        found.append(Cell(instance["cell"], instance["name"], ports, spans))
    return found
