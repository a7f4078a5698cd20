"""Early stop: whether the readout's score for the label leads by a margin (option ``early_stop``)."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig

from .arith import shape_of
from .beat import Geometry


class Lead(wiring.Component):
    """Compares the scores of a step as they are written, in order.

    Parameters
    ----------
    config : NetworkConfig
        With the option ``early_stop``.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        score = shape_of(config.formats.score)
        super().__init__(
            {
                "valid": In(1),
                "post": In(Geometry(config).post_bits),
                "score": In(score),
                "label": In(16),
                "margin": In(score),
                #: from two clocks after the last score on: score of the label - largest other score >= margin
                "right": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fmt = self.config.formats.score
        labelled, best = Signal(shape_of(fmt)), Signal(shape_of(fmt))
        lead = Signal(signed(fmt.width + 1))
        with m.If(self.valid):
            with m.If(self.post == 0):  # without another class the lowest score stands in for it
                m.d.sync += best.eq(fmt.min)
            with m.If(self.post == self.label):
                m.d.sync += labelled.eq(self.score)
            with m.Elif((self.post == 0) | (self.score > best)):
                m.d.sync += best.eq(self.score)
        m.d.sync += lead.eq(labelled - best)
        m.d.comb += self.right.eq(lead >= self.margin)
        return m
