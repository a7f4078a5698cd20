"""Softmax on integers: maximum subtracted, exp by a table on the fraction and a shift, one sequential divider.

The readout's membranes arrive in order during the forward sweep; the maximum is kept on the way. When asked, the unit
walks them once for exp and sum, divides once (RECIPROCAL_BITS + 1 clocks, always), and walks them again for the
probabilities, one per clock. golden/arith.py's ``softmax`` is the same arithmetic.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from solsa.contract import NetworkConfig
from solsa.contract.formats import EXP_INDEX_BITS, EXP_WIDTH, LOG2E, LOG2E_FRAC, RECIPROCAL_BITS, exp_entries

from .arith import delayed, drop, shape_of


class Divider(wiring.Component):
    """Restoring divider: floor(2**RECIPROCAL_BITS / divisor), one quotient bit per clock.

    Parameters
    ----------
    width : int
        Bits of the divisor, which is not zero.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(
            {
                "start": In(1),
                "divisor": In(width),
                "quotient": Out(RECIPROCAL_BITS + 1),
                #: one clock, RECIPROCAL_BITS + 2 clocks after start
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        divisor, remainder = Signal(self.width), Signal(self.width)
        left = Signal(range(RECIPROCAL_BITS + 2))
        # The dividend is a one followed by zeros: its first bit enters with the first clock.
        incoming = left == RECIPROCAL_BITS + 1
        shifted = Cat(incoming, remainder)
        fits = shifted >= divisor
        m.d.sync += self.done.eq(left == 1)
        with m.If(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                remainder.eq(Mux(fits, shifted - divisor, shifted)),
                self.quotient.eq(Cat(fits, self.quotient)),
            ]
        with m.If(self.start):
            m.d.sync += [divisor.eq(self.divisor), remainder.eq(0), self.quotient.eq(0), left.eq(RECIPROCAL_BITS + 1)]
        return m


class Softmax(wiring.Component):
    """Probabilities of the readout.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        f = config.formats
        self.post_bits = bits_for(config.outputs)
        super().__init__(
            {
                #: membranes of the readout, in order
                "valid": In(1),
                "post": In(self.post_bits),
                "membrane": In(shape_of(f.membrane)),
                #: one clock: begin
                "start": In(1),
                #: probabilities, in order
                "out_valid": Out(1),
                "out_post": Out(self.post_bits),
                "probability": Out(unsigned(f.delta.frac + 2)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        f, outputs = self.config.formats, self.config.outputs
        width, frac = f.membrane.width, f.membrane.frac
        depth = max(2, outputs)
        m.submodules.membranes = membranes = Memory(shape=shape_of(f.membrane), depth=depth, init=[])
        m.submodules.weights = weights = Memory(shape=unsigned(EXP_WIDTH), depth=depth, init=[])
        m.submodules.table = table = Memory(shape=unsigned(EXP_WIDTH), depth=1 << EXP_INDEX_BITS, init=exp_entries())
        v_read, v_write = membranes.read_port(), membranes.write_port()
        e_read, e_write = weights.read_port(), weights.write_port()
        t_read = table.read_port()

        top = Signal(shape_of(f.membrane))
        m.d.comb += [v_write.en.eq(self.valid), v_write.addr.eq(self.post), v_write.data.eq(self.membrane)]
        with m.If(self.valid & ((self.post == 0) | (self.membrane > top))):
            m.d.sync += top.eq(self.membrane)

        # -- walk over the neurons, twice ----------------------------------------------------------------------------
        index, walking, second = Signal(self.post_bits), Signal(), Signal()
        with m.If(walking):
            m.d.sync += index.eq(index + 1)
            with m.If(index == outputs - 1):
                m.d.sync += [walking.eq(0), index.eq(0)]
        first_tag = delayed(m, Cat(walking & ~second, index), 6, "first_tag")
        second_tag = delayed(m, Cat(walking & second, index), 4, "second_tag")

        # -- exp: S0 addressed, S1 membrane, S2 product, S3 table addressed, S4 entry, S5 shifted, S6 written --------
        m.d.comb += v_read.addr.eq(index)
        below = Signal(unsigned(width))
        m.d.sync += below.eq((top - v_read.data).as_unsigned())
        power = Signal(unsigned(width + LOG2E.bit_length() - LOG2E_FRAC))
        m.d.sync += power.eq((below * LOG2E) >> LOG2E_FRAC)
        m.d.comb += t_read.addr.eq(power[frac - EXP_INDEX_BITS : frac])
        whole = power[frac:]
        shift, entry, entry_shift = Signal(range(EXP_WIDTH + 1)), Signal(EXP_WIDTH), Signal(range(EXP_WIDTH + 1))
        m.d.sync += [shift.eq(Mux(whole >= EXP_WIDTH, EXP_WIDTH, whole)), entry.eq(t_read.data), entry_shift.eq(shift)]
        weight = Signal(EXP_WIDTH)
        m.d.sync += weight.eq(entry >> entry_shift)
        sum_bits = EXP_WIDTH + bits_for(outputs)
        total = Signal(sum_bits)
        done_first = Signal()
        m.d.comb += [
            e_write.en.eq(first_tag[6][0]),
            e_write.addr.eq(first_tag[6][1:]),
            e_write.data.eq(weight),
        ]
        with m.If(first_tag[6][0]):
            m.d.sync += total.eq(total + weight)
        m.d.sync += done_first.eq(first_tag[6][0] & (first_tag[6][1:] == outputs - 1))

        # -- one division --------------------------------------------------------------------------------------------
        m.submodules.divider = divider = Divider(sum_bits)
        m.d.comb += [divider.start.eq(done_first), divider.divisor.eq(total)]
        with m.If(divider.done):
            m.d.sync += [walking.eq(1), second.eq(1), index.eq(0)]

        # -- probabilities: S0 addressed, S1 weight, S2 register, S3 product, S4 out ---------------------------------
        # The sum is at least the largest table entry, above 2**15, so 18 bits hold the reciprocal.
        m.d.comb += e_read.addr.eq(index)
        product = Signal(EXP_WIDTH + 18)
        e_weight = delayed(m, e_read.data, 1, "e_weight")[1]
        m.d.sync += product.eq(e_weight * divider.quotient[:18])
        op = f.operations()["probability"]
        m.d.sync += self.probability.eq(drop(product, op.shift, op.rounding))
        m.d.comb += [self.out_valid.eq(second_tag[4][0]), self.out_post.eq(second_tag[4][1:])]
        with m.If(self.start):
            m.d.sync += [walking.eq(1), second.eq(0), index.eq(0), total.eq(0)]
        return m
