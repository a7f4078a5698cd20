"""A run of ``solsa learn`` that is killed at random moments and resumed until it ends; on the golden model."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SOLSA = Path(sys.executable).with_name("solsa")


def learn(dataset: str, out: Path, *more: object) -> list[str]:
    """Command that begins a run, or goes on with what lies in ``out``."""
    begun = out.is_dir() and any(out.glob("*.npz"))
    where = ["--resume", str(out)] if begun else ["--out", str(out)]
    return [str(SOLSA), "learn", dataset, *where, *map(str, more)]


def _begun(process: subprocess.Popen[str], out: Path) -> float:
    """Wait for the first file in ``out``, which is written before the first sample; returns the time."""
    while process.poll() is None and not (out.is_dir() and any(out.glob("*.npz"))):
        time.sleep(0.02)
    return time.monotonic()


def whole_run(dataset: str, out: Path, epochs: int) -> tuple[dict[str, Any], float]:
    """Result of a run that nobody disturbs, and the seconds from its first sample to its end."""
    process = subprocess.Popen(learn(dataset, out, "--epochs", epochs), stdout=subprocess.DEVNULL, text=True)
    began = _begun(process, out)
    if process.wait(600):
        raise RuntimeError(f"a run that nobody disturbed ended with {process.returncode}")
    return json.loads((out / "result.json").read_text()), time.monotonic() - began


def killed_run(
    dataset: str, out: Path, epochs: int, kills: int, seconds: float, seed: int, number: int = signal.SIGKILL
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Kill a run ``kills`` times and let it end then.

    A kill strikes at a random moment of the ``seconds`` after the first sample of the run, or, after a resume, of the
    share of them that is left for the remaining kills.

    Returns
    -------
    result, kills
        What the last start wrote, and where every kill struck: seconds after the first sample, newest file left.
    """
    shutil.rmtree(out, ignore_errors=True)
    source, struck = random.Random(seed), []
    every = ("--epochs", epochs, "--checkpoint", 5)
    while len(struck) < kills:
        process = subprocess.Popen(
            learn(dataset, out, *every), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        began = _begun(process, out)
        if struck:  # the files of the run before are there: give it time to load them
            time.sleep(min(2.0, seconds))
        after = source.uniform(0, seconds / kills)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        error = process.communicate(timeout=60)[1]
        if process.returncode == 0:  # it was faster: begin anew
            shutil.rmtree(out)
            continue
        if process.returncode not in (-number, 130):
            raise RuntimeError(f"a killed run ended with {process.returncode}: {error.strip()}")
        files = sorted(out.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns) if out.is_dir() else []
        struck.append({"seconds": round(time.monotonic() - began, 2), "newest": files[-1].name if files else None})
    subprocess.run(learn(dataset, out, *every), check=True, capture_output=True, timeout=600)
    return json.loads((out / "result.json").read_text()), struck
