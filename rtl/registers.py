"""Register file: every register of contract/registers.py at its address, except those that live in other units."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from solsa.contract import LayerRegister, NetworkConfig, Register
from solsa.contract.registers import (
    MANTISSA_BITS,
    SHIFT_BITS,
    STOP_POINTS_BITS,
    SURROGATE_SHIFT_BITS,
    Entry,
    Space,
    a_address,
    lam_address,
    layer_address,
    register_map,
    space_words,
)
from solsa.contract.wire import Status

from .arith import shape_of
from .bus import STATUS_BITS
from .normalise import norm_ports


class RegisterFile(wiring.Component):
    """Programmable constants and their access by the host.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    more : dict, optional
        Further ports.
    """

    #: width of the counter of clocks
    CYCLE_BITS = 64

    def __init__(self, config: NetworkConfig, more: dict[str, wiring.Member] | None = None) -> None:
        self.config = config
        f, depth, groups = config.formats, config.depth, config.groups
        #: clocks since reset
        self.cycles = Signal(self.CYCLE_BITS)
        self.address_bits = bits_for(space_words(config)[Space.REGISTER])
        count = depth * groups
        reset = {e.name: e.reset for e in register_map(config).values()}

        def per_layer(name: str) -> list[int]:
            return [reset[f"layer{i}.{name}"] for i in range(depth)]

        super().__init__(
            {
                #: both stand from the clock before `write` or `take` on
                "address": In(self.address_bits),
                "value": In(32),
                #: one clock: write `value`; `status` tells in the same clock whether it is accepted
                "write": In(1),
                "status": Out(STATUS_BITS),
                #: one clock: the answer that the host will get is being taken
                "take": In(1),
                #: word at `address`, two clocks later
                "answer": Out(32),
                # constants
                "lam": Out(data.ArrayLayout(shape_of(f.decay), count)),
                "theta": Out(data.ArrayLayout(shape_of(f.threshold), depth), init=per_layer("theta")),
                "rho": Out(data.ArrayLayout(shape_of(f.threshold), depth), init=per_layer("rho")),
                "rate_mantissa": Out(data.ArrayLayout(unsigned(MANTISSA_BITS), depth)),
                "rate_shift": Out(data.ArrayLayout(unsigned(SHIFT_BITS), depth)),
                "adapt_mantissa": Out(data.ArrayLayout(unsigned(MANTISSA_BITS), depth)),
                "adapt_shift": Out(data.ArrayLayout(unsigned(SHIFT_BITS), depth)),
                "surrogate_shift": Out(SURROGATE_SHIFT_BITS),
                "a_min": Out(shape_of(f.decay)),
                "a_max": Out(shape_of(f.decay), init=reset["a_max"]),
                # state that other units hold
                "a": In(data.ArrayLayout(shape_of(f.adaptive), count)),
                "a_write": Out(1),
                "a_index": Out(max(1, (count - 1).bit_length())),
                "rng": In(32),
                "rng_write": Out(1),
                "fresh": In(2),
                "step": In(range(config.max_steps + 1)),
                "updates": In(32),
                # options
                "stop_margin": Out(shape_of(f.score)),
                "stop_points": Out(STOP_POINTS_BITS),
                "right": In(STOP_POINTS_BITS),
                "probe": Out(1),
                **(norm_ports(config) if config.normalise else {}),
                **(more or {}),
            }
        )

    def counters(self, latched_high: Value) -> dict[int, Value]:
        """Registers whose words stand in other units or count clocks, by address."""
        return {
            Register.CYCLES_LOW: self.cycles[:32],
            Register.CYCLES_HIGH: latched_high,
            Register.FRESH: self.fresh,
            Register.STEP: self.step,
            Register.UPDATES: self.updates,
            Register.RNG: self.rng,
            Register.RIGHT: self.right,
            **self.kept(),
        }

    def kept(self) -> dict[int, Value]:
        """Registers of options, which other units see all the time, by address."""
        return {
            Register.STOP_MARGIN: self.stop_margin,
            Register.STOP_POINTS: self.stop_points,
            Register.PROBE: self.probe,
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        depth, groups = config.depth, config.groups
        entries = register_map(config)
        cycles, latched_high = self.cycles, Signal(self.CYCLE_BITS - 32)
        m.d.sync += cycles.eq(cycles + 1)

        sources: dict[int, Value] = {
            **self.counters(latched_high),
            Register.SURROGATE_SHIFT: self.surrogate_shift,
            Register.A_MIN: self.a_min,
            Register.A_MAX: self.a_max,
        }
        for i in range(depth):
            sources[layer_address(i, LayerRegister.THETA)] = self.theta[i]
            sources[layer_address(i, LayerRegister.RHO)] = self.rho[i]
            sources[layer_address(i, LayerRegister.RATE_MANTISSA)] = self.rate_mantissa[i]
            sources[layer_address(i, LayerRegister.RATE_SHIFT)] = self.rate_shift[i]
            sources[layer_address(i, LayerRegister.ADAPT_MANTISSA)] = self.adapt_mantissa[i]
            sources[layer_address(i, LayerRegister.ADAPT_SHIFT)] = self.adapt_shift[i]
            for k in range(groups):
                sources[a_address(i, k)] = self.a[i * groups + k]
                sources[lam_address(i, k)] = self.lam[i * groups + k]
        if config.normalise:
            sources[Register.NORM_SHIFT] = self.norm_shift
            for i in range(depth):
                sources[layer_address(i, LayerRegister.NORM_REFERENCE)] = self.norm_reference[i]
                sources[layer_address(i, LayerRegister.NORM_LIMIT)] = self.norm_limit[i]
        elsewhere: dict[int, Value] = {Register.RNG: self.rng_write}
        for i in range(depth):
            for k in range(groups):
                elsewhere[a_address(i, k)] = self.a_write

        # First clock: which register, and whether it takes the value. Second clock: answer or write.
        which, accepted, status = Signal(range(len(entries) + 1)), Signal(), Signal(STATUS_BITS)
        ranges = dict.fromkeys((e.signed, e.low, e.high) for e in entries.values() if e.writable)
        inside = {limits: Signal(name=f"inside{i}") for i, limits in enumerate(ranges)}
        for entry in entries.values():
            if entry.writable:
                m.d.comb += inside[entry.signed, entry.low, entry.high].eq(accepts(entry, self.value))
        m.d.sync += [which.eq(len(entries)), accepted.eq(0), status.eq(Status.BAD_ADDRESS), self.a_index.eq(0)]
        with m.Switch(self.address):
            for number, (address, entry) in enumerate(entries.items()):
                with m.Case(address):
                    m.d.sync += which.eq(number)
                    if entry.writable:
                        fits = inside[entry.signed, entry.low, entry.high]
                        m.d.sync += [accepted.eq(fits), status.eq(Mux(fits, Status.OK, Status.BAD_VALUE))]
        for i in range(depth):
            for k in range(groups):
                with m.If(self.address == a_address(i, k)):
                    m.d.sync += self.a_index.eq(i * groups + k)

        m.d.comb += self.status.eq(status)
        with m.Switch(which):
            for number, (address, entry) in enumerate(entries.items()):
                with m.Case(number):
                    m.d.sync += self.answer.eq(sources.get(address, entry.reset))
                    if entry.writable:
                        with m.If(self.write & accepted):
                            if address in elsewhere:
                                m.d.comb += elsewhere[address].eq(1)
                            else:
                                m.d.sync += sources[address].eq(self.value)
                    if address == Register.CYCLES_LOW:
                        with m.If(self.take):  # both words of the counter from the same clock
                            m.d.sync += latched_high.eq(cycles[32:])
            with m.Default():
                m.d.sync += self.answer.eq(0)
        return m


def accepts(entry: Entry, value: Value) -> Value:
    """Whether a 32-bit word lies in the register's range."""
    full_low = -(1 << 31) if entry.signed else 0
    full_high = (1 << 31) - 1 if entry.signed else (1 << 32) - 1
    typed = value.as_signed() if entry.signed else value
    accepted: Value = Value.cast(1)
    if entry.low > full_low:
        accepted = accepted & (typed >= entry.low)
    if entry.high < full_high:
        accepted = accepted & (typed <= entry.high)
    return accepted
