"""MkDocs hook: the navigation holds what is there. Called by mkdocs through ``hooks:`` in mkdocs.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MORE = "More"


def on_config(config: Any) -> Any:
    """Leave out pages that are not there yet, expand patterns, and add pages that nobody has named."""
    folder = Path(config["docs_dir"])
    named: set[str] = set()
    nav = [kept for entry in config["nav"] if (kept := _kept(entry, folder, named)) is not None]
    rest = sorted(
        str(path.relative_to(folder)) for path in folder.glob("*.md") if str(path.relative_to(folder)) not in named
    )
    config["nav"] = nav + ([{MORE: rest}] if rest else [])
    return config


def _kept(entry: Any, folder: Path, named: set[str]) -> Any:
    """Entry without what is missing; None if nothing is left."""
    if isinstance(entry, dict):
        ((title, content),) = entry.items()
        kept = _kept(content, folder, named)
        return {title: kept} if kept else None
    if isinstance(entry, list):
        return [kept for one in entry if (kept := _kept(one, folder, named)) is not None]
    if "*" in entry:
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(entry))
        named.update(found)
        return found
    if not (folder / entry).is_file():
        return None
    named.add(entry)
    return entry
