"""What a device must hold after the requests that it has acknowledged, to tell after a lost connection whether it does.

A device that was only unplugged from the host goes on where it was. One that lost its power, ran requests of another
program, or is another one, differs in the registers that were written, in the steps of the sample, or in the number of
weight updates, which the host can count along: every one of them is a scheduled step of a request to learn.
"""

from __future__ import annotations

from collections.abc import Callable

from solsa.contract.registers import LAYER_WINDOW, Register, Space
from solsa.contract.wire import INFO_WORDS, RUN_HEADER, SPACE_HEADER, Opcode, RunFlag, space_header

from .transport import DeviceError
from .words import unpack_words

#: Sends a request and returns the payload of its reply.
Ask = Callable[[Opcode, bytes], bytes]
#: Registers that a read asks for at once: short enough for any device, and for a bad line.
_AT_ONCE = 8
_IDENTITY = (Register.MAGIC, Register.CONTRACT_VERSION, Register.CONFIG_HASH, Register.GEOMETRY)


class StateLost(DeviceError):
    """The device is back, but without the state that it had; what was read from it last has to be loaded again."""


class Expected:
    """Follows a session.

    Parameters
    ----------
    info : bytes
        Payload of the reply to INFO that began it.
    table : int
        Words of the schedule table; behind them lie those that probes change.
    """

    def __init__(self, info: bytes, table: int = 1 << 24) -> None:
        words = unpack_words(info[: len(info) // 4 * 4]).tolist()
        words += [0] * (INFO_WORDS - len(words))
        self._identity = [words[i] for i in _IDENTITY]
        #: None: not known until the device has been asked.
        self._updates: int | None = words[Register.UPDATES]
        self._step: int | None = words[Register.STEP]
        self._registers: dict[int, int] = {}
        self._table = table
        self._schedule: dict[int, int] = {}

    def note(self, opcode: int, payload: bytes) -> None:
        """Take a request that the device has acknowledged."""
        if opcode in (Opcode.WRITE, Opcode.LOAD):
            word = SPACE_HEADER.unpack_from(payload)[0]
            space, index = word & 0xFF, word >> 8
            values = unpack_words(payload[SPACE_HEADER.size :]).tolist()
            if space == Space.REGISTER and index != Register.RNG and not Register.A <= index < Register.LAM:
                self._registers[index] = values[0]
            elif space == Space.SCHEDULE:
                self._schedule |= {index + i: v & 1 for i, v in enumerate(values) if index + i < self._table}
        elif opcode in (Opcode.STEP, Opcode.RUN, Opcode.STREAM):
            flags, _, steps = RUN_HEADER.unpack_from(payload)
            if flags & RunFlag.RESET:
                self._step = 0
            if flags & RunFlag.LEARN:
                self._updates = self._updates_after(steps)
            if self._step is not None:
                self._step += steps

    def _updates_after(self, steps: int) -> int | None:
        if self._registers.get(Register.PROBE):
            return self._updates
        if self._updates is None or self._step is None or not self._schedule:
            return None
        if self._registers.get(Register.STOP_POINTS):  # only the device knows when a sample stops
            return None
        # A step behind the table is never scheduled.
        return self._updates + sum(self._schedule.get(t, 0) for t in range(self._step, self._step + steps))

    def check(self, ask: Ask, name: str) -> None:
        """Compare with the device.

        Raises
        ------
        StateLost
            If it holds something else. What it holds is what is expected from now on.
        DeviceError
            If it is another device.
        """

        def read(start: int, count: int) -> list[int]:
            reply = ask(Opcode.READ, space_header(Space.REGISTER, start) + bytes([count]))
            if len(reply) != 4 * count:
                raise DeviceError(f"device {name} sent {len(reply)} bytes for {count} registers")
            return [int(word) for word in unpack_words(reply)]

        head = read(0, INFO_WORDS)
        if [head[i] for i in _IDENTITY] != self._identity:
            raise DeviceError(f"device {name} was lost, and another device answers in its place")
        reason = None
        if self._step is not None and self._schedule:
            step = min(self._step, max(self._schedule) + 1)  # it stops at the end of the schedule table
            if head[Register.STEP] != step:
                reason = f"it is at step {head[Register.STEP]} of a sample, not {step}"
        if self._updates is not None and (head[Register.UPDATES] - self._updates) & 0xFFFFFFFF:
            reason = f"it has counted {head[Register.UPDATES]} weight updates, not {self._updates}"
        for start in sorted({index - index % _AT_ONCE for index in self._registers}):
            for index, found in enumerate(read(start, _AT_ONCE), start):
                if index in self._registers and found != self._registers[index]:
                    reason = f"register 0x{index:03x} is {found}, not {self._registers[index]}"
        if reason is None:
            return
        self._registers.clear()
        self._schedule.clear()
        self._updates, self._step = head[Register.UPDATES], head[Register.STEP]
        raise StateLost(f"device {name} is back, but has lost its state: {reason}")


assert LAYER_WINDOW % _AT_ONCE == 0  # reads of register windows stay inside the space
