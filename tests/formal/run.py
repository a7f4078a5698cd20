"""Runs proofs with their covers and controls, prints a table, writes the results.

A proof counts only if sby says PASS, every cover is reached and every control is found. Everything else, a time-out or
an error of a tool included, is a failure.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import solsa.rtl
from solsa.sim.planted import planted

from . import core_proofs, frame_proofs, line_proofs, order_proofs, softmax_proofs, stream_proofs
from .harness import Harness
from .proofs import CLAIMS, Control, Proof
from .tools import CACHE, ENGINES, Outcome, prepare, run_sby, versions

PROOFS: tuple[Proof, ...] = tuple(
    proof
    for module in (frame_proofs, stream_proofs, order_proofs, core_proofs, softmax_proofs, line_proofs)
    for proof in module.PROOFS
)
#: Amaranth elaborates one design at a time: units of a planted package are imported and patched.
_elaboration = threading.Lock()


@dataclass(frozen=True)
class Verdict:
    """What became of a proof.

    Attributes
    ----------
    proof : Proof
        Which.
    proved, covered : Outcome
        The proof itself; its covers.
    controls : tuple of Outcome
        One per control.
    """

    proof: Proof
    proved: Outcome
    covered: Outcome
    controls: tuple[Outcome, ...]

    @property
    def good(self) -> bool:
        """Proved, reached, and every planted bug found."""
        found = bool(self.controls) and all(c.status == "FAIL" for c in self.controls)
        return self.proved.status == "PASS" and self.covered.status == "PASS" and found

    def to_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        p = self.proof
        return {
            "name": p.name,
            "claim": p.claim,
            "unit": p.unit,
            "says": p.says,
            "mode": "unbounded" if p.mode == "prove" else "bounded",
            "engine": ENGINES[p.engine],
            "depth": p.depth if p.engine == "yices" else None,
            "result": self.proved.status,
            "seconds": round(self.proved.seconds, 1),
            "cpu_seconds": self.proved.cpu,
            "cover": {
                "result": self.covered.status, "depth": self.covered.depth, "seconds": round(self.covered.seconds, 1),
            },
            "controls": [
                {"about": c.about, "result": o.status, "depth": o.depth, "seconds": round(o.seconds, 1)}
                for c, o in zip(p.controls, self.controls, strict=True)
            ],
            "good": self.good,
        }  # fmt: skip


def prove(proof: Proof) -> Outcome:
    """The proof on the real RTL."""
    build = lambda: proof.build(solsa.rtl).to_rtlil()  # noqa: E731
    return _run(proof, proof.name, build, proof.mode, proof.engine, proof.depth)


def cover(proof: Proof) -> Outcome:
    """Everything that must be reachable."""
    build = lambda: proof.build(solsa.rtl).to_rtlil()  # noqa: E731
    return _run(proof, f"{proof.name}-cover", build, "cover", "yices", proof.cover, proof.skip)


def refute(proof: Proof, control: Control) -> Outcome:
    """The proof where it must fail."""

    number = proof.controls.index(control)
    name, build = f"{proof.name}-control{number}", lambda: bugged(proof, control).to_rtlil()
    return _run(proof, name, build, "bmc", "yices", control.depth, control.skip, about=control.about)


def bugged(proof: Proof, control: Control) -> Harness:
    """The harness of a control: of its own, or the proof's with the bug planted in the RTL; claims only."""
    with patch.object(Harness, "lemmas", new=False):
        if control.build is not None:
            return control.build(solsa.rtl)
        assert control.bug is not None
        return proof.build(planted(control.bug))


def _run(
    proof: Proof,
    name: str,
    build: Callable[[], str],
    mode: str,
    engine: str,
    depth: int,
    skip: int = 0,
    *,
    about: str = "",
) -> Outcome:
    with _elaboration:
        try:
            design = build()
        except Exception as error:  # the RTL has moved away from the harness: any error
            print(f"formal: {name}{about and f' ({about})'}: {type(error).__name__}: {error}", file=sys.stderr)
            return Outcome("ERROR", 0.0, -1, CACHE / "work" / name)
    return run_sby(
        name, design, mode=mode, engine=engine, depth=depth, limit=proof.limit, script=proof.script, skip=skip
    )


def run(proofs: Iterable[Proof], *, jobs: int, slack: int = 1, say: Callable[[str], None] = print) -> list[Verdict]:
    """Run proofs in a pool; one line for each as it is finished.

    Parameters
    ----------
    proofs : iterable of Proof
        What to run, the longest first is best.
    jobs : int
        Runs of sby at a time.
    slack : int
        Factor on every time limit, for a machine that is not free.
    say : callable
        Takes the lines.
    """
    prepare()
    chosen = [replace(p, limit=p.limit * slack) for p in proofs]
    with ThreadPoolExecutor(jobs) as pool:
        pending: list[tuple[Proof, Future[Outcome], Future[Outcome], list[Future[Outcome]]]] = [
            (
                p,
                pool.submit(prove, p),
                pool.submit(cover, p),
                [pool.submit(refute, p, c) for c in p.controls],
            )
            for p in sorted(chosen, key=lambda p: -p.weight)
        ]
        found = {}
        for p, proved, covered, controls in pending:
            verdict = Verdict(p, proved.result(), covered.result(), tuple(c.result() for c in controls))
            say(line(verdict))
            found[p.name] = verdict
    return [found[p.name] for p in chosen]


HEAD = f"{'claim':5}  {'proof':26}  {'engine':14}  {'result':8}  {'s':>6}  {'cover':12}  controls"


def line(v: Verdict) -> str:
    """Row of the table."""
    controls = ", ".join(f"{c.status}@{c.depth}" if c.status == "FAIL" else c.status for c in v.controls)
    covered = f"{v.covered.status}@{v.covered.depth}"
    mark = "" if v.good else "   <-- NOT AS EXPECTED"
    return (
        f"{v.proof.claim:5}  {v.proof.name:26}  {ENGINES[v.proof.engine]:14}  {v.proved.status:8}  "
        f"{v.proved.seconds:6.1f}  {covered:12}  {controls}{mark}"
    )


def write(path: Path, verdicts: list[Verdict], seconds: float) -> None:
    """Results as JSON, whole or not at all."""
    result = {
        "claims": {str(k): v for k, v in CLAIMS.items()},
        "proofs": [v.to_dict() for v in verdicts],
        "good": all(v.good for v in verdicts),
        "wall_seconds": round(seconds, 1),
        "versions": versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(result, indent=2) + "\n")
    temporary.replace(path)


def timed(
    proofs: Iterable[Proof], *, jobs: int, slack: int = 1, say: Callable[[str], None] = print
) -> tuple[list[Verdict], float]:
    """`run`, and its wall clock."""
    begin = time.monotonic()
    verdicts = run(proofs, jobs=jobs, slack=slack, say=say)
    return verdicts, time.monotonic() - begin
