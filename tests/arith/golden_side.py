"""The golden model's own steps, given any operands: its state arrays are replaced by columns of cases.

Every column has one entry per case. The methods of GoldenCore then treat a case as a neuron (or a pre-synaptic
signal), so what is tested is the line of the model that a simulation runs, not a copy of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from bench import Ints
from setups import Setup


def golden(setup: Setup, layers: tuple[int, ...] = (1, 1), **more: Any) -> Any:
    """A golden model with the formats of a setup."""
    package = setup.package
    more.setdefault("readout", package.contract.Readout.SPIKE)
    more.setdefault("surrogate_entries", 32)
    config = setup.config(layers, **more)
    zeros = ((0,) * config.groups,) * config.depth
    parameters = package.contract.Parameters(
        theta=(0,) * config.depth, rho=(0,) * config.depth, lam=zeros, a=zeros, surrogate=(0,) * 32,
        surrogate_shift=0, rate=((0, 0),) * config.depth, adapt_rate=((0, 0),) * config.depth,
    )  # fmt: skip
    return package.module("golden.core").GoldenCore(config, parameters)


class GoldenNeurons:
    """Neurons of one layer, each with constants of its own."""

    FIELDS = ("current", "membrane", "spike", "surrogate", "gain", "filter_trace", "adapt_trace")

    def __init__(self, setup: Setup, count: int) -> None:
        self._guard = setup.constant("ADAPT_GUARD")
        self.core = golden(setup)
        self.count = count
        layer = self.layer = self.core.state.layers[0]
        for name in self.FIELDS:
            setattr(layer, name, np.zeros(count, dtype=np.int64))
        layer.trace = layer.filter = np.zeros((count, 1), dtype=np.int64)
        self.core._groups[0] = np.arange(count)

    def step(
        self, sums: Ints, a: Ints, lam: int, rho: int, theta: Ints, table: list[int], surrogate_shift: int,
        fresh_neurons: bool, fresh_traces: bool, learn: bool,
    ) -> dict[str, Ints]:  # fmt: skip
        """One step; ``sums`` are the exact sums of w*x. Returns the state by field."""
        core, layer = self.core, self.layer
        layer.weight = sums[:, None]
        layer.a = a << self._guard
        core._lam[0] = np.full(self.count, lam)
        core._table = np.array(table)
        core.parameters = core.parameters.with_(theta=(theta,), rho=(rho,), surrogate_shift=surrogate_shift)
        core.state.fresh_neurons, core.state.fresh_traces = fresh_neurons, fresh_traces
        core._forward(0, np.array([1]), learn)
        return {name: getattr(layer, name).copy() for name in self.FIELDS}


def filter_step(setup: Setup, old: Ints, a: int, x: Ints, *, fresh: bool) -> Ints:
    """F' of one group whose pre-synaptic signals are the cases."""
    core = golden(setup)
    layer = core.state.layers[0]
    layer.filter, layer.trace, layer.weight = old[None, :], 0 * old[None, :], 0 * old[None, :]
    layer.a = np.array([a << setup.constant("ADAPT_GUARD")])
    core._groups[0] = np.array([0])
    core.state.fresh_traces = fresh
    core._forward(0, x, True)
    return layer.filter[0]


def trace_step(setup: Setup, eps: Ints, gain: Ints, filtered: Ints) -> Ints:
    """eps' of one synapse per case; F' is ``filtered``."""
    cases = GoldenNeurons(setup, len(eps))
    layer = cases.layer
    layer.trace, layer.gain, layer.filter = eps[:, None], gain, filtered[:, None]
    # a = 1.0, which no device can hold, keeps F as it is.
    one = np.full(len(eps), 1 << setup.constant("DECAY_FRAC"))
    layer.weight, layer.a = np.zeros((len(eps), 1), dtype=np.int64), one << setup.constant("ADAPT_GUARD")
    cases.core.state.fresh_traces = False
    cases.core._forward(0, np.array([0]), True)
    assert np.array_equal(layer.filter[:, 0], filtered)
    return layer.trace[:, 0]


def update(
    setup: Setup, sums: Ints, surrogate: Ints, *, mantissa: Ints | int = 0, shift: int = 0,
    weight: Ints | None = None, trace: Ints | None = None, random: Ints | None = None,
) -> tuple[Ints, Ints, Ints]:  # fmt: skip
    """(delta, g, w') of hidden neurons with one synapse each; ``sums`` are their sums of w*delta of the layer above."""
    core = golden(setup, (1, 1, 1))
    below, above = core.state.layers
    zeros = np.zeros(len(sums), dtype=np.int64)
    below.surrogate, below.adapt_trace = surrogate, zeros
    below.weight = (zeros if weight is None else weight)[:, None]
    below.trace = (zeros if trace is None else trace)[:, None]
    # The neuron above has delta = -1: label 0, no spike, h = 1 in the last place.
    above.surrogate, above.spike = np.array([1]), np.array([0])
    above.weight = above.trace = -sums[None, :]
    core.parameters = core.parameters.with_(rate=((mantissa, shift), (0, 0)))
    with _random(setup, zeros if random is None else random):
        core._update(0, None, False)
    return below.delta, below.rate_step, below.weight[:, 0]


@contextmanager
def _random(setup: Setup, words: Ints) -> Iterator[None]:
    """Random words of the weight step of layer 0."""
    module: Any = setup.package.module("golden.core")
    original = module.random_bits

    def chosen(master: int, posts: int, pres: int, bits: int) -> Ints:
        assert words.min() >= 0
        assert words.max() < 1 << bits
        return words[:, None] if (posts, pres) == (len(words), 1) else np.zeros((posts, pres), dtype=np.int64)

    module.random_bits = chosen
    try:
        yield
    finally:
        module.random_bits = original


class GoldenAdapt:
    """Filter constants; every group is a case."""

    def __init__(self, setup: Setup) -> None:
        self.core = golden(setup, (1, 8), groups=8)
        self.layer = self.core.state.layers[0]
        self.layer.delta = np.ones(8, dtype=np.int64)

    def step(self, a: Ints, totals: Ints, mantissa: int, shift: int, low: int, high: int) -> Ints:
        """a' of eight groups with the sums of delta*A ``totals``."""
        core, layer = self.core, self.layer
        layer.a, layer.adapt_trace = a.copy(), totals
        core.parameters = core.parameters.with_(adapt_rate=((mantissa, shift),), a_min=low, a_max=high)
        core._adapt(0)
        return layer.a
