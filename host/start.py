"""What a call of ``solsa learn`` begins with: its options, the data set, and a network, new or to be gone on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, preset

from .calibrate import calibrated
from .checkpoint import EVERY, KEEP, load_newest
from .data import Dataset, load_dataset
from .encoders import Encoder, encoder_of
from .geometry import BASE, check_sizes, network_for, sizes
from .network import Network, NetworkError
from .options import optional
from .recipe import RECIPES, Recipe, default_recipe
from .scheduling import changed, with_options
from .train import fingerprint, start_network
from .transport import DEFAULT_BAUD


@dataclass(frozen=True, kw_only=True)
class LearnOptions:
    """Arguments of ``solsa learn``."""

    dataset: str
    device: str = "golden"
    preset: str | None = None
    epochs: int | None = None
    seed: int | None = None
    json: Path | None = None
    out: Path | None = None
    resume: Path | None = None
    check_golden: bool = False
    baud: int = DEFAULT_BAUD
    checkpoint: str = EVERY
    keep: int = KEEP
    faults: str | None = None
    #: Show a page of the run on this machine while it goes on.
    live: bool = False
    scrub: bool = False
    #: Study and number of the trial whose network and recipe are taken.
    chosen: tuple[Path, int] | None = None
    #: As ``NAME:option=value``; without it values are currents.
    encoder: str | None = None
    #: Steps of the longest recording of event lists.
    bins: int | None = None
    #: Resumed from a folder: a run whose epochs are all done is finished.
    finish: bool = False
    #: ``MARGIN[:POINTS]``, ``even`` or ``search[:EPOCHS]``, epochs: see host/scheduling.py.
    early_stop: str | None = None
    schedule: str | None = None
    stop_learned: int | None = None
    #: What training samples are changed by, see host/augment.py.
    noise: float | None = None
    shift: float | None = None


def begin(options: LearnOptions, say: Callable[[str], None]) -> tuple[LearnOptions, Dataset, Network]:
    """Options with the file that was found, data set and network; ``say`` gets a line per damaged checkpoint.

    Raises
    ------
    ConfigError, DataError, NetworkError
        For arguments that cannot work.
    """
    if options.resume is not None:
        return _resumed(options, options.resume, say)
    dataset = load_dataset(options.dataset, options.bins)
    if options.chosen is not None:
        return options, dataset, _from_sweep(options, options.chosen, dataset)
    return options, dataset, _fresh(options, dataset)


def epochs_of(options: LearnOptions, network: Network) -> int:
    """Epochs in total; ConfigError if they are done already."""
    epochs = network.recipe.epochs if options.epochs is None else options.epochs
    if epochs < network.epochs_done or (epochs == network.epochs_done and not options.finish):
        raise ConfigError(
            f"{epochs} epochs in total, but {options.resume} has {network.epochs_done} already; give a larger --epochs"
        )
    return epochs


def _fresh(options: LearnOptions, dataset: Dataset) -> Network:
    config, recipe, encoder = plan_for(dataset, options.encoder, options.preset)
    name = options.preset or (BASE if config == preset(BASE) else sizes(config))
    if options.epochs is not None:
        recipe = recipe.with_(epochs=options.epochs)
    recipe = _asked(recipe, options)
    return start_network(*with_options(config, name, recipe), recipe, dataset, options.seed or 0, encoder)


def plan_for(
    dataset: Dataset, encoder: str | None = None, name: str | None = None
) -> tuple[NetworkConfig, Recipe, Encoder | None]:
    """Network, recipe and encoder that a data set gets without further options: tuned ones if it is known.

    Parameters
    ----------
    dataset : Dataset
        Data to be learned.
    encoder : str, optional
        As ``NAME:option=value``; with it the recipe is the default one.
    name : str, optional
        Preset.
    """
    known = RECIPES.get(dataset.name) if encoder is None else None
    chosen, shaped = encoder_of(encoder or (known.encoder if known else None) or None), dataset
    if chosen is not None:
        encoded = chosen.fit(dataset.train).apply(dataset)
        shaped = replace(encoded, name=f"{dataset.name} through {chosen}")
    # Neurons with one input and no bias differ in scale alone, and fire at one sign of it only.
    bias = known.bias if known else encoder is None and dataset.n_channels == 1
    config, _ = network_for(shaped, name, bias=bias)
    lengths = [len(sample) for sample in shaped.train]
    even = min(lengths) == max(lengths)
    if known is not None:
        return config, known, chosen
    recipe = default_recipe(config, int(np.median(lengths)), len(lengths), even=even).with_(bias=bias)
    return config, calibrated(recipe, config, dataset, chosen), chosen


def _asked(recipe: Recipe, options: LearnOptions) -> Recipe:
    """Recipe with what the command line says of it."""
    recipe = changed(recipe, options.early_stop, options.schedule, options.stop_learned)
    given = {"noise": options.noise, "shift": options.shift}
    return recipe.with_(**{name: value for name, value in given.items() if value is not None})


def _from_sweep(options: LearnOptions, chosen: tuple[Path, int], dataset: Dataset) -> Network:
    """Untrained network of a trial; it is trained on all training samples, those of validation included."""
    plan = optional("solsa.host.sweep_choice", "chosen_plan", "sweep")(*chosen)
    check_sizes(plan.config, dataset, f"trial {chosen[1]} of {chosen[0]}")
    recipe = plan.recipe if options.epochs is None else plan.recipe.with_(epochs=options.epochs)
    recipe = _asked(recipe, options)
    seed = plan.seed if options.seed is None else options.seed
    return start_network(*with_options(plan.config, plan.name, recipe), recipe, dataset, seed)


def _resumed(options: LearnOptions, file: Path, say: Callable[[str], None]) -> tuple[LearnOptions, Dataset, Network]:
    """The network to go on with, and its data in the same bins; the options then name its file."""
    if file.is_dir():
        folder = file
        file, network = load_newest(folder, say)
        options = replace(options, resume=file, finish=True, out=options.out or folder)
    else:
        network = Network.load(file)
    dataset = load_dataset(options.dataset, options.bins, network.binning)
    network.check_dataset(dataset)
    if dataset.name != network.dataset:
        raise NetworkError(f"{file} was trained on {network.dataset}, not on {dataset.name}")
    for name, asked in (
        ("early-stop", options.early_stop), ("schedule", options.schedule), ("stop-learned", options.stop_learned),
        ("noise", options.noise), ("shift", options.shift),
    ):  # fmt: skip
        if asked is not None:
            raise NetworkError(f"{file} keeps to the recipe that it was started with; leave --{name} out")
    for name, given, kept in (
        ("bins", options.bins, network.binning and network.binning.bins),
        ("encoder", options.encoder and (encoder_of(options.encoder) or "direct"), network.encoder or "direct"),
    ):
        if given is not None and str(given) != str(kept):
            raise NetworkError(f"{file} was trained with --{name} {kept}, not {given}; leave --{name} out")
    if network.data_sha256 not in ("", fingerprint(dataset)) or network.samples_done > len(dataset.train):
        raise NetworkError(f"{file} was trained on other samples than {options.dataset} holds now")
    if options.preset is not None and preset(options.preset) != network.config:
        raise NetworkError(
            f"{file} holds configuration {network.config.config_hash} ({network.preset}), "
            f"preset {options.preset} is {preset(options.preset).config_hash}"
        )
    if options.seed is not None and options.seed != network.seed:
        raise NetworkError(f"{file} was started with seed {network.seed}, not {options.seed}")
    return options, dataset, network
