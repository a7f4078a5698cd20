"""Cue accumulation with the formats and recipes that are measured (host/bench_cues.py), core against golden."""

from __future__ import annotations

import numpy as np
import pytest

from solsa.golden.compiled import CompiledCore as Fast
from solsa.host.bench_cues import CASES, ONE, task_of
from solsa.host.bench_runs import first_schedule
from solsa.host.bench_search import Choice
from solsa.host.recipe import initial_weights
from solsa.sim.build import QUICK
from solsa.sim.compiled import CompiledCore
from solsa.sim.lockstep import Lockstep
from solsa.sim.records import StepInput


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_cues_on_the_core(name: str) -> None:
    """Two samples learned and one decided: every word of every step, and the weights of the golden that is measured.

    At 1 ms no trace comes near the end of its format.
    """
    formats, recipe, _ = CASES[name]
    task = task_of(name, 3)
    config = task.config.with_(formats=formats)
    schedule = np.flatnonzero(first_schedule(task, Choice(recipe=recipe), task.train))
    parameters = recipe.parameters(config, tuple(int(t) for t in schedule))
    weights = initial_weights(config, recipe, 1)
    backend = CompiledCore(config, level=QUICK)
    run, fast = Lockstep(config, parameters, weights, backend), Fast(config, parameters, weights)
    inputs = np.rint(task.train.x * formats.input.one).astype(np.int64)
    largest = 0
    for n, start in enumerate(task.train.starts[:-1]):
        sample, label, learn = inputs[start : task.train.starts[n + 1]], int(task.train.labels[n]), n < 2
        for t, x in enumerate(sample):
            found = run.step(StepInput(x, label, reset=t == 0, learn=learn))
            assert found is None, str(found)
            largest = max(largest, *(int(np.abs(layer.trace).max()) for layer in run.golden.state.layers))
        fast.reset_sample()
        fast.run(sample, label=label, learn=learn, adapt=False)
        assert run.golden.state.score.tolist() == fast.state.score.tolist()
    backend.close()
    assert run.golden.state.updates == 2 * len(schedule)
    for mine, theirs, before in zip(run.golden.state.layers, fast.state.layers, weights, strict=True):
        assert np.array_equal(mine.weight, theirs.weight)
        assert (mine.weight != before).any()
    assert largest < formats.trace.max / 2 or name != ONE, f"{name}: {largest}"
