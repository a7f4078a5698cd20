"""The core as a compiled library, one step per call, every retired word returned."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
from amaranth.hdl import Elaboratable

from solsa.contract import Layout, NetworkConfig
from solsa.rtl.core import Core

from .build import FAST, build_library
from .records import RECORD, HangError, Ints, Records


def core_header(config: NetworkConfig) -> str:
    """Constants of sim/cpp/core.cpp."""
    f, layout = config.formats, Layout(config)
    neuron = [f.current, f.membrane, None, config.surrogate_word, f.gain, f.filter_trace, f.adapt_trace]
    widths = ", ".join(str(x.width if x else 1) for x in neuron)
    signs = ", ".join("true" if x and x.signed else "false" for x in neuron)
    numbers = {
        "LANES": config.lanes,
        "GROUPS": config.groups,
        "DEPTH": config.depth,
        "INPUTS": config.inputs,
        "OUTPUTS": config.outputs,
        "FILTER_BANKS": layout.filter_banks,
        "WEIGHT_BITS": f.weight.width,
        "TRACE_BITS": f.trace.width,
        "DELTA_BITS": f.delta.width,
        "RATE_STEP_BITS": f.rate_step.width,
        "SCORE_BITS": f.score.width,
        "MEAN_ERROR_BITS": f.mean_error.width,
    }
    lines = ["#pragma once", *(f"constexpr int {k} = {v};" for k, v in numbers.items())]
    lines += [f"constexpr int POSTS[] = {{{', '.join(map(str, config.layers[1:]))}}};"]
    lines += [f"constexpr int NEURON_BITS[] = {{{widths}}};", f"constexpr bool NEURON_SIGNED[] = {{{signs}}};"]
    return "\n".join(lines) + "\n"


class CompiledCore:
    """Core backend on Verilator.

    Parameters
    ----------
    config : NetworkConfig
        What to build.
    make_core : callable, optional
        Another design with the same ports (planted bugs); ``variant`` must then name it.
    level : str
        g++ optimisation.
    built : Path, optional
        A library that was built elsewhere (sim/toggle_build.py), instead of building one.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        built: Path | None = None,
        make_core: Callable[[], Elaboratable] | None = None,
        variant: str = "",
        level: str = FAST,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config
        make = make_core or (lambda: Core(config, observe=True))
        path = built or build_library("core", config, make, core_header(config), level=level, variant=variant, say=say)
        library = ctypes.CDLL(str(path))
        library.core_new.restype = ctypes.c_void_p
        library.core_delete.argtypes = [ctypes.c_void_p]
        library.core_step_clocks.argtypes = [ctypes.c_void_p]
        library.core_step_clocks.restype = ctypes.c_uint64
        library.core_bus.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_uint32, ctypes.c_uint32,
                                     ctypes.POINTER(ctypes.c_uint32)]  # fmt: skip
        library.core_step.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int,
                                      ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_int64]  # fmt: skip
        library.core_step.restype = ctypes.c_int64
        self._library = library
        self._handle = library.core_new()
        self._records = np.zeros(1024, dtype=RECORD)
        self.step_clocks = 0

    def write(self, space: int, index: int, value: int) -> int:
        """Write a word; returns the status."""
        return self._access(1, space, index, value)[0]

    def read(self, space: int, index: int) -> int:
        """Read a word as unsigned 32 bits."""
        return self._access(0, space, index, 0)[1]

    def _access(self, write: int, space: int, index: int, value: int) -> tuple[int, int]:
        answer = ctypes.c_uint32()
        status = self._library.core_bus(self._handle, write, space, index, value & 0xFFFFFFFF, ctypes.byref(answer))
        if status < 0:
            raise HangError(f"the bus does not answer at space {space}, index {index}")
        return status, answer.value

    def step(self, inputs: Ints, *, label: int, target: Ints | None, reset: bool, learn: bool, adapt: bool) -> Records:
        """Run one time step and return what was retired."""
        x = np.ascontiguousarray(inputs, dtype=np.int8)
        y = None if target is None else np.ascontiguousarray(target, dtype=np.int16)
        # A step retires each word at most twice (trace sweep, update sweep): make room before, a step cannot be undone.
        room = 2 * self.config.synapses + self.config.groups * 3 * sum(self.config.layers)
        room += 16 * sum(self.config.layers) + 64
        if len(self._records) < room:
            self._records = np.zeros(room, dtype=RECORD)
        count = self._library.core_step(
            self._handle, x.ctypes.data, None if y is None else y.ctypes.data, int(reset), int(learn), int(adapt),
            label, self._records.ctypes.data, len(self._records),
        )  # fmt: skip
        if count < 0:
            raise HangError("the core does not end its step")
        self.step_clocks = int(self._library.core_step_clocks(self._handle))
        return self._records[: min(count, len(self._records))].copy()

    def close(self) -> None:
        """Release the simulation."""
        if self._handle:
            self._library.core_delete(self._handle)
            self._handle = None
