"""Random networks: the same for the same seed everywhere, and always ones that can be built."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import hypothesis
import pytest
from hypothesis import given

from solsa.contract import OPTIONS, Readout, preset
from solsa.golden import GoldenCore
from solsa.sim.random_networks import Case
from solsa.sim.strategies import cases, devices, draw, networks, random_case
from solsa.sim.vectors import Vector, read_vector, write_vector

#: Loads modules that hypothesis would take constants from, were it allowed to.
SCRIPT = """
import solsa.boards.build, solsa.host.cli, sys
from test_strategies import digest
print(digest())
"""


def digest() -> str:
    """Hash over some random networks."""
    found = hashlib.sha256()
    for index in range(12):
        case = random_case(7, index, steps=5)
        found.update(json.dumps([case.config.to_dict(), case.parameters.to_dict()]).encode())
        for array in (*case.weights, *(one.inputs for one in case.stimuli)):
            found.update(array.astype("<i8").tobytes())
    return found.hexdigest()


def test_the_same_networks_in_every_process() -> None:
    """Neither the modules that are loaded nor the hash seed of Python matter."""
    code = f"import sys; sys.path.insert(0, {str(__file__.rsplit('/', 1)[0])!r})" + SCRIPT
    found = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert found == {digest()}


def test_seed_and_index_matter() -> None:
    """Different networks for different keys; the readouts take turns; a geometry can be given."""
    made = [random_case(seed, index, steps=1).config for seed in (1, 2) for index in range(6)]
    assert len({config.config_hash for config in made}) == len(made)
    assert [config.readout for config in made[:6]] == [*Readout, *Readout]
    assert random_case(1, 0, config=preset("tiny")).config == preset("tiny")
    assert draw(devices(Readout.SPIKE), 1).readout is Readout.SPIKE


@given(config=networks())
def test_every_network_can_be_built(config: object) -> None:
    """Hypothesis' own draws (its shrinker too) end in configurations that the contract takes."""
    assert config is not None


@hypothesis.settings(max_examples=25, suppress_health_check=list(hypothesis.HealthCheck))
@given(case=cases(steps=4))
def test_every_case_runs_on_the_golden_model(case: Case) -> None:
    """Parameters, weights and inputs lie in their formats."""
    golden = GoldenCore(case.config, case.parameters, case.weights)
    for one in case.stimuli:
        assert case.config.formats.input.min <= one.inputs.min()
        assert one.inputs.max() <= case.config.formats.input.max
        golden.step(one.inputs, label=one.label, target=one.target, learn=one.learn, adapt=one.adapt)


@pytest.mark.parametrize("index", range(3))
def test_a_vector_is_read_as_it_was_written(tmp_path, index: int) -> None:  # type: ignore[no-untyped-def]
    """Every number of a case survives its file."""
    case = random_case(5, index, steps=7)
    write_vector(tmp_path / "a.json", Vector(case, "a test", "none", "trace-floor"))
    got = read_vector(tmp_path / "a.json")
    assert (got.about, got.mismatch, got.planted) == ("a test", "none", "trace-floor")
    assert (got.case.config, got.case.parameters) == (case.config, case.parameters)
    for mine, theirs in zip((*case.weights, *(x.inputs for x in case.stimuli)),
                            (*got.case.weights, *(x.inputs for x in got.case.stimuli)), strict=True):  # fmt: skip
        assert mine.tolist() == theirs.tolist()
    assert [(x.label, x.reset, x.learn, x.adapt) for x in case.stimuli] == [
        (x.label, x.reset, x.learn, x.adapt) for x in got.case.stimuli
    ]


def test_every_device_that_is_drawn_can_be_built() -> None:
    """Every option is drawn for some, none where it is refused (which would raise here)."""
    drawn = [draw(devices(tuple(Readout)[index % 3]), 7, index) for index in range(150)]
    assert {len(config.layers) for config in drawn} == {2, 3, 4}
    assert {name for config in drawn for name in config.options} == {name for name in OPTIONS if name != "stream"}
