"""Stimuli of the coverage run: what drives core and device so that every bit that can change changes.

The core runs beside the golden model, so what is covered is also compared. The device gets requests of every kind,
right and wrong, damaged frames and noise on its line.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cobs import cobs

from solsa.contract import BankKind, Layout, NetworkConfig, NeuronUnit, Parameters, Readout, Space
from solsa.contract.registers import WRITABLE_SPACES, Entry, register_map, space_words
from solsa.contract.wire import (
    INFO_WORDS,
    PLAIN,
    RUN_HEADER,
    Opcode,
    Reply,
    Request,
    RunFlag,
    Status,
    max_steps,
    max_words,
    pack_request,
    space_header,
    unpack_reply,
)
from solsa.rtl.core import Core
from solsa.rtl.top import Device

from .compiled import CompiledCore, core_header
from .device import SimulatedDevice
from .lockstep import Lockstep, load_core
from .random_networks import INPUT_STYLES, LEARN_STYLES, Sample, layer_weights, make_parameters, stimulate
from .records import Ints
from .toggle_build import build_covered


@dataclass(frozen=True)
class Run:
    """One build and how long it is driven.

    Attributes
    ----------
    name : str
        For messages.
    config : NetworkConfig
        What is built.
    rounds : int
        Times that everything is programmed anew.
    divisor : int, optional
        Clocks per bit of the serial line: the complete device. Without, the core alone.
    """

    name: str
    config: NetworkConfig
    rounds: int
    divisor: int | None = None


#: Steps per round.
STEPS = 30
#: Layers one neuron above a power of two, so that the top bit of an index is used; layers with fewer posts than groups,
#: ragged blocks, more and fewer lanes than groups; a fast and a slow serial line.
RUNS = (
    Run("membrane", NetworkConfig(layers=(35, 33, 34), lanes=4, groups=4, max_steps=16), 10),
    Run("spike", NetworkConfig(layers=(7, 11, 16, 17), lanes=2, groups=8, max_steps=8, readout=Readout.SPIKE), 18),
    Run("target", NetworkConfig(layers=(6, 2, 9), lanes=8, groups=8, max_steps=16, readout=Readout.TARGET), 24),
    Run("serial", NetworkConfig(layers=(9, 17, 6), lanes=1, groups=2, max_steps=8, neuron_unit=NeuronUnit.SERIAL,
        bank=BankKind.SINGLE_PORT), 8),
    Run("serial-spike", NetworkConfig(layers=(9, 17, 6), lanes=2, groups=4, max_steps=8, readout=Readout.SPIKE,
        neuron_unit=NeuronUnit.SERIAL, bank=BankKind.SINGLE_PORT), 8),
    Run("device", NetworkConfig(layers=(3, 7, 3), lanes=2, groups=2, max_steps=16, frame_bytes=512), 2, divisor=4),
    Run("device-target", NetworkConfig(layers=(4, 3), lanes=1, max_steps=4, frame_bytes=256, readout=Readout.TARGET), 1,
        divisor=7),
)  # fmt: skip


def drive(run: Run, seed: int, scale: float = 1.0) -> tuple[str, dict[str, int]]:
    """Build and drive a run; returns the coverage file's text, and what was done in numbers."""
    rng = np.random.default_rng([seed, run.config.synapses])
    rounds = max(1, round(run.rounds * scale))
    if run.divisor is None:
        core = CompiledCore(run.config, built=build_covered("core", _core(run.config), core_header(run.config)))
        done = _drive_core(core, run.config, rounds, rng)
        text = _counters(core._library)
        core.close()
        return text, done
    header = f"#pragma once\nconstexpr int DIVISOR = {run.divisor};\n"
    divisor = run.divisor
    path = build_covered("device", lambda: Device(run.config, divisor=divisor), header)
    device = SimulatedDevice(run.config, built=path, silence=20_000)
    done = Traffic(device, run.config, rng).drive(rounds)
    text = _counters(device._library)
    device.close()
    return text, done


def _core(config: NetworkConfig) -> Callable[[], Core]:
    return lambda: Core(config, observe=True)


def _counters(library: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.dat"
        library.coverage_write(ctypes.c_char_p(str(path).encode()))
        return path.read_text(encoding="latin-1")


# -- core --------------------------------------------------------------------------------------------------------------
def _drive_core(core: CompiledCore, config: NetworkConfig, rounds: int, rng: np.random.Generator) -> dict[str, int]:
    """Rounds of new parameters and weights in lockstep with the golden model; bus accesses between them."""
    lockstep: Lockstep | None = None
    for number in range(rounds):
        parameters = _parameters(config, rng, number)
        weights = _weights(config, rng, number)
        if lockstep is None:
            lockstep = Lockstep(config, parameters, weights, core)
        else:
            load_core(core, config, parameters, weights)
            _load_golden(lockstep, parameters, weights)
        plan = tuple(
            Sample(int(rng.integers(2, 13)), str(rng.choice(INPUT_STYLES)), str(rng.choice(LEARN_STYLES)),
                   bool(rng.random() < 0.7), reset=bool(rng.random() < 0.8) or i == 0) for i in range(6)
        )  # fmt: skip
        for one in stimulate(config, plan, int(rng.integers(1 << 31)), STEPS):
            if found := lockstep.step(one):
                raise RuntimeError(f"coverage run: {found}")
        _bus(core, config, rng)
    assert lockstep is not None
    return {"rounds": rounds, "steps": lockstep.steps, "words_compared": lockstep.words}


def _load_golden(lockstep: Lockstep, parameters: Parameters, weights: list[Ints]) -> None:
    """The same words into the golden model that ``load_core`` writes; all other state stays as it is."""
    golden = lockstep.golden
    golden.set_parameters(parameters)
    golden.load_weights(weights)
    golden.state.rng = parameters.rng
    for layer, row in zip(golden.state.layers, parameters.a, strict=True):
        layer.a[:] = row


def _parameters(config: NetworkConfig, rng: np.random.Generator, number: int) -> Parameters:
    """In turn: working networks, anything that registers can hold, and slow filters that saturate all traces."""
    f = config.formats
    made = make_parameters(config, rng, extreme=number % 3 == 0)
    if number % 3 == 1:
        return made
    depth, groups = config.depth, config.groups

    def row(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(v) for v in rng.integers(low, high + 1, depth))

    def rates() -> tuple[tuple[int, int], ...]:
        return tuple(zip(row(0, 65535), row(0, 31 if number % 2 else 8), strict=True))

    slow = number % 3 == 2
    constants = {
        name: tuple(tuple(int(v) for v in rng.integers(fmt.max - (fmt.max >> 6) if slow else 0, fmt.max + 1, groups))
                    for _ in range(depth)) for name, fmt in (("a", f.adaptive), ("lam", f.decay))
    }  # fmt: skip
    top = f.threshold.max if not slow else f.threshold.one
    low, high = sorted(int(v) for v in rng.integers(0, f.decay.max + 1, 2))
    return made.with_(
        theta=row(-top, top), rho=row(0, top), rate=rates(), adapt_rate=rates(), a_min=low, a_max=high,
        surrogate_shift=int(rng.integers(32)) if number % 2 else f.membrane.frac - 2,
        schedule=tuple(int(v) for v in np.flatnonzero(rng.random(config.max_steps) < 0.7)), **constants,
    )  # fmt: skip


def _weights(config: NetworkConfig, rng: np.random.Generator, number: int) -> list[Ints]:
    """Random weights; in some rounds every weight at one end, so that sums reach theirs."""
    style = ("uniform", "mild", "high", "low", "spiky", "ends")[number % 6]
    return [layer_weights(config, layer, rng, style) for layer in range(config.depth)]


def _bus(core: CompiledCore, config: NetworkConfig, rng: np.random.Generator) -> None:
    """Reads anywhere, writes of every kind; what is written is written again by the next round."""
    words = space_words(config)
    for space, count in words.items():
        for index in {0, count - 1, *(int(v) for v in rng.integers(0, count, 12))}:
            core.read(space, index)
    # eps counts as zero after the sample reset with which a round begins
    for index in rng.integers(0, words[Space.TRACE], 12):
        core.write(Space.TRACE, int(index), int(rng.integers(1 << 32)))
    for entry in register_map(config).values():
        core.write(Space.REGISTER, entry.address, _any_value(entry, rng))
    core.write(Space.REGISTER, int(rng.integers(words[Space.REGISTER])), int(rng.integers(1 << 32)))


def _any_value(entry: Entry, rng: np.random.Generator) -> int:
    """Mostly an allowed value, else any."""
    if rng.random() < 0.8:
        return int(rng.integers(entry.low, entry.high + 1))
    return int(rng.integers(1 << 32))


# -- device ------------------------------------------------------------------------------------------------------------
class Traffic:
    """A host that sends everything that the wire allows, and much that it does not."""

    def __init__(self, device: SimulatedDevice, config: NetworkConfig, rng: np.random.Generator) -> None:
        self.device, self.config, self.rng = device, config, rng
        self.words = space_words(config)
        self.sequence = 0
        self.requests = self.damaged = 0

    def drive(self, rounds: int) -> dict[str, int]:
        """Rounds of everything."""
        for number in range(rounds):
            self._load(number)
            self._samples(number)
            self._read()
            # no byte is zero: the longest blocks that COBS has
            self._fill(Space.WEIGHT, np.full(self.words[Space.WEIGHT], -1))
            self._read()
            self._wrong()
            self._noise()
        return {"rounds": rounds, "requests": self.requests, "damaged_frames": self.damaged}

    def request(self, opcode: int, payload: bytes = b"", *, wanted: Status | None = Status.OK) -> Reply:
        """Send a request and take its reply; RuntimeError for another status than ``wanted`` (None: any)."""
        self.sequence = self.sequence % 255 + 1
        return self._send(pack_request(Request(self.sequence, opcode, payload)), wanted)

    def _send(self, frame: bytes, wanted: Status | None) -> Reply:
        self.requests += 1
        self.device.send(cobs.encode(frame) + b"\0")
        got = self.device.receive(1.0)
        if not got:
            raise RuntimeError(f"coverage run: no reply to request {frame[:8].hex()}")
        reply = unpack_reply(cobs.decode(got[:-1]))
        if wanted is not None and reply.status != wanted:
            raise RuntimeError(f"coverage run: opcode {frame[1]}: status {reply.status}, expected {wanted}")
        return reply

    def _load(self, number: int) -> None:
        rng, config = self.rng, self.config
        parameters, weights = _parameters(config, rng, number), _weights(config, rng, number)
        for address, value in (*parameters.constant_words(), *parameters.start_words()):
            self._write(address, value)
        for entry in register_map(config).values():
            if entry.writable and "lam" not in entry.name:
                self._write(entry.address, int(rng.integers(entry.low, entry.high + 1)))
        layout, lanes = Layout(config), config.lanes
        flat = np.zeros(self.words[Space.WEIGHT], dtype=np.int64)
        for i in range(config.depth):
            for post in range(config.post(i)):
                for pre in range(config.pre(i)):
                    lane, at = layout.synapse_address(i, post, pre)
                    flat[at * lanes + lane] = weights[i][post, pre]
        self._fill(Space.WEIGHT, flat)
        self._fill(Space.TRACE, rng.integers(-(1 << 31), 1 << 31, self.words[Space.TRACE]))
        self._fill(Space.SURROGATE, np.array(parameters.surrogate))
        self._fill(Space.SCHEDULE, (rng.random(self.words[Space.SCHEDULE]) < 0.7).astype(np.int64))

    def _write(self, address: int, value: int) -> None:
        self.request(Opcode.WRITE, space_header(0, address) + (value & 0xFFFFFFFF).to_bytes(4, "little"))

    def _fill(self, space: Space, words: Ints) -> None:
        most = max_words(self.config.frame_bytes)
        for start in range(0, len(words), most):
            part = (words[start : start + most] & 0xFFFFFFFF).astype("<u4").tobytes()
            self.request(Opcode.LOAD, space_header(space, start) + part)

    def _step_bytes(self, count: int, style: int) -> bytes:
        size = count * self.config.step_bytes
        if style == 1:
            return bytes(size)
        data = self.rng.integers(1 if style == 2 else 0, 256, size)
        return bytes(data.astype(np.uint8))

    def _samples(self, number: int) -> None:
        rng, c = self.rng, self.config
        most = max_steps(c.frame_bytes, c.step_bytes)
        for sample in range(8):
            flags = int(rng.integers(16)) if sample else int(RunFlag.RESET | RunFlag.LEARN | RunFlag.ADAPT)
            steps = most if sample == 1 else int(rng.integers(1, min(most, 24) + 1))
            label = int(rng.integers(c.outputs)) if flags & RunFlag.LEARN else int(rng.integers(1 << 16))
            if c.readout is Readout.TARGET:
                label = int(rng.integers(1 << 16))
            header = RUN_HEADER.pack(flags, label, steps)
            self.request(Opcode.RUN, header + self._step_bytes(steps, sample % 3))
            self.request(Opcode.STEP, RUN_HEADER.pack(flags & 7, label, 1) + self._step_bytes(1, number % 3))

    def _read(self) -> None:
        self.request(Opcode.INFO)
        most = max_words(self.config.frame_bytes)
        for space, count in self.words.items():
            for start in range(0, count, most):
                part = min(most, count - start)
                self.request(Opcode.STATE, space_header(space, start) + bytes([part]))
        self.request(Opcode.READ, space_header(0, 0) + bytes([INFO_WORDS]))

    def _wrong(self) -> None:
        """Requests that the device must refuse, and any that it may."""
        rng, c = self.rng, self.config
        for opcode in (0, 8, 0x7F, 0xFF, *(int(v) for v in rng.integers(8, 256, 8))):
            self.request(opcode, wanted=Status.BAD_OPCODE)
        for opcode in PLAIN:
            for size in (0, 1, 4, 7, 9, int(rng.integers(c.frame_bytes - 6))):
                payload = bytes(rng.integers(0, 256, size).astype(np.uint8))
                if opcode in (Opcode.WRITE, Opcode.LOAD):  # nothing is written by chance
                    payload = b"\x0f" + payload[1:]
                self.request(opcode, payload, wanted=None)
        for space in range(16):
            for index in (0, (1 << 24) - 1, 1 << int(rng.integers(24))):
                for count in (0, 1, 255):
                    self.request(Opcode.STATE, space_header(space, index) + bytes([count]), wanted=None)
                if space not in WRITABLE_SPACES or index:
                    self.request(Opcode.LOAD, space_header(space, index) + bytes(8), wanted=None)
        if c.readout is not Readout.TARGET:
            header = RUN_HEADER.pack(RunFlag.LEARN, c.outputs, 1)
            self.request(Opcode.RUN, header + self._step_bytes(1, 0), wanted=Status.BAD_VALUE)
        self.request(Opcode.RUN, RUN_HEADER.pack(0, 0, 0xFFFF) + self._step_bytes(1, 0), wanted=Status.BAD_LENGTH)
        # a repeated request gets the stored reply; sequence number 0 always executes
        for _ in range(3):
            self._send(pack_request(Request(0, Opcode.INFO, b"")), Status.OK)
        again = pack_request(Request(77, Opcode.INFO, b""))
        if self._send(again, Status.OK) != self._send(again, Status.OK):
            raise RuntimeError("coverage run: a repeated request gets another reply")
        for address in (*register_map(c), 0x3F, 0x1FF):
            words = b"".join(int(v).to_bytes(4, "little") for v in rng.integers(0, 1 << 32, 1))
            self.request(Opcode.WRITE, space_header(0, address) + words, wanted=None)

    def _noise(self) -> None:
        """Damaged frames, frames of every length, broken bytes."""
        rng, silence = self.rng, self.device._silence
        self.device._silence = 2_000  # nothing here takes long, and most of it has no reply
        for size in (0, 1, 3, 5, 254, 255, self.config.frame_bytes, self.config.frame_bytes + 9, 300):
            body = rng.integers(1, 256, size).astype(np.uint8)
            frame = cobs.encode(bytes(body)) + b"\0"
            if size == 5:
                frame = bytes([9, 1, 2, 0])  # a delimiter inside a block
            self.damaged += 1
            self.device.send(frame)
            self.device.receive(1.0)
            self.device.receive(1.0)
        self.device.send(bytes([0, 0, 0]))
        self.device.receive(1.0)
        for clocks in (1, 2, 3, 40, 400):
            self.device.hold_low(clocks)
            self.device.receive(1.0)
        # A delimiter ends what the line made of the noise.
        self.device.send(bytes([0]))
        self.device.receive(1.0)
        # Two requests without waiting: the second arrives while the first is held.
        one = cobs.encode(pack_request(Request(0, Opcode.INFO, b""))) + b"\0"
        self.device.send(one + one)
        while self.device.receive(1.0):
            pass
        self.device._silence = silence
