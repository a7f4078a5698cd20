"""Loading a bitstream, with programmers that only pretend."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path

import pytest
from test_report import manifest

from solsa.boards import program as programming
from solsa.boards.catalogue import BOARDS
from solsa.boards.program import program_board
from solsa.boards.tools import BuildError
from solsa.contract import ConfigError


def fake(folder: Path, does: str = "exit 0") -> Path:
    tool = folder / "loader"
    tool.write_text(f'#!/bin/sh\necho "$*" > {shlex.quote(str(folder / "seen"))}\n{does}\n')
    tool.chmod(0o755)
    return tool


def built(name: str, date: str, board: str = "ulx3s_85f", problem: str = "") -> Path:
    folder = Path("build") / name
    folder.mkdir(parents=True)
    file = folder / f"{board}.bit"
    if not problem:
        file.write_text(name)
    entry = asdict(manifest(board=board, date=date, bitstream="" if problem else str(file), problem=problem))
    (folder / "manifest.json").write_text(json.dumps(entry))
    return file


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for board in BOARDS.values():
        monkeypatch.delenv(board.programmer.variable, raising=False)


def test_the_newest_good_build_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENFPGALOADER", str(fake(tmp_path)))
    built("ulx3s_85f-a", "2026-01-02")
    newest = built("ulx3s_85f-b", "2026-01-03")
    built("ulx3s_85f-c", "2026-01-04", problem="timing missed")
    built("ulx3s_12f-d", "2026-01-05", board="ulx3s_12f")
    (Path("build") / "ulx3s_85f-old").mkdir()
    (Path("build") / "ulx3s_85f-old" / "manifest.json").write_text('{"board": "ulx3s_85f"}')
    said: list[str] = []
    assert program_board("ulx3s_85f", say=said.append) == newest
    assert (tmp_path / "seen").read_text() == f"-b ulx3s {newest}\n"
    assert said == [f"loader -b ulx3s {newest}"]


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_calls_its_tool(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = BOARDS[name].programmer
    monkeypatch.setenv(tool.variable, str(fake(tmp_path)))
    file = tmp_path / "a.bit"
    file.write_text("bits")
    program_board(name, file)
    assert (tmp_path / "seen").read_text().split() == [*tool.arguments, str(file)]
    monkeypatch.setenv(tool.variable, "/nowhere/tool")
    with pytest.raises(ConfigError) as caught:
        program_board(name, file)
    assert str(caught.value) == f"/nowhere/tool is not installed, needed to program {name}: install {tool.package}"


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.bit"
    file.write_text("bits")
    monkeypatch.setattr(programming, "find_program", lambda name: None)
    with pytest.raises(ConfigError, match=r"^iceprog is not installed, needed to program icebreaker: install fpga-ice"):
        program_board("icebreaker", file)


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("echo init >&2; echo 'Error: unable to open ftdi device' >&2; echo bye >&2; exit 1", "Error: unable to open"),
        ("echo only this; exit 1", "only this"),
        ("exit 3", "exit status 3"),
    ],
)
def test_a_missing_cable_is_one_line(does: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENFPGALOADER", str(fake(tmp_path, does)))
    file = tmp_path / "a.bit"
    file.write_text("bits")
    with pytest.raises(BuildError) as caught:
        program_board("ulx3s_85f", file)
    assert str(caught.value).startswith(f"ulx3s_85f: loader failed ({words}")
    assert str(caught.value).endswith("); is USB connector US1 connected?")


def test_without_a_build_or_a_file_there_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no bitstream for icebreaker in build: run solsa build icebreaker, or "):
        program_board("icebreaker")
    with pytest.raises(ConfigError, match=rf"^bitstream {tmp_path}/none: no such file$"):
        program_board("icebreaker", tmp_path / "none")
    with pytest.raises(ConfigError, match="did you mean icebreaker"):
        program_board("icebraker")
    assert os.listdir() == []
