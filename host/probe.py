"""What a network does with a few samples, worked out beside the run.

The golden model stands in for the device: it ends with the same bits, and asking it costs the device no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from solsa.contract import Parameters, Readout
from solsa.golden.core import GoldenCore

from .device import AnyInts
from .network import Network
from .plots import SampleRecord
from .words import Ints

#: Synapse steps that a probe of the schedule may take: some tenths of a second.
BUDGET = 20_000_000

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Probe:
    """Samples that are looked at again and again while a network learns.

    Attributes
    ----------
    shown : int array [T, inputs]
        Sample whose spikes and membranes are shown, in the input format.
    label : int
        Its class.
    training : list of (int array [T, inputs], int)
        Training samples with their classes, on which the weight changes per step are measured.
    """

    shown: AnyInts
    label: int
    training: Sequence[tuple[AnyInts, int]] = ()

    @classmethod
    def choose(cls, network: Network, shown: AnyInts, label: int, inputs: Sequence[AnyInts], labels: Ints) -> Probe:
        """Show a sample; measure on the first training sample of every class, on fewer of them if they are large."""
        firsts = [int(np.flatnonzero(labels == k)[0]) for k in np.unique(labels)]
        chosen: list[tuple[AnyInts, int]] = []
        left = BUDGET
        for i in firsts:
            left -= len(inputs[i]) * network.config.synapses
            if chosen and left < 0:
                break
            chosen.append((inputs[i], int(labels[i])))
        return cls(shown, label, chosen)

    def record(self, network: Network) -> SampleRecord:
        """Run the shown sample without learning."""
        return golden_record(network, self.shown)

    def changes(self, network: Network) -> Floats | None:
        """Sum of |dw| that an update at each step would make, mean of the training samples that reach the step.

        No update is kept: every step is measured with the weights as the network has them, its traces those of a
        sample learned so far. In units of the weights, float [steps]; None without training samples, and for the
        readout ``target``, which has no classes.
        """
        config = network.config
        if not self.training or config.readout is Readout.TARGET:
            return None
        steps = min(max(len(x) for x, _ in self.training), config.max_steps)
        core = _core(network, network.current_parameters().with_(schedule=tuple(range(steps))))
        total, reached = np.zeros(steps), np.zeros(steps)
        for inputs, label in self.training:
            core.reset_sample()
            for t, row in enumerate(inputs[:steps]):
                core.step(row, label=label, learn=True, trace=False)
                moved = 0
                for layer, weight in zip(core.state.layers, network.weights, strict=True):
                    moved += int(np.abs(layer.weight - weight).sum())
                    layer.weight[:] = weight
                total[t] += moved
                reached[t] += 1
        return total / np.maximum(reached, 1) / config.formats.weight.one


def golden_record(network: Network, inputs: AnyInts) -> SampleRecord:
    """Run one sample, int [T, inputs], on the golden model without learning."""
    f, hidden = network.config.formats, network.config.depth - 1
    core = _core(network, network.current_parameters())
    core.reset_sample()
    spikes: list[list[Ints]] = [[] for _ in range(hidden)]
    potentials: list[list[Floats]] = [[] for _ in range(hidden)]
    membranes = []
    for row in inputs:
        core.step(row, trace=False)
        for i in range(hidden):
            spikes[i].append(core.state.layers[i].spike.copy())
            potentials[i].append(core.state.layers[i].membrane / f.membrane.one)
        membranes.append(core.state.layers[-1].membrane / f.membrane.one)
    return SampleRecord(
        np.asarray(inputs) / f.input.one, [np.array(rows) for rows in spikes], np.array(membranes),
        core.state.score.copy(), [np.array(rows) for rows in potentials],
    )  # fmt: skip


def _core(network: Network, parameters: Parameters) -> GoldenCore:
    return GoldenCore(network.config, parameters, network.weights)
