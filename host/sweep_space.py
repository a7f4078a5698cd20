"""A search space: what a sweep may choose from, read from a TOML file and refused here if it makes no sense.

docs/sweeps.md describes the file. A dimension is one value, a list of choices, or a range (a table with ``low`` and
``high``). One below ``[space.BOARD]`` stands in place of the common one for that board.
"""

from __future__ import annotations

import difflib
import itertools
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from solsa.contract import PRESETS, ConfigError, Formats, preset

from .recipe import Recipe

Value = int | float | str
#: Name of the dimension that chooses the board.
BOARD = "board"
#: Prefix of the dimensions that choose a number format.
FORMATS = "formats."
HARDWARE = ("none", "predict", "build")
_INTS = ("hidden_size", "hidden_layers", "groups", "lanes", "updates", "epochs", "seed", "nextpnr_seed")
_FLOATS = ("theta", "rho", "surrogate_width", "surrogate_peak", "final", "a_max", "noise", "shift", "rate_hidden",
           "rate_readout", "adapt_rate_hidden", "adapt_rate_readout", "weight_sd_hidden", "weight_sd_readout",
           "clock_mhz")  # fmt: skip
_TEXTS = ("hidden", *(FORMATS + f.name for f in fields(Formats)))
KINDS: dict[str, type] = dict.fromkeys(_INTS, int) | dict.fromkeys(_FLOATS, float) | dict.fromkeys(_TEXTS, str)
#: Fields of the recipe that a dimension of the same name sets.
RECIPE_FIELDS = tuple(f.name for f in fields(Recipe) if f.name in KINDS)
_RANGE = ("low", "high", "step", "log", "points")
_TOP = ("dataset", "preset", "validation", "hardware", "manifests", "nextpnr_seeds", "boards", "space")
#: Points of a grid that a sweep goes through at most.
_LARGEST_GRID = 100_000


@dataclass(frozen=True)
class Dimension:
    """What one parameter may be: choices, or a range with both ends included.

    Parameters
    ----------
    choices : tuple
        Values; empty for a range.
    low, high : float
        Ends of a range.
    step : float, optional
        Distance of its values; always set for whole numbers.
    log : bool
        Whether ratios count rather than differences.
    points : int, optional
        Values of a range of real numbers that a grid takes.
    """

    choices: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    points: int | None = None

    def ends(self) -> tuple[Value, ...]:
        """Every choice, or the ends of a range: what must at least be possible."""
        return self.choices or (self.low, self.high)

    def grid(self, name: str) -> tuple[Value, ...]:
        """Every value that a grid takes; ConfigError for a range that has no end of them."""
        if self.choices:
            return self.choices
        if self.points is not None:
            return tuple(self._at(i / max(1, self.points - 1)) for i in range(self.points))
        if self.step is None:
            raise ConfigError(f"space.{name}: a grid needs a step or points for a range of real numbers")
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.low + i * self.step for i in range(count))

    def _at(self, part: float) -> float:
        value = self.low * (self.high / self.low) ** part if self.log else self.low + (self.high - self.low) * part
        return min(self.high, float(value))  # rounding must not leave the range


@dataclass(frozen=True, kw_only=True)
class Space:
    """A search space.

    Attributes
    ----------
    dataset : str
        As ``solsa learn`` takes it.
    boards : dict
        Board to the preset that its cores start from; empty: no board is chosen.
    preset : str, optional
        The same where there is no board; without it the network that ``solsa learn`` would take.
    validation : float
        Share of the training samples of every class that accuracy is measured on; the test samples are never seen.
    hardware : str
        ``none``, ``predict`` (LUTs by boards/fit.py) or ``build`` (yosys and nextpnr).
    manifests : tuple of str
        Folders whose manifests of earlier builds are taken in place of predictions.
    nextpnr_seeds : int
        Seeds of place and route that a build tries, from ``nextpnr_seed`` on.
    common : dict
        Dimensions by name.
    own : dict
        Board to its dimensions that stand in place of the common ones.
    """

    dataset: str
    boards: dict[str, str] = field(default_factory=dict)
    preset: str | None = None
    validation: float = 0.2
    hardware: str = "none"
    manifests: tuple[str, ...] = ()
    nextpnr_seeds: int = 1
    common: dict[str, Dimension] = field(default_factory=dict)
    own: dict[str, dict[str, Dimension]] = field(default_factory=dict)

    def dimensions(self, board: str | None) -> dict[str, tuple[str, Dimension]]:
        """Parameter to its name in the study and its dimension, for a board.

        A dimension of one board has a name of its own in the study, as a sampler learns what it knows by name.
        """
        found = {name: (name, dimension) for name, dimension in self.common.items()}
        own = self.own.get(board or "", {})
        return found | {name: (f"{board}.{name}", dimension) for name, dimension in own.items()}

    def grid(self) -> Iterator[dict[str, Value]]:
        """Every point, the last dimension fastest."""
        for board in self.boards or (None,):
            rows = [(key, dimension.grid(key)) for key, dimension in self.dimensions(board).values()]
            first: dict[str, Value] = {BOARD: board} if board else {}
            for values in itertools.product(*(row for _, row in rows)):
                yield first | dict(zip((key for key, _ in rows), values, strict=True))

    def grid_size(self) -> int:
        """Points of the grid.

        Raises
        ------
        ConfigError
            If it has no end, or is too large to go through.
        """
        size = 0
        for board in self.boards or (None,):
            size += math.prod(len(dimension.grid(key)) for key, dimension in self.dimensions(board).values())
        if size > _LARGEST_GRID:
            raise ConfigError(f"space: a grid of {size:,} points, allowed are {_LARGEST_GRID:,}; use another sampler")
        return size

    def plain(self, point: Mapping[str, Value]) -> dict[str, Value]:
        """Parameters of a point of the study by their plain names; BOARD among them if there is one."""
        board = point.get(BOARD)
        names = {key: name for name, (key, _) in self.dimensions(None if board is None else str(board)).items()}
        return {names.get(key, key): value for key, value in point.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form, which tells two spaces apart."""
        return {
            **{name: getattr(self, name) for name in ("dataset", "preset", "validation", "hardware", "nextpnr_seeds")},
            "manifests": list(self.manifests),
            "boards": dict(self.boards),
            "space": {name: _plain(dimension) for name, dimension in self.common.items()}
            | {b: {name: _plain(dimension) for name, dimension in own.items()} for b, own in self.own.items()},
        }


def load_space(path: Path) -> Space:
    """Read and check a search space.

    Raises
    ------
    ConfigError
        One line: file, key, what is allowed.
    """
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML ({error})") from None
    try:
        return parse_space(plain, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_space(plain: Mapping[str, Any], folder: Path = Path()) -> Space:
    """Search space from the content of its file; relative paths start from ``folder``. Raises ConfigError."""
    _known(plain, _TOP, "")
    dataset = _typed(plain, "dataset", str, None)
    if dataset is None:
        raise ConfigError("dataset is missing, a name or a file as solsa learn takes it")
    hardware = _typed(plain, "hardware", str, "none")
    if hardware not in HARDWARE:
        raise ConfigError(f"hardware {hardware!r}, allowed are {', '.join(HARDWARE)}")
    boards = _boards(plain.get("boards", {}))
    if hardware != "none" and not boards:
        raise ConfigError(f"hardware {hardware!r} needs a table boards, such as ulx3s_85f = 'vowels'")
    base = _typed(plain, "preset", str, None)
    if base is not None:
        preset(base)
    if base is not None and boards:
        raise ConfigError("preset and boards exclude each other: every board names its preset")
    validation = float(_typed(plain, "validation", float, 0.2))
    if not 0 < validation < 1:
        raise ConfigError(f"validation {validation:g}, allowed is a share between 0 and 1")
    seeds = _typed(plain, "nextpnr_seeds", int, 1)
    if seeds < 1:
        raise ConfigError(f"nextpnr_seeds {seeds}, allowed are 1 or more")
    common, own = _space(plain.get("space", {}), boards)
    return Space(
        dataset=str(folder / dataset) if (folder / dataset).exists() else dataset,
        boards=boards,
        preset=base,
        validation=validation,
        hardware=hardware,
        manifests=tuple(_folders(plain, folder)),
        nextpnr_seeds=seeds,
        common=common,
        own=own,
    )


def _boards(table: Any) -> dict[str, str]:
    if not isinstance(table, dict):
        raise ConfigError("boards must be a table of boards and presets, such as ulx3s_85f = 'vowels'")
    for board, name in table.items():
        if not isinstance(name, str) or name not in PRESETS:
            raise ConfigError(f"boards.{board}: preset {name!r} is not known, allowed are {', '.join(PRESETS)}")
    return dict(table)


def _folders(plain: Mapping[str, Any], folder: Path) -> Iterator[str]:
    names = plain.get("manifests", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError("manifests must be a list of folders")
    for name in names:
        if not (folder / name).is_dir():
            raise ConfigError(f"manifests: {folder / name} is not a folder")
        yield str(folder / name)


def _space(table: Any, boards: Mapping[str, str]) -> tuple[dict[str, Dimension], dict[str, dict[str, Dimension]]]:
    if not isinstance(table, dict) or not table:
        raise ConfigError(f"space is missing or empty, a table of dimensions such as {', '.join(_INTS)}")
    own_tables = {name: value for name, value in table.items() if name in boards}
    common = _dimensions({k: v for k, v in table.items() if k not in own_tables}, "space", tuple(boards))
    own = {board: _dimensions(value, f"space.{board}", ()) for board, value in own_tables.items()}
    for board in boards or ("",):
        names = {**common, **own.get(board, {})}
        if "hidden" in names and ("hidden_size" in names or "hidden_layers" in names):
            raise ConfigError("space: hidden and hidden_size or hidden_layers exclude each other")
    return common, own


def _dimensions(table: Any, where: str, also: tuple[str, ...]) -> dict[str, Dimension]:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table of dimensions")
    formats = table.get("formats", {})
    if not isinstance(formats, dict):
        raise ConfigError(f"{where}.formats must be a table, such as weight = ['16.13', '12.9']")
    flat = {name: value for name, value in table.items() if name != "formats"}
    flat |= {FORMATS + name: value for name, value in formats.items()}
    _known(flat, (*KINDS, *also), f"{where}.")
    return {name: _dimension(value, KINDS[name], f"{where}.{name}") for name, value in flat.items()}


def _dimension(value: Any, kind: type, where: str) -> Dimension:
    if isinstance(value, dict):
        return _range(value, kind, where)
    choices = value if isinstance(value, list) else [value]
    if not choices:
        raise ConfigError(f"{where}: empty list, at least one value is needed")
    found = tuple(_value(choice, kind, where) for choice in choices)
    if len(set(found)) != len(found):
        raise ConfigError(f"{where}: a value occurs twice in {list(found)}")
    return Dimension(choices=found)


def _range(table: dict[str, Any], kind: type, where: str) -> Dimension:
    _known(table, _RANGE, f"{where}.")
    if kind is str:
        raise ConfigError(f"{where}: a range of texts, a list is needed")
    if "low" not in table or "high" not in table:
        raise ConfigError(f"{where}: a range needs low and high")
    low, high = (_value(table[end], kind, f"{where}.{end}") for end in ("low", "high"))
    assert not isinstance(low, str)
    assert not isinstance(high, str)
    if low > high:
        raise ConfigError(f"{where}: empty range, low {low:g} is above high {high:g}")
    log = _typed(table, "log", bool, False, where)
    step = _value(table["step"], kind, f"{where}.step") if "step" in table else 1 if kind is int else None
    assert not isinstance(step, str)
    if step is not None and step <= 0:
        raise ConfigError(f"{where}.step: {step:g}, allowed is more than 0")
    points = _typed(table, "points", int, None, where)
    if points is not None and (kind is int or points < 1 or "step" in table):
        raise ConfigError(f"{where}.points: allowed is 1 or more, for real numbers without a step")
    if log and (low <= 0 or "step" in table):
        raise ConfigError(f"{where}: a logarithmic range starts above 0 and has no step")
    return Dimension(low=low, high=high, step=step, log=log, points=points)


def _value(value: Any, kind: type, where: str) -> Value:
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # hidden = [32, "64-32"]
    good = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if not good or isinstance(value, bool):
        word = {int: "a whole number", float: "a number", str: "a text"}[kind]
        raise ConfigError(f"{where}: {value!r}, {word} is needed")
    if kind is float:
        if not math.isfinite(value):
            raise ConfigError(f"{where}: {value!r}, a finite number is needed")
        return float(value)
    return value


def _typed(table: Mapping[str, Any], key: str, kind: type, default: Any, where: str = "") -> Any:
    if key not in table:
        return default
    if kind is bool:
        if not isinstance(table[key], bool):
            raise ConfigError(f"{where}.{key}: {table[key]!r}, true or false is needed")
        return table[key]
    if kind is str and not isinstance(table[key], str):
        raise ConfigError(f"{key}: {table[key]!r}, a text is needed")
    return _value(table[key], kind, f"{where}.{key}" if where else key)


def _known(table: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in allowed:
            close = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean {close[0]}?" if close else f"allowed are {', '.join(allowed)}"
            raise ConfigError(f"unknown key {where}{key}, {hint}")


def _plain(dimension: Dimension) -> Any:
    if dimension.choices:
        return list(dimension.choices)
    return {name: getattr(dimension, name) for name in _RANGE if getattr(dimension, name) is not None}
