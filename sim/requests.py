"""Random requests, right, wrong and damaged, for device and golden device: the replies must be the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from cobs import cobs

from solsa.contract import NetworkConfig, Register, Space
from solsa.contract.registers import register_map, space_words
from solsa.contract.wire import (
    DELIMITER,
    NAK,
    PLAIN,
    RUN_HEADER,
    FrameError,
    Opcode,
    Reply,
    Request,
    RunFlag,
    Status,
    max_steps,
    max_words,
    pack_reply,
    pack_request,
    space_header,
    unpack_reply,
    unpack_request,
)

_END = bytes([DELIMITER])
#: How a frame may be damaged; names of the coverage points link.BAD_CRC.*.
_DAMAGES = ("damaged", "short", "long", "cobs")
_OPCODES = (*PLAIN, Opcode.WRITE, Opcode.LOAD, Opcode.STEP, Opcode.RUN, Opcode.STATE)


class ByteDevice(Protocol):
    """What takes bytes and answers them."""

    def send(self, data: bytes) -> None:
        """Send all bytes."""

    def receive(self, timeout: float) -> bytes:
        """Bytes of a reply."""

    def close(self) -> None:
        """Release the device."""


#: Makes the reference, the golden model behind the same frames (host/golden_device.py; sim imports no host).
MakeReference = Callable[[NetworkConfig], ByteDevice]


@dataclass
class Traffic:
    """Sends the same random requests to two devices.

    Parameters
    ----------
    config : NetworkConfig
        Of both.
    reference, device : ByteDevice
        Golden model and what is checked.
    rng : Generator
        Draws the requests.

    Attributes
    ----------
    counts : Counter
        Coverage points of the link.
    requests, compared : int
        Requests sent, and bytes of replies compared, so far.
    """

    config: NetworkConfig
    reference: ByteDevice
    device: ByteDevice
    rng: np.random.Generator
    counts: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    compared: int = 0
    _sequence: int = 0
    _last: bytes = b""
    _executed: int = 0

    def run(self, count: int) -> str | None:
        """Send ``count`` frames; returns the first reply that differs, in one line."""
        for _ in range(count):
            frame, damage = self._frame()
            empty = self.rng.random() < 0.05
            sent = (_END if empty else b"") + frame
            self.reference.send(sent)
            self.device.send(sent)
            expected, got = self.reference.receive(1.0), self.device.receive(1.0)
            number, self.requests = self.requests, self.requests + 1
            if not _same(expected, got):
                return f"request {number} {frame.hex(' ')}: expected {expected.hex(' ')}, got {got.hex(' ')}"
            self.compared += len(got)
            self.counts["link.empty_frame"] += empty
            self._count(frame, damage, unpack_reply(cobs.decode(got[:-1])))
        return None

    # -- frames -------------------------------------------------------------------------------------------------------
    def _frame(self) -> tuple[bytes, str | None]:
        """An encoded frame with its delimiter, and how it was damaged."""
        rng = self.rng
        if self._last and rng.random() < 0.03:
            return self._last, None
        body = self._request()
        damage = str(rng.choice(_DAMAGES)) if rng.random() < 0.06 else None
        if damage == "damaged":
            at, bit = int(rng.integers(len(body))), int(rng.integers(8))
            body = body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
        elif damage == "short":
            body = bytes(rng.integers(0, 256, int(rng.integers(1, 6))).astype(np.uint8))
        elif damage == "long":
            body = pack_request(Request(1, Opcode.LOAD, bytes(self.config.frame_bytes + int(rng.integers(9)) - 5)))
        encoded = cobs.encode(body)
        if damage == "cobs":  # a delimiter inside a block
            encoded = bytes([int(rng.integers(len(encoded) + 1, 256))]) + encoded[1:] if len(encoded) < 254 else b"\2"
        if damage is None:
            self._last = encoded + _END
        return encoded + _END, damage

    def _request(self) -> bytes:
        rng = self.rng
        if rng.random() >= 0.03:  # else the sequence number of the last request
            self._sequence = 0 if rng.random() < 0.03 else self._sequence % 255 + 1
        opcode = int(rng.choice(_OPCODES)) if rng.random() < 0.97 else int(rng.choice([0, 8, 9, 127, 128, 200, 255]))
        if opcode in (Opcode.READ, Opcode.STATE):
            payload = self._read(opcode == Opcode.READ)
        elif opcode in (Opcode.WRITE, Opcode.LOAD):
            payload = self._write(opcode == Opcode.WRITE)
        elif opcode in (Opcode.STEP, Opcode.RUN):
            payload = self._run(opcode == Opcode.STEP)
        else:
            payload = b""
        if rng.random() < 0.04:
            payload = payload[:-1] if payload and rng.random() < 0.5 else payload + b"\1"
        return pack_request(Request(self._sequence, opcode, payload))

    def _place(self, registers_only: bool) -> tuple[int, int]:
        """(space, index), mostly inside."""
        rng = self.rng
        space = 0 if registers_only and rng.random() < 0.95 else int(rng.integers(0, 9))
        if space == Space.REGISTER and rng.random() < 0.8:
            return space, int(rng.choice(list(register_map(self.config))))
        words = space_words(self.config).get(Space(space), 3) if space < 8 else 3
        return space, int(rng.integers(words + 2)) if rng.random() < 0.97 else int(rng.integers(1 << 24))

    def _read(self, registers_only: bool) -> bytes:
        (space, index), rng = self._place(registers_only), self.rng
        count = int(rng.integers(0, max_words(self.config.frame_bytes) + 2)) if rng.random() < 0.3 else 1
        if space == Space.REGISTER and index <= Register.CYCLES_HIGH < index + count:
            index = Register.FRESH  # the golden model has no clock counter
        elif space == Space.REGISTER and index in (Register.CYCLES_LOW, Register.CYCLES_HIGH):
            index = Register.FRESH
        elif space == Space.REGISTER and index < Register.CYCLES_LOW < index + count:
            count = 1
        return space_header(space, index) + bytes([count])

    def _write(self, registers_only: bool) -> bytes:
        (space, index), rng = self._place(registers_only), self.rng
        count = 1
        if space != Space.REGISTER or rng.random() < 0.05:
            count = int(rng.integers(0, max_words(self.config.frame_bytes) + 1)) if rng.random() < 0.3 else 1
        words = rng.integers(-4000, 4000, count) if rng.random() < 0.7 else rng.integers(-(1 << 31), 1 << 31, count)
        if space == Space.SCHEDULE:
            words &= 1
        return space_header(space, index) + words.astype("<i4").tobytes()

    def _run(self, single: bool) -> bytes:
        rng, c = self.rng, self.config
        steps = 1 if single else min(int(rng.integers(1, 6)), max_steps(c.frame_bytes, c.step_bytes))
        flags = int(rng.integers(16)) if rng.random() < 0.97 else int(rng.integers(16, 256))
        label = int(rng.integers(c.outputs)) if rng.random() < 0.95 else int(rng.integers(1 << 16))
        data = rng.integers(0, 256, steps * c.step_bytes).astype(np.uint8).tobytes()
        claimed = steps if rng.random() < 0.97 else int(rng.choice([0, steps + 1, 0xFFFF]))
        return RUN_HEADER.pack(flags, label, claimed) + data

    # -- coverage -----------------------------------------------------------------------------------------------------
    def _count(self, frame: bytes, damage: str | None, reply: Reply) -> None:
        if damage is not None:
            # A damaged frame may by chance be a right one: only the reply tells.
            self.counts[f"link.BAD_CRC.{damage}"] += reply.status == Status.BAD_CRC
            if reply.status == Status.BAD_CRC:
                return
        if reply.status == Status.BAD_CRC:
            self.counts["link.BAD_CRC.long"] += 1
            return
        request = unpack_request(cobs.decode(frame[:-1]))
        if request.sequence == 0:
            self.counts["link.sequence_zero"] += 1
        elif request.sequence == self._executed:
            self.counts["link.repeated_request"] += 1
            return
        self._executed = request.sequence
        status = Status(reply.status)
        if request.opcode not in PLAIN:
            self.counts[f"link.unknown.{status.name}"] += 1
            return
        opcode = Opcode(request.opcode)
        self.counts[f"link.{opcode.name}.{status.name}"] += 1
        if status is not Status.OK or opcode is Opcode.INFO:
            return
        if opcode in (Opcode.STEP, Opcode.RUN):
            for flag in RunFlag:
                self.counts[f"link.flag.{flag.name}"] += bool(request.payload[0] & flag)
        else:
            way = "read" if opcode in (Opcode.READ, Opcode.STATE) else "write"
            self.counts[f"link.{way}.{Space(request.payload[0]).name}"] += 1


def _same(expected: bytes, got: bytes) -> bool:
    """Whether two replies are the same bytes, but for the clock counter."""
    if expected == got:
        return True
    try:
        return _without_clocks(expected) == _without_clocks(got)
    except (cobs.DecodeError, FrameError):
        return False


def _without_clocks(frame: bytes) -> bytes:
    """Reply without the clock counter, which only INFO reads and the golden model does not have."""
    if not frame:
        return frame
    body = cobs.decode(frame[:-1])
    if body == NAK:
        return body
    reply = unpack_reply(body)
    if reply.opcode != Opcode.INFO or reply.status != Status.OK:
        return body
    low, high = 4 * Register.CYCLES_LOW, 4 * (Register.CYCLES_HIGH + 1)
    payload = reply.payload[:low] + bytes(high - low) + reply.payload[high:]
    return pack_reply(Reply(reply.sequence, reply.opcode, reply.status, payload))
