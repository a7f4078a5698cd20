"""Finds Icarus Verilog, or unpacks the package of Debian or Ubuntu into .cache/icarus without being root.

python tests/pins/icarus.py          find or unpack it; exit 1 and one line if that is not possible
python tests/pins/icarus.py --find   only look
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("iverilog", "vvp")
#: What Icarus links to and a lean image may lack, under the names of several releases.
LIBRARIES = ("libreadline8", "libreadline8t64", "libtinfo6", "libbz2-1.0", "zlib1g", "libstdc++6")
#: Seconds for a download.
TIMEOUT = 120
#: The programs look for their parts where the package would have been installed; the options name the place instead.
#: Paths start from the script, so the folder may be moved.
_SCRIPT = """#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
{libraries}exec "$here/root/usr/bin/{program}" {option} "$here/{base}" "$@"
"""


class IcarusError(RuntimeError):
    """Icarus cannot be had here; the message is one line."""


def home() -> Path:
    """Folder of the unpacked package, below SOLSA_CACHE or .cache."""
    return Path(os.environ.get("SOLSA_CACHE", ROOT / ".cache")) / "icarus"


def find() -> Path | None:
    """Folder with ``iverilog`` and ``vvp``: on PATH, else the unpacked one, else None."""
    found = shutil.which("iverilog")
    if found and shutil.which("vvp"):
        return Path(found).parent
    unpacked = home() / "bin"
    return unpacked if all((unpacked / program).exists() for program in PROGRAMS) else None


def version(folder: Path) -> str:
    """First line of ``iverilog -V``."""
    done = subprocess.run([folder / "iverilog", "-V"], capture_output=True, text=True)
    return (done.stdout.splitlines() or ["of unknown version"])[0]


def unpack() -> Path:
    """Download the distribution's package, unpack it, try it, and return its folder of programs.

    Raises
    ------
    IcarusError
        Without apt-get, package lists or network, or if the programs do not run.
    """
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise IcarusError(f"iverilog is not on PATH and {tool}, which would fetch it, is neither: install Icarus")
    home().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home().parent, prefix="icarus-") as name:
        folder = Path(name) / "icarus"
        folder.mkdir()
        problem = _fetch("iverilog", folder)
        if problem:
            raise IcarusError(f"apt-get cannot download iverilog ({problem}); try apt-get update, or install Icarus")
        if _lacks_libraries(folder):
            for package in LIBRARIES:
                _fetch(package, folder)
        _write_scripts(folder)
        _try(folder)
        shutil.rmtree(home(), ignore_errors=True)
        os.replace(folder, home())
    return home() / "bin"


def _fetch(package: str, folder: Path) -> str:
    """Unpack a package into root/; returns what went wrong, or nothing."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for command in (["apt-get", "download", package], ["dpkg", "-x", None, str(folder / "root")]):
            found = [str(path) for path in Path(name).glob("*.deb")]
            words = [found[0] if word is None else word for word in command]
            try:
                done = subprocess.run(words, cwd=name, capture_output=True, text=True, timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                return f"no end after {TIMEOUT} s"
            if done.returncode:
                return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return ""


def _base(folder: Path) -> Path:
    """Folder of the compiler's parts in the package, such as root/usr/lib/x86_64-linux-gnu/ivl."""
    lib = folder / "root" / "usr" / "lib"
    found = [*lib.glob("ivl"), *lib.glob("*/ivl")]
    if not found:
        raise IcarusError("the package iverilog has no folder usr/lib/*/ivl: install Icarus")
    return found[0]


def _lacks_libraries(folder: Path) -> bool:
    programs = [folder / "root" / "usr" / "bin" / "vvp", _base(folder) / "ivl"]
    done = subprocess.run(["ldd", *programs], capture_output=True, text=True)
    return "not found" in done.stdout


def _write_scripts(folder: Path) -> None:
    base = _base(folder)
    shared = {path.parent for path in (folder / "root").rglob("*.so.*")}
    places = ":".join(f"$here/{path.relative_to(folder)}" for path in sorted(shared))
    libraries = f'export LD_LIBRARY_PATH="{places}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"\n' if shared else ""
    (folder / "bin").mkdir()
    for program, option in zip(PROGRAMS, ("-B", "-M"), strict=True):
        script = folder / "bin" / program
        script.write_text(
            _SCRIPT.format(libraries=libraries, program=program, option=option, base=base.relative_to(folder))
        )
        script.chmod(0o755)


def _try(folder: Path) -> None:
    """Compile and run a line; IcarusError if that fails."""
    with tempfile.TemporaryDirectory() as name:
        source, made = Path(name) / "try.v", Path(name) / "try.vvp"
        source.write_text('module try; initial $display("works"); endmodule\n')
        for command in ([folder / "bin" / "iverilog", "-o", made, source], [folder / "bin" / "vvp", made]):
            done = subprocess.run(command, capture_output=True, text=True)
    if done.stdout.strip() != "works":
        message = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise IcarusError(f"the unpacked iverilog does not run here ({message}): install Icarus")


def main(arguments: list[str]) -> int:
    """Command line; returns the exit status."""
    if arguments not in ([], ["--find"]):
        print(f"icarus.py: {arguments[0]!r} is not known, allowed: --find", file=sys.stderr)
        return 2
    try:
        folder = find() or (None if arguments else unpack())
    except IcarusError as error:
        print(f"icarus.py: {error}", file=sys.stderr)
        return 1
    if folder is None:
        print("icarus.py: neither iverilog on PATH nor an unpacked one", file=sys.stderr)
        return 1
    print(f"{version(folder)} in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
