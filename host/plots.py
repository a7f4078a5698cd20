"""Pictures of a run: its learning curve, and what the network does with one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from solsa.contract import NeuronField

from .device import AnyInts, Device
from .files import write_atomically
from .words import Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

INK = "#26323c"
BLUE = "#1f6f9c"
ORANGE = "#d9772b"
GREY = "#b3bcc4"
_DPI = 150
#: Units of inputs: data scaled by the quantiser, and what an encoder made that is not scaled.
SCALED, ENCODED = "standard deviations", "encoded value"
#: Above this many neurons a raster's ticks are drawn thinner.
_MANY = 100
#: Up to this many steps have a dot each.
_FEW = 50
#: A membrane beyond this is drawn on a logarithmic scale, linear between -1 and 1.
_WIDE = 20.0


@dataclass(frozen=True)
class SampleRecord:
    """What a network did in every step of one sample.

    Attributes
    ----------
    inputs : float array [T, channels]
        Inputs as the device saw them, in their real values.
    spikes : list of int arrays [T, M]
        Of every layer but the last.
    membranes : float array [T, outputs]
        Of the readout.
    scores : int array [outputs]
        Readout summed over the steps.
    potentials : list of float arrays [T, M]
        Membranes of every layer but the last.
    """

    inputs: np.ndarray[Any, np.dtype[np.float64]]
    spikes: list[Ints]
    membranes: np.ndarray[Any, np.dtype[np.float64]]
    scores: Ints
    potentials: list[np.ndarray[Any, np.dtype[np.float64]]] = field(default_factory=list)

    @property
    def decision(self) -> int:
        """Class that the network decides for."""
        return int(np.argmax(self.scores))


def record_sample(device: Device, inputs: AnyInts) -> SampleRecord:
    """Run one sample step by step without learning, and read the neurons after every step.

    Parameters
    ----------
    device : Device
        With the network loaded.
    inputs : int array [T, inputs]
        At least one step.
    """
    f, hidden = device.config.formats, device.config.depth - 1
    spikes: list[list[Ints]] = [[] for _ in range(hidden)]
    potentials: list[list[Any]] = [[] for _ in range(hidden)]
    membranes, scores = [], np.zeros(0, dtype=np.int64)
    for t, row in enumerate(inputs):
        membrane, scores = device.step(row, reset=t == 0)
        membranes.append(membrane / f.membrane.one)
        neurons = device.read_neurons() if hidden else []
        for layer in range(hidden):
            spikes[layer].append(neurons[layer][:, NeuronField.SPIKE])
            potentials[layer].append(neurons[layer][:, NeuronField.MEMBRANE] / f.membrane.one)
    return SampleRecord(
        inputs / f.input.one, [np.array(rows) for rows in spikes], np.array(membranes), scores,
        [np.array(rows) for rows in potentials],
    )  # fmt: skip


def learning_curve(history: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Accuracy of test and training samples over the epochs, as a PNG; without test samples there is one curve."""
    epochs, lowest = [entry["epoch"] for entry in history], 1.0
    figure, axes = new_figure(1, (7.0, 4.2))
    plot = axes[0]
    for key, name, colour, style in (
        ("online_accuracy", "training, while learning", ORANGE, "--"),
        ("test_accuracy", "test, after the epoch", BLUE, "-"),
    ):
        points = [(entry["epoch"], entry[key]) for entry in history if entry[key] is not None]
        if points:
            label = f"{name}: {points[-1][1]:.3f}"
            plot.plot(*zip(*points, strict=True), style, color=colour, marker="o", markersize=3.5, linewidth=1.8,
                      label=label)  # fmt: skip
            lowest = min(lowest, min(value for _, value in points))
    plot.set_ylim(max(0.0, np.floor(lowest * 10 - 0.5) / 10), 1.01)
    margin = max(0.5, 0.02 * len(epochs))
    plot.set_xlim(epochs[0] - margin, epochs[-1] + margin)
    plot.xaxis.set_major_locator(whole_numbers())
    plot.set_xlabel("epoch")
    plot.set_ylabel("accuracy")
    plot.grid(axis="y", color=GREY, alpha=0.4, linewidth=0.6)
    plot.legend(loc="lower right", frameon=False, title="last epoch", alignment="left")
    plot.set_title(title, loc="left", fontsize=11)
    save_figure(figure, path)


def spike_raster(
    record: SampleRecord,
    path: Path,
    title: str,
    source: str,
    class_names: Sequence[str],
    label: int,
    unit: str = SCALED,
) -> None:
    """Inputs, hidden spikes and readout membranes of one sample over its steps, as a PNG.

    Parameters
    ----------
    title, source : str
        What is shown, and where the states were read.
    class_names : sequence of str
        One per readout neuron.
    label : int
        True class.
    unit : str
        Of the inputs.
    """
    hidden = len(record.spikes)
    figure, axes = new_figure(2 + hidden, (8.0, 4.2 + 2.6 * hidden), [1.1, *[2.0] * hidden, 1.3])
    _inputs(figure, axes[0], record, unit)
    for layer, spikes in enumerate(record.spikes):
        _spikes(axes[1 + layer], spikes, layer, hidden)
    _membranes(axes[-1], record, class_names, label)
    steps = len(record.inputs)
    for plot in axes:
        plot.set_xlim(-0.5, steps - 0.5)
        plot.tick_params(labelbottom=plot is axes[-1])
    axes[-1].xaxis.set_major_locator(whole_numbers())
    axes[-1].set_xlabel("time step")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes[0].set_title(source, loc="left", fontsize=8, color=INK)
    save_figure(figure, path)


def _inputs(figure: Figure, plot: Axes, record: SampleRecord, unit: str) -> None:
    limit = max(1.0, float(np.abs(record.inputs).max()))
    channels = record.inputs.shape[1]
    image = plot.imshow(
        record.inputs.T, aspect="auto", origin="lower", interpolation="nearest", cmap="RdBu_r", vmin=-limit, vmax=limit,
        extent=(-0.5, len(record.inputs) - 0.5, -0.5, channels - 0.5),
    )  # fmt: skip
    plot.set_ylabel("input channel")
    plot.yaxis.set_major_locator(whole_numbers())
    bar = figure.colorbar(image, ax=plot, pad=0.015, fraction=0.05)
    bar.set_label(unit, fontsize=8)
    bar.outline.set_visible(False)


def _spikes(plot: Axes, spikes: Ints, layer: int, hidden: int) -> None:
    steps, neurons = spikes.shape
    at, which = np.nonzero(spikes)
    plot.hlines(which, at - 0.35, at + 0.35, colors=INK, linewidth=2.2 if neurons <= _MANY else 1.0)
    plot.set_ylim(-1, neurons)
    plot.yaxis.set_major_locator(whole_numbers())
    plot.set_ylabel("hidden neuron" if hidden == 1 else f"neuron of layer {layer}")
    share = len(at) / (steps * neurons)
    note = f"{len(at)} spikes, {100 * share:.0f} % of neurons per step"
    plot.text(1.0, 1.0, note, transform=plot.transAxes, ha="right", va="bottom", fontsize=8, color=INK)


def _membranes(plot: Axes, record: SampleRecord, class_names: Sequence[str], label: int) -> None:
    steps = np.arange(len(record.membranes))
    right, decision = record.decision == label, record.decision
    for k in range(record.membranes.shape[1]):
        if k not in (label, decision):
            plot.plot(steps, record.membranes[:, k], color=GREY, linewidth=1.0)
    named = [(label, BLUE, "decided and true" if right else "true")]
    if not right:
        named.append((decision, ORANGE, "decided"))
    for k, colour, role in named:
        text = f"{role}: class {class_names[k]}"
        marker = "o" if len(steps) <= _FEW else None
        plot.plot(steps, record.membranes[:, k], color=colour, linewidth=2.0, marker=marker, markersize=3, label=text)
    if record.membranes.shape[1] > 2:
        plot.plot([], [], color=GREY, linewidth=1.0, label="other classes")
    plot.grid(axis="y", color=GREY, alpha=0.4, linewidth=0.6)
    plot.set_ylabel("readout membrane")
    if np.abs(record.membranes).max() > _WIDE:
        plot.set_yscale("symlog", linthresh=1.0)
        plot.yaxis.set_major_formatter("{x:g}")
    plot.legend(loc="lower right", bbox_to_anchor=(1.0, 0.96), ncols=3, frameon=False, fontsize=8)


def whole_numbers() -> Locator:
    """Ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True)


def new_figure(
    rows: int, size: tuple[float, float], heights: Sequence[float] | None = None, *, share: bool = True
) -> tuple[Figure, list[Axes]]:
    """Figure without a window system and without global state; ``share``: one x axis for all rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 1, sharex=share, squeeze=False, height_ratios=heights)[:, 0].tolist()
    for plot in axes:
        plot.spines[["top", "right"]].set_visible(False)
        plot.tick_params(labelsize=9)
    return figure, axes


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, in one step."""
    write_atomically(path, lambda out: figure.savefig(out, format="png", dpi=_DPI))
