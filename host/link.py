"""Requests and replies over a transport: framing, sequence numbers, time-outs, bounded retries."""

from __future__ import annotations

import time

from cobs import cobs

from solsa.contract.wire import (
    DELIMITER,
    STATUS_TEXT,
    FrameError,
    Opcode,
    Reply,
    Request,
    Status,
    pack_request,
    unpack_reply,
)

from .transport import DeviceError, Transport

_END = bytes([DELIMITER])
#: A frame is sent this often before the device counts as silent.
ATTEMPTS = 3


class Link:
    """One session with a device.

    A request that stays unanswered, or whose reply is damaged, is sent again under the same sequence number: the
    device then repeats its stored reply and executes nothing twice.

    Parameters
    ----------
    transport : Transport
        Where the bytes go.
    name : str
        Name of the device in error messages.
    timeout : float
        Seconds to wait for a reply before the request is sent again.
    """

    def __init__(self, transport: Transport, name: str, timeout: float) -> None:
        self._transport = transport
        self._name = name
        self._timeout = timeout
        self._sequence = 0
        self._buffer = b""
        #: Requests that had to be sent again, over the whole session.
        self.retries = 0

    def start(self) -> bytes:
        """Begin a session; returns the payload of the reply to INFO."""
        self._sequence = 0
        self._transport.send(_END)  # ends what an earlier program may have left half sent
        return self._exchange(Request(0, Opcode.INFO, b""))

    def request(self, opcode: Opcode, payload: bytes) -> bytes:
        """Execute one request and return the payload of its reply.

        Raises
        ------
        DeviceError
            If the device refuses the request or does not answer.
        """
        self._sequence = self._sequence % 255 + 1
        return self._exchange(Request(self._sequence, opcode, payload))

    def close(self) -> None:
        """Release the transport."""
        self._transport.close()

    def _exchange(self, request: Request) -> bytes:
        frame = cobs.encode(pack_request(request)) + _END
        for attempt in range(ATTEMPTS):
            self.retries += attempt > 0
            self._transport.send(frame)
            reply = self._await(request)
            if reply is None:
                continue
            if reply.status != Status.OK:
                unknown = f"status {reply.status}, which is not known"
                text = next((text for status, text in STATUS_TEXT.items() if status == reply.status), unknown)
                raise DeviceError(f"device {self._name} refused {_name(request.opcode)}: {text}")
            return reply.payload
        raise DeviceError(
            f"device {self._name} does not answer {_name(request.opcode)}: "
            f"sent {ATTEMPTS} times, waited {self._timeout:g} s each"
        )

    def _await(self, request: Request) -> Reply | None:
        """Reply to this request, or None after a time-out or a damaged frame."""
        deadline = time.monotonic() + self._timeout
        while (left := deadline - time.monotonic()) > 0:
            frame, end, rest = self._buffer.partition(_END)
            if not end:
                arrived = self._transport.receive(left)
                if not arrived:
                    break
                self._buffer += arrived
                continue
            self._buffer = rest
            if not frame:
                continue
            try:
                reply = unpack_reply(cobs.decode(frame))
            except (cobs.DecodeError, FrameError):
                break
            if (reply.sequence, reply.opcode) == (request.sequence, request.opcode):
                return reply
            if reply.status == Status.BAD_CRC:
                break
            # A late reply to an earlier request: read on.
        self._buffer = b""
        return None


def _name(opcode: int) -> str:
    return Opcode(opcode).name
