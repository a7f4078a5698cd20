"""Online training of a network on a device, its evaluation, and the comparison with the golden model."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from solsa.contract import CONTRACT_VERSION, NetworkConfig
from solsa.contract.parameters import Rate

from .augment import augmented
from .data import Dataset
from .encoders import Encoder
from .expected import StateLost
from .network import Network
from .quantise import IntArray, Quantiser
from .recipe import Recipe
from .sample import Sample
from .scheduling import has_learned, largest, measure_changes, probe_samples
from .words import Ints

if TYPE_CHECKING:
    from .device import Device

#: How often a device may lose its state without the run having come any further, before it is given up.
RESTORES = 5
T = TypeVar("T")


@dataclass(frozen=True)
class Samples:
    """Samples as the device takes them, with their classes."""

    inputs: list[IntArray]
    labels: Ints

    @property
    def steps(self) -> int:
        """Time steps of all samples."""
        return sum(len(x) for x in self.inputs)


@dataclass(frozen=True)
class Progress:
    """Where a run is, after every sample."""

    #: Number of the epoch, from 1; 0 outside of training.
    epoch: int
    #: ``train`` or ``test``.
    phase: str
    done: int
    total: int
    #: Samples decided right, of those done.
    correct: int


@dataclass
class LearnResult:
    """What ``solsa learn --json`` writes.

    The accuracies of training and test samples are those of the trained network, measured without learning. An epoch of
    ``history`` has the test accuracy after it and, as ``online_accuracy``, the share of training samples decided right
    while they were being learned: the label has then already worked on the decision.
    """

    dataset: str
    device: str
    preset: str
    seed: int
    epochs: int
    #: None: there were no test samples, or nobody asked for a last look at the training samples.
    test_accuracy: float | None
    train_accuracy: float | None
    steps: int
    weight_sha256: str
    wall_seconds: float
    #: None on a device that counts no clocks (golden model).
    device_cycles: int | None
    config_hash: str
    #: What made currents or spikes of the data; None: values are currents.
    encoder: str | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""
    #: Words that did not fit, per store (host/saturation.py); None on a device that does not count them.
    saturation: dict[str, Any] | None = None
    #: None: not compared; else whether the golden model ended with the same words.
    golden_equal: bool | None = None
    golden_difference: str | None = None
    golden_sha256: str | None = None
    #: None: memory not checked along the way; else what was found, each undone by loading the network again.
    memory_faults: list[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form."""
        return asdict(self)


OnProgress = Callable[[Progress], object]
OnNetwork = Callable[[Network], None]


def quantise(dataset: Dataset, network: Network) -> tuple[Samples, Samples]:
    """Training and test samples as a network takes them."""
    return (
        Samples(network.inputs(dataset.train), dataset.train_labels),
        Samples(network.inputs(dataset.test), dataset.test_labels),
    )


def epoch_samples(dataset: Dataset, network: Network, train: Samples, epoch: int) -> Samples:
    """Training samples of an epoch, counted from 0: those given, or what the recipe makes of the data set's."""
    if not network.recipe.augments:
        return train
    changed = augmented(dataset.train, network.recipe, network.seed, epoch)
    return Samples(network.inputs(changed), train.labels)


def start_network(
    config: NetworkConfig, preset: str, recipe: Recipe, dataset: Dataset, seed: int, encoder: Encoder | None = None
) -> Network:
    """Untrained network for a data set; input scale, and ranges of the encoder, from its training samples only."""
    fmt, train = config.formats.input, dataset.train
    if encoder is not None:
        encoder = encoder.fit(train)
        train = [encoder.transform(sample) for sample in train]
    if encoder is None or encoder.graded:
        added = 0 if encoder is None else encoder.added
        scaled = [sample[:, : sample.shape[1] - added] for sample in train]
        quantiser = Quantiser.fit(scaled, fmt.frac, fmt.width).by(recipe.scale, scaled).with_plain(added)
    else:
        quantiser = Quantiser.unscaled(train[0].shape[1], fmt.frac, fmt.width)
    if config.inputs == train[0].shape[1] + 1:
        quantiser = replace(quantiser, constant=True)
    network = Network.untrained(
        config,
        preset,
        recipe,
        dataset.class_names,
        seed,
        schedule=recipe.schedule(config, [len(sample) for sample in train]),
        quantiser=quantiser,
        dataset=dataset.name,
        data_sha256=fingerprint(dataset),
    )
    network.encoder, network.binning = encoder, dataset.binning
    return network


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 over shapes, values and classes of the training samples."""
    digest = hashlib.sha256()
    for sample in dataset.train:
        digest.update(f"{sample.shape}".encode() + np.ascontiguousarray(sample, dtype="<f8").tobytes())
    digest.update(np.asarray(dataset.train_labels).astype("<i8").tobytes())
    return digest.hexdigest()


def learn(
    device: Device,
    network: Network,
    dataset: Dataset,
    epochs: int,
    on_progress: OnProgress = lambda _: None,
    on_epoch: OnNetwork = lambda _: None,
    *,
    due: Callable[[], bool] = lambda: False,
    on_snapshot: OnNetwork = lambda _: None,
    look_back: bool = True,
) -> LearnResult:
    """Train a network on a device until it has seen ``epochs`` epochs, those before a resume included.

    A sample begins with a reset of all neurons and traces, so between two samples a device holds nothing that counts
    but weights, filter constants and random generator. Read back there, they and the place in the order of samples are
    all it takes to go on with the same bits: after a resume, and on a device that has lost its state, which is loaded
    again with what was read back last.

    Parameters
    ----------
    device : Device
        Open, with the network's configuration.
    network : Network
        Where to start; holds the trained network afterwards, and the last one read back in between.
    dataset : Dataset
        Checked against the network.
    epochs : int
        At least ``network.epochs_done``.
    on_progress : callable
        After every sample.
    on_epoch : callable
        After every epoch, with the network as read back from the device.
    due : callable
        Asked after every sample whether the network is to be read back now.
    on_snapshot : callable
        Then called with it.
    look_back : bool
        Decide the training samples without learning at the end, for ``train_accuracy``.

    Returns
    -------
    LearnResult
        Accuracies are those after the last epoch, of both sets without learning.

    Raises
    ------
    StateLost
        If the device loses its state RESTORES times before a next network could be read back.
    """
    network.check_dataset(dataset)
    began, cycles = time.perf_counter(), device.cycles
    run = _Run(device, network, dataset, *quantise(dataset, network), on_progress, due, on_snapshot)
    while network.epochs_done < epochs and not has_learned(network.recipe, network.history):
        run.restoring(run.epoch)
        on_epoch(network)
    right = run.restoring(run.trained_samples_right) if look_back else None
    counted = run.restoring(lambda: device.cycles) - cycles
    return LearnResult(
        dataset=dataset.name,
        device=device.name,
        preset=network.preset,
        seed=network.seed,
        epochs=network.epochs_done,
        test_accuracy=network.history[-1]["test_accuracy"],
        train_accuracy=right,
        steps=run.steps,
        weight_sha256=network.sha256,
        wall_seconds=time.perf_counter() - began,
        device_cycles=counted if counted > 0 else None,
        config_hash=network.config.config_hash,
        encoder=str(network.encoder) if network.encoder else None,
        history=network.history,
        notes=list(dataset.notes),
        versions=versions(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@dataclass
class _Run:
    """The epochs of :func:`learn`. The network changes only when it has been read back whole."""

    device: Device
    network: Network
    dataset: Dataset
    train: Samples
    test: Samples
    on_progress: OnProgress
    due: Callable[[], bool]
    on_snapshot: OnNetwork
    steps: int = 0
    _loaded: bool = False

    def restoring(self, work: Callable[[], T]) -> T:
        """Do work on the loaded device; once more, with the network loaded again, if the device has lost its state."""
        lost, place = 0, (-1, -1)
        while True:
            now = (self.network.epochs_done, self.network.samples_done)
            lost, place = (lost if now == place else 0), now
            try:
                if not self._loaded:
                    network = self.network
                    self.device.load_network(network.current_parameters(), network.weights, network.mean_errors)
                    self._loaded = True
                return work()
            except StateLost:
                self._loaded = False
                lost += 1
                if lost >= RESTORES:
                    raise

    def epoch(self) -> None:
        """Train what is left of an epoch, test, and move the network to the next one."""
        network = self.network
        train = epoch_samples(self.dataset, network, self.train, network.epochs_done)
        number, right, before, began = network.epochs_done, network.correct, network.seconds, time.perf_counter()
        source = np.random.PCG64()
        source.state = cast(Any, network.shuffler)
        order = shuffled(len(train.inputs), source)
        self.device.set_rates(*rates(network, number))
        if network.recipe.search and network.samples_done == 0 and number % network.recipe.search == 0:
            self.search()
        if network.samples_done:
            self.on_progress(Progress(number + 1, "train", network.samples_done, len(order), right))

        def seconds() -> float:
            return before + time.perf_counter() - began

        def snapshot(done: int) -> None:
            read_back(self.device, network)
            network.samples_done, network.correct, network.seconds = done, right, seconds()
            self.on_snapshot(network)

        done, wanted = network.samples_done, False

        def ahead() -> Iterator[Sample]:
            """Samples until the network is to be read back, which they are sent ahead of."""
            nonlocal wanted
            for i in order[done:]:
                inputs, recipe = train.inputs[i], network.recipe
                yield Sample(inputs, int(train.labels[i]), True, recipe.adapts, window=recipe.decided(len(inputs)))
                if wanted := self.due():
                    return

        while done < len(order):
            for scores in self.device.run_samples(ahead()):
                right += int(np.argmax(scores) == train.labels[order[done]])
                self.steps += len(train.inputs[order[done]])
                done += 1
                self.on_progress(Progress(number + 1, "train", done, len(order), right))
            if wanted:
                snapshot(done)

        def tested(at: Progress) -> None:
            self.on_progress(at)
            if self.due():
                snapshot(len(order))

        decisions = evaluate(self.device, self.test, tested, number + 1, network.recipe.decided)
        self.steps += self.test.steps
        read_back(self.device, network)
        # From here on the network is that of the next epoch: nothing below can fail half way.
        network.epochs_done = number + 1
        network.samples_done, network.correct, network.seconds = 0, 0, 0.0
        network.shuffler = dict(source.state)
        network.history.append(
            {
                "epoch": number + 1,
                "online_accuracy": right / len(order),
                "test_accuracy": float(np.mean(decisions == self.test.labels)) if len(decisions) else None,
                "seconds": seconds(),
            }
        )

    def search(self) -> None:
        """Make those steps the schedule at which updates would change most, as many as it has."""
        network, train = self.network, self.train
        chosen = probe_samples(train.labels, network.recipe.search_samples)
        changes = measure_changes(self.device, [(train.inputs[i], int(train.labels[i])) for i in chosen])
        self.steps += sum(len(train.inputs[i]) for i in chosen)
        found = largest(changes, len(network.parameters.schedule))
        # Nothing to learn anywhere says nothing about where to learn.
        if found:
            network.parameters = network.parameters.with_(schedule=found)
            self.device.set_schedule(found)

    def trained_samples_right(self) -> float:
        """Share of the training samples that the trained network decides right, without learning."""

        def tested(_: Progress) -> None:
            if self.due():
                self.on_snapshot(self.network)

        decisions = evaluate(self.device, self.train, tested, 0, self.network.recipe.decided)
        self.steps += self.train.steps
        return float(np.mean(decisions == self.train.labels))


def evaluate(
    device: Device,
    samples: Samples,
    on_progress: OnProgress = lambda _: None,
    epoch: int = 0,
    window: Callable[[int], int] = lambda _: 0,
) -> Ints:
    """Decide every sample without learning: the readout with the largest score, the first of equal ones.

    ``window`` tells how many last steps of a sample decide, by its length; 0 is all.
    """
    decisions = np.zeros(len(samples.inputs), dtype=np.int64)
    correct = 0
    wanted = (Sample(inputs, window=window(len(inputs))) for inputs in samples.inputs)
    for i, scores in enumerate(device.run_samples(wanted)):
        decisions[i] = np.argmax(scores)
        correct += int(decisions[i] == samples.labels[i])
        on_progress(Progress(epoch, "test", i + 1, len(samples.inputs), correct))
    return decisions


def rates(network: Network, epoch: int) -> tuple[tuple[Rate, ...], tuple[Rate, ...]]:
    """Registers of the learning rates of weights and filter constants in an epoch, counted from 0."""
    parameters = network.recipe.parameters(network.config, network.parameters.schedule, epoch)
    return parameters.rate, parameters.adapt_rate


def read_back(device: Device, network: Network) -> None:
    """Take weights, filter constants, random generator and running means from the device into the network."""
    words = device.read_weights(), device.read_filter_constants(), device.read_register("rng")
    means = device.read_mean_errors()
    (network.weights, network.constants, network.rng), network.mean_errors = words, means


def first_difference(ours: Network, golden: Network, name: str) -> str | None:
    """First word in which a trained network differs from the golden one, in words; None if there is none."""
    for layer, (a, b) in enumerate(zip(ours.weights, golden.weights, strict=True)):
        if not np.array_equal(a, b):
            post, pre = (int(v) for v in np.argwhere(a != b)[0])
            count = int(np.count_nonzero(a != b))
            return (
                f"weight of layer {layer}, post {post}, pre {pre}: {a[post, pre]} on {name}, {b[post, pre]} in the "
                f"golden model ({count} of {a.size} weights of this layer differ)"
            )
    for layer, (mine, theirs) in enumerate(zip(ours.constants, golden.constants, strict=True)):
        for group, (x, y) in enumerate(zip(mine, theirs, strict=True)):
            if x != y:
                return f"filter constant of layer {layer}, group {group}: {x} on {name}, {y} in the golden model"
    for layer, (a, b) in enumerate(zip(ours.mean_errors, golden.mean_errors, strict=True)):
        for post in np.flatnonzero(a != b).tolist():
            where = f"running mean of |delta| of layer {layer}, post {post}"
            return f"{where}: {a[post]} on {name}, {b[post]} in the golden model"
    if ours.rng != golden.rng:
        return f"random generator: {ours.rng:08x} on {name}, {golden.rng:08x} in the golden model"
    for a_epoch, b_epoch in zip(ours.history, golden.history, strict=True):
        for key in ("online_accuracy", "test_accuracy"):
            if a_epoch[key] != b_epoch[key]:
                return f"epoch {a_epoch['epoch']} {key}: {a_epoch[key]} on {name}, {b_epoch[key]} in the golden model"
    return None


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    try:
        solsa = metadata.version("solsa")
    except metadata.PackageNotFoundError:
        solsa = "unknown"
    return {
        "solsa": solsa,
        "contract": str(CONTRACT_VERSION),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def shuffled(count: int, source: np.random.PCG64) -> list[int]:
    """Random order from the generator's raw output alone: the same with every NumPy."""
    order: list[int] = np.argsort(source.random_raw(count), kind="stable").tolist()
    return order
