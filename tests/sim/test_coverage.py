"""Functional coverage: points are counted for what happened, and what did not happen is reported."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from cobs import cobs
from networks import NARROW

from solsa.contract import NetworkConfig, Overflow, Readout, make_parameters
from solsa.contract.wire import REPLY_FLAG, Status, seal
from solsa.golden import GoldenCore
from solsa.host.golden_device import GoldenDevice
from solsa.sim.coverage import _LINK, POINTS, STORES, Observer, report
from solsa.sim.random_networks import Case
from solsa.sim.records import StepInput
from solsa.sim.requests import Traffic
from solsa.sim.strategies import random_case

CONFIG = NetworkConfig(layers=(3, 4, 2), lanes=2, groups=2, max_steps=4, surrogate_entries=4, frame_bytes=128)


def observe(case: Case) -> Counter[str]:
    """Points of a case on the golden model alone."""
    observer, golden = Observer(case), GoldenCore(case.config, case.parameters, case.weights)
    golden.watch = observer.watch
    for one in case.stimuli:
        if one.reset:
            golden.reset_sample()
        trace = golden.step(one.inputs, label=one.label, target=one.target, learn=one.learn, adapt=one.adapt)
        assert trace is not None
        observer.step(one, trace)
    return observer.counts


def _case(inputs: list[int], *, learn: bool = True, weight: int = 500, formats: object = None) -> Case:
    config = CONFIG.with_(formats=formats) if formats else CONFIG
    parameters = make_parameters(config, a=(0.5, 0.7), lam=(0.5, 0.7), rates=(0.01, 0.01), schedule=(1,))
    weights = [np.full((config.post(i), config.pre(i)), weight, dtype=np.int64) for i in range(config.depth)]
    steps = [StepInput(np.full(3, x, dtype=np.int64), 0, None, i == 0, learn, True) for i, x in enumerate(inputs)]
    return Case(config, parameters, weights, steps)


def test_every_store_of_the_number_table_has_points() -> None:
    """A row that may saturate or clip is watched; gain_decay from above only, k = lam is never negative."""
    rows = {op.name for op in CONFIG.formats.operations().values() if op.overflow is not Overflow.NONE}
    assert rows - set(STORES) == {"gain_decay"}
    assert len(set(POINTS)) == len(POINTS)


def test_what_happened_is_counted() -> None:
    """A quiet learning sample hits its points, with the number of steps, and no other."""
    counts = observe(_case([0, 0, 5]))
    assert counts["step.learning"] == counts["schedule.partial"] == 3
    assert counts["step.scheduled"] == counts["readout.membrane"] == counts["step.adapting"] == 1
    assert counts["input.silent"] == 2
    assert counts["step.sample_reset"] == 1
    assert not counts["step.inference"]
    assert not counts["input.all_highest"]
    assert not [point for point in counts if point.startswith("saturate") and counts[point]]


def test_saturation_is_counted_where_it_happens() -> None:
    """Narrow words and large inputs clamp currents from above, and nothing from below."""
    counts = observe(_case([31] * 4, weight=127, formats=NARROW))
    assert counts["saturate.current_decay.high"]
    assert counts["saturate.filter_decay.high"]
    assert not counts["saturate.current_decay.low"]
    fmt = NARROW.input
    counts = observe(_case([fmt.max] * 4 + [fmt.min, fmt.max], weight=-128, formats=NARROW))
    assert counts["saturate.current_decay.low"]
    assert counts["input.alternating"] == 2
    assert counts["input.all_highest"] == 5


def test_a_planted_hole_is_reported() -> None:
    """Random networks without the target readout, and without silent inputs: the report names both holes."""
    total: Counter[str] = Counter()
    for index in (0, 1, 3, 4):  # index 2 and 5 would have it
        case = random_case(7, index, steps=40)
        loud = [one for one in case.stimuli if one.inputs.any()]
        assert case.config.readout is not Readout.TARGET
        total.update(observe(Case(case.config, case.parameters, case.weights, loud)))
    found = report(total)
    assert {"readout.target", "saturate.target_error.high", "input.silent"} <= set(found["uncovered"])  # type: ignore[call-overload]
    assert 0 < found["coverage_percent"] < 100  # type: ignore[operator]
    full = report(Counter(POINTS))
    assert (full["uncovered"], full["coverage_percent"]) == ([], 100)


def test_an_unknown_point_is_refused() -> None:
    """A typing error in a point's name must not look like a hole."""
    with pytest.raises(ValueError, match="softmax.sure"):
        report(Counter({"softmax.sure": 1}))


class Loop(GoldenDevice):
    """A second golden device, with a fault if asked for."""

    refuses = Status.BAD_LENGTH

    def receive(self, timeout: float) -> bytes:
        frame = super().receive(timeout)
        body = bytearray(cobs.decode(frame[:-1])[:-4])
        if body[1] == 7 | REPLY_FLAG and body[2] == Status.BAD_ADDRESS:
            body[2] = self.refuses
        return cobs.encode(seal(bytes(body))) + b"\0"


@pytest.mark.parametrize("readout", Readout, ids=lambda r: r.value)
def test_random_requests_reach_every_point_of_the_link(readout: Readout) -> None:
    """Against the golden device itself: nothing differs, every opcode and every reply occurs."""
    config = CONFIG.with_(readout=readout)
    traffic = Traffic(config, GoldenDevice(config), GoldenDevice(config), np.random.default_rng(3))
    assert traffic.run(4000) is None
    assert [point for point in _LINK if not traffic.counts[point]] == []
    assert set(traffic.counts) <= set(POINTS)
    assert traffic.requests == 4000


@pytest.mark.parametrize("answer", [b"", b"\0", b"\5\1\0", b"\2\7\0"])
def test_no_reply_and_nonsense_are_found(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is silent or sends what is no frame."""
    monkeypatch.setattr(Loop, "receive", lambda self, timeout: answer)
    traffic = Traffic(CONFIG, GoldenDevice(CONFIG), Loop(CONFIG), np.random.default_rng(3))
    assert str(traffic.run(10)).startswith("request 0 ")


def test_a_wrong_reply_is_found() -> None:
    """Planted bug: a device that takes a bad address for a bad length."""
    traffic = Traffic(CONFIG, GoldenDevice(CONFIG), Loop(CONFIG), np.random.default_rng(3))
    found = traffic.run(4000)
    assert found is not None
    assert found.startswith(f"request {traffic.requests - 1} ")
    assert "expected" in found
