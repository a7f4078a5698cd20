"""Observation port: every state word as it is written, with where it belongs. For checkers; synthesis leaves it out."""

from __future__ import annotations

from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from solsa.contract import NetworkConfig

from .arith import shape_of
from .beat import Geometry
from .lane import Lane


class Observation(wiring.Signature):
    """What a core retires, seen from the core.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    """

    def __init__(self, config: NetworkConfig) -> None:
        g = Geometry(config)
        f = config.formats
        super().__init__(
            {
                #: one clock at the end of a time step
                "step": Out(1),
                #: synapse words of one beat: written by a trace sweep (eps) or an update sweep (w)
                "trace": Out(1),
                "update": Out(1),
                "layer": Out(g.layer_bits),
                "block": Out(g.block_bits),
                "pre": Out(g.pre_bits),
                "words": Out(data.ArrayLayout(Lane.word_layout(config), config.lanes)),
                #: F of all banks
                "filter": Out(1),
                "filter_layer": Out(g.layer_bits),
                "filter_block": Out(g.block_bits),
                "filter_pre": Out(g.pre_bits),
                "filter_words": Out(data.ArrayLayout(shape_of(f.trace), g.layout.filter_banks)),
                #: a neuron's word
                "neuron": Out(1),
                "neuron_layer": Out(g.layer_bits),
                "neuron_post": Out(g.post_bits),
                "neuron_word": Out(g.neuron_layout()),
                #: error and learning step of a neuron
                "error": Out(1),
                "error_layer": Out(g.layer_bits),
                "error_post": Out(g.post_bits),
                "delta": Out(shape_of(f.delta)),
                "rate_step": Out(shape_of(f.rate_step)),
                #: its running mean of |delta| (option normalise)
                "mean": Out(1),
                "mean_error": Out(shape_of(f.mean_error)),
                #: readout summed over the sample
                "score": Out(1),
                "score_post": Out(g.post_bits),
                "score_value": Out(shape_of(f.score)),
                #: filter constant stepped, index layer * G + group
                "adapt": Out(1),
                "adapt_index": Out(max(1, (config.depth * config.groups - 1).bit_length())),
                "adapt_value": Out(shape_of(f.adaptive)),
                #: master state of the random generator
                "rng": Out(32),
                "updates": Out(32),
            }
        )
