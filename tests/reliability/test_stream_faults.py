"""Samples sent ahead of the core (option ``stream``) over a line that lies: the same weights, each learned once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cobs import cobs
from toy_data import toy_arrays

from reliability.stream_fuzz import CONFIG as SMALL
from reliability.stream_fuzz import StreamFuzz
from solsa.contract import NetworkConfig, make_parameters, preset
from solsa.contract.wire import Opcode, unpack_request
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device, DeviceError, Sample
from solsa.host.faulty import Faults, FaultyLine
from solsa.host.golden_device import GoldenDevice
from solsa.host.network import Network
from solsa.host.recipe import default_recipe
from solsa.host.stream import Flight
from solsa.host.train import LearnResult, learn, start_network
from solsa.host.transport import longest_silence
from solsa.sim.device import SimulatedDevice

CONFIG = preset("tiny").with_(layers=(3, 6, 2), stream=True)
RECIPE = default_recipe(CONFIG).with_(rates=(0.02, 0.02), adapt_rates=(1e-3, 1e-3), epochs=2)
#: Good enough a line to send ahead on it.
SOME = Faults(flip=2e-4, drop=1e-4, duplicate=1e-4, cut=0.004, delay=0.004, split=0.1, seed=5)

Perfect = tuple[Network, LearnResult]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    file = tmp_path_factory.mktemp("stream") / "toy.npz"
    np.savez(file, **toy_arrays(n=40, steps=6))
    return load_dataset(str(file))


@pytest.fixture(scope="module")
def perfect(dataset: Dataset) -> Perfect:
    """A training without a line."""
    return trained(Device.open("golden", CONFIG), dataset)


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Requests under way, seen whenever one is sent ahead."""
    seen: list[int] = []
    post = Flight.post

    def counted(flight: Flight, payload: bytes) -> None:
        post(flight, payload)
        seen.append(flight._waiting)

    monkeypatch.setattr(Flight, "post", counted)
    return seen


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One for every time a network is loaded."""
    seen: list[int] = []
    load = Device.load_network

    def counted(device: Device, *what: Any) -> None:
        load(device, *what)
        seen.append(1)

    monkeypatch.setattr(Device, "load_network", counted)
    return seen


def trained(
    device: Device, dataset: Dataset, every: int = 0, config: NetworkConfig = CONFIG
) -> tuple[Network, LearnResult]:
    network = start_network(config, "toy", RECIPE, dataset, 1)
    count = iter(range(1, 1 << 30))
    with device:
        result = learn(device, network, dataset, 2, due=lambda: bool(every) and next(count) % every == 0)
    return network, result


def plugged(faults: Faults = Faults()) -> tuple[Device, FaultyLine, GoldenDevice]:  # noqa: B008
    golden = GoldenDevice(CONFIG)
    line = FaultyLine(lambda: golden, faults)
    return Device(line, CONFIG, "line", 0.05, reopen=line.reopen, pause=0.0), line, golden


@pytest.mark.parametrize(
    "faults",
    [Faults(), SOME, dataclasses.replace(SOME, disconnect=20), dataclasses.replace(SOME, disconnect=7, seed=8)],
    ids=["none", "bytes", "disconnections", "many"],
)
def test_a_lying_line_changes_no_weight(dataset: Dataset, perfect: Perfect, posted: list[int], faults: Faults) -> None:
    device = Device.open("golden", CONFIG, faults=faults)
    network, result = trained(device, dataset, every=17)
    assert network.sha256 == perfect[0].sha256
    assert (network.rng, network.shuffler) == (perfect[0].rng, perfect[0].shuffler)
    for name in ("test_accuracy", "train_accuracy", "steps"):
        assert getattr(result, name) == getattr(perfect[1], name)
    assert [e["online_accuracy"] for e in result.history] == [e["online_accuracy"] for e in perfect[1].history]
    assert max(posted) == device.link.flight.window == 15
    assert (device.link.retries > 5) == (faults.flip > 0)
    assert (device.link.reconnects > 4) == (faults.disconnect > 0)


def test_a_device_that_loses_its_power_is_loaded_again(dataset: Dataset, perfect: Perfect, posted: list[int]) -> None:
    faults = dataclasses.replace(SOME, disconnect=40, power=2)
    network, result = trained(Device.open("golden", CONFIG, faults=faults), dataset, every=10)
    assert network.sha256 == perfect[0].sha256
    assert [e["online_accuracy"] for e in result.history] == [e["online_accuracy"] for e in perfect[1].history]
    assert posted


@pytest.mark.parametrize("number", [1, 2, 255])
def test_a_reset_that_nobody_announces_is_noticed(
    dataset: Dataset, perfect: Perfect, loads: list[int], number: int
) -> None:
    """The port stays; whatever number comes next, a device that was reset does not take it for the following one."""
    device, _, golden = plugged()
    device.link._sequence = (number + 255 - len(device._entries) - 10) % 255
    reply, resets = golden._reply, 0

    def reset(encoded: bytes) -> bytes:
        nonlocal resets
        request = unpack_request(cobs.decode(encoded))
        if (request.opcode, request.sequence, resets) == (Opcode.STREAM, number, 0):
            resets += 1
            golden.__init__(CONFIG)  # type: ignore[misc]
        return reply(encoded)

    golden._reply = reset  # type: ignore[method-assign]
    network, _ = trained(device, dataset, every=25)
    assert resets == 1
    assert len(loads) == 2
    assert network.sha256 == perfect[0].sha256


def samples(count: int) -> list[Sample]:
    rng = np.random.default_rng(3)
    return [
        Sample(rng.integers(-60, 60, (int(rng.integers(1, 90)), 3)), n % 2, n % 3 > 0, window=(0, 3, 80, 9, 1)[n % 5])
        for n in range(count)
    ]


def loaded(device: Device, dataset: Dataset) -> Device:
    network = start_network(CONFIG, "toy", RECIPE, dataset, 1)
    device.load_network(network.current_parameters(), network.weights)
    return device


def test_samples_longer_than_a_frame_and_windows(dataset: Dataset, posted: list[int]) -> None:
    one, ahead = loaded(Device.open("golden", CONFIG), dataset), loaded(plugged()[0], dataset)
    expected = [one.run_sample(s.inputs, s.label, learn=s.learn, window=s.window).tolist() for s in samples(30)]
    assert [scores.tolist() for scores in ahead.run_samples(samples(30))] == expected
    assert len(posted) > 30
    assert [w.tolist() for w in ahead.read_weights()] == [w.tolist() for w in one.read_weights()]


def test_the_device_may_be_asked_in_between(dataset: Dataset) -> None:
    """What is under way is waited for, and its readouts still come."""
    one, ahead = loaded(Device.open("golden", CONFIG), dataset), loaded(plugged()[0], dataset)
    expected = [one.run_sample(s.inputs, s.label, learn=s.learn, window=s.window).tolist() for s in samples(40)]
    found, updates = [], []
    for scores in ahead.run_samples(samples(40)):
        found.append(scores.tolist())
        updates.append(ahead.read_register("updates"))
    assert found == expected
    assert updates == sorted(updates)
    assert updates[-1] == one.read_register("updates")


@pytest.mark.parametrize("how", ["break", "error", "wrong sample"])
def test_readouts_that_nobody_takes_are_waited_for(dataset: Dataset, how: str) -> None:
    device, _, golden = plugged()
    loaded(device, dataset)

    def given() -> Iterator[Sample]:
        yield from samples(20)
        if how == "wrong sample":
            yield Sample(np.ones((3, 4), dtype=np.int64))
        if how == "error":
            raise KeyboardInterrupt

    run: Any = device.run_samples(given())
    if how == "break":
        next(run)
        run.close()
    elif how == "error":
        with pytest.raises(KeyboardInterrupt):
            list(run)
    else:
        with pytest.raises(DeviceError, match=r"^inputs of shape \(3, 4\), allowed \[steps, 3\]$"):
            list(run)
    assert device.link.flight._posted
    assert device.read_register("updates") == golden.memory.core.state.updates
    assert not device.link.flight._posted
    assert len(list(device.run_samples(samples(5)))) == 5


def test_a_refused_request_is_one_line(dataset: Dataset) -> None:
    device, _, golden = plugged()
    loaded(device, dataset)
    golden.config = CONFIG.with_(layers=(3, 6, 1))  # refuses class 1
    with pytest.raises(DeviceError, match="device line refused STREAM: value outside what the register"):
        list(device.run_samples(samples(4)))


# -- the checkers see what they are for -------------------------------------------------------------------------------
@pytest.mark.parametrize("bug", ["order", "kept", "none"])
def test_a_device_that_breaks_a_rule_is_noticed(
    dataset: Dataset, perfect: Perfect, loads: list[int], monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    """Planted: every STREAM counts as in order, so that one is executed before a lost one; no reply is kept.

    Replies that got lost are then gone, and the network is loaded again; else they are asked for.
    """
    reply = GoldenDevice._reply

    def wrong(device: GoldenDevice, encoded: bytes) -> bytes:
        if bug == "kept":
            device._kept.clear()
        return reply(device, encoded)

    monkeypatch.setattr(GoldenDevice, "_reply", wrong)
    if bug == "order":
        monkeypatch.setattr("solsa.host.golden_device.follows", lambda sequence, last: True)
        network, _ = trained(Device.open("golden", CONFIG, faults=SOME), dataset)
        assert network.sha256 != perfect[0].sha256
    else:
        receive, lost = GoldenDevice.receive, []

        def lossy(device: GoldenDevice, timeout: float) -> bytes:
            data = receive(device, timeout)
            if len(data) < 100 or lost:
                return data
            lost.append(data)
            return data[:-50]  # the last replies

        monkeypatch.setattr(GoldenDevice, "receive", lossy)
        network, _ = trained(plugged()[0], dataset, every=10)
        assert network.sha256 == perfect[0].sha256
        assert lost
        assert (len(loads) > 1) == (bug == "kept")


def test_the_simulated_device_takes_samples_ahead(dataset: Dataset, posted: list[int]) -> None:
    """Bursts of random requests, and a training over a line with faults, on the compiled RTL of one configuration."""
    device = SimulatedDevice(SMALL, pins=False, silence=longest_silence(SMALL))
    StreamFuzz(device, GoldenDevice(SMALL), np.random.default_rng(1), SMALL).run(200)
    device.close()
    rng = np.random.default_rng(2)
    given = [Sample(rng.integers(-60, 60, (n % 9 + 1, 2)), n % 2, n % 3 > 0, window=n % 4) for n in range(40)]
    found = []
    for where, faults in (("golden", None), ("sim", None), ("sim", dataclasses.replace(SOME, disconnect=15))):
        opened = Device.open(where, SMALL, faults=faults)
        parameters = make_parameters(
            SMALL, a=(0.5,), lam=(0.6,), rates=(0.01, 0.01), adapt_rates=(1e-4, 1e-4), schedule=(0, 2)
        )
        opened.load_network(parameters, [np.full((2, 2), 3000), np.full((2, 2), -2000)])
        scores = [scores.tolist() for scores in opened.run_samples(given)]
        found.append((scores, [w.tolist() for w in opened.read_weights()], opened.read_filter_constants()))
        opened.close()
    assert posted
    assert found[0] == found[1] == found[2]
