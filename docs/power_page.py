"""The part of docs/performance.md about power: an ESTIMATE from docs/results/power.json."""

from __future__ import annotations

from typing import Any

from solsa.host.energy import CHIPS

Found = dict[str, Any]
#: Names of the events of host/energy.py.
_EVENTS = {
    "clock_tree": "clock tree, a clock", "flip_flop_clock": "clock of a flip-flop, a clock",
    "toggle": "toggle of a net, with its glitches", "multiply": "multiplication", "block_ram": "access to block RAM",
    "large_ram": "access to SPRAM", "pad": "toggle of a pin",
}  # fmt: skip
_METHOD = """
**ESTIMATE. No board was measured.** Method: the netlist that synthesis makes of the board's design learns a sample of
random inputs in simulation, through its serial pins, while every reply, and after the sample every word of the state,
is compared with the golden model. Toggles of every net, multiplications and accesses to memories are counted while the
core works; each counts an energy between a low and a high value, below. What the sums leave out: the place of cells and
the length of wires, temperature, and what the board has around the chip (LED, USB adapter, regulators, flash).
Low and high sums take all errors in one direction: the range is the stated error.
"""


def _row(cells: Any) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def _range(value: Found) -> str:
    if not value["high"]:
        return "-"
    return f"{value['low']:,g} to {value['high']:,g}"


def power_section(found: Found) -> list[str]:
    """Lines of the section.

    Parameters
    ----------
    found : dict
        docs/results/power.json.
    """
    runs = [run for run in found["runs"] if not (run["mismatch"] or run["problem"])]
    lines = ["", "## Power, an estimate", *_METHOD.splitlines(), "",
             f"`make bench-power` (`python -m solsa.host.bench_power`), {found['date'][:10]}.", ""]  # fmt: skip
    lines += _table(
        ("board, preset", "clock MHz", "static mW", "dynamic mW, learning", "dynamic mW, waiting for the line",
         "pJ per weight update", "with static", "pJ per synapse-state update", "words equal to golden's"),
        [(f"`{r['board']}`, `{r['preset']}`", f"{r['clock_mhz']:g}", _range(r["milliwatts"]["static"]),
          _range(r["milliwatts"]["learning"]), _range(r["milliwatts"]["waiting"]),
          _range(r["sample"]["picojoules_per_weight_update"]),
          _range(r["sample"]["picojoules_per_weight_update_with_static"]),
          _range(r["sample"]["picojoules_per_state_update"]), f"{r['words_compared']:,}") for r in runs],
    )  # fmt: skip
    lines += ["", "The sample: " + "; ".join(
        f"`{r['board']}` {r['sample']['steps']} steps, {r['sample']['scheduled']} of them with an update of all "
        f"{r['synapses']:,} weights, {r['sample']['clocks']:,} clocks, exactly those predicted" for r in runs
    ) + ". All energy of the sample is charged to its weight updates: the traces are what they cost. While it waits, "
        "the line works at its fastest, four clocks a bit.", ""]  # fmt: skip
    parts = list(runs[0]["picojoules_per_clock"]) if runs else []
    lines += ["pJ per clock while learning, by part:", ""]
    lines += _table(("part", *(f"`{r['board']}`" for r in runs)),
                    [(part, *(_range(r["picojoules_per_clock"][part]) for r in runs)) for part in parts])  # fmt: skip
    lines += ["", "Per time step:", ""]
    lines += _table(("board", "step", "clocks", "nets", "toggles per clock", "nJ"), [
        (f"`{r['board']}`", kind, f"{step['counts_per_step']['clocks']:,.0f}", f"{r['nets']:,}",
         f"{step['toggles_per_clock']:,}", _range(step["nanojoules_per_step"]))
        for r in runs for kind, step in r["kinds"].items()
    ])  # fmt: skip
    lines += ["", "### Energies", "", "pJ of an event, and where it is from:", ""]
    lines += _table(("event", "board", "pJ", "from"), [
        (name, f"`{r['board']}`", _range(r["energies"][event]), r["energies"][event]["how"])
        for event, name in _EVENTS.items() for r in runs if event != "large_ram" or r["family"] == "ice40"
    ])  # fmt: skip
    chips = dict.fromkeys(r["device"] for r in runs)
    lines += ["", *(f"Static power of the {chip}: {CHIPS[chip].static_how}." for chip in chips)]
    checks = ", ".join(f"{w['picojoules_per_clock']:,} pJ per clock at {w['mhz']} MHz" for w in found["whole_design"])
    lines += ["", f"To compare with: a whole design on a UP5K was measured at {checks} (source 5).", "", "Sources:", ""]
    return lines + [f"{i}. [{s['what']}]({s['address']})" for i, s in enumerate(found["sources"], 1)]
