"""Copies of contract, golden and rtl with other constants, under a package name of their own.

Some operands have a width that is a constant of the contract (a and lam 16 bits, a rate's mantissa 16 bits ...). For
tests over *all* operands these shrink too: the text of the three packages is copied with the constants replaced, so
golden and RTL are still the code of the tree, line by line. The same copying plants bugs on either side.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("contract", "golden", "rtl")


@dataclass(frozen=True)
class Edit:
    """Replacement of a text that occurs exactly once in a file; ``folder/file``.

    ``#`` in ``old`` is a number (a pipeline stage in a name), and the n-th ``#`` in ``new`` is the n-th of ``old``.
    """

    path: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """Text with the replacement; ValueError if ``old`` does not occur exactly once."""
        pattern = re.compile(r"(\d+)".join(re.escape(part) for part in self.old.split("#")))
        found = pattern.findall(text)
        if len(found) != 1:
            raise ValueError(f"{self.path}: {self.old!r} occurs {len(found)} times, needed once")

        def new(match: re.Match[str]) -> str:
            numbers = iter(match.groups())
            return re.sub("#", lambda _: next(numbers), self.new)

        return pattern.sub(new, text)


#: Every constant width of the contract small enough that all operands can be tried.
SMALL = (
    Edit("contract/formats.py", "DECAY_FRAC = 16\n", "DECAY_FRAC = 5\n"),
    Edit("contract/formats.py", "ADAPT_GUARD = 8\n", "ADAPT_GUARD = 2\n"),
    Edit("contract/formats.py", "LOG2E_FRAC = 14\n", "LOG2E_FRAC = 4\n"),
    Edit("contract/formats.py", "LOG2E = 23637\n", "LOG2E = 23\n"),
    Edit("contract/formats.py", "EXP_INDEX_BITS = 8\n", "EXP_INDEX_BITS = 3\n"),
    Edit("contract/formats.py", "EXP_WIDTH = 16\n", "EXP_WIDTH = 5\n"),
    Edit("contract/formats.py", "RECIPROCAL_BITS = 32\n", "RECIPROCAL_BITS = 11\n"),
    Edit("contract/registers.py", "\nMANTISSA_BITS = 16\n", "\nMANTISSA_BITS = 4\n"),
    Edit("contract/registers.py", "\nSHIFT_BITS = 5\n", "\nSHIFT_BITS = 3\n"),
    Edit("contract/registers.py", "\nSURROGATE_SHIFT_BITS = 5\n", "\nSURROGATE_SHIFT_BITS = 3\n"),
    # formats narrower than anything useful
    Edit("contract/config.py", "        problems = self._problems()\n", "        problems: list[str] = []\n"),
)


class Package:
    """The modules of one copy, or of the tree itself, by dotted name: ``package.golden.core``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, folder: str) -> Any:
        return importlib.import_module(f"{self._name}.{folder}")

    def module(self, name: str) -> ModuleType:
        """A module, such as ``rtl.lane``."""
        return importlib.import_module(f"{self._name}.{name}")


#: The packages as they are.
REAL = Package("solsa")


def edited(edits: tuple[Edit, ...]) -> Package:
    """The three packages with edits, importable; the same edits give the same package.

    Raises
    ------
    ValueError
        If a text to replace does not occur exactly once.
    """
    name = "solsa_" + hashlib.sha256(repr(edits).encode()).hexdigest()[:12]
    if name in sys.modules:
        return Package(name)
    root = Path(tempfile.mkdtemp(prefix="solsa-arith-")) / name
    left = list(edits)
    for folder in PACKAGES:
        (root / folder).mkdir(parents=True)
        for path in sorted((ROOT / folder).glob("*.py")):
            text = path.read_text(encoding="utf-8")
            for edit in [e for e in left if e.path == f"{folder}/{path.name}"]:
                text = edit.apply(text)
                left.remove(edit)
            (root / folder / path.name).write_text(re.sub(r"\bsolsa\.", f"{name}.", text), encoding="utf-8")
    if left:
        raise ValueError(f"{left[0].path}: no such file")
    (root / "__init__.py").write_text("")
    spec = importlib.util.spec_from_file_location(name, root / "__init__.py", submodule_search_locations=[str(root)])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return Package(name)


SMALL_PACKAGE = edited(SMALL)
