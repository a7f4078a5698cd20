"""Register file of the serial unit: constants lie in a memory that its programs read, not in flip-flops."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig, Register
from solsa.contract.registers import MANTISSA_BITS, Entry, a_address, register_map
from solsa.contract.wire import Status

from .registers import RegisterFile, accepts

_DEPTH = 1 << 9


def constant_bits(config: NetworkConfig) -> int:
    """Bits of a constant as the programs see it, signed."""
    return max(MANTISSA_BITS + 1, config.formats.threshold.width)


class SerialRegisters(RegisterFile):
    """Same registers as :class:`~solsa.rtl.registers.RegisterFile`; constants leave through a memory port."""

    #: eight days at 24 MHz: the counter of a small chip wraps sooner
    CYCLE_BITS = 44

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(
            config,
            {
                #: while a step runs: address of a constant, word one clock later
                "busy": In(1),
                "constant_read": In(1),
                "constant_address": In(range(_DEPTH)),
                "constant": Out(signed(constant_bits(config))),
            },
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, entries = self.config, register_map(self.config)
        a_words = {a_address(i, k): i * config.groups + k for i in range(config.depth) for k in range(config.groups)}
        cycles, latched_high = self.cycles, Signal(self.CYCLE_BITS - 32)
        m.d.sync += cycles.eq(cycles + 1)
        special: dict[int, Value] = {
            **self.counters(latched_high),
            **{address: self.a[index] for address, index in a_words.items()},
        }
        special = {address: source for address, source in special.items() if address in entries}
        init = [0] * _DEPTH
        for address, entry in entries.items():
            init[address] = entry.reset & 0xFFFFFFFF
        m.submodules.words = words = Memory(shape=unsigned(32), depth=_DEPTH, init=init)
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            read.addr.eq(Mux(self.busy, self.constant_address, self.address)),
            read.en.eq(~self.busy | self.constant_read),
            self.constant.eq(read.data),
            write.addr.eq(self.address),
            write.data.eq(self.value),
        ]

        m.d.comb += self.status.eq(Status.BAD_ADDRESS)
        # Registers with the same range share a comparison.
        kinds: dict[tuple[int, int, bool], list[Entry]] = {}
        for entry in entries.values():
            if entry.writable:
                kinds.setdefault((entry.low, entry.high, entry.signed), []).append(entry)
        accepted = Signal()
        with m.Switch(self.address):
            for same in kinds.values():
                with m.Case(*[entry.address for entry in same]):
                    m.d.comb += [
                        accepted.eq(accepts(same[0], self.value)),
                        self.status.eq(Mux(accepted, Status.OK, Status.BAD_VALUE)),
                    ]
        valid = Signal()
        m.d.sync += valid.eq(0)
        with m.Switch(self.address):
            with m.Case(*[address for address in entries if address not in special]):
                m.d.sync += valid.eq(1)
        chosen = Signal(32)
        m.d.sync += chosen.eq(0)
        with m.Switch(self.address):
            for address, source in special.items():
                with m.Case(address):
                    m.d.sync += chosen.eq(source)
        m.d.comb += self.answer.eq(Mux(valid, read.data, chosen))

        with m.Switch(self.address):
            with m.Case(*a_words):
                m.d.comb += self.a_write.eq(self.write & accepted)
            with m.Case(Register.RNG):
                m.d.comb += self.rng_write.eq(self.write & accepted)
            for address, kept in self.kept().items():
                if address in entries:
                    with m.Case(address), m.If(self.write & accepted):
                        m.d.sync += kept.eq(self.value)
            with m.Default():
                m.d.comb += write.en.eq(self.write & accepted)
        for address, index in a_words.items():
            with m.If(self.address == address):
                m.d.comb += self.a_index.eq(index)
        with m.If(self.take & (self.address == Register.CYCLES_LOW)):  # both words from the same clock
            m.d.sync += latched_high.eq(cycles[32:])
        return m
