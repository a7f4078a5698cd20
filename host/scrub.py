"""Memory integrity: a device beside which a golden one runs along, so that a flipped bit is noticed, named and undone.

While it learns, a device changes its weights on its own, so what it should hold is known only to a model that has
executed the same requests. Here that is the golden model, equal to a whole device bit by bit: every request that
changes something goes to it as well. Every readout is compared with its own, and so is every word that is read back:
weights, the registers that can be written (filter constants and random generator among them), schedule, surrogate.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from solsa.contract import NetworkConfig
from solsa.contract.registers import Space, register_map
from solsa.contract.wire import Opcode

from .device import MODEL_TIMEOUT, AnyInts, Device
from .expected import StateLost
from .golden_device import GoldenDevice
from .transport import Transport
from .words import Ints, runs

#: Memories whose words count between two samples; all others are fresh when a sample begins.
CHECKED = (Space.WEIGHT, Space.SCHEDULE, Space.SURROGATE)


class Fault(NamedTuple):
    """A word that is not what it must be; ``post`` and ``pre`` are -1 where the word is no weight."""

    what: str
    layer: int
    post: int
    pre: int
    found: int
    expected: int

    def __str__(self) -> str:
        bits = (self.found ^ self.expected) & 0xFFFF_FFFF
        lowest = bits & -bits
        # A flipped sign bit comes extended over all bits above it.
        single = bits in (lowest, -lowest & 0xFFFF_FFFF)
        how = f" (bit {lowest.bit_length() - 1} flipped)" if single else ""
        return f"{self.what} is {self.found}, must be {self.expected}{how}"


class MemoryFault(StateLost):
    """The device holds words that it cannot have computed; its network has to be loaded again.

    Attributes
    ----------
    faults : list of Fault
        All of them; empty if only a readout was wrong.
    """

    def __init__(self, message: str, faults: list[Fault]) -> None:
        super().__init__(message)
        self.faults = faults


class ScrubbedDevice(Device):
    """A :class:`Device` whose memory is checked against a golden one that executes the same requests.

    Every method that reads checked words or readouts raises MemoryFault when they differ. The network has to be loaded
    through this object before.

    Attributes
    ----------
    found : list of MemoryFault
        All that were raised.
    """

    def __init__(
        self, transport: Transport, config: NetworkConfig, name: str, timeout: float = MODEL_TIMEOUT, **line: Any
    ) -> None:
        self.found: list[MemoryFault] = []
        self._golden = Device(GoldenDevice(config), config, "golden")
        self._writable = [entry.address for entry in register_map(config).values() if entry.writable]
        super().__init__(transport, config, name, timeout, **line)

    @property
    def _streams(self) -> bool:
        """Golden executes a sample when the device has: it would be behind what is read in between."""
        return False

    # -- requests that both execute -----------------------------------------------------------------------------------
    def load_words(self, space: Space, index: int, words: AnyInts) -> None:
        """Write words into an address space; any count."""
        super().load_words(space, index, words)
        self._golden.load_words(space, index, words)

    def write_register(self, register: str | int, value: int) -> None:
        """Write a register by address or dotted name."""
        super().write_register(register, value)
        self._golden.write_register(register, value)

    def run_sample(self, inputs: AnyInts, label: int | None = None, **how: Any) -> Ints:
        """Run one sample, see :meth:`Device.run_sample`; MemoryFault if its readout is not golden's."""
        scores = super().run_sample(inputs, label, **how)
        self._compare_readout(scores, self._golden.run_sample(inputs, label, **how))
        return scores

    def step(self, inputs: AnyInts, label: int | None = None, **how: Any) -> tuple[Ints, Ints]:
        """Run one step, see :meth:`Device.step`; MemoryFault if its readout is not golden's."""
        membranes, scores = super().step(inputs, label, **how)
        expected = self._golden.step(inputs, label, **how)
        self._compare_readout(np.concatenate([membranes, scores]), np.concatenate(expected))
        return membranes, scores

    # -- checks -------------------------------------------------------------------------------------------------------
    def scrub(self) -> None:
        """Read all checked words of the device and compare them; MemoryFault names the first that differs."""
        faults = self._faults()
        if faults:
            self._raise(faults)

    def read_weights(self) -> list[Ints]:
        """Weights, one array [M, N] per layer, after a check of everything else."""
        self._check_all_but_weights()
        return super().read_weights()

    def _check_all_but_weights(self) -> None:
        for space in CHECKED:
            if space is not Space.WEIGHT:
                self.read_words(space, 0, self._words[space])
        for start, end in runs(self._writable):
            self.read_words(Space.REGISTER, start, end - start)

    def _read(self, opcode: Opcode, space: Space, index: int, count: int) -> Ints:
        words = super()._read(opcode, space, index, count)
        if np.any(self._wrong(words, space, index)):
            self._raise(self._faults())
        return words

    def _wrong(self, words: Ints, space: Space, index: int) -> NDArray[np.bool_]:
        """Which of these words, read from ``index`` on, differ; bool [count]."""
        if space is Space.REGISTER:
            compared = np.isin(np.arange(index, index + len(words)), self._writable)
        else:
            compared = np.full(len(words), space in CHECKED)
        if not compared.any():
            return compared
        return compared & (words != self._golden.read_words(space, index, len(words)))

    def _faults(self) -> list[Fault]:
        """Every checked word that differs."""
        found = []
        parts = {space: [(0, self._words[space])] for space in CHECKED} | {Space.REGISTER: runs(self._writable)}
        for space, pieces in parts.items():
            for start, end in pieces:
                for index in range(start, end, self._max_words):
                    count = min(self._max_words, end - index)
                    words = super()._read(Opcode.STATE, space, index, count)
                    expected = self._golden.read_words(space, index, count)
                    for i in np.flatnonzero(self._wrong(words, space, index)).tolist():
                        found.append(self._fault(space, index + i, int(words[i]), int(expected[i])))
        return found

    def _fault(self, space: Space, index: int, found: int, expected: int) -> Fault:
        if space is Space.REGISTER:
            name = next(entry.name for entry in self._entries.values() if entry.address == index)
            return Fault(f"register {name}", -1, -1, -1, found, expected)
        position = int(self._positions[index]) if space is Space.WEIGHT else -1
        if position < 0:
            what = "padding word of the weights" if space is Space.WEIGHT else f"word of the {space.name.lower()} table"
            return Fault(f"{what}, {index}", -1, -1, -1, found, expected)
        layer = 0
        while position >= (size := self.config.post(layer) * self.config.pre(layer)):
            position, layer = position - size, layer + 1
        post, pre = divmod(position, self.config.pre(layer))
        return Fault(f"weight of layer {layer}, post {post}, pre {pre}", layer, post, pre, found, expected)

    def _compare_readout(self, found: Ints, expected: Ints) -> None:
        if np.array_equal(found, expected):
            return
        self.scrub()
        output = int(np.flatnonzero(found != expected)[0])
        self._raise(
            [], f"readout {output} of a sample is {found[output]}, must be {expected[output]}; no memory differs"
        )

    def _raise(self, faults: list[Fault], reason: str = "") -> None:
        more = f", and {len(faults) - 1} more words" if len(faults) > 1 else ""
        reason = reason or (f"{faults[0]}{more}" if faults else "a word was read wrong once, then right")
        fault = MemoryFault(f"memory of device {self.name}: {reason}", faults)
        self.found.append(fault)
        raise fault
