"""Checks of the lane: eps, weights, sums of currents; and of F in the pre-synaptic unit."""

from __future__ import annotations

import numpy as np
from bench import Ints
from checks import agree, by_row, check, chunks, stored
from golden_side import trace_step, update
from rtl_side import FilterRun, LaneRun, NeuronRun, expect
from setups import BLOCKS, POSTS, TERMS, Setup, grid


# -- lane --------------------------------------------------------------------------------------------------------------
@check("trace_decay")
def trace_decay(setup: Setup) -> int:
    f, lane = setup.f, LaneRun(setup)
    traces, gains = setup.all(f.trace), setup.all(f.gain)
    lane.load_bank(0 * traces, traces)
    lane.load_blocks(gain=gains)
    address, block, filtered = grid(np.arange(len(traces)), np.arange(len(gains)), setup.all(f.trace))
    eps, gain = traces[address], gains[block]
    got = lane.trace(address, block, filtered)
    row = stored(setup, "trace_decay", by_row(setup, "trace_decay", gain * eps) + filtered)
    return agree(setup, "trace_decay", got, trace_step(setup, eps, gain, filtered), row, eps=eps, k=gain, F=filtered)


@check("weight_step")
def weight_step(setup: Setup) -> int:
    f, lane = setup.f, LaneRun(setup)
    bits = setup.ops["weight_step"].shift
    rates = setup.all(f.rate_step)
    weights, traces = grid(setup.all(f.weight), setup.all(f.trace))
    random = setup.unsigned(bits)
    cases = 0
    lane.load_blocks(rate=rates)
    for weight, trace in chunks(TERMS * BLOCKS, weights, traces):
        lane.load_bank(weight, trace)
        address, block, words = grid(np.arange(len(weight)), np.arange(len(rates)), random)
        got = lane.update(address, block, words)
        w, eps, g = weight[address], trace[address], rates[block]
        # g out of the golden model's own rate step: delta = sum, mantissa 1, shift 0, where delta can hold it.
        error, mantissa = _as_delta(setup, g)
        model = update(setup, error, np.full(len(w), f.delta.one), mantissa=mantissa, weight=w, trace=eps, random=words)
        row = stored(setup, "weight_step", w - by_row(setup, "weight_step", g * eps, random=words))
        cases += agree(setup, "weight_step", got, model[2], row, w=w, eps=eps, g=g, random=words)
    return cases


def _as_delta(setup: Setup, g: Ints) -> tuple[Ints, Ints]:
    """(sum of w*delta, mantissa) that make the golden model's learning step ``g`` with shift 0."""
    f = setup.f
    delta = np.clip(g, f.delta.min, f.delta.max)
    inside = delta == g
    # Beyond delta: an even g is twice a delta, an odd one lies outside what a mantissa of two can make.
    mantissa = np.where(inside, 1, 2)
    delta = np.where(inside, g, g // 2)
    assert (delta * mantissa == g).all(), "learning steps that need another way through the golden model"
    return delta << setup.ops["error"].shift, mantissa


@check("current_sum")
def current_sum(setup: Setup) -> int:
    """Through the lane's accumulator and the neuron unit: one and two terms."""
    f, lane = setup.f, LaneRun(setup)
    weights = setup.all(f.weight)
    lane.load_bank(weights, 0 * weights)
    ends = np.unique([0, 1, len(weights) // 3, len(weights) - 1])
    cases = 0
    for first in (None, *ends):
        address, x = grid(np.arange(len(weights)), setup.all(f.input))
        sums = weights[address] * x
        if first is not None:
            head = np.full(len(x), f.input.min if first % 2 else f.input.max)
            sums = sums + weights[first] * head
            address = np.stack([np.full(len(x), first), address], axis=1).ravel()
            x = np.stack([head, x], axis=1).ravel()
        chains = lane.sums(address, x, 1 if first is None else 2)
        for exact, chain in chunks(POSTS, sums, chains):
            neurons = NeuronRun(setup, len(exact))
            current = neurons.step(sums=exact, chain=chain, fresh_neurons=True)["current"]
            row = np.clip(by_row(setup, "current_sum", exact), f.current.min, f.current.max)
            expect(f"{setup.name} current_sum: golden against the table", current, row, sum=exact)
            cases += len(exact)
    return cases


# -- F -----------------------------------------------------------------------------------------------------------------
def with_filter(setup: Setup, target: int, count: int) -> FilterRun:
    """Pre-synaptic signals whose F is ``target``."""
    f = setup.f
    filters, align = FilterRun(setup, count), f.trace.frac - f.input.frac
    if setup.every:
        # The bits below the input's come from one input, decayed.
        filters.step(1, 0, fresh=True)
        rest = target % (1 << align)
        filters.step(target >> align, rest << (setup.constant("DECAY_FRAC") - align))
    else:
        end = f.trace.min if target < 0 else f.trace.max
        filters.step(f.input.min if target < 0 else f.input.max, 0, fresh=True)
        for _ in range(100):
            if filters.state[0] == end:
                break
            filters.step(f.input.min if target < 0 else f.input.max, f.decay.max)
        if target != end:
            filters.step(0, -(-(abs(target) << setup.constant("DECAY_FRAC")) // abs(end)))
    assert (filters.state == target).all()
    return filters


@check("filter_decay")
def filter_decay(setup: Setup) -> int:
    f, cases = setup.f, 0
    x = setup.all(f.input)
    for old, a in zip(*grid(setup.all(f.trace), setup.all(f.decay)), strict=True):
        filters = with_filter(setup, int(old), len(x))
        found = filters.step(x, int(a))
        row = by_row(setup, "filter_decay", old * a) + (x << (f.trace.frac - f.input.frac))
        expect(f"{setup.name} filter_decay: golden against the table", found, stored(setup, "filter_decay", row), x=x)
        cases += len(x)
    return cases
