"""Mutants made from the syntax tree: comparison swapped, constant off by one, saturate dropped, arms of Mux swapped."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator

from solsa.sim.planted import RTL

from .mutant import Mutant

SWAPS = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="}
SIGNS = (ast.Add, ast.Sub)
#: Calls that add hardware: only what stands inside them is logic.
STATEMENTS = {"eq", "If", "Elif"}


def _elaborations(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements and conditions of every elaborate()."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == "elaborate":
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in STATEMENTS:
                    yield from call.args


def _changes(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(kind, new text) of every change to a node."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
        yield "comparison", f"(({left}) {SWAPS[type(node.ops[0])]} ({right}))"
    elif isinstance(node, ast.BinOp) and isinstance(node.op, SIGNS) and isinstance(node.right, ast.Constant):
        text, sign = ast.unparse(node), "+" if isinstance(node.op, ast.Add) else "-"
        yield "constant", f"({text} {sign} 1)"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        arguments = [ast.unparse(argument) for argument in node.args]
        if node.func.id == "saturate":
            yield "saturate", f"({arguments[0]})"
        elif node.func.id == "Mux":
            yield "Mux", f"Mux({arguments[0]}, {arguments[2]}, {arguments[1]})"


def candidates() -> dict[str, Mutant]:
    """Every automatic mutant of the RTL as it is, by name."""
    found: dict[str, Mutant] = {}
    for path in sorted(RTL.glob("*.py")):
        text = path.read_text()
        lines = text.splitlines(keepends=True)
        starts = [sum(len(line) for line in lines[:i]) for i in range(len(lines))]
        for argument in _elaborations(ast.parse(text)):
            for node in ast.walk(argument):
                for kind, new in _changes(node):
                    # offsets of ast count bytes; the sources are ASCII where it matters
                    begin = starts[node.lineno - 1] + node.col_offset
                    end = starts[node.end_lineno - 1] + node.end_col_offset
                    name = f"auto-{path.stem}-{node.lineno}-{node.col_offset}-{kind}".lower()
                    about = f"line {node.lineno}: `{' '.join(text[begin:end].split())}` becomes `{new}`"
                    found[name] = Mutant(path.name, text, text[:begin] + new + text[end:], about)
    return found


def sample(count: int, seed: int) -> dict[str, Mutant]:
    """A seeded choice of automatic mutants."""
    every = candidates()
    names = random.Random(seed).sample(sorted(every), min(count, len(every)))
    return {name: every[name] for name in sorted(names)}
