"""The device, behind its serial pins and below them, against the golden device: same bytes for the same requests."""

from __future__ import annotations

import numpy as np
import pytest
from cobs import cobs

from solsa.contract import NetworkConfig, Readout, make_parameters
from solsa.contract.registers import Register, Space, space_words
from solsa.contract.wire import PLAIN, Opcode, Request, pack_request, space_header
from solsa.host.device import Device
from solsa.host.golden_device import GoldenDevice
from solsa.host.network import weight_sha256
from solsa.host.transport import DeviceError
from solsa.sim.device import SimulatedDevice

CONFIG = NetworkConfig(layers=(3, 5, 3), lanes=2, groups=2, max_steps=16, frame_bytes=128)
TARGET = NetworkConfig(layers=(4, 6, 2), lanes=4, groups=1, readout=Readout.TARGET, max_steps=16, frame_bytes=128)


def _random_request(rng: np.random.Generator, config: NetworkConfig, sequence: int) -> bytes:
    """A request that is often right, sometimes slightly wrong, sometimes damaged."""
    words = space_words(config)
    opcode = int(rng.choice([*PLAIN, 0, 9, 200], p=[0.05, 0.1, 0.2, 0.2, 0.1, 0.2, 0.12, 0.01, 0.01, 0.01]))
    if opcode in (Opcode.READ, Opcode.WRITE):
        space = 0 if rng.random() < 0.9 else int(rng.integers(1, 9))
        registers = [Register.RNG, Register.A_MAX, Register.SURROGATE_SHIFT, 0x41, 0x42, 0x43, 0x44, 0x52, 0x100, 0x141]
        index = int(rng.choice(registers)) if rng.random() < 0.7 else int(rng.integers(0, 0x160))
    else:
        space = int(rng.integers(0, 9))
        index = int(rng.integers(0, words.get(Space(space), 10) + 3)) if space < 8 else 0
    if opcode in (Opcode.READ, Opcode.STATE):
        payload = space_header(space, index) + bytes([int(rng.integers(0, 9))])
        # the clock counter is the one word that golden does not have
        if space == 0 and index <= Register.CYCLES_HIGH:
            payload = space_header(0, Register.FRESH) + bytes([3])
    elif opcode in (Opcode.WRITE, Opcode.LOAD):
        count = 1 if space == 0 and rng.random() < 0.9 else int(rng.integers(0, 5))
        small = rng.integers(-4000, 4000, count) if rng.random() < 0.7 else rng.integers(-(2**31), 2**31, count)
        payload = space_header(space, index) + small.astype("<i4").tobytes()
    elif opcode in (Opcode.RUN, Opcode.STEP):
        steps = 1 if opcode == Opcode.STEP else int(rng.integers(0, 5))
        flags = int(rng.integers(0, 16)) if rng.random() < 0.95 else 16
        label = int(rng.integers(0, config.outputs + (rng.random() < 0.1)))
        data = rng.integers(0, 256, steps * config.step_bytes + int(rng.random() < 0.05)).astype(np.uint8).tobytes()
        payload = bytes([flags]) + label.to_bytes(2, "little") + steps.to_bytes(2, "little") + data
    else:
        payload = b"" if rng.random() < 0.8 else b"x"
    frame = bytearray(pack_request(Request(sequence, opcode, payload)))
    if rng.random() < 0.03:
        frame[int(rng.integers(len(frame)))] ^= 1 << int(rng.integers(8))
    return cobs.encode(bytes(frame)) + b"\0"


def _without_info(frame: bytes) -> bool:
    return frame[:1] != b"" and cobs.decode(frame[:-1])[1] != Opcode.INFO


@pytest.mark.parametrize(
    ("config", "pins"),
    [(CONFIG, True), (CONFIG, False), (TARGET, False)],
    ids=["membrane-pins", "membrane-bytes", "target-bytes"],
)
def test_same_bytes_as_the_golden_device(config: NetworkConfig, pins: bool) -> None:
    """1500 requests, right and wrong: equal replies, so equal state wherever a request looks."""
    rng = np.random.default_rng(11)
    simulated, golden = SimulatedDevice(config, pins=pins), GoldenDevice(config)
    sequence = 0
    statuses: set[int] = set()
    for number in range(1500):
        sequence = sequence % 255 + 1 if rng.random() < 0.95 else sequence
        frame = _random_request(rng, config, sequence)
        if not _without_info(frame):
            continue
        simulated.send(frame)
        golden.send(frame)
        got, expected = simulated.receive(1.0), golden.receive(1.0)
        assert got == expected, f"request {number}: {cobs.decode(frame[:-1]).hex(' ')}"
        statuses.add(cobs.decode(expected[:-1])[2])
    assert statuses == {0, 1, 2, 3, 4, 5}
    simulated.close()


def _learn(device: Device, config: NetworkConfig) -> tuple[str, list[int]]:
    constants = tuple(float(v) for v in np.linspace(0.3, 0.8, config.groups))
    parameters = make_parameters(
        config, a=constants, lam=constants, rates=(0.01, 0.01), adapt_rates=(1e-4, 1e-4), schedule=(1, 3, 5, 7)
    )
    rng = np.random.default_rng(5)
    weights = [rng.integers(-6000, 6000, (config.post(i), config.pre(i))) for i in range(config.depth)]
    device.load_network(parameters, weights)
    scores: list[int] = []
    for sample in range(12):
        x = rng.integers(-60, 60, (8, config.inputs)).astype(np.int8)
        targets = None
        if config.readout is Readout.TARGET:
            targets = rng.integers(-4000, 4000, (8, config.outputs)).astype(np.int16)
        learn = sample % 4 != 3
        got = device.run_sample(
            x,
            label=sample % config.outputs,
            learn=learn,
            adapt=learn,
            targets=targets,
            window=(0, 3, 8, 9, 1)[sample % 5],
        )
        scores += [int(v) for v in got]
    return weight_sha256(device.read_weights(), device.read_filter_constants()), scores


@pytest.mark.parametrize("config", [CONFIG, TARGET], ids=["membrane", "target"])
def test_same_learning_through_the_device_api(config: NetworkConfig) -> None:
    """The host code is the same for both: equal scores, weights and filter constants."""
    with Device.open("golden", config) as golden, Device.open("sim", config) as simulated:
        assert _learn(golden, config) == _learn(simulated, config)
        assert simulated.cycles


def test_device_of_another_configuration_is_refused() -> None:
    """The configuration hash in the device's registers is the one that its RTL was made from."""
    other = CONFIG.with_(lanes=4)
    with pytest.raises(DeviceError, match=other.config_hash):
        Device(SimulatedDevice(CONFIG), other, "sim")


def test_without_the_line_a_request_takes_a_fraction_of_the_clocks() -> None:
    """A byte takes 40 clocks on the line, and the eight of its CRC below it; the replies are the same."""
    replies, clocks = [], []
    for where in ("sim", "sim-serial"):
        with Device.open(where, CONFIG) as device:
            began = device.cycles
            replies.append(device.read_words(Space.SURROGATE, 0, 16).tolist())
            clocks.append(device.cycles - began)
    assert replies[0] == replies[1]
    assert 2 * clocks[0] < clocks[1]
