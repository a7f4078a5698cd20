"""Error unit: delta of every neuron, its learning step g, and the gradient of the filter constants (stages X0 to X11).

::

    X0  neuron index (readout walk, softmax or backward pass)
    X1  neuron memory addressed
    X2  V, s, h, A leave the memory, which is slow to answer
    X3  V, s, h, A
    X4  operands
    X5  h*e
    X6  h*e rounded
    X7  delta
    X8  delta*mantissa, delta*A
    X9  delta*mantissa plus half of the last kept bit; sum of delta*A per group
    X10 shifted
    X11 g; {delta, g} sent to the lane

With the option ``normalise`` the shift of X8 to X10 is the neuron's own, see rtl/normalise.py.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig, Readout
from solsa.contract.formats import Rounding
from solsa.contract.registers import MANTISSA_BITS, SHIFT_BITS

from .arith import by_index, delayed, drop, saturate, shape_of
from .beat import Geometry
from .normalise import MeanErrors
from .softmax import Softmax


class ErrorUnit(wiring.Component):
    """Errors of the readout and of hidden layers.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        f = config.formats
        #: exact sum of delta*A over the posts of a group
        self.sum_bits = f.delta.width + f.adapt_trace.width + g.post_bits
        super().__init__(
            {
                "label": In(16),
                #: targets of the readout, in order from 0 after `restart`
                "target_write": In(1),
                "target_value": In(shape_of(f.target)),
                "restart": In(1),
                #: membranes of the readout during the forward sweep
                "membrane_valid": In(1),
                "membrane_post": In(g.post_bits),
                "membrane": In(shape_of(f.membrane)),
                #: one clock: begin with the readout's errors
                "start": In(1),
                #: errors from the backward pass
                "error_valid": In(1),
                "error_layer": In(g.layer_bits),
                "error_post": In(g.pre_bits),
                "error": In(shape_of(f.delta)),
                #: neuron memory
                "read_address": Out(g.post_address_bits),
                "read_word": In(g.neuron_layout()),
                "rate_mantissa": In(data.ArrayLayout(unsigned(MANTISSA_BITS), config.depth)),
                "rate_shift": In(data.ArrayLayout(unsigned(SHIFT_BITS), config.depth)),
                #: X11
                "valid": Out(1),
                "layer": Out(g.layer_bits),
                "post": Out(g.post_bits),
                "delta": Out(shape_of(f.delta)),
                "rate_step": Out(shape_of(f.rate_step)),
                #: one clock after the last neuron of a layer; `sums` stand until the next layer begins
                "done": Out(1),
                "sums": Out(data.ArrayLayout(signed(self.sum_bits), config.groups)),
                **(MeanErrors.pipeline(config) if config.normalise else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, config, f = self.geometry, self.config, self.config.formats
        ops = f.operations()
        last_layer, outputs = config.depth - 1, config.outputs

        # -- X0: where the neuron comes from -------------------------------------------------------------------------
        tag = data.StructLayout({"valid": 1, "hidden": 1, "layer": g.layer_bits, "post": g.post_bits, "end": 1})
        tag0, error0 = Signal(tag), Signal(shape_of(f.delta))
        readout_valid, readout_post = Signal(), Signal(g.post_bits)
        if config.readout is Readout.MEMBRANE:
            m.submodules.softmax = softmax = Softmax(config)
            m.d.comb += [
                softmax.valid.eq(self.membrane_valid),
                softmax.post.eq(self.membrane_post),
                softmax.membrane.eq(self.membrane),
                softmax.start.eq(self.start),
                readout_valid.eq(softmax.out_valid),
                readout_post.eq(softmax.out_post),
            ]
            probability = softmax.probability
        else:
            walking, index = Signal(), Signal(g.post_bits)
            m.d.comb += [readout_valid.eq(walking), readout_post.eq(index)]
            with m.If(walking):
                m.d.sync += index.eq(index + 1)
                with m.If(index == outputs - 1):
                    m.d.sync += walking.eq(0)
            with m.If(self.start):
                m.d.sync += [walking.eq(1), index.eq(0)]
            probability = Signal(f.delta.frac + 2)
        with m.If(self.error_valid):
            end = by_index(m, self.error_layer, [v - 1 for v in g.posts], "end")
            m.d.comb += [
                tag0.valid.eq(1),
                tag0.hidden.eq(1),
                tag0.layer.eq(self.error_layer),
                tag0.post.eq(self.error_post),
                tag0.end.eq(self.error_post == end),
                error0.eq(self.error),
            ]
        with m.Else():
            m.d.comb += [
                tag0.valid.eq(readout_valid),
                tag0.layer.eq(last_layer),
                tag0.post.eq(readout_post),
                tag0.end.eq(readout_post == outputs - 1),
                error0.eq(probability),
            ]
        post_base = by_index(m, tag0.layer, list(g.layout.post_base), "post_base")
        m.d.sync += self.read_address.eq(post_base + tag0.post)
        tags = delayed(m, tag0, 11, "tag")
        error3 = delayed(m, error0, 3, "error")[3]
        word3 = Signal(g.neuron_layout())
        m.d.sync += word3.eq(self.read_word)

        # -- X4: operands; X5: product; X6: rounded; X7: delta -------------------------------------------------------
        direct3 = Signal(shape_of(f.delta))
        labelled = Signal()
        m.d.sync += labelled.eq((tags[2].post == self.label) & ~tags[2].hidden)
        if config.readout is Readout.MEMBRANE:
            m.d.comb += direct3.eq(error3 - Mux(labelled, f.delta.one, 0))
        elif config.readout is Readout.SPIKE:
            h = word3.surrogate
            m.d.comb += direct3.eq(Mux(word3.spike == labelled, 0, Mux(word3.spike, h, -h)))
        else:
            m.submodules.targets = targets = Memory(shape=shape_of(f.target), depth=max(2, outputs), init=[])
            target_read, target_write = targets.read_port(), targets.write_port()
            written = Signal(g.post_bits)
            m.d.comb += [
                target_read.addr.eq(tags[1].post),
                target_write.en.eq(self.target_write),
                target_write.addr.eq(written),
                target_write.data.eq(self.target_value),
            ]
            with m.If(self.target_write):
                m.d.sync += written.eq(written + 1)
            with m.If(self.restart):
                m.d.sync += written.eq(0)
            target3 = delayed(m, target_read.data, 1, "target")[1]
            aligned = (target3 << (f.membrane.frac - f.target.frac)).as_signed()
            wide = ((word3.membrane - aligned) << (f.delta.frac - f.membrane.frac)).as_signed()
            m.d.comb += direct3.eq(saturate(wide, f.delta))
        surrogate4, error4 = Signal(shape_of(config.surrogate_word)), Signal.like(error0)
        product5 = Signal(signed(f.delta.width + config.surrogate_word.width))
        op = ops["hidden_delta"]
        dropped = drop(product5, op.shift, op.rounding)
        rounded6, delta7 = Signal(dropped.shape()), Signal(shape_of(f.delta))
        direct6 = delayed(m, direct3, 3, "direct")[3]
        adapt7 = delayed(m, word3.adapt_trace, 4, "adapt")[4]
        m.d.sync += [
            surrogate4.eq(word3.surrogate),
            error4.eq(error3),
            product5.eq(surrogate4 * error4),
            rounded6.eq(dropped),
            delta7.eq(Mux(tags[6].hidden, saturate(rounded6, f.delta), direct6)),
        ]

        # -- X8: products; X9 to X11: g; X10: the sums ---------------------------------------------------------------
        mantissa7, shift7 = Signal(MANTISSA_BITS), Signal(SHIFT_BITS)
        m.d.sync += mantissa7.eq(by_index(m, tags[6].layer, list(self.rate_mantissa), "mantissa6"))
        shift6 = by_index(m, tags[6].layer, list(self.rate_shift), "shift6")
        if config.normalise:
            m.d.comb += [
                self.layer4.eq(tags[4].layer),
                self.rate_shift6.eq(shift6),
                self.delta7.eq(delta7),
                shift7.eq(self.shift7),
            ]
        else:
            m.d.sync += shift7.eq(shift6)
        shifts = delayed(m, shift7, 3, "shift")  # X7 to X10
        product8 = Signal(signed(f.delta.width + MANTISSA_BITS))
        gradient8 = Signal(signed(f.delta.width + f.adapt_trace.width))
        assert ops["rate_step"].rounding is Rounding.HALF_UP
        # By a programmed shift: the half is 1 << (shift - 1), nothing for shift 0.
        half8 = Signal(unsigned(1 << SHIFT_BITS))
        rounded9 = Signal(signed(max(len(product8), len(half8) + 1) + 1))
        shifted10 = Signal.like(rounded9)
        m.d.sync += [
            product8.eq(delta7 * mantissa7),
            gradient8.eq(delta7 * adapt7),
            half8.eq((1 << shift7)[: 1 << SHIFT_BITS] >> 1),
            rounded9.eq(product8 + half8),
            shifted10.eq(rounded9 >> shifts[2]),
            self.rate_step.eq(saturate(shifted10, f.rate_step)),
            self.delta.eq(delayed(m, delta7, 3, "delta")[3]),
        ]
        group_bits = config.groups.bit_length() - 1
        gradient9 = delayed(m, gradient8, 1, "gradient")[1]
        for k in range(config.groups):
            of_group = tags[8].post[:group_bits] == k if group_bits else 1
            mine, first = Signal(name=f"mine{k}"), Signal(name=f"first{k}")
            # the first post of a group starts its sum
            m.d.sync += [mine.eq(tags[8].valid & of_group), first.eq(tags[8].post == k)]
            with m.If(mine):
                m.d.sync += self.sums[k].eq(Mux(first, 0, self.sums[k]) + gradient9)
        m.d.comb += [
            self.valid.eq(tags[11].valid),
            self.layer.eq(tags[11].layer),
            self.post.eq(tags[11].post),
            self.done.eq(tags[11].valid & tags[11].end),
        ]
        return m
