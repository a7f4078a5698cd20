"""Where every state word lies: lanes, banks, addresses, bit positions.

Lane p owns the posts i with i mod P = p. A block is P posts that the lanes process together: block b holds the posts
b*P to b*P + P - 1. A lane's bank holds one word {eps, w} per synapse at ``base(layer) + b*N + j``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from .config import NetworkConfig


@dataclass(frozen=True)
class Layout:
    """Addresses of a configuration. ``N`` below may be smaller at run time than in the configuration."""

    config: NetworkConfig

    def blocks(self, layer: int) -> int:
        """Blocks of P posts in a layer, the last may be ragged."""
        return -(-self.config.post(layer) // self.config.lanes)

    @cached_property
    def synapse_base(self) -> tuple[int, ...]:
        """First bank address of every layer."""
        return _offsets([self.blocks(i) * self.config.pre(i) for i in range(self.config.depth)])[:-1]

    @cached_property
    def synapse_depth(self) -> int:
        """Words in one lane's bank."""
        return sum(self.blocks(i) * self.config.pre(i) for i in range(self.config.depth))

    @cached_property
    def block_base(self) -> tuple[int, ...]:
        """First entry of every layer in a lane's memories of k and of {delta, g}."""
        return _offsets([self.blocks(i) for i in range(self.config.depth)])[:-1]

    @cached_property
    def block_depth(self) -> int:
        """Entries in a lane's memories of k and of {delta, g}."""
        return sum(self.blocks(i) for i in range(self.config.depth))

    @cached_property
    def pre_base(self) -> tuple[int, ...]:
        """First pre-synaptic index of every layer in the input and filter memories."""
        return _offsets([self.config.pre(i) for i in range(self.config.depth)])[:-1]

    @cached_property
    def pre_depth(self) -> int:
        """Pre-synaptic signals of all layers."""
        return sum(self.config.pre(i) for i in range(self.config.depth))

    @cached_property
    def post_base(self) -> tuple[int, ...]:
        """First neuron of every layer in the neuron memory."""
        return _offsets([self.config.post(i) for i in range(self.config.depth)])[:-1]

    @cached_property
    def post_depth(self) -> int:
        """Neurons of all layers."""
        return sum(self.config.post(i) for i in range(self.config.depth))

    # -- filter memory -----------------------------------------------------------------------------------------------
    @property
    def filter_banks(self) -> int:
        """Filter words read per clock: min(P, G)."""
        return min(self.config.lanes, self.config.groups)

    @property
    def filter_slots(self) -> int:
        """Words per pre and bank: with P < G the group follows the block."""
        return self.config.groups // self.filter_banks

    def filter_address(self, layer: int, pre: int, group: int) -> tuple[int, int]:
        """(bank, address) of F of a pre-synaptic signal and group."""
        bank, slot = group % self.filter_banks, group // self.filter_banks
        return bank, (self.pre_base[layer] + pre) * self.filter_slots + slot

    @property
    def filter_depth(self) -> int:
        """Words in one filter bank."""
        return self.pre_depth * self.filter_slots

    def synapse_address(self, layer: int, post: int, pre: int) -> tuple[int, int]:
        """(lane, bank address) of a synapse."""
        block, lane = divmod(post, self.config.lanes)
        return lane, self.synapse_base[layer] + block * self.config.pre(layer) + pre

    # -- memory the state takes --------------------------------------------------------------------------------------
    def state_bits(self) -> dict[str, int]:
        """Bits of learning and inference state, by quantity (exact; schedule and tables not counted)."""
        f, c = self.config.formats, self.config
        posts, groups = self.post_depth, c.groups
        return {
            "weights": c.synapses * f.weight.width,
            "eligibility_traces": c.synapses * f.trace.width,
            "filter_traces": groups * self.pre_depth * f.trace.width,
            "neurons": posts * (f.current.width + f.membrane.width + 1 + c.surrogate_word.width + f.gain.width),
            "adaptive_filters": posts * (f.filter_trace.width + f.adapt_trace.width)
            + c.depth * groups * (f.adaptive.width + f.decay.width),
            "errors": posts * (f.delta.width + f.rate_step.width),
            **({"mean_errors": posts * f.mean_error.width} if c.normalise else {}),
        }

    def bptt_bits(self, steps: int) -> dict[str, int]:
        """Bits that backpropagation through time would keep for a sample of ``steps`` steps, same widths.

        Per step: inputs of every layer (graded input, spikes as bits), current and membrane of every neuron (the
        surrogate is recomputed from the membrane; the current is needed for dV/da). Besides: weights, one gradient
        accumulator per weight as wide as its trace, and the backward state per neuron.
        """
        f, c = self.config.formats, self.config
        per_step = c.inputs * f.input.width + sum(c.layers[1:-1])
        per_step += self.post_depth * (f.current.width + f.membrane.width)
        return {
            "weights": c.synapses * f.weight.width,
            "gradients": c.synapses * f.trace.width,
            "history": steps * per_step,
            "backward_state": self.post_depth * (f.delta.width + f.current.width + f.membrane.width),
        }


def _offsets(sizes: list[int]) -> tuple[int, ...]:
    total, found = 0, [0]
    for size in sizes:
        total += size
        found.append(total)
    return tuple(found)
