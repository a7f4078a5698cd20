"""``solsa bench``: measurements that take minutes to hours, kept run by run."""

from __future__ import annotations

from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from solsa.contract import ConfigError

from .cli_bench_core import core_command, link_command, sim_command
from .files import check_file, make_folder, write_json
from .options import JsonOption, QuietOption, console, optional
from .program import Program

if TYPE_CHECKING:
    from .bench_learning import Job

bench = Program(no_args_is_help=True)


@bench.callback()
def bench_group() -> None:
    """Measure learning rules and the core."""


bench.command("core")(core_command)
bench.command("link")(link_command)
bench.command("sim")(sim_command)


@bench.command("learning")
def learning_command(
    json: JsonOption = None,
    work: Annotated[Path, typer.Option(metavar="DIR", help="Finished runs are kept here.")] = Path("runs/bench"),
    datasets: Annotated[str, typer.Option(metavar="A,B", help="Data sets, by comma; empty: all that are there.")] = "",
    rules: Annotated[str, typer.Option(metavar="A,B", help="Rules, by comma; empty: all.")] = "",
    configurations: Annotated[int, typer.Option(metavar="N", min=1, help="Tuned configurations per rule.")] = 4,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Seeds of the runs that count.")] = 5,
    fixed: Annotated[bool, typer.Option(help="Measure the integer golden model as well.")] = True,
    ablation: Annotated[bool, typer.Option(help="Measure SOLSA's parts, each on and off.")] = True,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw the results and the memory into this folder."),
    ] = None,
    recipes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the best recipes: host/recipes.json is for learn."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Compare learning rules: same network, data, and tuning budget.

    Every rule gets the same configurations, judged on a part of the training
    samples; the best one is then trained with fresh seeds and tested. The
    JSON file is written anew after every data set and stage.

    Finished runs are kept in --work: an interrupted benchmark goes on there.

    Example: solsa bench learning --datasets digits --json learning.json
    """
    check_file(json, "--json")
    check_file(recipes, "--recipes")
    make_folder(pictures, "--pictures")
    learning = optional("solsa.host.bench_learning", "Bench", "bench")
    from .bench_learning import TUNED, Plan
    from .bench_store import Store
    from .bench_tasks import TASKS

    plan = Plan(
        datasets=_listed(datasets, tuple(TASKS), "data set"),
        rules=_listed(rules, tuple(TUNED), "rule"),
        configurations=configurations, seeds=seeds, fixed=fixed, ablation=ablation,
    )  # fmt: skip
    terminal = console()
    content: dict[str, Any] = {}
    with Store(work) as store:
        measured = learning(plan, store, lambda job, record: _show(terminal, job, record))
        for content in measured.stages():
            if json:
                write_json(json, content)
        if recipes:
            older = loads(recipes.read_text()) if recipes.exists() else {}
            write_json(recipes, {**older, **measured.recipes()})
    _table(terminal, content)
    if pictures:
        from .plots_bench import draw_results

        draw_results(content, pictures)


def _listed(text: str, allowed: tuple[str, ...], what: str) -> tuple[str, ...]:
    names = tuple(name for name in (part.strip() for part in text.split(",")) if name) or allowed
    for name in names:
        if name not in allowed:
            raise ConfigError(f"{what} {name!r} is not known, allowed: {', '.join(allowed)}")
    return names


def _show(terminal: Console, job: Job, record: dict[str, Any] | None) -> None:
    if record is not None:
        part = "test" if job.fold < 0 else f"fold {job.fold}"
        terminal.print(
            f"{job.dataset}  {job.stage}  seed {job.seed}  {part}  {record['accuracy']:.4f}  {record['seconds']:.1f} s"
        )


def _table(terminal: Console, content: dict[str, Any]) -> None:
    results: dict[str, dict[str, Any]] = content["results"]
    grid = Table(box=SIMPLE_HEAD)
    grid.add_column("rule", style="dim")
    for dataset in results:
        grid.add_column(dataset, justify="right")
    for name in dict.fromkeys(name for rows in results.values() for name in rows):
        cells = [results[d].get(name) for d in results]
        grid.add_row(name, *(f"{c['mean']:.3f} ±{c['deviation']:.3f}" if c else "-" for c in cells))
    terminal.print(grid)
