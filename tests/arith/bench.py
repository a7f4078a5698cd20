"""Units of the RTL side by side in one compiled library, driven by columns of words, one row per clock."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from amaranth.back import verilog
from amaranth.hdl import Module, Shape, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.sim.build import QUICK, build_library

Ints = np.ndarray[Any, np.dtype[np.int64]]


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Value]]:
    """Scalar parts of a port: fields of structures, elements of arrays."""
    if isinstance(value, data.View):
        layout = value.shape()
        if isinstance(layout, data.ArrayLayout):
            keys: list[Any] = list(range(layout.length))
        else:
            keys = [key for key, _ in layout]
        for key in keys:
            yield from _leaves(f"{name}_{key}", value[key])
    else:
        yield name, Value.cast(value)


class _Top(wiring.Component):
    """All units; the ports of a unit carry its name in front."""

    def __init__(self, units: Mapping[str, Any]) -> None:
        self.units = units
        self.inputs: dict[str, Value] = {}
        self.outputs: dict[str, Value] = {}
        for unit_name, unit in units.items():
            for path, member, port in unit.signature.flatten(unit):
                for name, leaf in _leaves("_".join([unit_name, *map(str, path)]), port):
                    if len(leaf):
                        (self.inputs if member.flow is In else self.outputs)[name] = leaf
        ports = {name: In(leaf.shape()) for name, leaf in self.inputs.items()}
        super().__init__({**ports, **{name: Out(leaf.shape()) for name, leaf in self.outputs.items()}})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, unit in self.units.items():
            m.submodules[name] = unit
        m.d.comb += [leaf.eq(getattr(self, name)) for name, leaf in self.inputs.items()]
        m.d.comb += [getattr(self, name).eq(leaf) for name, leaf in self.outputs.items()]
        return m


def _header(name: str, ports: Mapping[str, Value]) -> str:
    lines = [f"#define {name}(X)"]
    for index, (port, leaf) in enumerate(ports.items()):
        shape: Shape = leaf.shape()
        assert shape.width <= 64, f"{port} has {shape.width} bits"
        lines.append(f"    X({index}, {port}, {shape.width}, {'true' if shape.signed else 'false'})")
    return " \\\n".join(lines) + "\n"


class Bench:
    """Compiled units.

    Parameters
    ----------
    units : dict of str to Component
        Names without double underscores.
    """

    def __init__(self, units: Mapping[str, Any]) -> None:
        top = _Top(units)
        text = verilog.convert(top, name="top", emit_src=False)
        header = "#pragma once\n" + _header("INPUT_PORTS", top.inputs) + _header("OUTPUT_PORTS", top.outputs)
        variant = hashlib.sha256(text.encode()).hexdigest()
        self._inputs = {name: i for i, name in enumerate(top.inputs)}
        self._outputs = {name: i for i, name in enumerate(top.outputs)}
        # The configuration only names the library: the hash over the Verilog tells designs apart.
        path = build_library("rows", NetworkConfig(layers=(1, 1)), lambda: _Top(units), header, level=QUICK,
                             variant=variant)  # fmt: skip
        self._library = ctypes.CDLL(str(path))
        self._library.rows_new.restype = ctypes.c_void_p
        self._library.rows_delete.argtypes = [ctypes.c_void_p]
        self._library.rows_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int64]
        pointer, index = ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
        self._library.rows_run.argtypes = [pointer, ctypes.c_int64, ctypes.c_int, index, pointer, ctypes.c_int, index,
                                           pointer]  # fmt: skip
        self._handle = self._library.rows_new()
        self.rows = 0

    def unit(self, name: str) -> Unit:
        """One of the units."""
        return Unit(self, name)

    def run(self, rows: int, outputs: list[str], columns: Mapping[str, Any]) -> list[Ints]:
        """Run ``rows`` clocks.

        Parameters
        ----------
        outputs : list of str
            Ports to return.
        columns : dict
            Word (kept until changed), array [rows], or (array [n], clocks of delay) padded with zeros.
        """
        indices, arrays = [], []
        for name, given in columns.items():
            words, delay = given if isinstance(given, tuple) else (given, 0)
            if np.ndim(words) == 0 and not delay:
                self._library.rows_set(self._handle, self._inputs[name], int(words))
                continue
            column = np.zeros(rows, dtype=np.int64)
            part = np.asarray(words)[: rows - delay]
            column[delay : delay + len(part)] = part
            indices.append(self._inputs[name])
            arrays.append(column)
        found = [np.zeros(rows, dtype=np.int64) for _ in outputs]
        self._library.rows_run(
            self._handle, rows, len(arrays), (ctypes.c_int * len(indices))(*indices), _pointers(arrays), len(found),
            (ctypes.c_int * len(found))(*[self._outputs[name] for name in outputs]), _pointers(found),
        )  # fmt: skip
        for index in indices:
            self._library.rows_set(self._handle, index, 0)
        self.rows += rows
        return found

    def close(self) -> None:
        """Release the simulation."""
        self._library.rows_delete(self._handle)


def _pointers(arrays: list[Ints]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])


class Unit:
    """A unit of a bench; ports by their own names."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench, self._name = bench, name

    def run(self, rows: int, outputs: list[str], **columns: Any) -> list[Ints]:
        """:meth:`Bench.run` with the unit's name in front of every port."""
        prefixed = {f"{self._name}_{key}": value for key, value in columns.items()}
        return self._bench.run(rows, [f"{self._name}_{name}" for name in outputs], prefixed)

    def at(self, rows: int, delay: int, outputs: list[str], **columns: Any) -> list[Ints]:
        """As :meth:`run` with ``delay`` more clocks, outputs from then on: the result of every row of a pipeline."""
        return [found[delay:] for found in self.run(rows + delay, outputs, **columns)]

    def where(self, flag: str, rows: int, outputs: list[str], **columns: Any) -> list[Ints]:
        """As :meth:`run`, outputs of the clocks in which ``flag`` is high."""
        high, *found = self.run(rows, [flag, *outputs], **columns)
        return [values[high != 0] for values in found]
