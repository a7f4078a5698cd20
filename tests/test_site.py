"""The documents as a reader uses them: the site builds without a warning, tutorial and notebooks run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=root, capture_output=True, text=True, env=dict(os.environ) | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip


def test_the_site_builds_and_asks_no_other_server(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 12
    for page in pages:
        text = page.read_text()
        assert re.findall(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="(?:https?:)?//', text) == [], page
    for notebook in NOTEBOOKS:
        assert (tmp_path / "site" / "notebooks" / notebook.name).is_file()


def test_a_broken_link_fails(tmp_path: Path) -> None:
    """Planted faults; the other pages are left out to be quick. With --quiet mkdocs would count no warnings."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "site_hook.py", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs" / "numbers.md").write_text("# Numbers\n")
    good = "[numbers](numbers.md)"
    for text in (good, "[gone](gone.md)", "[gone](numbers.md#gone)", "![gone](images/gone.png)"):
        (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n{text}\n")
        done = build(tmp_path, tmp_path / "site")
        assert done.returncode == int(text is not good), text
        assert ("gone" in done.stderr) == (text is not good)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "stored without outputs"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", ["python.md", "nir.md"])
def test_the_python_of_a_page_runs(page: str, tmp_path: Path) -> None:
    found = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert found
    done = subprocess.run([sys.executable, "-W", "error::SyntaxWarning", "-c", "\n".join(found)], cwd=tmp_path,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "False" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def blocks() -> list[tuple[str, str]]:
    """Kind and commands of the tutorial's blocks."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    return re.findall(r"(?:<!-- (\w+) -->\n)?```sh\n(.*?)```", text, re.DOTALL)


def test_the_tutorial_works(tmp_path: Path) -> None:
    """Every command but those that install, need a board, or compile the core (make tutorial runs these)."""
    (tmp_path / ".venv").symlink_to(BIN.parent)
    found = [commands for kind, commands in blocks() if not kind]
    assert len(found) >= 4
    for commands in found:
        done = subprocess.run(["bash", "-e", "-c", commands], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        assert done.stderr == ""
    result = json.loads((tmp_path / "runs" / "golden" / "result.json").read_text())
    assert result["test_accuracy"] > 0.9
    assert (tmp_path / "runs" / "golden" / "report.html").is_file()


def test_the_tutorial_has_no_command_that_is_not_tried() -> None:
    kinds = [kind for kind, _ in blocks()]
    assert set(kinds) <= {"", "once", "slow", "board"}
    text = (ROOT / "docs" / "tutorial.md").read_text()
    assert text.count("```") == 2 * len(kinds)
