"""Learning over a line that lies: the same weights as over a perfect one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from toy_data import toy_arrays

from solsa.contract import ConfigError, NetworkConfig, preset
from solsa.contract.registers import Register, Space
from solsa.host import link as link_module
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.expected import StateLost
from solsa.host.faulty import Faults, FaultyLine
from solsa.host.golden_device import GoldenDevice
from solsa.host.network import Network
from solsa.host.recipe import default_recipe
from solsa.host.train import LearnResult, learn, start_network
from solsa.host.transport import DeviceError

CONFIG = preset("tiny").with_(layers=(3, 6, 2))
RECIPE = default_recipe(CONFIG).with_(rates=(0.02, 0.02), adapt_rates=(1e-3, 1e-3), epochs=2)
#: 1 % of all bytes wrong, and the cable falls out every 100 samples.
LYING = Faults(flip=0.006, drop=0.002, duplicate=0.002, disconnect=100, seed=3)
EVERYTHING = dataclasses.replace(LYING, cut=0.02, delay=0.02, split=0.1, disconnect=25)


def samples(folder: Path, count: int) -> Dataset:
    np.savez(folder / "toy.npz", **toy_arrays(n=count, steps=6))
    return load_dataset(str(folder / "toy.npz"))


def trained(
    device: Device, dataset: Dataset, config: NetworkConfig = CONFIG, every: int = 0
) -> tuple[Network, LearnResult]:
    network = start_network(config, "toy", RECIPE, dataset, 1)
    count = iter(range(1, 1 << 30))
    with device:
        result = learn(device, network, dataset, 2, due=lambda: bool(every) and next(count) % every == 0)
    return network, result


@pytest.mark.parametrize(
    ("faults", "count"),
    [(LYING, 300), (EVERYTHING, 60), (dataclasses.replace(EVERYTHING, seed=4), 60)],
    ids=["1 % and a disconnect per 100 samples", "everything", "everything again"],
)
def test_a_lying_line_changes_no_weight(tmp_path: Path, faults: Faults, count: int) -> None:
    dataset = samples(tmp_path, count)
    perfect, expected = trained(Device.open("golden", CONFIG), dataset)
    device = Device.open("golden", CONFIG, faults=faults)
    network, result = trained(device, dataset)
    assert network.sha256 == perfect.sha256
    assert (network.rng, network.shuffler) == (perfect.rng, perfect.shuffler)
    for name in ("test_accuracy", "train_accuracy"):
        assert getattr(result, name) == getattr(expected, name)
    total = 2 * (len(dataset.train) + len(dataset.test)) + len(dataset.train)
    assert device.link.reconnects == total // faults.disconnect > 3
    assert device.link.retries > total // 10


def test_a_device_that_loses_its_power_is_loaded_again(tmp_path: Path) -> None:
    dataset = samples(tmp_path, 60)
    perfect, expected = trained(Device.open("golden", CONFIG), dataset)
    faults = dataclasses.replace(EVERYTHING, disconnect=40, power=2)
    network, result = trained(Device.open("golden", CONFIG, faults=faults), dataset, every=10)
    assert network.sha256 == perfect.sha256
    assert [e["online_accuracy"] for e in result.history] == [e["online_accuracy"] for e in expected.history]


def test_a_device_that_always_loses_its_state_is_given_up(tmp_path: Path) -> None:
    """Without a read back in between the run would never end."""
    dataset = samples(tmp_path, 60)
    faults = Faults(disconnect=40, power=1)
    with pytest.raises(StateLost, match="has lost its state: "):
        trained(Device.open("golden", CONFIG, faults=faults), dataset)


@pytest.mark.slow
def test_the_simulated_device_over_a_lying_line(tmp_path: Path) -> None:
    dataset = samples(tmp_path, 12)
    perfect, _ = trained(Device.open("golden", CONFIG), dataset)
    device = Device.open("sim", CONFIG, faults=dataclasses.replace(LYING, split=0.1, disconnect=10))
    network, _ = trained(device, dataset)
    assert network.sha256 == perfect.sha256
    assert device.link.reconnects >= 4


# -- the checkers see what they are for -------------------------------------------------------------------------------
def test_a_device_that_executes_a_repeated_request_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: sequence numbers are not looked at, so that a request that is sent again runs again."""
    dataset = samples(tmp_path, 60)
    perfect, _ = trained(Device.open("golden", CONFIG), dataset)
    reply = GoldenDevice._reply

    def forgetful(device: GoldenDevice, encoded: bytes) -> bytes:
        device._sequence = 0
        return reply(device, encoded)

    monkeypatch.setattr(GoldenDevice, "_reply", forgetful)
    network, _ = trained(Device.open("golden", CONFIG, faults=dataclasses.replace(LYING, disconnect=0)), dataset)
    assert network.sha256 != perfect.sha256


def _plugged(faults: Faults = Faults()) -> tuple[Device, FaultyLine, GoldenDevice]:  # noqa: B008
    golden = GoldenDevice(CONFIG)
    line = FaultyLine(lambda: golden, faults)
    return Device(line, CONFIG, "line", 0.05, reopen=line.reopen, pause=0.0), line, golden


@pytest.mark.parametrize("place", ["register", "updates", "step", "power"])
def test_another_state_after_a_disconnection_is_noticed(tmp_path: Path, place: str) -> None:
    device, line, golden = _plugged()
    network = start_network(CONFIG, "toy", RECIPE, samples(tmp_path, 8), 1)
    device.load_network(network.current_parameters(), network.weights)
    x = np.ones((6, 3), dtype=np.int8)
    device.run_sample(x, 0, learn=True)
    line._down = True
    device.read_register("rng")  # nothing happened to the device: all is well
    assert device.link.reconnects == 1
    line._down = True
    if place == "register":
        golden.memory.write(Space.REGISTER, Register.A_MAX, np.array([7]))
    elif place == "updates":
        golden.memory.core.state.updates += 1
    elif place == "step":
        golden.memory.core.state.step = 2
    else:
        golden.__init__(CONFIG)  # type: ignore[misc]
    with pytest.raises(StateLost, match="device line is back, but has lost its state: "):
        device.read_register("rng")
    device.load_network(network.current_parameters(), network.weights)
    line._down = True
    device.run_sample(x, 0, learn=True)


def test_another_device_after_a_disconnection_is_refused() -> None:
    golden = [GoldenDevice(CONFIG), GoldenDevice(preset("tiny"))]
    line = FaultyLine(lambda: golden[0], Faults())
    device = Device(line, CONFIG, "line", 0.05, reopen=line.reopen, pause=0.0)
    line._down, line._device = True, golden[1]
    with pytest.raises(DeviceError, match="another device answers in its place") as caught:
        device.read_register("rng")
    assert not isinstance(caught.value, StateLost)


def test_a_device_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    golden = GoldenDevice(CONFIG)
    line = FaultyLine(lambda: golden, Faults())
    device = Device(line, CONFIG, "line", 0.05, reopen=line.reopen, pause=0.0, patience=0.05)
    monkeypatch.setattr("solsa.host.faulty._NOT_YET", 1.0)
    line._down = True
    with pytest.raises(DeviceError, match=r"^the cable has fallen out; it did not come back \(not there yet\)$"):
        device.read_register("rng")


def test_a_babbling_device_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Babble(GoldenDevice):
        def receive(self, timeout: float) -> bytes:
            return b"\x05\x05\x00"

    monkeypatch.setattr(link_module, "MOST_ATTEMPTS", 10)
    with pytest.raises(DeviceError, match="cannot be understood: INFO was sent 10 times"):
        Device(Babble(CONFIG), CONFIG, "line", 0.05)


def test_a_line_without_an_end_of_frame_is_not_listened_to_for_ever() -> None:
    class Endless(GoldenDevice):
        def receive(self, timeout: float) -> bytes:
            return b"\x05" * 4096

    with pytest.raises(DeviceError, match="INFO was sent"):
        Device(Endless(CONFIG), CONFIG, "line", 5.0)


def test_frames_get_shorter_on_a_bad_line_and_long_again() -> None:
    device, line, _ = _plugged()
    assert device.link.frame_bytes > CONFIG.frame_bytes
    line._faults = Faults(flip=0.02)
    for _ in range(50):
        device.read_words(Space.REGISTER, 0, 16)
    assert device.link.frame_bytes < 60
    line._faults = Faults()
    for _ in range(6000):
        device.read_register("rng")
    assert device.link.frame_bytes > CONFIG.frame_bytes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flop=1", "unknown fault 'flop', allowed flip=N, drop=N"),
        ("flip", "flip='' is not a number"),
        ("flip=2", "flip=2.0, allowed 0 to 0.2"),
        ("flip=nan", "flip=nan, allowed 0 to 0.2"),
        ("disconnect=-1", "disconnect=-1, allowed are 0 and more"),
        ("", "unknown fault ''"),
    ],
)
def test_wrong_faults_are_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Faults.parse(text)
    assert message in str(caught.value)
    assert Faults.parse("flip=0.01, disconnect=100") == Faults(flip=0.01, disconnect=100)
