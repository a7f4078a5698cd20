"""Words that a core retires during one time step, in the order in which it retires them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Kind(IntEnum):
    """Which state word a record holds; the order of sim/cpp/core.cpp."""

    TRACE = 0
    WEIGHT = 1
    FILTER = 2
    CURRENT = 3
    MEMBRANE = 4
    SPIKE = 5
    SURROGATE = 6
    GAIN = 7
    FILTER_TRACE = 8
    ADAPT_TRACE = 9
    DELTA = 10
    RATE_STEP = 11
    SCORE = 12
    CONSTANT = 13
    RNG = 14
    UPDATES = 15
    MEAN_ERROR = 16


#: One record: kind, layer, post (or group), pre, value.
RECORD = np.dtype([("kind", "<i4"), ("layer", "<i4"), ("post", "<i4"), ("pre", "<i4"), ("value", "<i8")])
Records = npt.NDArray[np.void]


class HangError(RuntimeError):
    """A core did not end a step or an access within its limit."""


class CoreBackend(Protocol):
    """A core that can be stepped and looked into."""

    #: clocks of the last step, from the command to the end of busy
    step_clocks: int

    def write(self, space: int, index: int, value: int) -> int:
        """Write a word; returns the status."""

    def read(self, space: int, index: int) -> int:
        """Read a word as unsigned 32 bits."""

    def step(self, inputs: Ints, *, label: int, target: Ints | None, reset: bool, learn: bool, adapt: bool) -> Records:
        """Run one time step and return what was retired."""

    def close(self) -> None:
        """Release the simulation."""


@dataclass(frozen=True)
class StepInput:
    """Stimulus of one time step."""

    inputs: Ints
    label: int = 0
    target: Ints | None = None
    reset: bool = False
    learn: bool = False
    adapt: bool = False
    #: option probe: measure, see contract.registers.Register.PROBE
    probe: bool = False
