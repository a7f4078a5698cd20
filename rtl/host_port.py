"""Host access to the memories of an idle core, one word at a time."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig, NeuronField, Space
from solsa.contract.wire import Status

from .arith import by_index, shape_of
from .beat import Geometry, Mode
from .bus import STATUS_BITS, HostBus

#: Clocks from the beat's entry (c2) until a synapse word stands at lane 0's end of the unload chain (R7).
CHAIN_LATENCY = 8
#: Clocks until a written word has landed.
WRITE_LATENCY = 10
#: Clocks until a register or memory has been addressed and its word stands in front of the selection; with the serial
#: unit one less (rtl/core.py).
READ_LATENCY = 4
#: Clocks of the selection: register in front of it, field of a neuron or group, space.
SELECT_LATENCY = 2


class HostPort(wiring.Component):
    """Turns bus accesses into beats and memory addresses.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    data_bits : int
        Width of the word that a beat carries to the lanes.
    """

    def __init__(self, config: NetworkConfig, data_bits: int) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        f = config.formats
        super().__init__(
            {
                "bus": In(HostBus()),
                "core_idle": In(1),
                # synapses
                "beat_valid": Out(1),
                "beat_mode": Out(Mode),
                "beat_address": Out(g.address_bits),
                "beat_data": Out(signed(data_bits)),
                "lane": Out(g.lane_bits),
                "padding": Out(config.lanes),
                "trace": Out(1),
                "chain": In(signed(g.chain_bits)),
                # register file
                "register_write": Out(1),
                "register_take": Out(1),
                "register_status": In(STATUS_BITS),
                "register_answer": In(32),
                # memories: `index` addresses them all
                "filter_words": In(data.ArrayLayout(shape_of(f.trace), g.layout.filter_banks)),
                "neuron_word": In(g.neuron_layout()),
                "schedule_word": In(32 if config.probe else 1),
                "schedule_write": Out(1),
                "surrogate_word": In(max(f.surrogate.width, f.mean_error.width if config.normalise else 0)),
                "surrogate_write": Out(1),
                "score_word": In(shape_of(f.score)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, config = self.geometry, self.config
        bus = self.bus
        is_trace = bus.space == Space.TRACE
        synapse = is_trace | (bus.space == Space.WEIGHT)
        address = bus.index >> g.lane_shift
        # The lanes look at lane and padding when the beat arrives, long after the bus has settled.
        padding = Signal(config.lanes)
        m.d.sync += [self.trace.eq(is_trace), self.lane.eq(bus.index[: g.lane_shift]), self.padding.eq(padding)]
        m.d.comb += [
            self.beat_address.eq(address),
            self.beat_data.eq(bus.data),
            self.beat_mode.eq(Mux(bus.write, Mux(is_trace, Mode.WRITE_TRACE, Mode.WRITE_WEIGHT), Mode.READ)),
        ]
        # Lanes without a post in a ragged last block keep zero.
        for layer in range(config.depth):
            if g.ragged[layer] == config.lanes:
                continue
            end = g.layout.synapse_base[layer] + g.blocks[layer] * g.pres[layer]
            inside = Signal(name=f"inside{layer}")
            m.d.sync += inside.eq((address >= end - g.pres[layer]) & (address < end))
            for p in range(g.ragged[layer], config.lanes):
                with m.If(inside):
                    m.d.comb += padding[p].eq(1)

        # Selected in steps, because block RAM is slow to answer: a register behind each source, field or bank, space.
        answer = Signal(32)
        neuron, filters = Signal(g.neuron_layout()), Signal(self.filter_words.shape())
        chain, register, schedule = Signal.like(self.chain), Signal(32), Signal.like(self.schedule_word)
        surrogate, score = Signal.like(self.surrogate_word), Signal.like(self.score_word)
        # a small chip has no flip-flops to spare, and a slower clock
        domain = m.d.comb if config.serial else m.d.sync
        # The unload chain moves on in every clock: its word must be met in the very one.
        chain_latency = CHAIN_LATENCY - config.serial + config.relay
        write_latency = WRITE_LATENCY + config.relay
        domain += [
            neuron.eq(self.neuron_word),
            filters.eq(self.filter_words),
            chain.eq(self.chain),
            register.eq(self.register_answer),
            schedule.eq(self.schedule_word),
            surrogate.eq(self.surrogate_word),
            score.eq(self.score_word),
        ]
        fields = [Signal(signed(32), name=f"field{i}") for i in range(8)]
        for name in NeuronField:
            m.d.comb += fields[name].eq(neuron[name.name.lower()])
        bank_bits = g.layout.filter_banks.bit_length() - 1
        short, long = Signal(signed(33)), Signal(signed(32))
        with m.Switch(bus.space):
            with m.Case(Space.WEIGHT, Space.TRACE):
                m.d.sync += short.eq(chain)
            with m.Case(Space.FILTER):
                m.d.sync += short.eq(by_index(m, bus.index[:bank_bits], list(filters), "filter_word"))
            with m.Case(Space.SCHEDULE):
                m.d.sync += short.eq(schedule)
            with m.Case(Space.SURROGATE):
                m.d.sync += short.eq(surrogate)
            with m.Case(Space.SCORE):
                m.d.sync += short.eq(score)
            with m.Default():
                m.d.sync += short.eq(register)
        m.d.sync += long.eq(by_index(m, bus.index[:3], fields, "neuron_field"))
        m.d.comb += answer.eq(Mux(bus.space == Space.NEURON, long, short))
        m.d.sync += bus.done.eq(0)

        wait = Signal(range(max(write_latency, CHAIN_LATENCY + config.relay + config.lanes + SELECT_LATENCY) + 1))
        status = Signal(STATUS_BITS)
        m.d.comb += bus.status.eq(status)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(bus.valid & self.core_idle & ~bus.done):
                    m.d.sync += [status.eq(Status.OK), wait.eq(READ_LATENCY - config.serial + SELECT_LATENCY - 1)]
                    m.next = "WAIT"
                    with m.If(synapse):
                        m.d.comb += self.beat_valid.eq(1)
                        with m.If(bus.write):
                            m.d.sync += wait.eq(write_latency)
                        with m.Else():
                            m.d.sync += wait.eq(chain_latency + SELECT_LATENCY - 1 + bus.index[: g.lane_shift])
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                m.d.comb += self.register_take.eq((wait == 1 + SELECT_LATENCY) & (bus.space == Space.REGISTER))
                with m.If(bus.write & (wait == 1)):
                    with m.Switch(bus.space):
                        with m.Case(Space.REGISTER):
                            m.d.comb += self.register_write.eq(1)
                            m.d.sync += status.eq(self.register_status)
                        with m.Case(Space.SCHEDULE):
                            m.d.comb += self.schedule_write.eq(1)
                        with m.Case(Space.SURROGATE):
                            m.d.comb += self.surrogate_write.eq(1)
                with m.If(wait == 0):
                    m.d.sync += [bus.answer.eq(answer), bus.done.eq(1)]
                    m.next = "IDLE"
        return m
