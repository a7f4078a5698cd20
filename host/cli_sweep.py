"""``solsa sweep``: many trainings and some syntheses, to choose the network, its widths and its lanes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .files import check_file, make_folder, write_json
from .options import JsonOption, QuietOption, console, optional


def sweep_command(
    space: Annotated[Path, typer.Argument(metavar="SPACE.toml", help="What to choose from, see docs/sweeps.md.")],
    study: Annotated[
        Path, typer.Option(metavar="FILE", help="SQLite file of the trials; an existing one is gone on with.")
    ] = Path("sweep.db"),
    trials: Annotated[
        int, typer.Option(metavar="N", min=1, help="Trials in total, those of the study included.")
    ] = 100,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=256, help="Local processes.")] = 2,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask cluster, in place of local processes.")
    ] = None,
    sampler: Annotated[str, typer.Option(metavar="grid|random|tpe", help="How trials are chosen.")] = "tpe",
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the sampler.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the Pareto front here: pareto.html and pareto.png.")
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Try networks, widths, rates and lanes, and show the Pareto front.

    Accuracy is that of the golden model on a part of the training samples kept
    for validation; the test samples are never used. Updates per second and
    LUTs are predicted, or come from real builds, as the space says.

    The study survives a kill: the same command goes on, and ends with the
    results that an undisturbed run has, whatever the workers.

    Example: solsa sweep docs/sweeps/vowels.toml --study runs/s.db --out runs/s
    """
    check_file(json, "--json")
    check_file(study, "--study")
    make_folder(out, "--out")
    terminal = console()
    load = optional("solsa.host.sweep_space", "load_space", "sweep")
    chosen = load(space)
    options = optional("solsa.host.sweep_run", "SweepOptions", "sweep")(
        space=chosen, study=study, trials=trials, workers=workers, scheduler=scheduler, sampler=sampler, seed=seed
    )
    result = optional("solsa.host.sweep_run", "run_sweep", "sweep")(options, terminal)
    optional("solsa.host.sweep_report", "show", "sweep")(result, terminal)
    if out:
        optional("solsa.host.sweep_report", "write_page", "sweep")(result, out)
    if json:
        write_json(json, result)
