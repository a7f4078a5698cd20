"""`solsa verify --wave`: the waveform says what the golden model says, and the lists name signals that are in it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from solsa.contract import preset
from solsa.golden import GoldenCore
from solsa.host.cli import app
from solsa.sim.strategies import random_case
from solsa.sim.wave import CLOCK, run_wave

STEPS = 3
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wave of three steps of `tiny`."""
    file = tmp_path_factory.mktemp("wave") / "a.vcd"
    result = run_wave(file, "tiny", seed=0, steps=STEPS)
    assert (result["steps"], result["mismatches"]) == (STEPS, 0)
    assert sorted(p.name for p in file.parent.iterdir()) == ["a.gtkw", "a.sucl", "a.vcd"]
    return file


def read(path: Path) -> tuple[dict[str, str], list[tuple[int, str, str]]]:
    """Names (identifier to path) and changes (clock, path, value) of a VCD."""
    names: dict[str, str] = {}
    changes: list[tuple[int, str, str]] = []
    scope: list[str] = []
    now = 0
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith("$scope"):
            scope.append(words[2])
        elif line.startswith("$upscope"):
            scope.pop()
        elif line.startswith("$var"):
            names[words[3]] = ".".join([*scope, words[4]])
        elif line.startswith("#"):
            now = int(line[1:])
        elif match := re.fullmatch(r"([bsr])(\S*) (\S+)", line):
            changes.append((now // CLOCK, names[match[3]], match[2]))
        elif len(line) >= 2 and line[0] in "01" and line[1:] in names:
            changes.append((now // CLOCK, names[line[1:]], line[0]))
    return names, changes


def test_the_lists_name_what_is_there(wave: Path) -> None:
    names = set(read(wave)[0].values())
    gtkw = wave.with_suffix(".gtkw").read_text()
    listed = re.findall(r"^(?:\+\{[^}]*\} )?(solsa\.\S+)$", gtkw, re.MULTILINE)
    assert {re.sub(r"\[.*\]$", "", name) for name in listed} == names
    commands = wave.with_suffix(".sucl").read_text().splitlines()
    assert {line.split()[1] for line in commands if line.startswith("variable_add")} == names
    assert {line.split()[0] for line in commands} == {"variable_add", "divider_add", "zoom_fit"}
    assert len(names) > 60
    assert not any("$" in name for name in names)


def test_membranes_and_modes_are_those_of_the_golden_model(wave: Path) -> None:
    _, changes = read(wave)
    now: dict[str, str] = {}
    seen: list[tuple[str, float]] = []
    clock = -1
    for at, name, value in [*changes, (1 << 30, "", "")]:
        if at != clock:
            if now.get("solsa.neuron.retired") == "1":
                place = (int(now["solsa.neuron.layer"], 2), int(now["solsa.neuron.post"], 2))
                seen.append((str(place), float(now["solsa.neuron.membrane"])))
            clock = at
        now[name] = value
    case = random_case(0, 0, config=preset("tiny"), steps=STEPS)
    golden = GoldenCore(case.config, case.parameters, case.weights)
    wanted = []
    for one in case.stimuli[:STEPS]:
        if one.reset:
            golden.reset_sample()
        golden.step(one.inputs, label=one.label, target=one.target, learn=one.learn, adapt=one.adapt)
        for layer, state in enumerate(golden.state.layers):
            one_unit = case.config.formats.membrane.one
            wanted += [(str((layer, post)), value / one_unit) for post, value in enumerate(state.membrane.tolist())]
    assert sorted(seen) == sorted(wanted)
    modes = {value for _, name, value in changes if name == "solsa.control.mode"}
    assert {"TRACE", "UPDATE", "BACKWARD"} <= modes <= {"FORWARD", "TRACE", "UPDATE", "BACKWARD"}


def test_with_a_planted_bug_it_ends_where_the_first_word_differs(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", "--wave", str(tmp_path / "b.vcd"), "--plant", "weight-wraps"])
    assert result.exit_code == 1
    assert result.stderr.startswith("solsa: error: 1 words differ, the first: weight at step ")
    _, changes = read(tmp_path / "b.vcd")
    verdict = [value for _, name, value in changes if name == "solsa.run.verdict"][-1]
    assert verdict.replace("_", " ") in result.stderr


def test_the_picture_of_the_documents_is_fresh() -> None:
    """What docs/pipeline.md shows is what the stages hold now: python docs/pictures.py."""
    place = importlib.util.spec_from_file_location("docs_pictures", ROOT / "docs" / "pictures.py")
    assert place is not None
    assert place.loader is not None
    pictures = importlib.util.module_from_spec(place)
    place.loader.exec_module(pictures)
    kept = json.loads(pictures.DATA.read_text())
    found = json.loads(json.dumps(pictures.measure()))
    assert found == {key: value for key, value in kept.items() if key not in ("versions", "date")}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--wave a.txt", "--wave a.txt: the name must end with .vcd"),
        ("--wave none/a.vcd", "--wave none/a.vcd: the folder none does not exist"),
        ("--wave a.vcd --random 3", "--wave shows one network, that of --preset; leave --random out"),
        ("--wave a.vcd --preset huge", "preset 'huge' is not known"),
    ],
)
def test_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["verify", *args.split()])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"solsa: error: {message}")
    assert list(tmp_path.iterdir()) == []
