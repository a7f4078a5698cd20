"""Claim 7: UART receiver and transmitter."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from amaranth.hdl import Cat, Const, Mux, Signal, Value

from solsa.sim.planted import Bug

from .harness import Harness
from .proofs import Control, Proof

#: Start bit, eight bits of data, stop bit.
BITS = 10
#: States of the receiver, in the order in which it names them.
IDLE, START, DATA, STOP, BREAK = range(5)


def transmitter(divisor: int) -> Callable[[ModuleType], Harness]:
    """Line against a model that counts clocks from the transfer of a byte."""

    def build(rtl: ModuleType) -> Harness:
        h = Harness(rtl)
        uart = h.place(h.unit("uart").UartTransmitter(divisor))
        m, valid = h.m, h.free(1, "valid")
        m.d.comb += [uart.i.valid.eq(valid), uart.i.payload.eq(h.free(8, "byte"))]
        age, frame = Signal(range(BITS * divisor + 1), init=BITS * divisor), Signal(BITS, init=-1)
        idle, over = Signal(), Signal()
        m.d.comb += [over.eq(age >= BITS * divisor - 1), idle.eq(age == BITS * divisor)]
        with m.If(valid & uart.i.ready):
            m.d.sync += [age.eq(0), frame.eq(Cat(Const(0, 1), uart.i.payload, Const(1, 1)))]
        with m.Elif(~idle):
            m.d.sync += age.eq(age + 1)
        bit = Signal()
        with m.Switch(age):
            for clock in range(BITS * divisor):
                with m.Case(clock):
                    m.d.comb += bit.eq(frame[clock // divisor])
            with m.Default():
                m.d.comb += bit.eq(1)
        h.always(uart.tx == bit)  # every bit of a byte, then the idle line
        h.always(uart.i.ready == over)  # a byte takes ten bits, then the next is taken at once
        h.cover(idle & h.past(idle, 2, init=1) & (h.past(age, 3) == BITS * divisor - 1))
        h.cover(h.past(valid & uart.i.ready & ~idle) & (frame == 0b1_0101_0011_0))
        return h

    return build


def receiver(divisor: int, *, slower: int = 0) -> Callable[[ModuleType], Harness]:
    """One bit, any of the eight, of every byte of a sender whose edges may be seen a clock late."""

    def build(rtl: ModuleType) -> Harness:
        h = Harness(rtl)
        uart = h.place(h.unit("uart").UartReceiver(divisor))
        m, period = h.m, divisor + slower
        which = h.constant(range(8), "which")
        # A sender: any byte, at any time, a new one at once if it likes. Every bit is chosen when it begins; the one
        # that is followed is known from the start.
        clock, left, level = Signal(range(period)), Signal(range(BITS + 1)), Signal()
        sending, tracked = Signal(), Signal()
        start, choice, byte = h.free(1, "start"), h.free(1, "choice"), h.free(1, "byte")
        bit_over = clock == 0
        m.d.comb += sending.eq(left != 0)
        accept = start & (~sending | (bit_over & (left == 1)))
        with m.If(clock != 0):
            m.d.sync += clock.eq(clock - 1)
        with m.Elif(sending):
            m.d.sync += [left.eq(left - 1), clock.eq(Mux(left == 1, 0, period - 1)), level.eq(choice)]
            with m.If(left == 2):
                m.d.sync += level.eq(1)
            with m.Elif(left == 10 - which):
                m.d.sync += level.eq(tracked)
        with m.If(accept):
            m.d.sync += [left.eq(BITS), clock.eq(period - 1), level.eq(0), tracked.eq(byte)]
        line = Mux(sending, level, 1)
        m.d.comb += uart.rx.eq(Mux(h.free(1, "late"), h.past(line, init=1), line))
        # The consumer takes a byte before the next is complete.
        ready = h.free(1, "ready")
        m.d.comb += uart.o.ready.eq(ready)
        waited = h.run_length(uart.o.valid & ~ready, 9 * divisor)
        h.assume(waited < 9 * divisor)
        # What was sent and has not come out: a queue of two.
        first, second, waiting = Signal(), Signal(), Signal(2)
        taken = uart.o.valid & ready
        with m.If(taken):
            m.d.sync += [first.eq(second), waiting.eq(waiting - 1)]
            with m.If(accept):
                m.d.sync += waiting.eq(waiting)
                with m.If(waiting == 1):
                    m.d.sync += first.eq(byte)
                with m.Else():
                    m.d.sync += second.eq(byte)
        with m.Elif(accept):
            m.d.sync += waiting.eq(waiting + 1)
            with m.If(waiting == 0):
                m.d.sync += first.eq(byte)
            with m.Else():
                m.d.sync += second.eq(byte)
        h.always(~uart.o.valid | ((waiting != 0) & (uart.o.payload.bit_select(which, 1) == first)))
        h.always(~accept | (waiting < 2))
        # A byte is offered at most five clocks after its stop bit.
        h.always(sending | (h.run_length(~sending, 8) < 6) | uart.o.valid | (waiting == 0))
        h.always(~uart.framing_error)
        # Invariant of the induction: where the receiver stands, which byte it is on, what it has of it.
        h.always((left <= BITS) & (clock < period) & (sending | (clock == 0)))
        h.always((left != BITS) | ~level)
        h.always((left != 1) | level)
        h.always(~sending | (left != BITS - 1 - which) | (level == tracked))
        received, receives, taken_bits = _in_step(h, divisor, left, clock)
        starts = (h.state() == IDLE) & ~h.inner("uart", "line")
        ends = (h.state() == STOP) & h.inner("uart", "sample") & h.inner("uart", "line")
        unnoticed, undelivered = Signal(), Signal(2)
        with m.If(starts):
            m.d.sync += unnoticed.eq(0)
        with m.If(accept):
            m.d.sync += unnoticed.eq(1)
        m.d.sync += undelivered.eq(undelivered + accept - ends)
        h.always(waiting == undelivered + uart.o.valid)
        h.always(undelivered == unnoticed + receives)
        h.always(~(receives & uart.o.valid) | (waited >= received + 2))
        h.always(~unnoticed | (sending & (left == BITS)))
        expected, newest = Mux(uart.o.valid, second, first), Mux(waiting == 2, second, first)
        h.always((undelivered == 0) | (newest == tracked))
        got = h.inner("uart", "shift").bit_select((9 - taken_bits + which)[:4], 1)
        h.always(~receives | (taken_bits <= which) | (got == expected))
        h.cover(taken & (uart.o.payload == 0xA5) & (waiting == 2))
        h.cover(taken & (uart.o.payload == 0) & ~sending)
        return h

    return build


def _in_step(h: Harness, divisor: int, left: Signal, clock: Signal) -> tuple[Value, Value, Value]:
    """The receiver stands where the sender stood three or four clocks ago.

    Returns for how long it has received, whether it does, and how many bits it has.
    """
    m, state, timer, shift = h.m, h.state(), h.inner("uart", "timer"), h.inner("uart", "shift")
    none = BITS * divisor
    sent, received = Signal(range(none + 1), name="sent"), Signal(range(none + 1), name="received")
    with m.Switch(left):
        for bits in range(BITS + 1):
            with m.Case(bits):
                m.d.comb += sent.eq((BITS - bits + 1) * divisor - 1 - clock if bits else none)
    # Bits of data before the marker, the lowest one in the shift register.
    taken = Signal(range(10), name="bits_taken")
    for place in reversed(range(9)):
        with m.If(shift[place]):
            m.d.comb += taken.eq(8 - place)
    half = (divisor - 1) // 2
    m.d.comb += received.eq(none)
    with m.Switch(state):
        with m.Case(START):
            m.d.comb += received.eq(half - 1 - timer)
        with m.Case(DATA, STOP):
            m.d.comb += received.eq(half + taken * divisor + divisor - 1 - timer)
    three, four = h.past(sent, 3, init=none), h.past(sent, 4, init=none)
    over = half + 9 * divisor
    receives = received != none
    h.always(~receives | (received == three) | (received == four))
    h.always(receives | (four == none) | (four >= over - 1) | (three == 0))
    h.always(state < BREAK)
    return received, receives, taken


PROOFS = (
    Proof(
        "uart-tx", 7, "UartTransmitter, 4 clocks per bit",
        "every bit of every byte has its length and value; ready exactly when ten bits are over; else the line is idle",
        transmitter(4), cover=100,
        controls=(
            Control("bits one clock too long after the first", 60, Bug(
                "uart.py", "m.d.sync += [timer.eq(self.divisor - 1), shift.eq(shift[1:])]",
                "m.d.sync += [timer.eq(self.divisor), shift.eq(shift[1:])]", "")),
            Control("the stop bit is missing", 60, Bug(
                "uart.py", "Cat(Const(0, 1), self.i.payload, Const(1, 1))",
                "Cat(Const(0, 1), self.i.payload, Const(0, 1))", "")),
        ),
    ),
    Proof(
        "uart-rx", 7, "UartReceiver, 4 clocks per bit",
        "every byte of a legal sender comes out once, in order and right, at most five clocks after its stop bit; no "
        "framing error; for a consumer that takes a byte within nine bits",
        receiver(4), cover=100, engine="yices", depth=12,
        controls=(
            Control("a sender that is 25 % slower", 60, build=receiver(4, slower=1)),
            Control("bytes of seven bits", 60, Bug("uart.py", "shift.eq(1 << 8)", "shift.eq(1 << 7)", "")),
        ),
    ),
)  # fmt: skip
