"""A NIR graph as a network of the core, with a report of everything that was rounded."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, Readout
from solsa.contract.formats import ADAPT_GUARD, Format

from .arrays import class_names
from .data_files import FloatArray
from .geometry import config_for
from .geometry import sizes as sizes_of
from .network import Network, NetworkError
from .nir_export import Kept
from .nir_graph import CLOSE, NirLayer, layers_of, read_graph
from .nir_groups import Grouping, Pair, approximated, constants_of, grouped
from .quantise import Quantiser
from .recipe import default_recipe
from .words import Ints

#: Step of snnTorch's export, in seconds.
DT = 1e-4
#: Largest threshold that a layer is scaled to: the membrane must be able to rise far above it.
_LARGEST_THETA = 16
_SMALLEST_THETA = 2.0**-8


@dataclass(frozen=True)
class Rounded:
    """How far the numbers of a layer are from those of the graph, in the layer's own scale.

    Attributes
    ----------
    name : str
        Nodes of the graph.
    scale : float
        Largest factor by which a neuron's membrane, threshold and weights were multiplied; 1 for as they are.
    theta, rho : float
        Threshold and reset of the layer; 0 for a readout that does not spike.
    weight, bias, a, lam, threshold, reset : float
        Largest errors, after scaling: of weights, those that carry a bias included; of biases so small that none
        carries them; decay of current and of membrane as the core uses them; threshold and reset.
    """

    name: str
    scale: float
    theta: float
    rho: float
    weight: float
    bias: float
    a: float
    lam: float
    threshold: float
    reset: float


@dataclass(frozen=True)
class NirReport:
    """What an import did.

    Attributes
    ----------
    dt : float
        Length of a step.
    layers : tuple of Rounded
    notes : tuple of str
        What a reader has to know, one line each.
    order : tuple of tuple of int
        Neuron of the graph behind every neuron of each layer; -1 for one that was added to carry a bias.
    """

    dt: float
    layers: tuple[Rounded, ...]
    notes: tuple[str, ...]
    order: tuple[tuple[int, ...], ...]

    def lines(self) -> list[str]:
        """Readable form, one fact per line."""
        found = [f"step {self.dt:g} s, forward Euler"]
        for i, one in enumerate(self.layers):
            found.append(
                f"layer {i} ({one.name}): scaled by {one.scale:g}; largest error of a weight {one.weight:.2g}, bias "
                f"{one.bias:.2g}, decay of current {one.a:.2g}, of membrane {one.lam:.2g}, threshold "
                f"{one.threshold:.2g}, reset {one.reset:.2g}"
            )
        return [*found, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


@dataclass
class _Layer:
    """A layer on its way: real numbers in the layer's own scale, [M, N] with the added neurons and channels."""

    source: NirLayer
    weight: FloatArray
    bias: FloatArray
    scale: FloatArray
    theta: float
    rho: float
    spiking: bool
    #: An added last neuron that spikes in every step.
    carries: bool = False


def import_nir(
    source: Any,
    *,
    dt: float = DT,
    classes: Any = None,
    approximate: bool = False,
    seed: int = 0,
    **config: Any,
) -> tuple[Network, NirReport]:
    """Network of a NIR graph or file, ready to run and to go on learning with ``partial_fit``.

    A chain of Linear or Affine and CubaLIF (or LIF) nodes; the last neurons may be CubaLI or LI, which gives the
    readout ``membrane``. Inputs are taken as they are, in the input format (by default -4 to 3.97 in steps of 1/32). A
    bias becomes the weights of one more input channel that is always 1, and, above the first layer, of one more neuron
    that spikes in every step.

    Parameters
    ----------
    source : nir.NIRGraph, str or Path
        The graph.
    dt : float
        Length of a step in the unit of the graph's time constants; snnTorch exports for 1e-4, Norse steps by 1e-3.
    classes : array [outputs], optional
        Labels of the outputs.
    approximate : bool
        Allow time constants to be changed to those of eight groups per layer.
    seed : int
        Of the order of samples, should it go on learning.
    **config
        Fields of :class:`~solsa.contract.NetworkConfig`, such as ``lanes=16``.

    Returns
    -------
    Network, NirReport

    Raises
    ------
    NetworkError, ConfigError
        For a graph that cannot be mapped, with the node and what is allowed.
    """
    graph = read_graph(source)
    layers = layers_of(graph, dt)
    kept = Kept.of(graph, layers)
    base, least = kept.config if kept else config_for((1, 1), groups=1), config.pop("groups", 1)
    base = _with(base, config)
    if kept:
        least = max(least, kept.config.groups)
    spiking = layers[-1].theta is not None
    notes: list[str] = []
    shaped = _with_bias([_scaled(layer, base.formats.weight) for layer in layers], base.formats.weight, notes)
    groups, groupings, pairs = _grouped(shaped, base, approximate, least, notes)
    if kept and groups == kept.config.groups:
        for i, grouping in enumerate(groupings):  # groups without a neuron are not in the graph
            unused = zip(kept.constants[i], kept.parameters.lam[i], strict=True)
            grouping.pairs[len(pairs[i]) :] = list(unused)[len(pairs[i]) :]
    _reorder(shaped, groupings)
    sizes = (shaped[0].weight.shape[1], *(len(layer.weight) for layer in shaped))
    fitting = config_for(sizes)
    made = base.with_(
        layers=sizes,
        groups=groups,
        readout=Readout.SPIKE if spiking else Readout.MEMBRANE,
        frame_bytes=max(base.frame_bytes, fitting.frame_bytes),
    )
    words, rounded = [], []
    for layer, grouping, wanted in zip(shaped, groupings, pairs, strict=True):
        found = _rounded(layer, made, grouping, wanted)
        words.append(found[0])
        rounded.append(found[1])
    notes += _general(spiking, rounded, made)
    network = _network(made, shaped, groupings, words, classes, kept, seed)
    order = tuple(
        tuple(-1 if layer.carries and i == len(layer.weight) - 1 else i for i in grouping.order)
        for layer, grouping in zip(shaped, groupings, strict=True)
    )
    return network, NirReport(dt, tuple(rounded), tuple(notes), order)


def _with(base: NetworkConfig, changes: dict[str, Any]) -> NetworkConfig:
    for key in ("layers", "readout", "recurrent"):
        if key in changes:
            raise ConfigError(f"NIR: {key} follows from the graph and cannot be given")
    try:
        return base.with_(**changes)
    except TypeError as error:
        raise ConfigError(f"NIR: {error}") from None


# -- scale and bias ---------------------------------------------------------------------------------------------------
def _scaled(layer: NirLayer, fmt: Format) -> _Layer:
    """Give all neurons of a layer one threshold and one reset, and weights that fit.

    Multiplying weights, threshold and reset of a neuron by one number changes no spike. What fits is left as it is.
    """
    weight, bias = layer.weight * layer.gain[:, None], layer.bias * layer.gain
    posts, limit = len(weight), (fmt.max + 0.5) / fmt.one
    largest = max(float(np.abs(weight).max()), float(np.abs(bias).max()))
    if layer.theta is None or layer.rho is None:
        factor = 1.0 if largest <= limit and (layer.gain == 1).all() else _power_below(limit, largest, 2.0**8)
        scale = np.full(posts, factor)
        return _Layer(layer, weight * factor, bias * factor, scale, 0.0, 0.0, spiking=False)
    ratio = layer.rho / layer.theta
    if np.ptp(ratio) > CLOSE * max(1.0, float(ratio.max())):
        raise NetworkError(
            f"NIR node {layer.name!r}: v_reset lies differently below the threshold for its neurons "
            f"(reset / threshold from {ratio.min():g} to {ratio.max():g}); allowed is one ratio per layer"
        )
    theta, rho = float(layer.theta[0]), float(layer.rho[0])
    same = np.ptp(layer.theta) <= CLOSE * theta
    fits = largest <= limit and _SMALLEST_THETA <= theta and theta + rho < limit * 0.9
    if same and fits and (layer.gain == 1).all():
        return _Layer(layer, weight, bias, np.ones(posts), theta, rho, spiking=True)
    unit = 1 / layer.theta
    largest = max(float(np.abs(weight * unit[:, None]).max()), float(np.abs(bias * unit).max()))
    # A neuron that carries a bias has the weight theta + rho and a little more.
    factor = _power_below(limit, max(largest, (1 + float(ratio[0])) * 1.1), _LARGEST_THETA)
    if factor < _SMALLEST_THETA:
        raise NetworkError(
            f"NIR node {layer.name!r}: a weight {largest:.4g} times its threshold; allowed is up to "
            f"{limit / _SMALLEST_THETA:.4g} times"
        )
    scale = unit * factor
    return _Layer(layer, weight * scale[:, None], bias * scale, scale, factor, factor * float(ratio[0]), spiking=True)


def _power_below(limit: float, value: float, most: float) -> float:
    """Largest power of two, up to ``most``, that keeps a value below a limit."""
    return min(most, 2.0 ** math.floor(math.log2(limit / value))) if value else 1.0


def _with_bias(layers: list[_Layer], fmt: Format, notes: list[str]) -> list[_Layer]:
    """Turn biases that do not round to zero into weights: of a constant channel, and of neurons that always spike."""
    biased = [i for i, layer in enumerate(layers) if np.rint(layer.bias * fmt.one).any()]
    if not biased:
        return layers
    notes.append("bias: one more input channel, always 1.0")
    for index, layer in enumerate(layers[: biased[-1] + 1]):
        layer.weight = np.hstack([layer.weight, layer.bias[:, None]])
        if index < biased[-1]:
            # V >= w - rho > theta in every step, whatever the decays: it spikes always.
            always = np.zeros((1, layer.weight.shape[1]))
            always[0, -1] = math.ceil((layer.theta + layer.rho) * 1.05 * fmt.one) / fmt.one
            layer.weight = np.vstack([layer.weight, always])
            layer.scale = np.append(layer.scale, 1.0)
            layer.carries = True
            notes.append(f"bias above layer {index}: one more neuron in it, which spikes in every step")
    return layers


# -- time constants ---------------------------------------------------------------------------------------------------
def _grouped(
    layers: list[_Layer], base: NetworkConfig, approximate: bool, least: int, notes: list[str]
) -> tuple[int, list[Grouping], list[list[Pair]]]:
    f = base.formats
    fine = Format(f.decay.frac + ADAPT_GUARD, f.decay.frac + ADAPT_GUARD, signed=False)
    pairs: list[list[Pair]] = []
    for layer in layers:
        own: list[Pair] = [
            (fine.from_float(a), f.decay.from_float(lam))
            for a, lam in zip(layer.source.a.tolist(), layer.source.lam.tolist(), strict=True)
        ]
        pairs.append(own + [None] * layer.carries)
    found = grouped(pairs, least)
    if isinstance(found, int):
        kinds = len({pair for pair in pairs[found] if pair is not None})
        if not approximate:
            raise NetworkError(
                f"NIR node {layers[found].source.name!r}: {kinds} pairs of time constants that do not fit eight equal "
                "groups of neurons; allow approximate=True to change them"
            )
        found = approximated(pairs)
        notes.append("time constants: those of similar neurons replaced by their mean, in eight groups per layer")
    for index, grouping in enumerate(found[1]):
        if grouping.order != sorted(grouping.order):
            notes.append(f"layer {index}: neurons in another order, so that groups of them share time constants")
    return found[0], found[1], pairs


def _reorder(layers: list[_Layer], groupings: list[Grouping]) -> None:
    """Put the neurons of every layer, and the inputs of the one above, into their order."""
    before: list[int] | None = None
    for layer, grouping in zip(layers, groupings, strict=True):
        if before is not None:
            layer.weight = layer.weight[:, before]
        layer.weight = layer.weight[grouping.order]
        layer.scale = layer.scale[grouping.order]
        before = grouping.order


def _rounded(layer: _Layer, config: NetworkConfig, grouping: Grouping, wanted: Sequence[Pair]) -> tuple[Ints, Rounded]:
    """Weight words of a layer, and how far they and its constants are from the graph's."""
    f = config.formats
    exact = layer.weight * f.weight.one
    words = np.clip(np.rint(exact), f.weight.min, f.weight.max).astype(np.int64)
    if exact.any() and not words.any():
        raise NetworkError(
            f"NIR node {layer.source.name!r}: all weights round to 0, so small are they beside the threshold"
        )
    error = np.abs(words - exact) / f.weight.one
    dropped = 0.0 if layer.weight.shape[1] > layer.source.weight.shape[1] else float(np.abs(layer.bias).max())
    a, lam = constants_of(grouping, config.groups, len(words))
    real = [i for i, neuron in enumerate(grouping.order) if wanted[neuron] is not None]
    own = [grouping.order[i] for i in real]
    used_a = (a[real] >> ADAPT_GUARD) / f.decay.one
    return words, Rounded(
        name=layer.source.name,
        scale=float(layer.scale.max()),
        theta=layer.theta,
        rho=layer.rho,
        weight=float(error.max()),
        bias=dropped,
        a=float(np.abs(used_a - layer.source.a[own]).max()),
        lam=float(np.abs(lam[real] / f.decay.one - layer.source.lam[own]).max()),
        threshold=abs(f.threshold.from_float(layer.theta) / f.threshold.one - layer.theta),
        reset=abs(f.threshold.from_float(layer.rho) / f.threshold.one - layer.rho),
    )  # fmt: skip


def _general(spiking: bool, rounded: list[Rounded], config: NetworkConfig) -> list[str]:
    fmt = config.formats.input
    found = [
        f"inputs: {fmt.to_float(fmt.min):g} to {fmt.to_float(fmt.max):.4g} in steps of 1/{fmt.one}, others are clipped",
    ]
    if spiking or len(rounded) > 1:
        found.append(
            "reset: v_threshold - v_reset is subtracted one step after a spike (as snnTorch does); "
            "NIR's v_reset would set the membrane at once"
        )
    if not spiking and rounded[-1].scale != 1:
        found.append(f"readout: membranes are those of the graph times {rounded[-1].scale:g}")
    return found


# -- the network ------------------------------------------------------------------------------------------------------
def _network(
    config: NetworkConfig,
    layers: list[_Layer],
    groupings: list[Grouping],
    words: list[Ints],
    classes: Any,
    kept: Kept | None,
    seed: int,
) -> Network:
    f, constant = config.formats, layers[0].weight.shape[1] > layers[0].source.weight.shape[1]
    one, fine = f.threshold, f.decay.one << ADAPT_GUARD
    if classes is None:
        names = kept.class_names if kept else class_names(np.arange(config.outputs))
    else:
        names = class_names(classes)
    if len(names) != config.outputs:
        raise NetworkError(f"NIR: {len(names)} classes for {config.outputs} outputs")
    recipe = kept.recipe if kept else default_recipe(config).with_(
        a=tuple(tuple(a / fine for a, _ in g.pairs) for g in groupings),
        lam=tuple(tuple(lam / f.decay.one for _, lam in g.pairs) for g in groupings),
        surrogate_width=0.5 * max((layer.theta for layer in layers if layer.spiking), default=1.0),
    )  # fmt: skip
    network = Network.untrained(config, kept.preset if kept else sizes_of(config), recipe, names, seed)
    network.weights = words
    network.constants = [[a for a, _ in g.pairs] for g in groupings]
    start = kept.parameters if kept else network.parameters
    silent = () if layers[-1].spiking else (start.theta[-1],), () if layers[-1].spiking else (start.rho[-1],)
    network.parameters = start.with_(
        a=start.a if kept and config.groups == kept.config.groups else tuple(tuple(row) for row in network.constants),
        lam=tuple(tuple(lam for _, lam in g.pairs) for g in groupings),
        theta=tuple(one.from_float(layer.theta) for layer in layers if layer.spiking) + silent[0],
        rho=tuple(one.from_float(layer.rho) for layer in layers if layer.spiking) + silent[1],
    )
    network.parameters.check(config)
    channels = config.inputs - constant
    network.quantiser = Quantiser(
        kept.mean if kept else np.zeros(channels), kept.std if kept else np.ones(channels),
        f.input.frac, f.input.width, constant,
    )  # fmt: skip
    network.dataset = kept.dataset if kept else "NIR"
    if kept:
        network.encoder, network.binning = kept.encoder, kept.binning
    return network
