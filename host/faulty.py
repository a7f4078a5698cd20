"""A line that lies: a transport that damages what passes, and falls out now and then, the same way for the same seed.

What a serial line can do, it does: bits flip, bytes get lost or come twice, a transfer loses its tail, comes late or in
pieces, the cable falls out, the device loses its power. No byte overtakes another. For tests, and for
``solsa learn --faults``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from cobs import cobs

from solsa.contract import ConfigError
from solsa.contract.wire import DELIMITER, RUN_HEADER, FrameError, Opcode, RunFlag, unpack_request

from .transport import ConnectionLost, DeviceError, Transport

#: How often a lost device is not there yet when it is looked for.
_NOT_YET = 0.3


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong.

    Attributes
    ----------
    flip, drop, duplicate : float
        Share of bytes with a flipped bit, of bytes that get lost, that come twice.
    cut, delay, split : float
        Share of transfers that lose their tail, that arrive only with the next one, that arrive in two pieces.
    disconnect : int
        Samples between two disconnections; 0: none. They strike before, within or after the first request of a sample,
        or its reply.
    power : int
        Disconnections after which the device has lost its power as well; 0: never.
    seed : int
        Seed of all of it.
    """

    flip: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    cut: float = 0.0
    delay: float = 0.0
    split: float = 0.0
    disconnect: int = 0
    power: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "float" and not 0 <= value <= 0.2:
                raise ConfigError(f"faults: {field.name}={value}, allowed 0 to 0.2")
            if value < 0:
                raise ConfigError(f"faults: {field.name}={value}, allowed are 0 and more")

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Read ``name=value,name=value``; raises ConfigError."""
        kinds = {field.name: field.type for field in fields(cls)}
        found: dict[str, float] = {}
        for item in text.split(","):
            name, _, value = (part.strip() for part in item.partition("="))
            if name not in kinds:
                raise ConfigError(f"faults: unknown fault {name!r}, allowed {', '.join(f'{k}=N' for k in kinds)}")
            try:
                found[name] = float(value) if kinds[name] == "float" else int(value)
            except ValueError:
                raise ConfigError(f"faults: {name}={value!r} is not a number") from None
        return cls(**found)  # type: ignore[arg-type]


class FaultyLine:
    """A :class:`Transport` over a line with faults.

    Parameters
    ----------
    connect : callable
        Makes the transport to the device; called again after a loss of power, which a model survives no other way.
    faults : Faults
        What goes wrong.

    Attributes
    ----------
    disconnections, samples : int
        So far.
    """

    def __init__(self, connect: Callable[[], Transport], faults: Faults) -> None:
        self._connect, self._faults = connect, faults
        self._rng = np.random.default_rng(faults.seed)
        self._device = connect()
        self._to_device, self._to_host = b"", b""
        self._down = self._falling = False
        self._last_sample = b""
        self.samples = self.disconnections = 0

    # -- transport ----------------------------------------------------------------------------------------------------
    def send(self, data: bytes) -> None:
        """Send bytes, or what is left of them."""
        self._check()
        falls = self._begins_sample(data) and self._faults.disconnect and self.samples % self._faults.disconnect == 0
        sent, self._to_device = self._to_device + self._damaged(data), b""
        if falls and self._rng.random() < 0.5:
            self._device.send(sent[: int(self._rng.integers(len(sent) + 1))])
            self._fall()
        self._falling = self._falling or bool(falls)
        if self._chance(self._faults.delay):
            self._to_device = sent
        elif self._chance(self._faults.split) and len(sent) > 1:
            at = int(self._rng.integers(1, len(sent)))
            self._device.send(sent[:at])
            self._device.send(sent[at:])
        else:
            self._device.send(sent)

    def receive(self, timeout: float) -> bytes:
        """Bytes that came, or what is left of them."""
        self._check()
        if self._falling:
            self._fall()
        if self._to_host:
            arrived, self._to_host = self._to_host, b""
            return arrived
        arrived = self._damaged(self._device.receive(timeout))
        if self._chance(self._faults.delay):
            self._to_host, arrived = arrived, b""
        elif self._chance(self._faults.split) and len(arrived) > 1:
            at = int(self._rng.integers(1, len(arrived)))
            arrived, self._to_host = arrived[:at], arrived[at:]
        return arrived

    def close(self) -> None:
        """Release the device."""
        self._device.close()

    def reopen(self) -> Transport:
        """Plug the cable in again; DeviceError if the device is not there yet."""
        if self._chance(_NOT_YET):
            raise DeviceError("not there yet")
        if self._down and self._faults.power and self.disconnections % self._faults.power == 0:
            self._device.close()
            self._device = self._connect()
        elif self._chance(0.5):
            self._device.receive(0.0)  # what it sent meanwhile is lost; else it comes now, late
        self._down = False
        return self

    # -- faults -------------------------------------------------------------------------------------------------------
    def _check(self) -> None:
        if self._down:
            raise ConnectionLost("the cable has fallen out")

    def _fall(self) -> None:
        self._down, self._falling = True, False
        self._to_device = self._to_host = b""
        self.disconnections += 1
        self._check()

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    def _damaged(self, data: bytes) -> bytes:
        f = self._faults
        if not data or not f.flip + f.drop + f.duplicate + f.cut:
            return data
        out = bytearray()
        for byte, chance in zip(data, self._rng.random(len(data)).tolist(), strict=True):
            if chance < f.flip:
                out.append(byte ^ 1 << int(self._rng.integers(8)))
            elif chance >= f.flip + f.drop:
                out += bytes([byte]) * (2 if chance < f.flip + f.drop + f.duplicate else 1)
        if out and self._chance(f.cut):
            del out[int(self._rng.integers(len(out))) :]
        return bytes(out)

    def _begins_sample(self, data: bytes) -> bool:
        """Whether these bytes of the host are the first request of a sample; counts it once."""
        try:
            frame = cobs.decode(data.strip(bytes([DELIMITER])))
            request = unpack_request(frame)
        except (cobs.DecodeError, FrameError):
            return False
        if request.opcode not in (Opcode.RUN, Opcode.STREAM) or frame == self._last_sample:
            return False
        if not RUN_HEADER.unpack_from(request.payload)[0] & RunFlag.RESET:
            return False
        self._last_sample = frame
        self.samples += 1
        return True
