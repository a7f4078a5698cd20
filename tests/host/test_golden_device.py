"""The golden device at the level of bytes: every rule of contract/wire.py, against frames made by hand."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from cobs import cobs

from solsa.contract import Layout, NetworkConfig, Readout, Register, Space, preset
from solsa.contract.registers import MAGIC, LayerRegister, a_address, layer_address, register_map, space_words
from solsa.contract.wire import NAK, Opcode, Reply, Request, RunFlag, Status, pack_request, space_header, unpack_reply
from solsa.host.golden_device import GoldenDevice
from solsa.host.words import synapse_positions

TINY = preset("tiny")
TARGET = TINY.with_(readout=Readout.TARGET)
THETA = layer_address(0, LayerRegister.THETA)


def frame(opcode: int, payload: bytes = b"", sequence: int = 1) -> bytes:
    return cobs.encode(pack_request(Request(sequence, opcode, payload))) + b"\0"


def replies(device: GoldenDevice, data: bytes) -> list[Reply]:
    device.send(data)
    received = device.receive(0.0)
    assert received == b"" or received.endswith(b"\0")
    return [unpack_reply(cobs.decode(part)) for part in received.split(b"\0")[:-1]]


def ask(device: GoldenDevice, opcode: int, payload: bytes = b"") -> tuple[int, bytes]:
    """One request under sequence number 0, which always executes."""
    (reply,) = replies(device, frame(opcode, payload, 0))
    assert (reply.sequence, reply.opcode) == (0, opcode)
    return reply.status, reply.payload


def word(value: int) -> bytes:
    return struct.pack("<I", value & 0xFFFFFFFF)


def read(device: GoldenDevice, space: int, index: int, count: int = 1) -> list[int]:
    status, payload = ask(device, Opcode.STATE, space_header(space, index) + bytes([count]))
    assert status == Status.OK
    return list(struct.unpack(f"<{count}i", payload))


def run(flags: int, label: int, steps: int, data: bytes) -> bytes:
    return struct.pack("<BHH", flags, label, steps) + data


L, A, B, V = Status.BAD_LENGTH, Status.BAD_ADDRESS, Status.BAD_OPCODE, Status.BAD_VALUE
STEP_DATA = bytes(TINY.step_bytes)
WORDS = space_words(TINY)


@pytest.mark.parametrize(
    ("opcode", "payload", "status"),
    [
        (0, b"", B),
        (8, b"", B),
        (0x7F, b"x", B),
        (Opcode.INFO, b"x", L),
        (Opcode.READ, space_header(0, 0), L),
        (Opcode.READ, space_header(0, 0) + b"\x00", L),
        (Opcode.READ, space_header(0, 0) + b"\x01\x01", L),
        (Opcode.READ, space_header(Space.WEIGHT, 0) + b"\x01", A),
        (Opcode.READ, space_header(0, WORDS[Space.REGISTER]) + b"\x01", A),
        (Opcode.READ, space_header(0, WORDS[Space.REGISTER] - 1) + b"\x02", A),
        (Opcode.STATE, space_header(0, 0) + bytes([63]), L),  # 4*63 + 7 bytes exceed a frame of 256
        (Opcode.STATE, space_header(8, 0) + b"\x01", A),
        (Opcode.STATE, space_header(255, 0xFFFFFF) + b"\x01", A),
        (Opcode.STATE, space_header(Space.SCORE, 3) + b"\x01", A),
        (Opcode.STATE, space_header(Space.NEURON, 0xFFFFFF) + b"\x01", A),
        (Opcode.WRITE, space_header(0, THETA), L),
        (Opcode.WRITE, space_header(0, THETA) + b"\x01\x02\x03", L),
        (Opcode.WRITE, space_header(0, THETA) + word(1) + word(2), L),
        (Opcode.WRITE, space_header(Space.WEIGHT, 0) + word(1), A),
        (Opcode.WRITE, space_header(Space.WEIGHT, 0) + word(1) + word(1), A),
        (Opcode.WRITE, space_header(0, Register.MAGIC) + word(1), A),
        (Opcode.WRITE, space_header(0, Register.STEP) + word(1), A),
        (Opcode.WRITE, space_header(0, 0x3F) + word(1), A),
        (Opcode.WRITE, space_header(0, 0xFFFFFF) + word(1), A),
        (Opcode.WRITE, space_header(0, Register.RNG) + word(0), V),
        (Opcode.WRITE, space_header(0, THETA) + word(1 << 23), V),
        (Opcode.WRITE, space_header(0, layer_address(1, LayerRegister.RHO)) + word(-1), V),
        (Opcode.WRITE, space_header(0, Register.A_MAX) + word(0x10000), V),
        (Opcode.LOAD, space_header(0, THETA) + word(1) + word(2), L),
        (Opcode.LOAD, space_header(Space.FILTER, 0) + word(1), A),
        (Opcode.LOAD, space_header(Space.NEURON, 0) + word(1), A),
        (Opcode.LOAD, space_header(Space.SCORE, 0) + word(1), A),
        (Opcode.LOAD, space_header(9, 0) + word(1), A),
        (Opcode.LOAD, space_header(Space.WEIGHT, WORDS[Space.WEIGHT] - 1) + word(1) + word(1), A),
        (Opcode.STEP, b"", L),
        (Opcode.STEP, run(0, 0, 0, b""), L),
        (Opcode.STEP, run(0, 0, 2, STEP_DATA * 2), L),
        (Opcode.RUN, run(0, 0, 0, b""), L),
        (Opcode.RUN, run(0, 0, 0, STEP_DATA), L),
        (Opcode.RUN, run(0, 0, 2, STEP_DATA), L),
        (Opcode.RUN, run(0, 0, 1, STEP_DATA + b"x"), L),
        (Opcode.RUN, run(16, 0, 1, STEP_DATA), V),
        (Opcode.RUN, run(RunFlag.LEARN, 3, 1, STEP_DATA), V),
        (Opcode.RUN, run(RunFlag.LEARN, 0xFFFF, 1, STEP_DATA), V),
    ],
)
def test_a_bad_request_is_refused_and_changes_nothing(opcode: int, payload: bytes, status: Status) -> None:
    device = GoldenDevice(TINY)
    for value, address in ((77, THETA), (5, Register.RNG)):
        assert ask(device, Opcode.WRITE, space_header(0, address) + word(value)) == (Status.OK, b"")
    before = [read(device, space, 0, min(count, 62)) for space, count in WORDS.items()]
    assert ask(device, opcode, payload) == (status, b"")
    assert [read(device, space, 0, min(count, 62)) for space, count in WORDS.items()] == before


def test_the_label_counts_only_when_it_is_learned() -> None:
    assert ask(GoldenDevice(TINY), Opcode.RUN, run(RunFlag.ADAPT, 9, 1, STEP_DATA)) == (Status.OK, b"")
    data = bytes(TARGET.step_bytes)
    assert ask(GoldenDevice(TARGET), Opcode.RUN, run(RunFlag.LEARN, 9, 1, data)) == (Status.OK, b"")


@pytest.mark.parametrize(
    "damaged",
    [
        b"\x05abcd\0",  # a wrong CRC
        b"\x09abc\0",  # not COBS
        b"\x01\0",  # decodes to nothing
        cobs.encode(pack_request(Request(3, Opcode.INFO, b""))[:-1]) + b"\0",
        cobs.encode(pack_request(Request(3, Opcode.RUN, bytes(TINY.frame_bytes - 5)))) + b"\0",
        b"\x01" * 5000 + b"\0",
    ],
)
def test_a_damaged_frame_is_answered_with_nak_and_nothing_else_changes(damaged: bytes) -> None:
    device = GoldenDevice(TINY)
    write = frame(Opcode.WRITE, space_header(0, THETA) + word(5), 7)
    (first,) = replies(device, write)
    assert replies(device, damaged) == [unpack_reply(NAK)]
    assert unpack_reply(NAK) == Reply(0, 0, Status.BAD_CRC, b"")
    assert replies(device, write) == [first]


def test_the_longest_frame_is_taken() -> None:
    count = (TINY.frame_bytes - 6 - 4) // 4
    assert ask(GoldenDevice(TINY), Opcode.LOAD, space_header(Space.WEIGHT, 0) + bytes(4 * 10))[0] == Status.OK
    big = TINY.with_(layers=(12, 20, 3))
    assert ask(GoldenDevice(big), Opcode.LOAD, space_header(Space.WEIGHT, 0) + bytes(4 * count))[0] == Status.OK


def test_empty_frames_are_ignored_and_bytes_may_come_one_by_one() -> None:
    device = GoldenDevice(TINY)
    assert replies(device, b"\0\0\0") == []
    data = frame(Opcode.INFO, b"", 0)
    for value in data[:-1]:
        assert replies(device, bytes([value])) == []
    (reply,) = replies(device, data[-1:])
    words = struct.unpack("<9I", reply.payload)
    assert words[:3] == (MAGIC, 1, int(TINY.config_hash, 16))
    assert words[3] == 2 | 2 << 8 | 2 << 16
    assert words[4:] == (0, 0, 3, 0, 0)


def test_two_frames_in_one_transfer() -> None:
    both = frame(Opcode.INFO, b"", 0) + frame(Opcode.READ, space_header(0, 0) + b"\x01", 1)
    assert [r.opcode for r in replies(GoldenDevice(TINY), both)] == [Opcode.INFO, Opcode.READ]


def test_a_repeated_sequence_number_is_not_executed_again() -> None:
    device = GoldenDevice(TINY)
    step = frame(Opcode.RUN, run(RunFlag.RESET, 0, 1, STEP_DATA), 9)
    replies(device, step)
    again = frame(Opcode.RUN, run(0, 0, 1, STEP_DATA), 10)
    first, second, third = replies(device, again + again + again)
    assert first == second == third
    assert read(device, Space.REGISTER, Register.STEP) == [2]
    (refused,) = replies(device, frame(99, b"", 11))
    assert replies(device, frame(Opcode.INFO, b"", 11)) == [refused]  # an error reply is stored as well
    zero = frame(Opcode.RUN, run(0, 0, 1, STEP_DATA), 0)
    replies(device, zero + zero)
    assert read(device, Space.REGISTER, Register.STEP) == [4]


@pytest.mark.parametrize("config", [TINY, TARGET, preset("vowels"), TINY.with_(groups=8, lanes=1)])
def test_every_register_has_its_reset_value_and_limits(config: NetworkConfig) -> None:
    device = GoldenDevice(config)
    entries = register_map(config)
    for address in range(space_words(config)[Space.REGISTER]):
        entry = entries.get(address)
        value = read(device, Space.REGISTER, address)[0]
        reset = entry.reset if entry else 0
        assert value & 0xFFFFFFFF == reset & 0xFFFFFFFF, address
    for entry in entries.values():
        if not entry.writable:
            continue
        for value in (entry.low, entry.high):
            assert ask(device, Opcode.WRITE, space_header(0, entry.address) + word(value)) == (Status.OK, b"")
            assert read(device, Space.REGISTER, entry.address)[0] & 0xFFFFFFFF == value & 0xFFFFFFFF, entry.name
        for value in (entry.low - 1, entry.high + 1):
            if (-(1 << 31) if entry.signed else 0) <= value < 1 << (31 if entry.signed else 32):
                status = ask(device, Opcode.WRITE, space_header(0, entry.address) + word(value))[0]
                assert status == Status.BAD_VALUE, entry.name


def test_narrow_memories_truncate_and_extend_the_sign() -> None:
    device = GoldenDevice(TINY)
    for space, given, kept in (
        (Space.WEIGHT, 0x12348001, -0x7FFF),
        (Space.TRACE, 0xFFFF7FFF, 0x7FFF),
        (Space.SURROGATE, 0xFFFFFFFF, 0x7FFF),
        (Space.SCHEDULE, 0xFFFFFFFE, 0),
        (Space.SCHEDULE, 3, 1),
    ):
        assert ask(device, Opcode.LOAD, space_header(space, 1) + word(given))[0] == Status.OK
        assert read(device, space, 1) == [kept]


def test_synapse_addresses_are_those_of_the_layout_and_padding_reads_zero() -> None:
    device, layout = GoldenDevice(TINY), Layout(TINY)
    count = WORDS[Space.WEIGHT]
    payload = np.arange(1, count + 1, dtype="<u4").tobytes()
    assert ask(device, Opcode.LOAD, space_header(Space.WEIGHT, 0) + payload)[0] == Status.OK
    words = read(device, Space.WEIGHT, 0, count)
    used = set()
    for layer in range(TINY.depth):
        for post in range(TINY.post(layer)):
            for pre in range(TINY.pre(layer)):
                lane, address = layout.synapse_address(layer, post, pre)
                index = address * TINY.lanes + lane
                used.add(index)
                assert words[index] == index + 1
                assert device.memory.core.state.layers[layer].weight[post, pre] == index + 1
    assert [words[i] for i in range(count) if i not in used] == [0] * (count - TINY.synapses)
    assert np.count_nonzero(synapse_positions(TINY) < 0) == count - TINY.synapses > 0


def test_filter_words_are_those_of_the_layout() -> None:
    config = TINY.with_(groups=8, lanes=2)
    device, layout = GoldenDevice(config), Layout(config)
    rng = np.random.default_rng(0)
    for layer in range(config.depth):
        shape = (config.used_groups(layer), config.pre(layer))
        device.memory.core.state.layers[layer].filter = rng.integers(-999, 999, shape)
    count = space_words(config)[Space.FILTER]
    words = [w for start in range(0, count, 32) for w in read(device, Space.FILTER, start, min(32, count - start))]
    for layer in range(config.depth):
        for group in range(config.groups):
            for pre in range(config.pre(layer)):
                bank, address = layout.filter_address(layer, pre, group)
                held = device.memory.core.state.layers[layer].filter
                expected = held[group, pre] if group < config.used_groups(layer) else 0
                assert words[address * layout.filter_banks + bank] == expected


def test_limits_of_the_constants_may_cross_and_the_upper_one_wins() -> None:
    device = GoldenDevice(TINY)
    for address, value in ((Register.A_MIN, 0x8000), (Register.A_MAX, 0x4000), (a_address(0, 0), 0x900000)):
        assert ask(device, Opcode.WRITE, space_header(0, address) + word(value))[0] == Status.OK
    assert ask(device, Opcode.LOAD, space_header(Space.SCHEDULE, 0) + word(1))[0] == Status.OK
    flags = RunFlag.RESET | RunFlag.LEARN | RunFlag.ADAPT
    assert ask(device, Opcode.RUN, run(flags, 1, 1, STEP_DATA))[0] == Status.OK
    assert read(device, Space.REGISTER, a_address(0, 0)) == [0x400000]
    assert read(device, Space.REGISTER, Register.UPDATES) == [1]
