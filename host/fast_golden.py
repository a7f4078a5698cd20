"""``solsa learn --device golden`` many times faster: the same epochs on compiled loops, without frames.

What :func:`trained` leaves in a network is what the golden device would (``tests/host/test_study.py`` compares words
and accuracies), so studies of hundreds of runs say something about the device. Needs numba (the ``bench`` extra).
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from solsa.golden.compiled import CompiledCore

from .data import Dataset
from .network import Network
from .quantise import IntArray
from .train import Samples, epoch_samples, quantise, shuffled
from .words import Ints


class _Counts:
    """Words that did not fit, by store, as host/saturation.py counts them on the golden device."""

    def __init__(self) -> None:
        self.stores: dict[str, list[int]] = {}
        self.watched = 0

    def __call__(self, name: str, values: Ints, low: int, high: int) -> None:
        counts = self.stores.setdefault(name, [0, 0])
        counts[0] += int(np.count_nonzero((values < low) | (values > high)))
        counts[1] += int(np.size(values))

    def to_dict(self) -> dict[str, Any]:
        stores = {name: {"saturated": c[0], "stored": c[1]} for name, c in sorted(self.stores.items())}
        return {"watched_samples": self.watched, "stores": stores}


def trained(
    network: Network,
    dataset: Dataset,
    epochs: int | None = None,
    *,
    watch: int = 0,
    test_every: int = 1,
) -> dict[str, Any] | None:
    """Train a network that was not trained yet; it holds the trained one afterwards.

    Parameters
    ----------
    network : Network
        As :func:`solsa.host.train.start_network` made it; its recipe has no search and no early stop.
    dataset : Dataset
        Checked against it.
    epochs : int, optional
        Those of the recipe without it.
    watch : int
        Count saturating words in one training sample of so many; 0: none.
    test_every : int
        Epochs from one look at the test samples to the next; the last one always has one.

    Returns
    -------
    dict or None
        Counts as in ``LearnResult.saturation``, None unless watched.

    Raises
    ------
    ValueError
        For a recipe whose samples stop early or whose schedule is searched: the loops do not have these.
    """
    recipe, config = network.recipe, network.config
    if recipe.search or recipe.stop_points:
        raise ValueError("a recipe with search or early stop needs the golden device")
    network.check_dataset(dataset)
    plain, test = quantise(dataset, network)
    parameters = network.current_parameters()
    core, counts, total = CompiledCore(config, parameters, network.weights), _Counts(), epochs or recipe.epochs
    core.state.rng = parameters.rng
    core.load_mean_errors(network.mean_errors or None)
    source = np.random.PCG64()
    source.state = cast(Any, network.shuffler)
    for epoch in range(network.epochs_done, total):
        now = recipe.parameters(config, network.parameters.schedule, epoch)
        core.set_parameters(network.parameters.with_(rate=now.rate, adapt_rate=now.adapt_rate))
        right, train = 0, epoch_samples(dataset, network, plain, epoch)
        for done, i in enumerate(shuffled(len(train.inputs), source)):
            seen = watch > 0 and done % watch == 0
            core.watch = counts if seen else None
            counts.watched += seen
            label = int(train.labels[i])
            scores = _sample(core, network, train.inputs[i], label, learn=True)
            right += int(np.argmax(scores) == label)
        core.watch = None
        last = epoch + 1 == total
        network.history.append(
            {
                "epoch": epoch + 1,
                "online_accuracy": right / len(train.inputs),
                "test_accuracy": accuracy(core, network, test) if last or epoch % test_every == 0 else None,
                "seconds": 0.0,
            }
        )
        network.weights = [layer.weight.copy() for layer in core.state.layers]
        network.constants = [[int(a) for a in layer.a] for layer in core.state.layers]
        network.mean_errors = [layer.mean_error.copy() for layer in core.state.layers] if config.normalise else []
        network.rng, network.epochs_done, network.shuffler = core.state.rng, epoch + 1, dict(source.state)
    return counts.to_dict() if watch else None


def accuracy(core: CompiledCore, network: Network, samples: Samples) -> float | None:
    """Share of samples decided right without learning; None of none."""
    right = [
        int(np.argmax(_sample(core, network, x, 0, learn=False)) == label)
        for x, label in zip(samples.inputs, samples.labels, strict=True)
    ]
    return float(np.mean(right)) if right else None


def _sample(core: CompiledCore, network: Network, inputs: IntArray, label: int, *, learn: bool) -> Ints:
    window = network.recipe.decided(len(inputs))
    first = max(0, len(inputs) - window) if window else 0
    adapt = learn and network.recipe.adapts
    early = np.zeros(network.config.outputs, dtype=np.int64)
    wide = inputs.astype(np.int64)
    core.reset_sample()
    if first:
        core.run(wide[:first], label=label, learn=learn, adapt=adapt)
        early = core.state.score.copy()
    core.run(wide[first:], label=label, learn=learn, adapt=adapt)
    return core.state.score - early
