"""The page beside a bitstream: how full the chip is, where the state lies, what limits the clock, how fast it is."""

from __future__ import annotations

from html import escape
from typing import Any

from solsa.contract import Layout, NetworkConfig
from solsa.contract.cycles import predicted_cycles

from . import logs
from .board import Board
from .fit import blocks
from .manifest import Manifest
from .survey import survey

REPORT = "report.html"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .2rem .8rem .2rem 0; text-align: left }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } tr { border-bottom: 1px solid #eee }
.bar { background: #eee; height: .9rem; width: 16rem } .bar div { background: #2a7; height: 100% }
.bar .full { background: #c44 } .problem { background: #fdd; padding: .6rem 1rem } code { background: #f5f5f5 }
.path td { font-size: 13px }
"""


def page(manifest: Manifest, config: NetworkConfig, board: Board, report: dict[str, Any]) -> str:
    """Self-contained HTML page of a build.

    Parameters
    ----------
    manifest : Manifest
        Of the build.
    config : NetworkConfig
        What was built.
    board : Board
        For which board.
    report : dict
        nextpnr's report.
    """
    parts = [
        f"<h1>{escape(board.title)}: {manifest.layers} on {manifest.lanes} lanes</h1>",
        f'<p class="problem">{escape(manifest.problem)}</p>' if manifest.problem else "",
        f"<p>{manifest.synapses:,} synapses at {manifest.clock_mhz:g} MHz ({manifest.fmax_mhz:g} MHz reached), preset "
        f"<code>{escape(manifest.preset)}</code>, configuration <code>{manifest.config_hash}</code>, chip "
        f"{escape(manifest.device)}. Built on {manifest.date[:10]} in {manifest.build_seconds:.0f} s, seed "
        f"{manifest.seed}.</p>",
        "<h2>Utilisation</h2>",
        _utilisation(manifest, board),
        "<h2>Memory map</h2>",
        _memory_map(config, board),
        "<h2>Multipliers</h2>",
        _table(
            ("product", "operands", "copies", "blocks each"),
            [
                (m.name, f"{m.left} x {m.right}", m.count, board.family.multiplier(m.left, m.right))
                for m in survey(config, board.chip.part).multipliers
            ],
        ),  # fmt: skip
        "<h2>Critical path</h2>",
        f"<p>{escape(manifest.critical_path) or 'no path between registers'}</p>",
        _path(report),
        "<p>Registers whose inputs arrive last:</p>",
        _table(("register", "ns"), list(manifest.slowest.items())),
        "<h2>Predicted throughput</h2>",
        _throughput(manifest, config),
        "<h2>Tools</h2>",
        _table(("package", "version"), list(manifest.versions.items()), numbers=False),
    ]
    title = f"solsa: {board.name}, {manifest.layers}"
    head = f'<head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
    body = "\n".join(filter(None, parts))
    return f'<!DOCTYPE html>\n<html lang="en">{head}\n<body>\n{body}\n</body></html>\n'


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]], numbers: bool = True) -> str:
    def cell(tag: str, value: Any, first: bool) -> str:
        mark = "" if first or not numbers else ' class="n"'
        text = f"{value:,}" if isinstance(value, int) else str(value)
        return f"<{tag}{mark}>{escape(text)}</{tag}>"

    lines = ["".join(cell("th", name, i == 0) for i, name in enumerate(head))]
    lines += ["".join(cell("td", value, i == 0) for i, value in enumerate(row)) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _utilisation(manifest: Manifest, board: Board) -> str:
    chip, rows = board.chip, []
    names = {"lut": "logic cells" if chip.spram else "look-up tables", "ff": "flip-flops", "bram": "block RAMs",
             "spram": "single-port RAMs", "dsp": "multipliers"}  # fmt: skip
    for field, name in names.items():
        used, there = getattr(manifest, field), getattr(chip, field)
        if not there or (field == "ff" and not board.family.cells["ff"]):
            continue
        share = 100 * used / there
        full = ' class="full"' if share > 95 else ""
        rows.append(
            f'<tr><td>{name}</td><td class="n">{used:,} of {there:,}</td><td class="n">{share:.0f} %</td>'
            f'<td><div class="bar"><div{full} style="width: {min(100.0, share):.1f}%"></div></div></td></tr>'
        )
    return "<table>" + "".join(rows) + "</table>"


def _memory_map(config: NetworkConfig, board: Board) -> str:
    layout = Layout(config)
    rams = _table(
        ("memory", "bits wide", "words", "copies", "block RAMs each"),
        [
            (ram.name, ram.width, ram.depth, ram.count, blocks(ram, board.family))
            for ram in survey(config, board.chip.part).memories
        ],
    )
    layers = _table(
        ("layer", "pre", "post", "bank words, every lane", "gains and errors", "inputs and filters", "neurons"),
        [
            (
                str(i + 1),
                config.pre(i),
                config.post(i),
                _span(layout.synapse_base[i], layout.blocks(i) * config.pre(i)),
                _span(layout.block_base[i], layout.blocks(i)),
                _span(layout.pre_base[i], config.pre(i)),
                _span(layout.post_base[i], config.post(i)),
            )
            for i in range(config.depth)
        ],
    )
    return rams + "<p>Addresses, first to last:</p>" + layers


def _span(first: int, count: int) -> str:
    return f"{first} to {first + count - 1}"


def _path(report: dict[str, Any]) -> str:
    steps = logs.path_steps(report)
    if not steps:
        return ""
    rows = [(step.where, step.kind, f"{step.ns:.2f}", f"{step.total:.2f}", ", ".join(step.lines)) for step in steps]
    return _table(("unit and signal", "delay of", "ns", "so far", "source"), rows, numbers=False).replace(
        "<table>", '<table class="path">'
    )


def _throughput(manifest: Manifest, config: NetworkConfig) -> str:
    cycles, hertz = predicted_cycles(config), manifest.clock_mhz * 1e6
    kinds = (
        ("inference, every signal active", cycles.inference_step),
        ("learning", cycles.learning_step),
        ("learning, weights updated", cycles.scheduled_step),
        ("learning, weights and filter constants updated", cycles.adapting_step),
    )
    rows = [(name, clocks, f"{1e6 * clocks / hertz:.1f}", round(hertz / clocks)) for name, clocks in kinds]
    return _table(("time step", "clocks", "microseconds", "steps per second"), rows) + (
        f"<p>{manifest.updates_per_second:,} synapse states per second while a sweep is under way, "
        f"{manifest.updates_per_second_per_lut:,} for each look-up table.</p>"
    )
