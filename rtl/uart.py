"""Serial line, 8N1, with a byte stream at the other end.

Both directions count clocks per bit down to zero and carry a marker bit in the shift register instead of a second
counter of bits: the byte is complete when the marker has reached the end.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

MIN_DIVISOR = 4


def _check(divisor: int) -> None:
    if not isinstance(divisor, int) or divisor < MIN_DIVISOR:
        raise ValueError(f"UART: {divisor} clocks per bit, allowed {MIN_DIVISOR} or more")


class UartReceiver(wiring.Component):
    """Receiver; every bit is sampled in its middle.

    A byte that is not taken before the next one is complete is replaced by it. After a framing error (stop bit low)
    the byte is dropped, and the receiver waits for the line to go high before it looks for another start bit.

    Parameters
    ----------
    divisor : int
        Clocks per bit, at least 4.
    """

    def __init__(self, divisor: int) -> None:
        _check(divisor)
        self.divisor = divisor
        super().__init__(
            {
                #: Line from outside, asynchronous, idle high.
                "rx": In(1, init=1),
                #: Bytes received.
                "o": Out(stream.Signature(8)),
                #: High for one clock when a byte was dropped because its stop bit was low.
                "framing_error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)

        timer = Signal(range(self.divisor))
        shift = Signal(9)
        sample = Signal()
        m.d.comb += sample.eq(timer == 0)
        m.d.sync += timer.eq(timer - 1)
        with m.If(sample):
            m.d.sync += timer.eq(self.divisor - 1)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        with m.FSM():
            with m.State("IDLE"):
                # The edge lies up to one clock before the first low sample, hence (divisor - 1)/2 to mid-bit.
                m.d.sync += [timer.eq((self.divisor - 1) // 2 - 1), shift.eq(1 << 8)]
                with m.If(~line):
                    m.next = "START"
            with m.State("START"), m.If(sample):
                m.next = "IDLE"
                with m.If(~line):
                    m.next = "DATA"
            with m.State("DATA"), m.If(sample):
                m.d.sync += shift.eq(Cat(shift[1:], line))
                with m.If(shift[1]):
                    m.next = "STOP"
            with m.State("STOP"), m.If(sample):
                with m.If(line):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(shift[1:])]
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += self.framing_error.eq(1)
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Transmitter; bytes follow each other without a gap when they are offered in time.

    Parameters
    ----------
    divisor : int
        Clocks per bit, at least 4.
    """

    def __init__(self, divisor: int) -> None:
        _check(divisor)
        self.divisor = divisor
        super().__init__(
            {
                #: Bytes to send.
                "i": In(stream.Signature(8)),
                #: Line to outside, idle high.
                "tx": Out(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self.divisor))
        # Start bit, data, stop bit; zeros follow, so nothing but bit 0 is set while the stop bit is on the line.
        shift = Signal(10, init=1)
        bit_over = Signal()
        m.d.comb += [
            bit_over.eq(timer == 0),
            self.i.ready.eq(bit_over & (shift[1:] == 0)),
            self.tx.eq(shift[0]),
        ]
        with m.If(~bit_over):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(shift[1:] != 0):
            m.d.sync += [timer.eq(self.divisor - 1), shift.eq(shift[1:])]
        with m.Elif(self.i.valid):
            m.d.sync += [timer.eq(self.divisor - 1), shift.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1)))]
        return m
