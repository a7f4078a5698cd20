"""Thirty bad inputs and more: each gives one clear line and exit status 2, or an error reply, and changes nothing."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cobs import cobs
from toy_data import CSV, TS, toy_arrays
from typer.testing import CliRunner

from solsa.contract import preset
from solsa.contract.registers import Register, Space, space_words
from solsa.contract.wire import NAK, Opcode, Request, Status, pack_request, space_header, unpack_reply
from solsa.host.cli import app
from solsa.host.golden_device import GoldenDevice

TINY = preset("tiny")


def run(*args: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in args], env={"COLUMNS": "80", "TERM": "dumb"})


def meta(path: Path, **changes: object) -> None:
    """Change what a checkpoint says about itself."""
    arrays = dict(np.load(path, allow_pickle=False))
    content = json.loads(arrays["meta"].tobytes()) | changes
    arrays["meta"] = np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)
    np.savez(path, **arrays)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A network file after one epoch on the toy data."""
    folder = tmp_path_factory.mktemp("trained")
    np.savez(folder / "toy.npz", **toy_arrays())
    assert run("learn", folder / "toy.npz", "--epochs", 1, "--out", folder).exit_code == 0
    return (folder / "network.npz").read_bytes()


def flipped(path: Path, array: bytes = b"weight0") -> None:
    """One bit of an array, behind the headers."""
    data = bytearray(path.read_bytes())
    data[data.index(array + b".npy") + len(array) + 4 + 20 + 128 + 4] ^= 4
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


Prepare = Callable[[Path], object]
# Name, arguments, what is done to the folder before, begin of the line. {t} is the folder, c.npz a checkpoint in it.
INPUTS: list[tuple[str, str, Prepare | None, str]] = [
    # -- data files
    ("no such file", "learn {t}/none.npz", None, "{t}/none.npz: no such file or folder"),
    ("no such name", "learn Vowels", None, "unknown data set 'Vowels'"),
    ("another ending", "learn {t}/a.txt", lambda t: (t / "a.txt").touch(), "{t}/a.txt: ending '.txt' is not known"),
    ("an empty .npz", "learn {t}/a.npz", lambda t: (t / "a.npz").touch(), "{t}/a.npz: not an .npz file"),
    ("text as .npz", "learn {t}/a.npz", lambda t: (t / "a.npz").write_text("no"), "{t}/a.npz: not an .npz file"),
    ("a pickle", "learn {t}/a.npz", lambda t: np.savez(t / "a.npz", X=np.array([{}]), y=np.array([0])),
     "{t}/a.npz, array 'X': holds Python objects"),
    ("a damaged .npz", "learn {t}/toy.npz", lambda t: flipped(t / "toy.npz", b"X"), "{t}/toy.npz"),
    ("a .csv without header", "learn {t}/a.csv", lambda t: (t / "a.csv").write_text("1,2,3\n"), "{t}/a.csv: header"),
    ("a .csv with a gap", "learn {t}/a.csv", lambda t: (t / "a.csv").write_text(CSV.replace("a,1,", "a,2,")),
     "{t}/a.csv, line 4, sample a: step 2, expected 1"),
    ("a .csv that is binary", "learn {t}/a.csv", lambda t: (t / "a.csv").write_bytes(b"\xff\xfe"),
     "{t}/a.csv: not UTF-8 text"),
    ("a .ts without data", "learn {t}/a.ts", lambda t: (t / "a.ts").write_text("@problemName x\n"),
     "{t}/a.ts: no @data line"),
    ("a .ts without classes", "learn {t}/a.ts",
     lambda t: (t / "a.ts").write_text(TS.replace("@classLabel true up down", "@classLabel false")),
     "{t}/a.ts, line 6: no class labels"),
    # -- arguments
    ("device", "learn {t}/toy.npz --device /dev/ttyNONE0", None, "port /dev/ttyNONE0: no such port"),
    ("preset", "learn {t}/toy.npz --preset huge", None, "preset 'huge' is not known"),
    ("epochs", "learn {t}/toy.npz --epochs none", None, "Invalid value for '--epochs'"),
    ("checkpoint", "learn {t}/toy.npz --checkpoint 5m", None, "--checkpoint '5m', allowed are samples, such as 100"),
    ("keep", "learn {t}/toy.npz --keep 0", None, "Invalid value for '--keep'"),
    ("fault", "learn {t}/toy.npz --faults flop=1", None, "faults: unknown fault 'flop', allowed flip=N"),
    ("share of faults", "learn {t}/toy.npz --faults flip=2", None, "faults: flip=2.0, allowed 0 to 0.2"),
    ("folder of the JSON", "learn {t}/toy.npz --json {t}/no/a.json", None, "--json {t}/no/a.json: the folder"),
    ("folder that is a file", "learn {t}/toy.npz --out {t}/toy.npz", None, "--out {t}/toy.npz: cannot be made a"),
    # -- checkpoints
    ("no such checkpoint", "learn {t}/toy.npz --resume {t}/none", None, "{t}/none: no such network file"),
    ("an empty folder", "learn {t}/toy.npz --resume {t}/sub", lambda t: (t / "sub").mkdir(), "{t}/sub: holds no "),
    ("an empty checkpoint", "learn {t}/toy.npz --resume {t}/c.npz", lambda t: (t / "c.npz").write_bytes(b""),
     "{t}/c.npz: not a network file of solsa, or damaged"),
    ("a cut checkpoint", "learn {t}/toy.npz --resume {t}/c.npz", lambda t: cut(t / "c.npz"), "{t}/c.npz: "),
    ("a flipped bit", "learn {t}/toy.npz --resume {t}/c.npz", lambda t: flipped(t / "c.npz"), "{t}/c.npz: "),
    ("data for a checkpoint", "learn {t}/toy.npz --resume {t}/toy.npz", None, "{t}/toy.npz: not a network file"),
    ("another version", "learn {t}/toy.npz --resume {t}/c.npz", lambda t: meta(t / "c.npz", version=9),
     "{t}/c.npz: network file version 9, this solsa reads 1"),
    ("another configuration", "learn {t}/toy.npz --resume {t}/c.npz",
     lambda t: meta(t / "c.npz", config_hash="00000000"), "{t}/c.npz: made for configuration 00000000"),
    ("another data set", "learn {t}/toy.npz --resume {t}/c.npz", lambda t: meta(t / "c.npz", dataset="dog"),
     "{t}/c.npz was trained on dog, not on toy"),
    ("other samples", "learn {t}/toy.npz --resume {t}/c.npz", lambda t: meta(t / "c.npz", data_sha256="00"),
     "{t}/c.npz was trained on other samples than {t}/toy.npz holds now"),
    ("more samples than there are", "learn {t}/toy.npz --resume {t}/c.npz",
     lambda t: meta(t / "c.npz", samples_done=99), "{t}/c.npz was trained on other samples"),
    ("another seed", "learn {t}/toy.npz --resume {t}/c.npz --seed 4", None, "{t}/c.npz was started with seed 0, not 4"),
    ("weights that do not match", "learn {t}/toy.npz --resume {t}/c.npz",
     lambda t: meta(t / "c.npz", weight_sha256="00"), "{t}/c.npz: damaged, the weights do not match their SHA-256"),
    ("an impossible place", "learn {t}/toy.npz --resume {t}/c.npz", lambda t: meta(t / "c.npz", epochs_done=-1),
     "{t}/c.npz: damaged, -1 epochs done"),
    ("a network to decide with", "eval {t}/toy.npz {t}/toy.npz", None, "{t}/toy.npz: not a network file of solsa"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "prepare", "message"), [i[1:] for i in INPUTS], ids=[i[0] for i in INPUTS])
def test_one_line_and_status_2(
    trained: bytes, tmp_path: Path, args: str, prepare: Prepare | None, message: str
) -> None:
    np.savez(tmp_path / "toy.npz", **toy_arrays())
    (tmp_path / "c.npz").write_bytes(trained)
    if prepare is not None:
        prepare(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = run(*(word.format(t=tmp_path) for word in args.split()))
    assert result.exit_code == 2, result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"solsa: error: {message.format(t=tmp_path)}")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def frame(opcode: int, payload: bytes = b"") -> bytes:
    return cobs.encode(pack_request(Request(1, opcode, payload)))


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1 or 2])


_STEP = struct.pack("<BHH", 2, 0, 1) + bytes(3)
FRAMES = {
    "a wrong CRC": (damaged(frame(Opcode.INFO)), Status.BAD_CRC),
    "too short": (cobs.encode(b"abc"), Status.BAD_CRC),
    "too long": (frame(Opcode.LOAD, bytes(300)), Status.BAD_CRC),
    "not COBS": (b"\x09abc", Status.BAD_CRC),
    "an unknown opcode": (frame(99), Status.BAD_OPCODE),
    "a payload where none belongs": (frame(Opcode.INFO, b"x"), Status.BAD_LENGTH),
    "half a word": (frame(Opcode.LOAD, space_header(Space.WEIGHT, 0) + b"xx"), Status.BAD_LENGTH),
    "steps that are not there": (frame(Opcode.RUN, struct.pack("<BHH", 2, 0, 9) + bytes(3)), Status.BAD_LENGTH),
    "behind the weights": (
        frame(Opcode.LOAD, space_header(Space.WEIGHT, space_words(TINY)[Space.WEIGHT]) + bytes(4)), Status.BAD_ADDRESS,
    ),
    "a space that does not exist": (frame(Opcode.STATE, space_header(99, 0) + b"\1"), Status.BAD_ADDRESS),
    "a register that cannot be written": (frame(Opcode.WRITE, space_header(0, 0) + bytes(4)), Status.BAD_ADDRESS),
    "a generator that would stand still": (
        frame(Opcode.WRITE, space_header(0, Register.RNG) + bytes(4)), Status.BAD_VALUE,
    ),
    "a class that does not exist": (frame(Opcode.RUN, _STEP[:1] + b"\x09" + _STEP[2:]), Status.BAD_VALUE),
    "unknown flags": (frame(Opcode.RUN, b"\xff" + _STEP[1:]), Status.BAD_VALUE),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), FRAMES.values(), ids=FRAMES)
def test_an_error_reply_and_the_state_untouched(sent: bytes, status: Status) -> None:
    device, fresh = GoldenDevice(TINY), GoldenDevice(TINY)
    device.send(sent + b"\0")
    (found,) = device.receive(0.0).split(b"\0")[:-1]
    assert unpack_reply(cobs.decode(found)).status == status
    assert (cobs.decode(found) == NAK) is (status is Status.BAD_CRC)
    for space, words in space_words(TINY).items():
        assert device.memory.read(space, 0, words).tolist() == fresh.memory.read(space, 0, words).tolist()


def test_there_are_at_least_thirty() -> None:
    assert len(INPUTS) + len(FRAMES) >= 30
