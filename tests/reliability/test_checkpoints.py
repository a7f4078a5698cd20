"""Checkpoints: kept, found again, exact; and every one that must not be used is refused in one line."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_data import toy_arrays

from reliability.killed import SOLSA, killed_run, whole_run
from solsa.contract import ConfigError, preset
from solsa.host.checkpoint import Checkpoints, Every, load_newest
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.network import Network, NetworkError
from solsa.host.recipe import default_recipe
from solsa.host.train import first_difference, learn, start_network

CONFIG = preset("tiny").with_(layers=(3, 6, 2))
RECIPE = default_recipe(CONFIG).with_(rates=(0.02, 0.02), adapt_rates=(1e-3, 1e-3), epochs=2)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    np.savez(tmp_path / "toy.npz", **toy_arrays(n=40))
    return tmp_path / "toy.npz"


@pytest.fixture
def dataset(toy: Path) -> Dataset:
    return load_dataset(str(toy))


def start(dataset: Dataset) -> Network:
    return start_network(CONFIG, "3-6-2", RECIPE, dataset, 0)


class Stopped(Exception):
    pass


@pytest.mark.parametrize("after", [1, 17, 40, 42, 44, 45, 84, 87, 88, 89, 128])
def test_a_run_that_stops_after_any_sample_goes_on_exactly(dataset: Dataset, tmp_path: Path, after: int) -> None:
    """In training (40 samples an epoch), in the test (4), and in the last look at the training samples."""
    whole, part = start(dataset), start(dataset)
    with Device.open("golden", CONFIG) as device:
        expected = learn(device, whole, dataset, 2)
    count = itertools.count(1)

    def stop(network: Network) -> None:
        network.save(tmp_path / "c.npz")
        raise Stopped

    with Device.open("golden", CONFIG) as device, pytest.raises(Stopped):
        learn(device, part, dataset, 2, due=lambda: next(count) == after, on_snapshot=stop)
    resumed = Network.load(tmp_path / "c.npz")
    assert (resumed.epochs_done, resumed.samples_done) == (after // 44 if after < 128 else 2, min(after % 44, 40)) or (
        after in (44, 88, 89, 128)
    )
    with Device.open("golden", CONFIG) as device:
        result = learn(device, resumed, dataset, 2)
    assert first_difference(resumed, whole, "resumed") is None
    assert resumed.shuffler == whole.shuffler
    assert (result.weight_sha256, result.train_accuracy) == (expected.weight_sha256, expected.train_accuracy)


def test_the_newest_ones_are_kept_and_found(dataset: Dataset, tmp_path: Path) -> None:
    network = start(dataset)
    kept = Checkpoints(tmp_path, Every.parse("2"), keep=2)
    assert [kept.due() for _ in range(2)] == [False, True]
    (tmp_path / ".checkpoint-0000-0000001.npz.x").write_text("of a killed write")
    for done in range(1, 5):
        network.samples_done = done
        kept.save(network)
        assert not kept.due()
    names = sorted(path.name for path in tmp_path.glob("*.npz") if path.name != "toy.npz")
    assert names == ["checkpoint-0000-0000003.npz", "checkpoint-0000-0000004.npz"]
    assert not list(tmp_path.glob(".*"))
    said: list[str] = []
    assert load_newest(tmp_path, said.append)[1].samples_done == 4
    (tmp_path / names[1]).write_bytes(b"PK")
    assert load_newest(tmp_path, said.append)[1].samples_done == 3
    assert said == [f"left out: {tmp_path / names[1]}: not a network file of solsa, or damaged"]
    (tmp_path / names[0]).write_bytes(b"")
    with pytest.raises(NetworkError, match=r"no whole network file or checkpoint; .* \(and 1 more\)"):
        load_newest(tmp_path, said.append)
    kept.clear()
    with pytest.raises(NetworkError, match=r"holds no network.npz and no checkpoint to go on from"):
        load_newest(tmp_path, said.append)


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "1.5", "10m", "s", "1e3", "99999999999"])
def test_wrong_distances_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="allowed are samples, such as 100, or seconds, such as 60s"):
        Every.parse(text)
    assert Every.parse("7") == Every(samples=7)
    assert Every.parse("7s") == Every(seconds=7.0)


# -- as a program -----------------------------------------------------------------------------------------------------
def program(*args: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SOLSA, *map(str, args)], capture_output=True, text=True, timeout=120, **more)


def one_line(done: subprocess.CompletedProcess[str], status: int) -> str:
    assert done.returncode == status, done.stderr
    (line,) = done.stderr.splitlines()
    return line.removeprefix("solsa: error: ")


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", **toy_arrays(n=150))
    expected, seconds = whole_run(str(tmp_path / "toy.npz"), tmp_path / "whole", 3)
    result, struck = killed_run(str(tmp_path / "toy.npz"), tmp_path / "killed", 3, 3, seconds, seed=1)
    assert len(struck) == 3
    assert result["weight_sha256"] == expected["weight_sha256"]
    for ours, theirs in zip(result["history"], expected["history"], strict=True):
        assert (ours["online_accuracy"], ours["test_accuracy"]) == (theirs["online_accuracy"], theirs["test_accuracy"])
    assert {path.name for path in (tmp_path / "killed").glob("*.npz")} == {"network.npz"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path: Path, number: int) -> None:
    np.savez(tmp_path / "toy.npz", **toy_arrays(n=150))
    toy, out = tmp_path / "toy.npz", tmp_path / "a b"
    whole = program("learn", toy, "--epochs", 3, "--json", tmp_path / "w.json")
    assert whole.returncode == 0
    process = subprocess.Popen(
        [SOLSA, "learn", toy, "--epochs", "3", "--out", out, "--checkpoint", "1000s"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not list(out.glob("*.npz")):
        assert process.poll() is None
    process.send_signal(number)
    line = one_line(subprocess.CompletedProcess([], process.wait(60), "", process.communicate()[1]), 130)
    match = re.fullmatch(r"interrupted in epoch \d after \d+ samples; go on with: solsa (.*)", line)
    assert match is not None, line
    assert program(*shlex.split(match[1])).returncode == 0
    results = [json.loads(path.read_text()) for path in (tmp_path / "w.json", out / "result.json")]
    assert results[0]["weight_sha256"] == results[1]["weight_sha256"]


def test_a_full_disk_is_one_line(toy: Path, tmp_path: Path) -> None:
    """A limit on the size of files fails a write in the same place as a full disk."""
    small = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " \
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); from solsa.host.cli import main; main()"  # fmt: skip
    command = [str(SOLSA.with_name("python")), "-B", "-c", small, "learn", str(toy), "--epochs", "1", "--out",
               str(tmp_path / "out")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    line = one_line(done, 1)
    assert line.startswith(f"{tmp_path / 'out'}: cannot be written ({os.strerror(errno.EFBIG)}); go on with: solsa ")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_read_only_folder_is_one_line(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from solsa.host import files
    from solsa.host.cli import main

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(files.os, "access", lambda _, mode: not mode & os.W_OK)  # root may write everywhere
    monkeypatch.setattr("sys.argv", ["solsa", "learn", str(toy), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"solsa: error: --out {tmp_path / 'out'}: is not writable\n"


def _meta(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        arrays = dict(np.load(path, allow_pickle=False))
        meta = json.loads(arrays["meta"].tobytes())
        change(meta)
        arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        np.savez(path, **arrays)

    return spoil


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(epochs_done=3), "damaged, 3 epochs done, but 0 in the history"),
        (lambda m: m.update(epochs_done=-1), "damaged, -1 epochs done"),
        (lambda m: m.update(history=[3], epochs_done=1), "damaged (TypeError"),
        (lambda m: m.update(samples_done=-1), "damaged, 0 of -1 samples right"),
        (lambda m: m.update(correct=9), "damaged, 9 of 0 samples right"),
        (lambda m: m.update(samples_done=1e400), "damaged (OverflowError"),
        (lambda m: m.update(rng=0), "damaged, random generator 0, allowed 1 to 4294967295"),
        (lambda m: m.update(shuffler={"state": 1}), "damaged (ValueError: state must be for a PCG64 RNG)"),
        (lambda m: m.update(shuffler=None), "damaged (TypeError"),
        (lambda m: m.update(class_names=["a"]), "damaged, 1 class names for 2 outputs"),
        (lambda m: m.update(config=[]), "configuration: 'layers'"),
        (lambda m: m.update(parameters={}), "parameters: "),
    ],
)
def test_an_impossible_checkpoint_is_refused(
    dataset: Dataset, tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    start(dataset).save(tmp_path / "c.npz")
    _meta(change)(tmp_path / "c.npz")
    with pytest.raises(NetworkError) as caught:
        Network.load(tmp_path / "c.npz")
    assert str(caught.value).startswith(f"{tmp_path / 'c.npz'}: ")
    assert message in str(caught.value)


def test_a_checkpoint_of_other_samples_is_refused(toy: Path, tmp_path: Path) -> None:
    assert program("learn", toy, "--epochs", 1, "--out", tmp_path / "out").returncode == 0
    arrays = toy_arrays(n=40)
    arrays["X"][3, 1, 1] += 1
    np.savez(toy, **arrays)
    line = one_line(program("learn", toy, "--epochs", 2, "--resume", tmp_path / "out"), 2)
    assert line == f"{tmp_path / 'out' / 'network.npz'} was trained on other samples than {toy} holds now"
