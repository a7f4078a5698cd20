"""Order of a time step: forward sweeps, then, at a scheduled step, readout errors, backward sweeps, update sweeps."""

from __future__ import annotations

from amaranth.hdl import C, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.registers import STOP_POINTS_BITS

from .beat import Geometry, Mode
from .bus import StepCommand


class Control(wiring.Component):
    """Step state machine, schedule table and the state registers of a sample.

    Parameters
    ----------
    config : NetworkConfig
        Geometry.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        super().__init__(
            {
                "command": In(stream.Signature(StepCommand)),
                "busy": Out(1),
                "learn": Out(1),
                "label": Out(16),
                #: bit 0: neurons, bit 1: traces start from zero
                "fresh": Out(2, init=3),
                "step": Out(range(config.max_steps + 1)),
                "updates": Out(32),
                #: one clock: a time step begins; inputs and targets of the next step may come
                "begin": Out(1),
                "end": Out(1),
                #: weights were updated in this step
                "scheduled": Out(1),
                # sequencer
                "sweep": Out(1),
                "mode": Out(Mode),
                "layer": Out(g.layer_bits),
                "sweep_idle": In(1),
                "pending": In(1),
                # units
                "neurons_done": In(1),
                "error_start": Out(1),
                "error_done": In(1),
                "adapt_start": Out(1),
                "adapt_idle": In(1),
                #: option early_stop: scheduled steps at which the readout must be right, 0: off; whether it is now
                "stop_points": In(STOP_POINTS_BITS),
                "right_now": In(1),
                "right": Out(STOP_POINTS_BITS),
                #: option probe: changes are measured, not made; at `end`: they were
                "probe": In(1),
                "probed": Out(1),
                # schedule table
                "table_address": In(range(config.max_steps)),
                "table_write": In(1),
                "table_value": In(1),
                "table_word": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        last_layer = config.depth - 1
        probe = self.probe if config.probe else C(0, 1)
        latched = Signal(StepCommand)
        m.submodules.schedule = schedule = Memory(shape=1, depth=config.max_steps, init=[])
        read, write = schedule.read_port(), schedule.write_port()
        idle = Signal()
        with m.If(idle & ~self.command.valid):
            m.d.comb += read.addr.eq(self.table_address)
        with m.Else():
            m.d.comb += read.addr.eq(self.step)
        m.d.comb += [
            self.table_word.eq(read.data),
            write.en.eq(self.table_write),
            write.addr.eq(self.table_address),
            write.data.eq(self.table_value),
            self.busy.eq(~idle),
            self.learn.eq(latched.learn),
            self.label.eq(latched.label),
            self.scheduled.eq(latched.learn & (read.data | probe) & (self.step != config.max_steps)),
            self.probed.eq(self.scheduled & probe),
        ]
        stopped, stops = Signal(), Signal()
        if config.early_stop:
            counts = self.scheduled & self.right_now & (self.stop_points != 0) & ~probe
            m.d.comb += [
                stopped.eq((self.stop_points != 0) & (self.right >= self.stop_points) & ~probe),
                stops.eq(counts & (self.right + 1 >= self.stop_points)),
            ]
        layer = self.layer
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [idle.eq(1), self.command.ready.eq(1)]
                with m.If(self.command.valid):
                    m.d.sync += [latched.eq(self.command.payload), layer.eq(0)]
                    with m.If(self.command.payload.reset):
                        m.d.sync += [self.fresh.eq(3), self.step.eq(0), self.right.eq(0)]
                    with m.Elif(stopped):
                        m.d.sync += latched.learn.eq(0)
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += self.begin.eq(1)
                m.next = "FORWARD"
            with m.State("FORWARD"):
                with m.If(latched.learn):
                    m.d.comb += self.mode.eq(Mode.TRACE)
                with m.Else():
                    m.d.comb += self.mode.eq(Mode.FORWARD)
                with m.If(self.sweep_idle):
                    m.d.comb += self.sweep.eq(1)
                    with m.If(layer == last_layer):
                        m.next = "NEURONS"
                    with m.Else():
                        m.d.sync += layer.eq(layer + 1)
            with m.State("NEURONS"):
                with m.If(self.neurons_done):
                    m.d.sync += self.fresh[0].eq(0)
                    with m.If(latched.learn):
                        m.d.sync += self.fresh[1].eq(0)
                    if config.early_stop:
                        m.d.sync += self.right.eq(self.right + counts)
                    with m.If(self.scheduled & ~stops):
                        m.d.comb += self.error_start.eq(1)
                        m.next = "ERROR"
                    with m.Else():
                        m.next = "END"
            # Errors of `layer` arrive; those of the layer below need its weights as they are now.
            with m.State("ERROR"):
                with m.If(self.error_done):
                    m.d.comb += self.adapt_start.eq(latched.adapt & ~probe)
                    with m.If(layer == 0):
                        m.next = "UPDATE"
                    with m.Else():
                        m.next = "BACKWARD"
            with m.State("BACKWARD"):
                m.d.comb += self.mode.eq(Mode.BACKWARD)
                # The sums of delta*A must stand until the filter constants have been stepped.
                with m.If(self.adapt_idle):
                    m.d.comb += self.sweep.eq(1)
                    m.d.sync += layer.eq(layer - 1)
                    m.next = "ERROR"
            with m.State("UPDATE"):
                m.d.comb += self.mode.eq(Mux(probe, Mode.PROBE, Mode.UPDATE))
                with m.If(self.sweep_idle):
                    m.d.comb += self.sweep.eq(1)
                    with m.If(layer == last_layer):
                        m.next = "DRAIN"
                    with m.Else():
                        m.d.sync += layer.eq(layer + 1)
            with m.State("DRAIN"):
                with m.If(self.sweep_idle & ~self.pending & self.adapt_idle):
                    m.d.sync += self.updates.eq(self.updates + ~probe)
                    m.next = "END"
            with m.State("END"):
                m.d.comb += self.end.eq(1)
                with m.If(self.step != config.max_steps):
                    m.d.sync += self.step.eq(self.step + 1)
                m.next = "IDLE"
        return m
