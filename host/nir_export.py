"""A network as a NIR graph.

What NIR has no place for (lanes, formats, filter groups, classes, input scale, recipe, tables) goes along as JSON in
the graph's metadata, where an import finds it again; other programs leave it alone. The graph's input is that of the
core: data (through the encoder, if there is one) minus mean, divided by standard deviation, channel by channel; all of
it in that JSON.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, Parameters
from solsa.contract.formats import ADAPT_GUARD

from .data_files import FloatArray
from .encoders import Encoder
from .events import Binning
from .files import write_atomically
from .network import Network, NetworkError
from .nir_graph import NirLayer, import_nir
from .recipe import Recipe

#: Name of the metadata.
METADATA = "solsa"
#: Changes when it would mean something else.
VERSION = 1


@dataclass(frozen=True, eq=False)
class Kept:
    """What an exported graph carries besides the graph."""

    config: NetworkConfig
    preset: str
    recipe: Recipe
    parameters: Parameters
    constants: list[list[int]]
    dataset: str
    class_names: tuple[str, ...]
    mean: FloatArray
    std: FloatArray
    encoder: Encoder | None
    binning: Binning | None

    @classmethod
    def of(cls, graph: Any, layers: list[NirLayer]) -> Self | None:
        """Read it; None if the graph has none, one of another version, or other sizes than it had when exported."""
        try:
            plain = json.loads(graph.metadata[METADATA])
            if plain["version"] != VERSION:
                return None
            found = cls(
                config=NetworkConfig.from_dict(plain["config"]),
                preset=str(plain["preset"]),
                recipe=Recipe.from_dict(plain["recipe"]),
                parameters=Parameters.from_dict(plain["parameters"]),
                constants=[[int(a) for a in row] for row in plain["constants"]],
                dataset=str(plain["dataset"]),
                class_names=tuple(str(name) for name in plain["class_names"]),
                mean=np.array(plain["mean"], dtype=np.float64),
                std=np.array(plain["std"], dtype=np.float64),
                encoder=None if plain.get("encoder") is None else Encoder.from_dict(plain["encoder"]),
                binning=None if plain.get("binning") is None else Binning.from_dict(plain["binning"]),
            )
            found.parameters.check(found.config)
        except (ConfigError, KeyError, TypeError, ValueError, AttributeError):
            return None
        sizes = (layers[0].weight.shape[1], *(len(layer.weight) for layer in layers))
        groups = [len(row) for row in found.constants]
        same = groups == [found.config.groups] * found.config.depth
        same &= found.config.layers[1:] == sizes[1:] and len(found.mean) == len(found.std) == sizes[0]
        return found if same and len(found.class_names) == sizes[-1] else None


def export_nir(network: Network, path: str | Path | None = None, *, dt: float = 1e-4) -> Any:
    """NIR graph of a network.

    Parameters
    ----------
    network : Network
        Trained or not; its filter constants are those that it has learned.
    path : str or Path, optional
        File to write.
    dt : float
        Length of a step, which sets the time constants.

    Returns
    -------
    nir.NIRGraph
        Input, Linear or Affine and CubaLIF per layer (CubaLI for a readout that does not spike), Output. The import of
        it is equal in weights, constants, thresholds and, through the metadata, everything else that matters.

    Raises
    ------
    NetworkError
        For a recurrent network.
    """
    if network.config.recurrent:
        raise NetworkError("NIR: a network with the option recurrent is not exported, allowed are chains of layers")
    nir = import_nir()
    config, f, p = network.config, network.config.formats, network.parameters
    constant = network.quantiser.constant
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array([config.inputs - constant])})}
    for i in range(config.depth):
        weight = network.weights[i] / f.weight.one
        if i == 0 and constant:
            nodes["fc0"] = nir.Affine(weight=weight[:, :-1], bias=weight[:, -1].copy())
        else:
            nodes[f"fc{i}"] = nir.Linear(weight=weight)
        nodes[f"lif{i}"] = _neurons(nir, network, i, dt, p.theta[i] / f.threshold.one, p.rho[i] / f.threshold.one)
    nodes["output"] = nir.Output(output_type={"output": np.array([config.outputs])})
    names = list(nodes)
    content = {
        "version": VERSION,
        "config": config.to_dict(),
        "preset": network.preset,
        "recipe": network.recipe.to_dict(),
        "parameters": p.to_dict(),
        "constants": network.constants,
        "dataset": network.dataset,
        "class_names": list(network.class_names),
        "mean": network.quantiser.mean.tolist(),
        "std": network.quantiser.std.tolist(),
        "encoder": None if network.encoder is None else network.encoder.to_dict(),
        "binning": None if network.binning is None else asdict(network.binning),
    }
    graph = nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)), metadata={METADATA: json.dumps(content)})
    if path is not None:
        content_of_file = io.BytesIO()
        nir.write(content_of_file, graph)
        write_atomically(Path(path), lambda out: out.write(content_of_file.getvalue()))
    return graph


def _neurons(nir: Any, network: Network, layer: int, dt: float, theta: float, rho: float) -> Any:
    f, posts = network.config.formats, network.config.post(layer)
    group = np.arange(posts) % network.config.groups
    a = np.array(network.constants[layer], dtype=np.float64)[group] / (f.decay.one << ADAPT_GUARD)
    lam = np.array(network.parameters.lam[layer], dtype=np.float64)[group] / f.decay.one
    tau_syn, tau_mem, ones = dt / (1 - a), dt / (1 - lam), np.ones(posts)
    leaky = {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": tau_mem / dt, "v_leak": 0 * ones, "w_in": tau_syn / dt}
    if not network.config.spiking(layer):
        return nir.CubaLI(**leaky)
    return nir.CubaLIF(**leaky, v_threshold=theta * ones, v_reset=(theta - rho) * ones)
