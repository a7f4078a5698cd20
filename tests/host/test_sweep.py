"""Sweeps without a cluster: the space, the study and what it refuses, the front, the choice of a trial."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import bad, good
from sweep_tools import SPACE, toy_space

from solsa.contract import ConfigError, preset
from solsa.host.data import hold_out, load_dataset
from solsa.host.sweep_plan import Plan, check_space, key_of, plan_for, samples_sha256, split
from solsa.host.sweep_run import pareto, results_sha256
from solsa.host.sweep_space import Space, load_space, parse_space
from solsa.host.sweep_study import BATCH, SAMPLERS, Study, Trial, read_study


@pytest.fixture
def space(tmp_path: Path) -> Path:
    return toy_space(tmp_path)


def parsed(**changes: Any) -> Space:
    return parse_space({"dataset": "JapaneseVowels", "space": {"hidden": ["8"]}, **changes})


# -- space ------------------------------------------------------------------------------------------------------------
def test_a_space_is_read(space: Path) -> None:
    found = load_space(space)
    assert found.dataset == str(space.parent / "toy.npz")
    assert found.common["hidden"].choices == ("4", "6", "5-3")
    rates = found.common["rate_hidden"]
    assert (rates.low, rates.high, rates.log) == (0.004, 0.06, True)
    assert found.common["formats.weight"].choices == ("16.13", "12.9")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("dataset = 1", "dataset: 1, a text is needed"),
        ("[space]\nlanes = [1]", "dataset is missing"),
        ("dataset = 'x'", "space is missing or empty"),
        ("dataset = 'x'\nlane = 3", "unknown key lane"),
        ("dataset = 'x'\n[space]\nlane = [1]", "unknown key space.lane, did you mean lanes?"),
        (
            "dataset = 'x'\n[space]\nformats.wait = ['16.13']",
            "unknown key space.formats.wait, did you mean formats",
        ),
        ("dataset = 'x'\n[space]\nlanes = []", "space.lanes: empty list"),
        ("dataset = 'x'\n[space]\nlanes = [2, 2]", "space.lanes: a value occurs twice"),
        ("dataset = 'x'\n[space]\nlanes = ['a']", "space.lanes: 'a', a whole number is needed"),
        ("dataset = 'x'\n[space]\nlanes = [true]", "space.lanes: True, a whole number is needed"),
        ("dataset = 'x'\n[space]\nseed = {low = 3, high = 2}", "space.seed: empty range, low 3 is above high 2"),
        ("dataset = 'x'\n[space]\nseed = {low = 3}", "space.seed: a range needs low and high"),
        ("dataset = 'x'\n[space]\nseed = {low = 1, high = 3, stop = 1}", "unknown key space.seed.stop, did you mean"),
        ("dataset = 'x'\n[space]\nfinal = {low = 0.0, high = 1.0, log = true}", "a logarithmic range starts above 0"),
        ("dataset = 'x'\n[space]\nfinal = {low = 0.1, high = 1.0, log = 1}", "space.final.log: 1, true or false"),
        ("dataset = 'x'\n[space]\nfinal = [nan]", "space.final: nan, a finite number is needed"),
        ("dataset = 'x'\n[space]\nhidden = {low = 1, high = 2}", "a range of texts"),
        ("dataset = 'x'\n[space]\nhidden = ['8']\nhidden_size = [4]", "hidden and hidden_size"),
        ("dataset = 'x'\npreset = 'no'\n[space]\nlanes = [1]", "preset 'no' is not known"),
        ("dataset = 'x'\nvalidation = 1.0\n[space]\nlanes = [1]", "validation 1, allowed is a share between 0 and 1"),
        ("dataset = 'x'\nhardware = 'guess'\n[space]\nlanes = [1]", "hardware 'guess', allowed are none, predict"),
        ("dataset = 'x'\nhardware = 'predict'\n[space]\nlanes = [1]", "needs a table boards"),
        ("dataset = 'x'\n[boards]\nulx3s_85f = 'no'\n[space]\nlanes = [1]", "boards.ulx3s_85f: preset 'no'"),
        ("dataset = 'x'\nmanifests = ['nowhere']\n[space]\nlanes = [1]", "nowhere is not a folder"),
        ("dataset = ", "not TOML"),
    ],
)
def test_a_bad_space_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    found = bad("sweep", tmp_path / "bad.toml", "--study", tmp_path / "s.db")
    assert found.startswith(f"{tmp_path / 'bad.toml'}: ")
    assert line in found
    assert not (tmp_path / "s.db").exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("lanes = [3]", "space.lanes = 3: network 12-64-9: 3 lanes, allowed a power of two"),
        ("hidden = ['a']", "space.hidden = a: hidden 'a' are not sizes"),
        ("hidden_size = {low = 0, high = 4}", "space.hidden_size = 0: network 12-0-9: a layer of 0 neurons"),
        ("formats.weight = ['16']", "space.formats.weight = 16: formats.weight '16' is not WIDTH.FRACTION"),
        ("rate_hidden = [-1.0]", "space.rate_hidden = -1.0: rates -1, allowed are 0 or more"),
        ("epochs = [0]", "space.epochs = 0: epochs 0, allowed are 1 or more"),
    ],
)
def test_a_value_that_cannot_be_built_is_refused(tmp_path: Path, change: str, line: str) -> None:
    (tmp_path / "bad.toml").write_text(f"dataset = 'JapaneseVowels'\n[space]\n{change}\n")
    assert bad("sweep", tmp_path / "bad.toml", "--study", tmp_path / "s.db").startswith(line)
    assert not (tmp_path / "s.db").exists()


def test_unknown_board_and_sampler(tmp_path: Path, space: Path) -> None:
    text = "dataset = 'JapaneseVowels'\n[boards]\nulx4s = 'vowels'\n[space]\nlanes = [1]\n"
    (tmp_path / "b.toml").write_text(text)
    assert "board 'ulx4s' is not known" in bad("sweep", tmp_path / "b.toml", "--study", tmp_path / "s.db")
    assert bad("sweep", space, "--sampler", "best").startswith("sampler 'best', allowed are grid, random, tpe")


def test_a_grid_has_every_point_once_and_an_end() -> None:
    found = parsed(
        boards={"icebreaker": "icebreaker_vowels", "ulx3s_85f": "vowels"},
        space={"hidden": ["8", "16"], "lanes": [1, 2, 4], "final": {"low": 0.1, "high": 0.3, "points": 3},
               "icebreaker": {"lanes": 1}},
    )  # fmt: skip
    points = list(found.grid())
    assert len(points) == found.grid_size() == 2 * 1 * 3 + 2 * 3 * 3
    assert len({json.dumps(point) for point in points}) == len(points)
    assert points[0] == {"board": "icebreaker", "hidden": "8", "icebreaker.lanes": 1, "final": 0.1}
    assert found.plain(points[0])["lanes"] == 1
    assert points[-1] == {"board": "ulx3s_85f", "hidden": "16", "lanes": 4, "final": 0.3}
    with pytest.raises(ConfigError, match="a grid needs a step or points"):
        parsed(space={"final": {"low": 0.1, "high": 0.3}}).grid_size()


# -- plan -------------------------------------------------------------------------------------------------------------
def test_a_plan_has_what_the_point_says() -> None:
    data = load_dataset("JapaneseVowels")
    space = parsed(boards={"icebreaker": "icebreaker_vowels"}, space={"hidden": ["8-6"], "rate_hidden": [0.5],
                   "rate_readout": [0.25], "formats": {"weight": ["12.9"]}, "seed": [3], "updates": [4]})  # fmt: skip
    check_space(space, data)
    plan = plan_for(space, next(space.grid()), data)
    base = preset("icebreaker_vowels")
    assert plan.config.layers == (12, 8, 6, 9)
    assert (plan.config.bank, plan.config.formats.current) == (base.bank, base.formats.current)
    assert (plan.config.formats.weight.width, plan.config.formats.weight.frac) == (12, 9)
    assert (plan.recipe.rates, plan.recipe.updates, plan.seed, plan.board) == ((0.5, 0.25), 4, 3, "icebreaker")
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_preset_keeps_its_name() -> None:
    data = load_dataset("JapaneseVowels")
    space = parsed(boards={"ulx3s_85f": "vowels"}, space={"lanes": [4], "hidden": ["64", "32"]})
    names = [plan_for(space, point, data).name for point in space.grid()]
    assert names[0] == "vowels"
    assert names[1].startswith("12-32-9-")


def test_lanes_do_not_make_another_training() -> None:
    """The bits do not depend on them (tests/integration compares cores of different lanes with one golden model)."""
    data = load_dataset("JapaneseVowels")
    space = parsed(boards={"ulx3s_85f": "vowels"}, hardware="predict", space={"lanes": [1, 8], "seed": [0, 1]})
    plans = [plan_for(space, point, data) for point in space.grid()]
    assert len({key_of(plan.training("x")) for plan in plans}) == 2
    assert len({key_of(plan.hardware(space) or {}) for plan in plans}) == 2


def test_validation_comes_from_training_only() -> None:
    whole = load_dataset("JapaneseVowels")
    part = split(whole, 0.2)
    assert len(part.train) + len(part.test) == len(whole.train)
    kept = {id(sample) for sample in whole.train}
    assert {id(sample) for sample in (*part.train, *part.test)} == kept
    assert np.bincount(part.test_labels).tolist() == [6] * 9
    assert samples_sha256(part) != samples_sha256(split(whole, 0.3))


def test_holding_out_leaves_one() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    held = hold_out(labels, ("a", "b"), "x", 0.99)
    assert [int(np.count_nonzero(held[labels == k])) for k in (0, 1)] == [1, 2]


# -- study ------------------------------------------------------------------------------------------------------------
def fake_result(study: Study, trial: Trial) -> None:
    """Objectives that follow from the parameters, in place of a training."""
    score = float(len(str(trial.point["hidden"]))) + float(trial.point["rate_hidden"])
    study.complete(trial, {"accuracy": score, "clocks_per_step": 3, "state_bits": score * 2})


def proposals(path: Path, space: Space, sampler: str, order: int, stops: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """Parameters of 18 trials; results come in forward or backward order, the study is opened anew at ``stops``."""
    study = Study(path, space, sampler, 5, "data")
    while len(study.trials) < 18 or any(trial.running for trial in study.trials):
        while len(study.trials) < 18 and study.ready():
            study.add(study.propose(), {})
            if len(study.trials) in stops:
                study.__exit__(None, None, None)
                study = Study(path, space, sampler, 5, "data")
        running = [trial for trial in study.trials if trial.running]
        for trial in running[::order]:
            fake_result(study, trial)
    points = [trial.point for trial in study.trials]
    study.__exit__(None, None, None)
    return points


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_parameters_depend_on_seed_and_number_alone(tmp_path: Path, sampler: str) -> None:
    """Neither on the order of results nor on being stopped in the middle of a batch."""
    text = SPACE.replace("log = true", "points = 3") if sampler == "grid" else SPACE
    space = load_space(toy_space(tmp_path, text))
    first = proposals(tmp_path / "a.db", space, sampler, 1)
    assert first == proposals(tmp_path / "b.db", space, sampler, -1, (3, BATCH, BATCH + 1))
    assert len(first) == 18
    if sampler != "grid":
        with Study(tmp_path / "c.db", space, sampler, 6, "data") as other:
            assert other.propose() != first[0]


def test_tpe_learns_from_earlier_batches(tmp_path: Path) -> None:
    """With other results of the first batch the proposals after it are others."""
    space, points = load_space(toy_space(tmp_path)), []
    for name, sign in (("a.db", 1), ("b.db", -1)):
        with Study(tmp_path / name, space, "tpe", 0, "data") as study:
            for _ in range(2 * BATCH):
                trial = study.add(study.propose(), {})
                value = sign * float(trial.point["rate_hidden"])
                study.complete(trial, {"accuracy": value, "clocks_per_step": 1, "state_bits": -value})
            points.append([trial.point for trial in study.trials])
    assert points[0][:BATCH] == points[1][:BATCH]
    assert points[0] != points[1]


def test_a_study_is_locked_and_belongs_to_one_sweep(tmp_path: Path, space: Path) -> None:
    file, chosen = tmp_path / "s.db", load_space(space)
    with Study(file, chosen, "random", 0, "data") as study:
        study.add(study.propose(), {})
        assert bad("sweep", space, "--study", file).endswith("locked, another sweep is running on it")
    with pytest.raises(ConfigError, match="is of another sweep: seed was 0 and is 1"):
        Study(file, chosen, "random", 1, "data")
    with pytest.raises(ConfigError, match="sampler was random and is tpe"):
        Study(file, chosen, "tpe", 0, "data")
    other = load_space(toy_space(tmp_path, SPACE.replace("[4, 6, ", "[4, 7, ")))
    with pytest.raises(ConfigError, match=r"space.space.hidden was \['4', '6', '5-3'\]"):
        Study(file, other, "random", 0, "data")
    with Study(file, chosen, "random", 0, "data") as again:
        assert [trial.running for trial in again.trials] == [True]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.db", "toy.npz", "toy.toml"]


def test_a_locked_or_foreign_database_is_one_line(tmp_path: Path, space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solsa.host.sweep_study._PATIENCE", 0.2)
    (tmp_path / "no.db").write_text("this is no database, though it is long enough to be looked at " * 4)
    assert bad("sweep", space, "--study", tmp_path / "no.db").endswith("no.db: not a study of solsa")
    assert bad("sweep", space, "--study", tmp_path / "a" / "s.db").endswith("does not exist")
    assert bad("learn", "--from-sweep", tmp_path / "nothing.db", "--trial", 0).endswith("no such file")
    assert "not a study" in bad("learn", "--from-sweep", tmp_path / "no.db", "--trial", 0)
    with Study(tmp_path / "s.db", load_space(space), "tpe", 0, "data") as study:
        study.add(study.propose(), {})
    holder = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert bad("sweep", space, "--study", tmp_path / "s.db").endswith("s.db: locked by another program")
    finally:
        holder.close()


# -- front ------------------------------------------------------------------------------------------------------------
def trial(number: int, accuracy: float, lut: float) -> Trial:
    return Trial(number, {}, values={"accuracy": accuracy, "lut": lut}, running=False)


def test_the_front_is_what_nothing_beats() -> None:
    goals = {"accuracy": True, "lut": False}
    trials = [trial(0, 0.9, 100), trial(1, 0.8, 100), trial(2, 0.9, 90), trial(3, 0.7, 50), trial(4, 0.7, 50),
              Trial(5, {}, cause="x", running=False), Trial(6, {})]  # fmt: skip
    assert [t.number for t in pareto(trials, goals)] == [2, 3]


def test_the_fingerprint_sees_every_result() -> None:
    ours, seen = trial(0, 0.9, 100), set()
    for change in ({}, {"point": {"a": 1}}, {"values": {"accuracy": 0.8}}, {"cause": "x"}, {"number": 1},
                   {"training": {"weight_sha256": "y"}}):  # fmt: skip
        seen.add(results_sha256([Trial(**{**vars(ours), **change})]))
    assert len(seen) == 6
    slower = Trial(**{**vars(ours), "hardware": {"seconds": 3}})
    assert results_sha256([ours]) == results_sha256([slower])


# -- the command ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a sweep of six trials in which one kind of core cannot be built."""
    folder = tmp_path_factory.mktemp("swept")
    text = SPACE.replace("hidden = [4, 6, ", "formats.current = ['24.12', '24.11']\nhidden = [4, 6, ")
    good("sweep", toy_space(folder, text), "--study", folder / "s.db", "--trials", 6, "--sampler", "random",
         "--seed", 1, "--out", folder / "out", "--json", folder / "r.json")  # fmt: skip
    return folder


def test_a_sweep_leaves_page_picture_and_numbers(swept: Path) -> None:
    result = json.loads((swept / "r.json").read_text())
    failed = [row for row in result["rows"] if "failed" in row]
    assert (result["trials"], result["failed"]) == (6, len(failed))
    assert 0 < len(failed) < 6
    assert {row["failed"].split(": ")[1] for row in failed} == {"current and membrane must have the same fraction bits"}
    text = (swept / "out" / "pareto.html").read_text()
    assert "data:image/png;base64," in text
    assert 'src="http' not in text
    for number in result["front"]:
        assert f'<td class="n">{number}</td>' in text
    assert "current and membrane must have the same fraction bits" in text
    assert (swept / "out" / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert (result["training_samples"], result["validation_samples"]) == (32, 8)
    assert result["timing"]["jobs_run"] == 6 - len(failed)


def test_a_finished_sweep_is_only_shown(swept: Path) -> None:
    text = good("sweep", swept / "toy.toml", "--study", swept / "s.db", "--trials", 6, "--sampler", "random",
                "--seed", 1, "--scheduler", "tcp://127.0.0.1:1")  # fmt: skip
    assert "nothing was left to do" in text


def test_learn_takes_a_trial(swept: Path, tmp_path: Path) -> None:
    row = next(r for r in json.loads((swept / "r.json").read_text())["rows"] if "failed" not in r)
    good("learn", "--from-sweep", swept / "s.db", "--trial", row["trial"], "--json", tmp_path / "l.json")
    learned = json.loads((tmp_path / "l.json").read_text())
    assert (learned["config_hash"], learned["seed"], learned["epochs"]) == (row["config_hash"], row["seed"], 3)
    assert learned["dataset"] == "toy"


@pytest.mark.parametrize("command", ["learn", "build"])
def test_a_trial_that_is_none(swept: Path, command: str) -> None:
    failed = next(r for r in json.loads((swept / "r.json").read_text())["rows"] if "failed" in r)
    study = swept / "s.db"
    assert "trial 6, allowed are 0 to 5" in bad(command, "--from-sweep", study, "--trial", 6)
    assert f"trial {failed['trial']} failed: " in bad(command, "--from-sweep", study, "--trial", failed["trial"])
    assert "go together" in bad(command, "--trial", 1)
    assert "go together" in bad(command, "--from-sweep", study)
    assert "--preset and --from-sweep" in bad(command, "--from-sweep", study, "--trial", 0, "--preset", "tiny")
    assert "is missing" in bad(command)


def test_build_takes_a_trial(swept: Path) -> None:
    """The board refuses it with a line that names the trial's network: nothing is built here."""
    row = next(r for r in json.loads((swept / "r.json").read_text())["rows"] if "failed" not in r)
    line = bad("build", "icebreaker", "--from-sweep", swept / "s.db", "--trial", row["trial"])
    assert line.startswith(f"icebreaker is too small for this core: {row['network']} ")


def test_predictions_are_labelled(tmp_path: Path) -> None:
    text = """dataset = "toy.npz"
hardware = "predict"
boards = { ulx3s_85f = "vowels", icebreaker = "icebreaker_vowels" }
[space]
epochs = 1
hidden = [4]
lanes = [2]
seed = [0, 1]
"""
    good("sweep", toy_space(tmp_path, text), "--study", tmp_path / "s.db", "--sampler", "grid", "--workers", 1,
         "--json", tmp_path / "r.json")  # fmt: skip
    result = json.loads((tmp_path / "r.json").read_text())
    rows = {(row["parameters"]["board"], row["parameters"]["seed"]): row for row in result["rows"]}
    assert len(rows) == 4
    assert rows["icebreaker", 1]["failed"] == (
        "3-4-2 with 2 lanes needs 8 single-port RAMs of 4 on icebreaker, enough for --lanes 1"
    )
    assert rows["ulx3s_85f", 0]["hardware"] == "predicted"
    assert rows["ulx3s_85f", 0]["updates_per_second"] == 2 * rows["ulx3s_85f", 0]["clock_mhz"] * 1e6
    assert rows["ulx3s_85f", 0]["lut"] == rows["ulx3s_85f", 1]["lut"] > 0
    # one prediction per board serves both seeds
    assert result["timing"]["jobs_run"] == 2 + 2
    assert read_study(tmp_path / "s.db")[0]["sampler"] == "grid"


def test_reading_leaves_a_study_that_is_being_made_as_it_is(tmp_path: Path) -> None:
    """A table more, and the sweep that makes the study would fail on it."""
    with closing(sqlite3.connect(tmp_path / "s.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    before = (tmp_path / "s.db").read_bytes()
    with pytest.raises(ConfigError, match=r"s\.db: holds no sweep of solsa"):
        read_study(tmp_path / "s.db")
    assert (tmp_path / "s.db").read_bytes() == before


def test_a_manifest_stands_in_place_of_a_prediction(tmp_path: Path) -> None:
    """It is found by board and configuration: a kept one, under the hash that `vowels` has now."""
    kept = Path(__file__).parents[2] / "docs" / "results" / "boards" / "ulx3s_85f-vowels.json"
    manifest = json.loads(kept.read_text()) | {"config_hash": preset("vowels").config_hash}
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "m.json").write_text(json.dumps(manifest))
    (tmp_path / "v.toml").write_text("""dataset = "JapaneseVowels"
hardware = "predict"
manifests = ["kept"]
boards = { ulx3s_85f = "vowels" }
validation = 0.97
[space]
epochs = 1
lanes = [8]
""")
    good("sweep", tmp_path / "v.toml", "--study", tmp_path / "s.db", "--sampler", "grid", "--workers", 1,
         "--json", tmp_path / "r.json")  # fmt: skip
    row = json.loads((tmp_path / "r.json").read_text())["rows"][0]
    assert row["hardware"] == "built"
    assert (row["lut"], row["fmax_mhz"]) == (manifest["lut"], manifest["fmax_mhz"])
