"""Checks of softmax, errors, learning steps and filter constants."""

from __future__ import annotations

import numpy as np
import rtl_side as rtl
from bench import Ints
from checks import agree, by_row, check, chunks, stored
from golden_side import GoldenAdapt, update
from rtl_side import LaneRun, expect
from setups import Setup, grid


# -- softmax -----------------------------------------------------------------------------------------------------------
def softmax_by_rows(setup: Setup, membranes: Ints) -> Ints:
    """Probabilities from the rows ``exponent``, ``reciprocal`` and ``probability`` alone."""
    formats, frac = setup.package.contract.formats, setup.f.membrane.frac
    below = membranes.max(axis=1, keepdims=True) - membranes
    power = by_row(setup, "exponent", below * formats.LOG2E)
    whole, part = np.divmod(power, 1 << frac)
    entries = np.array(formats.exp_entries())[part // (1 << (frac - formats.EXP_INDEX_BITS))]
    e = np.where(whole < formats.EXP_WIDTH, entries // (1 << np.minimum(whole, formats.EXP_WIDTH)), 0)
    r = (1 << formats.RECIPROCAL_BITS) // e.sum(axis=1, keepdims=True)
    return by_row(setup, "probability", e * r)


def _softmax_cases(setup: Setup, membranes: Ints, name: str) -> int:
    f, softmax = setup.f, setup.package.module("golden.arith").softmax
    cases = 0
    for part in chunks(1 << 13, membranes):
        got = rtl.softmax(setup, part[0])
        model = np.array([softmax(row, f.membrane.frac, f.delta.frac) for row in part[0]])
        agree(setup, name, got, model, softmax_by_rows(setup, part[0]))
        cases += got.size
    return cases


@check("exponent")
def exponent(setup: Setup) -> int:
    """Two classes: every pair; or every distance from the maximum until exp is nothing, and the largest."""
    f = setup.f
    if setup.every:
        pairs = np.stack(grid(setup.all(f.membrane), setup.all(f.membrane)), axis=1)
    else:
        octaves = setup.constant("EXP_WIDTH") + 1
        reach = octaves * f.membrane.one * (1 << setup.constant("LOG2E_FRAC")) // setup.constant("LOG2E")
        below = np.concatenate([np.arange(reach), f.membrane.max - f.membrane.min - np.arange(3)])
        top = np.where(below < reach, below // 2, f.membrane.max)
        pairs = np.stack([top, top - below], axis=1)
    return _softmax_cases(setup, pairs, "exponent")


@check("probability")
def probability(setup: Setup) -> int:
    """Three classes: every triple, or the corners of every membrane."""
    values = setup.all(setup.f.membrane)
    return _softmax_cases(setup, np.stack(grid(values, values, values), axis=1), "probability")


@check("reciprocal")
def reciprocal(setup: Setup) -> int:
    """Every divisor, or every small one and those near powers of two."""
    divisors = setup.unsigned(setup.divisor_bits)
    if not setup.every:
        powers = 1 << np.arange(setup.divisor_bits)
        near = (powers[:, None] + np.arange(-2, 3)).ravel()
        divisors = np.union1d(divisors, np.concatenate([np.arange(1024), near]))
    divisors = divisors[(divisors > 0) & (divisors < 1 << setup.divisor_bits)]
    expect(f"{setup.name} reciprocal", rtl.divide(setup, divisors),
           (1 << setup.constant("RECIPROCAL_BITS")) // divisors, divisor=divisors)  # fmt: skip
    return len(divisors)


# -- errors ------------------------------------------------------------------------------------------------------------
@check("error")
def error(setup: Setup) -> int:
    """Products of the lane, then the sum's way through the backward unit, in one block and in two."""
    f, lane = setup.f, LaneRun(setup)
    weights = setup.all(f.weight)
    deltas = setup.all(f.delta)
    lane.load_bank(weights, 0 * weights)
    lane.load_blocks(delta=deltas)
    address, block = grid(np.arange(len(weights)), np.arange(len(deltas)))
    expect("w*delta", lane.products(address, block), weights[address] * deltas[block])
    sums = setup.results(f.delta, setup.ops["error"].shift)
    model = update(setup, sums, np.full(len(sums), f.surrogate.one))[0]
    row = stored(setup, "error", by_row(setup, "error", sums))
    cases = agree(setup, "error", rtl.backward(setup, sums), model, row, sum=sums)
    for before in (-1, 1, -7):
        got = rtl.backward(setup, sums - before, np.full(len(sums), before))
        cases += agree(setup, "error", got, model, row, sum=sums)
    return cases


@check("hidden_delta")
def hidden_delta(setup: Setup) -> int:
    f = setup.f
    e, h = grid(setup.all(f.delta), setup.all(f.surrogate))
    zero = np.zeros(len(e), dtype=np.int64)
    model = update(setup, e << setup.ops["error"].shift, h)[0]
    row = stored(setup, "hidden_delta", by_row(setup, "hidden_delta", h * e))
    return agree(setup, "hidden_delta", rtl.hidden(setup, e, h, zero, zero)[0], model, row, e=e, h=h)


@check("rate_step")
def rate_step(setup: Setup) -> int:
    """Every delta, mantissa and shift."""
    f, cases = setup.f, 0
    mantissas = setup.unsigned(setup.constant("MANTISSA_BITS"))
    for shift in range(1 << setup.constant("SHIFT_BITS")):
        # Beyond the corners: products around the halves of this shift.
        delta, mantissa = grid(setup.all(f.delta), mantissas)
        if not setup.every:
            near = (1 << shift >> 1) + np.arange(-1, 2)
            extra = near[(near >= 0) & (near <= f.delta.max)]
            delta = np.concatenate([delta, extra, -extra])
            mantissa = np.concatenate([mantissa, np.ones(2 * len(extra), dtype=np.int64)])
        one = np.full(len(delta), f.surrogate.one)
        got = rtl.hidden(setup, delta, one, mantissa, np.full(len(delta), shift))[1]
        model = update(setup, delta << setup.ops["error"].shift, one, mantissa=mantissa, shift=shift)[1]
        row = stored(setup, "rate_step", by_row(setup, "rate_step", delta * mantissa, shift=shift))
        cases += agree(setup, "rate_step", got, model, row, delta=delta, mantissa=mantissa)
    return cases


# -- filter constants --------------------------------------------------------------------------------------------------
def _adapted(setup: Setup, name: str, a: Ints, total: Ints, mantissa: Ints, shift: Ints, low: Ints, high: Ints) -> int:
    """a' of cases; each eight in a row share mantissa, shift and limits."""
    guard, model = setup.constant("ADAPT_GUARD"), GoldenAdapt(setup)
    got = rtl.adapt(setup, a, total, mantissa, shift, low, high)
    wanted = [
        model.step(a[i : i + 8], total[i : i + 8], int(mantissa[i]), int(shift[i]), int(low[i]), int(high[i]))
        for i in range(0, len(a), 8)
    ]
    q = stored(setup, "adapt_sum", by_row(setup, "adapt_sum", total, shift=shift))
    row = np.maximum(a - by_row(setup, "adapt_step", q * mantissa), low << guard)
    row = np.minimum(row, high << guard)
    return agree(setup, name, got, np.concatenate(wanted), row, a=a, total=total, mantissa=mantissa, shift=shift)


def _eights(values: Ints) -> Ints:
    """Repeated up to a multiple of eight."""
    return np.resize(values, -(-len(values) // 8) * 8)


@check("adapt_sum")
def adapt_sum(setup: Setup) -> int:
    """Products delta*A of the error unit; then every sum with every shift, the mantissa such that a' shows q."""
    f, cases = setup.f, 0
    delta, trace = grid(setup.all(f.delta), setup.all(f.adapt_trace))
    zero = np.zeros(len(delta), dtype=np.int64)
    sums = rtl.hidden(setup, delta, np.full(len(delta), f.surrogate.one), zero, zero, trace)[2]
    expect("delta*A", sums, delta * trace)
    top = 1 << (setup.total_bits - 1)
    if setup.every:
        totals = np.arange(-top, top)
    else:
        ends = [end << s for s in range(22) for end in (f.adapt_sum.min, f.adapt_sum.max + 1)]
        near = np.add.outer(np.array([*setup.corners(-top, top - 1), *ends]), np.arange(-1, 2)).ravel()
        totals = np.unique(near[(near >= -top) & (near < top)])
    shift, total = grid(np.arange(1 << setup.constant("SHIFT_BITS")), _eights(totals))
    same = np.ones(len(total), dtype=np.int64)
    cases += _adapted(
        setup, "adapt_sum", same * (f.adaptive.one // 2), total, same << setup.constant("ADAPT_GUARD"), shift,
        0 * same, same * f.decay.max,
    )  # fmt: skip
    return cases


@check("adapt_step")
def adapt_step(setup: Setup) -> int:
    """Every q, mantissa and a with the widest limits; then every pair of limits, in either order."""
    f = setup.f
    mantissas, constants = setup.unsigned(setup.constant("MANTISSA_BITS")), _eights(setup.all(f.adaptive))
    mantissa, q, a = grid(mantissas, setup.all(f.adapt_sum), constants)
    same = np.ones(len(a), dtype=np.int64)
    cases = _adapted(setup, "adapt_step", a, q, mantissa, 0 * same, 0 * same, same * f.decay.max)
    some = _eights(np.linspace(0, f.adaptive.max, 16).astype(np.int64))
    limits = setup.all(f.decay)
    low, high, q, a = grid(limits, limits, setup.corners(f.adapt_sum.min, f.adapt_sum.max)[::3], some)
    same = np.ones(len(a), dtype=np.int64)
    return cases + _adapted(setup, "adapt_step", a, q, same * int(mantissas[-1]), 0 * same, low, high)
