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

#: Clocks from the beat's entry (c1) until a synapse word stands at lane 0's end of the unload chain (R7).
CHAIN_LATENCY = 8
#: Clocks until a written word has landed.
WRITE_LATENCY = 10


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
                "schedule_word": In(1),
                "schedule_write": Out(1),
                "surrogate_word": In(shape_of(f.surrogate)),
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
        m.d.comb += [
            self.trace.eq(is_trace),
            self.lane.eq(bus.index[: g.lane_shift]),
            self.beat_address.eq(address),
            self.beat_data.eq(bus.data),
            self.beat_mode.eq(Mux(bus.write, Mux(is_trace, Mode.WRITE_TRACE, Mode.WRITE_WEIGHT), Mode.READ)),
        ]
        # Lanes without a post in a ragged last block keep zero.
        for layer in range(config.depth):
            if g.ragged[layer] == config.lanes:
                continue
            end = g.layout.synapse_base[layer] + g.blocks[layer] * g.pres[layer]
            inside = (address >= end - g.pres[layer]) & (address < end)
            for p in range(g.ragged[layer], config.lanes):
                with m.If(inside):
                    m.d.comb += self.padding[p].eq(1)

        answer = Signal(32)
        fields = [Signal(signed(32), name=f"field{i}") for i in range(8)]
        for name in NeuronField:
            m.d.comb += fields[name].eq(self.neuron_word[name.name.lower()])
        bank_bits = g.layout.filter_banks.bit_length() - 1
        m.d.comb += answer.eq(self.register_answer)
        with m.Switch(bus.space):
            with m.Case(Space.WEIGHT, Space.TRACE):
                m.d.comb += answer.eq(self.chain)
            with m.Case(Space.FILTER):
                m.d.comb += answer.eq(by_index(m, bus.index[:bank_bits], list(self.filter_words), "filter_word"))
            with m.Case(Space.NEURON):
                m.d.comb += answer.eq(by_index(m, bus.index[:3], fields, "neuron_field"))
            with m.Case(Space.SCHEDULE):
                m.d.comb += answer.eq(self.schedule_word)
            with m.Case(Space.SURROGATE):
                m.d.comb += answer.eq(self.surrogate_word)
            with m.Case(Space.SCORE):
                m.d.comb += answer.eq(self.score_word)
        m.d.sync += bus.done.eq(0)

        wait = Signal(range(max(WRITE_LATENCY, CHAIN_LATENCY + config.lanes) + 1))
        status = Signal(STATUS_BITS)
        m.d.comb += bus.status.eq(status)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(bus.valid & self.core_idle & ~bus.done):
                    m.d.sync += [status.eq(Status.OK), wait.eq(1)]
                    m.next = "WAIT"
                    with m.If(synapse):
                        m.d.comb += self.beat_valid.eq(1)
                        m.d.sync += wait.eq(Mux(bus.write, WRITE_LATENCY, CHAIN_LATENCY + self.lane - 1))
                    with m.If(bus.write):
                        with m.Switch(bus.space):
                            with m.Case(Space.REGISTER):
                                m.d.comb += self.register_write.eq(1)
                                m.d.sync += status.eq(self.register_status)
                            with m.Case(Space.SCHEDULE):
                                m.d.comb += self.schedule_write.eq(1)
                            with m.Case(Space.SURROGATE):
                                m.d.comb += self.surrogate_write.eq(1)
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait - 1)
                m.d.comb += self.register_take.eq((wait == 1) & (bus.space == Space.REGISTER))
                with m.If(wait == 0):
                    m.d.sync += [bus.answer.eq(answer), bus.done.eq(1)]
                    m.next = "IDLE"
        return m
