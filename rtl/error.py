"""Error unit: delta of every neuron, its learning step g, and the gradient of the filter constants (stages X0 to X6).

::

    X0  neuron index (readout walk, softmax or backward pass); neuron memory addressed
    X1  V, s, h, A
    X2  operands
    X3  h*e
    X4  delta
    X5  delta*mantissa, delta*A
    X6  g; {delta, g} sent to the lane; sum of delta*A per group
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
                #: X6
                "valid": Out(1),
                "layer": Out(g.layer_bits),
                "post": Out(g.post_bits),
                "delta": Out(shape_of(f.delta)),
                "rate_step": Out(shape_of(f.rate_step)),
                #: one clock after the last neuron of a layer; `sums` stand until the next layer begins
                "done": Out(1),
                "sums": Out(data.ArrayLayout(signed(self.sum_bits), config.groups)),
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
        m.d.comb += self.read_address.eq(post_base + tag0.post)
        tags = delayed(m, tag0, 6, "tag")
        error1 = delayed(m, error0, 1, "error")[1]
        word1 = self.read_word

        # -- X2: operands; X3: product; X4: delta --------------------------------------------------------------------
        direct1 = Signal(shape_of(f.delta))
        labelled = (tags[1].post == self.label) & ~tags[1].hidden
        if config.readout is Readout.MEMBRANE:
            m.d.comb += direct1.eq(error1 - Mux(labelled, f.delta.one, 0))
        elif config.readout is Readout.SPIKE:
            h = word1.surrogate
            m.d.comb += direct1.eq(Mux(word1.spike == labelled, 0, Mux(word1.spike, h, -h)))
        else:
            m.submodules.targets = targets = Memory(shape=shape_of(f.target), depth=max(2, outputs), init=[])
            target_read, target_write = targets.read_port(), targets.write_port()
            written = Signal(g.post_bits)
            m.d.comb += [
                target_read.addr.eq(tag0.post),
                target_write.en.eq(self.target_write),
                target_write.addr.eq(written),
                target_write.data.eq(self.target_value),
            ]
            with m.If(self.target_write):
                m.d.sync += written.eq(written + 1)
            with m.If(self.restart):
                m.d.sync += written.eq(0)
            aligned = (target_read.data << (f.membrane.frac - f.target.frac)).as_signed()
            wide = ((word1.membrane - aligned) << (f.delta.frac - f.membrane.frac)).as_signed()
            m.d.comb += direct1.eq(saturate(wide, f.delta))
        surrogate2, error2, direct2 = Signal(shape_of(f.surrogate)), Signal.like(error0), Signal.like(direct1)
        adapt2 = Signal(shape_of(f.adapt_trace))
        product3, direct3 = Signal(signed(f.delta.width + f.surrogate.width)), Signal.like(direct1)
        m.d.sync += [
            surrogate2.eq(word1.surrogate),
            error2.eq(error1),
            direct2.eq(direct1),
            adapt2.eq(word1.adapt_trace),
            product3.eq(surrogate2 * error2),
            direct3.eq(direct2),
        ]
        adapts = delayed(m, adapt2, 2, "adapt")  # X2 to X4
        op = ops["hidden_delta"]
        delta4 = Signal(shape_of(f.delta))
        m.d.sync += delta4.eq(Mux(tags[3].hidden, saturate(drop(product3, op.shift, op.rounding), f.delta), direct3))

        # -- X5: products; X6: g and the sums ------------------------------------------------------------------------
        mantissa4 = by_index(m, tags[4].layer, list(self.rate_mantissa), "mantissa4")
        shift5 = by_index(m, tags[5].layer, list(self.rate_shift), "shift5")
        product5 = Signal(signed(f.delta.width + MANTISSA_BITS))
        gradient5 = Signal(signed(f.delta.width + f.adapt_trace.width))
        m.d.sync += [product5.eq(delta4 * mantissa4), gradient5.eq(delta4 * adapts[2])]
        assert ops["rate_step"].rounding is Rounding.HALF_UP
        # By a programmed shift: the half is 1 << (shift - 1), nothing for shift 0.
        half = Signal(unsigned(1 << SHIFT_BITS))
        m.d.comb += half.eq((1 << shift5)[: 1 << SHIFT_BITS] >> 1)
        rounded = Signal(signed(max(len(product5), len(half) + 1) + 1))
        m.d.comb += rounded.eq(product5 + half)
        m.d.sync += [
            self.rate_step.eq(saturate(rounded >> shift5, f.rate_step)),
            self.delta.eq(delayed(m, delta4, 1, "delta")[1]),
        ]
        group_bits = config.groups.bit_length() - 1
        for k in range(config.groups):
            with m.If(tags[5].valid):
                with m.If(tags[5].post == k):  # the first post of a group starts its sum
                    m.d.sync += self.sums[k].eq(gradient5)
                with m.Elif(tags[5].post[:group_bits] == k if group_bits else 1):
                    m.d.sync += self.sums[k].eq(self.sums[k] + gradient5)
        m.d.comb += [
            self.valid.eq(tags[6].valid),
            self.layer.eq(tags[6].layer),
            self.post.eq(tags[6].post),
            self.done.eq(tags[6].valid & tags[6].end),
        ]
        return m
