"""Memory integrity: a flipped bit is found where it is, named, and undone; without the scrub it would stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from toy_data import toy_arrays
from typer.testing import CliRunner

from solsa.contract import preset
from solsa.contract.registers import Register, Space
from solsa.host.cli import app
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.faulty import Faults
from solsa.host.golden_device import GoldenDevice
from solsa.host.network import Network
from solsa.host.recipe import default_recipe
from solsa.host.scrub import Fault, MemoryFault, ScrubbedDevice
from solsa.host.train import LearnResult, Progress, learn, start_network
from solsa.host.transport import longest_silence

CONFIG = preset("tiny").with_(layers=(3, 6, 2))
RECIPE = default_recipe(CONFIG).with_(rates=(0.02, 0.02), adapt_rates=(1e-3, 1e-3), epochs=2)
Upset = Callable[[GoldenDevice], object]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    np.savez(tmp_path / "toy.npz", **toy_arrays(n=20, steps=6))
    return load_dataset(str(tmp_path / "toy.npz"))


def loaded(device: Device, dataset: Dataset) -> Network:
    network = start_network(CONFIG, "toy", RECIPE, dataset, 1)
    device.load_network(network.current_parameters(), network.weights)
    return network


def trained(
    device: Device, dataset: Dataset, strike: Callable[[], object] = lambda: None, at: tuple[int, ...] = ()
) -> tuple[Network, LearnResult]:
    """Train; ``strike`` is called once after each sample that ``at`` names, training and test samples counted."""
    network = start_network(CONFIG, "toy", RECIPE, dataset, 1)
    left, count = set(at), 0

    def progress(_: Progress) -> None:
        nonlocal count
        count += 1
        if count in left:
            left.remove(count)
            strike()

    with device:
        result = learn(device, network, dataset, 2, progress)
    return network, result


def flip(layer: int, post: int, pre: int, bit: int) -> Upset:
    def strike(golden: GoldenDevice) -> None:
        weight = golden.memory.core.state.layers[layer].weight
        word = (int(weight[post, pre]) ^ 1 << bit) & 0xFFFF
        weight[post, pre] = word - (word >> 15 << 16)

    return strike


# -- found where it is ------------------------------------------------------------------------------------------------
def test_every_bit_of_a_weight_is_found_and_named(dataset: Dataset, seed: int) -> None:
    golden, rng = GoldenDevice(CONFIG), np.random.default_rng(seed)
    device = ScrubbedDevice(golden, CONFIG, "line")
    network = loaded(device, dataset)
    device.scrub()
    for bit in range(CONFIG.formats.weight.width):
        layer = int(rng.integers(CONFIG.depth))
        post, pre = int(rng.integers(CONFIG.post(layer))), int(rng.integers(CONFIG.pre(layer)))
        was = int(network.weights[layer][post, pre])
        strike = flip(layer, post, pre, bit)
        strike(golden)
        with pytest.raises(MemoryFault) as caught:
            device.scrub()
        now = int(golden.memory.core.state.layers[layer].weight[post, pre])
        what = f"weight of layer {layer}, post {post}, pre {pre}"
        assert caught.value.faults == [Fault(what, layer, post, pre, now, was)]
        assert str(caught.value) == f"memory of device line: {what} is {now}, must be {was} (bit {bit} flipped)"
        with pytest.raises(MemoryFault):
            device.read_weights()
        strike(golden)
        device.scrub()


@pytest.mark.parametrize(
    ("strike", "message"),
    [
        (lambda g: g.memory.write(Space.REGISTER, Register.A_MAX, np.array([7])), "register a_max is 7, must be "),
        (lambda g: g.memory.write(Space.REGISTER, Register.RNG, np.array([9])), "register rng is 9, must be "),
        (lambda g: g.memory.write(Space.SCHEDULE, 3, 1 - g.memory.read(Space.SCHEDULE, 3, 1)), "schedule table, 3 is "),
        (lambda g: g.memory.write(Space.SURROGATE, 2, np.array([1])), "surrogate table, 2 is 1, must be "),
    ],
    ids=["register", "random generator", "schedule", "surrogate"],
)
def test_other_words_are_named(dataset: Dataset, strike: Upset, message: str) -> None:
    golden = GoldenDevice(CONFIG)
    device = ScrubbedDevice(golden, CONFIG, "line")
    loaded(device, dataset)
    strike(golden)
    with pytest.raises(MemoryFault, match=message):
        device.scrub()
    with pytest.raises(MemoryFault, match=message):
        device.read_weights()


def test_several_words_and_a_passing_fault_are_told_apart(dataset: Dataset) -> None:
    golden = GoldenDevice(CONFIG)
    device = ScrubbedDevice(golden, CONFIG, "line")
    loaded(device, dataset)
    flip(0, 2, 1, 3)(golden)
    flip(1, 1, 4, 15)(golden)
    with pytest.raises(MemoryFault, match=r"layer 0, post 2, pre 1 is .*, and 1 more words$") as caught:
        device.scrub()
    assert [(f.layer, f.post, f.pre) for f in caught.value.faults] == [(0, 2, 1), (1, 1, 4)]
    loaded(device, dataset)
    run = golden.memory.core.step

    def disturbed(*args: object, **how: object) -> object:
        found = run(*args, **how)  # type: ignore[arg-type]
        golden.memory.core.state.score[1] += 5
        return found

    golden.memory.core.step = disturbed  # type: ignore[method-assign, assignment]
    with pytest.raises(MemoryFault, match="readout 1 of a sample is .*; no memory differs") as caught:
        device.run_sample(np.ones((6, 3), dtype=np.int8))
    assert caught.value.faults == []
    del golden.memory.core.step
    golden.memory.core.state.layers[1].membrane[0] += 5
    with pytest.raises(MemoryFault, match="no memory differs"):
        device.step(np.ones(3, dtype=np.int8))


# -- undone while it learns -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("at", [(5,), (17, 25), (20, 21, 41)], ids=str)
def test_learning_ends_with_the_same_bits(dataset: Dataset, at: tuple[int, ...]) -> None:
    perfect, expected = trained(Device.open("golden", CONFIG), dataset)
    golden = GoldenDevice(CONFIG)
    device = ScrubbedDevice(golden, CONFIG, "line")
    network, result = trained(device, dataset, lambda: flip(0, 4, 2, 14)(golden), at)
    assert network.sha256 == perfect.sha256
    assert [e["test_accuracy"] for e in result.history] == [e["test_accuracy"] for e in expected.history]
    assert len(device.found) == len(at)
    assert all((0, 4, 2) in [fault[1:4] for fault in found.faults] for found in device.found)
    # The checker sees what it is for: without it the flipped bit stays.
    spoiled = GoldenDevice(CONFIG)
    network, _ = trained(Device(spoiled, CONFIG, "line"), dataset, lambda: flip(0, 4, 2, 14)(spoiled), at)
    assert network.sha256 != perfect.sha256


def test_a_lying_line_and_a_flipped_bit_at_once(dataset: Dataset) -> None:
    perfect, _ = trained(Device.open("golden", CONFIG), dataset)
    faults = Faults(flip=0.006, drop=0.002, duplicate=0.002, disconnect=15, power=2, seed=5)
    device = ScrubbedDevice.open("golden", CONFIG, faults=faults)
    golden = device.link.transport._device  # type: ignore[attr-defined]
    network, _ = trained(device, dataset, lambda: flip(1, 1, 2, 13)(golden), (7,))
    assert network.sha256 == perfect.sha256
    assert device.link.reconnects > 3
    assert len(device.found) == 1


def test_a_cell_that_stays_broken_is_given_up(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = GoldenDevice(CONFIG)
    read = golden.memory.read

    def stuck(space: Space, index: int, count: int) -> np.ndarray:
        words = read(space, index, count)
        if space is Space.WEIGHT and index == 0:
            words[2] ^= 1 << 12
        return words

    monkeypatch.setattr(golden.memory, "read", stuck)
    message = r"weight of layer 0, post \d, pre \d is -?\d+, must be -?\d+ \(bit 12 flipped\)$"
    with pytest.raises(MemoryFault, match=message):
        trained(ScrubbedDevice(golden, CONFIG, "line"), dataset)


def test_the_option(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", **toy_arrays())
    command = ["learn", str(tmp_path / "toy.npz"), "--epochs", "1", "--scrub", "--json", str(tmp_path / "a.json")]
    done = CliRunner().invoke(app, command, env={"COLUMNS": "100", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    assert "every readout and all words as in the golden model" in done.output
    assert '"memory_faults": []' in (tmp_path / "a.json").read_text()


# -- in the memory of the compiled device -----------------------------------------------------------------------------
@pytest.mark.slow
def test_bits_flipped_in_the_simulated_memory(dataset: Dataset, seed: int) -> None:
    from solsa.sim.upset import UpsetDevice

    rng = np.random.default_rng(seed)
    perfect, _ = trained(Device.open("golden", CONFIG), dataset)
    simulated = UpsetDevice(CONFIG, silence=longest_silence(CONFIG))
    device = ScrubbedDevice(simulated, CONFIG, "sim")
    loaded(device, dataset)
    for _ in range(5):
        layer, bit = int(rng.integers(CONFIG.depth)), int(rng.integers(16))
        place = layer, int(rng.integers(CONFIG.post(layer))), int(rng.integers(CONFIG.pre(layer)))
        simulated.flip_weight(*place, bit)
        with pytest.raises(MemoryFault, match=rf"bit {bit} flipped") as caught:
            device.scrub()
        assert [fault[1:4] for fault in caught.value.faults] == [place]
        simulated.flip_weight(*place, bit)
        device.scrub()
    device.found.clear()
    network, _ = trained(device, dataset, lambda: simulated.flip_weight(0, 4, 2, 14), (6, 27))
    assert network.sha256 == perfect.sha256
    assert len(device.found) == 2
    with pytest.raises(ValueError, match="bit 16 of a weight"):
        simulated.flip_weight(0, 0, 0, 16)
