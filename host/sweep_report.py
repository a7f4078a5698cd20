"""The result of a sweep for people: a table in the terminal, a picture, and a page that needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .display import table
from .files import write_atomically
from .sweep_space import BOARD

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE, PICTURE = "pareto.html", "pareto.png"
#: Columns of the tables, as far as a sweep has them.
_COLUMNS = {
    "trial": "trial", BOARD: "board", "network": "network", "lanes": "lanes", "accuracy": "accuracy",
    "updates_per_second": "updates/s", "lut": "LUT", "hardware": "LUT is", "fmax_mhz": "Fmax MHz",
    "clocks_per_step": "clocks/step", "state_bits": "state bits",
}  # fmt: skip
_AXES = {"updates_per_second": "synapse updates per second", "clocks_per_step": "clocks per scheduled step",
         "lut": "LUTs (logic cells on iCE40)", "state_bits": "bits of state"}  # fmt: skip
_COLOURS = ("#1f6f9c", "#d9772b", "#4f8f4a", "#8a5a9c", "#a33b3b", "#6b6b6b")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem } img { max-width: 100% }
table { border-collapse: collapse } td, th { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top }
tr { border-bottom: 1px solid #eee } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
code { background: #f5f5f5 } summary { cursor: pointer; margin-top: 2rem; font-weight: 600 }
.wide { overflow-x: auto }
"""


def show(result: dict[str, Any], console: Console) -> None:
    """Print the Pareto front and what the sweep took."""
    rows = _front(result)
    grid = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    columns = _columns(rows)
    for name in columns:
        grid.add_column(_COLUMNS[name], justify="left" if name in (BOARD, "network", "hardware") else "right")
    for row in rows:
        grid.add_row(*(_text(name, row.get(name)) for name in columns))
    console.print()
    console.print(grid)
    console.print()
    timing, first = result["timing"], rows[0]["trial"] if rows else 0
    table(console, [
        ("trials", f"{result['trials']}, {result['failed']} failed, {len(rows)} on the front above"),
        ("this run", timing["trials_run"] and f"{timing['trials_run']} trials, {timing['jobs_run']} jobs in "
                     f"{timing['wall_seconds']:.1f} s on {timing['workers']} workers, "
                     f"overhead {timing['overhead_seconds_per_trial']:.3f} s per trial" or "nothing was left to do"),
        ("results sha256", result["results_sha256"]),
        ("use one", f"solsa learn --from-sweep {result['study']} --trial {first}"),
    ])  # fmt: skip


def write_page(result: dict[str, Any], folder: Path) -> None:
    """Write the page and its picture into a folder."""
    image = picture(result)
    write_atomically(folder / PICTURE, lambda out: out.write(image))
    write_atomically(folder / PAGE, lambda out: out.write(page(result, image).encode()))


def page(result: dict[str, Any], image: bytes) -> str:
    """Self-contained HTML page.

    Parameters
    ----------
    result : dict
        Of :func:`solsa.host.sweep_run.run_sweep`.
    image : bytes
        PNG.
    """
    space, front = result["space"], _front(result)
    dataset = Path(space["dataset"]).name
    goals = ", ".join(f"{_COLUMNS.get(name, name)} {way}" for name, way in result["objectives"].items())
    boards = " x {" + ", ".join(space["boards"]) + "}" if space["boards"] else ""
    failed = [row for row in result["rows"] if "failed" in row]
    good = [row for row in result["rows"] if "failed" not in row]
    used = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    example = front[0]["trial"] if front else 0
    parts = [
        f"<h1>Sweep: {escape(dataset + boards)}</h1>",
        f"<p>{result['trials']} trials, {result['failed']} failed; sampler {result['sampler']}, seed {result['seed']}, "
        f"{result['date'][:10]}. Accuracy is that of the golden model on {result['validation_samples']} validation "
        f"samples after training on {result['training_samples']}, both from the training set; the test set was not "
        f"used.{_note(good)}</p>",
        f'<p><img alt="accuracy against the other objectives" '
        f'src="data:image/png;base64,{base64.b64encode(image).decode()}"></p>',
        f"<h2>Pareto front: {escape(goals)}</h2>",
        _table(front),
        f"<p>Use a trial: <code>solsa learn --from-sweep {escape(result['study'])} --trial {example}</code>"
        + (f", <code>solsa build --from-sweep {escape(result['study'])} --trial {example}</code>" if boards else "")
        + "</p>",
        f"<details><summary>All {len(good)} complete trials</summary>{_table(good)}</details>",
        f"<details><summary>{len(failed)} failed trials</summary>{_failures(failed)}</details>" if failed else "",
        f"<p>Results <code>{result['results_sha256']}</code>; {escape(used)}.</p>",
    ]
    head = f'<head><meta charset="utf-8"><title>solsa sweep: {escape(dataset)}</title><style>{_STYLE}</style></head>'
    body = "\n".join(filter(None, parts))
    return f'<!DOCTYPE html>\n<html lang="en">{head}\n<body>\n{body}\n</body></html>\n'


def picture(result: dict[str, Any]) -> bytes:
    """Accuracy against every other objective, the Pareto front filled, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    others = [name for name in result["objectives"] if name != "accuracy"]
    rows, front = [row for row in result["rows"] if "failed" not in row], set(result["front"])
    groups = list(dict.fromkeys(row.get(BOARD, "") for row in rows))
    figure = Figure(figsize=(4.4 * len(others), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Sequence[Axes] = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
    for plot, name in zip(axes, others, strict=True):
        for group, colour in zip(groups, _cycled(len(groups)), strict=True):
            of_group = [row for row in rows if row.get(BOARD, "") == group]
            rest = [row for row in of_group if row["trial"] not in front]
            best = [row for row in of_group if row["trial"] in front]
            plot.scatter([r[name] for r in rest], [r["accuracy"] for r in rest], s=16, facecolors="none",
                         edgecolors=colour, alpha=0.45, linewidths=0.9)  # fmt: skip
            plot.scatter([r[name] for r in best], [r["accuracy"] for r in best], s=42, color=colour,
                         label=f"{group or 'Pareto front'}", edgecolors="white", linewidths=0.6, zorder=3)  # fmt: skip
        plot.set_xscale("log")
        # 20 M rather than 2 x 10^7: the marks between the decades have room then
        plot.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        plot.xaxis.set_major_formatter(EngFormatter())
        plot.xaxis.set_minor_formatter(NullFormatter())
        plot.set_xlabel(_AXES[name])
        plot.grid(color="#b3bcc4", alpha=0.4, linewidth=0.6)
        plot.spines[["top", "right"]].set_visible(False)
        plot.tick_params(labelsize=9)
    axes[0].set_ylabel("validation accuracy")
    if groups:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, [f"{label}, filled: Pareto front" for label in labels], frameon=False, fontsize=9,
                      loc="outside upper right", ncols=len(labels))  # fmt: skip
    title = f"{Path(result['space']['dataset']).name}, {len(rows)} trials, {result['sampler']}, seed {result['seed']}"
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=130, metadata={"Software": None})
    return written.getvalue()


def _cycled(count: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(count)]


def _front(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the front, the most accurate first."""
    kept = set(result["front"])
    rows = [row for row in result["rows"] if row["trial"] in kept]
    return sorted(rows, key=lambda row: (-row["accuracy"], row["trial"]))


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    return [name for name in _COLUMNS if any(row.get(name) is not None for row in rows)]


def _note(rows: list[dict[str, Any]]) -> str:
    """Where the LUTs come from."""
    built = sum(row.get("hardware") == "built" for row in rows)
    predicted = sum(row.get("hardware") == "predicted" for row in rows)
    text = f" LUTs of {built} trials are those of builds (yosys, nextpnr)." if built else ""
    if predicted:
        text += (f" LUTs of {predicted} are predicted from the lanes, right to about a tenth (boards/fit.py); "
                 "widths do not count in them.")  # fmt: skip
    return text


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "accuracy":
        return f"{value:.4f}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(rows: list[dict[str, Any]]) -> str:
    columns = _columns(rows)
    left = (BOARD, "network", "hardware")
    shown = [name for name in dict.fromkeys(key for row in rows for key in row["parameters"]) if name != BOARD]

    def cell(tag: str, name: str, text: str) -> str:
        mark = "" if name in left else ' class="n"'
        return f"<{tag}{mark}>{escape(text)}</{tag}>"

    lines = ["".join(cell("th", name, _COLUMNS[name]) for name in columns) + "".join(cell("th", n, n) for n in shown)]
    for row in rows:
        cells = [cell("td", name, _text(name, row.get(name))) for name in columns]
        cells += [cell("td", name, _text("", row["parameters"].get(name))) for name in shown]
        lines.append("".join(cells))
    return '<div class="wide"><table>' + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _failures(rows: list[dict[str, Any]]) -> str:
    lines = ["<th>trial</th><th>parameters</th><th>cause</th>"]
    for row in rows:
        parameters = ", ".join(f"{name} {value}" for name, value in row["parameters"].items())
        lines.append(f"<td>{row['trial']}</td><td>{escape(parameters)}</td><td>{escape(row['failed'])}</td>")
    return "<table>" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
