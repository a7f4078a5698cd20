"""``solsa build`` and ``solsa program``: from a preset to a bitstream, and into a board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from solsa.contract import PRESETS, ConfigError, preset

from .display import table
from .errors import RunFailed
from .files import check_file, write_json
from .options import (
    JsonOption,
    PresetOption,
    QuietOption,
    SweepOption,
    TrialOption,
    chosen_trial,
    console,
    optional,
)

#: Fields of the manifest that are for machines.
_HIDDEN = ("versions", "slowest", "critical_path", "contract_version", "seeds", "baud")


def build_command(
    board: Annotated[str | None, typer.Argument(metavar="BOARD", help="Such as icebreaker; ? lists them.")] = None,
    preset: PresetOption = None,
    layers: Annotated[
        str | None, typer.Option(metavar="A-B-C", help="Sizes in place of the preset's, such as 12-64-9.")
    ] = None,
    lanes: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Synapses per clock; without it as many as fit.")
    ] = None,
    clock: Annotated[
        float | None, typer.Option(metavar="MHZ", min=0.1, help="Clock of the core; without it the board's.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Seeds of nextpnr to try; the best clock is kept.")
    ] = 1,
    from_sweep: SweepOption = None,
    trial: TrialOption = None,
    report: Annotated[bool, typer.Option("--report", help="Say where the HTML page of the build is.")] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Build the bitstream of a board and report timing and area.

    Without options: the board's preset, with as many of its lanes as fit the
    chip and meet the clock. The result is kept in build/ and taken from there
    the next time.

    With --from-sweep the core is that of a trial of solsa sweep, and so is the
    board unless one is named.

    Exit status 1 if timing is missed, memory is lost to logic, or a tool
    reports a problem.

    Example: solsa build ulx3s_85f --preset vowels --json u.json
    """
    check_file(json, "--json")
    _known(preset)
    terminal = console()
    if board == "?":
        _list_boards(terminal)
        return
    config, first = None, 1
    chosen = chosen_trial(from_sweep, trial, preset=preset, layers=layers, lanes=lanes)
    if chosen is not None:
        plan = optional("solsa.host.sweep_choice", "chosen_plan", "sweep")(*chosen)
        board, config, preset, lanes = board or plan.board, plan.config, plan.name, plan.config.lanes
        clock, first = clock or plan.clock_mhz, plan.nextpnr_seed
    if board is None:
        raise ConfigError("BOARD is missing, such as icebreaker; ? lists them")
    sizes = optional("solsa.boards.cores", "parse_layers", "boards")(layers)
    build_board = optional("solsa.boards.build", "build_board", "boards")

    with terminal.status(f"building {board} (minutes)"):
        result: dict[str, Any] = build_board(
            board, preset, config=config, layers=sizes, lanes=lanes, clock_mhz=clock, seed=first, seeds=seeds,
            say=lambda line: terminal.print(line, style="dim", markup=False),
        )  # fmt: skip
    table(terminal, [(key.replace("_", " "), value) for key, value in result.items() if key not in _HIDDEN])
    if report:
        folder = optional("solsa.boards.build", "result_folder", "boards")(result)
        table(terminal, [("report", folder / "report.html")])
    if json:
        write_json(json, result)
    if result.get("problem"):
        raise RunFailed(f"{board}: {result['problem']}")


def program_command(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="Such as icebreaker.")],
    bitstream: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Without it the newest build of this board in build/.")
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Load a bitstream into a board, until it loses power.

    Example: solsa program ulx3s_85f
    """
    check_file(json, "--json")
    program_board = optional("solsa.boards.program", "program_board", "boards")
    terminal = console()
    file = program_board(board, bitstream, say=lambda line: terminal.print(line, style="dim", markup=False))
    terminal.print(f"{board} runs {file}", markup=False)
    if json:
        write_json(json, {"board": board, "bitstream": str(file)})


def _list_boards(terminal: Console) -> None:
    boards: dict[str, Any] = optional("solsa.boards.catalogue", "BOARDS", "boards")
    own = {name: "own preset" if name in PRESETS else "" for name in boards}
    table(terminal, [(name, f"{board.title}, {board.device} {own[name]}".rstrip()) for name, board in boards.items()])


def _known(name: str | None) -> None:
    if name is not None:
        preset(name)
