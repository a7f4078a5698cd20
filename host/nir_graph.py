"""A NIR graph read as a chain of layers: weights, bias and neuron constants of each, for a step of fixed length.

The Neuromorphic Intermediate Representation (https://neuroir.org) describes neurons by differential equations. They are
stepped by forward Euler, as snnTorch does and exports with dt = 1e-4 s:

    a    = 1 - dt / tau_syn         I[t] = a * I[t-1] + dt / tau_syn * w_in * (W x + b)
    lam  = 1 - dt / tau_mem         V[t] = lam * V[t-1] + dt / tau_mem * (v_leak + R * I[t])

The factors before W x + b and before I are one factor ``gain`` on the weights of the neuron.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .data_files import FloatArray
from .network import NetworkError

#: Parameters of a neuron node that are checked and given one value per neuron.
_PARAMETERS = ("tau", "tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in")
NEURONS = ("CubaLIF", "LIF")
#: Neurons without spikes, as the readout only.
READOUTS = ("CubaLI", "LI")
_ALLOWED = (
    f"allowed is a chain Input, then Linear or Affine and {' or '.join(NEURONS)} per layer "
    f"({' or '.join(READOUTS)} as the last), Output"
)
#: Relative error up to which a number of a graph, often float32, counts as the one it is compared with.
CLOSE = 1e-6


@dataclass(frozen=True, eq=False)
class NirLayer:
    """One layer of a graph, real numbers, for a given dt; M neurons, N inputs.

    Attributes
    ----------
    name : str
        Of the nodes.
    weight : float array [M, N]
    bias : float array [M]
    a, lam : float array [M]
        Decay of current and membrane per step.
    gain : float array [M]
        Factor on weight and bias.
    theta, rho : float array [M], or None for a layer that does not spike
        Threshold above ``v_leak``, and distance from the threshold to ``v_reset``.
    """

    name: str
    weight: FloatArray
    bias: FloatArray
    a: FloatArray
    lam: FloatArray
    gain: FloatArray
    theta: FloatArray | None
    rho: FloatArray | None


def read_graph(source: Any) -> Any:
    """``nir.NIRGraph`` of a graph or a file.

    Raises
    ------
    NetworkError
        If ``nir`` is not installed or the file is not one of NIR.
    """
    nir = import_nir()
    if isinstance(source, nir.NIRGraph):
        return source
    if not isinstance(source, str | Path):
        raise NetworkError(f"NIR: {type(source).__name__} given, allowed are a nir.NIRGraph or a file")
    if not Path(source).is_file():
        raise NetworkError(f"{source}: no such NIR file")
    try:
        graph = nir.read(source, type_check=False)  # its check refuses scalar parameters; shapes are checked here
    except Exception as error:  # h5py and nir raise whatever they met
        raise NetworkError(f"{source}: not a NIR file ({type(error).__name__}: {error})") from None
    if not isinstance(graph, nir.NIRGraph):
        raise NetworkError(f"{source}: holds a {type(graph).__name__}, allowed is a graph")
    return graph


def import_nir() -> Any:
    """Module ``nir``; NetworkError that says how to install it."""
    try:
        import nir
    except ModuleNotFoundError as error:
        raise NetworkError(f"NIR needs {error.name}: pip install 'solsa[nir]'") from None
    return nir


def layers_of(graph: Any, dt: float) -> list[NirLayer]:
    """Layers of a graph in order.

    Parameters
    ----------
    graph : nir.NIRGraph
    dt : float
        Length of a step, in the unit of the time constants (seconds).

    Raises
    ------
    NetworkError
        With the node that cannot be mapped.
    """
    if not (isinstance(dt, int | float) and np.isfinite(dt) and dt > 0):
        raise NetworkError(f"NIR: dt {dt!r}, allowed is a positive time")
    chain = _chain(graph)
    layers: list[NirLayer] = []
    while chain:
        (name, node), *chain = chain
        kind = type(node).__name__
        if kind not in ("Linear", "Affine"):
            what = "no Linear or Affine before it" if kind in (*NEURONS, *READOUTS) else f"of type {kind}"
            raise NetworkError(f"NIR node {name!r}: {what}; {_ALLOWED}")
        if not chain or type(chain[0][1]).__name__ not in (*NEURONS, *READOUTS):
            after = f"{type(chain[0][1]).__name__} {chain[0][0]!r}" if chain else "the output"
            raise NetworkError(f"NIR node {name!r}: followed by {after}, not by neurons; {_ALLOWED}")
        (neuron_name, neuron), *chain = chain
        if type(neuron).__name__ in READOUTS and chain:
            raise NetworkError(f"NIR node {neuron_name!r}: {type(neuron).__name__} does not spike, allowed as the last")
        layers.append(_layer(name, node, neuron_name, neuron, dt))
    if not layers:
        raise NetworkError(f"NIR: a graph without a layer; {_ALLOWED}")
    for below, above in zip(layers, layers[1:], strict=False):
        if above.weight.shape[1] != len(below.weight):
            raise NetworkError(
                f"NIR node {above.name!r}: {above.weight.shape[1]} inputs, but {below.name!r} has {len(below.weight)}"
            )
    return layers


def _chain(graph: Any) -> list[tuple[str, Any]]:
    """Nodes between input and output, in order."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in dict.fromkeys(map(tuple, graph.edges)):
        for name in (source, target):
            if name not in after:
                raise NetworkError(f"NIR: an edge names the node {name!r}, which does not exist")
        after[source].append(target)
        before[target].append(source)
    for name, node in graph.nodes.items():
        kind = type(node).__name__
        if kind == "NIRGraph":
            _refuse_cycle(*_edges(node), f"NIR node {name!r}: ")
            raise NetworkError(f"NIR node {name!r}: a graph in the graph; {_ALLOWED}")
        if kind not in ("Input", "Output", "Linear", "Affine", *NEURONS, *READOUTS):
            raise NetworkError(f"NIR node {name!r}: type {kind} cannot be mapped; {_ALLOWED}")
    _refuse_cycle(list(graph.nodes), after, "NIR: ")
    for name in graph.nodes:
        for others, what in ((before[name], "inputs"), (after[name], "outputs")):
            if len(others) > 1:
                raise NetworkError(f"NIR node {name!r}: {len(others)} {what} ({', '.join(others)}); {_ALLOWED}")
    starts = [name for name in graph.nodes if not before[name]]
    if len(starts) != 1:
        raise NetworkError(f"NIR: {len(starts)} nodes without an input ({', '.join(starts)}); {_ALLOWED}")
    order = [starts[0]]
    while after[order[-1]]:
        order.append(after[order[-1]][0])
    return [(n, graph.nodes[n]) for n in order if type(graph.nodes[n]).__name__ not in ("Input", "Output")]


def _edges(graph: Any) -> tuple[list[str], dict[str, list[str]]]:
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        after.setdefault(source, []).append(target)
    return list(after), after


def _refuse_cycle(names: list[str], after: dict[str, list[str]], where: str) -> None:
    """Raise NetworkError with the nodes of a recurrent connection."""
    done: set[str] = set()
    for start in names:
        path: list[str] = []
        stack = [(start, 0)]
        while stack:
            name, depth = stack.pop()
            del path[depth:]
            if name in path:
                loop = " -> ".join([*path[path.index(name) :], name])
                raise NetworkError(f"{where}recurrent connection {loop}; allowed are chains of layers")
            if name in done and depth:
                continue
            path.append(name)
            stack += [(target, depth + 1) for target in after.get(name, [])]
        done.update(path)


def _layer(name: str, linear: Any, neuron_name: str, neuron: Any, dt: float) -> NirLayer:
    weight = np.asarray(linear.weight, dtype=np.float64)
    if weight.ndim != 2 or not weight.size or not np.isfinite(weight).all():
        raise NetworkError(f"NIR node {name!r}: weight of shape {weight.shape}, allowed are finite numbers [M, N]")
    posts = len(weight)
    bias = _values(name, "bias", getattr(linear, "bias", 0.0), posts)
    found = {key: _values(neuron_name, key, getattr(neuron, key), posts)
             for key in _PARAMETERS if getattr(neuron, key, None) is not None}  # fmt: skip
    kind = type(neuron).__name__
    gain = found["r"].copy()
    if kind in ("CubaLIF", "CubaLI"):
        mem = found["tau_mem"]
        a = _decay(neuron_name, "tau_syn", found["tau_syn"], dt)
        gain *= dt / found["tau_syn"] * found["w_in"]
    else:
        mem, a = found["tau"], np.zeros(posts)
    lam = _decay(neuron_name, "tau_mem" if kind in ("CubaLIF", "CubaLI") else "tau", mem, dt)
    gain *= dt / mem
    gain = np.where(np.abs(gain - 1) < CLOSE, 1.0, gain)
    label = f"{name}, {neuron_name}"
    leak = found["v_leak"]
    if kind in READOUTS:
        if leak.any():
            raise NetworkError(f"NIR node {neuron_name!r}: v_leak {leak[leak != 0][0]:g}, allowed for {kind} is 0")
        return NirLayer(label, weight, bias, a, lam, gain, None, None)
    theta = found["v_threshold"] - leak
    rho = found["v_threshold"] - found.get("v_reset", np.zeros(posts))
    for key, value, low in (("v_threshold - v_leak", theta, "above 0"), ("v_threshold - v_reset", rho, "0 or more")):
        bad = value <= 0 if low == "above 0" else value < 0
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise NetworkError(f"NIR node {neuron_name!r}: {key} of neuron {i} is {value[i]:g}, allowed {low}")
    return NirLayer(label, weight, bias, a, lam, gain, theta, rho)


def _values(node: str, key: str, value: Any, posts: int) -> FloatArray:
    """Parameter of a node, one value per neuron."""
    array = np.asarray(value, dtype=np.float64)
    if array.size not in (1, posts) or array.size != max(array.shape, default=1):
        raise NetworkError(f"NIR node {node!r}: {key} of shape {array.shape}, allowed is one value or {posts}")
    if not np.isfinite(array).all():
        raise NetworkError(f"NIR node {node!r}: {key} is not finite")
    return np.broadcast_to(array.reshape(-1), (posts,)).copy()


def _decay(node: str, key: str, tau: FloatArray, dt: float) -> FloatArray:
    """1 - dt/tau, from 0 to below 1."""
    if (tau <= 0).any() or (dt > tau * (1 + CLOSE)).any():
        raise NetworkError(f"NIR node {node!r}: {key} {tau.min():g}, allowed from dt ({dt:g}) up")
    return np.maximum(0.0, 1 - dt / tau)
