"""Option filtered_surrogate in lockstep: H in the place of h, its words, clocks, limits and the sample reset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import FORMATS, Case, make_case, observed

from solsa.contract import NetworkConfig, Readout
from solsa.contract.cycles import predicted_cycles
from solsa.golden import GoldenCore
from solsa.sim.coverage import Observer
from solsa.sim.lockstep import Lockstep
from solsa.sim.pysim import PysimCore
from solsa.sim.readback import read_back

CONFIG = NetworkConfig(
    layers=(2, 3, 4, 2), lanes=2, groups=2, max_steps=8, surrogate_entries=4, frame_bytes=256, filtered_surrogate=True
)


def learning(config: NetworkConfig, pattern: str, *, lam: int, seed: int = 5) -> Case:
    """Case in which every step is scheduled, the readout forgets as ``lam`` says and h is never 0."""
    case = make_case(config, seed, pattern)
    p, top = case.parameters, config.formats.surrogate.max
    table = tuple(max(1, top >> i) for i in range(config.surrogate_entries))
    readout = tuple(lam if g == 0 else lam // 2 for g in range(config.groups))  # only that of group 0 counts
    changed = p.with_(schedule=tuple(range(config.max_steps)), surrogate=table, lam=(*p.lam[:-1], readout))
    return replace(case, parameters=changed)


@pytest.mark.parametrize(
    ("readout", "formats"), [(Readout.MEMBRANE, "default"), (Readout.SPIKE, "narrow"), (Readout.TARGET, "wide")]
)
def test_equals_golden(readout: Readout, formats: str) -> None:
    """Every word; no clock is added."""
    config = CONFIG.with_(readout=readout, formats=FORMATS[formats])
    case = learning(config, "RLLLL.LRLLL", lam=0xF000)
    run, observer = Lockstep(config, case.parameters, case.weights, PysimCore(config)), Observer(case)
    for one in observed(run, observer, case):
        if one.learn:
            assert run.backend.step_clocks == predicted_cycles(config.with_(filtered_surrogate=False)).adapting_step
    assert read_back(run) is None
    assert observer.counts["filtered_surrogate.kept"]
    assert observer.counts["filtered_surrogate.forgotten_by_reset"]


def test_saturates() -> None:
    """h is kept nearly whole for so long that H reaches its largest word, and stays there."""
    case = learning(CONFIG, "R" + 40 * "L", lam=0xFFFF)
    case = replace(case, parameters=case.parameters.with_(surrogate=(CONFIG.formats.surrogate.max,) * 4))
    run, observer = Lockstep(CONFIG, case.parameters, case.weights, PysimCore(CONFIG)), Observer(case)
    for one in case.stimuli:
        run.golden.watch = observer.watch
        assert run.step(one) is None
    assert observer.counts["saturate.surrogate_decay.high"]
    assert all((layer.surrogate == CONFIG.surrogate_word.max).all() for layer in run.golden.state.layers[:-1])


def test_is_the_sum_that_its_equation_says() -> None:
    """H[t] = sum over t' of lam^(t - t') h[t'] within the truncation, and hidden errors have it as their factor."""
    config = CONFIG.with_(layers=(2, 3, 2))
    case = learning(config, "RLLLLL", lam=0xC000)
    silent = case.parameters.with_(rate=((0, 0),) * 2)
    golden, plain = (
        GoldenCore(config.with_(filtered_surrogate=on), silent, [w.copy() for w in case.weights])
        for on in (True, False)
    )
    wanted = np.zeros(3)
    for one in case.stimuli:
        golden.step(one.inputs, label=one.label, target=one.target, learn=True)
        plain.step(one.inputs, label=one.label, target=one.target, learn=True)
        wanted = 0.75 * wanted + plain.state.layers[0].surrogate
        found = golden.state.layers[0].surrogate
        assert np.all(np.abs(found - wanted) <= 4)
        error = config.formats.weight.one * config.formats.delta.one
        exact = found * (golden.state.layers[1].weight.T @ golden.state.layers[1].delta) / error
        assert np.all(np.abs(golden.state.layers[0].delta - exact) <= 1 + found / config.formats.delta.one)
    assert golden.state.layers[0].gain.tolist() == plain.state.layers[0].gain.tolist()
