"""Option normalise on the host: recipes, the running means on a device, in files and over a resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from solsa.contract import ConfigError, NetworkConfig, Parameters
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.network import Network, NetworkError
from solsa.host.recipe import default_recipe
from solsa.host.scheduling import with_options
from solsa.host.train import first_difference, learn, start_network

CONFIG = NetworkConfig(layers=(2, 4, 2), lanes=2, groups=2, max_steps=8, surrogate_entries=16, frame_bytes=128)
RECIPE = default_recipe(CONFIG).with_(rates=(0.02, 0.02), updates=3, epochs=4)
OWN = RECIPE.with_(normalise=(2.0**-6, 0.0), normalise_limit=3)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two classes: the channel that goes up."""
    rng, labels = np.random.default_rng(1), np.arange(16) % 2
    x = rng.normal(0, 0.3, (16, 6, 2))
    x[np.arange(16), :, labels] += np.linspace(0, 2, 6)
    np.savez(tmp_path / "up.npz", X=x[:12], y=labels[:12], X_test=x[12:], y_test=labels[12:])
    return load_dataset(str(tmp_path / "up.npz"))


def begun(data: Dataset) -> Network:
    config, name = with_options(CONFIG, "2-4-2", OWN)
    assert name == "2-4-2+normalise"
    return start_network(config, name, OWN, data, 0)


def run(network: Network, data: Dataset, epochs: int) -> list[list[int]]:
    """Means after a run on a device that has learned something else before."""
    with Device.open("golden", network.config) as device:
        other = begun(data)
        learn(device, other, data, 1)
        learn(device, network, data, epochs)
        assert [m.tolist() for m in device.read_mean_errors()] == [m.tolist() for m in network.mean_errors]
    return [m.tolist() for m in network.mean_errors]


def test_a_recipe_gives_the_registers() -> None:
    config = CONFIG.with_(normalise=True)
    # 2**-6 of delta's 14 fraction bits and 8 more is 2**16, which takes 17 bits
    assert OWN.parameters(config, (0,)).norm == ((17, 3), (0, 0))
    assert RECIPE.parameters(config, (0,)).norm == ((16, 2), (0, 0))
    assert OWN.parameters(CONFIG, (0,)).norm == ()
    assert RECIPE.to_dict() == RECIPE.with_(normalise=(), normalise_limit=2).to_dict()
    assert "normalise" not in RECIPE.to_dict()
    assert type(OWN).from_dict(OWN.to_dict()) == OWN
    plain = OWN.parameters(config, (0,))
    assert Parameters.from_dict(plain.to_dict()) == plain
    with pytest.raises(ConfigError, match="norm needs a configuration with normalise, such as preset"):
        plain.check(CONFIG)
    with pytest.raises(ConfigError, match=r"norm reference of layer 1 is 32, allowed 0 to 31"):
        plain.with_(norm=((0, 0), (32, 0))).check(config)
    with pytest.raises(ConfigError, match="norm has 1 layers, the network has 2"):
        plain.with_(norm=((0, 0),)).check(config)
    with pytest.raises(ConfigError, match="norm_shift is 9, allowed 0 to 8"):
        plain.with_(norm_shift=9).check(config)
    with pytest.raises(ConfigError, match="allowed are mean errors from 0 to 1"):
        RECIPE.with_(normalise=(2.0,))


def test_the_means_live_as_long_as_the_network(dataset: Dataset, tmp_path: Path) -> None:
    """Zero at the start of a run whatever the device did before; kept over epochs and by a file, with the same bits."""
    whole = begun(dataset)
    means = run(whole, dataset, 3)
    assert np.concatenate(means).all()
    half = begun(dataset)
    run(half, dataset, 1)
    half.save(tmp_path / "half.npz")
    again = Network.load(tmp_path / "half.npz")
    assert [m.tolist() for m in again.mean_errors] == [m.tolist() for m in half.mean_errors]
    assert run(again, dataset, 3) == means
    assert first_difference(again, whole, "x") is None
    again.mean_errors[1][1] += 1
    found = first_difference(again, whole, "x")
    assert found == (
        f"running mean of |delta| of layer 1, post 1: {means[1][1] + 1} on x, {means[1][1]} in the golden model"
    )


def test_the_option_changes_what_is_learned(dataset: Dataset) -> None:
    on, off = begun(dataset), begun(dataset)
    off.parameters = off.parameters.with_(norm=())
    run(on, dataset, 1)
    run(off, dataset, 1)
    assert on.sha256 != off.sha256


def test_a_file_with_other_means_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    network = begun(dataset)
    run(network, dataset, 1)
    network.mean_errors[0] = network.mean_errors[0][:2]
    network.save(tmp_path / "bad.npz")
    with pytest.raises(NetworkError, match="the running means do not have the shapes"):
        Network.load(tmp_path / "bad.npz")
