"""``solsa bench core``, ``link`` and ``sim``: clocks and throughput."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from solsa.contract import preset as preset_of

from .display import table
from .errors import RunFailed
from .files import check_file, make_folder, write_json
from .options import JsonOption, PresetOption, QuietOption, console, optional

#: Milliseconds until a host has a reply and its next request is on its way.
LATENCIES = (0.0, 1.0, 4.0)
#: Where the kept builds lie, seen from the source tree.
MANIFESTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "boards"


def core_command(
    quick: Annotated[bool, typer.Option("--quick", help="Only networks that compile in seconds.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of weights and inputs.")] = 0,
    manifests: Annotated[Path, typer.Option(metavar="DIR", help="Kept builds.")] = MANIFESTS,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Networks at a time; without it one per processor.")
    ] = None,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the results into this folder.")] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Count the clocks of many networks, against prediction and bounds.

    Every network runs on the compiled core beside the golden model; the clocks
    of each kind of step are exact. Link and simulated device are measured as
    well (solsa bench link, bench sim). Kept builds give updates per second, per LUT
    and per multiplier.

    Example: solsa bench core --quick --json core.json
    """
    check_file(json, "--json")
    make_folder(pictures, "--pictures")
    bench_core = optional("solsa.host.bench_core", "bench_core", "sim")
    problem = optional("solsa.host.bench_core", "problem", "sim")
    out = console()

    def show(row: dict[str, Any], done: int, total: int) -> None:
        clocks = "  ".join(f"{name.removesuffix('_step')} {count}" for name, count in row["clocks"].items())
        out.print(f"{done}/{total}  {row['layers']} on {row['lanes']} lanes  {clocks}", markup=False)

    found = bench_core(manifests, quick=quick, seed=seed, jobs=jobs, progress=show)
    names = ("networks", "mismatches", "predictions_exact", "within_bounds", "bounded", "wall_seconds")
    table(out, [(name.replace("_", " "), found[name]) for name in names])
    for build in found["builds"]:
        out.print(
            f"{build['build']}: {build['peak_updates_per_second'] / 1e6:,.0f} M updates/s at "
            f"{build['clock_mhz']:g} MHz, {build['peak_per_lut']:,} per LUT, "
            f"{build['learning_steps_per_second']:,} learning steps/s",
            markup=False,
        )  # fmt: skip
    if json:
        write_json(json, found)
    if pictures:
        from .plots_core import draw_core

        for file in draw_core(found, pictures):
            out.print(f"drawn: {file}", markup=False)
    if line := problem(found):
        raise RunFailed(line)


def link_command(
    preset: PresetOption = None,
    clock: Annotated[float, typer.Option(metavar="MHZ", min=1, help="Clock to give times for.")] = 75.0,
    baud: Annotated[int, typer.Option(metavar="N", min=1, help="Bits per second to give times for.")] = 3_000_000,
    latency: Annotated[
        list[float] | None,
        typer.Option(metavar="MS", min=0, max=100, help="Latency of the host; may be repeated (0, 1, 4)."),
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show what a learning sample's time is made of: wire, core, turn-around.

    Clocks are counted at the pins of the simulated device. Then the same for a
    host that hears of a reply some milliseconds later, one sample after the
    other and samples sent ahead (option stream).

    Example: solsa bench link --clock 75 --baud 3000000 --latency 2
    """
    check_file(json, "--json")
    measure = optional("solsa.host.bench_link", "bench_link", "sim")
    measure_ahead = optional("solsa.host.bench_stream", "bench_stream", "sim")
    config = preset_of(preset or "vowels")
    ahead = config.with_(stream=True)
    found = measure(config, clock_mhz=clock, baud=baud)
    out = console()
    for row in found["rows"]:
        parts = ", ".join(f"{name.replace('_', '-')} {value:g} us" for name, value in row["microseconds"].items())
        rate = f"{row['samples_per_second']:,} samples/s, bound by the {row['bound'].replace('_', '-')}"
        out.print(f"{row['steps']} steps: {parts}; {rate}", markup=False)
    found["stream"] = measure_ahead(ahead, clock_mhz=clock, baud=baud, latencies=latency or LATENCIES)
    for row in found["stream"]["rows"]:
        for name in ("one_by_one", "ahead"):
            part = row[name]
            micros = ", ".join(f"{key.replace('_', '-')} {value:g}" for key, value in part["microseconds"].items())
            out.print(
                f"{row['steps']} steps, host {row['latency_ms']:g} ms, {name.replace('_', ' ')}: {micros} us; "
                f"{part['samples_per_second']:,} samples/s, bound by the {part['bound'].replace('_', '-')}",
                markup=False,
            )
    if json:
        write_json(json, found)
    if not found["stream"]["equal"]:
        raise RunFailed("samples sent ahead gave other readouts or weights than one by one")


def sim_command(
    preset: PresetOption = None,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="Samples to learn.")] = 40,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Time the golden device and the simulated one on the same samples.

    The simulated device runs without and with its serial pins; of each it says
    how many clocks the core takes and how many the link.

    Example: solsa bench sim --samples 100
    """
    check_file(json, "--json")
    measure = optional("solsa.host.bench_link", "bench_sim", "sim")
    found = measure(preset_of(preset or "vowels"), samples=samples)
    out = console()
    for name in ("golden", "sim", "sim-serial"):
        part = found[name]
        line = f"{name}: {part['milliseconds_per_sample']:g} ms per sample of {found['steps']} steps"
        if "clocks" in part:
            line += f", {part['clocks']:,} clocks ({part['core_clocks']:,} core, {part['link_clocks']:,} link)"
            line += f", {part['clocks_per_second']:,} clocks/s"
        out.print(line, markup=False)
    out.print(f"time of sim over sim-serial: {found['of_serial']:g}; equal weights: {found['equal']}", markup=False)
    if json:
        write_json(json, found)
    if not found["equal"]:
        raise RunFailed("the weights of both differ")
