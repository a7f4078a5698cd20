"""What travels with every synapse through the sweep pipeline.

Stages, one clock each, named in all files of this folder::

    c0  sequencer issues a slot; active list is addressed
    c1  active list answers
    c2  pre index known; bank and filter addresses are added
    R0  addresses registered; input and filter memories are addressed
    R1  x, F out of their memories
    R2  addresses registered in front of the lanes (L0); operands of a*F
    R3  {eps, w}, k, {delta, g} out of the lanes' memories (L1); product a*F
    R4  operands of the lanes' multipliers (L2); F' ready and written
    R5  products (L3); F' and random bits registered in front of the lanes
    R6  sums (L4): accumulator complete
    R7  saturated words (L5), written back and observed; accumulators enter the unload chain
    R8  first neuron of the block enters the neuron unit (N0)

With more than 16 lanes everything to them passes a register more, one for each row of 16 (rtl/lanes.py): for the lanes
and what comes behind them, every stage from R0 on is then one clock later than for the pre-synaptic unit.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Value, unsigned
from amaranth.lib import data, enum
from amaranth.utils import bits_for

from solsa.contract import Layout, NetworkConfig

from .arith import shape_of


class Mode(enum.Enum, shape=3):  # type: ignore[call-arg]
    """What a sweep does with a synapse word."""

    #: Inference: only active inputs, nothing written.
    FORWARD = 0
    #: Learning step: every synapse, eps advances.
    TRACE = 1
    #: Errors of the layer below: w*delta summed over posts.
    BACKWARD = 2
    #: Weights change.
    UPDATE = 3
    #: Host reads a word.
    READ = 4
    #: Host writes w.
    WRITE_WEIGHT = 5
    #: Host writes eps.
    WRITE_TRACE = 6
    #: As UPDATE, but nothing changes: the magnitudes of the changes are summed.
    PROBE = 7


class Geometry:
    """Widths of indices and addresses of a configuration, and per-layer constants as lists."""

    def __init__(self, config: NetworkConfig) -> None:
        layout = Layout(config)
        depth = config.depth
        self.config, self.layout = config, layout
        self.pres = [config.pre(i) for i in range(depth)]
        #: pre-synaptic signals from the layer below; the rest are the layer's own spikes of the step before
        self.below = [config.layers[i] for i in range(depth)]
        self.own = [config.own(i) for i in range(depth)]
        self.posts = [config.post(i) for i in range(depth)]
        self.blocks = [layout.blocks(i) for i in range(depth)]
        #: posts in the last block of a layer
        self.ragged = [m - (b - 1) * config.lanes for m, b in zip(self.posts, self.blocks, strict=True)]
        self.layer_bits = max(1, bits_for(depth - 1))
        self.pre_bits = bits_for(max(self.pres))
        self.post_bits = bits_for(max(self.posts))
        self.block_bits = bits_for(max(self.blocks))
        self.address_bits = max(1, bits_for(layout.synapse_depth - 1))
        self.pre_address_bits = max(1, bits_for(layout.pre_depth - 1))
        self.post_address_bits = max(1, bits_for(layout.post_depth - 1))
        self.block_address_bits = max(1, bits_for(layout.block_depth - 1))
        self.lane_bits = max(1, bits_for(config.lanes - 1))
        self.group_bits = max(1, bits_for(config.groups - 1))
        self.lane_shift = config.lanes.bit_length() - 1
        f = config.formats
        #: a lane's accumulator: exact sum of w*x over the largest layer, half of the last kept bit included
        self.accumulator_bits = f.weight.width + f.input.width + bits_for(max(self.pres))
        #: the unload chain also carries single words to the host
        self.chain_bits = max(self.accumulator_bits, f.weight.width, f.trace.width)
        #: exact sum of w*delta over the largest layer, half of the last kept bit included
        self.error_bits = f.weight.width + f.delta.width + bits_for(max(self.posts))

    def slot_layout(self) -> data.StructLayout:
        """A slot as the sequencer issues it (c0)."""
        return data.StructLayout({**self._flow(), "index": self.pre_bits, "base": self.address_bits})

    def beat_layout(self) -> data.StructLayout:
        """A slot with its addresses (R0 and later)."""
        addresses = {"pre": self.pre_bits, "address": self.address_bits, "pre_address": self.pre_address_bits}
        return data.StructLayout({**self._flow(), **addresses})

    def _flow(self) -> dict[str, Any]:
        """What slots and beats have in common: where in its sweep a synapse stands."""
        return {
            "valid": 1,
            "compute": 1,
            "first": 1,
            "last": 1,
            "mode": Mode,
            "layer": self.layer_bits,
            "block": self.block_bits,
            "last_block": 1,
        }

    def neuron_layout(self) -> data.StructLayout:
        """Memory word of a neuron."""
        f = self.config.formats
        return data.StructLayout(
            {
                "current": shape_of(f.current),
                "membrane": shape_of(f.membrane),
                "spike": unsigned(1),
                "surrogate": shape_of(self.config.surrogate_word),
                "gain": shape_of(f.gain),
                "filter_trace": shape_of(f.filter_trace),
                "adapt_trace": shape_of(f.adapt_trace),
            }
        )


def sums_currents(mode: Value) -> Value:
    """Whether a mode sums synaptic currents."""
    return (mode == Mode.FORWARD) | (mode == Mode.TRACE)
