"""The command line as a user meets it: results, files, one line for every mistake, exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from command_line import bad, good, solsa
from toy_data import toy_arrays

from solsa.contract import preset
from solsa.host import session
from solsa.host.golden_device import GoldenDevice
from solsa.host.network import Network
from solsa.host.transport import DeviceError

SOLSA = Path(sys.executable).with_name("solsa")
FIELDS = ("dataset", "device", "preset", "seed", "epochs", "test_accuracy", "train_accuracy", "steps", "weight_sha256",
          "wall_seconds", "device_cycles", "config_hash")  # fmt: skip


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    np.savez(tmp_path / "toy.npz", **toy_arrays())
    return tmp_path / "toy.npz"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    np.savez(folder / "toy.npz", **toy_arrays())
    good("learn", folder / "toy.npz", "--epochs", 2, "--out", folder)
    return folder / "network.npz"


# -- learn ------------------------------------------------------------------------------------------------------------
def test_learn_prints_and_leaves_everything(toy: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "a" / "b", tmp_path / "r.json"
    text = good("learn", toy, "--epochs", 2, "--seed", 5, "--out", out, "--json", file, "--check-golden")
    result = json.loads(file.read_text())
    assert set(FIELDS) <= set(result)
    assert (result["dataset"], result["device"], result["preset"]) == ("toy", "golden", "3-64-2")
    assert (result["seed"], result["epochs"], result["golden_equal"]) == (5, 2, True)
    assert result == json.loads((out / "result.json").read_text())
    assert {p.name for p in out.iterdir()} == {
        "network.npz", "result.json", "progress.json", "learning_curve.png", "spikes.png"
    }  # fmt: skip
    network = Network.load(out / "network.npz")
    assert network.sha256 == result["weight_sha256"]
    assert "epoch 1/2  online " in text
    assert "epoch 2/2  online " in text
    assert f"{result['test_accuracy']:.4f}" in text
    assert text.count(network.sha256) == 2  # of the device and of the golden model
    assert result["golden_sha256"] == network.sha256
    assert "all 328 weights and filter constants" in text  # 3*64 + 64*2, and 2 layers of 4 groups
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_same_command_gives_the_same_network(toy: Path, tmp_path: Path) -> None:
    found = []
    for name in ("a.json", "b.json"):
        good("learn", toy, "--epochs", 1, "--json", tmp_path / name)
        found.append(json.loads((tmp_path / name).read_text()))
    for key in set(FIELDS) - {"wall_seconds"}:
        assert found[0][key] == found[1][key], key


def test_resume_goes_on_exactly(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of 4 epochs that is interrupted in the third, and resumed without a word about epochs."""
    good("learn", toy, "--epochs", 4, "--json", tmp_path / "whole.json")
    save = Network.save

    def stopped(network: Network, path: Path) -> None:
        save(network, path)
        if network.epochs_done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Network, "save", stopped)
        assert solsa("learn", toy, "--epochs", 4, "--out", tmp_path / "a").exit_code == 130
    kept = tmp_path / "a" / "network.npz"
    text = good("learn", toy, "--resume", kept, "--json", tmp_path / "resumed.json")
    resumed, whole = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("resumed", "whole"))
    assert resumed["weight_sha256"] == whole["weight_sha256"]
    assert len(resumed["history"]) == 4
    assert "epoch 2/4" not in text
    assert "epoch 3/4" in text


def test_resume_beyond_the_plan_keeps_the_last_rates(toy: Path, trained: Path, tmp_path: Path) -> None:
    assert "epoch 3/3" in good("learn", toy, "--resume", trained, "--epochs", 3, "--out", tmp_path / "a")
    network = Network.load(tmp_path / "a" / "network.npz")
    assert (network.epochs_done, network.recipe.epochs) == (3, 2)
    assert network.current_parameters().rate == Network.load(trained).current_parameters().rate


def test_a_preset_that_fits_is_taken(tmp_path: Path) -> None:
    arrays = toy_arrays() | {"y": np.arange(8) % 3, "y_test": np.array([0, 1, 2, 0])}
    np.savez(tmp_path / "three.npz", **arrays)
    good("learn", tmp_path / "three.npz", "--preset", "tiny", "--epochs", 1, "--json", tmp_path / "a.json")
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["preset"], result["config_hash"]) == ("tiny", preset("tiny").config_hash)


def test_wide_and_long_data_get_a_network_that_holds_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "wide.npz", **toy_arrays(n=4, steps=300, channels=1100))
    text = good("learn", tmp_path / "wide.npz", "--epochs", 1, "--json", tmp_path / "a.json")
    assert "1100-64-2" in text


def test_a_difference_to_the_golden_model_fails(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(GoldenDevice):
        """One bit of one weight flips with every transfer."""

        def send(self, data: bytes) -> None:
            super().send(data)
            self.memory.core.state.layers[0].weight[3, 1] ^= 1

    monkeypatch.setattr("solsa.host.device.open_transport", _first(lambda config: Wrong(config)))
    line = bad("learn", toy, "--epochs", 1, "--check-golden", "--json", tmp_path / "a.json", status=1)
    assert line.startswith("not equal to the golden model: weight of layer 0, post ")
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["golden_equal"] is False
    assert result["golden_difference"] in line


def test_a_device_lost_on_the_way_is_a_failed_run(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost(GoldenDevice):
        sent = 0

        def send(self, data: bytes) -> None:
            self.sent += 1
            if self.sent > 90:
                raise DeviceError("port X: cannot write (gone)")
            super().send(data)

    monkeypatch.setattr("solsa.host.device.open_transport", _first(lambda config: Lost(config)))
    line = bad("learn", toy, "--epochs", 9, "--out", tmp_path / "run", status=1)
    epochs = Network.load(tmp_path / "run" / "network.npz").epochs_done
    assert epochs > 0
    assert line == f"port X: cannot write (gone); {epochs} epochs are kept in {tmp_path / 'run'}"


def _first(make: Callable[[Any], GoldenDevice]) -> Callable[..., GoldenDevice]:
    """Transport opener whose first device is `make`'s, the later ones golden."""
    opened: list[int] = []

    def open_transport(name: str, config: Any, baud: int, say: object = None) -> GoldenDevice:
        opened.append(1)
        return make(config) if len(opened) == 1 else GoldenDevice(config)

    return open_transport


# -- eval -------------------------------------------------------------------------------------------------------------
def test_eval_repeats_the_accuracy_of_the_last_epoch(toy: Path, trained: Path, tmp_path: Path) -> None:
    text = good("eval", trained, toy, "--json", tmp_path / "e.json")
    content = json.loads((tmp_path / "e.json").read_text())
    result = json.loads((trained.parent / "result.json").read_text())
    assert content["test_accuracy"] == result["test_accuracy"]
    assert content["weight_sha256"] == result["weight_sha256"]
    assert len(content["decisions"]) == content["samples"] == 4
    assert "taken for" in text


# -- mistakes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("learn JapaneseVowel", "unknown data set 'JapaneseVowel'; did you mean JapaneseVowels?"),
        ("learn {tmp}/none.npz", "{tmp}/none.npz: no such file or folder"),
        ("learn {tmp}/nan.npz", "{tmp}/nan.npz, array 'X', sample 2, channel 1, step 0: nan in the data"),
        ("learn {tmp}/empty.npz", "{tmp}/empty.npz"),
        ("learn {tmp}/labels.npz", "{tmp}/labels.npz"),
        ("learn {toy} --preset huge", "preset 'huge' is not known, allowed: tiny, vowels"),
        ("learn {toy} --preset vowels", "preset vowels (12-64-9) takes 12 channels and 9 classes, toy has 3 and 2"),
        ("learn {toy} --device /dev/ttyNONE0", "port /dev/ttyNONE0: no such port"),
        ("learn {toy} --epochs 0", "Invalid value for '--epochs'"),
        ("learn {toy} --seed -1", "Invalid value for '--seed'"),
        ("learn {toy} --json {tmp}", "--json {tmp}: is a folder, a file is needed"),
        ("learn {toy} --json {tmp}/no/a.json", "--json {tmp}/no/a.json: the folder {tmp}/no does not exist"),
        ("learn {toy} --out {toy}", "--out {toy}: cannot be made a folder"),
        ("learn {toy} --out {toy}/x", "--out {toy}/x: cannot be made a folder"),
        ("learn {toy} --resume {tmp}/none", "{tmp}/none: no such network file"),
        ("learn {toy} --resume {toy}", "{toy}: not a network file of solsa, or damaged"),
        ("learn {toy} --resume {net}", "2 epochs in total, but {net} has 2 already"),
        ("learn {toy} --resume {net} --epochs 2", "2 epochs in total, but {net} has 2 already"),
        ("learn {toy} --resume {net} --seed 3", "{net} was started with seed 0, not 3"),
        ("learn {toy} --resume {net} --preset tiny", "{net} holds configuration "),
        ("learn JapaneseVowels --resume {net}", "JapaneseVowels has 12 channels, the network was trained on 3"),
        ("eval {net} BasicMotions", "BasicMotions has 6 channels, the network was trained on 3"),
        ("eval {tmp}/none {toy}", "{tmp}/none: no such network file"),
        ("eval {net} {toy} --device /dev/ttyNONE0", "port /dev/ttyNONE0: no such port"),
        ("eval {net}", "Missing argument 'DATASET'"),
        ("info --preset huge", "preset 'huge' is not known"),
        ("verify --preset huge", "preset 'huge' is not known"),
        ("verify --random -1", "Invalid value for '--random'"),
        ("build ulx3s_85f --preset huge", "preset 'huge' is not known"),
        ("build ulx3s_85f --json {tmp}", "--json {tmp}: is a folder"),
        ("lern", "No such command 'lern'"),
        ("learn {toy} --epoch 3", "No such option"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(toy: Path, trained: Path, tmp_path: Path, args: str, message: str) -> None:
    arrays = toy_arrays()
    np.savez(tmp_path / "empty.npz", X=np.zeros((0, 4, 2)), y=np.zeros(0, dtype=np.int64))
    np.savez(tmp_path / "labels.npz", **arrays | {"y": arrays["y"] - 3})
    arrays["X"][2, 0, 1] = np.nan
    np.savez(tmp_path / "nan.npz", **arrays)
    names = {"toy": toy, "net": trained, "tmp": tmp_path}
    before = sorted(tmp_path.rglob("*"))
    assert bad(*args.format(**names).split()).startswith(message.format(**names))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_device_of_another_configuration_is_refused(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = preset("vowels")
    monkeypatch.setattr("solsa.host.device.open_transport", lambda *_, **__: GoldenDevice(other))
    line = bad("learn", toy, "--device", "/dev/ttyUSB0")
    assert line.startswith(f"device /dev/ttyUSB0 holds configuration {other.config_hash}, this run needs ")


def test_an_error_of_the_system_is_one_line(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session, "write_json", full)
    assert "No space left" in bad("learn", toy, "--epochs", 1, "--json", tmp_path / "a.json", status=1)


def test_an_interrupt_is_one_line(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "learn", interrupted)
    assert bad("learn", toy, "--epochs", 1, status=130) == "interrupted"


# -- verify, build, info ----------------------------------------------------------------------------------------------
def _module(monkeypatch: pytest.MonkeyPatch, name: str, **content: object) -> None:
    module = ModuleType(name)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(("args", "count"), [((), 10), (("--random", 3), 3), (("--preset", "tiny"), 0)])
def test_verify_passes_its_arguments_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[object, ...], count: int
) -> None:
    seen: list[tuple[object, ...]] = []

    def run_verify(preset: str | None, random: int, seed: int, progress: Callable[..., None], **_: Any) -> Any:
        seen.append((preset, random, seed))
        progress({"done": 1, "total": random, "words_compared": 5})
        return {"networks": 1, "steps": 2, "words_compared": 5, "mismatches": 0, "first_mismatch": None}

    _module(monkeypatch, "solsa.sim.verify", run_verify=run_verify)
    text = good("verify", *args, "--seed", 9, "--json", tmp_path / "v.json")
    assert seen == [("tiny" if "--preset" in args else None, count, 9)]
    assert json.loads((tmp_path / "v.json").read_text())["mismatches"] == 0
    assert "words compared" in text


def test_verify_fails_with_the_first_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"networks": 1, "mismatches": 2, "first_mismatch": "step 3 layer 1 trace[0, 2]"}
    _module(monkeypatch, "solsa.sim.verify", run_verify=lambda *_, **__: result)
    line = bad("verify", "--json", tmp_path / "v.json", status=1)
    assert line == "2 words differ, the first: step 3 layer 1 trace[0, 2]"
    assert json.loads((tmp_path / "v.json").read_text()) == result


def test_build_reports_and_fails_on_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"board": "ulx3s_85f", "fmax_mhz": 30.0, "problem": None}
    _module(monkeypatch, "solsa.boards.build", build_board=lambda board, preset, **_: result)
    assert "fmax mhz" in good("build", "ulx3s_85f", "--preset", "vowels", "--json", tmp_path / "u.json")
    assert json.loads((tmp_path / "u.json").read_text()) == result
    result["problem"] = "timing missed"
    assert bad("build", "ulx3s_85f", status=1) == "ulx3s_85f: timing missed"


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "solsa.sim.verify", None)
    assert "pip install 'solsa[sim]'" in bad("verify")


def test_info(tmp_path: Path) -> None:
    text = good("info", "--preset", "vowels", "--json", tmp_path / "i.json")
    content = json.loads((tmp_path / "i.json").read_text())
    assert content["synapses"] == 12 * 64 + 64 * 9
    assert content["lanes"] == 8
    assert content["state_bits"] == sum(content["state_bits_by_quantity"].values()) < content["bptt_bits"]
    for kind in ("inference", "learning", "scheduled"):
        assert 0 < content[f"cycles_{kind}_step"] <= content[f"bound_{kind}_step"]
        assert f"{content[f'cycles_{kind}_step']:,}" in text
    assert f"{content['state_bits']:,}" in text
    assert "1,344" in text


@pytest.mark.parametrize(
    "command",
    [
        "",
        "learn",
        "eval",
        "verify",
        "build",
        "program",
        "devices",
        "info",
        "bench learning",
        "nir import",
        "nir export",
        "data show",
    ],
)
def test_help_has_an_example_and_fits_80_columns(command: str) -> None:
    text = good(*command.split(), "--help")
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    if command:
        assert f"Example: solsa {command}" in text


def test_without_arguments_there_is_help() -> None:
    assert "Train a network on a device" in good()


# -- as a program -----------------------------------------------------------------------------------------------------
def program(*args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SOLSA, *map(str, args)], capture_output=True, text=True, timeout=60)


def test_the_installed_program(toy: Path, tmp_path: Path) -> None:
    done = program("learn", toy, "--epochs", 1, "--json", tmp_path / "a.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(FIELDS) <= set(json.loads((tmp_path / "a.json").read_text()))
    wrong = program("learn", tmp_path / "none.npz")
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1
    assert wrong.stderr.startswith("solsa: error: ")
