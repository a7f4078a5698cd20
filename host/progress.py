"""``progress.json``: what a run shows of itself, for ``solsa watch``, ``solsa learn --live`` and ``solsa report``.

One file in the run's folder, replaced in one step: the run, where it is, an entry per epoch (accuracies, histograms of
the weights, filter constants, weight change per step) and the newest look at one sample and at the weights.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from .files import RunFolderError, write_json
from .network import Network
from .plots import ENCODED, SCALED, SampleRecord
from .probe import Probe
from .train import Progress
from .words import Ints

PROGRESS_FILE = "progress.json"
#: Changes when a file would mean something else.
PROGRESS_VERSION = 1
#: Bins of a histogram of weights, and rows and columns of a picture of weights at most.
BINS, SIDE = 41, 96
#: Neurons of a layer whose membranes are kept.
TRACED = 6
#: Seconds between two writes of the place alone.
EVERY = 0.5
#: Seconds between two looks at the network while someone watches.
LOOK = 2.0


class Recorder:
    """Writes ``progress.json`` while a run goes on. A context manager, whose end is the end of the run.

    Parameters
    ----------
    folder : Path
        The run's folder.
    network : Network
        Where the run starts; epochs of an interrupted run of the same network are taken over from the file.
    probe : Probe
        Samples to look at.
    device : str
        Name of the device.
    epochs : int
        Epochs of the run.
    """

    def __init__(self, folder: Path, network: Network, probe: Probe, device: str, epochs: int) -> None:
        self._path, self._probe = folder / PROGRESS_FILE, probe
        self._written = self._looked = 0.0
        config, f = network.config, network.config.formats
        self._content: dict[str, Any] = {
            "version": PROGRESS_VERSION,
            "run": {
                "dataset": network.dataset,
                "device": device,
                "layers": list(config.layers),
                "preset": network.preset,
                "config_hash": config.config_hash,
                "readout": config.readout.value,
                "seed": network.seed,
                "epochs": epochs,
                "class_names": list(network.class_names),
                "encoder": str(network.encoder) if network.encoder else None,
                "input_unit": SCALED if network.scaled else ENCODED,
                "theta": [v / f.threshold.one for v in network.parameters.theta],
                "started": _now(),
            },
            "place": {},
            "epochs": _taken_over(self._path, network),
        }
        self._place("start", network.epochs_done, 0, 0, 0)
        if not self._content["epochs"]:
            self._content["epochs"].append(self._entry(network))
        self.look(network)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self._place("done", self._content["run"]["epochs"], 0, 0, 0)
            self._write()
            return
        self._content["place"]["phase"] = "stopped"
        with suppress(OSError):  # what stopped the run is to be heard
            self._write()

    def due(self) -> bool:
        """Whether someone who watches would like to look at the network again."""
        return time.monotonic() - self._looked >= LOOK

    def sample(self, at: Progress) -> None:
        """Take a sample's progress; written now and then."""
        if at.epoch == 0:
            self._place("final test", self._content["run"]["epochs"], at.done, at.total, at.correct)
        else:
            self._place(at.phase, at.epoch, at.done, at.total, at.correct)
        if time.monotonic() - self._written >= EVERY:
            self._write()

    def epoch(self, network: Network) -> None:
        """Take the network after an epoch."""
        self._content["epochs"].append(self._entry(network))
        self.look(network)

    def look(self, network: Network) -> None:
        """Look at sample and weights of a network, and write."""
        self._looked = time.monotonic()
        self._content["sample"] = _sample(self._probe, self._probe.record(network))
        self._content["sample"] |= {"epochs": network.epochs_done, "samples": network.samples_done}
        self._content["weights"] = [_picture(w, network.config.formats.weight.one) for w in network.weights]
        self._write()

    def _place(self, phase: str, epoch: int, done: int, total: int, correct: int) -> None:
        self._content["place"] = {"phase": phase, "epoch": epoch, "done": done, "total": total, "correct": correct}

    def _entry(self, network: Network) -> dict[str, Any]:
        last = network.history[-1] if network.history else {}
        changes = self._probe.changes(network)
        one, a_one = network.config.formats.weight.one, network.config.formats.adaptive.one
        return {
            "epoch": network.epochs_done,
            **{key: last.get(key) for key in ("online_accuracy", "test_accuracy", "seconds")},
            "weights": [_histogram(w / one) for w in network.weights],
            "constants": [[v / a_one for v in row] for row in network.constants],
            "schedule": list(network.parameters.schedule),
            "changes": None if changes is None else [float(f"{v:.5g}") for v in changes],
        }

    def _write(self) -> None:
        self._content["place"]["written"] = _now()
        write_json(self._path, self._content)
        self._written = time.monotonic()


def load_progress(folder: Path) -> dict[str, Any]:
    """Content of a run's ``progress.json``.

    Raises
    ------
    RunFolderError
        If there is none, or it is not one.
    """
    path = folder / PROGRESS_FILE
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder; allowed is the --out DIR of solsa learn")
    if not path.is_file():
        raise RunFolderError(f"{folder}: holds no {PROGRESS_FILE}; allowed is the --out DIR of solsa learn")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, _ = content["version"], content["run"]["dataset"]
    except (OSError, ValueError, LookupError, TypeError):
        raise RunFolderError(f"{path}: damaged, or not written by solsa learn") from None
    if version != PROGRESS_VERSION:
        raise RunFolderError(f"{path}: version {version}, this solsa reads {PROGRESS_VERSION}")
    return content


def _taken_over(path: Path, network: Network) -> list[dict[str, Any]]:
    """Epochs that an interrupted run of this network has left; none if the file is another run's."""
    if not network.epochs_done and not network.samples_done:
        return []
    try:
        found = load_progress(path.parent)
    except RunFolderError:
        return []
    run, kept = found["run"], [e for e in found["epochs"] if e["epoch"] <= network.epochs_done]
    same = (run["config_hash"], run["seed"], run["dataset"])
    if same != (network.config.config_hash, network.seed, network.dataset):
        return []
    accuracies = [e["test_accuracy"] for e in kept if e["epoch"]]
    return kept if accuracies == [e["test_accuracy"] for e in network.history] else []


def _histogram(values: Any) -> dict[str, Any]:
    low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(values, bins=BINS, range=(low, high))
    return {"low": low, "high": high, "counts": counts.tolist(), "mean": float(values.mean()),
            "sd": float(values.std())}  # fmt: skip


def _picture(weights: Ints, one: int) -> dict[str, Any]:
    """Weights as whole numbers -127 to 127 of their largest size; larger layers as means of tiles."""
    posts, pres = weights.shape
    values = _tiles(_tiles(weights / one, axis=0), axis=1)
    limit = float(np.abs(values).max()) or 1.0
    return {"posts": posts, "pres": pres, "limit": limit, "values": np.rint(values / limit * 127).astype(int).tolist(),
            "histogram": _histogram(weights / one)}  # fmt: skip


def _tiles(values: Any, axis: int) -> Any:
    """At most SIDE rows or columns, as means of neighbours."""
    parts = np.array_split(values, min(values.shape[axis], SIDE), axis=axis)
    return np.stack([part.mean(axis=axis) for part in parts], axis=axis)


def _traces(spikes: Ints, potentials: Any) -> list[dict[str, Any]]:
    """Membranes of the neurons of a layer that fire most."""
    most = np.argsort(-spikes.sum(axis=0), kind="stable")[:TRACED]
    return [{"neuron": int(i), "values": np.round(potentials[:, i], 4).tolist()} for i in most]


def _sample(probe: Probe, record: SampleRecord) -> dict[str, Any]:
    return {
        "label": probe.label,
        "decision": record.decision,
        "steps": len(record.inputs),
        "inputs": np.round(_tiles(record.inputs, axis=1), 3).tolist(),
        "neurons": [layer.shape[1] for layer in record.spikes],
        "spikes": [np.argwhere(layer).tolist() for layer in record.spikes],
        "membranes": np.round(record.membranes, 4).tolist(),
        "traces": [_traces(*layer) for layer in zip(record.spikes, record.potentials, strict=True)],
    }


def record_of(sample: dict[str, Any]) -> SampleRecord:
    """What ``progress.json`` holds of a sample, without the membranes of the hidden layers."""
    steps, spikes = sample["steps"], []
    for count, at in zip(sample["neurons"], sample["spikes"], strict=True):
        layer = np.zeros((steps, count), dtype=np.int64)
        layer[tuple(np.array(at, dtype=np.int64).reshape(-1, 2).T)] = 1
        spikes.append(layer)
    scores = np.zeros(len(sample["membranes"][0]), dtype=np.int64)
    scores[sample["decision"]] = 1
    return SampleRecord(np.array(sample["inputs"]), spikes, np.array(sample["membranes"]), scores)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
