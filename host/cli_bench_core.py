"""``solsa bench core``: clocks and throughput."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .display import table
from .errors import RunFailed
from .files import check_file, write_json
from .options import JsonOption, optional

#: Where the kept builds lie, seen from the source tree.
MANIFESTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "boards"


def core_command(
    quick: Annotated[bool, typer.Option("--quick", help="Only networks that compile in seconds.")] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of weights and inputs.")] = 0,
    manifests: Annotated[Path, typer.Option(metavar="DIR", help="Kept builds.")] = MANIFESTS,
    json: JsonOption = None,
) -> None:
    """Count the clocks of many networks, against prediction and bounds.

    Every network runs on the compiled core beside the golden model; the clocks
    of each kind of step are exact. Kept builds give updates per second, per LUT
    and per multiplier.

    Example: solsa bench core --quick --json core.json
    """
    check_file(json, "--json")
    bench_core = optional("solsa.host.bench_core", "bench_core", "sim")
    problem = optional("solsa.host.bench_core", "problem", "sim")
    console = Console(highlight=False)

    def show(row: dict[str, Any], done: int, total: int) -> None:
        clocks = "  ".join(f"{name.removesuffix('_step')} {count}" for name, count in row["clocks"].items())
        console.print(f"{done}/{total}  {row['layers']} on {row['lanes']} lanes  {clocks}", markup=False)

    found = bench_core(manifests, quick=quick, seed=seed, progress=show)
    names = ("networks", "mismatches", "predictions_exact", "within_bounds", "bounded", "wall_seconds")
    table(console, [(name.replace("_", " "), found[name]) for name in names])
    for build in found["builds"]:
        console.print(
            f"{build['build']}: {build['peak_updates_per_second'] / 1e6:,.0f} M updates/s at "
            f"{build['clock_mhz']:g} MHz, {build['peak_per_lut']:,} per LUT, "
            f"{build['learning_steps_per_second']:,} learning steps/s",
            markup=False,
        )  # fmt: skip
    if json:
        write_json(json, found)
    if line := problem(found):
        raise RunFailed(line)
