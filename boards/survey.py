"""Memories and multipliers of a design, read from its netlist before any tool runs: seconds, and never out of date."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

from amaranth.back import rtlil

from solsa.contract import NetworkConfig
from solsa.rtl.top import Device

_MODULE = re.compile(r"^module \\(\S+)$(.*?)^end$", re.MULTILINE | re.DOTALL)
_MEMORY = re.compile(r"^  memory width (\d+) size (\d+) \\(\S+)$", re.MULTILINE)
_PRODUCT = re.compile(r"^  cell \$mul (\S+)$(.*?)^  end$", re.MULTILINE | re.DOTALL)
_SPRAM = re.compile(r"^  cell \\SB_SPRAM256KA ", re.MULTILINE)
#: Products of a narrower operand are indices, such as layer * groups: a few LUTs.
_LEAST = 5


@dataclass(frozen=True)
class Ram:
    """Memories of one kind: ``count`` of ``depth`` words of ``width`` bits."""

    name: str
    width: int
    depth: int
    count: int = 1


@dataclass(frozen=True)
class Multiplier:
    """Multipliers of one kind: ``count``, operands as wide as given, signs included."""

    name: str
    left: int
    right: int
    count: int = 1


@dataclass(frozen=True)
class Survey:
    """What a design is made of, beside LUTs and flip-flops."""

    memories: tuple[Ram, ...]
    multipliers: tuple[Multiplier, ...]
    #: single-port RAMs of the UP5K
    spram: int

    @property
    def bank(self) -> Ram | None:
        """The lanes' memories of synapse words; None where they are single-port RAMs."""
        return next((ram for ram in self.memories if is_bank(ram.name)), None)


def is_bank(name: str) -> bool:
    """Whether a memory holds synapse words."""
    return re.search(r"lanes\.lane[#\d]*\.bank(?:\.|$)", name) is not None


@lru_cache(maxsize=64)
def survey(config: NetworkConfig, part: str = "") -> Survey:
    """Memories and multipliers of a device, those of the lanes first.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, lanes, formats.
    part : str
        Chip as the platform names it: some memories are instances on some chips.
    """
    device = Device(config, divisor=25)
    text = rtlil.convert(device, name="top", platform=SimpleNamespace(device=part), emit_src=False)
    memories: Counter[tuple[str, int, int]] = Counter()
    products: Counter[tuple[str, int, int]] = Counter()
    for module, body in _MODULE.findall(text):
        unit = plain(module.removeprefix("top").removeprefix("."))
        for width, depth, name in _MEMORY.findall(body):
            # Memory is a module of its own, and its memory is called like the module
            full = unit if unit.endswith(plain(name)) else f"{unit}.{plain(name)}"
            memories[full, int(width), int(depth)] += 1
        for _, cell in _PRODUCT.findall(body):
            left, right = (int(re.search(rf"\\{side}_WIDTH (\d+)", cell)[1]) for side in "AB")  # type: ignore[index]
            if min(left, right) >= _LEAST:
                products[unit, max(left, right), min(left, right)] += 1
    return Survey(
        tuple(sorted((Ram(*key, n) for key, n in memories.items()), key=_order)),
        tuple(sorted((Multiplier(*key, n) for key, n in products.items()), key=_order)),
        len(_SPRAM.findall(text)),
    )


def plain(name: str) -> str:
    """Path of a unit without the numbers that tell copies apart."""
    return re.sub(r"\d+", "#", re.sub(r"\$\d+", "", name))


def _order(part: Ram | Multiplier) -> tuple[bool, bool, str]:
    return not is_bank(part.name), "lane#" not in part.name, part.name
