"""Two proofs and a control of `make formal`, so that a change of the RTL or of the tools shows at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

import solsa.rtl
from formal.harness import Harness
from formal.proofs import Control, Proof
from formal.run import PROOFS, Verdict, bugged, cover, prove, refute
from formal.tools import Outcome, run_sby
from solsa.sim.planted import RTL, Bug, changed, planted

BY_NAME = {p.name: p for p in PROOFS}


@pytest.mark.parametrize("name", ["divider-time", "stream-request"])
def test_proved_and_not_vacuous(name: str) -> None:
    assert prove(BY_NAME[name]).status == "PASS"
    assert cover(BY_NAME[name]).status == "PASS"


def test_planted_bug_is_found() -> None:
    proof = BY_NAME["frame-receiver"]
    outcome = refute(proof, proof.controls[0])
    assert outcome.status == "FAIL"
    assert outcome.depth > 0


CONTROLS = [pytest.param(p, c, id=f"{p.name}-{i}") for p in PROOFS for i, c in enumerate(p.controls)]


@pytest.mark.parametrize(("proof", "control"), CONTROLS)
def test_planted_bug_still_applies(proof: Proof, control: Control) -> None:
    if control.bug is not None:
        text = (RTL / control.bug.file).read_text()
        assert changed(control.bug, text) != text
    elaborated = bugged(proof, control).to_rtlil()
    assert 'parameter \\FLAVOR "assert"' in elaborated


def test_a_bug_that_no_longer_applies_is_an_error_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    proof = BY_NAME["crc"]
    for new, reason in (("no such name", "SyntaxError"), ("missing", "NameError")):
        control = Control("broken", 1, Bug("crc.py", "0xEDB88320", new, ""))
        assert refute(replace(proof, controls=(control,)), control).status == "ERROR"
        assert f"formal: crc-control0 (broken): {reason}" in capsys.readouterr().err
    control = Control("gone", 1, Bug("crc.py", "text that is not there", "", ""))
    assert refute(replace(proof, controls=(control,)), control).status == "ERROR"
    assert "formal: crc-control0 (gone): ValueError: rtl/crc.py" in capsys.readouterr().err


def test_pdr_finds_it_too() -> None:
    # the wrapper around ABC must not say "proved" to everything
    proof = BY_NAME["divider-time"]
    (control,) = proof.controls
    assert control.bug is not None
    design = proof.build(planted(control.bug)).to_rtlil()
    assert run_sby("quick-pdr", design, mode="prove", engine="pdr", depth=1, limit=proof.limit).status == "FAIL"


def test_no_property_is_no_proof() -> None:
    empty = Harness(solsa.rtl).to_rtlil()
    for mode in ("prove", "bmc", "cover"):
        assert run_sby("quick-empty", empty, mode=mode, engine="yices", depth=1, limit=60).status == "ERROR"


def test_names_are_unique_and_every_proof_has_a_control() -> None:
    assert len(BY_NAME) == len(PROOFS)
    assert all(p.controls for p in PROOFS)


@pytest.mark.parametrize("status", ["UNKNOWN", "TIMEOUT", "ERROR", "FAIL"])
def test_anything_but_a_clear_verdict_is_a_failure(status: str) -> None:
    proof = BY_NAME["crc"]
    passed, failed = (Outcome(s, 0.0, 1, prove.__code__.co_filename) for s in ("PASS", "FAIL"))
    good = Verdict(proof, passed, passed, (failed,))
    other = replace(passed, status=status)
    assert good.good
    assert not replace(good, proved=other).good
    assert not replace(good, covered=other).good
    assert not replace(good, controls=()).good
    assert not replace(good, controls=(replace(other, status="PASS" if status == "FAIL" else status),)).good


def test_time_out_is_reported() -> None:
    proof = replace(BY_NAME["softmax-time"], limit=1)
    assert prove(proof).status in ("TIMEOUT", "ERROR")
