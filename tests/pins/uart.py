"""Serial line at the pins, 8N1: a driver and a monitor of our own, which share nothing with host or RTL."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotb.queue import Queue
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

BYTE_BITS = 10
DELIMITER = 0


class UartDriver:
    """Sends bytes into a pin.

    Its bits are not aligned with the device's clock: gaps, and the bit time of a host with another crystal, are any
    number of picoseconds.

    Parameters
    ----------
    pin : cocotb handle
        Input of the device, idle high.
    bit : int
        Length of a bit in ps.
    gap : int
        Longest gap between two bytes in ps.
    rng : np.random.Generator
        Draws the gaps.
    """

    def __init__(self, pin: Any, bit: int, gap: int, rng: np.random.Generator) -> None:
        self._pin, self._bit, self._gap, self._rng = pin, bit, gap, rng

    async def send(self, data: bytes, *, bad_stop: int | None = None) -> None:
        """Send bytes; byte ``bad_stop`` gets a low stop bit, after which the line is high for a bit."""
        for place, byte in enumerate(data):
            bits = BYTE_BITS + (place == bad_stop)
            await self._levels(byte << 1 | 1 << bits - 1, bits)
            if self._gap and self._rng.integers(2):
                await Timer(int(self._rng.integers(1, self._gap + 1)), "ps")

    async def low(self, length: int) -> None:
        """Pull the line low for ``length`` ps: a glitch or a break; then high for two bits."""
        self._pin.value = 0
        await Timer(length, "ps")
        self._pin.value = 1
        await Timer(2 * self._bit, "ps")

    async def _levels(self, pattern: int, bits: int) -> None:
        """Low bit first; equal neighbours are one wait, the simulator's time is what a run costs."""
        start = 0
        for place in range(1, bits + 1):
            if place == bits or (pattern >> place ^ pattern >> start) & 1:
                self._pin.value = pattern >> start & 1
                await Timer((place - start) * self._bit, "ps")
                start = place


class UartMonitor:
    """Receives bytes from a pin by its edges alone, and checks that each lies exactly on the boundary of a bit.

    A frame is known to be over at the last edge of its delimiter: nine low bits.

    Parameters
    ----------
    pin : cocotb handle
        Output of the device, idle high.
    bit : int
        Length of a bit in ps: clocks per bit times the clock period, without tolerance.
    """

    def __init__(self, pin: Any, bit: int) -> None:
        self._pin, self._bit = pin, bit
        self._bytes = bytearray()
        #: Frames with their delimiter, in the order in which they end.
        self.frames: Queue[bytes] = Queue()
        #: Bytes in frames that have ended, edges of the line.
        self.received = self.edges = 0
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        assert int(self._pin.value) == 1, "tx is not idle high"
        earliest = 0
        while True:
            await self._edge()
            start = get_sim_time("step")
            assert int(self._pin.value) == 0, "tx: a start bit that is not low"
            assert start >= earliest, f"tx: the stop bit of a delimiter ends {earliest - start} ps early"
            earliest = await self._frame(start) + BYTE_BITS * self._bit

    async def _frame(self, start: int) -> int:
        """Bytes from a start bit on, until a delimiter; returns when its start bit began."""
        level, known, value = 0, 0, 0  # level since the last edge; bits 0 to known - 1 of the byte are in value
        while True:
            await self._edge()
            now, old, level = get_sim_time("step"), level, int(self._pin.value)
            place, beyond = divmod(now - start, self._bit)
            assert level != old, f"tx: a glitch {now - start} ps after the start bit"
            if old and place >= BYTE_BITS:  # the stop bit is over, this is the next start bit
                self._take((value | -1 << known) >> 1 & 0xFF)
                start, known, value = now, 0, 0
                continue
            assert not beyond, f"tx: an edge {now - start} ps after the start bit, bits have {self._bit} ps"
            assert place < BYTE_BITS, f"tx: low for {place} bits, the stop bit is missing"
            value |= -old & (1 << place) - (1 << known)
            known = place
            if place == BYTE_BITS - 1 and value == 0:
                assert level, "tx: a delimiter without a stop bit"
                self._take(DELIMITER)
                return start

    async def _edge(self) -> None:
        await self._pin.value_change
        self.edges += 1

    def _take(self, byte: int) -> None:
        self._bytes.append(byte)
        if byte == DELIMITER:
            self.frames.put_nowait(bytes(self._bytes))
            self.received += len(self._bytes)
            self._bytes.clear()
