"""Pictures of ``solsa bench core``: how clocks and throughput follow synapses, lanes and activity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .plots import BLUE, GREY, INK, ORANGE, new_figure, save_figure

SYNAPSES_FILE, LANES_FILE, ACTIVITY_FILE = "core_synapses.png", "core_lanes.png", "core_activity.png"


def draw_core(found: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what ``solsa bench core --json`` wrote; returns the files. A picture without points is left out."""
    rows = [r for r in found["rows"] if r["neuron_unit"] == "pipelined" and not r["mismatch"]]
    files = []
    for name, draw in ((SYNAPSES_FILE, _synapses), (LANES_FILE, _lanes), (ACTIVITY_FILE, _activity)):
        if draw(rows, folder / name):
            files.append(folder / name)
    return files


def _synapses(rows: list[dict[str, Any]], path: Path) -> bool:
    if not rows:
        return False
    figure, (plot,) = new_figure(1, (7.5, 3.6))
    for k, (kind, name) in enumerate((("inference_step", "inference"), ("learning_step", "learning"),
                                      ("scheduled_step", "with update"))):  # fmt: skip
        colour = (BLUE, ORANGE, INK)[k]
        plot.plot([r["synapses"] / r["lanes"] for r in rows], [r["clocks"][kind] for r in rows], "o",
                  color=colour, markersize=4, label=name)  # fmt: skip
    ends = sorted(r["synapses"] / r["lanes"] for r in rows)
    plot.plot(ends, ends, color=GREY, linewidth=1.0, label="one synapse per lane and clock")
    plot.set_xscale("log")
    plot.set_yscale("log")
    plot.set_xlabel("synapses per lane")
    plot.set_ylabel("clocks per time step")
    plot.legend(frameon=False, fontsize=8)
    save_figure(figure, path)
    return True


def _lanes(rows: list[dict[str, Any]], path: Path) -> bool:
    by_layers: dict[str, list[dict[str, Any]]] = {}
    for r in rows:
        by_layers.setdefault(r["layers"], []).append(r)
    layers, same = max(by_layers.items(), key=lambda item: len(item[1]), default=("", []))
    if len(same) < 2:
        return False
    same = sorted(same, key=lambda r: int(r["lanes"]))
    figure, (plot,) = new_figure(1, (7.5, 3.6))
    lanes = [r["lanes"] for r in same]
    plot.plot(
        lanes, [r["updates_per_clock"] for r in same], "o-", color=BLUE, markersize=4, label=f"{layers}, learning"
    )
    plot.plot(lanes, lanes, color=GREY, linewidth=1.0, label="one per lane")
    plot.set_xscale("log", base=2)
    plot.set_yscale("log", base=2)
    plot.xaxis.set_major_formatter("{x:g}")
    plot.yaxis.set_major_formatter("{x:g}")
    plot.set_xlabel("lanes")
    plot.set_ylabel("synapses per clock")
    plot.legend(frameon=False, fontsize=8)
    save_figure(figure, path)
    return True


def _activity(rows: list[dict[str, Any]], path: Path) -> bool:
    wide = sorted((r for r in rows if len(r["activity"]) > 1), key=lambda r: -int(r["synapses"]))[:4]
    if not wide:
        return False
    figure, (plot,) = new_figure(1, (7.5, 3.6))
    for k, r in enumerate(wide):
        inputs = int(r["layers"].split("-")[0])
        plot.plot([100 * a["active_inputs"] / inputs for a in r["activity"]],
                  [a["clocks"] / r["clocks"]["inference_step"] for a in r["activity"]], "o-",
                  color=(BLUE, ORANGE, INK, GREY)[k], markersize=4,
                  label=f"{r['layers']}, {r['lanes']} lanes")  # fmt: skip
    plot.set_xlabel("active inputs, %; no neuron fires")
    plot.set_ylabel("clocks, of those with all active")
    plot.set_ylim(0, None)
    plot.legend(frameon=False, fontsize=8)
    save_figure(figure, path)
    return True
