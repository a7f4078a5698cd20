"""Clocks of a time step, predicted exactly from the configuration, and the bounds of the specification.

The prediction follows the hardware slot by slot (stages: rtl/beat.py, rtl/neuron.py, rtl/error.py); a test compares it
with the simulation clock for clock. Inference depends on activity; predicted is the step in which every input and every
neuron is active, and was in the step before, which is the slowest.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import BankKind, NetworkConfig, Readout
from .formats import RECIPROCAL_BITS
from .layout import Layout
from .microcode import Act, microcode

#: Shortest distance of two blocks that read what the block before wrote: F in trace sweeps (read in stage R0, written
#: in R4, see rtl/beat.py), the error sums in backward sweeps.
MIN_PERIOD = 6
#: First slot of layer 0 after the clock that accepts the command; end of `busy` after the last neuron.
_FIRST_SLOT, _END = 3, 1
#: From a slot (c0): accumulators in the unload chain's first neuron stage N0; spike known to the sequencer (after N7);
#: last neuron written.
_SLOT_TO_N0, _N0_TO_KNOWN, _N0_TO_DONE = 11, 8, 13
#: Parity of the clock in which even bank addresses are issued.
_PHASE = 0
#: Error unit X0 to X11; slot of a backward sweep to X0 without the adder tree; write-back of an update slot.
_ERROR, _BACKWARD, _DRAIN = 11, 11, 11
#: The softmax beside its two walks and its division; a group of the filter constants.
_SOFTMAX, _ADAPT = 13, 8


@dataclass(frozen=True)
class Cycles:
    """Clocks per time step, from the command to the end of ``busy``.

    Attributes
    ----------
    inference_step : int
        Learning off, every input and neuron active.
    learning_step : int
        Learning on, not scheduled.
    scheduled_step : int
        Learning on, weights updated, filter constants not.
    adapting_step : int
        Weights and filter constants updated.
    probe_step : int
        Changes measured, none made; 0 without the option ``probe``.
    """

    inference_step: int
    learning_step: int
    scheduled_step: int
    adapting_step: int
    probe_step: int


def predicted_cycles(config: NetworkConfig) -> Cycles:
    """Clocks of every kind of step."""
    done = {learn: _forward(config, learn) for learn in (False, True)}
    return Cycles(
        inference_step=done[False] + _END,
        learning_step=done[True] + _END,
        scheduled_step=_scheduled(config, done[True], adapt=False) + _END,
        adapting_step=_scheduled(config, done[True], adapt=True) + _END,
        probe_step=_probe(config, done[True]) + _END if config.probe else 0,
    )


def _forward(config: NetworkConfig, learn: bool) -> int:
    """Clock at which the last neuron of the last layer is written (N13)."""
    layout, lanes = Layout(config), config.lanes
    per_post, to_known, to_done = neuron_clocks(config), _N0_TO_KNOWN, _N0_TO_DONE
    if config.serial:  # its first clock is the one before N0
        to_known, to_done = microcode(config).clocks("neuron", Act.EMIT) + 2, per_post - 1
    known = [0] * config.inputs  # clock from which a slot of each pre may issue
    clock = _FIRST_SLOT  # next slot at the earliest
    chain_free, n0 = 0, 0
    for layer in range(config.depth):
        pres, posts, blocks = config.pre(layer), config.post(layer), layout.blocks(layer)
        # own spikes of the step before are known: the last pres of a trace sweep, the first of an inference list
        own = [0] * config.own(layer)
        known = [*known, *own] if learn else [*own, *known]
        emitted: list[int] = []
        block_start = -MIN_PERIOD
        for block in range(blocks):
            here = min(lanes, posts - block * lanes)
            if learn:
                clock = max(clock, block_start + MIN_PERIOD)
            for pre in range(pres):
                if block == 0:
                    clock = max(clock, known[pre])
                if pre == pres - 1:
                    clock = max(clock, chain_free)
                if learn:
                    clock = _in_phase(config, clock, layout.synapse_base[layer] + block * pres + pre)
                block_start = clock - pre  # had the block not waited for its inputs
                clock += 1
            last = clock - 1
            chain_free = last + here * per_post
            n0 = last + _SLOT_TO_N0 + config.relay
            emitted += [n0 + i * per_post + to_known for i in range(here)]
        known = emitted
        n0 += (min(lanes, posts - (blocks - 1) * lanes) - 1) * per_post
        clock += 1  # the next layer's sweep is started in the clock after the last slot
    return n0 + to_done


def neuron_clocks(config: NetworkConfig) -> int:
    """Clocks per neuron of the neuron unit."""
    return microcode(config).clocks("neuron") if config.serial else 1


def _in_phase(config: NetworkConfig, clock: int, address: int) -> int:
    """Clock at or after ``clock`` in which a sweep that writes may issue a bank address (rtl/bank.py)."""
    if config.bank is BankKind.SINGLE_PORT and (clock ^ address ^ _PHASE) & 1:
        return clock + 1
    return clock


def _probe(config: NetworkConfig, done: int) -> int:
    """A scheduled step that writes nothing: no bank has to be met in its phase, but the adder tree empties."""
    tree = config.lanes.bit_length() - 1
    return _scheduled(config.with_(bank=BankKind.DUAL_PORT), done, adapt=False) + max(0, tree - 1)


def _scheduled(config: NetworkConfig, done: int, adapt: bool) -> int:
    layout = Layout(config)
    tree = config.lanes.bit_length() - 1
    adapting = [0] * config.depth
    if adapt:
        per_group, drain = (microcode(config).clocks("adapt"), 1) if config.serial else (_ADAPT, 0)
        adapting = [per_group * config.used_groups(layer) + drain for layer in range(config.depth)]
    error = done + _readout(config)
    for layer in range(config.depth - 1, 0, -1):
        start = error + 1 + adapting[layer]
        pres = config.layers[layer]
        error = start + (layout.blocks(layer) - 1) * max(pres, MIN_PERIOD) + pres
        error += _BACKWARD + config.relay + tree
        error += pres * microcode(config).clocks("hidden") + 1 if config.serial else _ERROR
    adapted = error + 1 + adapting[0]
    clock = error
    for layer in range(config.depth):
        # `error` is the clock after the last delta; update slots come one clock later than `clock` counts here.
        clock = _in_phase(config, clock + 2, layout.synapse_base[layer]) - 1
        clock += layout.blocks(layer) * config.pre(layer)
    return max(clock + _DRAIN + config.relay, adapted)


def _readout(config: NetworkConfig) -> int:
    """Clocks from the last neuron to the last error of the readout."""
    outputs = config.outputs
    if config.serial:
        code = microcode(config)
        if config.readout is Readout.MEMBRANE:
            return outputs * (code.clocks("exp") + code.clocks("readout")) + RECIPROCAL_BITS + 5
        return outputs * code.clocks("readout") + 1
    if config.readout is Readout.MEMBRANE:
        # two walks over the readout around one division
        return 2 * outputs + RECIPROCAL_BITS + _SOFTMAX + _ERROR
    return outputs + _ERROR


# -- bounds of SPEC section 4 ----------------------------------------------------------------------------------------
def inference_bound(config: NetworkConfig, active: list[int] | None = None) -> int:
    """Clocks that an inference step may take; ``active`` counts the active pre-synaptic signals of every layer."""
    layout = Layout(config)
    counts = active or [config.pre(i) for i in range(config.depth)]
    work = sum(max(layout.blocks(i) * counts[i], config.post(i)) for i in range(config.depth))
    return int(1.10 * work + 16 * config.depth + 32)


def trace_bound(config: NetworkConfig) -> int:
    """Clocks that a learning step may take."""
    return int(1.10 * sum(_sweeps(config)) + 24 * config.depth + 32)


def scheduled_bound(config: NetworkConfig) -> int:
    """Clocks that a scheduled step may take: two trace steps, the backward pass of layers >= 2, the softmax."""
    layout = Layout(config)
    backward = sum(layout.blocks(i) * config.layers[i] for i in range(1, config.depth))
    softmax = _readout(config) if config.readout is Readout.MEMBRANE else 0
    return 2 * trace_bound(config) + backward + softmax


def _sweeps(config: NetworkConfig) -> list[int]:
    layout = Layout(config)
    return [max(layout.blocks(i) * config.pre(i), config.post(i)) for i in range(config.depth)]
