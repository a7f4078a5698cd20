"""Out of any state a device comes back by a delimiter or a break, no watchdog; a request is whole or not at all."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from cobs import cobs

from reliability.fuzz import CONFIG, Fuzz
from solsa.contract.wire import FrameError, Opcode, Reply, Request, Status, pack_request, unpack_reply
from solsa.host.golden_device import GoldenDevice
from solsa.host.transport import longest_silence
from solsa.sim.requests import ByteDevice

_END = b"\0"
_INFO = cobs.encode(pack_request(Request(0, Opcode.INFO, b""))) + _END
#: More clocks than the longest of the frames and its execution take.
_LONG = 6000


def _answer(data: bytes) -> Reply | None:
    """The reply to INFO, if these bytes are one."""
    try:
        reply = unpack_reply(cobs.decode(data.rstrip(_END)))
    except (cobs.DecodeError, FrameError):
        return None
    return reply if (reply.sequence, reply.opcode) == (0, Opcode.INFO) else None


@pytest.mark.slow
def test_a_delimiter_or_a_break_recovers_from_any_state(seed: int) -> None:
    """A request is cut, its bytes are broken off or its execution and reply run into; then the device must answer."""
    from solsa.sim.device import SimulatedDevice

    rng = np.random.default_rng(seed)
    device, golden = SimulatedDevice(CONFIG, silence=longest_silence(CONFIG)), GoldenDevice(CONFIG)
    fuzz = Fuzz(device, golden, rng)
    reads = fuzz._state_requests()
    executed = tries = 0
    for _ in range(60):
        frame = cobs.encode(fuzz._request()) + _END
        device.send(frame[: int(rng.integers(1, len(frame) + 1))] if rng.random() < 0.6 else frame)
        device.run(int(rng.integers(_LONG)))
        if rng.random() < 0.5:
            device.hold_low(int(rng.integers(1, 2000)))
        for attempt in range(3):  # the first may fall into the execution of the request, the second ends what is left
            device.send(_END + _INFO)
            found = None
            while found is None and (data := device.receive(0.0)):
                found = _answer(data)
            if found is not None:
                tries = max(tries, attempt + 1)
                break
        assert found is not None, frame.hex(" ")
        assert found.status == Status.OK
        state = _state(device, reads)
        if state != _state(golden, reads):
            after = copy.deepcopy(golden)
            after.send(frame)
            after.receive(0.0)
            assert state == _state(after, reads), frame.hex(" ")
            golden, executed = after, executed + 1
    assert tries <= 2
    assert executed > 5
    device.close()


def _state(device: ByteDevice, reads: list[bytes]) -> list[bytes]:
    found = []
    for frame in reads:
        device.send(frame)
        found.append(device.receive(0.0))
    return found
