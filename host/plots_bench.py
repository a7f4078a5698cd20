"""Pictures of the learning benchmark: accuracies by rule, SOLSA's parts, memory over the steps of a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from solsa.contract import PRESETS, Formats, Layout, NetworkConfig
from solsa.contract.formats import Format

from .memory import CLAIM, first_steps
from .plots import BLUE, GREY, INK, ORANGE, new_figure, save_figure

RULES_FILE, PARTS_FILE, MEMORY_FILE = "learning_rules.png", "learning_parts.png", "memory.png"
_COLOURS = (BLUE, ORANGE, "#3f8f5b", "#a2467f", "#6a5fb0", "#8a6d3b", "#2a9da5", "#c0504d")


def draw_results(content: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what ``solsa bench learning --json`` wrote; returns the files."""
    files = []
    if content["results"]:
        files.append(folder / RULES_FILE)
        _rules(content, files[-1])
    if content["ablations"]:
        files.append(folder / PARTS_FILE)
        _parts(content, files[-1])
    files.append(folder / MEMORY_FILE)
    draw_memory(files[-1])
    return files


def _rules(content: dict[str, Any], path: Path) -> None:
    results, titles = content["results"], content["titles"]
    names = list(dict.fromkeys(name for rows in results.values() for name in rows))
    # Every data set has a range of its own: most rules lie close together near its upper end.
    figure, plots = new_figure(len(results), (7.5, 0.8 + 0.3 * len(names) * len(results)), share=False)
    for plot, (dataset, rows) in zip(plots, results.items(), strict=True):
        for y, name in enumerate(names):
            if name in rows:
                own = name.startswith("solsa")
                values = rows[name]["accuracies"]
                plot.plot(values, [y] * len(values), "o", color=GREY, markersize=4)
                plot.errorbar(rows[name]["mean"], y, xerr=rows[name]["deviation"], fmt="o", markersize=6, capsize=3,
                              color=BLUE if own else INK)  # fmt: skip
        plot.set_yticks(range(len(names)), [titles.get(name, name) for name in names])
        plot.set_ylim(len(names) - 0.5, -0.5)
        plot.grid(axis="x", color=GREY, alpha=0.4, linewidth=0.6)
        plot.set_title(f"{dataset}: {content['tasks'][dataset]['measure']}, test, last epoch", loc="left", fontsize=9)
    plots[-1].set_xlabel("every seed in grey; mean and standard deviation")
    save_figure(figure, path)


def _parts(content: dict[str, Any], path: Path) -> None:
    sets = content["ablations"]
    names = [n for n in next(iter(sets.values())) if n != "as tuned"]
    figure, (plot,) = new_figure(1, (7.5, 1.2 + 0.32 * len(names)))
    for k, (dataset, rows) in enumerate(sets.items()):
        base = rows["as tuned"]["mean"]
        where = np.arange(len(names)) + 0.12 * (k - (len(sets) - 1) / 2)
        change = [100 * (rows[n]["mean"] - base) if n in rows else np.nan for n in names]
        plot.plot(change, where, "o", color=_COLOURS[k % len(_COLOURS)], markersize=5, label=dataset)
    plot.axvline(0.0, color=INK, linewidth=0.8)
    plot.set_yticks(range(len(names)), names)
    plot.invert_yaxis()
    plot.set_xscale("symlog", linthresh=2.0)
    plot.xaxis.set_major_formatter("{x:g}")
    plot.grid(axis="x", color=GREY, alpha=0.4, linewidth=0.6)
    plot.set_xlabel("change of the mean test accuracy against SOLSA as tuned, points")
    plot.legend(frameon=False, fontsize=8, ncols=2, loc="upper left", bbox_to_anchor=(0.0, -0.12))
    save_figure(figure, path)


def draw_memory(path: Path) -> None:
    """Share of BPTT's bits that the core saves, over the steps of a sample, for several networks and trace widths."""
    vowels = PRESETS["vowels"]
    narrow = vowels.with_(formats=Formats(trace=Format(12, 6)))
    networks: tuple[tuple[str, NetworkConfig], ...] = (
        ("12-64-9", vowels),
        ("12-64-9, traces of 12 bits", narrow),
        ("40-64-2", vowels.with_(layers=(40, 64, 2))),
        ("12-64-64-9", vowels.with_(layers=(12, 64, 64, 9))),
        ("128-256-32", vowels.with_(layers=(128, 256, 32))),
    )
    figure, (plot,) = new_figure(1, (7.5, 4.4))
    steps = np.unique(np.round(np.geomspace(1, 2000, 120)).astype(int))
    for k, (name, config) in enumerate(networks):
        layout = Layout(config)
        state = sum(layout.state_bits().values())
        saving = [100 * (1 - state / sum(layout.bptt_bits(int(t)).values())) for t in steps]
        label = f"{name}: less from {first_steps(config, 0.0)} steps, 72 % less from {first_steps(config, CLAIM)}"
        plot.plot(steps, saving, color=_COLOURS[k], linewidth=1.8, label=label)
    plot.axhline(100 * CLAIM, color=INK, linewidth=0.8, linestyle="--")
    plot.axhline(0.0, color=INK, linewidth=0.8)
    plot.text(1.1, 100 * CLAIM + 2, "72 %, the paper's claim", fontsize=8, color=INK)
    plot.set_xscale("log")
    plot.xaxis.set_major_formatter("{x:g}")
    plot.set_ylim(-100, 100)
    plot.set_xlabel("steps of a sample")
    plot.set_ylabel("bits saved against BPTT, %")
    plot.grid(color=GREY, alpha=0.4, linewidth=0.6)
    plot.legend(frameon=False, fontsize=8, loc="lower right")
    save_figure(figure, path)


def draw_widths(content: dict[str, Any], path: Path) -> None:
    """Draw what ``python -m solsa.host.bench_widths`` wrote: accuracy over the formats, a band for float."""
    sets = content["results"]
    quantities = list(next(iter(sets.values()))["fixed"])
    figure, plots = new_figure(len(quantities), (7.5, 2.4 * len(quantities)), share=False)
    for plot, quantity in zip(plots, quantities, strict=True):
        for k, (dataset, entry) in enumerate(sets.items()):
            rows, real, colour = entry["fixed"][quantity], entry["float"], _COLOURS[k % len(_COLOURS)]
            where = np.arange(len(rows)) + 0.06 * (k - (len(sets) - 1) / 2)
            means, spreads = ([100 * r[key] for r in rows.values()] for key in ("mean", "deviation"))
            plot.errorbar(where, means, yerr=spreads, fmt="o-", markersize=5, capsize=3, color=colour, linewidth=1.2,
                          label=dataset)  # fmt: skip
            plot.axhspan(100 * (real["mean"] - real["deviation"]), 100 * (real["mean"] + real["deviation"]), alpha=0.12,
                         color=colour, linewidth=0)  # fmt: skip
            plot.axhline(100 * real["mean"], color=colour, linewidth=0.8, linestyle="--")
        plot.set_xticks(range(len(rows)), list(rows))
        plot.set_title(f"{quantity}: validation accuracy, %; float dashed", loc="left", fontsize=9)
        plot.grid(axis="y", color=GREY, alpha=0.4, linewidth=0.6)
    plots[-1].legend(frameon=False, fontsize=8, ncols=len(sets), loc="upper left", bbox_to_anchor=(0.0, -0.12))
    save_figure(figure, path)
