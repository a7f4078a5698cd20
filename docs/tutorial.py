"""Runs every command of docs/tutorial.md that needs no board, in the order of the page, in build/tutorial."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run them; the first that fails ends it."""
    folder = ROOT / "build" / "tutorial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    text = (ROOT / "docs" / "tutorial.md").read_text()
    for kind, commands in re.findall(r"(?:<!-- (\w+) -->\n)?```sh\n(.*?)```", text, re.DOTALL):
        if kind in ("once", "board"):
            continue
        print(commands, flush=True)
        done = subprocess.run(["bash", "-e", "-c", commands], cwd=folder)
        if done.returncode:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
