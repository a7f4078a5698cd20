"""What a core would take of a board and how fast it would be, told without running the tools."""

from __future__ import annotations

from typing import Any

from solsa.contract import NetworkConfig

from .catalogue import find_board
from .cores import candidates
from .fit import needs


def predict_board(board: str, config: NetworkConfig, *, clock_mhz: float | None = None) -> dict[str, Any]:
    """Predicted cells of a core on a board, and its speed at the board's clock.

    Memories and multipliers are counted in the netlist; LUTs are a line through builds over the lanes, right to about a
    tenth, in which widths do not count (fit.py). Whether the clock will be met is not known.

    Parameters
    ----------
    board : str
        Name of a board.
    config : NetworkConfig
        What would be built.
    clock_mhz : float, optional
        In place of the board's.

    Returns
    -------
    dict
        ``lut``, ``bram``, ``dsp``, ``spram``, ``clock_mhz``, ``updates_per_second`` under the names of the manifest.

    Raises
    ------
    ConfigError
        For an unknown board, a network larger than the chip, a clock that the PLL cannot make.
    """
    chosen = find_board(board)
    core = next(candidates(chosen, config=config, lanes=config.lanes, clock_mhz=clock_mhz))
    need = needs(config, chosen.chip)
    return {
        "lut": need.lut,
        "bram": need.bram,
        "dsp": need.dsp,
        "spram": need.spram,
        "clock_mhz": round(core.clock_mhz, 4),
        "updates_per_second": round(config.lanes * core.clock * 1_000_000),
    }
