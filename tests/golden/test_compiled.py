"""The compiled golden core against the plain one, word by word; and that this comparison can fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import FORMATS, make_case

from solsa.contract import NetworkConfig, Readout
from solsa.golden import GoldenCore, compiled
from solsa.golden.compiled import CompiledCore

CASES = [
    (layers, readout, seed) for layers in ((4, 7, 5), (3, 9, 2, 4), (6, 3)) for readout in Readout for seed in range(4)
]


def difference(layers: tuple[int, ...], readout: Readout, seed: int) -> str | None:
    """First word in which the two cores differ after any of some stretches of steps."""
    config = NetworkConfig(
        layers=layers, groups=(1, 2, 4, 8)[seed], readout=readout, max_steps=8, surrogate_entries=16,
        recurrent=seed < 2 and len(layers) > 2, normalise=seed > 1,
        filtered_surrogate=seed % 2 == 0 and len(layers) > 2,
        formats=FORMATS[sorted(FORMATS)[seed % len(FORMATS)]],
    )  # fmt: skip
    case = make_case(config, seed, "RLLLLLr..LRLLLLLLLLLL", extreme=seed % 2 == 1)
    parameters = case.parameters
    if config.normalise:
        parameters = parameters.with_(norm=tuple((18 + i, 3 * i) for i in range(config.depth)), norm_shift=2)
    plain, fast = (kind(config, parameters, case.weights) for kind in (GoldenCore, CompiledCore))
    for s in case.stimuli:
        # two steps at once now and then, so that state is carried within a call as well as between calls
        rows = np.repeat(np.asarray(s.inputs)[None], 1 + seed % 2, 0)
        targets = None if s.target is None else np.repeat(np.asarray(s.target)[None], len(rows), 0)
        for core in (plain, fast):
            if s.reset:
                core.reset_sample()
            core.run(rows, label=s.label, targets=targets, learn=s.learn, adapt=True)
        found = plain.snapshot(0, s.learn, False).difference(fast.snapshot(0, s.learn, False))
        if found:
            return found
    assert plain.state.updates > 0
    return None


def test_equals_the_plain_core() -> None:
    """Every word: all readouts and depths, groups without a post, beyond the schedule table, saturated."""
    for case in CASES:
        assert difference(*case) is None, case


def test_a_wrong_word_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = compiled._shifts

    def wrong(config: NetworkConfig) -> Any:
        return real(config)._replace(trace_decay=real(config).trace_decay - 1)

    monkeypatch.setattr(compiled, "_shifts", wrong)
    found = difference((4, 7, 5), Readout.MEMBRANE, 2)
    assert found is not None
    assert "trace" in found


def test_a_watched_core_counts_and_stays_equal() -> None:
    config = NetworkConfig(layers=(4, 7, 5), groups=2, max_steps=8)
    case = make_case(config, 0, "RLLL")
    plain, fast = (kind(config, case.parameters, case.weights) for kind in (GoldenCore, CompiledCore))
    seen: list[str] = []
    fast.watch = lambda name, *_: seen.append(name)
    rows = np.stack([np.asarray(s.inputs) for s in case.stimuli])
    for core in (plain, fast):
        core.reset_sample()
        core.run(rows, label=1, learn=True)
    assert "trace_decay" in seen
    assert plain.snapshot(0, True, True).difference(fast.snapshot(0, True, True)) is None


def test_bad_requests_are_refused_as_by_the_plain_core() -> None:
    config = NetworkConfig(layers=(4, 7, 5), groups=2, max_steps=8)
    core = CompiledCore(config, make_case(config, 0, "RL").parameters)
    with pytest.raises(ValueError, match="label 5, allowed 0 to 4"):
        core.run(np.zeros((2, 4), dtype=np.int64), label=5, learn=True)
    config = config.with_(readout=Readout.TARGET)
    core = CompiledCore(config, make_case(config, 0, "RL").parameters)
    with pytest.raises(ValueError, match="needs a target"):
        core.run(np.zeros((2, 4), dtype=np.int64), learn=True)


@pytest.mark.parametrize("probe", [False, True])
def test_options_of_learning(probe: bool) -> None:
    """Samples that stop early and probes end with the plain core's words."""
    config = NetworkConfig(layers=(3, 5, 3), max_steps=8, surrogate_entries=16, early_stop=True, probe=True)
    case = make_case(config, 3, "RLLLLL")
    parameters = case.parameters.with_(schedule=tuple(range(8)), stop_points=1, stop_margin=-(1 << 20))
    plain, fast = (kind(config, parameters, case.weights) for kind in (GoldenCore, CompiledCore))
    rows = np.stack([s.inputs for s in case.stimuli])
    for core in (plain, fast):
        core.state.probe = probe
        core.run(rows, label=1, learn=True)
    assert plain.snapshot(0, True, False).difference(fast.snapshot(0, True, False)) is None
    assert plain.state.right == fast.state.right == (0 if probe else 1)
    assert plain.state.changes.tolist() == fast.state.changes.tolist()
    assert plain.state.changes.any() == probe
