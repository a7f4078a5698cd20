"""Trains a network in snnTorch, exports it with snnTorch's own export_to_nir, and records its spikes.

    pip install torch snntorch nir nirtorch
    python tests/host/snntorch_network/make.py

It writes ``network.nir`` and ``recorded.npz`` beside itself; tests/host/test_nir.py runs the graph on the golden model
and on the simulated device and compares with the record, spike by spike. The packages are several GB, so the tests use
the stored files.
"""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import snntorch as snn
import torch
from snntorch import surrogate
from snntorch.export_nir import export_to_nir

HERE = Path(__file__).parent
CHANNELS, HIDDEN, CLASSES, STEPS = 16, 24, 4, 40


def samples(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Spike patterns: every class has channels and times of its own, jittered, among random spikes."""
    source = np.random.default_rng(1)
    times = source.integers(0, STEPS, (CLASSES, CHANNELS, 3))
    active = source.random((CLASSES, CHANNELS)) < 0.5
    y = rng.integers(0, CLASSES, count)
    x = (rng.random((count, STEPS, CHANNELS)) < 0.03).astype(np.uint8)
    for i, label in enumerate(y):
        at = np.clip(times[label] + rng.integers(-1, 2, (CHANNELS, 3)), 0, STEPS - 1)
        for c in np.flatnonzero(active[label]):
            x[i, at[c], c] = 1
    return x, y


def main() -> None:
    """Train, export, record."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    alpha = torch.tensor([0.6, 0.85]).repeat(HIDDEN // 2)  # two time constants in the hidden layer
    slope = surrogate.fast_sigmoid(slope=10)
    ones = torch.ones
    first = snn.Synaptic(alpha=alpha, beta=0.8 * ones(HIDDEN), threshold=ones(HIDDEN), spike_grad=slope)
    second = snn.Synaptic(
        alpha=0.5 * ones(CLASSES), beta=0.9 * ones(CLASSES), threshold=ones(CLASSES), spike_grad=slope
    )
    layers = torch.nn.Linear(CHANNELS, HIDDEN), torch.nn.Linear(HIDDEN, CLASSES)

    def run(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        state = [*first.init_synaptic(), *second.init_synaptic()]
        found: list[list[torch.Tensor]] = [[], [], []]
        for t in range(STEPS):
            s1, state[0], state[1] = first(layers[0](x[:, t]), state[0], state[1])
            s2, state[2], state[3] = second(layers[1](s1), state[2], state[3])
            found[0].append(s1)
            found[1].append(s2)
            found[2].append(state[3])
        return torch.stack(found[0], 1), torch.stack(found[1], 1), torch.stack(found[2], 1)

    optimiser = torch.optim.Adam([*layers[0].parameters(), *layers[1].parameters()], lr=1e-2)
    for _ in range(150):
        x, y = samples(32, rng)
        _, spikes, membranes = run(torch.tensor(x).float())
        loss = torch.nn.functional.cross_entropy(spikes.sum(1) + membranes.sum(1) / 4, torch.tensor(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, y = samples(24, rng)
    with torch.no_grad():
        hidden, output, _ = run(torch.tensor(x).float())
    right = float((output.sum(1).argmax(1).numpy() == y).mean())

    for module in (first, second):
        module.init_hidden = True
    sequence = torch.nn.Sequential(layers[0], first, layers[1], second)
    graph = export_to_nir(sequence, torch.zeros(1, CHANNELS), ignore_dims=[0])
    nir.write(HERE / "network.nir", graph)
    np.savez_compressed(
        HERE / "recorded.npz", x=np.packbits(x, axis=None), shape=np.array(x.shape), y=y.astype(np.uint8),
        hidden=np.packbits(hidden.numpy().astype(np.uint8), axis=None),
        output=np.packbits(output.numpy().astype(np.uint8), axis=None),
        accuracy=np.array(right), versions=np.array([f"torch {torch.__version__}", f"snntorch {snn.__version__}",
                                                     f"nir {nir.__version__}"]),
    )  # fmt: skip
    print(
        f"accuracy of the recorded samples {right:.3f}, {int(hidden.sum())} hidden, {int(output.sum())} output spikes"
    )


if __name__ == "__main__":
    main()
