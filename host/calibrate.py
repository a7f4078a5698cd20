"""Start weights and rates of the default recipe, from what the traces hold on some training samples.

An update of one sample changes the membrane that neuron i would have on that same sample by eta*delta_i*|eps_i|^2 (the
step of the LMS filter): above about 1 it overshoots, and learning one sample forgets the others. How large eps gets
depends on the time constants, on the length of samples and on how slowly the data move, so it is measured here, on the
golden model with its start weights and without an update.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from solsa.contract import NetworkConfig
from solsa.golden.core import GoldenCore

from .data import Dataset
from .encoders import Encoder
from .network import Network
from .recipe import Recipe, per_layer
from .train import start_network
from .words import Ints

#: At most so many training samples are looked at, and so many steps of them.
SAMPLES, STEPS = 16, 2048
#: Root mean square of what the start weights make of the traces, in units of the membrane: of several channels, and of
#: one, where neurons differ by the value at which they begin to fire, and only weights well above the threshold spread
#: these over the range of the data.
DRIVE, DRIVE_ONE = 2.0, 12.0
#: eta*|eps|^2 summed over the updates of a sample, in the first epoch: of hidden layers, in units of the drive, as the
#: share of neurons whose membrane is near the threshold falls with it; of the readout.
HIDDEN, READOUT = 8.0, 6.0
#: Start weights and rates that the default formats hold.
LARGEST_SD, RATES = 2.0, (2.0**-14, 2.0**-4)


def calibrated(recipe: Recipe, config: NetworkConfig, dataset: Dataset, encoder: Encoder | None = None) -> Recipe:
    """Recipe with the first layer's start weights and all rates made for a data set.

    Parameters
    ----------
    recipe : Recipe
        Everything else; its start weights and rates are where the search begins.
    config, dataset, encoder
        As for :func:`~solsa.host.train.start_network`.
    """
    chosen = _chosen([len(sample) for sample in dataset.train])
    samples = [dataset.train[i] for i in chosen]
    network = start_network(config, "", recipe, dataset, 0, encoder)
    drive, _ = traces(network, samples)
    first, *rest = per_layer(recipe.weight_sd, config.depth)
    wanted = DRIVE_ONE if recipe.bias else DRIVE
    if drive and rest:
        recipe = recipe.with_(weight_sd=(min(LARGEST_SD, first * wanted / drive), *rest))
        network = start_network(config, "", recipe, dataset, 0, encoder)
    _, energies = traces(network, samples)
    gains = per_layer((HIDDEN * wanted, READOUT), config.depth)
    rates = (gain / max(energy, 1e-9) for gain, energy in zip(gains, energies, strict=True))
    return recipe.with_(rates=tuple(float(np.clip(rate, *RATES)) for rate in rates))


def traces(network: Network, samples: Sequence[np.ndarray]) -> tuple[float, list[float]]:
    """Drive of the first layer, and per layer |eps|^2 summed over the updates of a sample, mean over posts and samples.

    Parameters
    ----------
    network : Network
        Untrained; its schedule says where the updates are.
    samples : sequence of array [T, channels]
        As they come, not encoded.
    """
    config, parameters = network.config, network.current_parameters()
    one, w_one = config.formats.trace.one, config.formats.weight.one
    core = GoldenCore(config, parameters.with_(schedule=()), network.weights)
    sums, squares, looks = [0.0] * config.depth, 0.0, 0
    for inputs in network.inputs(samples):
        core.reset_sample()
        at = 0
        for step in parameters.schedule:
            if step >= len(inputs):
                break
            core.run(inputs[at : step + 1].astype(np.int64), learn=True)
            at = step + 1
            for index, layer in enumerate(core.state.layers):
                sums[index] += _mean_square(layer.trace, one)
            first = core.state.layers[0]
            squares += float(np.mean((np.sum(first.weight * first.trace, axis=1) / (one * w_one)) ** 2))
            looks += 1
    return (squares / max(1, looks)) ** 0.5, [total / max(1, len(samples)) for total in sums]


def _mean_square(trace: Ints, one: int) -> float:
    """|eps_i|^2, mean over posts, of words [M, N]."""
    return float(np.sum(trace * trace)) / (len(trace) * one * one)


def _chosen(lengths: Sequence[int]) -> list[int]:
    """Samples evenly spread over the training set, as many as their steps allow, one at least."""
    count = max(1, min(SAMPLES, len(lengths), STEPS // max(1, int(np.median(lengths)))))
    return [k * len(lengths) // count for k in range(count)]
