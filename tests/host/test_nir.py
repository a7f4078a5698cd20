"""NIR graphs: imported, run spike by spike against their equations, exported, and refused in one line."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from typer.testing import CliRunner

from solsa.contract import ConfigError, NeuronField, Readout
from solsa.host import Device, Network, NetworkError, import_nir
from solsa.host.cli import app
from solsa.host.nir_groups import approximated, constants_of, grouped
from solsa.host.nir_import import NirReport
from solsa.host.train import first_difference

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("nir_reference", HERE / "nir_reference.py")
assert _spec is not None
assert _spec.loader is not None
reference = importlib.util.module_from_spec(_spec)
__import__("sys").modules["nir_reference"] = reference
_spec.loader.exec_module(reference)

DT = 1e-4


# -- graphs -----------------------------------------------------------------------------------------------------------
def chain(*nodes: Any, inputs: int = 6) -> Any:
    names = ["input", *(str(i) for i in range(len(nodes))), "output"]
    outputs = len(nodes[-2].weight)
    ends = nir.Input({"input": np.array([inputs])}), nir.Output({"output": np.array([outputs])})
    return nir.NIRGraph(
        dict(zip(names, (ends[0], *nodes, ends[1]), strict=True)), list(zip(names, names[1:], strict=False)),
        type_check=False,  # scalar parameters have no shape of their own
    )  # fmt: skip


def weights(posts: int, pres: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, posts, pres]).normal(0.15, scale * pres**-0.5, (posts, pres)).astype(np.float32)


def synaptic(m: int | None, alpha: Any, beta: Any, **more: Any) -> Any:
    """As snnTorch exports Synaptic: float32, no v_reset; scalars where the module has scalars."""
    a, b = (np.float32(v) * (np.ones(m, np.float32) if m else np.float32(1)) for v in (alpha, beta))
    ones = np.ones_like(b)
    dt = np.float32(DT)
    values = {"tau_syn": dt / (1 - a), "tau_mem": dt / (1 - b), "r": 1 / (1 - b), "v_leak": 0 * ones,
              "v_threshold": ones, "w_in": 1 / (1 - a)}  # fmt: skip
    return nir.CubaLIF(**{k: np.asarray(v) for k, v in (values | more).items()})


def norse(m: int, **more: Any) -> Any:
    """As Norse exports LIFBoxCell and LIFCell: time constants in seconds, r = 1, v_reset given."""
    values = {
        "tau_syn": 5e-3,
        "tau_mem": 1e-2,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 0.5,
        "v_reset": 0.0,
        "w_in": 5.0,
    }
    return nir.CubaLIF(**{k: np.ones(m) * v for k, v in (values | more).items()})


def leaky(m: int, beta: float) -> Any:
    """As snnTorch exports Leaky."""
    ones = np.ones(m)
    return nir.LIF(tau=DT / (1 - beta) * ones, r=ones / (1 - beta), v_leak=0 * ones, v_threshold=ones)


def affine(posts: int, pres: int, **more: Any) -> Any:
    return nir.Affine(weights(posts, pres, **more), np.linspace(-0.2, 0.3, posts).astype(np.float32))


def linear(posts: int, pres: int, **more: Any) -> Any:
    return nir.Linear(weights(posts, pres, **more))


LI = {"tau_syn": np.full(3, 2e-4), "tau_mem": np.full(3, 1e-3), "r": np.full(3, 10.0), "v_leak": np.zeros(3)}
#: name: (graph, dt, groups, spiking readout)
GRAPHS: dict[str, tuple[Any, float, int, bool]] = {
    "snntorch arrays": (
        chain(linear(8, 6), synaptic(8, 0.9, 0.8), linear(3, 8), synaptic(3, 0.5, 0.7)), DT, 1, True),
    "snntorch scalars": (
        chain(linear(8, 6), synaptic(None, 0.9, 0.8), linear(3, 8), synaptic(None, 0.5, 0.7)), DT, 1, True),
    "snntorch biases, two time constants": (
        chain(affine(8, 6), synaptic(8, [0.5, 0.9] * 4, 0.8), affine(3, 8), synaptic(3, 0.5, 0.7)), DT, 2, True),
    "snntorch leaky": (chain(affine(8, 6), leaky(8, 0.9), linear(3, 8), leaky(3, 0.8)), DT, 1, True),
    "norse": (chain(linear(8, 6, scale=2), norse(8), linear(3, 8, scale=2), norse(3)), 1e-3, 1, True),
    "norse at a resting potential": (
        chain(affine(8, 6, scale=2), norse(8, v_leak=-0.2, v_reset=-0.1), linear(3, 8, scale=2), norse(3)),
        1e-3, 1, True),
    "thresholds and order of their own": (
        chain(linear(8, 6), synaptic(8, [0.9] * 4 + [0.2] * 4, 0.8, v_threshold=np.linspace(0.5, 2, 8)),
              linear(3, 8), synaptic(3, 0.5, 0.7)), DT, 2, True),
    "leaky readout": (
        chain(linear(8, 6), synaptic(8, 0.9, 0.8), linear(3, 8), nir.CubaLI(**LI, w_in=2.0)), DT, 1, False),
    "three layers, biased": (
        chain(affine(8, 6), synaptic(8, 0.8, 0.8), affine(7, 8), synaptic(7, 0.3, 0.9), affine(3, 7),
              synaptic(3, 0.5, 0.7)), DT, 1, True),
    "large weights": (chain(nir.Linear(20 * weights(8, 6)), synaptic(8, 0.9, 0.8, v_threshold=np.full(8, 20.0)),
                            linear(3, 8), synaptic(3, 0.5, 0.7)), DT, 1, True),
}  # fmt: skip


def stimulus(inputs: int = 6, steps: int = 40, seed: int = 3) -> np.ndarray:
    return (np.random.default_rng(seed).random((steps, inputs)) < 0.4).astype(float)


def run(where: str, network: Network, x: np.ndarray, report: NirReport) -> list[np.ndarray]:
    """Spikes of every layer in the graph's order [T, M], read from the device; of a silent readout its membranes."""
    found: list[list[np.ndarray]] = [[] for _ in report.order]
    depth = network.config.depth
    with Device.open(where, network) as device:
        stream = device.stream()
        for row in x:
            out = stream.step(row)
            for k, neurons in enumerate(device.read_neurons()):
                order = np.array(report.order[k])
                last = k == depth - 1 and not network.config.readout.spiking
                values = out.membrane if last else neurons[:, NeuronField.SPIKE]
                placed = np.zeros(int((order >= 0).sum()), dtype=np.asarray(values).dtype)
                placed[order[order >= 0]] = values[order >= 0]
                found[k].append(placed)
                assert (neurons[order < 0, NeuronField.SPIKE] == 1).all()  # what carries a bias spikes always
    return [np.array(rows) for rows in found]


def differences(found: list[np.ndarray], expected: list[np.ndarray], doubt: list[np.ndarray], spiking: bool) -> int:
    """Number of doubtful spikes; AssertionError for a spike that differs beyond doubt before the first doubtful one."""
    doubtful = 0
    for t in range(len(found[0])):
        for k, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
            if k == len(found) - 1 and not spiking:
                assert (np.abs(ours[t] - theirs[t]) <= doubt[k][t]).all(), (k, t)
                continue
            wrong = (ours[t] != 0) != theirs[t]
            assert not (wrong & ~doubt[k][t]).any(), f"layer {k}, step {t}, neurons {np.flatnonzero(wrong)}"
            doubtful += int(doubt[k][t].sum())
            if wrong.any():
                return doubtful
    return doubtful


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_imported_runs_and_comes_back(name: str, tmp_path: Path) -> None:
    graph, dt, groups, spiking = GRAPHS[name]
    network, report = import_nir(graph, dt=dt, lanes=2)
    assert (network.config.groups, network.config.readout.spiking) == (groups, spiking)
    x = stimulus()
    expected, doubt = reference.run(graph, x, dt, report)
    found = run("golden", network, x, report)
    # the import is worth nothing if the network is silent
    assert min(rows.sum() for rows in found[: None if spiking else -1]) > 5
    doubtful = differences(found, expected, doubt, spiking)
    assert doubtful <= 10  # of some hundred
    assert doubtful or all(((a != 0) == b).all() for a, b in zip(found, expected, strict=True) if b.dtype == bool)
    # from a file, and round
    nir.write(tmp_path / "graph.nir", graph, compression=None)
    assert first_difference(Network.from_nir(tmp_path / "graph.nir", dt=dt, lanes=2), network, "file") is None
    exported = network.to_nir(tmp_path / "out.nir", dt=dt)
    for source in (exported, tmp_path / "out.nir"):
        again, second = import_nir(source, dt=dt)
        assert first_difference(again, network, "round") is None
        for part in ("config", "parameters", "recipe", "preset", "class_names", "dataset"):
            assert getattr(again, part) == getattr(network, part), part
        assert (again.quantiser.mean.tolist(), again.quantiser.constant) == (
            network.quantiser.mean.tolist(), network.quantiser.constant)  # fmt: skip
        assert max(one.weight + one.lam + one.threshold + one.reset for one in second.layers) < 1e-12
        assert all(one.scale == 1 for one in second.layers)
    # and without our metadata: the same function
    exported.metadata = {}
    bare, _ = import_nir(exported, dt=dt)
    assert (bare.sha256, bare.parameters.theta, bare.parameters.rho) == (
        network.sha256, network.parameters.theta, network.parameters.rho)  # fmt: skip


def test_the_comparison_sees_a_wrong_weight_and_a_wrong_decay() -> None:
    """Planted: a weight off by an eighth, a decay by 1/8, a threshold by 1/8."""
    graph, dt, _, _ = GRAPHS["snntorch arrays"]
    for plant in ("weight", "lam", "theta"):
        network, report = import_nir(graph, dt=dt)
        if plant == "weight":
            network.weights[0][2, 3] += 1 << 10
        else:
            old = getattr(network.parameters, plant)
            off = tuple(tuple(v - 8192 for v in row) for row in old) if plant == "lam" else tuple(v + 512 for v in old)
            network.parameters = network.parameters.with_(**{plant: off})
        expected, doubt = reference.run(graph, stimulus(steps=60), dt, report)
        found = run("golden", network, stimulus(steps=60), report)
        with pytest.raises(AssertionError, match="layer 0, step"):
            differences(found, expected, doubt, True)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["golden", "sim"])
def test_a_network_trained_in_snntorch_spike_by_spike(where: str) -> None:
    """snnTorch's own spikes (tests/host/snntorch_network/make.py), on the golden model and the simulated device."""
    folder = HERE / "snntorch_network"
    recorded = np.load(folder / "recorded.npz")
    shape = tuple(recorded["shape"].tolist())
    x = np.unpackbits(recorded["x"], count=int(np.prod(shape))).reshape(shape)
    network, report = import_nir(folder / "network.nir", lanes=4)
    assert "bias: one more input channel, always 1.0" in report.notes
    sizes = [len(order) - order.count(-1) for order in report.order]
    spikes = [np.unpackbits(recorded[key], count=len(x) * shape[1] * m).reshape(len(x), shape[1], m)
              for key, m in zip(("hidden", "output"), sizes, strict=True)]  # fmt: skip
    graph, right, doubtful, same = nir.read(folder / "network.nir", type_check=False), 0, 0, 0
    for i in range(len(x) if where == "golden" else 1):
        found = run(where, network, x[i], report)
        expected = [layer[i] != 0 for layer in spikes]
        _, doubt = reference.run(graph, x[i], DT, report)
        doubtful += differences(found, expected, doubt, True)
        same += all(((a != 0) == b).all() for a, b in zip(found, expected, strict=True))
        right += int(np.argmax(found[1].sum(0)) == recorded["y"][i])
    if where == "golden":
        assert right / len(x) == pytest.approx(float(recorded["accuracy"]), abs=1 / len(x))
        assert same >= len(x) - doubtful


def test_an_imported_network_goes_on_learning_and_is_saved(tmp_path: Path) -> None:
    graph, dt, _, _ = GRAPHS["snntorch biases, two time constants"]
    network = Network.from_nir(graph, dt=dt, classes=["a", "b", "c"])
    x, y = np.array([stimulus(seed=i) for i in range(6)]), ["a", "b", "c"] * 2
    assert network.channels == 6
    assert network.config.layers == (7, 9, 3)
    with Device.open("golden", network) as device:
        before = network.sha256
        assert device.partial_fit(x, y).network.sha256 != before
        scores = device.decision_function(x)
        device.save(tmp_path / "n.npz")
        again = Network.load(tmp_path / "n.npz")
        exported = again.to_nir()
        assert import_nir(exported)[0].sha256 == network.sha256
        device.fit(x, y, epochs=1)
        assert device.score(x, y) >= 0
    with Device.open("golden", again) as device:
        assert (device.decision_function(x) == scores).all()


def test_a_network_of_the_command_line_goes_round(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 2, (12, 5, 3)), np.arange(12) % 3
    network = Network.create((3, 5, 3), recipe={"rates": (0.02, 0.02), "adapt_rates": (1e-2, 1e-2), "epochs": 2})
    with Device.open("golden", network) as device:
        device.fit(x, y)
        scores = device.decision_function(x)
        assert network.constants[0] != list(network.parameters.a[0])
        again = Network.from_nir(network.to_nir(tmp_path / "n.nir", dt=1e-3), dt=1e-3)
        assert (again.sha256, again.config, again.parameters) == (network.sha256, network.config, network.parameters)
        assert (device.load(again).decision_function(x) == scores).all()


def test_the_report_says_what_was_rounded() -> None:
    graph, dt, _, _ = GRAPHS["norse at a resting potential"]
    _, report = import_nir(graph, dt=dt)
    text = "\n".join(report.lines())
    assert "step 0.001 s, forward Euler" in text
    assert "layer 0 (0, 1): scaled by" in text
    assert "bias: one more input channel, always 1.0" in text
    assert "reset: v_threshold - v_reset is subtracted one step after a spike" in text
    assert 0 < report.layers[0].weight <= 2.0**-14
    assert report.to_dict()["layers"][0]["scale"] > 1
    _, report = import_nir(GRAPHS["thresholds and order of their own"][0])
    assert report.order[0] == (4, 0, 5, 1, 6, 2, 7, 3)
    assert any("in another order" in line for line in report.lines())


# -- groups -----------------------------------------------------------------------------------------------------------
def test_groups_hold_what_fits_and_no_more() -> None:
    a, b, c = (1, 1), (2, 2), (3, 3)
    assert grouped([[a, a], [b]]) == (1, [_g([0, 1], [a]), _g([0], [b])])
    assert grouped([[a, b, a], [b]]) == (2, [_g([0, 1, 2], [a, b]), _g([0], [b, b])])
    assert grouped([[a, a, b, None], [c]]) == (2, [_g([0, 2, 1, 3], [a, b]), _g([0], [c, c])])
    assert grouped([[a], [a, b, b, c]]) == (4, [_g([0], [a] * 4), _g([0, 1, 2, 3], [a, b, b, c])])
    assert grouped([[a, a, a, b], [c]])[0] == 4
    assert grouped([[a], [b, a] + [a] * 7 + [b]]) == 1
    assert grouped([[(i, i) for i in range(9)], [a]]) == 0
    assert grouped([[a, a], [b]], least=4)[0] == 4


def test_approximate_groups_are_means_of_neighbours() -> None:
    pairs = [(i * 10, 5) for i in (3, 1, 2, 0, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4)]
    groups, (first, last) = approximated([pairs, [(1, 1), (3, 3)]])
    assert groups == 8
    a, _ = constants_of(first, 8, 16)
    assert max(abs(int(a[i]) - pairs[neuron][0]) for i, neuron in enumerate(first.order)) == 5
    assert sorted(first.order) == list(range(16))
    assert last.order == [0, 1]
    graph = chain(linear(16, 6), synaptic(16, np.linspace(0.1, 0.9, 16), 0.8), linear(3, 16), synaptic(3, 0.5, 0.7))
    with pytest.raises(NetworkError, match="16 pairs of time constants that do not fit eight equal groups of neurons"):
        import_nir(graph)
    _, report = import_nir(graph, approximate=True)
    assert 0.02 < report.layers[0].a < 0.03


def _g(order: list[int], pairs: list[tuple[int, int]]) -> Any:
    from solsa.host.nir_groups import Grouping

    return Grouping(order, pairs)


# -- refused ----------------------------------------------------------------------------------------------------------
def loop() -> Any:
    graph = chain(linear(8, 6), synaptic(8, 0.9, 0.8), linear(3, 8), synaptic(3, 0.5, 0.7))
    graph.nodes["rec"] = linear(8, 8)
    graph.edges += [("1", "rec"), ("rec", "1")]
    return graph


def inner() -> Any:
    """As snnTorch exports RSynaptic."""
    lif = nir.NIRGraph(
        {"input": nir.Input({"input": np.array([8])}), "lif": synaptic(8, 0.9, 0.8), "w_rec": linear(8, 8),
         "output": nir.Output({"output": np.array([8])})},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )  # fmt: skip
    return chain(linear(8, 6), lif, linear(3, 8), synaptic(3, 0.5, 0.7))


def fork() -> Any:
    graph = chain(linear(8, 6), synaptic(8, 0.9, 0.8), linear(3, 8), synaptic(3, 0.5, 0.7))
    graph.edges.append(("0", "2"))
    return graph


def one(**more: Any) -> Callable[[], Any]:
    return lambda: chain(linear(3, 6), synaptic(3, 0.9, 0.8, **more))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (loop, "NIR: recurrent connection 1 -> rec -> 1; allowed are chains of layers"),
        (inner, "NIR node '1': recurrent connection lif -> w_rec -> lif; allowed are chains of layers"),
        (fork, "NIR node '0': 2 outputs"),
        (
            lambda: chain(linear(3, 6), nir.Threshold(np.ones(3)), linear(3, 3), norse(3)),
            "'1': type Threshold cannot be",
        ),
        (
            lambda: chain(linear(3, 6), linear(3, 3), linear(3, 3), norse(3)),
            "NIR node '0': followed by Linear '1', not",
        ),
        (
            lambda: chain(linear(3, 6), norse(3), linear(3, 3), nir.Scale(np.ones(3))),
            "'3': type Scale cannot be mapped",
        ),
        (
            lambda: chain(linear(3, 6), nir.CubaLI(**LI), linear(3, 3), norse(3)),
            "'1': CubaLI does not spike, allowed as",
        ),
        (lambda: chain(linear(3, 6), norse(3), linear(3, 4), norse(3)), "4 inputs, but '0, 1' has 3"),
        (
            lambda: nir.NIRGraph({"i": nir.Input({"input": np.array([1])})}, [], type_check=False),
            "a graph without a layer",
        ),
        (lambda: nir.NIRGraph({"i": norse(2)}, [], type_check=False), "NIR node 'i': no Linear or Affine before it"),
        (one(tau_syn=np.full(3, 5e-5)), "'1': tau_syn 5e-05, allowed from dt"),
        (one(tau_mem=np.full(3, np.inf)), "'1': tau_mem is not finite"),
        (one(tau_mem=np.full(3, 1e9)), "all weights round to 0, so small are they beside the threshold"),
        (one(v_threshold=np.zeros(3)), "v_threshold - v_leak of neuron 0 is 0, allowed above 0"),
        (one(v_reset=np.full(3, 2.0)), "v_threshold - v_reset of neuron 0 is -1, allowed 0 or more"),
        (one(v_reset=np.array([0, 0.1, 0.2])), "v_reset lies differently below the threshold"),
        (one(v_threshold=np.full(3, 1e-4)), "a weight .* times its threshold; allowed is up to"),
        (lambda: chain(nir.Linear(np.full((3, 6), np.nan)), norse(3)), "weight of shape .* finite numbers"),
        (lambda: chain(linear(3, 6), nir.CubaLI(**LI | {"v_leak": np.ones(3)})), "v_leak 1, allowed for CubaLI is 0"),
        (lambda: 3, "NIR: int given, allowed are a nir.NIRGraph or a file"),
        (lambda: "/nothing.nir", "/nothing.nir: no such NIR file"),
        (lambda: HERE / "test_nir.py", "test_nir.py: not a NIR file"),
    ],
)
def test_what_cannot_be_mapped_is_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        import_nir(make())
    assert "\n" not in str(caught.value)


def test_options_that_cannot_be() -> None:
    graph = GRAPHS["snntorch arrays"][0]
    for options, message in (
        ({"dt": 0}, "dt 0, allowed is a positive time"),
        ({"layers": (1, 2)}, "layers follows from the graph"),
        ({"readout": Readout.SPIKE}, "readout follows from the graph"),
        ({"recurrent": True}, "recurrent follows from the graph"),
        ({"lanes": 3}, "3 lanes, allowed a power of two"),
        ({"lame": 3}, "unexpected keyword argument 'lame'"),
        ({"classes": [1]}, "1 classes for 3 outputs"),
    ):
        with pytest.raises((NetworkError, ConfigError), match=message):
            import_nir(graph, **options)


def test_a_recurrent_network_is_not_exported(tmp_path: Path) -> None:
    network = Network.create((3, 4, 2), recurrent=True)
    with pytest.raises(NetworkError, match="NIR: a network with the option recurrent is not exported, allowed are"):
        network.to_nir(tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())


def test_the_program_imports_and_exports(tmp_path: Path) -> None:
    graph = tmp_path / "g.nir"
    nir.write(graph, GRAPHS["snntorch biases, two time constants"][0])
    out, back = tmp_path / "n.npz", tmp_path / "b.nir"
    done = CliRunner().invoke(app, ["nir", "import", str(graph), "--out", str(out), "--json", str(tmp_path / "r.json")])
    assert done.exit_code == 0, done.output
    assert "7-9-3, 2 filter groups, 8 lanes, readout spike" in done.output
    assert json.loads((tmp_path / "r.json").read_text())["dt"] == DT
    assert CliRunner().invoke(app, ["nir", "export", str(out), "--out", str(back)]).exit_code == 0
    assert Network.from_nir(back).sha256 == Network.load(out).sha256
    for args, message in (
        (["import", str(out)], "n.npz: not a NIR file"),
        (["import", str(graph), "--dt", "1"], "tau_syn 0.0002, allowed from dt (1) up"),
        (["export", str(graph), "--out", str(back)], "not a network file of solsa"),
        (["export", str(out), "--out", str(back), "--dt", "0"], "0.0, allowed is a positive time"),
        (["export", str(out), "--out", str(tmp_path / "a" / "b")], "does not exist"),
    ):
        done = CliRunner().invoke(app, ["nir", *args])
        assert done.exit_code == 2, done.output
        assert message in " ".join(done.stderr.split())
        assert len(done.stderr.splitlines()) == 1
