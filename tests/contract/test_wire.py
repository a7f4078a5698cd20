"""Frames: round trips, damage, and how much fits into one."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from solsa.contract import Space
from solsa.contract.wire import (
    CRC_BYTES,
    CRC_RESIDUE,
    NAK,
    REPLY_HEADER,
    REQUEST_HEADER,
    RUN_HEADER,
    STATUS_TEXT,
    FrameError,
    Opcode,
    Reply,
    Request,
    Status,
    max_steps,
    max_words,
    pack_reply,
    pack_request,
    seal,
    space_header,
    unpack_reply,
    unpack_request,
    unseal,
)

BYTE, PAYLOAD = st.integers(0, 255), st.binary(max_size=60)


@given(BYTE, BYTE, PAYLOAD)
def test_request_round_trip(sequence: int, opcode: int, payload: bytes) -> None:
    request = Request(sequence, opcode, payload)
    frame = pack_request(request)
    assert unpack_request(frame) == request
    assert len(frame) == 2 + len(payload) + 4
    assert zlib.crc32(frame) == CRC_RESIDUE


@given(BYTE, st.integers(0, 127), BYTE, PAYLOAD)
def test_reply_round_trip(sequence: int, opcode: int, status: int, payload: bytes) -> None:
    reply = Reply(sequence, opcode, status, payload)
    frame = pack_reply(reply)
    assert unpack_reply(frame) == reply
    assert frame[1] == opcode | 0x80
    assert zlib.crc32(frame) == CRC_RESIDUE


@given(PAYLOAD, st.data())
def test_a_changed_byte_is_noticed(payload: bytes, data: st.DataObject) -> None:
    """Any burst of up to 32 bits is (the CRC's guarantee); here one changed byte anywhere, the CRC included."""
    frame = bytearray(pack_request(Request(1, Opcode.LOAD, payload)))
    at = data.draw(st.integers(0, len(frame) - 1))
    frame[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameError, match="wrong CRC"):
        unpack_request(bytes(frame))


@given(PAYLOAD, st.integers(1, 8))
def test_a_cut_frame_is_noticed(payload: bytes, cut: int) -> None:
    frame = pack_reply(Reply(1, Opcode.READ, 0, payload))
    with pytest.raises(FrameError) as caught:
        unpack_reply(frame[: max(0, len(frame) - cut)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("header", [REQUEST_HEADER, REPLY_HEADER])
def test_a_short_frame_is_refused(header: int) -> None:
    """Even with a correct CRC, a frame without its header is none."""
    for length in range(header):
        with pytest.raises(FrameError, match=f"frame of {length + 4} bytes, a frame has at least {header + 4}"):
            unseal(seal(bytes(length)), header)
    assert unseal(seal(bytes(header)), header) == bytes(header)


def test_a_request_is_no_reply() -> None:
    with pytest.raises(FrameError, match="opcode 0x02 is not that of a reply"):
        unpack_reply(pack_request(Request(1, Opcode.READ, b"\0")))


def test_bytes_by_hand() -> None:
    """sequence, opcode, space and index little endian, count, CRC-32 little endian."""
    body = bytes([7, 2, 0, 0x40, 0x01, 0x00, 3])
    frame = pack_request(Request(7, Opcode.READ, space_header(Space.REGISTER, 0x140) + b"\x03"))
    assert frame == body + zlib.crc32(body).to_bytes(4, "little")
    assert space_header(Space.NEURON, 0x123456) == bytes([4, 0x56, 0x34, 0x12])
    assert RUN_HEADER.pack(3, 0x102, 0x304) == bytes([3, 2, 1, 4, 3])


def test_nak() -> None:
    assert unpack_reply(NAK) == Reply(0, 0, Status.BAD_CRC, b"")


def test_every_status_has_a_text() -> None:
    assert set(STATUS_TEXT) == set(Status)
    assert all(text and "\n" not in text for text in STATUS_TEXT.values())


@pytest.mark.parametrize("size", [64, 256, 1024, 16384])
def test_what_fits_a_frame(size: int) -> None:
    words = max_words(size)
    load = REQUEST_HEADER + 4 + 4 * words + CRC_BYTES
    reply = REPLY_HEADER + 4 * words + CRC_BYTES
    assert load <= size
    assert reply <= size
    assert words <= 255
    assert words == 255 or load + 1 + 4 > size
    for step in (1, 12, 40):
        steps = max_steps(size, step)
        run = REQUEST_HEADER + RUN_HEADER.size + CRC_BYTES
        assert run + steps * step <= size < run + (steps + 1) * step
