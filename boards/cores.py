"""Which core a call of ``solsa build`` means: preset, layers, lanes and clock for a board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from solsa.contract import PRESETS, ConfigError, NetworkConfig
from solsa.contract import preset as preset_of

from .board import Board
from .fit import check_fit, lanes_that_fit
from .pll import PllSettings, clock_for

#: Bits per second; the host's default too, see host/transport.py.
DEFAULT_BAUD = 1_000_000
#: Without a preset of its own a board is built with this one.
DEFAULT_PRESET = "vowels"


@dataclass(frozen=True)
class Core:
    """What is built: a configuration at a clock."""

    preset: str
    config: NetworkConfig
    clock: Fraction
    pll: PllSettings | None
    divisor: int

    @property
    def clock_mhz(self) -> float:
        """MHz."""
        return float(self.clock)


def default_preset(board: str) -> str:
    """Preset that a board is built with unless the user names one: its own, or ``vowels``."""
    return board if board in PRESETS else DEFAULT_PRESET


def candidates(
    board: Board,
    preset: str | None = None,
    *,
    layers: tuple[int, ...] | None = None,
    lanes: int | None = None,
    clock_mhz: float | None = None,
    baud: int = DEFAULT_BAUD,
    config: NetworkConfig | None = None,
) -> Iterator[Core]:
    """Cores to try, the largest first.

    Without ``lanes`` that is the preset's number of lanes, or as many as fit the chip, and then halves of it, should
    the larger ones miss the clock. With ``lanes`` it is one. With ``config`` that is what is built, and ``preset`` only
    a name for it.

    Raises
    ------
    ConfigError
        For an unknown preset, layers that cannot be built, a network larger than the chip, a clock that the PLL or a
        baud rate that the clock cannot make.
    """
    name = preset or default_preset(board.name)
    config = config or preset_of(name)
    if layers is not None:
        config = config.with_(layers=layers, frame_bytes=_frame(config, layers))
    if lanes is not None:
        config = config.with_(lanes=lanes)
    clock, pll = clock_for(board.family.pll, board.reference_mhz, clock_mhz or board.clock_mhz)
    divisor = _divisor(board, clock, baud)
    fitting = config.lanes if lanes is not None else lanes_that_fit(config, board.chip)
    check_fit(config.with_(lanes=fitting or config.lanes), board)
    yield Core(name, config.with_(lanes=fitting), clock, pll, divisor)
    while lanes is None and fitting > 1:
        fitting //= 2
        yield Core(name, config.with_(lanes=fitting), clock, pll, divisor)


def parse_layers(text: str | None) -> tuple[int, ...] | None:
    """Sizes such as ``12-64-9``; ConfigError for anything else."""
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split("-"))
    except ValueError:
        raise ConfigError(f"layers {text!r} are not sizes such as 12-64-9") from None
    return sizes


def _frame(config: NetworkConfig, layers: tuple[int, ...]) -> int:
    """Frame size that holds a step of other layers."""
    least = max(config.frame_bytes, layers[0] + 2 * layers[-1] + 11, 8 * layers[-1] + 7)
    return 1 << (least - 1).bit_length()


def _divisor(board: Board, clock: Fraction, baud: int) -> int:
    """Clocks per bit of the serial line; ConfigError if the clock cannot make that rate."""
    hertz = clock * 1_000_000
    divisor = round(hertz / baud)
    if divisor < 4 or abs(hertz / divisor - baud) > Fraction(baud, 50):
        raise ConfigError(
            f"{board.name} cannot make {baud} baud from {float(clock):g} MHz, allowed up to {int(hertz / 4)}"
        )
    return divisor
