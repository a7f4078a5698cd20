"""``solsa data``: what a data set holds, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .data import Dataset, load_dataset
from .display import numbers, table
from .encoders import KINDS, encoder_of
from .files import check_file, write_atomically, write_json
from .options import BinsOption, EncoderOption, JsonOption, QuietOption, console
from .plots import whole_numbers
from .program import Program

app = Program(no_args_is_help=True, help="Look at data sets.")
_MOST_CLASSES = 6
_MOST_CHANNELS = 24


@app.callback()
def data() -> None:
    """Look at data sets."""


@app.command("show")
def show_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Known name, or a .ts, .csv, .npz or .h5 file.")],
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Write a picture of a sample per class here.")] = None,
    encoder: EncoderOption = None,
    bins: BinsOption = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Print shape, classes and ranges of a data set, and draw it.

    Encoders: direct, spikes, delta, rate, latency, population, delays.

    Example: solsa data show JapaneseVowels --out vowels.png
    """
    check_file(out, "--out")
    check_file(json, "--json")
    made, dataset = encoder_of(encoder), load_dataset(file, bins)
    if made is not None:
        dataset = made.fit(dataset.train).apply(dataset)
    content = describe(dataset)
    screen = console()
    steps = content["steps"]
    table(screen, [
        ("data set", f"{dataset.name}: {content['train']} training, {content['test']} test samples"),
        ("samples", f"{dataset.n_channels} channels, {steps[0]} to {steps[1]} steps"),
        *(("encoder", f"{made}: {KINDS[made.kind].about}") for _ in [0] if made),
        *(("note", note) for note in dataset.notes),
    ])  # fmt: skip
    numbers(screen, ("class", "training", "test"), [(c["name"], c["train"], c["test"]) for c in content["classes"]])
    shown = content["channels"][:_MOST_CHANNELS]
    for c in shown:
        screen.print(f"channel {c['channel']}: {c['low']:.4g} to {c['high']:.4g}, mean {c['mean']:.4g}, "
                      f"standard deviation {c['std']:.4g}")  # fmt: skip
    if len(shown) < dataset.n_channels:
        screen.print(f"and {dataset.n_channels - len(shown)} more channels")
    if out:
        draw(dataset, out)
        screen.print(f"saved: {out}")
    if json:
        write_json(json, content)


def describe(dataset: Dataset) -> dict[str, Any]:
    """Shape, classes and ranges of the training samples, as ``--json`` writes them."""
    values = np.concatenate(dataset.train)
    steps = [len(sample) for sample in (*dataset.train, *dataset.test)]
    return {
        "dataset": dataset.name,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "steps": [min(steps), max(steps)],
        "classes": [
            {"name": name, "train": int(np.count_nonzero(dataset.train_labels == k)),
             "test": int(np.count_nonzero(dataset.test_labels == k))}
            for k, name in enumerate(dataset.class_names)
        ],
        "channels": [
            {"channel": i, "low": float(column.min()), "high": float(column.max()), "mean": float(column.mean()),
             "std": float(column.std())}
            for i, column in enumerate(values.T)
        ],
        "notes": list(dataset.notes),
    }  # fmt: skip


def draw(dataset: Dataset, path: Path) -> None:
    """First training sample of up to six classes, channels over steps, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = dataset.class_names[:_MOST_CLASSES]
    first = [dataset.train[int(np.flatnonzero(dataset.train_labels == k)[0])] for k in range(len(names))]
    values = np.concatenate(first)
    figure = Figure(figsize=(8.0, 1.0 + 1.5 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for plot, sample, name in zip(rows, first, names, strict=True):
        image = plot.imshow(sample.T, aspect="auto", origin="lower", interpolation="nearest", cmap="viridis",
                            vmin=values.min(), vmax=values.max())  # fmt: skip
        plot.set_ylabel(f"class {name}\nchannel", fontsize=8)
        plot.yaxis.set_major_locator(whole_numbers())
    rows[-1].set_xlabel("time step")
    rows[-1].xaxis.set_major_locator(whole_numbers())
    rows[-1].set_xlim(-0.5, max(len(sample) for sample in first) - 0.5)
    figure.colorbar(image, ax=rows.tolist(), pad=0.015, fraction=0.05).set_label("value", fontsize=8)
    figure.suptitle(f"{dataset.name}: first training sample of each class", x=0.01, ha="left", fontsize=11)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=120))
