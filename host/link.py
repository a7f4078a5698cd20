"""Requests and replies over a transport: framing, sequence numbers, time-outs, bounded retries, reconnection.

A serial line loses, changes and repeats bytes, and may be gone for a while, but no byte overtakes another. Frames with
a CRC and a number are then all it takes: a request is sent until its own reply arrives, and executed once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from cobs import cobs

from solsa.contract.wire import (
    CRC_BYTES,
    DELIMITER,
    REPLY_HEADER,
    STATUS_TEXT,
    FrameError,
    Opcode,
    Reply,
    Request,
    Status,
    pack_request,
    unpack_reply,
)

from .expected import Expected
from .stream import LONGEST_BUFFER, Flight
from .transport import ConnectionLost, DeviceError, Transport

_END = bytes([DELIMITER])
#: Answered by nothing at all this often, a device counts as silent; with anything else than its reply, as unreachable.
ATTEMPTS = 3
MOST_ATTEMPTS = 300
#: Connections that one request may use up.
RECONNECTS = 5
#: Seconds to wait for a lost device to come back, and between two looks for it.
PATIENCE = 60.0
PAUSE = 0.5
#: Share of the past that the estimate of the line keeps with every request.
_MEMORY = 0.998
#: Bytes of a frame that are worth sending on the worst line.
_SHORTEST = 32


class Refused(DeviceError):
    """The device has answered a request with an error."""


class Link:
    """One session with a device.

    A request that stays unanswered, or whose reply is damaged, is sent again under the same sequence number: the
    device then repeats its stored reply and executes nothing twice. The same holds for a request under way when the
    connection was lost; once answered, the device is asked whether it holds what it must.

    Parameters
    ----------
    transport : Transport
        Where the bytes go.
    name : str
        Name of the device in error messages.
    timeout : float
        Seconds to wait for a reply before the request is sent again.
    reopen : callable, optional
        Releases what is left of a lost transport and opens it anew; without it a lost connection is final.
    patience, pause : float
        Seconds to wait for a lost device, and between two attempts.
    say : callable, optional
        Called with a line when the connection is lost.
    """

    def __init__(
        self,
        transport: Transport,
        name: str,
        timeout: float,
        *,
        reopen: Callable[[], Transport] | None = None,
        patience: float = PATIENCE,
        pause: float = PAUSE,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._transport = transport
        self._name = name
        self._timeout = timeout
        self._reopen, self._patience, self._pause, self._say = reopen, patience, pause, say
        self._sequence = 0
        self._buffer = b""
        self._expected = Expected(b"")
        # Only a device that has answered once is waited for.
        self._answered = False
        #: Words of the device's schedule table.
        self.table = 1 << 24
        #: Requests that had to be sent again, and connections that had to be opened again, over the whole session.
        self.retries = 0
        self.reconnects = 0
        # Failed transfers and bytes of the last ones.
        self._failures, self._bytes = 0.0, 0.0
        #: Requests that travel ahead of their replies.
        self.flight = Flight(self)

    @property
    def frame_bytes(self) -> int:
        """Longest frame that is worth sending: half of the mean distance of two failures so far."""
        return max(_SHORTEST, round(self._bytes / self._failures / 2)) if self._failures > 0.5 else 1 << 30

    def start(self) -> bytes:
        """Begin a session; returns the payload of the reply to INFO."""
        self._sequence = 0
        with suppress(ConnectionLost):  # the request will meet it again
            self._transport.send(_END)  # ends what an earlier program may have left half sent
        info = self._exchange(Request(0, Opcode.INFO, b""))
        self._expected = Expected(info, self.table)
        return info

    def request(self, opcode: Opcode, payload: bytes) -> bytes:
        """Execute one request and return the payload of its reply.

        Raises
        ------
        Refused
            If the device refuses the request.
        StateLost
            If the device was away, and has come back without its state.
        DeviceError
            If the device does not answer, or is gone.
        """
        self.flight.settle()
        before = self.reconnects
        try:
            reply = self._numbered(opcode, payload)
        except Refused:
            self._check_since(before)  # what a device without its state refuses is no mistake of the request
            raise
        self._expected.note(opcode, payload)
        self._check_since(before)
        return reply

    def close(self) -> None:
        """Release the transport."""
        self._transport.close()

    @property
    def transport(self) -> Transport:
        """Where the bytes go now."""
        return self._transport

    def _check_since(self, before: int) -> None:
        """If the connection was lost since then, see whether the device holds what it must."""
        while self.reconnects != before:
            before = self.reconnects
            self._expected.check(self._numbered, self._name)

    def _numbered(self, opcode: Opcode, payload: bytes) -> bytes:
        self._sequence = self._sequence % 255 + 1
        return self._exchange(Request(self._sequence, opcode, payload))

    def _exchange(self, request: Request) -> bytes:
        return self._accepted(request, self._reply(request))

    def _accepted(self, request: Request, reply: Reply) -> bytes:
        """Payload of a reply; Refused if it is an error."""
        if reply.status != Status.OK:
            unknown = f"status {reply.status}, which is not known"
            text = next((text for status, text in STATUS_TEXT.items() if status == reply.status), unknown)
            raise Refused(f"device {self._name} refused {_name(request.opcode)}: {text}")
        return reply.payload

    def _reply(self, request: Request) -> Reply:
        """Reply to a request, over as many connections as it may take."""
        frame = cobs.encode(pack_request(request)) + _END
        lost = 0
        while True:
            try:
                reply = self._attempts(request, frame)
                break
            except ConnectionLost as error:
                lost += 1
                if self._reopen is None or not self._answered:
                    raise DeviceError(str(error)) from None
                if lost > RECONNECTS:
                    raise DeviceError(f"{error}; given up after {RECONNECTS} connections") from None
                self._connect(error)
        self._answered = True
        return reply

    def _count(self, sent: int) -> None:
        """Take a transfer into the estimate of the line."""
        self._bytes = self._bytes * _MEMORY + sent
        self._failures *= _MEMORY

    def _attempts(self, request: Request, frame: bytes) -> Reply:
        """Send a frame until its reply comes; ConnectionLost if it does not."""
        silent = 0
        self._count(0)
        # After a fault the line is ended first as well, and only after a fault a request of a stream gets here.
        spoiled = request.opcode == Opcode.STREAM
        for attempt in range(MOST_ATTEMPTS):
            self.retries += attempt > 0
            # Whatever the device has got of a frame whose end was lost must not become the begin of this one.
            self._transport.send(_END + frame if attempt or spoiled else frame)
            reply, heard = self._await(request)
            self._bytes += len(frame) + (len(reply.payload) + REPLY_HEADER + CRC_BYTES + 2 if reply else 0)
            if reply is not None:
                return reply
            self._failures += 1
            silent = 0 if heard else silent + 1
            if silent == ATTEMPTS:
                raise ConnectionLost(
                    f"device {self._name} does not answer {_name(request.opcode)}: "
                    f"sent {ATTEMPTS} times, waited {self._timeout:g} s each"
                )
        raise ConnectionLost(
            f"device {self._name} cannot be understood: {_name(request.opcode)} was sent {MOST_ATTEMPTS} times, "
            "and only damaged frames came back"
        )

    def _connect(self, reason: ConnectionLost) -> None:
        """Open the transport again; DeviceError if it does not come back in time."""
        assert self._reopen is not None
        self._say(f"{reason}; waiting up to {self._patience:g} s for it to come back")
        self._buffer = b""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._transport = self._reopen()
                self._transport.send(_END)
                break
            except DeviceError as error:
                if time.monotonic() > deadline:
                    raise DeviceError(f"{reason}; it did not come back ({error})") from None
                time.sleep(self._pause)
        self.reconnects += 1

    def _await(self, request: Request) -> tuple[Reply | None, bool]:
        """Reply to this request, or None after a time-out or a damaged frame; whether anything arrived at all."""
        deadline = time.monotonic() + self._timeout
        heard = damaged = False
        while (left := deadline - time.monotonic()) > 0:
            frame, end, rest = self._buffer.partition(_END)
            if not end:
                # After a damaged frame only what has arrived already is looked through: waiting would not bring more.
                arrived = b"" if damaged or len(self._buffer) > LONGEST_BUFFER else self._transport.receive(left)
                if not arrived:
                    break
                heard = True
                self._buffer += arrived
                continue
            self._buffer = rest
            if not frame:
                continue
            try:
                reply = unpack_reply(cobs.decode(frame))
            except (cobs.DecodeError, FrameError):
                damaged = True
                continue
            if (reply.sequence, reply.opcode) == (request.sequence, request.opcode):
                return reply, True
            if (reply.status, request.opcode) == (Status.BAD_SEQUENCE, Opcode.STREAM):
                return reply, True
            damaged = damaged or reply.status == Status.BAD_CRC
            # Else a late reply to an earlier request: read on.
        self._buffer = b""
        return None, heard


def _name(opcode: int) -> str:
    return Opcode(opcode).name
