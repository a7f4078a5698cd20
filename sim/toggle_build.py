"""Builds of core and device that count toggles and executed lines; see sim/toggle.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import Elaboratable

from .build import CPP, cached_library, find_verilator, making, run_tool, sources_hash, version_of

#: What is not counted: names that yosys invents for parts of expressions and ports, fields of structures and elements
#: of arrays that are counted whole, the contents of memories.
_UNCOUNTED = re.compile(
    r"^\s*(?:wire|reg|input|output)\s(?:[^;=]*\\(?:\$\S+|port\$\d+\$\S+|[^\s.\[]+[.\[]\S*)\s*(?:=[^;]*)?"
    r"|[^;=]*\s\[\d+:\d+\]\s*);$",
    re.MULTILINE,
)
#: What yosys adds so that a simulator runs every process once.
_START = re.compile(r"^\s*if \(\\\$auto\$verilog_backend\S*\s*\) begin end$", re.MULTILINE)
_COVERAGE = ["--coverage-line", "--coverage-toggle", "--coverage-max-width", "4096"]


def only_named_signals(text: str) -> str:
    """Verilog in which only the signals that rtl/ names are counted, each once."""
    for pattern in (_UNCOUNTED, _START):
        text = pattern.sub(lambda found: f"/*verilator coverage_off*/\n{found[0]}\n/*verilator coverage_on*/", text)
    return text


def build_covered(kind: str, make_design: Callable[[], Elaboratable], header: str) -> Path:
    """Path of the compiled library of a design with counters; ``kind`` and ``header`` as for ``build_library``."""
    text = only_named_signals(verilog.convert(make_design(), name="top", emit_src=False))
    parts = [sources_hash(), header, kind, text, version_of("verilator"), *_COVERAGE]
    target, found = cached_library(*parts, name=f"toggle-{kind}")
    if found:
        return target
    program, include = find_verilator()
    with making(target) as folder:
        (folder / "top.v").write_text(text)
        (folder / "config.h").write_text(header)
        options = ["-Wno-fatal", "-Wno-lint", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert"]
        run_tool([program, "--cc", "top.v", "--top-module", "top", "--Mdir", ".", *options, *_COVERAGE], folder,
                 "translate the RTL with counters")  # fmt: skip
        runtime = [include / f"verilated{part}.cpp" for part in ("", "_threads", "_cov")]
        sources = [CPP / f"{kind}.cpp", CPP / "toggle.cpp", *sorted(folder.glob("Vtop*.cpp"))]
        (folder / "all.cpp").write_text("".join(f'#include "{part}"\n' for part in sources))
        flags = ["-DVM_COVERAGE=1", "-DVM_SC=0", "-DVM_TRACE=0", "-DVM_TIMING=0", f"-DTOGGLE_{kind.upper()}"]
        # -fno-gnu-unique: each library keeps counters of its own.
        # -O0: the counters dominate, and optimising them costs more than these short runs gain.
        flags += ["-O0", "-fno-gnu-unique", "-fPIC", "-shared", "-I.", f"-I{include}", f"-I{include / 'vltstd'}"]
        run_tool(["g++", "-std=c++17", *flags, "all.cpp", *map(str, runtime), "-o", "out.so", "-pthread"], folder,
                 "compile the counters")  # fmt: skip
    return target
