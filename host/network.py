"""The network file: a trained network with all that is needed to use it or to go on training exactly where it stopped.

An ``.npz`` archive without pickled objects: arrays ``weight0``, ``weight1`` ..., ``constants``, ``quantiser_*`` and
``meta`` (JSON, UTF-8). It is written beside its destination and moved there, so a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, Parameters

from .arrays import class_names
from .data import Dataset
from .data_files import DataError, FloatArray
from .encoders import Encoder, encoder_of
from .events import Binning
from .files import write_atomically
from .geometry import named_config, sizes
from .quantise import IntArray, Quantiser
from .recipe import Recipe, default_recipe, initial_weights
from .words import Ints

KIND = "solsa-network"
#: Changes when a file of this kind would mean something else.
FILE_VERSION = 2
#: Oldest version that is read: 1 had no encoders.
_OLDEST = 1
_QUANTISER = "quantiser_"
#: What numpy, zipfile and json raise on a damaged, encrypted or oversized archive.
_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, OSError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_HISTORY_KEYS = {"epoch", "online_accuracy", "test_accuracy", "seconds"}


class NetworkError(ValueError):
    """A network file that cannot be read, or does not fit; the message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def weight_sha256(weights: Sequence[Ints], constants: Sequence[Sequence[int]]) -> str:
    """SHA-256 over all weights (int32, layer by layer, row by row), then all constants (uint32), little endian."""
    digest = hashlib.sha256()
    for layer in weights:
        digest.update(np.ascontiguousarray(layer).astype("<i4").tobytes())
    for row in constants:
        digest.update(np.asarray(row, dtype=np.int64).astype("<u4").tobytes())
    return digest.hexdigest()


@dataclass(kw_only=True)
class Network:
    """A network in training or trained.

    Attributes
    ----------
    config : NetworkConfig
        Configuration of the device it runs on.
    preset : str
        Name of the configuration, or its layer sizes.
    recipe : Recipe
        How it is trained.
    parameters : Parameters
        As at the start of the training.
    weights : list of int64 arrays [M, N]
        As they are now.
    constants : list of list of int
        Filter constants a [layer][group] as they are now, u0.24.
    rng : int
        State of the device's random generator.
    shuffler : dict
        State of the generator that orders the training samples.
    quantiser : Quantiser
        Makes the device's inputs from data.
    dataset : str
        Name of the training data.
    class_names : tuple of str
        One per readout neuron.
    seed : int
        Of start weights and order of samples.
    epochs_done : int
        Epochs trained so far.
    history : list of dict
        One entry per epoch, see :mod:`solsa.host.train`.
    samples_done : int
        Training samples of the epoch begun that have been learned; ``shuffler`` gives their order.
    correct : int
        How many of them were decided right while being learned.
    seconds : float
        Time spent on them.
    data_sha256 : str
        Fingerprint of the training samples and labels; empty in older files.
    encoder : Encoder, optional
        Makes the first layer's currents or spikes from data, before the quantiser; without it values are currents.
    binning : Binning, optional
        How the training data's event lists were counted.
    mean_errors : list of int64 arrays [M]
        Running means of |delta| as they are now (option ``normalise``); none without, and before the first sample.
    """

    config: NetworkConfig
    preset: str
    recipe: Recipe
    parameters: Parameters
    weights: list[Ints]
    constants: list[list[int]]
    rng: int
    shuffler: dict[str, Any]
    quantiser: Quantiser
    dataset: str
    class_names: tuple[str, ...]
    seed: int
    epochs_done: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    samples_done: int = 0
    correct: int = 0
    seconds: float = 0.0
    data_sha256: str = ""
    encoder: Encoder | None = None
    binning: Binning | None = None
    mean_errors: list[Ints] = field(default_factory=list)

    @classmethod
    def create(
        cls,
        layers: str | Sequence[int],
        *,
        classes: Any = None,
        seed: int = 0,
        recipe: Recipe | Mapping[str, Any] | None = None,
        encoder: str | Encoder | None = None,
        **config: Any,
    ) -> Network:
        """Untrained network of these sizes; ``Device.fit`` and ``partial_fit`` give it the scale of their data.

        Until then inputs are taken as they are, and a stream that learns updates the weights at every step.

        Parameters
        ----------
        layers : str or sequence of int
            A preset, or channels, hidden neurons, ..., classes.
        classes : array [outputs], optional
            Labels in the order of the readout; 0, 1, 2 ... without.
        seed : int
            Of start weights and order of samples.
        recipe : Recipe or mapping, optional
            How it is trained, or the fields that differ from the default recipe.
        encoder : str or Encoder, optional
            ``NAME`` or ``NAME:option=value`` of :data:`solsa.host.encoders.KINDS`. The first layer is as wide as what
            it makes of the channels; a preset's first layer is taken as that width.
        **config
            Fields of :class:`~solsa.contract.NetworkConfig`, such as ``lanes=16``, ``groups=1`` or ``readout="spike"``.

        Raises
        ------
        ConfigError, DataError
            For what cannot be built.
        """
        chosen = encoder_of(encoder)
        if chosen is not None and not isinstance(layers, str) and len(layers):
            layers = (chosen.width(layers[0]), *layers[1:])
        made, name = named_config(layers, config)
        if chosen is not None:
            channels = (made.inputs - chosen.added) // chosen.factor
            if channels < 1 or chosen.width(channels) != made.inputs:
                more = f" and {chosen.added} more" if chosen.added else ""
                of_one = f"{chosen.factor} channels of one{more}"
                raise ConfigError(f"encoder {chosen}: {of_one}, but {made.inputs} inputs of {name}")
        plan = recipe if isinstance(recipe, Recipe) else _changed(default_recipe(made), recipe or {})
        if not isinstance(seed, int) or seed < 0:
            raise ConfigError(f"seed {seed!r}, allowed are integers from 0 up")
        names = class_names(np.arange(made.outputs) if classes is None else classes)
        if len(names) != made.outputs:
            raise ConfigError(f"{len(names)} classes for {made.outputs} outputs of {sizes(made)}")
        network = cls.untrained(made, name, plan, names, seed)
        network.encoder = chosen
        return network

    @classmethod
    def untrained(
        cls,
        config: NetworkConfig,
        preset: str,
        recipe: Recipe,
        names: tuple[str, ...],
        seed: int,
        *,
        schedule: tuple[int, ...] | None = None,
        quantiser: Quantiser | None = None,
        dataset: str = "",
        data_sha256: str = "",
    ) -> Network:
        """Network before its first sample, of parts that have been checked.

        Without a data set every step is scheduled and the inputs are taken as they are.
        """
        parameters = recipe.parameters(config, tuple(range(config.max_steps)) if schedule is None else schedule)
        fmt = config.formats.input
        return cls(
            config=config,
            preset=preset,
            recipe=recipe,
            parameters=parameters,
            weights=initial_weights(config, recipe, seed),
            constants=[list(row) for row in parameters.a],
            rng=parameters.rng,
            shuffler=dict(np.random.PCG64(np.random.SeedSequence([seed, 1])).state),
            quantiser=quantiser or Quantiser.unscaled(config.inputs, fmt.frac, fmt.width),
            dataset=dataset,
            class_names=names,
            seed=seed,
            data_sha256=data_sha256,
        )

    @classmethod
    def from_nir(cls, source: Any, **options: Any) -> Network:
        """Network of a NIR graph or file; :func:`solsa.host.import_nir` tells what was rounded as well."""
        from .nir_import import import_nir

        return import_nir(source, **options)[0]

    def to_nir(self, path: str | Path | None = None, *, dt: float = 1e-4) -> Any:
        """Network as a ``nir.NIRGraph``, written to a file if ``path`` is given; see :mod:`solsa.host.nir_export`."""
        from .nir_export import export_nir

        return export_nir(self, path, dt=dt)

    @property
    def fitted(self) -> bool:
        """Whether input scale and classes are those of data (or of an imported network)."""
        return bool(self.dataset)

    @property
    def channels(self) -> int:
        """Channels of a sample, before the encoder."""
        found = len(self.quantiser.mean)
        return found if self.encoder is None else (found - self.encoder.added) // self.encoder.factor

    @property
    def scaled(self) -> bool:
        """Whether inputs are in standard deviations of the training data, not as an encoder made them."""
        return self.encoder is None or self.encoder.graded

    def inputs(self, samples: Sequence[FloatArray]) -> list[IntArray]:
        """Samples [T, channels] as a device takes them, int [steps, inputs]: encoded, scaled, rounded."""
        if self.encoder is not None:
            samples = [self.encoder.transform(sample) for sample in samples]
        return self.quantiser.transform_all(samples).samples

    @property
    def sha256(self) -> str:
        """Fingerprint of weights and filter constants."""
        return weight_sha256(self.weights, self.constants)

    def current_parameters(self) -> Parameters:
        """Parameters that put a device into the present state: adapted constants, generator, rates of this epoch."""
        now = self.recipe.parameters(self.config, self.parameters.schedule, self.epochs_done)
        constants = tuple(tuple(row) for row in self.constants)
        return self.parameters.with_(a=constants, rng=self.rng, rate=now.rate, adapt_rate=now.adapt_rate)

    def check_dataset(self, dataset: Dataset) -> None:
        """Raise NetworkError unless channels and classes of a data set are those of the training data."""
        if dataset.n_channels != self.channels:
            raise NetworkError(
                f"{dataset.name} has {dataset.n_channels} channels, the network was trained on {self.channels}"
            )
        if dataset.class_names != self.class_names:
            raise NetworkError(
                f"{dataset.name} has the classes {_listed(dataset.class_names)}, "
                f"the network was trained on {_listed(self.class_names)}"
            )

    # -- file ---------------------------------------------------------------------------------------------------------
    def save(self, path: str | Path) -> None:
        """Write the network file; an existing one is replaced in one step."""
        meta = {
            "kind": KIND,
            "version": FILE_VERSION,
            "config": self.config.to_dict(),
            "config_hash": self.config.config_hash,
            "preset": self.preset,
            "recipe": self.recipe.to_dict(),
            "parameters": self.parameters.to_dict(),
            "rng": self.rng,
            "shuffler": self.shuffler,
            "dataset": self.dataset,
            "class_names": list(self.class_names),
            "seed": self.seed,
            "epochs_done": self.epochs_done,
            "history": self.history,
            "samples_done": self.samples_done,
            "correct": self.correct,
            "seconds": self.seconds,
            "data_sha256": self.data_sha256,
            "encoder": None if self.encoder is None else self.encoder.to_dict(),
            "binning": None if self.binning is None else asdict(self.binning),
            "weight_sha256": self.sha256,
        }
        arrays: dict[str, Any] = {f"weight{i}": w.astype("<i4") for i, w in enumerate(self.weights)}
        arrays |= {f"mean_error{i}": m.astype("<i4") for i, m in enumerate(self.mean_errors)}
        arrays["constants"] = np.array(self.constants, dtype="<u4")
        arrays |= {_QUANTISER + key: value for key, value in self.quantiser.to_dict().items()}
        arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        archive = io.BytesIO()  # zipfile cannot be left half way without noise: a full disk must fail in one write
        np.savez(archive, **arrays)
        write_atomically(Path(path), lambda out: out.write(archive.getvalue()))

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a network file.

        Raises
        ------
        NetworkError
            If it is not there, not a network file, damaged, or of another version.
        """
        path = Path(path)
        if not path.is_file():
            raise NetworkError(f"{path}: no such network file")
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            meta = json.loads(arrays["meta"].tobytes())
            foreign = meta["kind"] != KIND
        except _UNREADABLE:
            raise NetworkError(f"{path}: not a network file of solsa, or damaged") from None
        if foreign:
            raise NetworkError(f"{path}: not a network file of solsa")
        if meta.get("version") not in range(_OLDEST, FILE_VERSION + 1):
            allowed = f"{_OLDEST} to {FILE_VERSION}"
            raise NetworkError(f"{path}: network file version {meta.get('version')}, this solsa reads {allowed}")
        try:
            return cls._build(meta, arrays)
        except (ConfigError, DataError, NetworkError) as error:
            raise NetworkError(f"{path}: {error}") from None
        except _UNREADABLE as error:
            raise NetworkError(f"{path}: damaged ({type(error).__name__}: {error})") from None

    @classmethod
    def _build(cls, meta: dict[str, Any], arrays: dict[str, Any]) -> Network:
        config = NetworkConfig.from_dict(meta["config"])
        if config.config_hash != meta["config_hash"]:
            raise NetworkError(
                f"made for configuration {meta['config_hash']}, which this solsa computes as {config.config_hash}: "
                "another contract version"
            )
        parameters = Parameters.from_dict(meta["parameters"])
        parameters.check(config)
        weights = [arrays[f"weight{i}"].astype(np.int64) for i in range(config.depth)]
        constants = arrays["constants"].astype(np.int64)
        shapes = [(config.post(i), config.pre(i)) for i in range(config.depth)]
        if [w.shape for w in weights] != shapes or constants.shape != (config.depth, config.groups):
            raise NetworkError("damaged, the arrays do not have the shapes of the configuration")
        means = [arrays[f"mean_error{i}"].astype(np.int64) for i in range(config.depth) if "mean_error0" in arrays]
        if means and (not config.normalise or [m.shape for m in means] != [(m,) for m in config.layers[1:]]):
            raise NetworkError("damaged, the running means do not have the shapes of the configuration")
        quantiser = {k.removeprefix(_QUANTISER): v for k, v in arrays.items() if k.startswith(_QUANTISER)}
        network = cls(
            config=config,
            preset=str(meta["preset"]),
            recipe=Recipe.from_dict(meta["recipe"]),
            parameters=parameters,
            weights=weights,
            constants=constants.tolist(),
            rng=int(meta["rng"]),
            shuffler=meta["shuffler"],
            quantiser=Quantiser.from_dict(quantiser),
            dataset=str(meta["dataset"]),
            class_names=tuple(meta["class_names"]),
            seed=int(meta["seed"]),
            epochs_done=int(meta["epochs_done"]),
            history=list(meta["history"]),
            samples_done=int(meta.get("samples_done", 0)),
            correct=int(meta.get("correct", 0)),
            seconds=float(meta.get("seconds", 0.0)),
            data_sha256=str(meta.get("data_sha256", "")),
            encoder=None if meta.get("encoder") is None else Encoder.from_dict(meta["encoder"]),
            binning=None if meta.get("binning") is None else Binning.from_dict(meta["binning"]),
            mean_errors=means,
        )
        if network.sha256 != meta["weight_sha256"]:
            raise NetworkError("damaged, the weights do not match their SHA-256")
        if network.encoder and network.encoder.channels not in (0, network.channels):
            raise NetworkError(f"damaged, encoder of {network.encoder.channels} channels for {network.channels}")
        network.check_progress()
        return network

    def check_progress(self) -> None:
        """Raise NetworkError unless epochs, samples and generators are such as a run leaves them."""
        if not (len(self.history) == self.epochs_done and all(set(e) >= _HISTORY_KEYS for e in self.history)):
            raise NetworkError(f"damaged, {self.epochs_done} epochs done, but {len(self.history)} in the history")
        if not 0 <= self.correct <= self.samples_done:
            raise NetworkError(f"damaged, {self.correct} of {self.samples_done} samples right")
        if not 0 < self.rng < 1 << 32:
            raise NetworkError(f"damaged, random generator {self.rng}, allowed 1 to {(1 << 32) - 1}")
        if len(self.class_names) != self.config.outputs:
            raise NetworkError(f"damaged, {len(self.class_names)} class names for {self.config.outputs} outputs")
        np.random.PCG64().state = cast(Any, self.shuffler)


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    try:
        return recipe.with_(**changes)
    except TypeError as error:
        raise ConfigError(f"recipe: {error}") from None


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")
