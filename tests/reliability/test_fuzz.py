"""Any bytes at all: into the host's parser, the golden device, the loaders; and the fuzzer finds planted bugs."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_data import CSV, TS, toy_arrays

from reliability.fuzz import CONFIG, Fuzz, Wrong
from solsa.contract import ConfigError
from solsa.contract.wire import CRC_BYTES, Opcode, Request, pack_request, unpack_request
from solsa.host.data import DataError, load_dataset
from solsa.host.device import Device
from solsa.host.golden_device import GoldenDevice
from solsa.host.network import Network, NetworkError
from solsa.host.nir_export import export_nir
from solsa.host.nir_import import import_nir
from solsa.host.recipe import default_recipe
from solsa.host.train import start_network
from solsa.host.transport import DeviceError, longest_silence

ROOT = Path(__file__).resolve().parents[2]


class Spoken(GoldenDevice):
    """Golden device that has other words put into its mouth before every true reply."""

    words: list[bytes] = []

    def receive(self, timeout: float) -> bytes:
        data = super().receive(timeout)
        return self.words.pop() + data if self.words and data else data


# -- host parser and golden device ------------------------------------------------------------------------------------
@settings(max_examples=150)
@given(st.lists(st.binary(max_size=80), max_size=6))
def test_no_bytes_from_a_device_confuse_the_host(words: list[bytes]) -> None:
    """Its requests are answered rightly or refused in one line; a device cannot make it crash."""
    device = Spoken(CONFIG)
    device.words = list(words)
    with Device(device, CONFIG, "line", 0.05) as opened:
        opened.write_register("rng", 77)
        assert opened.read_register("rng") == 77
        assert opened.run_sample(np.ones((3, 2), dtype=np.int8)).tolist() == [0, 0]


@settings(max_examples=150)
@given(st.binary(max_size=60), st.integers(0, 6))
def test_replies_that_lie_are_refused_in_one_line(payload: bytes, status: int) -> None:
    """Right number, right opcode, right CRC, and any content."""

    class Liar(GoldenDevice):
        def _reply(self, encoded: bytes) -> bytes:
            request = unpack_request(cobs.decode(encoded))
            body = bytes([request.sequence, request.opcode | 0x80, status]) + payload
            return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")

    with pytest.raises(DeviceError) as caught:
        Device(Liar(CONFIG), CONFIG, "line", 0.05)
    assert "\n" not in str(caught.value)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_make_the_golden_device_raise(data: bytes) -> None:
    """Nothing but whole frames with a right CRC changes it: random bytes never do."""
    device, fresh = GoldenDevice(CONFIG), GoldenDevice(CONFIG)
    device.send(data + b"\0")
    replies = [frame for frame in device.receive(0.0).split(b"\0") if frame]
    assert len(replies) == len([frame for frame in (data + b"\0").split(b"\0") if frame])
    core, other = device.memory.core.state, fresh.memory.core.state
    assert (core.rng, core.updates, core.step) == (other.rng, other.updates, other.step)
    device.send(cobs.encode(b"") + b"\0")
    assert device.receive(0.0)


# -- the fuzzer itself ------------------------------------------------------------------------------------------------
def _fuzz(device: GoldenDevice, frames: int = 4000) -> Fuzz:
    fuzz = Fuzz(device, GoldenDevice(CONFIG), np.random.default_rng(5))
    fuzz.run(frames)
    return fuzz


def test_equal_devices_pass_and_every_kind_of_frame_and_reply_occurs() -> None:
    counts = _fuzz(GoldenDevice(CONFIG)).counts
    assert counts["frames"] == 4000
    assert {name for name in counts if name.startswith("reply: ")} == {
        f"reply: {name}" for name in ("OK", "BAD_CRC", "BAD_OPCODE", "BAD_LENGTH", "BAD_ADDRESS", "BAD_VALUE")
    }
    assert counts["repeated requests"] > 10
    assert counts["empty"]
    assert counts["states compared"] > 100
    assert counts["accepted and compared"] == counts["reply: OK"]
    assert counts["accepted with a bad CRC"] == 0


def test_the_begin_of_a_frame_behind_an_accepted_one_does_not_spoil_the_comparison() -> None:
    """Found by a run of a million frames: the reads of the state were lost, and a good frame then taken for damaged."""
    fuzz = Fuzz(GoldenDevice(CONFIG), GoldenDevice(CONFIG), np.random.default_rng(0))
    info = cobs.encode(pack_request(Request(0, Opcode.INFO, b""))) + b"\0"
    reads = fuzz._state_requests()
    fuzz._send(info + b"\xea\x79", reads)
    fuzz._compare_state(reads)
    assert fuzz.counts["reply: BAD_CRC"] == 1
    fuzz._send(info, reads)
    assert fuzz.counts["reply: OK"] == fuzz.counts["accepted and compared"] == 2


class Careless(GoldenDevice):
    """Takes frames with a wrong CRC."""

    def _reply(self, encoded: bytes) -> bytes:
        try:
            body = cobs.decode(encoded)
        except cobs.DecodeError:
            return super()._reply(encoded)
        if CRC_BYTES + 2 <= len(body) <= self.config.frame_bytes:
            good = body[:-CRC_BYTES]
            encoded = cobs.encode(good + zlib.crc32(good).to_bytes(CRC_BYTES, "little"))
        return super()._reply(encoded)


class Forgetful(GoldenDevice):
    """Executes a repeated request again."""

    def _reply(self, encoded: bytes) -> bytes:
        self._sequence = 0
        return super()._reply(encoded)


class Silent(GoldenDevice):
    """Does not answer a frame that is too long."""

    def send(self, data: bytes) -> None:
        if len(self._incoming) + len(data) <= CONFIG.frame_bytes:
            super().send(data)


class Secret(GoldenDevice):
    """Changes a word when it is read, but answers as if not."""

    def _execute(self, request: Request) -> tuple[object, bytes]:  # type: ignore[override]
        answer = super()._execute(request)
        if request.opcode == Opcode.STEP:
            self.memory.core.state.layers[0].weight[1, 1] ^= 1
        return answer


@pytest.mark.parametrize(
    ("device", "message"),
    [(Careless, "is damaged, but|expected"), (Forgetful, "expected"), (Silent, "no reply"), (Secret, "state, ")],
)
def test_a_planted_bug_is_found(device: type[GoldenDevice], message: str) -> None:
    with pytest.raises(Wrong, match=message):
        _fuzz(device(CONFIG))


@pytest.mark.slow
def test_the_compiled_device_answers_as_the_golden_one() -> None:
    from solsa.sim.device import SimulatedDevice

    simulated = SimulatedDevice(CONFIG, silence=longest_silence(CONFIG))
    Fuzz(simulated, GoldenDevice(CONFIG), np.random.default_rng(6)).run(500)
    simulated.close()


# -- loaders ----------------------------------------------------------------------------------------------------------
def _network(folder: Path) -> Network:
    np.savez(folder / "toy.npz", **toy_arrays())
    dataset = load_dataset(str(folder / "toy.npz"))
    config = CONFIG.with_(layers=(3, 2, 2))
    network = start_network(config, "toy", default_recipe(config), dataset, 0)
    network.samples_done, network.correct = 5, 2
    return network


def _spoiled(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, lost or doubled, or the end cut off."""
    for _ in range(int(rng.integers(1, 4))):
        if not data:
            break
        at, kind = int(rng.integers(len(data))), int(rng.integers(5))
        if kind == 0:
            data = data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at] + data[at + int(rng.integers(1, 9)) :]
        elif kind == 3:
            data = data[:at] + data[max(0, at - 8) : at] + data[at:]
        else:
            data = data[:at]
    return data


def test_a_spoiled_checkpoint_is_refused_or_the_same(tmp_path: Path, seed: int) -> None:
    network, file, rng = _network(tmp_path), tmp_path / "c.npz", np.random.default_rng(seed)
    network.save(file)
    whole, refused = file.read_bytes(), 0
    for _ in range(400):
        file.write_bytes(_spoiled(whole, rng))
        try:
            found = Network.load(file)
        except NetworkError as error:
            refused += "\n" not in str(error)
            continue
        assert found.sha256 == network.sha256
        for name in ("rng", "shuffler", "parameters", "recipe", "samples_done", "correct", "seed", "data_sha256"):
            assert getattr(found, name) == getattr(network, name), name
    assert refused > 200


@pytest.mark.parametrize(("suffix", "count"), [("csv", 300), ("npz", 300), ("ts", 60)])
def test_a_spoiled_data_file_is_refused_or_read(tmp_path: Path, suffix: str, count: int, seed: int) -> None:
    file, rng, refused = tmp_path / f"toy.{suffix}", np.random.default_rng(seed), 0
    lines = 0
    if suffix == "npz":
        np.savez(file, **toy_arrays())
    else:
        file.write_text(TS if suffix == "ts" else CSV)
    whole = file.read_bytes()
    for _ in range(count):
        file.write_bytes(_spoiled(whole, rng))
        try:
            dataset = load_dataset(str(file))
        except DataError as error:
            refused += 1
            lines += len(str(error).splitlines())
        else:
            assert all(np.isfinite(sample).all() for sample in (*dataset.train, *dataset.test))
    assert lines == refused > count // 10


def test_a_spoiled_nir_file_is_refused_or_read(tmp_path: Path, seed: int) -> None:
    pytest.importorskip("nir")
    file, rng, refused = tmp_path / "a.nir", np.random.default_rng(seed), 0
    export_nir(_network(tmp_path), file)
    whole = file.read_bytes()
    import_nir(file)
    for _ in range(60):
        file.write_bytes(_spoiled(whole, rng))
        try:
            import_nir(file)
        except (NetworkError, ConfigError) as error:
            refused += "\n" not in str(error)
    assert refused > 20


def test_no_pickle_is_ever_loaded() -> None:
    """Every np.load of the packages refuses objects, and nothing imports pickle."""
    loads = 0
    for folder in ("contract", "golden", "rtl", "sim", "boards", "host"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"^\s*(import|from) (pickle|dill|joblib|shelve|marshal)", text, re.MULTILINE), path
            assert "allow_pickle=True" not in text, path
            for call in re.findall(r"np\.load\([^)]*\)", text):
                loads += 1
                assert "allow_pickle=False" in call, f"{path}: {call}"
    assert loads >= 2
