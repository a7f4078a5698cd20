"""Studies in fixed point: compiled samples end with the words of the golden device; each command writes its file."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solsa.host import bench_cues, bench_goals, bench_inputs, bench_normalise, bench_tasks, bench_unseen, bench_widths
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.fast_golden import trained
from solsa.host.recipe import RECIPES, default_recipe
from solsa.host.start import plan_for
from solsa.host.train import learn, start_network

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from study_page import study_parts


def ramps(folder: Path, *, channels: int = 2, steps: int = 6, name: str = "ramps") -> Dataset:
    """Two classes, told apart by which channel (or in which direction one channel) rises."""
    rng = np.random.default_rng(3)
    labels = np.arange(12) % 2
    x = rng.normal(0, 0.2, (12, steps, channels))
    for n, label in enumerate(labels):
        x[n, :, label % channels] += np.linspace(0, 2, steps) * (1 if channels > 1 or label else -1)
    np.savez(folder / f"{name}.npz", X=x, y=labels, X_test=x[:4] + 0.01, y_test=labels[:4])
    return load_dataset(str(folder / f"{name}.npz"))


@pytest.mark.parametrize(("window", "normalise"), [(0.0, True), (0.5, False)])
def test_compiled_samples_leave_the_network_of_the_golden_device(
    tmp_path: Path, window: float, normalise: bool
) -> None:
    dataset = ramps(tmp_path)
    config, recipe, encoder = plan_for(dataset)
    config = config.with_(normalise=normalise)
    recipe = recipe.with_(epochs=2, window=window, adapt_rates=(1e-3, 0.0))
    device_side, fast = (start_network(config, "x", recipe, dataset, 5, encoder) for _ in range(2))
    with Device.open("golden", config) as device:
        learn(device, device_side, dataset, 2, look_back=False)
    counts = trained(fast, dataset, watch=4)
    assert fast.sha256 == device_side.sha256
    assert [m.tolist() for m in fast.mean_errors] == [m.tolist() for m in device_side.mean_errors]
    assert len(fast.mean_errors) == 2 * normalise
    assert (fast.rng, fast.shuffler, fast.epochs_done) == (device_side.rng, device_side.shuffler, 2)
    for key in ("online_accuracy", "test_accuracy"):
        assert [e[key] for e in fast.history] == [e[key] for e in device_side.history]
    assert counts is not None
    assert counts["watched_samples"] == 6
    with pytest.raises(ValueError, match="needs the golden device"):
        trained(replace(fast, recipe=recipe.with_(search=1)), dataset)


def test_one_channel_gets_a_bias_and_samples_of_one_length_a_window(tmp_path: Path) -> None:
    config, recipe, _ = plan_for(ramps(tmp_path, channels=1, steps=20))
    assert config.inputs == 2
    assert (recipe.bias, recipe.window, recipe.updates, recipe.epochs) == (True, 0.5, 8, 40)
    config, recipe, _ = plan_for(ramps(tmp_path, steps=20))
    assert (config.inputs, recipe.bias) == (2, False)
    assert default_recipe(config, 20, 12).window == 0.0
    assert plan_for(load_dataset("BasicMotions"))[1] == RECIPES["BasicMotions"]


def test_the_commands_and_their_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = ramps(tmp_path)
    task = bench_tasks._task("ramps", dataset, epochs=1)
    small = bench_inputs.block(load_dataset("digits"), 0)
    small = replace(
        small, train=small.train[:24], train_labels=small.train_labels[:24], test=[], test_labels=small.test_labels[:0]
    )
    monkeypatch.setattr(bench_inputs, "load_dataset", lambda _: small)
    for module in (bench_widths, bench_cues):
        monkeypatch.setitem(module.TASKS, "ramps", lambda: task)
    monkeypatch.setitem(bench_goals.GOALS, "ramps", 0.5)
    monkeypatch.setattr(bench_goals, "where", lambda name: str(tmp_path / f"{name}.npz"))
    monkeypatch.setattr(bench_normalise, "where", lambda name: str(tmp_path / f"{name}.npz"))
    monkeypatch.setattr(bench_cues, "CASES", {"ramps": (task.config.formats, default_recipe(task.config, 6), 1)})
    for module, words in (
        (bench_unseen, [str(tmp_path / "ramps.npz"), "--seeds", "1"]),
        (bench_widths, ["ramps", "--seeds", "1", "--quantities", "delta", "--picture", str(tmp_path / "widths.png")]),
        (bench_goals, ["ramps", "--seeds", "1", "--epochs", "1"]),
        (bench_cues, ["ramps", "--seeds", "1"]),
        (bench_inputs, ["--epochs", "1"]),
        (bench_normalise, ["ramps", "--seeds", "1", "--epochs", "1", "--only", "fixed"]),
    ):
        name = module.__name__.rpartition("_")[2]
        monkeypatch.setattr(sys, "argv", [name, *words, "--json", str(tmp_path / f"{name}.json")])
        assert module.main() == 0
        found = json.loads((tmp_path / f"{name}.json").read_text())["results"]
        assert ("ramps" in found) == (module is not bench_inputs)
    monkeypatch.setattr(sys, "argv", ["cues", "ramps", "--float", "--json", str(tmp_path / "cues.json")])
    before = json.loads((tmp_path / "cues.json").read_text())["results"]["ramps"]
    assert bench_cues.main() == 0
    after = json.loads((tmp_path / "cues.json").read_text())["results"]["ramps"]
    assert len(after.pop("float")["accuracies"]) == 1
    assert after == before
    assert (tmp_path / "widths.png").stat().st_size > 10_000
    text = "\n".join(study_parts(tmp_path))
    for title in (
        "Goals",
        "Data that nobody tuned for",
        "How many bits",
        "Cue accumulation",
        "Rates per neuron",
        "What the digits are",
    ):
        assert f"## {title}" in text
    assert "| ramps | 2-64-2 | 1 |" in text


def test_blocks_are_neighbours_and_hold_every_training_sample_once() -> None:
    data = load_dataset("digits")
    blocks = [bench_inputs.block(data, index) for index in range(bench_inputs.BLOCKS)]
    assert [id(x) for part in blocks for x in part.test] == [id(x) for x in data.train]
    for part in blocks:
        assert len(part.train) + len(part.test) == len(data.train)
        assert (len(part.train_labels), len(part.test_labels)) == (len(part.train), len(part.test))
    recipes = bench_inputs.variants(RECIPES["digits"])
    assert recipes["and both"] == RECIPES["digits"]
    assert not recipes["delays and clock"].augments


@pytest.mark.bench  # compiles the float network
def test_forms_of_rates_per_neuron_in_float(tmp_path: Path) -> None:
    """Every form with every factor; the references of the hidden layer alone leave the readout out."""
    found = dict(bench_normalise.FloatStudy(ramps(tmp_path), 1, 1).forms(lambda _: False))
    assert list(found) == ["off", *(f"{form}, {layers}" for form in ("row", "error") for layers in ("hidden", "all"))]
    assert all(list(entry["factors"]) == ["0.5", "1", "2", "4"] for entry in found.values())
    assert found["row, hidden"]["reference"] == (found["row, all"]["reference"][0], 0.0)


@pytest.mark.parametrize("module", [bench_widths, bench_goals, bench_cues])
def test_an_unknown_data_set_is_refused(
    module: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "nothing"])
    with pytest.raises(SystemExit) as ended:
        module.main()  # type: ignore[attr-defined]
    assert ended.value.code == 2
    assert "data set 'nothing', allowed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "words", "line"),
    [
        (bench_goals, ["--seeds", "0"], "--seeds 0, allowed is 1 or more"),
        (bench_unseen, ["--seeds", "-1"], "--seeds -1, allowed is 1 or more"),
        (bench_widths, ["--epochs", "0"], "--epochs 0, allowed is 1 or more"),
        (bench_cues, ["--samples", "0"], "--samples 0, allowed is 1 or more"),
        (bench_cues, ["--float"], "--float needs --json, the file with rows on test samples"),
        (bench_cues, ["--float", "--validate", "--json", "{t}/w.json"], "and goes without --validate"),
        (bench_cues, ["--seeds", "many"], "argument --seeds: invalid int value: 'many'"),
        (bench_widths, ["--draw", "{t}/w.json"], "--draw needs --picture, the file to draw into"),
        (bench_widths, ["--draw", "{t}/none", "--picture", "{t}/p.png"], "--draw {t}/none: No such file or directory"),
        (bench_widths, ["--draw", "{t}/w.json", "--picture", "{t}/p.png"],
         "--draw {t}/w.json: not a result, allowed is what --json wrote"),
        (bench_goals, ["--json", "{t}/no/g.json"], "{t}/no"),
        (bench_goals, ["--only", "one", "--json", "{t}/broken.json"], "{t}/broken.json: holds no result, allowed is"),
        (bench_normalise, ["--go-on", "--json", "{t}/broken.json"], "{t}/broken.json: holds no result, allowed is"),
        (bench_cues, ["cue_accumulation", "--float", "--json", "{t}/none.json"],
         "{t}/none.json: no row cue_accumulation on test samples, measure that first"),
        (bench_cues, ["cue_accumulation", "--json", "{t}/broken.json"], "{t}/broken.json: holds no result, allowed is"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(
    module: Any, words: list[str], line: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "w.json").write_text('{"results": {"x": {}}}')
    (tmp_path / "broken.json").write_text('{"results": ')
    monkeypatch.setattr(sys, "argv", ["x", *(word.format(t=tmp_path) for word in words)])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert line.format(t=tmp_path) in errors
    assert len(errors.splitlines()) == 1
