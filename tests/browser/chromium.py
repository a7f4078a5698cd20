"""Finds Chromium, or unpacks Debian's headless one into .cache/chromium without being root.

python tests/browser/chromium.py          find or unpack it; exit 1 and one line if that is not possible
python tests/browser/chromium.py --find   only look
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Names on PATH, the best first, and of Debian's packages.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PACKAGE = "chromium-headless-shell"
_INSIDE = "root/usr/lib/chromium/chromium-headless-shell"
#: Seconds for all downloads.
TIMEOUT = 300


class ChromiumError(RuntimeError):
    """Chromium cannot be had here; the message is one line."""


def home() -> Path:
    """Folder of the unpacked packages, below SOLSA_CACHE or .cache."""
    return Path(os.environ.get("SOLSA_CACHE") or ROOT / ".cache") / "chromium"


def find() -> Path | None:
    """Program: on PATH, else the unpacked one, else None."""
    for name in PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    unpacked = home() / _INSIDE
    return unpacked if unpacked.exists() else None


def environment() -> dict[str, str]:
    """Environment in which the program finds its libraries."""
    shared = sorted({str(path.parent) for path in (home() / "root").rglob("*.so*")})
    paths = [*shared, os.environ.get("LD_LIBRARY_PATH", "")]
    return dict(os.environ) | {"LD_LIBRARY_PATH": ":".join(p for p in paths if p)}


def unpack() -> Path:
    """Download the package and what it needs and this machine lacks, unpack all, try it; returns the program.

    Raises
    ------
    ChromiumError
        Without apt-get, package lists or network, or if the program does not run.
    """
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise ChromiumError(f"no chromium on PATH, and {tool}, which would fetch it, is neither: install Chromium")
    home().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home().parent, prefix="chromium-") as name:
        folder = Path(name)
        plan = _run(["apt-get", "install", "--simulate", "--no-install-recommends", PACKAGE], folder)
        packages = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        _run(["apt-get", "download", *packages], folder)
        (folder / "chromium").mkdir()
        for archive in folder.glob("*.deb"):
            _run(["dpkg", "-x", str(archive), str(folder / "chromium" / "root")], folder)
            archive.unlink()
        shutil.rmtree(home(), ignore_errors=True)
        os.replace(folder / "chromium", home())
    program = home() / _INSIDE
    if not program.exists():
        raise ChromiumError(f"the packages hold no {_INSIDE.removeprefix('root')}: install Chromium")
    _run([str(program), "--version", "--no-sandbox"], home(), environment())
    return program


def _run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise ChromiumError(f"{command[0]} did not end in {TIMEOUT} s") from None
    if done.returncode:
        message = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ChromiumError(f"{command[0]}: {message}; try apt-get update, or install Chromium")
    return done.stdout


def main(arguments: list[str]) -> int:
    """Command line; returns the exit status."""
    if arguments not in ([], ["--find"]):
        print(f"chromium.py: {arguments[0]!r} is not known, allowed: --find", file=sys.stderr)
        return 2
    try:
        program = find() or (None if arguments else unpack())
    except ChromiumError as error:
        print(f"chromium.py: {error}", file=sys.stderr)
        return 1
    if program is None:
        print("chromium.py: neither chromium on PATH nor an unpacked one", file=sys.stderr)
        return 1
    print(program)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
