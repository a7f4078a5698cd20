"""Pictures of a network over its training: weights, filter constants, schedule; and membranes within one sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .plots import BLUE, GREY, INK, ORANGE, new_figure, save_figure, whole_numbers

#: Colours of the filter groups, and of neurons.
_COLOURS = (BLUE, ORANGE, "#3f8f5b", "#a2467f", "#6a5fb0", "#8a6d3b", "#4aa3a2", "#c0504d")

Epochs = Sequence[dict[str, Any]]


def weight_histograms(epochs: Epochs, path: Path, title: str) -> None:
    """Distribution of the weights of every layer over the epochs, as a PNG.

    Parameters
    ----------
    epochs : sequence of dict
        As ``progress.json`` holds them.
    """
    layers = len(epochs[0]["weights"])
    figure, axes = new_figure(layers, (7.0, 1.4 + 2.5 * layers))
    numbers = [e["epoch"] for e in epochs]
    for layer, plot in enumerate(axes):
        found = [e["weights"][layer] for e in epochs]
        low, high = min(h["low"] for h in found), max(h["high"] for h in found)
        edges = np.linspace(low, high, 80)
        image = np.array([_density(h, edges) for h in found])
        image /= image.max(axis=1, keepdims=True)
        plot.imshow(
            np.sqrt(image).T, aspect="auto", origin="lower", cmap="Blues", interpolation="nearest",
            extent=(numbers[0] - 0.5, numbers[-1] + 0.5, low, high),
        )  # fmt: skip
        mean, sd = (np.array([h[key] for h in found]) for key in ("mean", "sd"))
        plot.plot(numbers, mean, color=ORANGE, linewidth=1.6, label="mean")
        plot.plot(numbers, mean - sd, "--", color=ORANGE, linewidth=1.0, label="mean ± sd")
        plot.plot(numbers, mean + sd, "--", color=ORANGE, linewidth=1.0)
        plot.set_ylabel(f"weights of layer {layer}")
        note = f"sd {sd[0]:.3g} → {sd[-1]:.3g}, dark: the most common weights of the epoch"
        plot.text(1.0, 1.0, note, transform=plot.transAxes, ha="right", va="bottom", fontsize=8, color=INK)
    axes[0].legend(loc="upper left", fontsize=8, framealpha=0.8, edgecolor="none", ncols=2)
    axes[-1].xaxis.set_major_locator(whole_numbers())
    axes[-1].set_xlabel("epoch")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    save_figure(figure, path)


def _density(histogram: dict[str, Any], edges: Any) -> Any:
    """Share of the weights in bins of a common axis, from bins of its own."""
    own = np.linspace(histogram["low"], histogram["high"], len(histogram["counts"]) + 1)
    share = np.concatenate(([0.0], np.cumsum(histogram["counts"]))) / max(1, sum(histogram["counts"]))
    return np.diff(np.interp(edges, own, share))


def filter_constants(epochs: Epochs, path: Path, title: str) -> None:
    """Adaptive filter constants a of every layer and group over the epochs, as a PNG."""
    layers = len(epochs[0]["constants"])
    figure, axes = new_figure(layers, (7.0, 1.2 + 1.9 * layers))
    numbers = [e["epoch"] for e in epochs]
    for layer, plot in enumerate(axes):
        values = np.array([e["constants"][layer] for e in epochs])
        for group in range(values.shape[1]):
            plot.plot(numbers, values[:, group], color=_COLOURS[group % len(_COLOURS)], linewidth=1.8, marker="o",
                      markersize=3)  # fmt: skip
        for value in sorted(set(values[-1].tolist())):
            groups = np.flatnonzero(values[-1] == value).tolist()
            text = f" group{'s' if len(groups) > 1 else ''} {', '.join(map(str, groups))}: {value:.3f}"
            colour = _COLOURS[groups[0] % len(_COLOURS)] if len(groups) == 1 else INK
            plot.annotate(
                text, (numbers[-1], value), xytext=(4, 0), textcoords="offset points", fontsize=8, color=colour,
                va="center", annotation_clip=False, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )  # fmt: skip
        spread = max(0.05, float(values.max() - values.min()))
        plot.set_ylim(values.min() - 0.15 * spread, values.max() + 0.15 * spread)
        plot.set_ylabel(f"a of layer {layer}")
        plot.grid(axis="y", color=GREY, alpha=0.4, linewidth=0.6)
        if np.ptp(values[:, 0]) == 0 and (np.ptp(values, axis=0) == 0).all():
            plot.text(1.0, 1.0, "constant: not adapted in this run", transform=plot.transAxes, ha="right", va="bottom",
                      fontsize=8, color=INK)  # fmt: skip
    margin = max(0.5, 0.02 * len(numbers))
    axes[-1].set_xlim(numbers[0] - margin, numbers[-1] + max(margin, 0.3 * (numbers[-1] - numbers[0])))
    axes[-1].xaxis.set_major_locator(whole_numbers())
    axes[-1].set_xlabel("epoch")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    save_figure(figure, path)


def schedule_map(epochs: Epochs, path: Path, title: str) -> None:
    """How much an update at each step would change the weights, over the epochs, with the schedule; as a PNG."""
    rows = [e for e in epochs if e.get("changes")]
    steps = max(len(e["changes"]) for e in rows)
    image = np.full((len(rows), steps), np.nan)
    for i, e in enumerate(rows):
        image[i, : len(e["changes"])] = e["changes"]
    figure, (plot,) = new_figure(1, (8.0, max(2.6, min(6.0, 1.8 + 0.22 * len(rows)))))
    shown = plot.imshow(image, aspect="auto", origin="upper", cmap="magma_r", interpolation="nearest", vmin=0.0)
    for i, e in enumerate(rows):
        at = [t for t in e["schedule"] if t < steps]
        plot.plot(at, [i] * len(at), "o", color="white", markeredgecolor=INK, markersize=4.5, markeredgewidth=0.9)
    plot.plot([], [], "o", color="white", markeredgecolor=INK, markersize=4.5, label="scheduled: weights are updated")
    plot.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False, borderaxespad=0.2)
    every = max(1, len(rows) // 12)
    plot.set_yticks(range(0, len(rows), every), [str(e["epoch"]) for e in rows[::every]])
    plot.xaxis.set_major_locator(whole_numbers())
    plot.set_xlabel("time step of the sample")
    plot.set_ylabel("epoch")
    bar = figure.colorbar(shown, ax=plot, pad=0.015, fraction=0.05)
    bar.set_label("sum of |dw| of an update here", fontsize=8)
    bar.outline.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    save_figure(figure, path)


def membrane_traces(traces: Sequence[Sequence[dict[str, Any]]], theta: Sequence[float], path: Path, title: str) -> None:
    """Membranes of the neurons that fire most in one sample, one line each, with their threshold; as a PNG.

    Parameters
    ----------
    traces : sequence per hidden layer
        Of ``{"neuron": i, "values": [T]}``.
    theta : sequence of float
        Threshold per layer.
    """
    layers = [(i, layer) for i, layer in enumerate(traces) if layer]
    rows = sum(len(layer) for _, layer in layers)
    figure, axes = new_figure(rows, (8.0, 1.2 + 0.85 * rows))
    plots = iter(axes)
    for i, layer in layers:
        for trace in layer:
            plot, values = next(plots), np.array(trace["values"])
            steps = np.arange(len(values))
            fired = np.flatnonzero(values > theta[i])
            plot.axhline(theta[i], color=ORANGE, linewidth=1.0, linestyle="--")
            plot.plot(steps, values, color=BLUE, linewidth=1.4)
            plot.plot(fired, values[fired], "o", color=INK, markersize=3.5)
            plot.set_ylabel(f"{i}.{trace['neuron']}", rotation=0, ha="right", va="center", fontsize=9)
            plot.tick_params(labelsize=7, labelbottom=plot is axes[-1])
            plot.set_xlim(-0.5, len(values) - 0.5)
    axes[-1].xaxis.set_major_locator(whole_numbers())
    axes[-1].set_xlabel("time step")
    note = "layer.neuron; dashed: threshold; dot: the neuron fires, and loses rho at the next step"
    axes[0].set_title(note, loc="left", fontsize=8, color=INK)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    save_figure(figure, path)
