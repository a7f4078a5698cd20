"""Checks of the neuron unit: I, V, k, J, A and the surrogate."""

from __future__ import annotations

from typing import Any

import numpy as np
from bench import Ints
from checks import EXTRA, by_row, check, chunks, stored
from rtl_side import NeuronRun, expect
from setups import POSTS, Setup, grid


# -- neurons -----------------------------------------------------------------------------------------------------------
@check("current_decay")
def current_decay(setup: Setup) -> int:
    f, cases = setup.f, 0
    sums = np.arange(2 * f.current.min, 2 * f.current.max + 2) if setup.every else setup.all(f.current)
    for start, a, total in chunks(POSTS, *grid(setup.all(f.current), setup.all(f.decay), sums)):
        neurons = NeuronRun(setup, len(start))
        assert np.array_equal(neurons.step(start, fresh_neurons=True)["current"], start)
        current = neurons.step(total, a=a)["current"]
        row = stored(setup, "current_decay", by_row(setup, "current_decay", a * start) + total)
        expect(f"{setup.name} current_decay: golden against the table", current, row, I=start, a=a, sum=total)
        cases += len(start)
    return cases


@check("membrane_decay")
def membrane_decay(setup: Setup) -> int:
    """Every V, s, I', lam and rho, but V at its lower end with a spike: no threshold lies below."""
    f, cases = setup.f, 0
    volts = setup.all(f.membrane)
    volts = volts[(volts >= f.current.min) & (volts <= f.current.max)]  # V = I after a sample reset
    for lam, rho in zip(*grid(setup.all(f.decay), setup.all(f.threshold)), strict=True):
        if rho < 0:
            continue
        for start, spike, total in chunks(POSTS, *grid(volts, [0, 1], setup.all(f.current))):
            neurons = NeuronRun(setup, len(start))
            theta = np.clip(start - spike, f.threshold.min, f.threshold.max)
            state = neurons.step(start, theta=theta, fresh_neurons=True)
            assert np.array_equal(state["membrane"], start)
            wrong = (state["spike"] != spike) & (start != f.membrane.min)
            wrong &= (start - spike >= f.threshold.min) & (start <= f.threshold.max)
            assert not wrong.any()
            spike = state["spike"]
            membrane = neurons.step(total, lam=int(lam), rho=int(rho))["membrane"]
            decayed = by_row(setup, "membrane_decay", lam * start)
            row = stored(setup, "membrane_decay", decayed + total - rho * spike)
            expect(f"{setup.name} membrane_decay: golden against the table", membrane, row, V=start, s=spike, I=total)
            cases += len(start)
    return cases


def surrogates(setup: Setup) -> list[int]:
    """Every h, or its corners, 32 of them."""
    values = np.resize(setup.all(setup.f.surrogate), 32)
    return [int(v) for v in values]


def _gain_cases(setup: Setup, name: str) -> int:
    """k' of every lam, rho and h."""
    f, cases = setup.f, 0
    table = surrogates(setup)
    assert not setup.every or set(table) == set(range(min(32, f.surrogate.max + 1)))
    # Table entry i is reached with V - theta = i.
    theta = np.full(32, -16)
    for lam, rho in zip(*grid(setup.all(f.decay), setup.all(f.threshold)), strict=True):
        if rho < 0:
            continue
        neurons = NeuronRun(setup, 32)
        neurons.load_table(table)
        volts = np.clip(np.arange(32) - 16, f.current.min, f.current.max)
        state = neurons.step(volts, lam=int(lam), rho=int(rho), theta=np.maximum(theta, f.threshold.min),
                             fresh_neurons=True)  # fmt: skip
        h = state["surrogate"]
        assert set(h) == set(table)
        kept, lost = by_row(setup, "gain_decay", lam), by_row(setup, "gain_reset", rho * h)
        row = stored(setup, name, kept - lost)
        expect(f"{setup.name} {name}: golden against the table", state["gain"], row, h=h)
        cases += 32
    return cases


@check("gain_decay")
def gain_decay(setup: Setup) -> int:
    return _gain_cases(setup, "gain_decay")


@check("gain_reset")
def gain_reset(setup: Setup) -> int:
    return _gain_cases(setup, "gain_reset")


# -- J and A -----------------------------------------------------------------------------------------------------------
def settle(neurons: NeuronRun, wanted: Ints, a: Ints, **more: Any) -> dict[str, Ints]:
    """A learning step after which I is ``wanted``."""
    kept = by_row(neurons.setup, "current_decay", a * neurons.state["current"])
    return neurons.step(wanted - kept, a=a, learn=True, **more)


def saturated(setup: Setup, sign: Ints, lam: int = 0) -> NeuronRun:
    """Neurons whose I, J and, with a large k, A stand at the ends of their formats."""
    f = setup.f
    ends = [np.where(sign < 0, fmt.min, fmt.max) for fmt in (f.current, f.filter_trace, f.adapt_trace)]
    neurons = NeuronRun(setup, len(sign))
    state = neurons.step(ends[0], lam=lam, learn=True, fresh_neurons=True, fresh_traces=True)
    for _ in range(100):
        done = np.array_equal(state["filter_trace"], ends[1])
        if done and (not lam or np.array_equal(state["adapt_trace"], ends[2])):
            return neurons
        state = neurons.step(ends[0], a=f.decay.max, lam=lam, learn=True)
    raise AssertionError("the traces do not saturate")


def with_filter_trace(setup: Setup, target: Ints, current: Ints) -> NeuronRun:
    """Neurons with J = ``target`` and I = ``current``."""
    f, shift = setup.f, setup.ops["filter_trace_in"].shift
    if setup.every:
        neurons = NeuronRun(setup, len(target))
        neurons.step(target << shift, learn=True, fresh_neurons=True, fresh_traces=True)
        state = neurons.step(current, learn=True, fresh_traces=True)
    else:
        # From the end of the range: the nearest multiple that a can make, the rest comes from I.
        neurons = saturated(setup, target)
        end = neurons.state["filter_trace"]
        a = np.minimum(target * (f.decay.max + 1) // end, f.decay.max)
        rest = target - by_row(setup, "filter_trace_decay", a * end)
        settle(neurons, rest << shift, np.full(len(target), f.decay.max))
        assert np.array_equal(neurons.state["filter_trace"], end)
        state = settle(neurons, current, a)
    assert np.array_equal(state["filter_trace"], target)
    assert np.array_equal(state["current"], current)
    return neurons


def _filter_trace_cases(setup: Setup, name: str) -> int:
    """J' of every J, a and I."""
    f, cases = setup.f, 0
    operands = grid(setup.all(f.filter_trace), setup.all(f.decay), setup.all(f.current))
    for old, a, current in chunks(POSTS, *operands):
        found = with_filter_trace(setup, old, current).step(0, a=a, learn=True)["filter_trace"]
        new = by_row(setup, "filter_trace_decay", a * old) + by_row(setup, "filter_trace_in", current)
        expect(f"{setup.name} {name}: golden against the table", found, stored(setup, name, new), J=old, a=a, I=current)
        cases += len(old)
    return cases


@check("filter_trace_in")
def filter_trace_in(setup: Setup) -> int:
    return _filter_trace_cases(setup, "filter_trace_in")


@check("filter_trace_decay")
def filter_trace_decay(setup: Setup) -> int:
    return _filter_trace_cases(setup, "filter_trace_decay")


def gain_constants(setup: Setup, gain: int) -> tuple[int, int, int] | None:
    """(lam, rho, h) that make k' = ``gain``; None if no lam below 1.0 does."""
    f, decay, reset = setup.f, setup.ops["gain_decay"].shift, setup.ops["gain_reset"].shift
    if gain >= 0:
        return (gain << decay, 0, 0) if gain << decay <= f.decay.max else None
    for h in range(f.surrogate.max, 0, -1):
        rho = -((gain << reset) // h)  # rounded up
        if rho <= f.threshold.max and (rho * h) >> reset == -gain:
            return 0, rho, h
    raise AssertionError(f"no rho*h gives k = {gain}")


def with_adapt_trace(
    setup: Setup, target: Ints, current: Ints, gain: int, constants: tuple[int, int, int]
) -> NeuronRun:
    """Neurons with A = ``target``, k = ``gain`` and I = ``current``; the targets have one sign."""
    f = setup.f
    lam, rho, h = constants
    shift = setup.ops["adapt_trace_in"].shift + setup.ops["filter_trace_in"].shift
    kept_lam = setup.ops["gain_decay"].shift
    if setup.every:
        neurons = NeuronRun(setup, len(target))
        neurons.load_table([h] * 32)
        neurons.step(target << shift, learn=True, fresh_neurons=True, fresh_traces=True)
        state = neurons.step(current, lam=lam, rho=rho, learn=True, fresh_traces=True)
    else:
        neurons = saturated(setup, target, lam=f.decay.max)
        neurons.load_table([h] * 32)
        end = int(neurons.state["adapt_trace"][0])
        k = min(int(target[0]) * f.gain.one // end, f.decay.max >> kept_lam)
        rest = target - by_row(setup, "adapt_trace_decay", np.array(k * end))
        settle(neurons, rest << shift, np.full(len(target), f.decay.max), lam=k << kept_lam)
        state = settle(neurons, current, np.zeros(len(target), dtype=np.int64), lam=lam, rho=rho)
    assert np.array_equal(state["adapt_trace"], target)
    assert (state["gain"] == gain).all()
    assert np.array_equal(state["current"], current)
    return neurons


def _adapt_trace_cases(setup: Setup, name: str) -> int:
    """A' of every A, every k that lam < 1.0 allows, and J' from every I."""
    f, cases = setup.f, 0
    currents = setup.all(f.current)
    for gain in setup.all(f.gain):
        constants = gain_constants(setup, int(gain))
        if constants is None:
            continue
        if setup.every:
            columns = [grid(setup.all(f.adapt_trace), currents)]
        else:  # a constant of the layer leads to A, so one A at a time
            columns = [grid([target], currents) for target in setup.all(f.adapt_trace)]
        for old, current in columns:
            neurons = with_adapt_trace(setup, old, current, int(gain), constants)
            found = neurons.step(0, learn=True)["adapt_trace"]
            j = np.clip(by_row(setup, "filter_trace_in", current), f.filter_trace.min, f.filter_trace.max)
            new = by_row(setup, "adapt_trace_decay", gain * old) + by_row(setup, "adapt_trace_in", j)
            expect(f"{setup.name} {name}: golden against the table", found, stored(setup, name, new), A=old, I=current)
            cases += len(old)
    return cases


@check("adapt_trace_in")
def adapt_trace_in(setup: Setup) -> int:
    return _adapt_trace_cases(setup, "adapt_trace_in")


@check("adapt_trace_decay")
def adapt_trace_decay(setup: Setup) -> int:
    return _adapt_trace_cases(setup, "adapt_trace_decay")


# -- no rows of the table ----------------------------------------------------------------------------------------------
@check("surrogate_index", EXTRA)
def surrogate_index(setup: Setup) -> int:
    """h of every V, theta and shift: |V - theta| >> shift, the last entry for all beyond."""
    f, cases = setup.f, 0
    table = [min(i, f.surrogate.max) for i in range(32)]
    volts = setup.all(f.membrane)
    volts = volts[(volts >= f.current.min) & (volts <= f.current.max)]
    for shift in range(1 << setup.constant("SURROGATE_SHIFT_BITS")):
        for volt, theta in chunks(POSTS, *grid(volts, setup.all(f.threshold))):
            neurons = NeuronRun(setup, len(volt))
            neurons.load_table(table)
            h = neurons.step(volt, theta=theta, surrogate_shift=shift, fresh_neurons=True)["surrogate"]
            wanted = np.array(table)[np.minimum(np.abs(volt - theta) // (1 << shift), 31)]
            expect(f"{setup.name} surrogate_index", h, wanted, V=volt, theta=theta)
            cases += len(volt)
    return cases
