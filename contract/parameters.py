"""What the host programs into a device besides weights: thresholds, filter constants, tables, rates, schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from .config import ConfigError, NetworkConfig
from .formats import ADAPT_GUARD, DECAY_FRAC
from .random import DEFAULT_RNG
from .registers import (
    MANTISSA_BITS,
    NORM_LIMIT_BITS,
    NORM_REFERENCE_BITS,
    NORM_SHIFT,
    NORM_SHIFT_MAX,
    SHIFT_BITS,
    STOP_POINTS_BITS,
    SURROGATE_SHIFT_BITS,
    LayerRegister,
    Register,
    a_address,
    lam_address,
    layer_address,
)

#: (mantissa, shift), see :func:`encode_rate`.
Rate = tuple[int, int]
#: Filter or membrane constants [layer][group], or [group] for all layers alike.
Constants = tuple[tuple[float, ...], ...] | tuple[float, ...]
#: (bits of the running mean at which a rate is as given, largest power of two that divides or multiplies it).
Norm = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Integer parameters of a network, as the registers and tables hold them.

    Parameters
    ----------
    theta, rho : tuple of int
        Threshold and soft reset of every layer, format ``threshold``.
    lam : tuple of tuple of int
        Membrane constant [layer][group], u0.16.
    a : tuple of tuple of int
        Start of the adaptive filter constant [layer][group], u0.24.
    surrogate : tuple of int
        Table over |V - theta| >> surrogate_shift, format ``surrogate``; the last entry serves all beyond.
    surrogate_shift : int
        Shift of the table index.
    rate, adapt_rate : tuple of (mantissa, shift)
        Learning rates of weights and of filter constants, one per layer.
    a_min, a_max : int
        Limits of the adaptive constants, u0.16.
    schedule : tuple of int
        Steps at which weights are updated.
    rng : int
        Master state of the random generator at the start.
    stop_margin, stop_points : int
        Early stop: score by which the label must lead, and scheduled steps of a sample at which it must; 0 is off.
    norm, norm_shift : tuple of (reference, limit), int
        Rates divided by the neuron's running mean of |delta|, one pair per layer, see ``LayerRegister``; none: off.
    """

    theta: tuple[int, ...]
    rho: tuple[int, ...]
    lam: tuple[tuple[int, ...], ...]
    a: tuple[tuple[int, ...], ...]
    surrogate: tuple[int, ...]
    surrogate_shift: int
    rate: tuple[Rate, ...]
    adapt_rate: tuple[Rate, ...]
    a_min: int = 0
    a_max: int = (1 << DECAY_FRAC) - 1
    schedule: tuple[int, ...] = ()
    rng: int = DEFAULT_RNG
    stop_margin: int = 0
    stop_points: int = 0
    norm: tuple[Norm, ...] = ()
    norm_shift: int = NORM_SHIFT

    def check(self, config: NetworkConfig) -> None:
        """Raise ConfigError (one line) if a value does not fit the configuration."""
        f = config.formats
        for name in ("theta", "rho", "lam", "a", "rate", "adapt_rate"):
            if len(getattr(self, name)) != config.depth:
                raise ConfigError(f"{name} has {len(getattr(self, name))} layers, the network has {config.depth}")
        for layer in range(config.depth):
            for name, value, low in (("theta", self.theta[layer], f.threshold.min), ("rho", self.rho[layer], 0)):
                _inside(f"{name} of layer {layer}", value, low, f.threshold.max)
            for name, fmt in (("lam", f.decay), ("a", f.adaptive)):
                row = getattr(self, name)[layer]
                if len(row) != config.groups:
                    raise ConfigError(f"{name} of layer {layer} has {len(row)} groups, the network {config.groups}")
                for value in row:
                    _inside(f"{name} of layer {layer}", value, 0, fmt.max)
            for name in ("rate", "adapt_rate"):
                mantissa, shift = getattr(self, name)[layer]
                _inside(f"mantissa of {name} of layer {layer}", mantissa, 0, (1 << MANTISSA_BITS) - 1)
                _inside(f"shift of {name} of layer {layer}", shift, 0, (1 << SHIFT_BITS) - 1)
        if len(self.surrogate) != config.surrogate_entries:
            raise ConfigError(f"surrogate table of {len(self.surrogate)}, allowed exactly {config.surrogate_entries}")
        for value in self.surrogate:
            _inside("surrogate table entry", value, 0, f.surrogate.max)
        _inside("surrogate_shift", self.surrogate_shift, 0, (1 << SURROGATE_SHIFT_BITS) - 1)
        for name in ("a_min", "a_max"):
            _inside(name, getattr(self, name), 0, f.decay.max)
        if self.a_min > self.a_max:
            raise ConfigError(f"a_min {self.a_min} is above a_max {self.a_max}")
        for step in self.schedule:
            _inside("scheduled step", step, 0, config.max_steps - 1)
        _inside("rng", self.rng, 1, 0xFFFFFFFF)
        _inside("stop_margin", self.stop_margin, f.score.min, f.score.max)
        _inside("stop_points", self.stop_points, 0, (1 << STOP_POINTS_BITS) - 1)
        if self.stop_points and not config.early_stop:
            raise ConfigError("stop_points needs a configuration with early_stop, such as preset vowels+early_stop")
        self._check_norm(config)

    def _check_norm(self, config: NetworkConfig) -> None:
        if self.norm and not config.normalise:
            raise ConfigError("norm needs a configuration with normalise, such as preset vowels+normalise")
        if self.norm and len(self.norm) != config.depth:
            raise ConfigError(f"norm has {len(self.norm)} layers, the network has {config.depth}")
        for layer, (reference, limit) in enumerate(self.norm):
            _inside(f"norm reference of layer {layer}", reference, 0, (1 << NORM_REFERENCE_BITS) - 1)
            _inside(f"norm limit of layer {layer}", limit, 0, (1 << NORM_LIMIT_BITS) - 1)
        _inside("norm_shift", self.norm_shift, 0, NORM_SHIFT_MAX)

    def constant_words(self) -> list[tuple[int, int]]:
        """(register address, value) of everything that neither learning nor the random generator changes, but rates."""
        words: list[tuple[int, int]] = []
        for layer, row in enumerate(self.lam):
            words.append((layer_address(layer, LayerRegister.THETA), self.theta[layer]))
            words.append((layer_address(layer, LayerRegister.RHO), self.rho[layer]))
            words += [(lam_address(layer, group), value) for group, value in enumerate(row)]
        words.append((Register.SURROGATE_SHIFT, self.surrogate_shift))
        return [*words, (Register.A_MIN, self.a_min), (Register.A_MAX, self.a_max)]

    def option_words(self, config: NetworkConfig) -> list[tuple[int, int]]:
        """(register address, value) of the options that a configuration has."""
        stop: list[tuple[int, int]] = [
            (Register.STOP_MARGIN, self.stop_margin),
            (Register.STOP_POINTS, self.stop_points),
        ]
        norm: list[tuple[int, int]] = [(Register.NORM_SHIFT, self.norm_shift)]
        for layer, (reference, limit) in enumerate(self.norm or ((0, 0),) * config.depth):
            norm.append((layer_address(layer, LayerRegister.NORM_REFERENCE), reference))
            norm.append((layer_address(layer, LayerRegister.NORM_LIMIT), limit))
        # a probe that was cut short ends here
        probe = [(int(Register.PROBE), 0)] if config.probe else []
        return [*(stop if config.early_stop else []), *probe, *(norm if config.normalise else [])]

    def start_words(self) -> list[tuple[int, int]]:
        """(register address, value) of the random generator and the adaptive constants at the start."""
        words = [(a_address(i, g), value) for i, row in enumerate(self.a) for g, value in enumerate(row)]
        return [(Register.RNG, self.rng), *words]

    def with_(self, **changes: Any) -> Parameters:
        """Copy with some fields changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form; options that are off are left out, as in files of before they were there."""
        stop, norm = ("stop_margin", "stop_points"), ("norm", "norm_shift")
        off = {*(() if self.stop_points else stop), *(() if self.norm else norm)}
        return {k: _plain(v) for k, v in self.__dict__.items() if k not in off}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Parameters:
        """Inverse of :meth:`to_dict`; raises ConfigError for missing or unknown keys."""
        try:
            return cls(**{k: _frozen(v) for k, v in plain.items()})
        except TypeError as error:
            raise ConfigError(f"parameters: {error}") from None


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


def _inside(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, allowed {low} to {high}")


def rate_words(rate: tuple[Rate, ...], adapt_rate: tuple[Rate, ...]) -> list[tuple[int, int]]:
    """(register address, value) of the learning rates of weights and of filter constants, one per layer each."""
    words: list[tuple[int, int]] = []
    for layer, (weights, filters) in enumerate(zip(rate, adapt_rate, strict=True)):
        words.append((layer_address(layer, LayerRegister.RATE_MANTISSA), weights[0]))
        words.append((layer_address(layer, LayerRegister.RATE_SHIFT), weights[1]))
        words.append((layer_address(layer, LayerRegister.ADAPT_MANTISSA), filters[0]))
        words.append((layer_address(layer, LayerRegister.ADAPT_SHIFT), filters[1]))
    return words


def rate_offset(config: NetworkConfig) -> int:
    """Power of two between a rate register and eta: eta = mantissa * 2**-(shift + offset)."""
    return config.formats.rate_step.frac - config.formats.delta.frac


def adapt_offset(config: NetworkConfig) -> int:
    """Power of two between an adaptive-rate register and eta_a: eta_a = mantissa * 2**-(shift + offset)."""
    f = config.formats
    return f.adaptive.frac + ADAPT_GUARD - (f.delta.frac + f.adapt_trace.frac)


def encode_rate(rate: float, offset: int, name: str = "learning rate") -> Rate:
    """Nearest (mantissa, shift) of a rate, the mantissa as large as it can be.

    Parameters
    ----------
    rate : float
        Not negative.
    offset : int
        From :func:`rate_offset` or :func:`adapt_offset`.

    Raises
    ------
    ConfigError
        If the rate is negative, not finite, or above what a register can hold.
    """
    if not math.isfinite(rate) or rate < 0:
        raise ConfigError(f"{name} is {rate}, allowed finite and not negative")
    top = (1 << MANTISSA_BITS) - 1
    for shift in range((1 << SHIFT_BITS) - 1, -1, -1):
        mantissa = round(rate * 2.0 ** (shift + offset))
        if mantissa <= top:
            return mantissa, shift
    raise ConfigError(f"{name} is {rate}, allowed at most {top * 2.0**-offset:g} with these formats")


def decode_rate(rate: Rate, offset: int) -> float:
    """Rate that a (mantissa, shift) stands for."""
    return rate[0] * 2.0 ** -(rate[1] + offset)


def surrogate_table(
    config: NetworkConfig, width: float, peak: float = 1.0, reach: float = 4.0
) -> tuple[tuple[int, ...], int]:
    """Gaussian surrogate peak * exp(-(|V-theta|/width)**2 / 2) as (table, shift).

    The Gaussian is the surrogate of the first author's public code (SPEC section 1). The table spans at least ``reach``
    widths, its last entry is zero, every entry is taken in the middle of its interval.
    """
    if not width > 0:
        raise ConfigError(f"surrogate width is {width}, allowed above 0")
    if not 0.0 < peak <= 1.0:
        raise ConfigError(f"surrogate peak is {peak}, allowed above 0, at most 1")
    f, entries = config.formats, config.surrogate_entries
    span = reach * width * f.membrane.one
    shift = max(0, math.ceil(math.log2(span / entries)))
    if shift >= 1 << SURROGATE_SHIFT_BITS:
        raise ConfigError(f"surrogate width is {width}, too wide for the table")
    middles = [((i + 0.5) * (1 << shift)) / f.membrane.one for i in range(entries)]
    table = [round(peak * math.exp(-0.5 * (m / width) ** 2) * f.surrogate.one) for m in middles]
    table[-1] = 0
    return tuple(table), shift


def make_parameters(
    config: NetworkConfig,
    *,
    a: Constants,
    lam: Constants,
    theta: float = 1.0,
    rho: float = 1.0,
    surrogate_width: float = 0.5,
    surrogate_peak: float = 1.0,
    rates: tuple[float, ...] = (),
    adapt_rates: tuple[float, ...] = (),
    a_min: float = 0.0,
    a_max: float = 1.0 - 2.0**-12,
    schedule: tuple[int, ...] = (),
    rng: int = DEFAULT_RNG,
    stop_margin: float = 0.0,
    stop_points: int = 0,
    norm: tuple[Norm, ...] = (),
) -> Parameters:
    """Parameters from real numbers.

    Parameters
    ----------
    a, lam : tuple of tuple of float, or tuple of float
        Constant [layer][group], or [group] for all layers alike; in [0, 1).
    rates, adapt_rates : tuple of float
        One per layer; empty means 0.

    Raises
    ------
    ConfigError
        With the name, value and allowed range of what does not fit.
    """
    f = config.formats
    table, shift = surrogate_table(config, surrogate_width, surrogate_peak)
    depth = config.depth
    made = Parameters(
        theta=(f.threshold.from_float(theta),) * depth,
        rho=(f.threshold.from_float(rho),) * depth,
        lam=tuple(tuple(f.decay.from_float(v) for v in row) for row in _constants("lam", lam, config)),
        a=tuple(tuple(f.adaptive.from_float(v) for v in row) for row in _constants("a", a, config)),
        surrogate=table,
        surrogate_shift=shift,
        rate=tuple(encode_rate(r, rate_offset(config)) for r in rates or (0.0,) * depth),
        adapt_rate=tuple(encode_rate(r, adapt_offset(config), "filter rate") for r in adapt_rates or (0.0,) * depth),
        a_min=f.decay.from_float(a_min),
        a_max=f.decay.from_float(a_max),
        schedule=tuple(sorted(set(schedule))),
        rng=rng,
        stop_margin=f.score.from_float(stop_margin),
        stop_points=stop_points,
        norm=norm,
    )
    made.check(config)
    return made


def _constants(name: str, values: Constants, config: NetworkConfig) -> tuple[tuple[float, ...], ...]:
    """Constants [layer][group], checked."""
    rows = tuple(v if isinstance(v, tuple) else (v,) for v in values)
    if not any(isinstance(v, tuple) for v in values):
        rows = (tuple(v for row in rows for v in row),) * config.depth
    if len(rows) != config.depth:
        raise ConfigError(f"{name} has {len(rows)} layers, the network has {config.depth}")
    for layer, row in enumerate(rows):
        if len(row) != config.groups:
            raise ConfigError(f"{name} of layer {layer} has {len(row)} constants, the network {config.groups} groups")
        for value in row:
            if not 0 <= value < 1:
                raise ConfigError(f"{name} of layer {layer} is {value}, allowed 0 to below 1")
    return rows
