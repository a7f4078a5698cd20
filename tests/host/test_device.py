"""The driver: equal to the golden core through every frame, over broken lines, and on a serial port."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import tty
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pytest
from cobs import cobs
from toy_data import toy_arrays

from solsa.contract import NetworkConfig, NeuronField, Parameters, Readout, Space, make_parameters, preset
from solsa.contract.wire import NAK, Opcode, Reply, Status, pack_reply, unpack_request
from solsa.golden.core import GoldenCore
from solsa.host.device import Device, DeviceError
from solsa.host.golden_device import GoldenDevice
from solsa.host.link import ATTEMPTS
from solsa.host.transport import SerialTransport, Transport
from solsa.host.words import Ints

TINY = preset("tiny").with_(frame_bytes=64)
TARGET = TINY.with_(readout=Readout.TARGET)


def network(config: NetworkConfig, seed: int = 0) -> tuple[Parameters, list[Ints]]:
    rng = np.random.default_rng(seed)
    constants = tuple(np.linspace(0.3, 0.9, config.groups).tolist())
    parameters = make_parameters(
        config, a=constants, lam=constants[::-1], rates=(0.02,) * config.depth, adapt_rates=(0.01,) * config.depth,
        schedule=tuple(range(1, config.max_steps, 2)), rng=12345,
    )  # fmt: skip
    weights = [rng.integers(-9000, 9000, (config.post(i), config.pre(i))) for i in range(config.depth)]
    return parameters, weights


def sample(config: NetworkConfig, steps: int, seed: int) -> tuple[Ints, Ints | None]:
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (steps, config.inputs))
    return x, rng.integers(-9000, 9000, (steps, config.outputs)) if config.readout is Readout.TARGET else None


def on_core(core: GoldenCore, x: Ints, y: Ints | None, label: int, learn: bool, adapt: bool) -> Ints:
    core.reset_sample()
    for t, row in enumerate(x):
        core.step(row, label=label, target=None if y is None else y[t], learn=learn, adapt=adapt, trace=False)
    return core.state.score


class Line(GoldenDevice):
    """A golden device at the end of a bad line.

    Parameters
    ----------
    spoil : callable
        Takes the number of a reply and its bytes, gives what arrives.
    deaf : collection of int
        Numbers of transfers that never reach the device.
    """

    def __init__(
        self,
        config: NetworkConfig,
        spoil: Callable[[int, bytes], bytes] = lambda _, data: data,
        deaf: Collection[int] = (),
    ) -> None:
        super().__init__(config)
        self.sent = self.received = 0
        self.closed = False
        self._spoil, self._deaf = spoil, deaf

    def send(self, data: bytes) -> None:
        self.sent += 1
        if self.sent not in self._deaf:
            super().send(data)

    def receive(self, timeout: float) -> bytes:
        data = super().receive(timeout)
        if data:
            self.received += 1
            data = self._spoil(self.received, data)
        return data

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        TARGET,
        TINY.with_(readout=Readout.SPIKE, groups=8, lanes=8),
        TINY.with_(layers=(7, 9, 6, 2), lanes=4, groups=1),
        TINY.with_(layers=(5, 2), lanes=1),
    ],
    ids=lambda c: f"{'-'.join(map(str, c.layers))} {c.readout.value} P{c.lanes} G{c.groups}",
)
def test_every_word_equals_the_golden_core(config: NetworkConfig) -> None:
    parameters, weights = network(config)
    core = GoldenCore(config, parameters, weights)
    with Device.open("golden", config) as device:
        device.load_network(parameters, weights)
        for i, (learn, adapt) in enumerate([(True, True), (False, False), (True, False), (True, True)]):
            x, y = sample(config, 1 + 9 * i, i)  # the longer ones take several frames of 64 bytes
            label = i % config.outputs
            scores = device.run_sample(x, label, learn=learn, adapt=adapt, targets=y)
            assert scores.tolist() == on_core(core, x, y, label, learn, adapt).tolist()
        layers = core.state.layers
        assert [w.tolist() for w in device.read_weights()] == [layer.weight.tolist() for layer in layers]
        assert [w.tolist() for w in device.read_traces()] == [layer.trace.tolist() for layer in layers]
        assert device.read_filter_constants() == [layer.a.tolist() for layer in layers]
        for words, layer in zip(device.read_neurons(), layers, strict=True):
            for field in NeuronField:
                assert words[:, field].tolist() == getattr(layer, field.name.lower()).tolist()
            assert not words[:, 7].any()
        for name, value in (("rng", core.state.rng), ("updates", core.state.updates), ("step", core.state.step)):
            assert device.read_register(name) == value
        assert device.cycles == 0
        assert weights[0].tolist() != layers[0].weight.tolist()


def test_steps_one_by_one_are_the_sample() -> None:
    parameters, weights = network(TINY)
    x, _ = sample(TINY, 7, 1)
    with Device.open("golden", TINY) as device, Device.open("golden", TINY) as other:
        device.load_network(parameters, weights)
        other.load_network(parameters, weights)
        for t, row in enumerate(x):
            membranes, scores = device.step(row, 1, reset=t == 0, learn=True)
        assert scores.tolist() == other.run_sample(x, 1, learn=True).tolist()
        assert membranes.tolist() == other.read_neurons()[-1][:, NeuronField.MEMBRANE].tolist()
        assert device.read_weights()[0].tolist() == other.read_weights()[0].tolist()


@pytest.mark.parametrize("window", [1, 5, 20, 21])
def test_the_last_steps_alone_can_decide(window: int) -> None:
    """Several frames per sample; what is learned does not depend on the window."""
    parameters, weights = network(TINY)
    x, _ = sample(TINY, 20, 1)
    with Device.open("golden", TINY) as device, Device.open("golden", TINY) as whole:
        for d in (device, whole):
            d.load_network(parameters, weights)
        seen = [whole.step(row, 1, reset=t == 0, learn=True)[1] for t, row in enumerate(x)]
        before = seen[-window - 1] if window < 20 else 0 * seen[0]
        assert device.run_sample(x, 1, learn=True, window=window).tolist() == (seen[-1] - before).tolist()
        assert device.read_weights()[0].tolist() == whole.read_weights()[0].tolist()


def test_registers_by_name_and_parameters_without_weights() -> None:
    parameters, weights = network(TINY)
    with Device.open("golden", TINY) as device:
        device.load_network(parameters, weights)
        device.write_register("layer1.theta", -5)
        assert device.read_register("layer1.theta") == -5
        device.set_parameters(parameters.with_(theta=(1, 2), schedule=(3,)))
        assert device.read_register("layer1.theta") == 2
        assert device.read_words(Space.SCHEDULE, 0, 16).tolist() == [0, 0, 0, 1] + [0] * 12
        assert device.read_register("rng") == 12345
        assert device.read_weights()[1].tolist() == weights[1].tolist()
        device.set_rates(((7, 3), (8, 4)), ((9, 5), (10, 6)))
        names = ("rate_mantissa", "rate_shift", "adapt_mantissa", "adapt_shift")
        assert [device.read_register(f"layer1.{name}") for name in names] == [8, 4, 10, 6]


# -- broken lines -----------------------------------------------------------------------------------------------------
def trained(transport: Transport) -> tuple[list[list[list[int]]], int]:
    """Weights after a short training, and the retries that it took."""
    parameters, weights = network(TINY)
    with Device(transport, TINY, "line", timeout=0.05) as device:
        device.load_network(parameters, weights)
        for i in range(3):
            device.run_sample(sample(TINY, 20, i)[0], i, learn=True, adapt=True)
        return [w.tolist() for w in device.read_weights()], device.link.retries


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1 or 2]) + data[1:]


@pytest.mark.parametrize(
    ("spoil", "deaf", "retries"),
    [
        (lambda i, data: b"" if i % 3 == 0 else data, (), True),
        (lambda i, data: flipped(data) if i % 3 == 0 else data, (), True),
        (lambda i, data: data[:-3] if i % 3 == 0 else data, (), True),
        (lambda i, data: data + data, (), False),
        (lambda i, data: b"\0\0" + data, (), False),
        (lambda i, data: cobs.encode(NAK) + b"\0" if i % 4 == 0 else data, (), True),
        (lambda i, data: data, range(2, 500, 3), True),
    ],
    ids=["lost", "flipped", "cut", "doubled", "empty frames", "refused as damaged", "request lost"],
)
def test_a_bad_line_delays_but_changes_nothing(
    spoil: Callable[[int, bytes], bytes], deaf: Collection[int], retries: bool
) -> None:
    expected, none = trained(GoldenDevice(TINY))
    assert none == 0
    found, tries = trained(Line(TINY, spoil, deaf))
    assert found == expected
    assert (tries > 0) is retries


def test_a_silent_device_is_given_up() -> None:
    line = Line(TINY, deaf=range(1000))
    with pytest.raises(DeviceError, match=r"^device line does not answer INFO: sent 3 times, waited 0.01 s each$"):
        Device(line, TINY, "line", timeout=0.01)
    assert line.sent == 1 + ATTEMPTS


class Changed(GoldenDevice):
    """A device whose INFO has other words."""

    def __init__(self, config: NetworkConfig, words: dict[int, int]) -> None:
        super().__init__(config)
        self._changes = words

    def send(self, data: bytes) -> None:
        for part in data.split(b"\0"):
            if part and unpack_request(cobs.decode(part)).opcode == Opcode.INFO:
                info = np.array([0x534F4C53, 1, int(self.config.config_hash, 16), 0, 0, 0, 0, 0, 0], dtype="<u4")
                for index, value in self._changes.items():
                    info[index] = value
                reply = pack_reply(Reply(0, Opcode.INFO, Status.OK, info.tobytes()))
                self._outgoing += cobs.encode(reply) + b"\0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({0: 7}, "board answers, but is not a solsa device"),
        ({1: 9}, "device board has contract version 9, this solsa needs 1"),
        (
            {2: 0x1234ABCD},
            f"device board holds configuration 1234abcd, this run needs {TINY.config_hash} "
            "(3-5-3, 2 lanes); choose its preset or load another bitstream",
        ),
    ],
)
def test_another_device_is_refused(words: dict[int, int], message: str) -> None:
    with pytest.raises(DeviceError) as caught:
        Device(Changed(TINY, words), TINY, "board")
    assert str(caught.value) == message


def test_a_refused_device_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(TINY)
    monkeypatch.setattr("solsa.host.device.open_transport", lambda *_: line)
    with pytest.raises(DeviceError, match="holds configuration"):
        Device.open("COM1", preset("vowels"))
    assert line.closed


PARAMETERS, WEIGHTS = network(TINY)
X, Y = np.zeros((4, 3), dtype=np.int64), np.zeros((4, 3), dtype=np.int64)


@pytest.mark.parametrize(
    ("config", "call", "message"),
    [
        (TINY, lambda d: d.run_sample(X[:, :2]), "inputs of shape (4, 2), allowed [steps, 3]"),
        (TINY, lambda d: d.run_sample(X[:0]), "a sample without steps"),
        (TINY, lambda d: d.run_sample(X + 128), "inputs from 128 to 128, allowed -128 to 127"),
        (TINY, lambda d: d.run_sample(X * 0.5), "inputs of type float64, allowed are integers"),
        (TINY, lambda d: d.run_sample(X, 3), "label 3, allowed 0 to 2"),
        (TINY, lambda d: d.run_sample(X, learn=True), "the membrane readout needs a label to learn"),
        (TARGET, lambda d: d.run_sample(X, learn=True), "the target readout needs targets to learn"),
        (TARGET, lambda d: d.run_sample(X, targets=Y[1:]), "targets of 3 steps for inputs of 4"),
        (TARGET, lambda d: d.run_sample(X, targets=Y + 40000), "targets from 40000 to 40000, allowed -32768 to 32767"),
        (TINY, lambda d: d.read_register("layer9.theta"), "register 'layer9.theta' does not exist in this"),
        (TINY, lambda d: d.write_register("rng", 0), "register rng: 0, allowed 1 to 4294967295"),
        (TINY, lambda d: d.write_register("magic", 0), "device golden refused WRITE: address outside"),
        (TINY, lambda d: d.load_network(PARAMETERS, [X, X]), "weights of shapes [(4, 3), (4, 3)], this"),
        (TINY, lambda d: d.load_network(PARAMETERS, [w + 40000 for w in WEIGHTS]), "a weight does not fit"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_named(config: NetworkConfig, call: Callable[[Device], object], message: str) -> None:
    with Device.open("golden", config) as device, pytest.raises(DeviceError) as caught:
        call(device)
    assert str(caught.value).startswith(message)


# -- serial port ------------------------------------------------------------------------------------------------------
@pytest.fixture
def port() -> Iterator[str]:
    """A pseudo terminal with a golden device behind it, which starts with the end of somebody's broken frame."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    device, stop = GoldenDevice(TINY), threading.Event()
    device.send(b"\x07half")

    def serve() -> None:
        while not stop.is_set():
            try:
                device.send(os.read(ours, 4096))
                os.write(ours, device.receive(0))
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield os.ttyname(theirs)
    stop.set()
    os.write(theirs, b"x")  # wakes the reader
    thread.join(2)
    os.close(theirs)
    os.close(ours)


def test_the_same_over_a_serial_port(port: str) -> None:
    assert trained(SerialTransport(port, 115200))[0] == trained(GoldenDevice(TINY))[0]


def test_the_program_refuses_a_board_of_another_configuration(port: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", **toy_arrays())
    solsa = Path(sys.executable).with_name("solsa")
    done = subprocess.run([solsa, "learn", tmp_path / "toy.npz", "--device", port], capture_output=True, text=True,
                          timeout=60)  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"solsa: error: device {port} holds configuration {TINY.config_hash}, this run ")


def test_a_port_has_one_user(port: str) -> None:
    with Device.open(port, TINY), pytest.raises(DeviceError) as caught:
        SerialTransport(port)
    assert str(caught.value) == f"port {port}: in use by another program"


def test_ports_that_cannot_be_opened(tmp_path: Path) -> None:
    missing = tmp_path / "ttyUSB9"
    with pytest.raises(DeviceError, match=r"no such port; allowed are golden, sim, sim-serial or a serial port"):
        Device.open(str(missing), TINY)
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot be opened"):
        Device.open(str(tmp_path / "file"), TINY)
