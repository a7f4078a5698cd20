"""Frames between host and device.

A frame is COBS-encoded and ends with a zero byte. Its body is::

    request:  sequence u8, opcode u8, payload, CRC-32 (little endian) of all before
    reply:    sequence u8, opcode | 0x80, status u8, payload, CRC-32 of all before

Rules of the device, in the order in which they are checked:

1. Two delimiters in a row are ignored. A frame that is too short, too long for the device, or whose CRC is wrong is
   answered with ``NAK`` (sequence 0, opcode 0, BAD_CRC); nothing else changes, the stored reply included.
2. A request whose sequence number is not 0 and equals that of the last request is not executed again: the stored
   reply is sent once more. Sequence number 0 starts a session and always executes.
3. Unknown opcode: BAD_OPCODE. Wrong payload length, or a count of words that is 0 or more than fits a reply:
   BAD_LENGTH. A space or words outside the device, a read-only address: BAD_ADDRESS. A refused value: BAD_VALUE. The
   state is untouched in all these cases: a request is checked whole before it is executed. A write to the REGISTER
   space therefore carries exactly one word.
4. Registers that do not exist read as 0 and cannot be written (BAD_ADDRESS).

With the option ``stream`` there is a request more, STREAM, of which a host may have several under way:

5. A STREAM is executed only in order: if its number follows that of the last request, which must not be 0 (255 is
   followed by 1). Replies to STREAM are kept in slots of their own until a request of another kind is executed or the
   slot is needed again; one whose reply is kept gets it once more. Any other is answered with ``REFUSED`` (sequence 0,
   opcode 0, BAD_SEQUENCE) and nothing changes.
6. Requests wait in a buffer of twice the largest frame. A host has at most :func:`window` of them under way, and no
   more bytes (bodies with CRC) than the buffer has; what does not fit is lost and answered as damaged.

All numbers are little endian.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum, IntFlag

DELIMITER = 0
CRC_BYTES = 4
REPLY_FLAG = 0x80
#: sequence and opcode
REQUEST_HEADER = 2
#: sequence, opcode and status
REPLY_HEADER = 3
#: CRC-32 of a body followed by its own CRC leaves this residue (ISO-HDLC, zlib).
CRC_RESIDUE = 0x2144DF1C


class Opcode(IntEnum):
    """Requests."""

    #: payload none; reply: the first INFO_WORDS registers.
    INFO = 1
    #: payload space u8 (REGISTER), index u24, count u8; reply: words.
    READ = 2
    #: payload space u8 (REGISTER), index u24, words.
    WRITE = 3
    #: payload space u8, index u24, words: network and tables into the device.
    LOAD = 4
    #: as RUN with one step; reply: membranes, then scores of the readout.
    STEP = 5
    #: payload flags u8, label u16, steps u16, data; reply after LAST: scores of the readout, else nothing.
    RUN = 6
    #: payload space u8, index u24, count u8; reply: words.
    STATE = 7
    #: as RUN, but only in order; several may be under way. Option ``stream``.
    STREAM = 8


#: Requests of a device without options.
PLAIN = tuple(opcode for opcode in Opcode if opcode is not Opcode.STREAM)


class Status(IntEnum):
    """Third byte of a reply."""

    OK = 0
    BAD_CRC = 1
    BAD_OPCODE = 2
    BAD_LENGTH = 3
    BAD_ADDRESS = 4
    BAD_VALUE = 5
    BAD_SEQUENCE = 6


STATUS_TEXT = {
    Status.OK: "done",
    Status.BAD_CRC: "frame damaged (CRC, or shorter than a frame can be)",
    Status.BAD_OPCODE: "opcode not known",
    Status.BAD_LENGTH: "payload length does not fit the request",
    Status.BAD_ADDRESS: "address outside the space, or not writable",
    Status.BAD_VALUE: "value outside what the register or the network allows",
    Status.BAD_SEQUENCE: "out of order: its number does not follow that of the last request",
}


class RunFlag(IntFlag):
    """First payload byte of STEP and RUN."""

    #: Sample reset before the first step.
    RESET = 1
    #: Learn: advance traces, update at scheduled steps.
    LEARN = 2
    #: Adapt the filter constants at scheduled steps.
    ADAPT = 4
    #: Send the scores back after the last step.
    LAST = 8


INFO_WORDS = 9
RUN_HEADER = struct.Struct("<BHH")
SPACE_HEADER = struct.Struct("<I")  # space in the low byte, index in the upper three
TARGET_BYTES = 2
#: Replies to STREAM that are kept, at the most.
MOST_SLOTS = 16


class FrameError(ValueError):
    """A damaged frame; the message is one line."""


@dataclass(frozen=True)
class Request:
    """A decoded request."""

    sequence: int
    opcode: int
    payload: bytes


@dataclass(frozen=True)
class Reply:
    """A decoded reply."""

    sequence: int
    opcode: int
    status: int
    payload: bytes


def seal(body: bytes) -> bytes:
    """Append the CRC-32 of ``body``."""
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def unseal(frame: bytes, header: int) -> bytes:
    """Check and remove the CRC-32.

    Raises
    ------
    FrameError
        If the frame is shorter than its header and CRC, or the CRC is wrong.
    """
    if len(frame) < header + CRC_BYTES:
        raise FrameError(f"frame of {len(frame)} bytes, a frame has at least {header + CRC_BYTES}")
    if zlib.crc32(frame) != CRC_RESIDUE:
        raise FrameError(f"frame of {len(frame)} bytes with a wrong CRC")
    return frame[:-CRC_BYTES]


def pack_request(request: Request) -> bytes:
    """Body of a request with its CRC (not yet COBS-encoded)."""
    return seal(bytes([request.sequence, request.opcode]) + request.payload)


def unpack_request(frame: bytes) -> Request:
    """Inverse of :func:`pack_request`; raises FrameError."""
    body = unseal(frame, REQUEST_HEADER)
    return Request(body[0], body[1], body[REQUEST_HEADER:])


def pack_reply(reply: Reply) -> bytes:
    """Body of a reply with its CRC (not yet COBS-encoded)."""
    return seal(bytes([reply.sequence, reply.opcode | REPLY_FLAG, reply.status]) + reply.payload)


def unpack_reply(frame: bytes) -> Reply:
    """Inverse of :func:`pack_reply`; raises FrameError."""
    body = unseal(frame, REPLY_HEADER)
    if not body[1] & REPLY_FLAG:
        raise FrameError(f"opcode 0x{body[1]:02x} is not that of a reply")
    return Reply(body[0], body[1] & ~REPLY_FLAG, body[2], body[REPLY_HEADER:])


def space_header(space: int, index: int) -> bytes:
    """Address of LOAD and STATE (and of READ and WRITE, whose space is 0)."""
    return SPACE_HEADER.pack(space | index << 8)


def max_words(frame_bytes: int) -> int:
    """Words that fit one frame of the device in either direction (the count of STATE is one byte)."""
    return min(255, (frame_bytes - REQUEST_HEADER - SPACE_HEADER.size - CRC_BYTES - 1) // 4)


def max_steps(frame_bytes: int, step_bytes: int) -> int:
    """Steps that fit one RUN request."""
    return (frame_bytes - REQUEST_HEADER - RUN_HEADER.size - CRC_BYTES) // step_bytes


def follows(sequence: int, last: int) -> bool:
    """Whether a STREAM with this number is in order."""
    return last != 0 and sequence == last % 255 + 1


def slot_bytes(outputs: int) -> int:
    """Bytes of a slot for a reply to STREAM, a power of two."""
    return 1 << (REPLY_HEADER + 4 * outputs + CRC_BYTES - 1).bit_length()


def reply_slots(frame_bytes: int, outputs: int) -> int:
    """Slots for replies to STREAM in the buffer for replies, a power of two (0: it holds none)."""
    return min(MOST_SLOTS, frame_bytes // slot_bytes(outputs))


def window(frame_bytes: int, outputs: int) -> int:
    """STREAM requests that may be under way: 255 is followed by 1, so the slot of 0 is left out now and then."""
    return reply_slots(frame_bytes, outputs) - 1


def queue_bytes(frame_bytes: int) -> int:
    """Bytes of requests that may be under way with the option ``stream``."""
    return 2 * frame_bytes


#: What the device sends after a damaged frame.
NAK = pack_reply(Reply(0, 0, Status.BAD_CRC, b""))
#: What it sends after a STREAM that is out of order.
REFUSED = pack_reply(Reply(0, 0, Status.BAD_SEQUENCE, b""))
