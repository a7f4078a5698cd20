"""What each learning rule is: which traces, whose errors, when it updates; and what it costs in bits and multiplies."""

from __future__ import annotations

from dataclasses import dataclass

from solsa.contract import Layout, NetworkConfig

#: Kinds of traces and of learning signals; the numbers are those of :mod:`solsa.golden.baselines.forward`.
NOTHING, SYNAPSE, PRE, FILTERED = 0, 1, 2, 3
ABOVE, LOCAL, SILENT = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A learning rule.

    Attributes
    ----------
    name, title, source : str
        Key in results, name for people, publication.
    trace, signal : int
        See the constants of this module.
    reset_term : bool
        Whether the trace follows the reset, k = lam - rho*h.
    accumulate : bool
        Gradients are summed over the sample and applied at its end, instead of at every scheduled step.
    """

    name: str
    title: str
    source: str
    trace: int = PRE
    signal: int = ABOVE
    reset_term: bool = False
    accumulate: bool = True

    @property
    def backward(self) -> bool:
        """Whether the rule goes back in time."""
        return self.trace == NOTHING


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(name="solsa", title="SOLSA", source="arXiv 2307.11314", trace=SYNAPSE, reset_term=True, accumulate=False),
        Rule(name="bptt", title="BPTT, surrogate gradient", source="Neftci et al. 2019", trace=NOTHING),
        Rule(name="eprop", title="e-prop", source="Bellec et al. 2020", trace=FILTERED),
        Rule(name="ottt", title="OTTT", source="Xiao et al. 2022"),
        Rule(name="ostl", title="OSTL", source="Bohnstingl et al. 2022", trace=SYNAPSE, reset_term=True),
        Rule(name="decolle", title="DECOLLE", source="Kaiser et al. 2020", signal=LOCAL, accumulate=False),
        Rule(name="fixed", title="fixed random hidden layer", source="", signal=SILENT, accumulate=False),
    )
}


def state_bits(rule: Rule, config: NetworkConfig, steps: int, *, adapt: bool = False) -> int:
    """Bits that a rule keeps for a sample of ``steps`` steps, with the widths of a configuration.

    Counted as in :class:`~solsa.contract.Layout`: weights, neurons, whatever the rule needs of the past, errors, and
    one accumulator per weight, as wide as a trace, where gradients are summed. Fixed random weights count as weights.
    """
    layout, f = Layout(config), config.formats
    if rule.backward:
        return sum(layout.bptt_bits(steps).values())
    parts = layout.state_bits()
    hidden = config.synapses - config.pre(config.depth - 1) * config.post(config.depth - 1)
    learned = config.synapses - hidden if rule.signal == SILENT else config.synapses
    if not adapt:
        parts["adaptive_filters"] = config.depth * config.groups * f.decay.width
    if rule.trace != SYNAPSE:
        pres = config.pre(config.depth - 1) if rule.signal == SILENT else layout.pre_depth
        parts["filter_traces"] = 2 * config.groups * pres * f.trace.width
        parts["eligibility_traces"] = 2 * hidden * f.trace.width if rule.trace == FILTERED else 0
        parts["neurons"] -= layout.post_depth * f.gain.width
    if rule.accumulate:
        parts["accumulators"] = learned * f.trace.width
    if rule.signal == LOCAL:
        parts["local_readouts"] = sum(config.post(i) * config.outputs for i in range(config.depth - 1)) * f.weight.width
    return sum(parts.values())


def multiplies(rule: Rule, config: NetworkConfig, scheduled: float, *, adapt: bool = False) -> float:
    """Multiplications per time step while learning, when a share ``scheduled`` of the steps has an error.

    Spikes are added, not multiplied: only graded inputs cost a product per synapse in the forward pass.
    """
    depth, groups = config.depth, config.groups
    posts = sum(config.layers[1:])
    top = config.pre(depth - 1) * config.post(depth - 1)
    hidden = config.synapses - top
    learned = top if rule.signal == SILENT else config.synapses
    upward = config.synapses - config.pre(0) * config.post(0)  # products of w*delta going down
    forward = config.pre(0) * config.post(0) + 2 * posts
    if rule.backward:
        # every step: w*gI down, gI*pre (graded only), four per neuron; errors cost none
        return forward + upward + config.pre(0) * config.post(0) + 4 * posts
    pres = config.pre(depth - 1) if rule.signal == SILENT else sum(config.layers[:-1])
    cost = float(forward + groups * pres)
    if rule.trace == SYNAPSE:
        cost += config.synapses + posts
    else:
        cost += groups * pres
    if rule.trace == FILTERED:
        cost += 3 * hidden
    if adapt:
        cost += 2 * posts
    if config.filtered_surrogate:
        cost += sum(config.layers[1:-1])
    local = 2 * config.outputs * sum(config.layers[1:-1])
    below = {ABOVE: upward, LOCAL: local, SILENT: 0}[rule.signal]
    return cost + scheduled * (learned + below + 2 * posts)
