"""``solsa report`` and ``solsa watch``: what a run's folder holds, as a page to keep and as a page that moves."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from .display import table
from .files import check_file, write_json
from .live import DEFAULT_PORT, LivePage
from .options import JsonOption, QuietOption, console
from .progress import load_progress
from .report import REPORT_FILE, write_report

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that learn --out wrote.")]


def report_command(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Where to write the page, without it RUN/{REPORT_FILE}.")
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make one HTML page of a run: pictures, accuracies, versions.

    The pictures are inside the page: it opens without a network, and can be
    sent to others. A run that is going on, or was interrupted, can be shown.

    Example: solsa report runs/a
    """
    check_file(json, "--json")
    load_progress(run)
    file = out or run / REPORT_FILE
    check_file(file, "--out" if out else "report")
    content = write_report(run, file)
    table(console(), [
        ("report", content["report"]),
        ("pictures", ", ".join(title.lower() for title in content["pictures"])),
        ("size", f"{content['bytes']:,} bytes"),
    ])  # fmt: skip
    if json:
        write_json(json, content)


def watch_command(
    run: RunArgument,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port of the page; 0 takes any.")] = (
        DEFAULT_PORT
    ),
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in a browser.")] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show a run while it learns, as a page on this machine.

    Learning curve, spikes of a sample and weights, from the folder that the
    run writes into; only programs of this machine can reach the page. Ends
    with Ctrl-C, which the run does not notice.

    Example: solsa watch runs/a
    """
    check_file(json, "--json")
    load_progress(run)
    with LivePage(run, port) as page:
        table(console(), [("page", page.url), ("end", "Ctrl-C")])
        if json:
            write_json(json, {"run": str(run), "url": page.url})
        if browser:
            webbrowser.open(page.url)
        with suppress(KeyboardInterrupt):
            page.wait()
