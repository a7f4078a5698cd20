"""Byte transports to a device: a serial port, the simulated device, or the golden model behind the same frames."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import astuple
from typing import Protocol

import serial
from serial.tools import list_ports

from solsa.contract import NetworkConfig
from solsa.contract.cycles import predicted_cycles
from solsa.contract.wire import max_steps

#: Baud rate of the link unless the user says otherwise.
DEFAULT_BAUD = 1_000_000
#: Seconds that a write to a serial port may take before the line counts as stuck.
WRITE_TIMEOUT = 5.0

#: Devices that are opened by name and need no port; ``sim-serial`` is ``sim`` with its serial pins.
MODELS = ("golden", "sim", "sim-serial")

_OPEN_ERRORS = {
    errno.EACCES: "permission denied; on Linux add yourself to the group that owns it (dialout or uucp)",
    errno.EBUSY: "in use by another program",
    errno.EWOULDBLOCK: "in use by another program",
}


class DeviceError(Exception):
    """A device that cannot be reached, is another one than expected, or refuses a request; the message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class ConnectionLost(DeviceError):
    """The line to a device is gone; it may come back."""


class Transport(Protocol):
    """What carries bytes to a device and back."""

    def send(self, data: bytes) -> None:
        """Send all bytes."""

    def receive(self, timeout: float) -> bytes:
        """Return whatever arrived, waiting up to ``timeout`` seconds for a first byte; ``b""`` when none came."""

    def close(self) -> None:
        """Release the device."""


class SerialTransport:
    """A board on a serial port.

    Parameters
    ----------
    port : str
        Such as ``/dev/ttyUSB0`` or ``COM3``.
    baud : int
        Bits per second.

    Raises
    ------
    DeviceError
        If the port cannot be opened.
    """

    def __init__(self, port: str, baud: int = DEFAULT_BAUD) -> None:
        self._name = port
        try:
            self._port = serial.Serial(port, baud, write_timeout=WRITE_TIMEOUT, exclusive=True)
            self._port.reset_input_buffer()
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise DeviceError(f"port {port}: {_open_error(error)}") from None

    def send(self, data: bytes) -> None:
        """Send all bytes; ConnectionLost if the port is gone or stuck."""
        try:
            self._port.write(data)
        except OSError as error:
            raise ConnectionLost(f"port {self._name}: cannot write ({error})") from None

    def receive(self, timeout: float) -> bytes:
        """Bytes that arrived within ``timeout`` seconds; ConnectionLost if the port is gone."""
        try:
            if self._port.timeout != timeout:
                self._port.timeout = timeout
            first: bytes = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else first
        except (OSError, TypeError) as error:  # pyserial raises TypeError when the port is closed underneath it
            raise ConnectionLost(f"port {self._name}: cannot read ({error})") from None

    def close(self) -> None:
        """Close the port."""
        self._port.close()


def _open_error(error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if number is None and "exclusively lock" in text:
        number = errno.EBUSY
    if number == errno.ENOENT:
        ports = ", ".join(port.device for port in list_ports.comports()) or "none"
        return f"no such port; allowed are {', '.join(MODELS)} or a serial port (found here: {ports})"
    if number in _OPEN_ERRORS:
        return _OPEN_ERRORS[number]
    return f"cannot be opened ({text})"


def longest_silence(config: NetworkConfig) -> int:
    """Clocks after which a device that has not answered will not: twice what the longest request can take."""
    step = max(astuple(predicted_cycles(config)))
    bits = 10 * 64 * config.frame_bytes  # the request on the line, at the most clocks per bit of a simulation
    return 2 * (max_steps(config.frame_bytes, config.step_bytes) * step + bits)


def open_transport(
    device: str, config: NetworkConfig, baud: int = DEFAULT_BAUD, say: Callable[[str], None] | None = None
) -> Transport:
    """Connect to a device by name.

    Parameters
    ----------
    device : str
        ``golden``, ``sim``, ``sim-serial`` or the name of a serial port.
    config : NetworkConfig
        What the golden model or the simulated device is made from; a board has its own.
    baud : int
        For a serial port.
    say : callable, optional
        Called with a line before something slow.

    Raises
    ------
    DeviceError
        If the device cannot be opened, or the simulated one not be compiled.
    """
    if device == "golden":
        from .golden_device import GoldenDevice

        return GoldenDevice(config)
    if device in MODELS:
        try:
            from solsa.sim.build import ToolError
            from solsa.sim.device import SimulatedDevice
        except ModuleNotFoundError as error:
            raise DeviceError(f"the simulated device needs {error.name}: pip install 'solsa[sim]'") from None
        try:
            simulated: Transport = SimulatedDevice(
                config, pins=device != "sim", say=say, silence=longest_silence(config)
            )
        except ToolError as error:
            raise DeviceError(str(error)) from None
        return simulated
    return SerialTransport(device, baud)
