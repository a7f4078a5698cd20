"""What is built for one set of formats, and which operands are tried: all of them, or the corners."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from bench import Bench, Ints, Unit
from copies import REAL, SMALL_PACKAGE, Package

#: Neurons and pre-synaptic signals that one pass can carry.
POSTS, PRES = 1024, 1024
#: Terms of a lane's sum, entries of a lane's memories.
TERMS, BLOCKS = 16, 64


@dataclass
class Setup:
    """Formats, the package they belong to, the operands, and the compiled units.

    Parameters
    ----------
    name : str
        For messages.
    package : Package
        Whose code runs.
    formats : dict of str to (width, fraction bits)
        Arguments of Formats.
    every : bool
        Try every operand; else the corners of each.
    alias : dict of str to str
        Units that have another name on the bench.
    """

    name: str
    package: Package
    formats: Mapping[str, tuple[int, int]]
    every: bool
    alias: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def f(self) -> Any:
        """The formats."""
        contract = self.package.contract
        return contract.Formats(**{key: contract.Format(*value) for key, value in self.formats.items()})

    @cached_property
    def ops(self) -> dict[str, Any]:
        """The number table."""
        return self.f.operations()

    def config(self, layers: tuple[int, ...], **more: Any) -> Any:
        """A configuration with these formats."""
        return self.package.contract.NetworkConfig(layers=layers, frame_bytes=16384, formats=self.f, **more)

    def constant(self, name: str) -> int:
        """A constant of contract/formats.py or contract/registers.py."""
        for module in (self.package.contract.formats, self.package.contract.registers):
            if hasattr(module, name):
                return int(getattr(module, name))
        raise AttributeError(name)

    # -- what is built -----------------------------------------------------------------------------------------------
    @cached_property
    def geometry(self) -> dict[str, Any]:
        """Configuration of every unit."""
        readout = self.package.contract.Readout
        return {
            "lane": self.config((TERMS, BLOCKS), lanes=1, readout=readout.SPIKE),
            "filter": self.config((PRES, 1), lanes=1),
            "neuron": self.config((127, POSTS), lanes=1, readout=readout.SPIKE, surrogate_entries=32),
            "backward": self.config((1, 4, 2), lanes=1),
            "error": self.config((1, 4, 1), lanes=1, readout=readout.SPIKE),
            "adapt": self.config((1, 8), groups=8),
            "softmax2": self.config((1, 2)),
            "softmax3": self.config((1, 3)),
        }

    @cached_property
    def sum_bits(self) -> int:
        """Width of the sum that the backward unit takes: two bits above its saturation."""
        return int(self.f.delta.width + self.f.weight.frac + 2)

    @cached_property
    def accumulator_bits(self) -> int:
        """Width of a lane's sum as the neuron unit takes it."""
        return int(self.package.module("rtl.beat").Geometry(self.geometry["neuron"]).accumulator_bits)

    @cached_property
    def total_bits(self) -> int:
        """Width of the sum of delta*A that the adapting unit takes."""
        return int(self.f.adapt_sum.width + (3 if self.every else 21))

    @cached_property
    def divisor_bits(self) -> int:
        """Width of the softmax sum over three classes."""
        return self.constant("EXP_WIDTH") + 2

    def make(self, unit: str) -> Any:
        """A unit of the RTL."""
        rtl = self.package.module
        if unit == "divider":
            return rtl("rtl.softmax").Divider(self.divisor_bits)
        config = self.geometry[unit]
        if unit == "lane":
            return rtl("rtl.lane").Lane(config, 0, max(self.f.trace.width, self.f.weight.width))
        if unit == "filter":
            return rtl("rtl.presynaptic").Presynaptic(config)
        if unit == "neuron":
            return rtl("rtl.neuron").Neurons(config)
        if unit == "backward":
            return rtl("rtl.backward").Backward(config, self.sum_bits)
        if unit == "error":
            return rtl("rtl.error").ErrorUnit(config)
        if unit == "adapt":
            return rtl("rtl.adapt").Adapt(config, self.total_bits)
        return rtl("rtl.softmax").Softmax(config)

    @cached_property
    def bench(self) -> Bench:
        """All units, compiled."""
        return Bench({unit: self.make(unit) for unit in [*self.geometry, "divider"]})

    def unit(self, name: str) -> Unit:
        """A unit of the bench."""
        return self.bench.unit(self.alias.get(name, name))

    def on(self, bench: Bench, *, package: Package | None = None, alias: Mapping[str, str] | None = None) -> Setup:
        """The same on another bench, with another golden model, or with other units."""
        made = replace(self, package=package or self.package, alias=alias or {})
        made.__dict__["bench"] = bench
        return made

    # -- operands ----------------------------------------------------------------------------------------------------
    def all(self, fmt: Any) -> Ints:
        """Operands of a format: every value, or its ends, zero and their neighbours, one and the middle."""
        if self.every:
            return np.arange(fmt.min, fmt.max + 1)
        return self.corners(fmt.min, fmt.max, fmt.one)

    def unsigned(self, bits: int) -> Ints:
        """Operands of an unsigned word."""
        top = (1 << bits) - 1
        return np.arange(top + 1) if self.every else self.corners(0, top, 1 << (bits - 1))

    @staticmethod
    def corners(low: int, high: int, one: int = 1) -> Ints:
        """Ends and zero with their neighbours, +-one, +-half."""
        near = [low, low + 1, low // 2, -one, -(one >> 1), -2, -1, 0, 1, 2, one >> 1, one - 1, one, one + 1, high // 2]
        return np.unique([v for v in [*near, high - 1, high] if low <= v <= high])

    def results(self, fmt: Any, shift: int) -> Ints:
        """Raw sums before a shift by ``shift`` into a format.

        Every value up to beyond both ends of the format; or, around the ends, zero and the ones of the format, the
        multiples of a last place with their neighbours and the halves between them.
        """
        step = 1 << shift
        if self.every:
            return np.arange((fmt.min - 3) * step, (fmt.max + 4) * step)
        kept = [fmt.min - 1, fmt.min, fmt.min + 1, -2, -1, 0, 1, fmt.max - 1, fmt.max, fmt.max + 1]
        parts = {0, 1, step // 2 - 1, step // 2, step // 2 + 1, step - 1} if shift else {0}
        return np.unique([v * step + part for v in kept for part in parts if 0 <= part < step])


def grid(*operands: Any) -> list[Ints]:
    """Cross product, flat."""
    return [axis.ravel() for axis in np.meshgrid(*operands, indexing="ij")]


#: All shifts of the table at least 1, or 0 where ``small_b`` has them.
SMALL_A = {
    "weight": (5, 3), "trace": (5, 3), "input": (4, 2), "current": (5, 3), "membrane": (5, 3), "gain": (5, 3),
    "threshold": (5, 3), "delta": (6, 4), "rate_step": (5, 3), "filter_trace": (3, 1), "adapt_trace": (2, 0),
    "adapt_sum": (5, 3), "score": (6, 3), "target": (4, 2),
}  # fmt: skip
SMALL_B = {
    "weight": (4, 1), "trace": (5, 2), "input": (5, 2), "current": (6, 3), "membrane": (5, 3), "gain": (5, 4),
    "threshold": (4, 3), "delta": (5, 3), "rate_step": (5, 2), "filter_trace": (5, 3), "adapt_trace": (4, 2),
    "adapt_sum": (4, 3), "score": (7, 3), "target": (4, 3),
}  # fmt: skip

SETUPS = {
    "small_a": Setup("small_a", SMALL_PACKAGE, SMALL_A, every=True),
    "small_b": Setup("small_b", SMALL_PACKAGE, SMALL_B, every=True),
    "default": Setup("default", REAL, {}, every=False),
}
