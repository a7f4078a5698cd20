"""The rule of tests/conftest.py that a skip is a failure in CI, tried on a small suite in a fresh process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = {
    "test_a.py": """
        import pytest
        def test_passes(): pass
        @pytest.mark.skip(reason="no mark tool")
        def test_mark(): pass
        def test_call(): pytest.skip("no call tool")
        @pytest.fixture
        def tool(): pytest.skip("no fixture tool")
        def test_fixture(tool): pass
        @pytest.mark.xfail(reason="known", strict=True)
        def test_xfail(): raise AssertionError
    """,
    "test_b.py": """
        import pytest
        pytest.importorskip("no_such_module")
        def test_never_seen(): pass
    """,
}


def _run(tmp_path: Path, no_skip: str, *args: str) -> tuple[int, str]:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    for name, text in SUITE.items():
        (tmp_path / name).write_text("\n".join(line[8:] for line in text.splitlines()))
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {"SOLSA_NO_SKIP": no_skip}
    command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "-c", os.devnull, "--rootdir", str(tmp_path), *args]
    done = subprocess.run([*command, str(tmp_path)], env=env, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_skips_fail_when_asked(tmp_path: Path, workers: tuple[str, ...]) -> None:
    code, out = _run(tmp_path, "1", "--continue-on-collection-errors", *workers)
    assert code == 1
    assert "1 failed, 1 passed, 1 xfailed, 3 errors" in out
    for tool in ("no mark tool", "no call tool", "no fixture tool", "could not import 'no_such_module'"):
        assert f"skipped, but SOLSA_NO_SKIP is set: Skipped: {tool}" in out


@pytest.mark.parametrize("value", ["", "0"])
def test_skips_are_allowed_otherwise(tmp_path: Path, value: str) -> None:
    code, out = _run(tmp_path, value)
    assert code == 0
    assert "1 passed, 4 skipped, 1 xfailed" in out
