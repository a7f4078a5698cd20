"""``solsa devices``: serial ports, and which of them have a solsa device at the other end."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from serial.tools import list_ports

from solsa.contract import CONTRACT_VERSION, PRESETS
from solsa.contract.registers import MAGIC, READOUT_CODES, Register

from .display import table
from .files import check_file, write_json
from .link import Link
from .options import BaudOption, JsonOption, QuietOption, console
from .transport import DEFAULT_BAUD, DeviceError, SerialTransport, Transport
from .words import unpack_words

#: Seconds that a device is given to answer one attempt, and the attempts for which a port is listened to at all.
TIMEOUT = 0.3
ATTEMPTS = 4


@dataclass(frozen=True)
class Found:
    """A serial port and what answers on it."""

    port: str
    description: str
    #: ``solsa``, ``other``, ``silent`` or ``closed``
    kind: str
    text: str
    config_hash: str = ""
    preset: str = ""


class _Silent(DeviceError):
    """Nothing that is a reply came in time."""


class _Brief:
    """A transport that is given up after some seconds, whatever chatters at the other end."""

    def __init__(self, transport: Transport, seconds: float) -> None:
        self._transport = transport
        self._end = time.monotonic() + seconds
        self.send, self.close = transport.send, transport.close

    def receive(self, timeout: float) -> bytes:
        """Whatever arrived; _Silent once the time is over."""
        if time.monotonic() > self._end:
            raise _Silent("does not answer")
        return self._transport.receive(timeout)


def devices_command(
    ports: Annotated[
        list[str] | None, typer.Argument(metavar="[PORT]...", help="Ports to ask; without them all that are found.")
    ] = None,
    baud: BaudOption = DEFAULT_BAUD,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """List the serial ports and what answers on each.

    Every port is opened and asked who it is, which other equipment may not
    expect: name the ports if some must be left alone.

    Example: solsa devices
    """
    check_file(json, "--json")
    terminal = console()
    names = ports or [port.device for port in list_ports.comports()]
    about = {port.device: port.description for port in list_ports.comports()}
    found = []
    for name in sorted(names):
        with terminal.status(f"asking {name}"):
            found.append(ask(name, "" if about.get(name) in (None, "n/a") else about[name], baud))
    if not found:
        terminal.print("no serial port found; is the board connected?")
    table(terminal, [(port.port, f"{port.text} ({port.description})" if port.description else port.text)
                    for port in found])  # fmt: skip
    if json:
        write_json(json, {"baud": baud, "ports": [asdict(port) for port in found]})


def ask(port: str, description: str = "", baud: int = DEFAULT_BAUD, timeout: float = TIMEOUT) -> Found:
    """What answers INFO on a serial port; never raises for a port that does not."""
    try:
        transport = SerialTransport(port, baud)
    except DeviceError as error:
        return Found(port, description, "closed", str(error).removeprefix(f"port {port}: "))
    try:
        link = Link(_Brief(transport, ATTEMPTS * timeout), port, timeout)
        words = [int(word) & 0xFFFFFFFF for word in unpack_words(link.start())]
    except DeviceError as error:
        silent = isinstance(error, _Silent) or "does not answer" in str(error)
        return Found(port, description, "silent" if silent else "other",
                     f"no answer at {baud} baud" if silent else str(error))  # fmt: skip
    except ValueError as error:
        return Found(port, description, "other", f"answers, but is not a solsa device ({error})")
    finally:
        transport.close()
    if len(words) <= Register.GEOMETRY or words[Register.MAGIC] != MAGIC:
        return Found(port, description, "other", "answers, but is not a solsa device")
    config_hash = f"{words[Register.CONFIG_HASH]:08x}"
    preset = next((name for name, config in PRESETS.items() if config.config_hash == config_hash), "")
    geometry = words[Register.GEOMETRY]
    depth, lanes, groups, code = (geometry >> shift & 0xFF for shift in (0, 8, 16, 24))
    readout = next((name for name, value in READOUT_CODES.items() if value == code), "unknown")
    text = f"solsa, preset {preset}" if preset else f"solsa, configuration {config_hash}, which is no preset"
    text += f", {depth} layers, {lanes} lanes, {groups} filter groups, readout {readout}"
    version = words[Register.CONTRACT_VERSION]
    if version != CONTRACT_VERSION:
        text += f"; contract version {version}, this solsa needs {CONTRACT_VERSION}"
    return Found(port, description, "solsa", text, config_hash, preset)
