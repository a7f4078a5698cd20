"""The contract's shapes, roundings and overflows as Amaranth expressions; twin of golden/arith.py."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Shape, Signal, Value, ValueLike, signed, unsigned

from solsa.contract.formats import Format, Rounding


def shape_of(fmt: Format) -> Shape:
    """Amaranth shape of a contract format."""
    return signed(fmt.width) if fmt.signed else unsigned(fmt.width)


def drop(value: Value, shift: int, rounding: Rounding) -> Value:
    """Arithmetic right shift by a constant with a named rounding (not STOCHASTIC: a lane adds its own bits)."""
    if shift == 0:
        return value
    if rounding is Rounding.TOWARD_ZERO:
        return (value + toward_zero_bits(value, shift)) >> shift
    if rounding is Rounding.HALF_UP:
        return (value + (1 << (shift - 1))) >> shift
    return value >> shift


def toward_zero_bits(value: Value, shift: int) -> Value:
    """What must be added below the point so that a floor by ``shift`` rounds toward zero: ones if negative."""
    return value[-1].replicate(shift)


def drop_and_add(value: Value, shift: int, addend: Value) -> Value:
    """``drop(value, shift, TOWARD_ZERO) + addend`` with a single adder: the rounding bits lie below the addend's."""
    return (value + Cat(toward_zero_bits(value, shift), addend).as_signed()) >> shift


def saturate(value: Value, fmt: Format) -> Value:
    """Clamp a signed value to a signed format."""
    width = fmt.width
    if len(value) <= width:
        return value
    top = value[width - 1 :]
    fits = ~top.any() | top.all()
    bounds = Cat(value[-1].__invert__().replicate(width - 1), value[-1])
    return Mux(fits, value[:width], bounds).as_signed()


def by_index(m: Module, index: Value, values: list[int] | list[Value] | list[ValueLike], name: str) -> Signal:
    """Combinational look-up in a short list of constants or signals; the last entry serves all further indices."""
    shapes = [Value.cast(v).shape() for v in values]
    is_signed = any(s.signed for s in shapes)
    shape = Shape(max(s.width + (is_signed and not s.signed) for s in shapes), is_signed)
    out = Signal(shape, name=name)
    values = values[: 1 << len(Value.cast(index))]  # of more groups than neurons, some have no index
    if len(values) == 1:
        m.d.comb += out.eq(values[0])
        return out
    with m.Switch(index):
        for i, value in enumerate(values[:-1]):
            with m.Case(i):
                m.d.comb += out.eq(value)
        with m.Default():
            m.d.comb += out.eq(values[-1])
    return out


def low_bits(value: Value, width: int) -> Value:
    """Lowest ``width`` bits, zero-extended if the value is narrower: a field of fixed width for ``Cat``."""
    return Cat(value[:width], C(0, max(0, width - len(value))))


def delayed(m: Module, value: Value | Signal, clocks: int, name: str, domain: str = "sync") -> list[Signal]:
    """Delay line: element ``i`` is ``value`` ``i`` clocks later, i = 0 to ``clocks``; element 0 is ``value`` itself.

    A line takes no reset: it is empty after as many clocks of one.
    """
    line = [value]
    for i in range(clocks):
        stage = Signal(value.shape(), name=f"{name}_{i + 1}", reset_less=True)
        m.d[domain] += stage.eq(line[-1])
        line.append(stage)
    return line


def constant(value: int, fmt: Format) -> C:
    """Constant in a contract format."""
    return C(value, shape_of(fmt))
