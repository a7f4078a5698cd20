"""progress.json, the probe, the pictures over the training, report and live page as a program sees them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from command_line import solsa
from toy_data import toy_arrays

from solsa.contract import ConfigError, Readout
from solsa.golden.core import GoldenCore
from solsa.host.data import load_dataset
from solsa.host.device import Device
from solsa.host.live import LivePage
from solsa.host.network import Network
from solsa.host.plots import record_sample
from solsa.host.plots_network import filter_constants, membrane_traces, schedule_map, weight_histograms
from solsa.host.probe import Probe, golden_record
from solsa.host.progress import load_progress, record_of
from solsa.host.train import quantise


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of 3 epochs; its data are in the folder above."""
    folder = tmp_path_factory.mktemp("progress")
    np.savez(folder / "toy.npz", **toy_arrays())
    assert solsa("learn", folder / "toy.npz", "--epochs", 3, "--out", folder / "run").exit_code == 0
    return folder / "run"


def samples(run: Path) -> tuple[Network, Probe, np.ndarray]:
    network = Network.load(run / "network.npz")
    train, test = quantise(load_dataset(str(run.parent / "toy.npz")), network)
    probe = Probe.choose(network, test.inputs[0], int(test.labels[0]), train.inputs, train.labels)
    return network, probe, test.inputs[0]


def test_the_file_says_what_the_run_did(run: Path) -> None:
    content, network = load_progress(run), Network.load(run / "network.npz")
    assert [e["epoch"] for e in content["epochs"]] == [0, 1, 2, 3]
    for mine, theirs in zip(content["epochs"][1:], network.history, strict=True):
        assert (mine["test_accuracy"], mine["online_accuracy"]) == (theirs["test_accuracy"], theirs["online_accuracy"])
    last = content["epochs"][-1]
    for histogram, weights in zip(last["weights"], network.weights, strict=True):
        real = weights / network.config.formats.weight.one
        assert sum(histogram["counts"]) == real.size
        assert (histogram["low"], histogram["high"]) == (real.min(), real.max())
    assert last["constants"] == [[v / (1 << 24) for v in row] for row in network.constants]
    for picture, weights in zip(content["weights"], network.weights, strict=True):
        found = np.array(picture["values"]) / 127 * picture["limit"] * network.config.formats.weight.one
        assert np.abs(found - weights).max() <= np.abs(weights).max() / 127
    assert content["place"]["phase"] == "done"


def test_the_look_beside_the_run_is_what_the_device_does(run: Path) -> None:
    network, _, shown = samples(run)
    with Device.open("golden", network.config) as device:
        device.load_network(network.current_parameters(), network.weights)
        ours, theirs = golden_record(network, shown), record_sample(device, shown)
    assert ours.scores.tolist() == theirs.scores.tolist()
    for name in ("inputs", "membranes"):
        assert getattr(ours, name).tolist() == getattr(theirs, name).tolist()
    for name in ("spikes", "potentials"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert a.tolist() == b.tolist()
    kept = record_of(load_progress(run)["sample"])
    assert kept.spikes[0].tolist() == ours.spikes[0].tolist()
    assert kept.decision == ours.decision


def test_changes_are_those_of_one_update(run: Path) -> None:
    """Step t of the probe against a run whose schedule is t alone."""
    network, probe, _ = samples(run)
    changes = probe.changes(network)
    assert changes is not None
    for t in (0, 3):
        total = 0.0
        rng = GoldenCore(network.config, network.current_parameters(), network.weights).state.rng
        for inputs, label in probe.training:
            core = GoldenCore(network.config, network.current_parameters().with_(schedule=(t,)), network.weights)
            core.state.rng = rng
            for row in inputs:
                core.step(row, label=label, learn=True, trace=False)
            moved = [abs(a.weight - b).sum() for a, b in zip(core.state.layers, network.weights, strict=True)]
            total += sum(moved) / network.config.formats.weight.one
        # Stochastic rounding: other random bits move a weight by one step at most.
        tolerance = network.config.synapses / network.config.formats.weight.one
        assert abs(changes[t] - total / len(probe.training)) < tolerance
        assert changes[t] > 0
    assert Network.load(run / "network.npz").sha256 == network.sha256


def test_a_probe_takes_what_it_can_afford(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, probe, shown = samples(run)
    assert [label for _, label in probe.training] == [0, 1]
    monkeypatch.setattr("solsa.host.probe.BUDGET", 1)
    few = Probe.choose(network, shown, 0, [x for x, _ in probe.training], np.array([0, 1]))
    assert len(few.training) == 1
    assert Probe(shown, 0).changes(network) is None
    network.config = network.config.with_(readout=Readout.TARGET)
    assert probe.changes(network) is None


def test_a_resumed_run_has_one_file(run: Path, tmp_path: Path) -> None:
    data = run.parent / "toy.npz"
    assert solsa("learn", data, "--epochs", 2, "--out", tmp_path / "a").exit_code == 0
    assert solsa("learn", data, "--resume", tmp_path / "a", "--epochs", 4).exit_code == 0
    content = load_progress(tmp_path / "a")
    assert [e["epoch"] for e in content["epochs"]] == [0, 1, 2, 3, 4]
    assert content["run"]["epochs"] == 4
    # Another run's file is not taken over.
    assert solsa("learn", data, "--epochs", 1, "--seed", 5, "--out", tmp_path / "a").exit_code == 0
    assert [e["epoch"] for e in load_progress(tmp_path / "a")["epochs"]] == [0, 1]


def picture(path: Path) -> np.ndarray:
    data = matplotlib.image.imread(path)[..., :3]
    assert data.std() > 0.02
    return data


@pytest.mark.parametrize(("epochs", "layers", "groups"), [(1, 1, 1), (2, 2, 4), (50, 3, 8)])
def test_pictures_of_any_run(tmp_path: Path, epochs: int, layers: int, groups: int) -> None:
    rng = np.random.default_rng(0)

    def histogram(e: int) -> dict[str, Any]:
        high = 1.0 + e
        return {"low": -high, "high": high, "counts": rng.integers(0, 9, 41).tolist(), "mean": 0.1, "sd": 0.2}

    content = [
        {
            "epoch": e,
            "weights": [histogram(e) for _ in range(layers)],
            "constants": rng.uniform(0, 1, (layers, groups)).tolist(),
            "schedule": [2, 5, 900],
            "changes": rng.uniform(0, 1, 6).tolist() if e else None,
        }
        for e in range(epochs + 1)
    ]
    weight_histograms(content, tmp_path / "w.png", "title")
    filter_constants(content, tmp_path / "f.png", "title")
    schedule_map(content, tmp_path / "s.png", "title")
    traces = [[{"neuron": i, "values": rng.normal(size=9).tolist()} for i in range(3)] for _ in range(layers)]
    membrane_traces([*traces, []], [1.0] * (layers + 1), tmp_path / "m.png", "title")
    for name in "wfsm":
        picture(tmp_path / f"{name}.png")


def test_the_report_says_what_the_result_says(run: Path, tmp_path: Path) -> None:
    result = solsa("report", run, "--out", tmp_path / "r.html", "--json", tmp_path / "r.json")
    assert result.exit_code == 0, result.stderr
    page, content = (tmp_path / "r.html").read_text(), json.loads((tmp_path / "r.json").read_text())
    assert content["finished"] is True
    assert content["bytes"] == len(page.encode())
    told = json.loads((run / "result.json").read_text())
    for text in (f"{told['test_accuracy']:.4f}", told["weight_sha256"], told["config_hash"]):
        assert text in page
    assert page.count("data:image/png;base64,") == len(content["pictures"]) == 6
    assert "http" not in page.split("<style>")[0]


def test_a_run_without_test_samples_has_a_report(run: Path, tmp_path: Path) -> None:
    content = load_progress(run)
    content["epochs"] = [e | {"test_accuracy": None} for e in content["epochs"]]
    (tmp_path / "progress.json").write_text(json.dumps(content))
    assert solsa("report", tmp_path).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "test accuracy" not in page
    assert "None" not in page


def test_a_run_that_was_stopped_has_a_report(run: Path, tmp_path: Path) -> None:
    content = load_progress(run)
    content["epochs"] = content["epochs"][:1]
    content["place"] |= {"phase": "stopped", "epoch": 1}
    content["run"]["class_names"] = ["<b>one</b>", "two"]
    content["run"]["dataset"] = "<script>alert(1)</script>"
    (tmp_path / "progress.json").write_text(json.dumps(content))
    assert solsa("report", tmp_path).exit_code == 0
    page = (tmp_path / "report.html").read_text()
    assert "not finished: stopped, epoch 1" in page
    assert "<script" not in page


@pytest.mark.parametrize("command", ["report", "watch"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no progress.json; allowed is the --out DIR of solsa learn"),
        ("{", "progress.json: damaged, or not written by solsa learn"),
        ("[]", "progress.json: damaged, or not written by solsa learn"),
        ('{"version": 99, "run": {"dataset": "x"}}', "progress.json: version 99, this solsa reads 1"),
    ],
)
def test_a_folder_without_a_run_is_one_line(tmp_path: Path, command: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "progress.json").write_text(text)
    result = solsa(command, tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith("solsa: error: ")
    assert result.stderr.endswith(f"{message}\n")
    assert "no such folder" in solsa(command, tmp_path / "none").stderr


def test_the_server_gives_out_two_things_to_this_machine(run: Path) -> None:
    def get(url: str, **headers: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    with LivePage(run) as page:
        assert page.url.startswith("http://127.0.0.1:")
        assert b"<title>solsa" in get(page.url)[1]
        status, body = get(page.url + "progress.json")
        assert (status, json.loads(body)) == (200, load_progress(run))
        tag = f'"{(run / "progress.json").stat().st_mtime_ns}"'
        assert get(page.url + "progress.json", **{"If-None-Match": tag})[0] == 304
        for path in ("network.npz", "../toy.npz", "..%2ftoy.npz", "pages/live.html"):
            assert get(page.url + path)[0] == 404
        assert get(page.url, Host="evil.example")[0] == 403
        port = int(page.url.rsplit(":", 1)[1].rstrip("/"))
        with pytest.raises(ConfigError, match=f"--port {port}: is taken by another program"):
            LivePage(run, port)
