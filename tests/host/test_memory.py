"""Bits of state against BPTT: the number of steps from which a share is saved is the smallest one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from solsa.contract import PRESETS, Layout, preset
from solsa.host.cli import app
from solsa.host.memory import CLAIM, compared, first_steps


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("saving", [0.0, 0.5, CLAIM])
def test_first_steps_is_the_smallest_number(name: str, saving: float) -> None:
    layout = Layout(preset(name))
    state = sum(layout.state_bits().values())
    steps = first_steps(preset(name), saving)
    assert 1 - state / sum(layout.bptt_bits(steps).values()) >= saving
    if steps:
        assert 1 - state / sum(layout.bptt_bits(steps - 1).values()) < saving


def test_info_takes_the_steps(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    done = CliRunner().invoke(app, ["info", "--preset", "vowels", "--steps", "100", "--json", str(file)])
    assert done.exit_code == 0
    content = json.loads(file.read_text())
    wanted = compared(preset("vowels"), 100)
    assert {key: content[key] for key in wanted} == wanted
    assert f"72 % from {wanted['steps_of_claim']} steps on" in done.stdout
    short = CliRunner().invoke(app, ["info", "--steps", "1"])
    assert "more bits than BPTT" in short.stdout
