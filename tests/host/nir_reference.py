"""The equations of a NIR graph in floating point, written apart from the import; and how far rounding may move them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from solsa.host.nir_import import NirReport


@dataclass
class Layer:
    """A layer of the graph as given, every parameter [M]."""

    weight: np.ndarray
    bias: np.ndarray
    p: dict[str, np.ndarray]
    spiking: bool


def layers_of(graph: Any) -> list[Layer]:
    nodes = [n for n in graph.nodes.values() if type(n).__name__ not in ("Input", "Output")]
    found = []
    for linear, neuron in zip(nodes[::2], nodes[1::2], strict=True):
        w = np.asarray(linear.weight, dtype=float)
        p = {k: np.ones(len(w)) * np.asarray(getattr(neuron, k, d), dtype=float).reshape(-1)
             for k, d in (("r", 1), ("v_leak", 0), ("v_threshold", 0), ("v_reset", 0), ("w_in", 1))}  # fmt: skip
        p["mem"] = np.ones(len(w)) * np.asarray(getattr(neuron, "tau_mem", getattr(neuron, "tau", 0)), dtype=float)
        p["syn"] = np.ones(len(w)) * np.asarray(getattr(neuron, "tau_syn", np.nan), dtype=float)
        bias = np.zeros(len(w)) + np.asarray(getattr(linear, "bias", 0.0), dtype=float)
        found.append(Layer(w, bias, p, "LIF" in type(neuron).__name__))
    return found


def run(graph: Any, x: np.ndarray, dt: float, report: NirReport) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Spikes and doubt of every layer, bool [T, M]: doubt where the bound on the error reaches the threshold.

    Forward Euler, current first; v_threshold - v_reset is subtracted one step after a spike. The last layer, if it does
    not spike, gives its membrane in place of spikes and the bound in place of doubt. The bounds hold as long as all
    spikes before are those of this reference.
    """
    layers = layers_of(graph)
    lsb = 2.0**-12
    state = [{k: np.zeros(len(layer.weight)) for k in ("i", "v", "s", "ei", "ev")} for layer in layers]
    for layer, now in zip(layers, state, strict=True):
        now["v"] += layer.p["v_leak"]
    out: list[list[np.ndarray]] = [[] for _ in layers]
    doubt: list[list[np.ndarray]] = [[] for _ in layers]
    for row in x:
        signal = np.asarray(row, dtype=float)
        for k, (layer, now, one) in enumerate(zip(layers, state, report.layers, strict=True)):
            p = layer.p
            drive = layer.weight @ signal + layer.bias
            syn_step = np.where(np.isnan(p["syn"]), 1.0, dt / p["syn"])
            cuba = ~np.isnan(p["syn"])
            a = np.where(cuba, 1 - syn_step, 0.0)
            lam = 1 - dt / p["mem"]
            old_i, old_v = now["i"], now["v"] - p["v_leak"]
            now["i"] = np.where(cuba, now["i"] + syn_step * (-now["i"] + p["w_in"] * drive), drive)
            now["v"] = now["v"] + dt / p["mem"] * (p["v_leak"] - now["v"] + p["r"] * now["i"])
            if layer.spiking:
                now["v"] = now["v"] - now["s"] * (p["v_threshold"] - p["v_reset"])
            # the same in the units of the core: u = (v - v_leak) * scale
            scale = one.theta / (p["v_threshold"] - p["v_leak"]) if layer.spiking else np.full(len(drive), one.scale)
            current = scale * dt / p["mem"] * p["r"] * old_i
            taps = np.abs(signal).sum() + 1
            now["ei"] = a * now["ei"] + one.a * (np.abs(current) + now["ei"]) + one.weight * taps + one.bias + 1.5 * lsb
            now["ev"] = lam * now["ev"] + one.lam * (np.abs(scale * old_v) + now["ev"]) + now["ei"] + lsb
            now["ev"] += now["s"] * one.reset
            if layer.spiking:
                u = (now["v"] - p["v_leak"]) * scale
                now["s"] = (now["v"] > p["v_threshold"]).astype(float)
                out[k].append(now["s"] > 0)
                doubt[k].append(np.abs(u - one.theta) <= now["ev"] + one.threshold)
                signal = now["s"]
            else:
                out[k].append(now["v"] * scale)
                doubt[k].append(now["ev"].copy())
    return [np.array(o) for o in out], [np.array(d) for d in doubt]
