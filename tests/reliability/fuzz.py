"""Random and corrupted frames through the compiled RTL and the golden device: the same replies, the same state.

``python -m tests.reliability.fuzz --frames 1000000 --jobs 2 --json docs/results/reliability-fuzz.json``

A stream of bytes goes to both, cut after every delimiter: each piece that is not empty is a frame for the device and
gets one reply, which must be the same bytes. After every request that was accepted, all state words of both are read
and compared, every clock-free register included, before the next byte; a request that is repeated is sent twice first,
so that one executed twice shows (reading in between would make the device forget its number). A device that stays
silent hangs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from cobs import cobs

from solsa.contract import NetworkConfig
from solsa.contract.registers import Register, Space, register_map, space_words
from solsa.contract.wire import (
    NAK,
    RUN_HEADER,
    FrameError,
    Opcode,
    Request,
    Status,
    max_words,
    pack_request,
    space_header,
    unpack_reply,
    unpack_request,
)
from solsa.host.files import write_json
from solsa.host.golden_device import GoldenDevice
from solsa.host.train import versions
from solsa.host.transport import longest_silence
from solsa.host.words import runs
from solsa.sim.build import sources_hash, version_of
from solsa.sim.device import SimulatedDevice
from solsa.sim.requests import ByteDevice, _without_clocks

#: As small as a network with every kind of word gets: reading all of it is what the run spends its time on.
CONFIG = NetworkConfig(layers=(2, 2, 2), lanes=2, groups=1, max_steps=4, surrogate_entries=4, frame_bytes=64)
_END = b"\0"
_NAK = cobs.encode(NAK) + _END
#: Kinds of traffic and their shares.
KINDS = {
    "good": 0.05, "flipped bit": 0.22, "changed byte": 0.15, "lost byte": 0.14, "doubled byte": 0.09, "cut": 0.10,
    "joined": 0.05, "noise": 0.11, "wrong CRC": 0.06, "too long": 0.02, "repeated": 0.01,
}  # fmt: skip


class Wrong(Exception):
    """A reply or a state word that differs, or a device that hangs."""


@dataclass
class Fuzz:
    """One run.

    Parameters
    ----------
    device, golden : ByteDevice
        What is checked, and the reference.
    rng : Generator
        Draws the bytes.
    config : NetworkConfig
        Of both.

    Attributes
    ----------
    counts : Counter
        Frames by kind, pieces by status, states compared.
    """

    device: ByteDevice
    golden: ByteDevice
    rng: np.random.Generator
    config: NetworkConfig = CONFIG
    counts: Counter[str] = field(default_factory=Counter)
    _sequence: int = 0
    _pending: bytes = b""
    _executed: int = 0
    #: accepted requests after which no state was compared yet
    _owed: int = 0

    def run(self, frames: int, progress: Callable[[int], None] = lambda _: None) -> None:
        """Send so many frames; raises Wrong at the first difference."""
        kinds, shares = list(KINDS), np.array(list(KINDS.values()))
        reads = self._state_requests()
        self._compare_state(reads)
        for number in range(frames):
            kind = kinds[int(self.rng.choice(len(kinds), p=shares / shares.sum()))]
            self.counts[f"kind: {kind}"] += 1
            self.counts["frames"] += 1
            self._send(self._bytes(kind), reads)
            progress(number)
        self._send(_END, reads)
        self._compare_state(reads)

    # -- traffic ------------------------------------------------------------------------------------------------------
    def _send(self, data: bytes, reads: list[bytes]) -> None:
        """Send bytes piece by piece, and compare the states after every accepted one."""
        pieces = data.split(_END)
        for piece, following in pairwise(pieces):
            self._owed += self._piece(piece + _END)
            if self._owed and piece != following:
                self._compare_state(reads)
        if rest := pieces[-1]:  # a frame without its end: the next one joins it
            self.device.send(rest)
            self.golden.send(rest)
            self._pending += rest

    def _piece(self, piece: bytes) -> bool:
        self.device.send(piece)
        self.golden.send(piece)
        whole, self._pending = self._pending + piece, b""
        if whole == _END:
            self.counts["empty"] += 1
            return False
        expected = self.golden.receive(0.0)
        got = self.device.receive(0.0)
        if not got:
            raise Wrong(f"no reply to {whole.hex(' ')}")
        if got != expected and _without_clocks(got) != _without_clocks(expected):
            raise Wrong(f"{whole.hex(' ')}: expected {expected.hex(' ')}, got {got.hex(' ')}")
        return self._accepted(whole, got)

    def _accepted(self, whole: bytes, got: bytes) -> bool:
        """Count a reply; it must be an error for a frame with a bad CRC."""
        try:
            request: Request | None = unpack_request(cobs.decode(whole[:-1]))
        except (cobs.DecodeError, FrameError):
            request = None
        if request is None and got != _NAK:
            self.counts["accepted with a bad CRC"] += 1
            raise Wrong(f"{whole.hex(' ')} is damaged, but was answered with {got.hex(' ')}")
        status = Status(unpack_reply(cobs.decode(got[:-1])).status)
        self.counts[f"reply: {status.name}"] += 1
        if request is None or status is Status.BAD_CRC:
            return False
        repeated = request.sequence != 0 and request.sequence == self._executed
        self._executed = request.sequence
        self.counts["repeated requests"] += repeated
        return status is Status.OK

    def _compare_state(self, reads: list[bytes]) -> None:
        if self._pending:  # what follows an accepted frame must not become the begin of a read
            self._owed += self._piece(_END)
        self.counts["states compared"] += 1
        self.counts["accepted and compared"] += self._owed
        self._owed = 0
        for frame in reads:
            self.device.send(frame)
            self.golden.send(frame)
            got, expected = self.device.receive(0.0), self.golden.receive(0.0)
            if got != expected:
                raise Wrong(f"state, {frame.hex(' ')}: expected {expected.hex(' ')}, got {got.hex(' ')}")
        self._executed = 0

    def _state_requests(self) -> list[bytes]:
        """Frames that read every word but those of the clock counter; number 0, so that each is executed."""
        most, found = max_words(self.config.frame_bytes), []
        for space, words in space_words(self.config).items():
            pieces = [(0, words)]
            if space is Space.REGISTER:
                pieces = runs(a for a in register_map(self.config) if a > Register.CYCLES_HIGH)
            for start, end in pieces:
                for index in range(start, end, most):
                    payload = space_header(space, index) + bytes([min(most, end - index)])
                    found.append(cobs.encode(pack_request(Request(0, Opcode.STATE, payload))) + _END)
        return found

    # -- bytes --------------------------------------------------------------------------------------------------------
    def _bytes(self, kind: str) -> bytes:
        rng = self.rng
        if kind == "noise":
            return rng.bytes(int(rng.integers(1, 40))) + _END * int(rng.integers(2))
        body = self._request()
        if kind == "wrong CRC":
            at = int(rng.integers(len(body)))
            body = body[:at] + bytes([body[at] ^ int(rng.integers(1, 256))]) + body[at + 1 :]
        elif kind == "too long":
            size = self.config.frame_bytes + int(rng.integers(-4, 12))
            body = pack_request(Request(self._sequence, Opcode.LOAD, space_header(Space.WEIGHT, 0) + bytes(size - 10)))
        frame = cobs.encode(body) + _END
        at = int(rng.integers(len(frame)))
        if kind == "flipped bit":
            return frame[:at] + bytes([frame[at] ^ 1 << int(rng.integers(8))]) + frame[at + 1 :]
        if kind == "changed byte":
            return frame[:at] + bytes([int(rng.integers(256))]) + frame[at + 1 :]
        if kind == "lost byte":
            return frame[:at] + frame[at + 1 :]
        if kind == "doubled byte":
            return frame[: at + 1] + frame[at:]
        if kind == "cut":
            return frame[:at] + _END * int(rng.integers(2))
        if kind == "joined":
            return frame[:-1] + frame
        return frame * 2 if kind == "repeated" else frame

    def _request(self) -> bytes:
        rng, config = self.rng, self.config
        self._sequence = 0 if rng.random() < 0.05 else self._sequence % 255 + 1
        opcode = int(rng.integers(1, 8)) if rng.random() < 0.98 else int(rng.integers(256))
        space = int(rng.integers(0, 8)) if rng.random() < 0.97 else int(rng.integers(256))
        if opcode in (Opcode.READ, Opcode.WRITE) and rng.random() < 0.9:
            space = 0
        words = space_words(config).get(Space(space), 4) if space < 8 else 4
        index = int(rng.integers(words + 1)) if rng.random() < 0.97 else int(rng.integers(1 << 24))
        if space == 0 and rng.random() < 0.8:
            index = int(rng.choice([a for a in register_map(config) if a > Register.CYCLES_HIGH]))
        if opcode in (Opcode.READ, Opcode.STATE):
            count = 1 if space == 0 else int(rng.integers(0, 9))
            if space == 0 and index in (Register.CYCLES_LOW, Register.CYCLES_HIGH):
                index = Register.RNG
            payload = space_header(space, index) + bytes([count])
        elif opcode in (Opcode.WRITE, Opcode.LOAD):
            count = 1 if space == 0 else int(rng.integers(1, 5))
            small = rng.random() < 0.6
            values = rng.integers(0, 4000, count) if small else rng.integers(-(1 << 31), 1 << 31, count)
            payload = space_header(space, index) + values.astype("<i4").tobytes()
        elif opcode in (Opcode.STEP, Opcode.RUN):
            steps = 1 if opcode == Opcode.STEP else int(rng.integers(1, 6))
            label = int(rng.integers(config.outputs + (rng.random() < 0.1)))
            data = rng.integers(0, 256, steps * config.step_bytes).astype(np.uint8).tobytes()
            payload = RUN_HEADER.pack(int(rng.integers(16)), label, steps) + data
        else:
            payload = b""
        if rng.random() < 0.04:
            payload = payload[:-1] if rng.random() < 0.5 else payload + b"\1"
        return pack_request(Request(self._sequence, opcode, payload))


def part(frames: int, seed: int, pins: bool = False) -> dict[str, Any]:
    """Run one process's share of the frames."""
    device = SimulatedDevice(CONFIG, pins=pins, silence=longest_silence(CONFIG))
    fuzz = Fuzz(device, GoldenDevice(CONFIG), np.random.default_rng(seed))
    began, problem = time.monotonic(), None

    def progress(number: int) -> None:
        if number % 20000 == 0:
            print(f"seed {seed}: {number} frames, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    try:
        fuzz.run(frames, progress)
    except Wrong as error:
        problem = f"seed {seed}, frame {fuzz.counts['frames']}: {error}"
    return {"problem": problem, "counts": fuzz.counts, "clocks": device.cycles}


def main() -> int:
    """Command line."""
    text = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.fuzz", description=text)
    parser.add_argument("--frames", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0, help="of the first process; the next one takes the next number")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the frames")
    parser.add_argument("--pins", action="store_true", help="through the serial pins; else to the decoder")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    frames, jobs, seed, pins = arguments.frames, arguments.jobs, arguments.seed, arguments.pins
    if frames < 1 or not 1 <= jobs <= frames:
        parser.error(f"--frames {frames} --jobs {jobs}, allowed are frames from 1 on and jobs from 1 to frames")
    SimulatedDevice(CONFIG, pins=pins).close()  # compiled once, before the processes start
    sources, began = sources_hash(), time.monotonic()
    shares = [frames // jobs + (job < frames % jobs) for job in range(jobs)]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(part, shares, range(seed, seed + jobs), [pins] * jobs))
    counts: Counter[str] = sum((each["counts"] for each in parts), Counter())
    problems = [each["problem"] for each in parts if each["problem"]]
    result = {
        "frames": counts["frames"],
        "hangs": sum("no reply" in problem for problem in problems),
        "accepted_with_bad_crc": counts["accepted with a bad CRC"],
        "differences": len(problems),
        "first_difference": problems[0] if problems else None,
        "accepted": counts["reply: OK"],
        "repeats_answered_again": counts["repeated requests"],
        "accepted_and_compared": counts["accepted and compared"],
        "states_compared": counts["states compared"],
        "device_clocks": sum(each["clocks"] for each in parts),
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
        "jobs": jobs,
        "pins": pins,
        "config": CONFIG.to_dict(),
        "config_hash": CONFIG.config_hash,
        "sources": sources,
        "counts": dict(sorted(counts.items())),
        "versions": {**versions(), "verilator": version_of("verilator")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.reliability.fuzz --frames {frames} --seed {seed} --jobs {jobs}" + " --pins" * pins,
    }
    print(json.dumps({key: result[key] for key in list(result)[:13]}, indent=2))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(arguments.json, result)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
