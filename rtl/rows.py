"""Encoding of microprogram rows (contract/microcode.py) as words of the serial unit's program memory."""

from __future__ import annotations

from amaranth.hdl import C, Value
from amaranth.lib import data
from amaranth.utils import bits_for

from solsa.contract import Format
from solsa.contract.microcode import Row


class Columns:
    """Encoding of the rows: each column holds an index into the values that the programs use."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        names = ("source", "op", "fmt", "part", "set_x", "fresh", "read", "read_id", "write", "write_id", "when", "act",
                 "end")  # fmt: skip
        self.values = {n: sorted({getattr(r, n) for r in rows}, key=_order) for n in names}
        self.layout = data.StructLayout({n: max(1, bits_for(len(v) - 1)) for n, v in self.values.items()})
        self.words = [self.layout.const({n: v.index(getattr(r, n)) for n, v in self.values.items()}) for r in rows]

    def match(self, row: data.View, name: str, *wanted: object) -> Value:
        """Whether a row's column holds one of some values."""
        found: Value = C(0, 1)
        for value in wanted:
            if value in self.values[name]:
                found = found | (row[name] == self.values[name].index(value))
        return found


def _order(value: object) -> int:
    if value is None:
        return -1
    return value.width if isinstance(value, Format) else int(value)  # type: ignore[call-overload]
