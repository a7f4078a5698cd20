"""Out of any state a device comes back by a delimiter or a break, no watchdog; a request is whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from cobs import cobs

from reliability.fuzz import CONFIG, Fuzz
from solsa.contract.registers import Space
from solsa.contract.wire import FrameError, Opcode, Reply, Request, Status, pack_request, space_header, unpack_reply
from solsa.host.golden_device import GoldenDevice
from solsa.host.transport import longest_silence
from solsa.sim.device import SimulatedDevice
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


def _recover(device: SimulatedDevice, rng: np.random.Generator, rounds: int) -> int:
    """Disturb a request and see that the device answers then, with a whole state; returns the requests executed.

    A request is cut, its bytes are broken off, or its execution or reply run into.
    """
    golden, executed = GoldenDevice(CONFIG), 0
    fuzz = Fuzz(device, golden, rng)
    reads = fuzz._state_requests()
    for _ in range(rounds):
        frame = cobs.encode(fuzz._request()) + _END
        device.send(frame[: int(rng.integers(1, len(frame) + 1))] if rng.random() < 0.6 else frame)
        device.run(int(rng.integers(_LONG)))
        if rng.random() < 0.5:
            device.hold_low(int(rng.integers(1, 2000)))
        found, tries = None, 0
        while found is None and tries < 2:  # the first may fall into the execution of the request
            tries += 1
            device.send(_END + _INFO)
            while found is None and (data := device.receive(0.0)):
                found = _answer(data)
        assert found is not None, f"no answer after {frame.hex(' ')}"
        assert found.status == Status.OK
        state = _state(device, reads)
        if state != _state(golden, reads):
            golden.send(frame)
            golden.receive(0.0)
            executed += 1
            assert state == _state(golden, reads), f"half executed: {frame.hex(' ')}"
    device.close()
    return executed


@pytest.mark.slow
def test_a_delimiter_or_a_break_recovers_from_any_state(seed: int) -> None:
    device = SimulatedDevice(CONFIG, silence=longest_silence(CONFIG))
    assert _recover(device, np.random.default_rng(seed), 60) > 5


class Deaf(SimulatedDevice):
    """Does not hear anything after a break."""

    deaf = False

    def hold_low(self, clocks: int) -> None:
        self.deaf = True

    def send(self, data: bytes) -> None:
        if not self.deaf:
            super().send(data)


class Torn(SimulatedDevice):
    """A break changes a weight."""

    def hold_low(self, clocks: int) -> None:
        write = Request(0, Opcode.LOAD, space_header(Space.WEIGHT, 1) + b"\5\0\0\0")
        self.send(_END + cobs.encode(pack_request(write)) + _END)


@pytest.mark.slow
@pytest.mark.parametrize(("device", "message"), [(Deaf, "no answer after"), (Torn, "half executed")])
def test_a_device_that_does_not_recover_is_noticed(device: type[SimulatedDevice], message: str, seed: int) -> None:
    with pytest.raises(AssertionError, match=message):
        _recover(device(CONFIG, silence=longest_silence(CONFIG)), np.random.default_rng(seed), 60)


def _state(device: ByteDevice, reads: list[bytes]) -> list[bytes]:
    found = []
    for frame in reads:
        device.send(frame)
        found.append(device.receive(0.0))
    return found
