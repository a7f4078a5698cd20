"""``solsa devices`` against pseudo-terminals with the golden device, with something else, and with nothing."""

from __future__ import annotations

import json
import os
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from cobs import cobs
from typer.testing import CliRunner

from solsa.contract import preset
from solsa.contract.wire import Reply, pack_reply, unpack_request
from solsa.host import cli_devices
from solsa.host.cli import app
from solsa.host.cli_devices import ask
from solsa.host.golden_device import GoldenDevice

Answer = Callable[[bytes], bytes]


class Port:
    """A pseudo-terminal; ``answer`` turns what came into what goes back."""

    def __init__(self, answer: Answer) -> None:
        self._ours, theirs = os.openpty()
        tty.setraw(theirs)
        self.name, self._theirs, self._answer = os.ttyname(theirs), theirs, answer
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 4096)
                os.write(self._ours, self._answer(data))
            except OSError:
                return

    def close(self) -> None:
        os.close(self._theirs)
        os.close(self._ours)


@pytest.fixture
def port() -> Iterator[Callable[[Answer], str]]:
    opened: list[Port] = []

    def make(answer: Answer) -> str:
        opened.append(Port(answer))
        return opened[-1].name

    yield make
    for each in opened:
        each.close()


def golden(name: str, **changes: object) -> Answer:
    device = GoldenDevice(preset(name).with_(**changes))

    def answer(data: bytes) -> bytes:
        device.send(data)
        return device.receive(0)

    return answer


def reply(payload: bytes) -> Answer:
    """Answers every whole frame as if it were done, with this payload."""
    buffer = bytearray()

    def answer(data: bytes) -> bytes:
        buffer.extend(data)
        *frames, rest = bytes(buffer).split(b"\0")
        buffer[:] = rest
        requests = [unpack_request(cobs.decode(frame)) for frame in frames if frame]
        done = [pack_reply(Reply(request.sequence, request.opcode, 0, payload)) for request in requests]
        return b"".join(cobs.encode(frame) + b"\0" for frame in done)

    return answer


def test_a_device_tells_its_preset(port: Callable[[Answer], str]) -> None:
    found = ask(port(golden("vowels")))
    assert (found.kind, found.preset, found.config_hash) == ("solsa", "vowels", preset("vowels").config_hash)
    assert found.text == "solsa, preset vowels, 2 layers, 8 lanes, 4 filter groups, readout membrane"


def test_a_configuration_that_is_no_preset_is_told_by_its_hash(port: Callable[[Answer], str]) -> None:
    found = ask(port(golden("tiny", layers=(3, 6, 3))))
    config_hash = preset("tiny").with_(layers=(3, 6, 3)).config_hash
    assert (found.kind, found.preset) == ("solsa", "")
    assert found.text.startswith(f"solsa, configuration {config_hash}, which is no preset, 2 layers, 2 lanes")


def test_another_contract_is_said(port: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_devices, "CONTRACT_VERSION", 99)
    assert ask(port(golden("tiny"))).text.endswith("; contract version 1, this solsa needs 99")


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (lambda data: b"", "silent", "no answer at 1000000 baud"),
        (lambda data: b"ok> \r\n", "silent", "no answer at 1000000 baud"),
        (reply(b"1234" * 9), "other", "answers, but is not a solsa device"),
        (reply(b"SLOS"), "other", "answers, but is not a solsa device"),
        (reply(b"123"), "other", "answers, but is not a solsa device"),
    ],
)
def test_what_is_no_device_is_told_apart(port: Callable[[Answer], str], answer: Answer, kind: str, text: str) -> None:
    found = ask(port(answer), timeout=0.1)
    assert found.kind == kind
    assert found.text.startswith(text)


def test_a_port_that_cannot_be_opened_is_told_why() -> None:
    found = ask("/dev/ttyNONE0")
    assert found.kind == "closed"
    assert found.text.startswith("no such port")


def test_the_command_lists_every_port(
    port: Callable[[Answer], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_devices, "TIMEOUT", 0.1)
    names = {port(golden("tiny")): "ULX3S FPGA", port(lambda data: b""): "n/a"}
    ports = [SimpleNamespace(device=name, description=text) for name, text in names.items()]
    monkeypatch.setattr(cli_devices.list_ports, "comports", lambda: ports)
    done = CliRunner().invoke(app, ["devices", "--json", str(tmp_path / "d.json")])
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "d.json").read_text())
    kinds = {entry["port"]: entry["kind"] for entry in content["ports"]}
    assert kinds == dict(zip(names, ("solsa", "silent"), strict=True))
    assert "preset tiny" in done.output
    assert "(ULX3S FPGA)" in " ".join(done.output.split())
    one = CliRunner().invoke(app, ["devices", next(iter(names))])
    assert "preset tiny" in one.output
    assert "no answer" not in one.output


def test_without_ports_there_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_devices.list_ports, "comports", lambda: [])
    done = CliRunner().invoke(app, ["devices"])
    assert done.output == "no serial port found; is the board connected?\n"
