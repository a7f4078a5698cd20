"""Pictures of the documents, made from simulation.

``python docs/pictures.py`` simulates a step, keeps what the stages held in docs/results/sweep-tiny.json, and draws it;
``--draw`` only draws what is kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
DATA, PICTURE = DOCS / "results" / "sweep-tiny.json", DOCS / "images" / "sweep.png"
PRESET, SEED = "tiny", 0
#: Stage, the signal that says it holds something, what it then holds, and the signal with its mode.
STAGES = (
    ("c0  slot", "c0_slot.valid", ("c0_slot.layer", "c0_slot.block", "c0_slot.index"), "c0_slot.mode"),
    ("R0  beat", "r0_beat.valid", ("r0_beat.layer", "r0_beat.block", "r0_beat.pre"), "r0_beat.mode"),
    ("R6  sums of a block", "r6_sums.block_valid", ("r6_sums.layer", "r6_sums.block"), None),
    (
        "R7  words written or kept",
        "r7_words.valid",
        ("r7_words.layer", "r7_words.block", "r7_words.pre"),
        "r7_words.mode",
    ),
    ("neuron unit: spike", "neuron.spike_valid", ("neuron.spike_layer", "neuron.spike_post"), None),
    ("neuron unit: written", "neuron.retired", ("neuron.layer", "neuron.post"), None),
    ("error unit: delta, g", "error.valid", ("error.layer", "error.post"), None),
    ("backward: error sum", "backward.valid", ("backward.layer", "backward.post"), None),
)
COLOURS = {"TRACE": "#a9cfe3", "FORWARD": "#c9d6a8", "BACKWARD": "#f0c39b", "UPDATE": "#c3b1dd", None: "#dfe5ea"}


def measure() -> dict[str, Any]:
    """Simulate until a step whose weights are updated, not the first of its sample; what the stages held in it."""
    from solsa.contract import preset
    from solsa.sim.lockstep import Lockstep
    from solsa.sim.strategies import random_case
    from solsa.sim.wave import WatchedCore

    config = preset(PRESET)
    case = random_case(SEED, 0, config=config, steps=20)
    core = WatchedCore(config)
    run = Lockstep(config, case.parameters, case.weights, core)
    now: dict[str, Any] = {}
    clocks: list[dict[str, Any]] = []

    def keep(_: int, changed: Any) -> None:
        for shown, bits in changed:
            now[f"{shown.scope}.{shown.name}"] = shown.decode(bits)
        clocks.append(dict(now))

    core.on_clock = keep
    for stimulus in case.stimuli:
        clocks.clear()
        found = run.step(stimulus)
        assert found is None, found
        if run.trace is not None and run.trace.updated and not stimulus.reset:
            break
    core.close()
    busy = [at for at in clocks if at["control.busy"]]
    rows = []
    for name, valid, place, mode in STAGES:
        cells = [
            [clock, ".".join(str(at[part]) for part in place), at[mode] if mode else None]
            for clock, at in enumerate(busy)
            if at[valid]
        ]
        rows.append({"stage": name, "cells": cells})
    return {"preset": PRESET, "seed": SEED, "step": run.steps - 1, "clocks": len(busy), "stages": rows}


def draw(data: dict[str, Any], path: Path) -> None:
    """Draw the stages over the clocks: the part before the errors, and the part from them on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle

    cells = {row["stage"]: row["cells"] for row in data["stages"]}
    first_error = min(clock for clock, _, _ in cells["error unit: delta, g"])
    last = max(clock for row in cells.values() for clock, _, _ in row if clock < first_error) + 1
    parts = ((0, last), (first_error - 1, data["clocks"]))
    figure = Figure(figsize=(13, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    for plot, (low, high) in zip(figure.subplots(2, 1), parts, strict=True):
        for y, row in enumerate(data["stages"]):
            for clock, text, mode in row["cells"]:
                if low <= clock < high:
                    plot.add_patch(Rectangle((clock, y - 0.42), 1, 0.84, facecolor=COLOURS[mode], edgecolor="white"))
                    plot.text(clock + 0.5, y, text, ha="center", va="center", fontsize=6.5, rotation=90)
        plot.set_xlim(low, high)
        plot.set_ylim(len(data["stages"]) - 0.4, -0.6)
        plot.set_yticks(range(len(data["stages"])), [row["stage"] for row in data["stages"]], fontsize=9)
        plot.tick_params(labelsize=9)
        plot.spines[["top", "right"]].set_visible(False)
        plot.set_xlabel("clock of the step", fontsize=9)
    names = {"TRACE": "trace sweep", "BACKWARD": "backward sweep", "UPDATE": "update sweep"}
    plots = figure.axes
    plots[0].set_title("forward: traces, sums, neurons", loc="left", fontsize=10)
    plots[1].set_title("errors, backward sweep, updates", loc="left", fontsize=10)
    handles = [Patch(color=COLOURS[mode], label=text) for mode, text in names.items()]
    plots[0].legend(handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=9, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> int:
    """Simulate and draw, or draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draw", action="store_true", help="draw what is kept, without a simulation")
    if not parser.parse_args().draw:
        data = measure()
        data["versions"] = {name: metadata.version(name) for name in ("amaranth", "numpy")}
        data["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        DATA.write_text(json.dumps(data) + "\n")
    PICTURE.parent.mkdir(exist_ok=True)
    draw(json.loads(DATA.read_text()), PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
