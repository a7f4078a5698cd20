"""The learning benchmark: same draws for every rule, honest folds, runs that are kept, and its page."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_data import toy_arrays
from typer.testing import CliRunner

from solsa.golden.baselines.network import Samples
from solsa.host import bench_learning, bench_tasks
from solsa.host.bench_learning import FILTERED, TUNED, Bench, Plan, fold, peaked, variants
from solsa.host.bench_runs import FixedLearner, first_schedule, run, searched
from solsa.host.bench_search import Choice, draw
from solsa.host.bench_store import Store
from solsa.host.bench_tasks import TASKS, Task, subset
from solsa.host.cli import app
from solsa.host.data import load_dataset
from solsa.host.device import Device
from solsa.host.plots_bench import draw_results
from solsa.host.recipe import Recipe, recipe_for
from solsa.host.synthetic import pattern_generation

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from learning_page import learning_page


@pytest.fixture
def task(tmp_path: Path) -> Task:
    np.savez(tmp_path / "toy.npz", **toy_arrays(16, 6))
    return bench_tasks._task("toy", load_dataset(str(tmp_path / "toy.npz")), epochs=2)


@pytest.fixture
def toy(task: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.setitem(TASKS, "toy", lambda: task)
    return task


PLAN = Plan(
    datasets=("toy",), rules=("solsa", "solsa_even", "bptt", "ottt"), configurations=1, seeds=2, ablation_seeds=1
)


def test_an_interrupted_benchmark_goes_on_and_ends_the_same(
    toy: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, limit, made = bench_learning.run, 5, 0

    def interrupted(*args: Any, **options: Any) -> dict[str, Any]:
        nonlocal made
        if made == limit:
            raise KeyboardInterrupt
        made += 1
        return real(*args, **options)

    monkeypatch.setattr(bench_learning, "run", interrupted)
    with Store(tmp_path) as store, pytest.raises(KeyboardInterrupt):
        list(Bench(PLAN, store).stages())
    limit = 10**6
    with Store(tmp_path) as store:
        *_, content = Bench(PLAN, store).stages()
        recipe = Bench(PLAN, store).recipes()["toy"]
        assert Recipe.from_dict(recipe) in (draw(toy, 0).recipe, recipe_for("toy", toy.config).with_(epochs=2))
    total = made
    with Store(tmp_path) as store:
        *_, again = Bench(PLAN, store).stages()
    assert made == total  # nothing was run twice
    assert again["results"] == content["results"]
    rows = content["results"]["toy"]
    assert list(rows) == ["solsa", "solsa_even", "bptt", "ottt", "solsa_fixed"]
    assert all(len(row["accuracies"]) == 2 for row in rows.values())
    assert len(rows["solsa_fixed"]["against_float"]["differences"]) == 2
    assert rows["bptt"]["updates"] == 2 * len(toy.train)
    assert set(content["ablations"]["toy"]) == set(variants(draw(toy, 0, enhanced=True)))
    page_and_pictures(content, tmp_path)


@pytest.mark.parametrize(("scatter", "seeds", "taken"), [(0.02, 5, 20), (0.0002, 5, 5), (0.006, 5, 7), (0.02, 3, 3)])
def test_fixed_and_float_take_as_many_seeds_as_their_difference_needs(
    toy: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scatter: float, seeds: int, taken: int
) -> None:
    def record(_: Bench, job: bench_learning.Job) -> dict[str, Any]:
        return {"accuracy": 0.9 + job.fixed * (0.001 + scatter * (-1) ** job.seed)}

    monkeypatch.setattr(Bench, "record", record)
    with Store(tmp_path) as store:
        plan = Plan(datasets=("toy",), seeds=seeds)
        found = Bench(plan, store).paired("toy", draw(toy, 0))
    assert len(found["differences"]) == taken
    assert found["mean"] == pytest.approx(np.mean(found["differences"]))
    assert found["error"] == pytest.approx(np.std(found["differences"], ddof=1) / taken**0.5)


def page_and_pictures(content: dict[str, Any], folder: Path) -> None:
    (folder / "learning.json").write_text(json.dumps(content))
    for path in draw_results(content, folder):
        assert path.read_bytes().startswith(b"\x89PNG")
    page = learning_page(folder, folder)
    assert page.count("](pictures/") == 3
    assert "**Incomplete**: not measured: JapaneseVowels, " in page
    assert "only 1 configurations tried" in page
    assert "### toy" in page
    means = {"solsa": 0.9, "solsa_even": 0.8, "bptt": 0.895, "ottt": 0.8}
    content["mean"] = {name: {"mean": v, "deviation": 0.01, "error": 0.0} for name, v in means.items()}
    (folder / "learning.json").write_text(json.dumps(content))
    page = learning_page(folder, folder)
    assert "+0.5 ± 0.0 points (standard error over seeds); goal +1: **missed**" in page
    assert "+10.0 ± 0.0 points (standard error over seeds); goal +3: reached" in page


def test_every_rule_gets_the_same_draws(task: Task) -> None:
    for index in range(20):
        plain, own = draw(task, index), draw(task, index, enhanced=True)
        assert plain == draw(task, index)
        assert own.recipe.with_(adapt_rates=plain.recipe.adapt_rates) == plain.recipe
        assert Choice.from_dict(json.loads(json.dumps(own.to_dict()))) == own
        assert all(0 <= a < 1 for row in (*plain.recipe.a, *plain.recipe.lam) for a in row)
    assert len({draw(task, index).recipe.rates for index in range(20)}) == 20


def test_folds_hold_out_every_sample_once_and_no_test_sample(task: Task) -> None:
    held = []
    for k in range(4):
        train, validation = fold(task, k)
        assert len(train) + len(validation) == len(task.train)
        assert set(np.unique(validation.labels)) == {0, 1}
        rows = {tuple(x) for x in train.x.round(6).tolist()}
        assert not rows & {tuple(x) for x in validation.x.round(6).tolist()}
        held += [tuple(x) for x in validation.x.tolist()]
    assert sorted(held) == sorted(tuple(x) for x in task.train.x.tolist())


def test_subset_keeps_steps_labels_and_targets() -> None:
    samples = Samples.pack([np.full((n, 2), n) for n in (1, 2, 3)], [5, 6, 7], [np.full((n, 1), -n) for n in (1, 2, 3)])
    found = subset(samples, np.array([2, 0]))
    assert found.labels.tolist() == [7, 5]
    assert found.lengths.tolist() == [3, 1]
    assert found.targets[:, 0].tolist() == [-3, -3, -3, -1]


def test_schedules(task: Task) -> None:
    choice = draw(task, 0)

    def steps(kind: str, of: Task = task, updates: int = 3) -> list[int]:
        changed = choice.with_(schedule=kind, recipe=choice.recipe.with_(updates=updates))
        return np.flatnonzero(first_schedule(of, changed, of.train)).tolist()

    assert steps("all") == [0, 1, 2, 3, 4, 5]
    assert steps("last") == steps("searched") == [5]
    assert steps("even") == [1, 3, 5]
    late = Task("toy", task.dataset, task.train, task.test, task.config, 2, window=4)
    assert steps("all", late) == [2, 3, 4, 5]
    assert steps("last", late) == [5]
    assert steps("even", late, updates=2) == [3, 5]


def test_the_search_takes_the_largest_changes(task: Task) -> None:
    class Known:
        def probe(self, samples: Samples, order: list[int]) -> np.ndarray:
            return np.array([0.1, 5.0, 0.2, 3.0, 4.0, 0.0])

    base = draw(task, 0)
    choice = base.with_(recipe=base.recipe.with_(updates=3))
    where = searched(Known(), task, choice, task.train, np.random.default_rng(0))  # type: ignore[arg-type]
    assert np.flatnonzero(where).tolist() == [1, 3, 4]


def test_fixed_point_runs_are_those_of_a_device(task: Task) -> None:
    base = draw(task, 1)
    choice = base.with_(recipe=base.recipe.with_(adapt_rates=(2.0**-8, 0.0)))
    learner, order = FixedLearner(task, choice, 3), [3, 0, 5]
    where = first_schedule(task, choice, task.train)
    start = [layer.weight.copy() for layer in learner.core.state.layers]
    learner.learn(task.train, order, where, 1)
    parameters = choice.recipe.parameters(task.config, tuple(int(t) for t in np.flatnonzero(where)), 1)
    with Device.open("golden", task.config) as device:
        device.load_network(parameters, start)
        for n in order:
            x = np.rint(task.train.x[task.train.starts[n] : task.train.starts[n + 1]] * 32).astype(np.int64)
            device.run_sample(x, int(task.train.labels[n]), learn=True, adapt=True)
        words = device.read_weights()
    assert any((w != s).any() for w, s in zip(words, start, strict=True))
    for ours, wanted in zip(learner.core.state.layers, words, strict=True):
        assert np.array_equal(ours.weight, wanted)


def test_a_followed_signal_in_fixed_point_is_near_float() -> None:
    parts = [pattern_generation(n, seed) for n, seed in ((6, 1), (3, 2))]
    task = bench_tasks._generated("pattern_generation", *parts, epochs=4)
    choice = draw(task, 7)
    real, fixed = (
        run(task, "solsa", choice, 0, task.train, task.test, every_epoch=False, fixed=fixed) for fixed in (False, True)
    )
    assert fixed["updates"] == real["updates"]
    assert fixed["loss"] == pytest.approx(real["loss"], rel=0.05)
    untrained = run(task, "fixed", choice.with_(recipe=choice.recipe.with_(rates=(0.0, 0.0))), 0, task.train,
                    task.test, every_epoch=False)  # fmt: skip
    assert fixed["loss"] < 0.9 * untrained["loss"]


def test_another_peak_keeps_the_size_of_hidden_errors(task: Task) -> None:
    recipe = draw(task, 3).recipe
    low = peaked(recipe, 0.1)
    assert low.surrogate_peak == 0.1
    assert low.rates[0] * 0.1 == pytest.approx(recipe.rates[0] * recipe.surrogate_peak)
    assert low.rates[1] == recipe.rates[1]
    assert {draw(task, index).recipe.surrogate_peak for index in range(1, 20)} == {1.0, 0.3, 0.1}


def test_filtered_h_is_drawn_for_its_own_row_only(task: Task) -> None:
    with_, without = draw(task, 3, enhanced=True, filtered=True), draw(task, 3, enhanced=True)
    assert with_ == without.with_(filtered_surrogate=True)
    assert TUNED[FILTERED] == TUNED["solsa"]


@pytest.mark.parametrize(("option", "allowed"), [("--datasets", "JapaneseVowels"), ("--rules", "solsa_even")])
def test_unknown_names_are_one_line(tmp_path: Path, option: str, allowed: str) -> None:
    done = CliRunner().invoke(app, ["bench", "learning", "--work", str(tmp_path), option, "none"])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert "'none' is not known" in done.stderr
    assert allowed in done.stderr
    assert not list(tmp_path.iterdir())


def test_every_tuned_name_has_a_title() -> None:
    assert set(TUNED) < set(bench_learning.TITLES)
