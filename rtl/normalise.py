"""Rates per neuron: running means of |delta|, and the shifts that follow from them (option ``normalise``).

Stages of the error unit (rtl/error.py): the mean is read with the neuron's words (X1 to X3) and gives the shift of its
rate (X7), which needs no delta and so no clock of its own; with delta (X7) the mean moves on (X11).
"""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.formats import MEAN_GUARD
from solsa.contract.registers import NORM_LIMIT_BITS, NORM_REFERENCE_BITS, NORM_SHIFT, NORM_SHIFT_MAX, SHIFT_BITS

from .arith import by_index, delayed, shape_of
from .beat import Geometry

NORM_SHIFT_BITS = NORM_SHIFT_MAX.bit_length()


def norm_ports(config: NetworkConfig) -> dict[str, wiring.Member]:
    """Registers of the option, seen from the register file."""
    return {
        "norm_shift": Out(NORM_SHIFT_BITS, init=NORM_SHIFT),
        "norm_reference": Out(data.ArrayLayout(unsigned(NORM_REFERENCE_BITS), config.depth)),
        "norm_limit": Out(data.ArrayLayout(unsigned(NORM_LIMIT_BITS), config.depth)),
    }


class MeanErrors(wiring.Component):
    """Memory of the means, one word per neuron.

    Parameters
    ----------
    config : NetworkConfig
        With the option ``normalise``.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        mean = shape_of(config.formats.mean_error)
        super().__init__(
            {
                **{name: member.flip() for name, member in norm_ports(config).items()},
                **{name: member.flip() for name, member in self.pipeline(config).items()},
                #: X1, as for the neuron memory
                "read_address": In(g.post_address_bits),
                #: X11: keep the new mean, which is there then
                "keep": In(1),
                "mean": Out(mean),
                #: host, while the core is idle; the word comes two clocks after its address
                "idle": In(1),
                "address": In(g.post_address_bits),
                "write": In(1),
                "value": In(mean),
                "word": Out(mean),
            }
        )

    @staticmethod
    def pipeline(config: NetworkConfig) -> dict[str, wiring.Member]:
        """What passes between the error unit and the means, seen from the former; the digit is the stage."""
        return {
            "layer4": Out(Geometry(config).layer_bits),
            #: shift of the layer's rate, and that of the neuron's
            "rate_shift6": Out(SHIFT_BITS),
            "shift7": In(SHIFT_BITS),
            "delta7": Out(shape_of(config.formats.delta)),
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, fmt = self.geometry, self.config.formats.mean_error
        m.submodules.memory = memory = Memory(shape=shape_of(fmt), depth=max(2, g.layout.post_depth), init=[])
        read, write = memory.read_port(), memory.write_port()
        host_address = Signal(g.post_address_bits)
        address11 = delayed(m, self.read_address, 10, "address")[10]
        m.d.sync += host_address.eq(self.address)
        m.d.comb += [
            read.addr.eq(Mux(self.idle, host_address, self.read_address)),
            self.word.eq(read.data),
            write.addr.eq(Mux(self.idle, self.address, address11)),
            write.en.eq(self.keep | self.write),
            write.data.eq(Mux(self.idle, self.value, self.mean)),
        ]

        # -- X3 to X7: bits of the mean, those above the reference, at most the limit, added to the layer's shift ------
        mean3 = Signal(shape_of(fmt))
        means = delayed(m, mean3, 7, "mean")  # X3 to X10
        highest4, any4 = Signal(range(fmt.width)), Signal()
        above5, limit5 = Signal(signed(NORM_REFERENCE_BITS + 1)), Signal(NORM_LIMIT_BITS)
        more6 = Signal(signed(NORM_LIMIT_BITS + 1))
        reference = by_index(m, self.layer4, list(self.norm_reference), "reference4")
        limit = by_index(m, self.layer4, list(self.norm_limit), "limit4")
        total = Signal(signed(SHIFT_BITS + 2))
        m.d.comb += total.eq(self.rate_shift6 + more6)
        m.d.sync += [
            mean3.eq(read.data),
            highest4.eq(highest(mean3)),
            any4.eq(mean3.any()),
            above5.eq(Mux(any4, highest4 + 1 - reference, 0)),
            limit5.eq(limit),
            more6.eq(Mux(above5 > limit5, limit5, Mux(above5 < -limit5, -limit5, above5))),
            self.shift7.eq(Mux(total < 0, 0, Mux(total[SHIFT_BITS], (1 << SHIFT_BITS) - 1, total))),
        ]

        # -- X8: |delta|; X9: difference; X10: shifted; X11: mean -----------------------------------------------------
        now8 = Signal(shape_of(fmt))
        magnitude = (self.delta7 ^ self.delta7[-1].replicate(len(self.delta7)))[:-1]  # -1 counts as 0: no carry
        difference9, moved10 = Signal(signed(fmt.width + 1)), Signal(signed(fmt.width + 1))
        nows = delayed(m, now8, 2, "now")
        m.d.sync += [
            now8.eq(Cat(C(0, MEAN_GUARD), magnitude)),
            difference9.eq(now8 - means[5]),
            moved10.eq(difference9 >> self.norm_shift),
            self.mean.eq(Mux(means[7].any(), means[7] + moved10, nows[2])),
        ]
        return m


def highest(value: Value) -> Value:
    """Index of the highest bit that is set, by halves; 0 if there is none."""
    if len(value) <= 1:
        return C(0, 0)
    half = 1 << (len(value) - 1).bit_length() - 1
    low, high = highest(value[:half]), highest(value[half:])
    above = value[half:].any()
    return Cat(Mux(above, high, low), above)
