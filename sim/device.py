"""The simulated device: the top level as a compiled library behind a transport.

With its serial pins it is what a board runs. Without them the bytes enter below the serial line, one per clock: the
same frames, command unit and core (docs/decisions/0008-bytes-below-the-line.md).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

from amaranth.hdl import Elaboratable

from solsa.contract import NetworkConfig
from solsa.rtl.top import ByteDevice, Device

from .build import FAST, build_library

#: Clocks per bit of the simulated line: the fewest that the receiver allows, the line is what costs time.
DIVISOR = 4
#: Text of ``config.h`` for sim/cpp/device.cpp: bytes through the pins, or below them.
SERIAL_HEADER = f"#pragma once\nconstexpr int DIVISOR = {DIVISOR};\n"
BYTES_HEADER = f"#define BYTES\n{SERIAL_HEADER}"
#: Clocks without a byte after which the device counts as silent (a time-out of the transport).
SILENCE = 5_000_000


class SimulatedDevice:
    """Transport to a device that runs in this process.

    Parameters
    ----------
    config : NetworkConfig
        What the device is built for.
    pins : bool
        Whether the bytes go through the serial pins.
    make_device : callable, optional
        Another design with the same ports (planted bugs); ``variant`` must then name it.
    silence : int
        Clocks without a byte after which :meth:`receive` gives up.
    level : str
        g++ optimisation.
    say : callable, optional
        Called with a line before something slow.
    kind : str
        Harness, a file of sim/cpp.
    built : Path, optional
        A library that was built elsewhere (sim/toggle_build.py), instead of building one.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        pins: bool = True,
        make_device: Callable[[], Elaboratable] | None = None,
        variant: str = "",
        silence: int = SILENCE,
        level: str = FAST,
        say: Callable[[str], None] | None = None,
        kind: str = "device",
        built: Path | None = None,
    ) -> None:
        make = make_device or (lambda: Device(config, divisor=DIVISOR) if pins else ByteDevice(config))
        header = SERIAL_HEADER if pins else BYTES_HEADER
        path = built or build_library(kind, config, make, header, level=level, variant=variant, reset=pins, say=say)
        library = ctypes.CDLL(str(path))
        library.device_new.restype = ctypes.c_void_p
        for name in ("device_delete", "device_clocks"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        library.device_clocks.restype = ctypes.c_uint64
        for name in ("device_low", "device_run"):
            getattr(library, name).argtypes = [ctypes.c_void_p, ctypes.c_int64]
        library.device_send.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64]
        library.device_receive.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64]
        library.device_receive.restype = ctypes.c_int64
        self._library, self._silence = library, silence
        self._handle = library.device_new()
        self._buffer = ctypes.create_string_buffer(2 * config.frame_bytes + 64)

    def send(self, data: bytes) -> None:
        """Queue bytes on the line to the device."""
        self._library.device_send(self._alive(), data, len(data))

    def receive(self, timeout: float) -> bytes:
        """Run the clock until a frame has ended; empty if the device stays silent (simulated time, not wall time)."""
        del timeout
        count = self._library.device_receive(self._alive(), self._buffer, len(self._buffer), self._silence)
        return self._buffer.raw[:count]

    def hold_low(self, clocks: int) -> None:
        """Hold the line to the device low for some clocks, whatever was being sent, and then high for as many.

        Without pins there is no line: nothing is sent for as long.
        """
        self._library.device_low(self._alive(), clocks)

    def run(self, clocks: int) -> None:
        """Run some clocks; what the device sends meanwhile is lost."""
        self._library.device_run(self._alive(), clocks)

    @property
    def cycles(self) -> int:
        """Clocks since reset."""
        return int(self._library.device_clocks(self._alive()))

    def close(self) -> None:
        """Release the simulation."""
        if self._handle:
            self._library.device_delete(self._handle)
            self._handle = None

    def _alive(self) -> int:
        if not self._handle:
            raise ValueError("the simulated device is closed")
        return int(self._handle)
