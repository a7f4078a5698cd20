"""``solsa nir``: networks from other programs, and back to them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from solsa.contract import Layout

from .files import check_file, write_json
from .geometry import sizes
from .network import Network
from .nir_import import DT, import_nir
from .options import JsonOption, QuietOption, console
from .program import Program

app = Program(no_args_is_help=True, help="Import and export networks as NIR graphs.")

DtOption = Annotated[float, typer.Option(metavar="SECONDS", help="Length of a step; Norse steps by 1e-3.")]
OutOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result here.")]


@app.command("import")
def import_command(
    graph: Annotated[Path, typer.Argument(metavar="GRAPH", help="File of nir.write.")],
    out: OutOption = None,
    dt: DtOption = DT,
    lanes: Annotated[int, typer.Option(metavar="N", min=1, help="Lanes of the core.")] = 8,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Allow time constants to be changed to those of eight groups.")
    ] = False,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Turn a NIR graph into a network file, and tell what was rounded.

    Example: solsa nir import model.nir --out model.npz
    """
    check_file(out, "--out")
    check_file(json, "--json")
    network, report = import_nir(graph, dt=dt, approximate=approximate, lanes=lanes)
    screen = console()
    c = network.config
    screen.print(f"{sizes(c)}, {c.groups} filter groups, {c.lanes} lanes, readout {c.readout.value}, "
                  f"{sum(Layout(c).state_bits().values()):,} bits of state")  # fmt: skip
    for line in report.lines():
        screen.print(f"- {line}")
    if out:
        network.save(out)
        screen.print(f"saved: {out}")
    if json:
        write_json(json, report.to_dict())


@app.command("export")
def export_command(
    network: Annotated[Path, typer.Argument(metavar="NETWORK", help="Network file that learn wrote.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write the graph here.")],
    dt: DtOption = DT,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Turn a network file into a NIR graph.

    Its input is the core's: data minus mean over standard deviation, which go
    along in the graph's metadata.

    Example: solsa nir export runs/a/network.npz --out a.nir
    """
    check_file(out, "--out")
    check_file(json, "--json")
    if dt <= 0:
        raise typer.BadParameter(f"{dt}, allowed is a positive time", param_hint="--dt")
    Network.load(network).to_nir(out, dt=dt)
    console().print(f"saved: {out}")
    if json:
        write_json(json, {"network": str(network), "graph": str(out), "dt": dt})
