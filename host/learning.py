"""What a notebook does with a device: fit, predict and score with plain arrays, or step by step with a stream.

The conventions are those of scikit-learn. Everything ends in the same requests as ``solsa learn`` makes, so the golden
model, the simulated device and a board end with the same bits here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from solsa.contract import NetworkConfig, Readout

from .arrays import ArrayLike, as_labels, as_samples, class_names, class_values, dataset_of, label_indices
from .data import Dataset
from .data_files import DataError, FloatArray
from .encoders import Encoder, encoder_of
from .expected import StateLost
from .network import Network
from .recipe import Recipe
from .sample import Sample
from .train import RESTORES, Progress, learn, read_back, start_network
from .transport import DeviceError
from .words import Ints

if TYPE_CHECKING:
    from .device import Device

T = TypeVar("T")
#: Called after every sample.
OnSample = Callable[[Progress], object]
#: Called after every epoch with its entry of ``Network.history``; True ends the training.
OnEpoch = Callable[[dict[str, Any]], object]


class StepOutput(NamedTuple):
    """Readout after a step of a stream."""

    #: Membranes, float64 [outputs].
    membrane: FloatArray
    #: Readout summed since the stream began, float64 [outputs].
    score: FloatArray
    #: Class with the largest score.
    decision: Any


class _Enough(Exception):
    """A callback has asked for the end of the training."""


class Learner:
    """The part of :class:`~solsa.host.device.Device` that knows a network, its scale and its classes.

    ``X`` is always an array [n, T, channels] or a list of arrays [T, channels], with real values; ``y`` has one integer
    or string per sample.
    """

    config: NetworkConfig
    name: str
    _network: Network | None = None
    #: Weights were changed on the device since they were read back.
    _ahead: bool = False

    # -- the network --------------------------------------------------------------------------------------------------
    @property
    def network(self) -> Network:
        """The network that the device was opened with: as created, loaded, or read back last.

        Raises
        ------
        DeviceError
            If it was opened with a configuration alone.
        """
        if self._network is None:
            raise DeviceError(f"device {self.name} was opened without a network; use Device.open(where, network)")
        return self._network

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels that :meth:`predict` returns, in the order of the readout neurons."""
        return class_values(self.network.class_names)

    def load(self, network: Network) -> Self:
        """Program a network of this device's configuration, with everything that training has left in it."""
        if network.config != self.config:
            raise DeviceError(
                f"a network of configuration {network.config.config_hash}, device {self.name} has "
                f"{self.config.config_hash}; open it with this network"
            )
        self._device.load_network(network.current_parameters(), network.weights, network.mean_errors)
        self._network, self._ahead = network, False
        return self

    def read_network(self) -> Network:
        """Read weights, filter constants and random generator back into :attr:`network`, and return it."""
        read_back(self._device, self.network)
        self._ahead = False
        return self.network

    def save(self, path: str | Path) -> None:
        """Write the network as it is on the device to a file; :meth:`Network.load` reads it."""
        self.read_network().save(Path(path))

    @property
    def _device(self) -> Device:
        return cast("Device", self)

    # -- training -----------------------------------------------------------------------------------------------------
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int | None = None,
        validation: tuple[ArrayLike, ArrayLike] | None = None,
        classes: ArrayLike | None = None,
        encoder: str | Encoder | None = None,
        on_sample: OnSample | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Self:
        """Train from new start weights.

        Input scale, classes and schedule are those of this data; recipe and seed are those of :attr:`network`, which
        holds the trained network afterwards.

        Parameters
        ----------
        X, y : see the class
            Training data.
        epochs : int, optional
            Passes over it, over which the learning rates fall; without it those of the recipe.
        validation : pair (X, y), optional
            Decided after every epoch, for the entry ``test_accuracy`` of ``network.history``; None there without.
        classes : array [outputs], optional
            All classes in the order of the readout; without it the sorted labels of ``y``.
        encoder : str or Encoder, optional
            Such as ``"delta:threshold=0.5"``, see :data:`solsa.host.encoders.KINDS`; without it that of the network,
            ``"direct"`` for none. What it makes of the channels must be as wide as the network's first layer.
        on_sample, on_epoch : callable, optional
            Called with :class:`~solsa.host.train.Progress` and with an entry of ``network.history``. If ``on_epoch``
            returns True the training ends.

        Raises
        ------
        DataError, DeviceError
            For data that does not fit the network, before anything is trained.
        """
        network = self.network
        self._check_readout()
        if epochs is not None and epochs < 1:
            raise DataError(f"{epochs} epochs, allowed are 1 or more")
        if classes is None:
            classes = np.unique(as_labels(y))
        chosen = network.encoder if encoder is None else encoder_of(encoder)
        dataset = self._dataset(X, y, class_names(classes), validation, chosen)
        recipe = network.recipe if epochs is None else network.recipe.with_(epochs=epochs)
        self._become(self._start(recipe, dataset, chosen))

        def after(now: Network) -> None:
            if on_epoch is not None and on_epoch(now.history[-1]) is True:
                raise _Enough

        self._ahead = True
        try:
            learn(self._device, network, dataset, recipe.epochs, on_sample or (lambda _: None), after, look_back=False)
        except _Enough:
            pass
        self._ahead = False
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        on_sample: OnSample | None = None,
    ) -> Self:
        """Learn from more samples, once each and in their order, from the weights at hand.

        The first call on a new network sets input scale, classes and schedule from its data; later calls keep them.
        Rates are those that the network has come to; it is not an epoch.

        Parameters
        ----------
        X, y : see the class
            Samples.
        classes : array [outputs], optional
            All classes, needed in the first call if ``y`` lacks one.
        on_sample : callable, optional
            Called with :class:`~solsa.host.train.Progress`.
        """
        network = self.network
        self._check_readout()
        if not network.fitted:
            found = np.unique(as_labels(y)) if classes is None else classes
            dataset = self._dataset(X, y, class_names(found), None, network.encoder)
            self._become(self._start(network.recipe, dataset, network.encoder))
            self.load(network)
        elif classes is not None and class_names(classes) != network.class_names:
            raise DataError(f"classes {class_names(classes)}, the network has {network.class_names}")
        else:
            dataset = self._dataset(X, y, network.class_names, None, network.encoder)
        inputs = network.inputs(dataset.train)
        self._keep()

        def batch() -> None:
            right = 0
            labels, recipe = dataset.train_labels.tolist(), network.recipe
            ahead = (
                Sample(sample, label, True, recipe.adapts, window=recipe.decided(len(sample)))
                for sample, label in zip(inputs, labels, strict=True)
            )
            for i, (scores, label) in enumerate(zip(self._device.run_samples(ahead), labels, strict=True)):
                right += int(np.argmax(scores) == label)
                if on_sample is not None:
                    on_sample(Progress(network.epochs_done + 1, "train", i + 1, len(inputs), right))

        self._restoring(batch)
        self.read_network()
        network.data_sha256 = ""  # it has now learned from other samples as well
        return self

    # -- use ----------------------------------------------------------------------------------------------------------
    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Readout summed over the steps of every sample, without learning, float64 [n, outputs]."""
        samples = as_samples(X)
        self._check_channels(samples, self.network.encoder)
        inputs = self.network.inputs(samples)
        decided = self.network.recipe.decided
        scores = self._restoring(
            lambda: list(self._device.run_samples(Sample(x, window=decided(len(x))) for x in inputs))
        )
        return np.array(scores) / self._score_one

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Class of every sample: the readout with the largest score, the first of equal ones."""
        return self.classes_[np.argmax(self.decision_function(X), axis=1)]

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Share of the samples that :meth:`predict` decides right."""
        decided = self.predict(X)
        return float(np.mean(decided.astype(str) == as_labels(y, len(decided)).astype(str)))

    def stream(self) -> Stream:
        """Begin a sample whose steps come one by one; neurons and traces start from zero.

        Raises
        ------
        DataError
            If the network's encoder makes several steps of one.
        """
        return Stream(self)

    @property
    def _score_one(self) -> int:
        """What stands for 1.0 in a score: a spiking readout counts spikes."""
        return 1 if self.config.readout.spiking else self.config.formats.score.one

    # -- inside -------------------------------------------------------------------------------------------------------
    def _dataset(
        self,
        x: ArrayLike,
        y: ArrayLike,
        names: tuple[str, ...],
        validation: tuple[ArrayLike, ArrayLike] | None,
        encoder: Encoder | None,
    ) -> Dataset:
        if len(names) != self.config.outputs:
            raise DataError(
                f"{len(names)} classes ({', '.join(names[:10])}), the network has {self.config.outputs} outputs; "
                "make one of that size, or name all classes with classes="
            )
        dataset = dataset_of(x, y, names, validation)
        self._check_channels(dataset.train, encoder)
        return dataset

    def _start(self, recipe: Recipe, dataset: Dataset, encoder: Encoder | None) -> Network:
        network = self.network
        made = start_network(network.config, network.preset, recipe, dataset, network.seed, encoder)
        made.quantiser = replace(made.quantiser, constant=network.quantiser.constant)
        return made

    def _check_readout(self) -> None:
        if self.config.readout is Readout.TARGET:
            raise DeviceError("the target readout learns from targets, not from classes; use Device.run_sample")

    def _check_channels(self, samples: list[FloatArray], encoder: Encoder | None) -> None:
        found, wanted = samples[0].shape[1], len(self.network.quantiser.mean)
        if encoder is None and found != wanted:
            raise DataError(f"X has {found} channels, the network {wanted}")
        if encoder is not None and (made := encoder.width(found)) != wanted:
            raise DataError(
                f"X has {found} channels, of which encoder {encoder} makes {made}, the network takes {wanted}; "
                "Network.create(..., encoder=) makes one of that size"
            )

    def _become(self, other: Network) -> None:
        """Make the network at hand equal to another one; who holds it keeps the trained one."""
        for part in fields(Network):
            setattr(self.network, part.name, getattr(other, part.name))

    def _keep(self) -> None:
        """Before something that a lost device would take away: the network at hand is that of the device."""
        if self._ahead:
            self.read_network()

    def _restoring(self, work: Callable[[], T]) -> T:
        """Do work; again, with the network loaded again, if the device has lost its state on the way."""
        for _ in range(RESTORES):
            try:
                return work()
            except StateLost:
                if self._ahead:  # what a stream has learned is nowhere else
                    raise
                self.load(self.network)
        return work()


class Stream:
    """Steps of one sample as they come; made by :meth:`Learner.stream`."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        encoder, self._classes = learner.network.encoder, learner.classes_
        self._encode = None if encoder is None else encoder.stepper()
        self._begun = False

    def step(self, x: ArrayLike, label: Any = None, *, learn: bool = False) -> StepOutput:
        """Run one step.

        Parameters
        ----------
        x : array [channels]
            Real values.
        label : class, optional
            Needed to learn.
        learn : bool
            Advance the traces, and update the weights if the step is in the schedule.

        Raises
        ------
        DataError, DeviceError
            For values, labels or channels that the network does not have.
        """
        learner, network = self._learner, self._learner.network
        row = np.asarray(x, dtype=np.float64)
        if row.ndim != 1:
            raise DataError(f"a step of shape {row.shape}, allowed is [channels]")
        samples = as_samples([row[None]], "step")
        learner._check_channels(samples, network.encoder)
        index = None if label is None else int(label_indices(np.array([label]), network.class_names, "label")[0])
        encoded = samples[0] if self._encode is None else self._encode(samples[0][0])[None]
        inputs: Ints = network.quantiser.transform(encoded)[0].astype(np.int64)
        learner._ahead |= learn
        membrane, score = learner._device.step(
            inputs, index, reset=not self._begun, learn=learn, adapt=learn and network.recipe.adapts
        )
        self._begun = True
        f = learner.config.formats
        return StepOutput(membrane / f.membrane.one, score / learner._score_one, self._classes[int(np.argmax(score))])
