"""Runs the tests on a copy of the tree whose RTL carries one mutant."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from solsa.sim.planted import changed

from . import killers
from .mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "mutation"
#: What a copy holds, besides pyproject.toml.
FOLDERS = ("contract", "golden", "rtl", "sim", "host", "boards", "tests")
#: Folders with modules that killers import, besides tests/ itself.
HELPERS = ("rtl", "integration")
WATCH = "tests/mutation/watch.py"
#: Wall seconds after which a stage is killed, whatever it waits for.
WALL = 1200
#: Signals by which a simulation ends itself; any other came from outside and says nothing about the mutant.
CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGBUS, signal.SIGILL}


class HarnessError(RuntimeError):
    """The harness cannot do its work; one line."""


class Progress(Protocol):
    """Called after every mutant."""

    def __call__(self, outcome: Outcome, done: int, total: int) -> None: ...


@dataclass
class Outcome:
    """What became of a mutant.

    Attributes
    ----------
    name, file, about : str
        The mutant.
    killer : str
        First test that failed; empty if all passed.
    why : str
        First line of what it said.
    seconds : float
        Wall time.
    tests : int
        Tests that ran, the killer included.
    equivalent : str
        Why no test can notice it, as the catalogue says.
    automatic : bool
        Made by tests/mutation/automatic.py.
    """

    name: str
    file: str
    about: str
    killer: str = ""
    why: str = ""
    seconds: float = 0.0
    tests: int = 0
    equivalent: str = ""
    automatic: bool = False
    problem: str = field(default="", compare=False)

    @property
    def killed(self) -> bool:
        """Whether a test failed."""
        return bool(self.killer)


def _sources(folder: Path) -> list[Path]:
    wanted = [folder / "pyproject.toml"]
    for name in FOLDERS:
        wanted += [p for p in (folder / name).rglob("*") if p.suffix in (".py", ".cpp", ".h", ".json", ".npz")]
    return sorted(p for p in wanted if "__pycache__" not in p.parts)


def _digest(folder: Path, stages: list[list[str]]) -> str:
    """Hash of what decides an outcome: the packages, the stages, and their tests with what these import."""
    found = hashlib.sha256(repr(stages).encode())
    tests = {node.partition("::")[0] for stage in stages for node in stage}
    for path in _sources(folder):
        name = path.relative_to(folder)
        helper = len(name.parts) <= 2 or name.parts[1] in HELPERS
        used = str(name) in tests or str(name) == WATCH or (helper and not path.name.startswith("test_"))
        if used if name.parts[0] == "tests" else name.parts[0] not in ("boards", "pyproject.toml"):
            found.update(str(name).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:24]


class Harness:
    """A copy of the tree as it is now, and runs on it.

    Parameters
    ----------
    workers : int
        Mutants at a time.
    fresh : bool
        Ignore stored outcomes.
    cache : Path
        Folder for copies, outcomes and compiled libraries.
    bound : float
        Processor seconds that every test may take besides a multiple of its usual time.
    before : dict, optional
        Test that killed each mutant in an earlier run; it is tried before the stages.
    """

    def __init__(self, workers: int = 2, *, fresh: bool = False, cache: Path = CACHE, bound: float = 15.0,
                 before: dict[str, str] | None = None) -> None:  # fmt: skip
        self.workers, self.fresh, self.cache, self.bound = workers, fresh, cache, bound
        self.base = cache / "base"
        self.before = before or {}
        self.usual: dict[str, float] = {}
        self._running: set[int] = set()
        self._numbers = itertools.count()
        self._snapshot()

    def _snapshot(self) -> None:
        """Bring the copy up to date; files that did not change keep their compiled twins."""
        self.base.mkdir(parents=True, exist_ok=True)
        kept = set()
        for path in _sources(ROOT):
            target = self.base / path.relative_to(ROOT)
            kept.add(target)
            if not target.exists() or target.read_bytes() != path.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
        for path in _sources(self.base):
            if path not in kept:
                path.unlink()
        link = self.base / ".typing" / "solsa"
        if not link.is_symlink():
            link.parent.mkdir(exist_ok=True)
            link.symlink_to("..")

    # -- one stage ---------------------------------------------------------------------------------------------------
    def _pytest(self, tree: Path, tests: list[str], *, first: bool) -> dict[str, Any]:
        """Run tests in a copy; its report."""
        number = next(self._numbers)
        report, output = tree / f"report-{number}.json", tree / f"pytest-{number}.log"
        command = [sys.executable, "-m", "pytest", "-p", "mutation.watch", "-p", "no:cacheprovider", "-q", "--tb=no"]
        command += ["-x"] * first + [f"--deselect={name}" for name in killers.LEFT_OUT] + tests
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(tree / ".typing"), str(tree / "tests")]),
            "MUTATION_REPORT": str(report),
            "MUTATION_SECONDS": json.dumps(self.usual),
            "MUTATION_BOUND": str(self.bound),
            "SOLSA_CACHE": str(self.cache),
            "SOLSA_NO_SKIP": "1",
            "PYTEST_ADDOPTS": "",
        }
        with open(output, "w") as log:
            run = subprocess.Popen(command, cwd=tree, env=environment, stdout=log, stderr=log, start_new_session=True)
            self._running.add(run.pid)
            try:
                run.wait(WALL)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                return {"failed": [{"test": tests[0], "why": f"hangs: {WALL} s", "stillborn": False}], "seconds": {}}
            finally:
                self._running.discard(run.pid)
        if not report.exists():
            lines = output.read_text().strip().splitlines() or ["no message"]
            if -run.returncode in CRASHES:  # compiled code takes pytest with it
                why = f"the simulation dies of signal {-run.returncode}"
                return {"failed": [{"test": tests[0], "why": why, "stillborn": False}], "seconds": {}}
            raise HarnessError(f"pytest ended with status {run.returncode} and no report: {lines[-1]}")
        found: dict[str, Any] = json.loads(report.read_text())
        if run.returncode and not found["failed"]:
            raise HarnessError(
                f"pytest ended with status {run.returncode}: {output.read_text().strip().splitlines()[-1]}"
            )
        report.unlink()
        output.unlink()
        return found

    # -- control -----------------------------------------------------------------------------------------------------
    def control(self, say: Any = print) -> None:
        """Run every killer on the RTL as it is: all must pass, and their times bound those on mutants.

        Raises
        ------
        HarnessError
            If a killer fails without a mutant.
        """
        stages = killers.control_stages()
        store = self.cache / "control" / f"{_digest(self.base, stages)}.json"
        if store.exists() and not self.fresh:
            self.usual = json.loads(store.read_text())
            return

        def run(stage: list[str]) -> dict[str, float]:
            started = time.monotonic()
            found = self._pytest(self.base, stage, first=False)
            if found["failed"]:
                bad = found["failed"][0]
                raise HarnessError(f"control: {bad['test']} fails on the RTL as it is: {bad['why']}")
            say(f"control: {len(found['seconds'])} tests of {stage[0]} ... pass, {time.monotonic() - started:.0f} s")
            seconds: dict[str, float] = found["seconds"]
            return seconds

        with ThreadPoolExecutor(self.workers) as pool:
            runs = list(pool.map(run, stages))
        self.usual = {name: spent for seconds in runs for name, spent in seconds.items()}
        store.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(json.dumps(self.usual))

    # -- mutants -----------------------------------------------------------------------------------------------------
    def run(self, name: str, mutant: Mutant, *, automatic: bool = False) -> Outcome:
        """Run the stages of one mutant until a test fails; stored outcomes are taken."""
        outcome = Outcome(name, mutant.file, mutant.about, equivalent=mutant.equivalent, automatic=automatic)
        try:
            text = changed(mutant, (self.base / "rtl" / mutant.file).read_text())
        except (ValueError, OSError) as error:
            outcome.problem = str(error)
            return outcome
        tree = self.cache / "work" / name
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(self.base, tree, symlinks=True)
        try:
            (tree / "rtl" / mutant.file).write_text(text)
            stages = killers.stages(mutant.file)
            if (earlier := self.before.get(name, "")) in self.usual:
                stages = [[earlier], *stages]
            store = self.cache / "outcomes" / f"{_digest(tree, stages)}.json"
            if store.exists() and not self.fresh:
                stored = json.loads(store.read_text())
            else:
                stored = self._stages(tree, stages)
                store.parent.mkdir(parents=True, exist_ok=True)
                store.write_text(json.dumps(stored))
        except HarnessError as error:
            outcome.problem = str(error)
            return outcome
        finally:
            shutil.rmtree(tree, ignore_errors=True)
        outcome.killer, outcome.why = stored["killer"], stored["why"]
        outcome.seconds, outcome.tests = stored["seconds"], stored["tests"]
        if stored["stillborn"]:
            outcome.problem = f"cannot be elaborated: {stored['why']}"
        elif outcome.killed and mutant.equivalent:
            outcome.problem = f"called equivalent, but {outcome.killer} notices it: {outcome.why}"
        elif not outcome.killed and not mutant.equivalent and not automatic:
            outcome.problem = "survives, and nothing says why"
        return outcome

    def _stages(self, tree: Path, stages: list[list[str]]) -> dict[str, Any]:
        started, tests = time.monotonic(), 0
        killer: dict[str, Any] = {"test": "", "why": "", "stillborn": False}
        for stage in stages:
            found = self._pytest(tree, stage, first=True)
            tests += len(found["seconds"])
            if found["failed"]:
                killer = found["failed"][0]
                break
        seconds = round(time.monotonic() - started, 1)
        return {"killer": killer["test"], "why": killer["why"], "stillborn": killer["stillborn"], "seconds": seconds,
                "tests": tests}  # fmt: skip

    def run_all(self, mutants: dict[str, Mutant], progress: Progress, *, automatic: bool = False) -> list[Outcome]:
        """Run mutants, some at a time; outcomes in the order of the catalogue."""
        found: dict[str, Outcome] = {}
        with ThreadPoolExecutor(self.workers) as pool:
            jobs = [pool.submit(self.run, name, m, automatic=automatic) for name, m in mutants.items()]
            try:
                for job in as_completed(jobs):
                    outcome = job.result()
                    found[outcome.name] = outcome
                    progress(outcome, len(found), len(mutants))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for pid in list(self._running):
                    os.killpg(pid, signal.SIGKILL)
                raise
        return [found[name] for name in mutants]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Row of docs/results/mutation.json."""
    return {key: value for key, value in asdict(outcome).items() if value not in ("", False)}
