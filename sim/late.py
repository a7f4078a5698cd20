"""The simulated device on a slow host: clock by clock at its pins, and every reply is heard some time after its end."""

from __future__ import annotations

import ctypes
from collections import deque

from solsa.contract import NetworkConfig
from solsa.rtl.top import Device

from .build import build_library
from .device import SILENCE, SimulatedDevice


class LateDevice(SimulatedDevice):
    """Transport to a device whose replies are late; what the host sends begins at once, behind what it sent before.

    Parameters
    ----------
    config : NetworkConfig
        What the device is built for.
    divisor : int
        Clocks per bit of its line, at least 4.
    latency : int
        Clocks from the last bit of a reply until the host has it: adapter, bus, operating system, both ways.

    Attributes
    ----------
    sent, received : int
        Bytes on the line so far.
    """

    def __init__(self, config: NetworkConfig, divisor: int, latency: int) -> None:
        header = f"#pragma once\nconstexpr int DIVISOR = {divisor};\n"
        path = build_library("late", config, lambda: Device(config, divisor=divisor), header)
        super().__init__(config, built=path)
        until = self._library.device_until
        until.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64]
        until.restype = ctypes.c_int64
        self.latency = latency
        #: When the host hears what.
        self._coming: deque[tuple[int, bytes]] = deque()
        self.sent = self.received = 0

    def send(self, data: bytes) -> None:
        """Queue bytes on the line to the device."""
        self.sent += len(data)
        super().send(data)

    def receive(self, timeout: float) -> bytes:
        """What the host has heard by the time that it hears something; empty if the device stays silent."""
        del timeout
        last = self.cycles + SILENCE
        while not self._coming or self.cycles < self._coming[0][0]:
            clock = self._coming[0][0] if self._coming else last
            count = self._library.device_until(self._alive(), self._buffer, len(self._buffer), clock)
            if count:
                self.received += count
                self._coming.append((self.cycles + self.latency, self._buffer.raw[:count]))
            elif self.cycles >= last:
                return b""
        heard = b""
        while self._coming and self._coming[0][0] <= self.cycles:
            heard += self._coming.popleft()[1]
        return heard
