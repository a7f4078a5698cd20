"""``solsa report``: everything that a run's folder says, as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import html
import json
import tempfile
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from .files import write_atomically
from .plots import SCALED, learning_curve, spike_raster
from .plots_network import filter_constants, membrane_traces, schedule_map, weight_histograms
from .progress import load_progress, record_of

RESULT_FILE = "result.json"
CURVE_FILE = "learning_curve.png"
RASTER_FILE = "spikes.png"
REPORT_FILE = "report.html"
_EQUAL = {"True": "equal, every weight and filter constant", "False": "DIFFERENT"}
_CURVE = (
    "Accuracy per epoch. While a training sample is learned, its label has already worked on the decision; "
    "test samples are never learned."
)
_WEIGHTS = "Epoch 0 is the start. One column per epoch; dark are its most common weights."
_FILTERS = "Constant a of the synaptic filter, I[t] = a I[t-1] + ..., per layer and filter group."
_SCHEDULE = (
    "How much an update at each step would change the weights, with the rates of the epoch: measured on the golden "
    "model with one training sample per class, no update kept."
)


def write_report(run: Path, out: Path) -> dict[str, Any]:
    """Write the page of a run; returns what ``solsa report --json`` writes.

    Raises
    ------
    RunFolderError
        If the folder holds no run.
    """
    progress = load_progress(run)
    result = _result(run)
    with tempfile.TemporaryDirectory() as name:
        pictures = _draw(progress, run, Path(name))
        body = "\n".join(_figure(path, title, text) for path, title, text in pictures)
    about = progress["run"]
    title = f"{about['dataset']} on {'-'.join(map(str, about['layers']))}"
    template = Template(resources.files(__package__).joinpath("pages", "report.html").read_text(encoding="utf-8"))
    page = template.substitute(
        title=html.escape(title), summary=_table(_summary(progress, result)), figures=body,
        epochs=_epochs(progress["epochs"]), details=_table(_details(progress, result)),
    )  # fmt: skip
    write_atomically(out, lambda file: file.write(page.encode()))
    return {
        "run": str(run),
        "report": str(out),
        "bytes": len(page.encode()),
        "pictures": [title for _, title, _ in pictures],
        "epochs": progress["epochs"][-1]["epoch"],
        "finished": progress["place"]["phase"] == "done",
    }


def _result(run: Path) -> dict[str, Any]:
    """``result.json`` of a finished run, or nothing."""
    try:
        found: dict[str, Any] = json.loads((run / RESULT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _draw(progress: dict[str, Any], run: Path, folder: Path) -> list[tuple[Path, str, str]]:
    """Pictures of a run: file, title, what they show."""
    epochs, about, sample = progress["epochs"], progress["run"], progress["sample"]
    trained = [e for e in epochs if e["online_accuracy"] is not None]
    more = f" and {sample['samples']} samples" if sample["samples"] else ""
    after = f"test sample 0 after {sample['epochs']} epochs{more}"
    finished = progress["place"]["phase"] == "done"
    found: list[tuple[Path, str, str]] = []

    def add(name: str, title: str, text: str) -> Path:
        found.append((folder / name, title, text))
        return folder / name

    if trained:
        learning_curve(trained, add("curve.png", "Learning curve", _CURVE), "")
    raster = run / RASTER_FILE
    if finished and raster.is_file():
        found.append((raster, "Spike raster", f"One sample, {after}, states read from the device {about['device']}."))
    else:
        path = add("raster.png", "Spike raster", f"One sample, {after}, states of the golden model.")
        unit = about.get("input_unit", SCALED)
        spike_raster(record_of(sample), path, "", "", about["class_names"], sample["label"], unit)
    if any(sample["traces"]):
        path = add("membranes.png", "Membranes", "The hidden neurons that fire most, in the same sample.")
        membrane_traces(sample["traces"], about["theta"], path, "")
    weight_histograms(epochs, add("weights.png", "Weights over the epochs", _WEIGHTS), "")
    filter_constants(epochs, add("filters.png", "Filter constants over the epochs", _FILTERS), "")
    if any(e["changes"] for e in epochs):
        schedule_map(epochs, add("schedule.png", "Schedule", _SCHEDULE), "")
    return found


def _figure(path: Path, title: str, text: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    alt = html.escape(f"{title}: {text}", quote=True)
    return (f'<figure><h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>'
            f'<img alt="{alt}" src="data:image/png;base64,{data}"></figure>')  # fmt: skip


def _summary(progress: dict[str, Any], result: dict[str, Any]) -> list[tuple[str, object]]:
    about, epochs, place = progress["run"], progress["epochs"], progress["place"]
    last = epochs[-1]
    rows: list[tuple[str, object]] = [
        ("network", f"{'-'.join(map(str, about['layers']))}, readout {about['readout']}, {about['preset']}"),
        ("encoder", about.get("encoder")),
        ("device", f"{about['device']}, configuration {about['config_hash']}"),
        ("epochs", f"{last['epoch']} of {about['epochs']}, seed {about['seed']}"),
    ]
    if last["test_accuracy"] is not None:
        rows.append(("test accuracy", f"{last['test_accuracy']:.4f} after {last['epoch']} epochs"))
    if place["phase"] != "done":
        rows.append(("state", f"not finished: {place['phase']}, epoch {place['epoch']}, {place['written']}"))
    elif result:
        rows += [
            ("training accuracy", f"{result['train_accuracy']:.4f} without learning"),
            ("time", f"{result['wall_seconds']:.1f} s for {result['steps']:,} steps"),
            ("clocks", f"{result['device_cycles']:,}" if result["device_cycles"] else None),
            ("golden model", _EQUAL.get(str(result.get("golden_equal")))),
        ]  # fmt: skip
    return rows


def _details(progress: dict[str, Any], result: dict[str, Any]) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("started", progress["run"]["started"]), ("ended", result.get("date"))]
    rows += [("weights, SHA-256", result.get("weight_sha256"))]
    rows += [(f"version of {name}", value) for name, value in result.get("versions", {}).items()]
    return rows + [("note", note) for note in result.get("notes", [])]


def _table(rows: list[tuple[str, object]]) -> str:
    cells = [f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows
             if value is not None]  # fmt: skip
    return f"<table>{''.join(cells)}</table>"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _epochs(epochs: list[dict[str, Any]]) -> str:
    head = "<tr><th>epoch</th><th>training, while learning</th><th>test</th><th>seconds</th></tr>"
    rows = [
        f"<tr><td>{e['epoch']}</td><td>{e['online_accuracy']:.4f}</td><td>{_share(e['test_accuracy'])}</td>"
        f"<td>{e['seconds']:.2f}</td></tr>"
        for e in epochs
        if e["online_accuracy"] is not None
    ]
    return f'<table class="numbers">{head}{"".join(rows)}</table>'
