"""Boards built one after the other: each manifest as it comes, failures said, one batch at a time."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from solsa.boards import batch
from solsa.boards.tools import BuildError


def _build(board: str, name: str | None, **_: Any) -> dict[str, Any]:
    if board == "icebreaker":
        raise BuildError("yosys failed")
    return {"board": board, "preset": name, "fmax_mhz": 80.0, "problem": "timing missed" if name == "tiny" else ""}


def test_a_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    said: list[str] = []
    failed = batch.run(["icebreaker", "ulx3s_85f:tiny", "ulx3s_85f"], tmp_path / "new", said.append, _build)
    assert failed == ["icebreaker: yosys failed", "ulx3s_85f-tiny: timing missed"]
    assert sorted(p.name for p in (tmp_path / "new").glob("*.json")) == ["ulx3s_85f-tiny.json", "ulx3s_85f.json"]
    assert json.loads((tmp_path / "new" / "ulx3s_85f.json").read_text())["fmax_mhz"] == 80.0
    assert said[-1] == "ulx3s_85f: 80.0 MHz"


def test_the_documents_boards_exist() -> None:
    assert all(batch.parse(text) for text in batch.DEFAULT)


def test_a_clock_may_be_named() -> None:
    assert batch.parse("ulx3s_85f:flagship@80") == ("ulx3s_85f", "flagship", 80.0)
    assert batch.parse("ulx3s_85f") == ("ulx3s_85f", None, None)


@pytest.mark.parametrize("clock", ["", "nan", "inf", "-5", "0"])
def test_a_clock_that_is_none_stops_before_the_first_build(
    clock: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch.main([f"icebreaker@{clock}", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"icebreaker@{clock}: {clock!r} is no clock, allowed a number of MHz above 0\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["nothing", "icebreaker:nothing", "icebreaker@nothing"])
def test_unknown_names_stop_before_the_first_build(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch.main(["icebreaker", text, "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "nothing" in line
    assert not list(tmp_path.iterdir())


def test_one_batch_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / batch.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert batch.main(["icebreaker", "--results", str(tmp_path)]) == 2
    assert "another batch writes there" in capsys.readouterr().err
