"""Option ``stream``: random bursts of requests through the compiled RTL and the golden device.

``python -m tests.reliability.stream_fuzz --frames 100000 --json docs/results/reliability-stream.json``

A burst is a numbered request and STREAM requests after it: in order, out of it, sent again, damaged. It is sent piece
by piece, each after the reply to the last, or at once up to what the queue holds: then replies travel while requests
arrive. The replies must be those of the golden device, and after the burst all state words. At once, a NAK may overtake
replies that wait, and of several NAK or REFUSED that wait one is sent; all else must come in order.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from cobs import cobs

from solsa.contract.registers import Register, Space
from solsa.contract.wire import (
    NAK,
    REFUSED,
    RUN_HEADER,
    Opcode,
    Request,
    Status,
    pack_request,
    queue_bytes,
    space_header,
    unpack_reply,
    window,
)
from solsa.host.files import write_json
from solsa.host.golden_device import GoldenDevice
from solsa.host.train import versions
from solsa.host.transport import longest_silence
from solsa.sim.build import sources_hash, version_of
from solsa.sim.device import SimulatedDevice

from .fuzz import CONFIG as PLAIN_CONFIG
from .fuzz import Fuzz, Wrong

CONFIG = PLAIN_CONFIG.with_(stream=True)
_END = b"\0"
_NAK, _REFUSED = (cobs.encode(frame) + _END for frame in (NAK, REFUSED))


@dataclass
class StreamFuzz(Fuzz):
    """One run; ``counts`` also has bursts, and frames sent at once."""

    def run(self, frames: int, progress: Callable[[int], None] = lambda _: None) -> None:
        """Send so many frames; raises Wrong at the first difference."""
        reads = self._state_requests()
        self._compare_state(reads)
        while self.counts["frames"] < frames:
            burst = self._burst()
            self.counts["frames"] += len(burst)
            self.counts["bursts"] += 1
            self._one_by_one(burst[:1])
            if self.rng.random() < 0.5:
                self._one_by_one(burst[1:])
            else:
                self._at_once(burst[1:])
            self._compare_state(reads)
            progress(self.counts["frames"])

    def _burst(self) -> list[bytes]:
        rng, config = self.rng, self.config
        last = int(rng.choice([1, 100, 252, 253, 254, 255, int(rng.integers(1, 256))]))
        read = Request(last, Opcode.READ, space_header(Space.REGISTER, Register.RNG) + b"\1")
        bodies = [pack_request(read if rng.random() < 0.5 else Request(last, 99, b""))]
        sent: list[bytes] = []
        for _ in range(int(rng.integers(1, 7))):
            if sent and rng.random() < 0.25:
                bodies.append(sent[int(rng.integers(len(sent)))])
                continue
            steps = int(rng.integers(1, 4))
            data = rng.integers(0, 256, steps * config.step_bytes).astype(np.uint8).tobytes()
            label = int(rng.integers(config.outputs + (rng.random() < 0.1)))
            payload = RUN_HEADER.pack(int(rng.integers(16)), label, steps if rng.random() < 0.95 else 9) + data
            skip = rng.random() < 0.1
            last = (last + 1) % 255 + 1 if skip else last % 255 + 1
            sent.append(pack_request(Request(last if rng.random() < 0.97 else 0, Opcode.STREAM, payload)))
            bodies.append(sent[-1])
        frames = [cobs.encode(body) + _END for body in bodies]
        return [frames[0], *(self._damaged(frame) for frame in frames[1:])]

    def _damaged(self, frame: bytes) -> bytes:
        """The same, or with a wrong byte; one piece in any case."""
        if self.rng.random() < 0.85:
            return frame
        at = int(self.rng.integers(len(frame) - 1))
        return frame[:at] + bytes([frame[at] % 255 + 1]) + frame[at + 1 :]

    def _one_by_one(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.device.send(frame)
            self.golden.send(frame)
            got, expected = self.device.receive(0.0), self.golden.receive(0.0)
            if got != expected:
                raise Wrong(f"{frame.hex(' ')}: expected {expected.hex(' ')}, got {got.hex(' ') or 'no reply'}")
            self._note(got)

    def _at_once(self, frames: list[bytes]) -> None:
        """As many as a host may have under way; the rest after them, one by one."""
        most, room, count = window(self.config.frame_bytes, self.config.outputs), queue_bytes(CONFIG.frame_bytes), 0
        while count < min(most, len(frames)) and room >= len(frames[count]):
            room -= len(frames[count])
            count += 1
        together = b"".join(frames[:count])
        self.counts["frames at once"] += count
        self.device.send(together)
        self.golden.send(together)
        expected = _pieces(self.golden.receive(0.0))
        got: list[bytes] = []
        # what may be left out is not waited for
        while len(_plain(got)) < len(_plain(expected)):
            piece = self.device.receive(0.0)
            if not piece:
                raise Wrong(f"no reply after {len(got)} to {together.hex(' ')}")
            got.append(piece)
        self._quiet(got)
        if _plain(got) != _plain(expected) or _ordered(got) != _ordered(expected):
            raise Wrong(f"{together.hex(' ')}: expected {expected}, got {got}")
        for piece in got:
            self._note(piece)
        self._one_by_one(frames[count:])

    def _quiet(self, got: list[bytes]) -> None:
        """Take what comes after the last reply that is waited for: a numbered request is answered after all of it."""
        self.device.send(cobs.encode(pack_request(Request(0, 77, b""))) + _END)
        self.golden.send(cobs.encode(pack_request(Request(0, 77, b""))) + _END)
        last = self.golden.receive(0.0)
        while (piece := self.device.receive(0.0)) != last:
            if not piece:
                raise Wrong("no reply to a request after a burst")
            got.append(piece)

    def _note(self, reply: bytes) -> None:
        self.counts[f"reply: {Status(unpack_reply(cobs.decode(reply[:-1])).status).name}"] += 1


def _pieces(data: bytes) -> list[bytes]:
    return [piece + _END for piece in data.split(_END) if piece]


def _plain(replies: list[bytes]) -> list[bytes]:
    """Those that must all come."""
    return [reply for reply in replies if reply not in (_NAK, _REFUSED)]


def _ordered(replies: list[bytes]) -> list[bytes]:
    """Those that must come in order; REFUSED in a row count once."""
    kept = [reply for reply in replies if reply != _NAK]
    return [reply for at, reply in enumerate(kept) if reply != _REFUSED or kept[at - 1 : at] != [_REFUSED]]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.reliability.stream_fuzz", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--frames", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pins", action="store_true", help="through the serial pins; else to the decoder")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.frames < 1 or arguments.seed < 0:
        parser.error(f"--frames {arguments.frames} --seed {arguments.seed}, allowed are frames from 1, seeds from 0 on")
    device = SimulatedDevice(CONFIG, pins=arguments.pins, silence=longest_silence(CONFIG))
    fuzz, began, problem = (
        StreamFuzz(device, GoldenDevice(CONFIG), np.random.default_rng(arguments.seed), CONFIG),
        time.monotonic(),
        None,
    )
    try:
        fuzz.run(arguments.frames)
    except Wrong as error:
        problem = f"frame {fuzz.counts['frames']}: {error}"
    result = {
        "frames": fuzz.counts["frames"],
        "bursts": fuzz.counts["bursts"],
        "frames_at_once": fuzz.counts["frames at once"],
        "hangs": int("no reply" in (problem or "")),
        "differences": int(problem is not None),
        "first_difference": problem,
        "states_compared": fuzz.counts["states compared"],
        "replies": {key[7:]: fuzz.counts[key] for key in sorted(fuzz.counts) if key.startswith("reply: ")},
        "device_clocks": device.cycles,
        "seconds": round(time.monotonic() - began, 1),
        "seed": arguments.seed,
        "pins": arguments.pins,
        "config": CONFIG.to_dict(),
        "config_hash": CONFIG.config_hash,
        "sources": sources_hash(),
        "versions": {**versions(), "verilator": version_of("verilator")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.reliability.stream_fuzz --frames {arguments.frames} --seed {arguments.seed}"
        + " --pins" * arguments.pins,
    }
    print(json.dumps({key: result[key] for key in list(result)[:10]}, indent=2))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(arguments.json, result)
    return int(problem is not None)


if __name__ == "__main__":
    sys.exit(main())
