"""Adaptive filter constants: a -= eta_a * sum(delta*A), clipped; one group after the other."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.formats import ADAPT_GUARD, DECAY_FRAC
from solsa.contract.registers import MANTISSA_BITS, SHIFT_BITS

from .arith import by_index, saturate, shape_of
from .beat import Geometry


class Adapt(wiring.Component):
    """Holds a of every layer and group and steps the constants of one layer at a time.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    sum_bits : int
        Width of the sums of delta*A.
    """

    def __init__(self, config: NetworkConfig, sum_bits: int) -> None:
        self.config = config
        g = Geometry(config)
        f = config.formats
        count = config.depth * config.groups
        self.index_bits = max(1, (count - 1).bit_length())
        super().__init__(
            {
                #: one clock: step the constants of `layer` with `sums`, which must stand until idle
                "start": In(1),
                "layer": In(g.layer_bits),
                "sums": In(data.ArrayLayout(signed(sum_bits), config.groups)),
                "idle": Out(1),
                "mantissa": In(data.ArrayLayout(unsigned(MANTISSA_BITS), config.depth)),
                "shift": In(data.ArrayLayout(unsigned(SHIFT_BITS), config.depth)),
                "a_min": In(shape_of(f.decay)),
                "a_max": In(shape_of(f.decay)),
                #: u0.24, layer-major
                "constants": Out(data.ArrayLayout(shape_of(f.adaptive), count)),
                "write": In(1),
                "write_index": In(self.index_bits),
                "write_value": In(shape_of(f.adaptive)),
                #: observation: a constant was stepped
                "retired": Out(1),
                "retired_index": Out(self.index_bits),
                "retired_value": Out(shape_of(f.adaptive)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, f = self.config, self.config.formats
        groups = config.groups
        group, layer = Signal(range(max(2, groups))), Signal(self.layer.shape())
        used = by_index(m, layer, [config.used_groups(i) for i in range(config.depth)], "used")
        index = Signal(self.index_bits)
        m.d.comb += index.eq(layer * groups + group)
        mantissa = by_index(m, layer, list(self.mantissa), "mantissa_of_layer")
        shift = by_index(m, layer, list(self.shift), "shift_of_layer")

        total_of_group = by_index(m, group, list(self.sums), "total_of_group")
        old_of_group = by_index(m, index, list(self.constants), "old_of_group")

        # One small operation per clock (contract/cycles.py counts them): nothing waits for them but the next sweep.
        sum_shape = signed(len(self.sums[0]))
        total, shifted, distance = Signal(sum_shape), Signal(sum_shape), Signal(SHIFT_BITS)
        rate, old = Signal(MANTISSA_BITS), Signal(f.adaptive.width)
        gradient = Signal(signed(f.adapt_sum.width))
        product = Signal(signed(f.adapt_sum.width + MANTISSA_BITS))
        low, high = self.a_min << ADAPT_GUARD, self.a_max << ADAPT_GUARD
        assert f.adaptive.width == DECAY_FRAC + ADAPT_GUARD
        stepped = Signal(signed(max(len(product), f.adaptive.width + 1) + 1))
        raised, clipped = Signal.like(stepped), Signal(f.adaptive.width)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(~self.start)
                with m.If(self.start):
                    m.d.sync += [layer.eq(self.layer), group.eq(0)]
                    m.next = "SELECT"
            with m.State("SELECT"):
                m.d.sync += [
                    total.eq(total_of_group),
                    old.eq(old_of_group),
                    rate.eq(mantissa),
                    distance.eq(shift),
                ]
                m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.sync += shifted.eq(total >> distance)
                m.next = "SATURATE"
            with m.State("SATURATE"):
                m.d.sync += gradient.eq(saturate(shifted, f.adapt_sum))
                m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += product.eq(gradient * rate)
                m.next = "SUBTRACT"
            with m.State("SUBTRACT"):
                m.d.sync += stepped.eq(old - (product >> f.operations()["adapt_step"].shift))
                m.next = "RAISE"
            with m.State("RAISE"):
                m.d.sync += raised.eq(Mux(stepped < low, low, stepped))
                m.next = "CLIP"
            with m.State("CLIP"):
                m.d.sync += clipped.eq(Mux(raised > high, high, raised))
                m.next = "STEP"
            with m.State("STEP"):
                m.d.comb += [
                    self.retired.eq(1),
                    self.retired_index.eq(index),
                    self.retired_value.eq(clipped),
                ]
                for i in range(config.depth * groups):
                    with m.If(index == i):
                        m.d.sync += self.constants[i].eq(clipped)
                with m.If(group == used - 1):
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += group.eq(group + 1)
                    m.next = "SELECT"
        with m.If(self.write):
            for i in range(config.depth * groups):
                with m.If(self.write_index == i):
                    m.d.sync += self.constants[i].eq(self.write_value)
        return m
