"""A lane's bank of synapse words: one read and one write per clock; the word read is out two clocks after its address.

The second of these clocks is a register right behind the memory, where ECP5 has one inside its block RAM
(boards/hard_registers.py). Depths between powers of two are split into memories of a power of two each, so that few
gates and no memory of the tools' making stand between the registers and the multipliers.

Block RAM has two ports. Single-port RAM (the UP5K's SPRAM) has one: the bank is then two memories, even and odd
addresses. A sweep that writes visits addresses in order and writes each word READ_TO_WRITE clocks after it was read; as
that is an odd number, the write always falls on the memory that is not being read, and the lane keeps its synapse per
clock. The sequencer issues such a slot only in the clock of its address's parity (rtl/sequencer.py), so that a wait
between two slots cannot break this.
"""

from __future__ import annotations

from amaranth.hdl import Array, C, Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from solsa.contract import BankKind

#: Stages L0 to L5 (rtl/beat.py).
READ_TO_WRITE = 5
#: Least words of a memory that a bank is split into: those of a block RAM at its widest.
SEGMENT = 512
#: Words and bits of one SB_SPRAM256KA.
SPRAM_DEPTH, SPRAM_WIDTH = 1 << 14, 16
#: Device of the platforms that have it.
SPRAM_DEVICE = "iCE40UP5K"


class Bank(wiring.Component):
    """Synapse words of a lane.

    Parameters
    ----------
    kind : BankKind
        Memory to use.
    layout : StructLayout
        Word; each field lies in a memory of its own with ``SINGLE_PORT``.
    depth : int
        Words.
    """

    def __init__(self, kind: BankKind, layout: data.StructLayout, depth: int) -> None:
        self.kind, self.layout, self.depth = kind, layout, max(2, depth)
        address_bits = bits_for(self.depth - 1)
        super().__init__(
            {
                #: L0
                "read_address": In(address_bits),
                #: L2
                "read_word": Out(layout),
                #: L5
                "write": In(1),
                "write_address": In(address_bits),
                "write_word": In(layout),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.kind is BankKind.SINGLE_PORT:
            self._halves(m, platform)
            return m
        parts, start, width = segments(self.depth), 0, self.layout.size
        chosen, chosen2, words = Signal(range(len(parts))), Signal(range(len(parts))), []
        m.d.sync += chosen2.eq(chosen)
        for i, length in enumerate(parts):
            memory = Memory(shape=unsigned(width), depth=length, init=[])
            m.submodules["memory" if len(parts) == 1 else f"memory{i}"] = memory
            read, write = memory.read_port(), memory.write_port()
            word = Signal(width, name=f"word{i}", reset_less=True)
            end = start + length
            m.d.sync += word.eq(read.data)
            m.d.comb += [
                read.addr.eq(self.read_address),
                write.en.eq(self.write & _within(self.write_address, start, end, self.depth)),
                write.addr.eq(self.write_address),
                write.data.eq(self.write_word),
            ]
            with m.If(_within(self.read_address, start, end, self.depth)):
                m.d.sync += chosen.eq(i)
            words.append(word)
            start = end
        m.d.comb += self.read_word.eq(Array(words)[chosen2])
        return m

    def _halves(self, m: Module, platform: object) -> None:
        assert READ_TO_WRITE % 2 == 1
        odd = Signal()
        m.d.sync += odd.eq(self.read_address[0])
        words = []
        for half in range(2):
            half_depth = max(2, (self.depth + 1 - half) // 2)
            write = Signal(name=f"write{half}")
            address = Signal(range(half_depth), name=f"address{half}")
            m.d.comb += [
                write.eq(self.write & (self.write_address[0] == half)),
                address.eq(Mux(write, self.write_address, self.read_address)[1:]),
            ]
            fields = [
                _single_port(
                    m, platform, f"half{half}_{name}", half_depth, write, address, Value.cast(self.write_word[name])
                )
                for name, _ in self.layout
            ]
            words.append(Cat(*fields))
        m.d.sync += self.read_word.eq(Mux(odd, words[1], words[0]))


def segments(depth: int) -> list[int]:
    """Depths of the memories that a bank is made of, the largest first."""
    if depth <= SEGMENT:
        return [depth]
    rest = -(-depth // SEGMENT) * SEGMENT
    parts = []
    while rest:
        parts.append(1 << (rest.bit_length() - 1))
        rest -= parts[-1]
    # the last one as deep as is needed
    return [*parts[:-1], depth - sum(parts[:-1])]


def place(depth: int, address: int) -> tuple[str, int]:
    """Memory of a bank of DUAL_PORT that holds a word, and its address there."""
    parts = segments(max(2, depth))
    starts = [sum(parts[:i]) for i in range(len(parts))]
    index = max(i for i, start in enumerate(starts) if start <= address)
    return "memory" if len(parts) == 1 else f"memory{index}", address - starts[index]


def _within(address: Value, start: int, end: int, depth: int) -> Value:
    """Whether an address below ``depth`` lies from ``start`` to before ``end``; both are 0, or multiples of SEGMENT."""
    above = address >= start if start else C(1)
    return above & (address < end) if end < depth else above


def _single_port(
    m: Module, platform: object, name: str, depth: int, write: Signal, address: Signal, value: Value
) -> Value:
    """One memory with one port; the word out is only meaningful after a clock without a write."""
    if getattr(platform, "device", None) == SPRAM_DEVICE:
        assert depth <= SPRAM_DEPTH
        assert len(value) <= SPRAM_WIDTH
        out = Signal(SPRAM_WIDTH, name=f"{name}_out")
        m.submodules[name] = Instance(
            "SB_SPRAM256KA",
            i_CLOCK=ClockSignal(),
            i_ADDRESS=Cat(address, Const(0, 14))[:14],
            i_DATAIN=Cat(value, Const(0, SPRAM_WIDTH))[:SPRAM_WIDTH],
            i_MASKWREN=Const(0xF, 4),
            i_WREN=write,
            i_CHIPSELECT=Const(1),
            i_STANDBY=Const(0),
            i_SLEEP=Const(0),
            i_POWEROFF=Const(1),  # active low
            o_DATAOUT=out,
        )
        return out[: len(value)]
    memory = Memory(shape=unsigned(len(value)), depth=depth, init=[])
    m.submodules[name] = memory
    read_port, write_port = memory.read_port(), memory.write_port()
    m.d.comb += [
        read_port.addr.eq(address),
        read_port.en.eq(~write),
        write_port.addr.eq(address),
        write_port.en.eq(write),
        write_port.data.eq(value),
    ]
    return read_port.data
