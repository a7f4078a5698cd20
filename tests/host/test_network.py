"""Network files: exact round trip, atomic, every wrong file refused in one line."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_data import toy_arrays

from solsa.contract import ConfigError, preset
from solsa.host.calibrate import DRIVE, HIDDEN, RATES, READOUT, traces
from solsa.host.data import Dataset, load_dataset
from solsa.host.device import Device
from solsa.host.files import OutputError, check_file, make_folder, write_atomically
from solsa.host.network import Network, NetworkError, weight_sha256
from solsa.host.recipe import RECIPES, Recipe, default_recipe, initial_weights, recipe_for
from solsa.host.start import plan_for
from solsa.host.train import start_network

CONFIG = preset("tiny").with_(layers=(3, 5, 2))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    np.savez(tmp_path / "toy.npz", **toy_arrays())
    return load_dataset(str(tmp_path / "toy.npz"))


@pytest.fixture
def network(dataset: Dataset) -> Network:
    made = start_network(CONFIG, "3-5-2", default_recipe(CONFIG).with_(epochs=3), dataset, 7)
    made.epochs_done = 1
    made.history.append({"epoch": 1, "online_accuracy": 0.5, "test_accuracy": 0.25, "seconds": 1.5})
    return made


def test_what_is_read_is_what_was_written(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "a.npz")
    again = Network.load(tmp_path / "a.npz")
    for name in ("config", "preset", "recipe", "parameters", "constants", "rng", "shuffler", "dataset", "class_names",
                 "seed", "epochs_done", "history", "sha256"):  # fmt: skip
        assert getattr(again, name) == getattr(network, name), name
    assert [w.tolist() for w in again.weights] == [w.tolist() for w in network.weights]
    assert again.weights[0].dtype == np.int64
    assert again.quantiser.mean.tolist() == network.quantiser.mean.tolist()
    assert again.current_parameters() == network.current_parameters()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "toy.npz"]  # no temporary file stays


def test_rates_go_on_where_they_were(network: Network) -> None:
    now = network.current_parameters()
    assert now.rate == network.recipe.parameters(CONFIG, (), 1).rate != network.parameters.rate
    assert now.a == tuple(tuple(row) for row in network.constants)


def test_the_sha256_is_over_words_in_layer_order() -> None:
    weights = [np.array([[1, -2]]), np.array([[3], [4]])]
    data = struct.pack("<4i", 1, -2, 3, 4) + struct.pack("<2I", 5, 0xFFFFFF)
    assert weight_sha256(weights, [[5], [0xFFFFFF]]) == hashlib.sha256(data).hexdigest()


def _meta(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    arrays = dict(np.load(path))
    meta = json.loads(arrays["meta"].tobytes())
    change(meta)
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(path, **arrays)


def _array(path: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    arrays = dict(np.load(path))
    arrays[name] = change(arrays[name])
    np.savez(path, **arrays)


def _bytes(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _pickled(path: Path) -> None:
    np.savez(path, meta=np.array([{}], dtype=object))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "no such network file"),
        (lambda p: p.write_bytes(b""), "not a network file of solsa, or damaged"),
        (lambda p: p.write_text("hello"), "not a network file of solsa, or damaged"),
        (lambda p: np.savez(p, **toy_arrays()), "not a network file of solsa, or damaged"),
        (lambda p: np.save(p.open("wb"), np.zeros(3)), "not a network file of solsa, or damaged"),
        (_pickled, "not a network file of solsa, or damaged"),
        (lambda p: _bytes(p, lambda b: b[: len(b) // 2]), "not a network file of solsa, or damaged"),
        (lambda p: _bytes(p, lambda b: b[:400] + bytes([b[400] ^ 255]) + b[401:]), "damaged"),
        (lambda p: _meta(p, lambda m: m.update(kind="other")), "not a network file of solsa"),
        (lambda p: _meta(p, lambda m: m.update(version=3)), "network file version 3, this solsa reads 1 to 2"),
        (lambda p: _meta(p, lambda m: m.update(config_hash="12345678")), "another contract version"),
        (lambda p: _meta(p, lambda m: m["config"].update(lanes=3)), "3 lanes, allowed a power of two"),
        (lambda p: _meta(p, lambda m: m["parameters"].update(rho=[0])), "rho has 1 layers, the network has 2"),
        (lambda p: _meta(p, lambda m: m["recipe"].update(x=1)), "recipe: unknown key 'x'"),
        (lambda p: _meta(p, lambda m: m.pop("rng")), "damaged (KeyError: 'rng')"),
        (lambda p: _array(p, "weight0", lambda w: w[:, :2]), "the arrays do not have the shapes of the configuration"),
        (lambda p: _array(p, "weight1", lambda w: w + 1), "the weights do not match their SHA-256"),
        (lambda p: _array(p, "constants", lambda a: a + 1), "the weights do not match their SHA-256"),
        (lambda p: _array(p, "quantiser_std", lambda s: -s), "quantiser: mean and std must be finite and std not"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(
    network: Network, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "a.npz"
    network.save(path)
    spoil(path)
    with pytest.raises(NetworkError) as caught:
        Network.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_must_be_of_the_same_kind(network: Network, tmp_path: Path) -> None:
    arrays = toy_arrays(channels=4)
    np.savez(tmp_path / "wide.npz", **arrays)
    with pytest.raises(NetworkError, match="wide has 4 channels, the network was trained on 3"):
        network.check_dataset(load_dataset(str(tmp_path / "wide.npz")))
    np.savez(tmp_path / "named.npz", **toy_arrays() | {"classes": np.array(["a", "b"])})
    with pytest.raises(NetworkError, match="named has the classes a, b, the network was trained on 0, 1"):
        network.check_dataset(load_dataset(str(tmp_path / "named.npz")))


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def fail(out: Any) -> None:
        out.write(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, fail)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_paths_are_checked_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_file(tmp_path / "new.json", "--json")
    check_file(None, "--json")
    make_folder(tmp_path / "a" / "b", "--out")
    assert (tmp_path / "a" / "b").is_dir()
    for path, message in ((tmp_path, "is a folder"), (tmp_path / "x" / "y", "does not exist")):
        with pytest.raises(OutputError, match=f"--json .*{message}"):
            check_file(path, "--json")
    with pytest.raises(OutputError, match="--out .*cannot be made a folder"):
        make_folder(tmp_path / "file", "--out")


# -- recipe -----------------------------------------------------------------------------------------------------------
def test_start_weights_depend_on_the_seed_alone_and_have_the_spread() -> None:
    config, recipe = preset("vowels"), RECIPES["JapaneseVowels"].with_(weight_sd=(0.2, 0.05))
    first, again, other = (initial_weights(config, recipe, seed) for seed in (3, 3, 4))
    assert [w.tolist() for w in first] == [w.tolist() for w in again] != [w.tolist() for w in other]
    for weights, sd in zip(first, (0.2, 0.05), strict=True):
        real = weights / config.formats.weight.one
        assert np.std(real) == pytest.approx(sd, rel=0.05)
        assert abs(np.mean(real)) < 0.1 * sd
    assert first[0][0, :4].tolist() == [-2352, -1494, 1710, 466]  # stored: not to change with NumPy or the machine


def test_a_recurrent_network_is_kept_whole_and_learns(tmp_path: Path) -> None:
    network = Network.create((3, 4, 2), recurrent=True, lanes=2)
    assert [w.shape for w in network.weights] == [(4, 3 + 4), (2, 4)]
    start = [w.copy() for w in network.weights]
    with Device.open("golden", network) as device:
        device.partial_fit(np.random.default_rng(0).normal(0, 2, (8, 6, 3)), [0, 1] * 4)
        learned = device.read_weights()
    assert not np.array_equal(learned[0][:, 3:], start[0][:, 3:])
    network.save(tmp_path / "a.npz")
    again = Network.load(tmp_path / "a.npz")
    assert again.config == network.config
    assert all(np.array_equal(a, b) for a, b in zip(again.weights, learned, strict=True))


def test_start_weights_of_own_spikes_come_after_those_without() -> None:
    config, recipe = preset("vowels"), RECIPES["JapaneseVowels"].with_(recurrent_sd=0.8)
    plain, found = (initial_weights(c, recipe, 3) for c in (config, config.with_(recurrent=True)))
    assert np.array_equal(found[0][:, :12], plain[0])
    assert np.array_equal(found[1], plain[1])
    own = found[0][:, 12:] / config.formats.weight.one
    assert own.shape == (64, 64)
    assert np.std(own) == pytest.approx(0.8 / 8, rel=0.05)
    assert "recurrent_sd" in recipe.to_dict()
    assert "recurrent_sd" not in RECIPES["JapaneseVowels"].to_dict()


def test_a_recipe_fits_any_depth_and_number_of_groups() -> None:
    rows = ((0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.7, 0.8))
    recipe = RECIPES["JapaneseVowels"].with_(rates=(0.1, 0.2), a=rows, lam=rows[::-1])
    for layers, groups in (((3, 2), 1), ((3, 4, 5, 2), 2), ((3, 4, 2), 8)):
        config = preset("tiny").with_(layers=layers, groups=groups)
        parameters = recipe.parameters(config, recipe.schedule(config, [99] * 3), 2)
        assert parameters.rate[-1] == recipe.parameters(preset("tiny"), (), 2).rate[-1]
        assert all(rate == parameters.rate[0] for rate in parameters.rate[:-1])
        one = config.formats.adaptive.one
        for layer in range(config.depth):
            expected = rows[1 if layer == config.depth - 1 else 0]
            assert len(set(parameters.a[layer])) == min(groups, 4)
            assert {round(v / one, 4) for v in parameters.a[layer]} <= set(expected)
            assert parameters.lam[layer][0] != parameters.a[layer][0]


@pytest.mark.parametrize(
    ("lengths", "steps"),
    [
        ([26, 15, 7], (2, 5, 8, 11, 14, 17, 20, 23)),  # JapaneseVowels
        ([100] * 4, (10, 21, 32, 43, 54, 65, 76, 87, 98)),
        ([5], (0, 1, 2, 3, 4)),
        ([900, 12, 12], tuple(range(3, 256, 4))),  # one long sample; the table ends at 256
        ([1], (0,)),
    ],
)
def test_the_schedule_follows_the_lengths(lengths: list[int], steps: tuple[int, ...]) -> None:
    assert RECIPES["JapaneseVowels"].schedule(preset("vowels"), lengths) == steps


@pytest.mark.parametrize(
    ("window", "updates", "lengths", "steps"),
    [
        (0.5, 8, [16, 16], tuple(range(8, 16))),
        (0.5, 4, [16, 16], (9, 11, 13, 15)),
        (0.01, 9, [16, 16], (15,)),
        (0.5, 9, [16, 15], tuple(range(1, 16, 2))),  # steps count from the start: no common end
    ],
)
def test_samples_of_one_length_are_updated_where_they_are_decided(
    window: float, updates: int, lengths: list[int], steps: tuple[int, ...]
) -> None:
    recipe = RECIPES["JapaneseVowels"].with_(window=window, updates=updates)
    assert recipe.schedule(preset("vowels"), lengths) == steps


@pytest.mark.parametrize("steps", [1, 8, 100, 2250])
def test_the_default_recipe_follows_the_length_of_samples(steps: int) -> None:
    config = preset("vowels")
    recipe = default_recipe(config, steps)
    assert recipe.parameters(config, recipe.schedule(config, [steps])).schedule
    slowest = max(recipe.a[0])
    assert slowest == pytest.approx(1 - 1 / max(2.0, steps / 8))
    assert all(0 < rate < 1 for rate in recipe.rates)


@pytest.mark.parametrize("steps", [8, 100, 2250])
def test_data_that_nobody_knows_get_filters_that_the_traces_can_hold(steps: int) -> None:
    config = preset("vowels")
    recipe, trace, largest = default_recipe(config, steps, 100), config.formats.trace, config.formats.input
    gains = [1 / (1 - a) / (1 - lam) for a, lam in zip(recipe.a[0], recipe.lam[0], strict=True)]
    assert max(gains) * largest.max / largest.one <= trace.max / trace.one * 1.001
    assert 1 / (1 - recipe.lam[1][0]) <= trace.max / trace.one * 1.001


@pytest.mark.parametrize("scale", [1, 10])
def test_rates_follow_the_traces(scale: int) -> None:
    """The same data in steps that are so many times slower: larger traces, smaller rates, the same gain."""
    rng = np.random.default_rng(1)
    x = [np.repeat(rng.normal(0, 1, (20, 3)), scale, axis=0) for _ in range(6)]
    data = Dataset("slow", x, np.arange(6) % 2, [], np.zeros(0, dtype=np.int64), ("a", "b"))
    config, recipe, encoder = plan_for(data)
    network = start_network(config, "slow", recipe, data, 0, encoder)
    drive, energies = traces(network, x)
    assert drive == pytest.approx(DRIVE, rel=0.35)  # the reset takes part in the traces
    hidden, readout = (rate * energy for rate, energy in zip(recipe.rates, energies, strict=True))
    assert hidden == pytest.approx(HIDDEN * DRIVE, rel=0.01) or recipe.rates[0] in RATES
    assert readout == pytest.approx(READOUT, rel=0.01) or recipe.rates[1] in RATES


def test_a_known_data_set_brings_its_inputs_along() -> None:
    data = load_dataset("digits")
    config, recipe, encoder = plan_for(data)
    network = start_network(config, "digits", recipe, data, 0, encoder)
    (inputs,) = network.inputs(data.train[:1])
    assert inputs.shape == (16, 40)
    assert (inputs[:, 32:] == np.repeat(np.eye(8, dtype=int), 2, axis=0) * config.formats.input.one).all()
    spread = network.quantiser.std[:32]
    assert np.ptp(spread[spread > 0]) == 0
    assert network.parameters.schedule == tuple(range(8, 16))
    assert plan_for(data, "direct")[0].inputs == 8


def test_rates_fall_to_the_final_factor_and_stay_there() -> None:
    config, recipe = preset("vowels"), RECIPES["JapaneseVowels"].with_(epochs=5, final=0.0625)
    rates = [recipe.parameters(config, (), epoch).rate[0] for epoch in range(7)]
    values = [mantissa * 2.0**-shift for mantissa, shift in rates]
    assert [value / values[0] for value in values] == pytest.approx([1, 0.5, 0.25, 0.125, 0.0625, 0.0625, 0.0625], 1e-3)
    assert recipe.with_(epochs=1).parameters(config, ()).rate == recipe.parameters(config, ()).rate


@pytest.mark.parametrize("layers", [(1, 2), (3, 64, 2), (1000, 64, 32, 20)])
@pytest.mark.parametrize("groups", [1, 4])
def test_the_default_recipe_fits_any_network(layers: tuple[int, ...], groups: int) -> None:
    config = preset("vowels").with_(layers=layers, groups=groups, frame_bytes=2048)
    recipe = default_recipe(config)
    assert len(recipe.parameters(config, (), 0).a) == config.depth
    weights = initial_weights(config, recipe, 0)
    assert all(w.any() for w in weights)


def test_a_recipe_in_json_and_by_data_set() -> None:
    config = preset("vowels")
    recipe = recipe_for("JapaneseVowels", config).with_(adapt_rates=(0.0, 0.5))
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.adapts
    assert not recipe.with_(adapt_rates=(0.0, 0.0)).adapts
    assert recipe_for("something", config) == default_recipe(config)
    with pytest.raises(ConfigError, match="scale 'x', allowed channel, common, robust"):
        recipe.with_(scale="x")
    with pytest.raises(ConfigError, match="window 2, allowed 0 to 1"):
        recipe.with_(window=2)
    with pytest.raises(ConfigError, match="unknown key 'x'"):
        Recipe.from_dict({"x": 1})
    with pytest.raises(ConfigError, match="recipe: .*missing"):
        Recipe.from_dict({"theta": 1.0})
