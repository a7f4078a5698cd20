"""The golden model behind the wire protocol: the same bytes in and out as a board, executed by :class:`GoldenCore`."""

from __future__ import annotations

import numpy as np
from cobs import cobs

from solsa.contract import NetworkConfig, Readout, Space
from solsa.contract.wire import (
    CRC_BYTES,
    DELIMITER,
    INFO_WORDS,
    NAK,
    REFUSED,
    REPLY_HEADER,
    RUN_HEADER,
    SPACE_HEADER,
    FrameError,
    Opcode,
    Reply,
    Request,
    RunFlag,
    Status,
    follows,
    pack_reply,
    unpack_request,
)

from .golden_memory import GoldenMemory
from .words import Ints, pack_words, truncate, unpack_words

_END = bytes([DELIMITER])
_ALL_FLAGS = RunFlag.RESET | RunFlag.LEARN | RunFlag.ADAPT | RunFlag.LAST
_READ_BYTES = SPACE_HEADER.size + 1

#: Status, and the payload of the reply (empty unless OK).
Answer = tuple[Status, bytes]


class GoldenDevice:
    """A device made of the golden model; a :class:`Transport`.

    Parameters
    ----------
    config : NetworkConfig
        Configuration of the device.
    """

    #: The golden model counts no clocks: its CYCLES registers read 0.
    cycles = 0
    #: It has executed a request before the next one can be sent.
    immediate = True

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self.memory = GoldenMemory(config)
        self._incoming = b""
        self._outgoing = bytearray()
        self._sequence = 0
        self._stored = b""
        #: Replies to STREAM by slot.
        self._kept: dict[int, bytes] = {}

    # -- transport ----------------------------------------------------------------------------------------------------
    def send(self, data: bytes) -> None:
        """Take bytes; every complete frame is executed at once."""
        *frames, rest = (self._incoming + data).split(_END)
        # An endless frame need not be kept: one that is too long to be taken stays so.
        self._incoming = rest[: 2 * self.config.frame_bytes]
        for frame in frames:
            if frame:
                self._outgoing += cobs.encode(self._reply(frame)) + _END

    def receive(self, timeout: float) -> bytes:
        """Take the replies so far; never waits."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def close(self) -> None:
        """Nothing to release."""

    # -- frames -------------------------------------------------------------------------------------------------------
    def _reply(self, encoded: bytes) -> bytes:
        try:
            frame = cobs.decode(encoded)
            if len(frame) > self.config.frame_bytes:
                return NAK
            request = unpack_request(frame)
        except (cobs.DecodeError, FrameError):
            return NAK
        sequence, slots = request.sequence, self.config.reply_slots
        if sequence != 0 and sequence == self._sequence:
            return self._stored
        streams = slots > 0 and request.opcode == Opcode.STREAM
        if streams and not follows(sequence, self._sequence):
            near = sequence != 0 and (self._sequence - sequence) % 256 < slots
            return self._kept.get(sequence % slots, REFUSED) if near else REFUSED
        status, payload = self._execute(request)
        self._stored = pack_reply(Reply(sequence, request.opcode, status, payload))
        self._sequence = sequence
        if streams:
            self._kept[sequence % slots] = self._stored
        else:
            self._kept.clear()
        return self._stored

    def _execute(self, request: Request) -> Answer:
        opcode, payload = request.opcode, request.payload
        if opcode == Opcode.INFO:
            return self._info(payload)
        if opcode in (Opcode.READ, Opcode.STATE):
            return self._read(payload, registers_only=opcode == Opcode.READ)
        if opcode in (Opcode.WRITE, Opcode.LOAD):
            return self._write(payload, registers_only=opcode == Opcode.WRITE)
        if opcode in (Opcode.STEP, Opcode.RUN) or (opcode == Opcode.STREAM and self.config.stream):
            return self._run(payload, single=opcode == Opcode.STEP)
        return Status.BAD_OPCODE, b""

    def _info(self, payload: bytes) -> Answer:
        if payload:
            return Status.BAD_LENGTH, b""
        return Status.OK, pack_words(self.memory.read(Space.REGISTER, 0, INFO_WORDS))

    def _read(self, payload: bytes, *, registers_only: bool) -> Answer:
        if len(payload) != _READ_BYTES:
            return Status.BAD_LENGTH, b""
        space, index, count = payload[0], int.from_bytes(payload[1:4], "little"), payload[4]
        if count < 1 or 4 * count + REPLY_HEADER + CRC_BYTES > self.config.frame_bytes:
            return Status.BAD_LENGTH, b""
        if registers_only and space != Space.REGISTER:
            return Status.BAD_ADDRESS, b""
        status = self.memory.refuse_read(space, index, count)
        if status is not Status.OK:
            return status, b""
        return Status.OK, pack_words(self.memory.read(Space(space), index, count))

    def _write(self, payload: bytes, *, registers_only: bool) -> Answer:
        body = len(payload) - SPACE_HEADER.size
        if body < 4 or body % 4:
            return Status.BAD_LENGTH, b""
        space, index = payload[0], int.from_bytes(payload[1:4], "little")
        if space == Space.REGISTER and body != 4:
            return Status.BAD_LENGTH, b""
        if registers_only and space != Space.REGISTER:
            return Status.BAD_ADDRESS, b""
        words = unpack_words(payload[SPACE_HEADER.size :])
        status = self.memory.refuse_write(space, index, words)
        if status is Status.OK:
            self.memory.write(Space(space), index, words)
        return status, b""

    def _run(self, payload: bytes, *, single: bool) -> Answer:
        c = self.config
        if len(payload) < RUN_HEADER.size:
            return Status.BAD_LENGTH, b""
        flags, label, steps = RUN_HEADER.unpack_from(payload)
        if steps < 1 or (single and steps != 1) or len(payload) != RUN_HEADER.size + steps * c.step_bytes:
            return Status.BAD_LENGTH, b""
        labelled = bool(flags & RunFlag.LEARN) and c.readout is not Readout.TARGET
        if flags > _ALL_FLAGS or (labelled and label >= c.outputs):
            return Status.BAD_VALUE, b""
        core = self.memory.core
        if flags & RunFlag.RESET:
            core.reset_sample()
        inputs, targets = self._steps(payload[RUN_HEADER.size :], steps)
        learn, adapt = bool(flags & RunFlag.LEARN), bool(flags & RunFlag.ADAPT)
        for t in range(steps):
            target = targets[t] if targets is not None else None
            core.step(inputs[t], label=label, target=target, learn=learn, adapt=adapt, trace=False)
        score = core.state.score
        if single:
            return Status.OK, pack_words(np.concatenate([core.state.layers[-1].membrane, score]))
        return Status.OK, pack_words(score) if flags & RunFlag.LAST else b""

    def _steps(self, data: bytes, steps: int) -> tuple[Ints, Ints | None]:
        """Inputs [steps, N] and targets [steps, M] (None unless that readout) of a RUN request."""
        c = self.config
        rows = np.frombuffer(data, dtype=np.uint8).reshape(steps, c.step_bytes)
        inputs = truncate(rows[:, : c.inputs].astype(np.int64), c.formats.input)
        if c.readout is not Readout.TARGET:
            return inputs, None
        words = np.ascontiguousarray(rows[:, c.inputs :]).view("<u2").astype(np.int64)
        return inputs, truncate(words, c.formats.target)
