"""Claim 5: the divider and the softmax around it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from unittest.mock import patch

from amaranth.hdl import Cat, Const, Mux, Signal

from solsa.contract import cycles
from solsa.contract.formats import RECIPROCAL_BITS
from solsa.sim.planted import Bug

from .configs import config
from .harness import Harness
from .proofs import Control, Proof

#: Quotient bits of the exhaustive proof, and bits of its divisor.
SMALL_BITS, SMALL_WIDTH = 8, 5
#: Clocks of the softmax besides two walks over the readout and the division.
PIPELINE = cycles._SOFTMAX


def divider_time(rtl: ModuleType) -> Harness:
    """Built as in the core: `done` comes RECIPROCAL_BITS + 2 clocks after start, once, whatever the divisor."""
    h = Harness(rtl)
    unit = h.place(h.unit("softmax").Divider(20))
    start = h.free(1, "start")
    h.m.d.comb += [unit.start.eq(start), unit.divisor.eq(h.free(20, "divisor"))]
    age = Signal(range(RECIPROCAL_BITS + 4), init=RECIPROCAL_BITS + 3)
    h.assume(~start | (age >= RECIPROCAL_BITS + 2))  # the softmax divides once per walk
    with h.m.If(start):
        h.m.d.sync += age.eq(1)
    with h.m.Elif(age != RECIPROCAL_BITS + 3):
        h.m.d.sync += age.eq(age + 1)
    h.always(unit.done == (age == RECIPROCAL_BITS + 2))
    h.cover(unit.done & (unit.quotient == 1 << 15))
    return h


def divider_value(width: int, bits: int) -> Callable[[ModuleType], Harness]:
    """quotient = floor(2**bits / divisor) for every divisor but zero, by the definition of the floor."""

    def build(rtl: ModuleType) -> Harness:
        h = Harness(rtl)
        with patch.object(h.unit("softmax"), "RECIPROCAL_BITS", bits):
            unit = h.place(h.unit("softmax").Divider(width))
        start, divisor, held = h.free(1, "start"), h.free(width, "divisor"), Signal(width)
        h.m.d.comb += [unit.start.eq(start), unit.divisor.eq(divisor)]
        busy = Signal()
        h.assume(~start | ((divisor != 0) & ~busy))
        over = h.past(start, bits + 1)
        with h.m.If(start):
            h.m.d.sync += [held.eq(divisor), busy.eq(1)]
        with h.m.Elif(over):
            h.m.d.sync += busy.eq(0)
        product = Signal(bits + width + 2)
        h.m.d.comb += product.eq(unit.quotient * held)
        h.always(~unit.done | ((product <= 1 << bits) & (product + held > 1 << bits)))
        h.cover(unit.done & (held == 3))
        h.cover(unit.done & (held == (1 << width) - 1))
        h.cover(unit.done & (held == 1))
        return h

    return build


def divider_full(rtl: ModuleType) -> Harness:
    """As built: quotient*divisor is summed up beside the divider, bit by bit, and compared with 2**RECIPROCAL_BITS.

    Invariant: what has come of the dividend = product + remainder, with the remainder below the divisor.
    """
    h = Harness(rtl)
    m, bits, width = h.m, RECIPROCAL_BITS, 20
    unit = h.place(h.unit("softmax").Divider(width))
    start, divisor, held = h.free(1, "start"), h.free(width, "divisor"), Signal(width)
    m.d.comb += [unit.start.eq(start), unit.divisor.eq(divisor)]
    left, remainder = Signal(range(bits + 2)), h.inner("softmax", "remainder")
    h.assume(~start | ((divisor != 0) & (left == 0)))
    quotient, product, dividend = Signal(bits + 1), Signal(bits + width + 2), Signal(bits + 2)
    # The divider's own bit of this clock appears in its quotient in the next one: the sum runs a clock behind.
    running = h.past(left != 0)
    bit = unit.quotient[0]
    now = Signal.like(product)
    m.d.comb += now.eq(Mux(running, (product << 1) + Mux(bit, held, 0), product))
    shifted = Signal.like(quotient)
    m.d.comb += shifted.eq(Mux(running, Cat(bit, quotient), quotient))
    m.d.sync += [product.eq(now), quotient.eq(shifted)]
    with m.If(left != 0):
        m.d.sync += [left.eq(left - 1), dividend.eq(Mux(left == bits + 1, 1, dividend << 1))]
    with m.If(start):
        m.d.sync += [left.eq(bits + 1), held.eq(divisor), product.eq(0), dividend.eq(0), quotient.eq(0)]
    was_started = Signal()
    with m.If(start):
        m.d.sync += was_started.eq(1)
    h.always(unit.quotient == shifted)
    h.always(unit.done == (was_started & (left == 0) & running))
    h.always(~was_started | ((held != 0) & (h.inner("softmax", "divisor") == held) & (remainder < held)))
    h.always(now + remainder == dividend)
    h.always(h.inner("softmax", "left") == left)
    h.always((left == 0) | was_started)
    h.always(dividend == Mux(~was_started | (left == bits + 1), 0, (Const(1 << bits) >> left)[: bits + 2]))
    h.always(~unit.done | ((dividend == 1 << bits) & (now <= 1 << bits) & (now + held > 1 << bits)))
    h.cover(unit.done & (held == 3))
    h.cover(unit.done & (held == (1 << width) - 1) & (unit.quotient == 4096))
    return h


def softmax(rtl: ModuleType) -> Harness:
    """From `start` to the last probability in the clocks that contract/cycles.py counts, each once, in order."""
    h = Harness(rtl)
    c = config(outputs=3)
    unit = h.place(h.unit("softmax").Softmax(c), watch=("softmax",))
    start, valid = h.free(1, "start"), h.free(1, "valid")
    h.m.d.comb += [
        unit.start.eq(start), unit.valid.eq(valid),
        unit.post.eq(h.free(unit.post.shape(), "post")),
        unit.membrane.eq(h.free(unit.membrane.shape(), "membrane")),
    ]  # fmt: skip
    last = 2 * c.outputs + RECIPROCAL_BITS + PIPELINE
    age = Signal(range(last + 2), init=last + 1)
    h.assume(~start | (age == last + 1))  # the core starts it once per step
    h.assume(~valid | (unit.post < c.outputs))
    with h.m.If(start):
        h.m.d.sync += age.eq(1)
    with h.m.Elif(age != last + 1):
        h.m.d.sync += age.eq(age + 1)
    comes = (age > last - c.outputs) & (age <= last)
    h.always(unit.out_valid == comes)
    h.always(~comes | (unit.out_post == (age - (last - c.outputs) - 1)))
    for memory in h.memories:
        for port in memory.writes:
            h.always(~port.en | (port.addr < max(2, c.outputs)))
    h.cover(unit.out_valid & (unit.out_post == c.outputs - 1))
    return h


PROOFS = (
    Proof(
        "divider-time", 5, "Divider, 20 bits",
        f"done exactly {RECIPROCAL_BITS + 2} clocks after start, for any divisor",
        divider_time, cover=40,
        controls=(Control("one bit too many", 40, Bug(
            "softmax.py", "left.eq(RECIPROCAL_BITS + 1)]", "left.eq(RECIPROCAL_BITS + 2)]", "")),),
    ),
    Proof(
        "divider-value", 5, f"Divider, {SMALL_WIDTH} bits, 2**{SMALL_BITS}",
        f"quotient = floor(2**{SMALL_BITS} / d) for d = 1 to {2**SMALL_WIDTH - 1}",
        divider_value(SMALL_WIDTH, SMALL_BITS), cover=14,
        controls=(Control("the remainder is not restored when equal", 14, Bug(
            "softmax.py", "fits = shifted >= divisor", "fits = shifted > divisor", "")),),
    ),
    Proof(
        "divider-value-full", 5, f"Divider, 20 bits, 2**{RECIPROCAL_BITS}, as built",
        f"quotient = floor(2**{RECIPROCAL_BITS} / d) for d = 1 to 2**20 - 1",
        divider_full, cover=36, engine="yices", depth=3,
        controls=(Control("a remainder equal to the divisor stays", 36, Bug(
            "softmax.py", "fits = shifted >= divisor", "fits = shifted > divisor", "")),),
    ),
    Proof(
        "softmax-time", 5, "Softmax, 3 outputs",
        "the probabilities come in order, each once, in the clocks that contract/cycles.py counts; no write outside",
        softmax, cover=60,
        controls=(Control("the division is awaited one clock longer", 60, Bug(
            "softmax.py", "with m.If(divider.done):", "with m.If(delayed(m, divider.done, 1, 'late')[1]):", "")),),
    ),
)  # fmt: skip
