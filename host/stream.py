"""Requests under way: STREAM requests that travel ahead of their replies (option ``stream``, contract/wire.py).

The device executes them in order or not at all and keeps its last replies, so whatever the line loses can be asked for
again: what has no reply when something went wrong is sent once more, one by one and in order, as any request is.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cobs import cobs

from solsa.contract.wire import (
    CRC_BYTES,
    DELIMITER,
    REQUEST_HEADER,
    FrameError,
    Opcode,
    Reply,
    Request,
    Status,
    pack_request,
    unpack_reply,
)

from .expected import StateLost
from .transport import ConnectionLost, DeviceError

if TYPE_CHECKING:
    from .link import Link

_END = bytes([DELIMITER])
#: Seconds without a byte after which nothing is on its way any more: an adapter may hold bytes back for 16 ms.
QUIET = 0.05
#: How often a request must be out of order, with nothing else on the line, until the device counts as reset.
REFUSALS = 3
#: Bytes after which a line that does not fall silent is not listened to any longer.
LONGEST_BUFFER = 1 << 17


@dataclass(eq=False)
class _Posted:
    """A request under way, or answered and not yet taken."""

    request: Request
    size: int
    reply: Reply | None = None
    noted: bool = False


class Flight:
    """The requests under way of one link.

    Parameters
    ----------
    link : Link
        Its numbers, buffer and retries are used.

    Attributes
    ----------
    window, bytes : int
        Requests that may be under way, and bytes of them.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._posted: deque[_Posted] = deque()
        self._waiting = self._waiting_bytes = 0
        self._dropped = False
        self.window = self.bytes = 0

    def fits(self, payload: bytes) -> bool:
        """Whether a request can be sent before another reply."""
        if self._dropped:
            self.settle()
        size = len(payload) + REQUEST_HEADER + CRC_BYTES
        return self._waiting == 0 or (self._waiting < self.window and self._waiting_bytes + size <= self.bytes)

    def post(self, payload: bytes) -> None:
        """Send a request; only if it :meth:`fits`."""
        link = self._link
        link._sequence = link._sequence % 255 + 1
        request = Request(link._sequence, Opcode.STREAM, payload)
        body = pack_request(request)
        self._posted.append(_Posted(request, len(body)))
        self._waiting += 1
        self._waiting_bytes += len(body)
        frame = cobs.encode(body) + _END
        link._count(len(frame))
        try:
            link._transport.send(frame)
        except ConnectionLost:
            self._recover()

    def take(self) -> bytes:
        """Payload of the reply to the oldest request that was not taken.

        Raises
        ------
        Refused, StateLost, DeviceError
            As :meth:`Link.request`.
        """
        while self._posted[0].reply is None:
            self._listen()
        posted = self._posted.popleft()
        assert posted.reply is not None
        return self._link._accepted(posted.request, posted.reply)

    def settle(self) -> None:
        """Wait until nothing is under way: replies that were not taken stay, unless they were dropped."""
        while self._waiting:
            self._listen()
        if self._dropped:
            self._forget()

    def drop(self) -> None:
        """Nobody takes the replies any more; what is under way is waited for before the next request."""
        self._dropped = bool(self._posted)

    def _forget(self) -> None:
        self._posted.clear()
        self._waiting = self._waiting_bytes = 0
        self._dropped = False

    # -- replies ------------------------------------------------------------------------------------------------------
    def _listen(self) -> None:
        """Take a frame; if it is not the next reply, or none comes, ask for what is missing."""
        link = self._link
        deadline = time.monotonic() + link._timeout
        try:
            while _END not in link._buffer:
                left = deadline - time.monotonic()
                listening = left > 0 and len(link._buffer) <= LONGEST_BUFFER
                arrived = link._transport.receive(left) if listening else b""
                if not arrived:
                    self._recover()
                    return
                link._buffer += arrived
        except ConnectionLost:
            self._recover()
            return
        if not self._frames(orderly=True):
            self._recover()

    def _frames(self, *, orderly: bool = False) -> bool:
        """Take the whole frames that have arrived; False at the first that is not the next reply, if asked for."""
        link = self._link
        while True:
            frame, end, rest = link._buffer.partition(_END)
            if not end:
                return True
            link._buffer = rest
            if not frame:
                continue
            try:
                reply = unpack_reply(cobs.decode(frame))
            except (cobs.DecodeError, FrameError):
                reply = Reply(0, 0, Status.BAD_CRC, b"")
            missing = [posted for posted in self._posted if posted.reply is None]
            found = [p for p in missing if (p.request.sequence, p.request.opcode) == (reply.sequence, reply.opcode)]
            if found:
                self._answered(found[0], reply)
                link._bytes += len(frame)
            # An earlier reply that comes twice means nothing.
            if orderly and (found[:1] != missing[:1] if found else reply.opcode == 0):
                return False

    def _answered(self, posted: _Posted, reply: Reply) -> None:
        posted.reply = reply
        self._waiting -= 1
        self._waiting_bytes -= posted.size
        for each in self._posted:
            if each.reply is None:
                break
            if not each.noted and each.reply.status == Status.OK:
                self._link._expected.note(each.request.opcode, each.request.payload)
            each.noted = True

    # -- faults -------------------------------------------------------------------------------------------------------
    def _recover(self) -> None:
        """Ask again for every reply that is missing, and let the device tell whether it holds what it must."""
        link = self._link
        link._failures += 1
        before = link.reconnects
        try:
            self._drain()
            for posted in list(self._posted):
                if posted.reply is None:
                    link.retries += 1
                    self._answered(posted, self._again(posted.request))
            link._check_since(before)
        except DeviceError:
            self._forget()
            raise

    def _drain(self) -> None:
        """Read until nothing comes any more."""
        link, heard = self._link, 0
        self._frames()
        with suppress(ConnectionLost):
            while heard < LONGEST_BUFFER and (arrived := link._transport.receive(min(QUIET, link._timeout))):
                link._buffer += arrived
                heard += len(arrived)
                self._frames()
        link._buffer = b""

    def _again(self, request: Request) -> Reply:
        """Send a request until its reply comes; StateLost if the device takes it for out of order."""
        link = self._link
        for _ in range(REFUSALS):
            reply = link._reply(request)
            if reply.status != Status.BAD_SEQUENCE:
                return reply
            self._drain()
        self._forget()
        link._expected.check(link._numbered, link._name)
        raise StateLost(f"device {link._name} has lost its place: request {request.sequence} is out of order")
