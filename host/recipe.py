"""How a network is trained: every number that is not geometry, with defaults and one entry per known data set."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, Parameters, make_parameters
from solsa.contract.parameters import Norm

from .scheduling import SEARCH_SAMPLES
from .words import Ints

T = TypeVar("T")
#: More updates than a sample has steps.
EVERY_STEP = 1 << 20
SCALES = ("channel", "common", "robust")
#: References of rates per neuron: about what the mean errors of hidden layers are; the readout keeps one rate.
NORMALISE = (2.0**-7, 0.0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Constants, rates and schedule of a training run.

    A tuple per layer gives the value of every hidden layer and, last, that of the readout: for a network of another
    depth the first value serves all hidden layers. A tuple per group is taken evenly spread for fewer groups and
    repeated for more.

    Attributes
    ----------
    a, lam : tuple of tuple of float
        Filter and membrane constants [layer][group].
    theta, rho : float
        Threshold and soft reset.
    surrogate_width, surrogate_peak : float
        Width of the Gaussian surrogate, in units of the membrane, and its value at the threshold. A lower peak makes
        errors of hidden layers smaller, which the rate makes up for, and the reset's share rho*h of the traces' decay,
        which nothing does: docs/decisions/0016-filtered-surrogate.md.
    weight_sd : tuple of float
        Standard deviation of the start weights, per layer.
    recurrent_sd : float
        The same for the weights of own spikes (option ``recurrent``), times the root of the layer's neurons.
    rates, adapt_rates : tuple of float
        Learning rates of weights and of filter constants in the first epoch, per layer; filter rates of 0 turn
        adaptation off.
    final : float
        Factor on all rates in the last of ``epochs`` epochs; between them the rates fall geometrically.
    a_max : float
        Upper limit of the filter constants.
    updates : int
        Scheduled steps of the longest sample, evenly spaced.
    epochs : int
        Epochs over which the rates fall. A run that goes on longer keeps the last rates.
    window : float
        Share of a sample, at its end, whose readout decides; 0 is all of it. Samples of one length are also updated
        only there.
    encoder : str
        How data become inputs, as in ``--encoder``; empty: values are currents, a step each.
    scale : {"channel", "common", "robust"}
        Whether every channel is scaled by its own spread, or all by one: channels of one unit, such as pixels, of
        which some hardly ever move; or by the spread of what the input format holds, see Quantiser.robust.
    bias : bool
        One more input that is always 1.0, where the network is made for the data.
    search, search_samples : int
        Epochs from one search of the schedule to the next, 0: evenly spaced for good; training samples of its probes.
    stop_margin, stop_points : float, int
        Early stop: a sample learns no more once the score of its class is above all others by this margin, in units
        of the membrane summed over steps (of spikes for that readout), at so many scheduled steps; 0: off.
    normalise, normalise_limit : tuple of float, int
        For a core with that option: mean size of delta per layer at which the rate of a neuron is as given, 0: the
        layer's neurons have one rate; none: :data:`NORMALISE`. Largest power of two by which a rate differs from it.
    noise : float
        Standard deviation of what is added to every value of a training sample, anew in every epoch, in units of the
        spread that its channel is scaled by, before the encoder: host/augment.py.
    shift : float
        Share of the training samples, others in every epoch, whose values move by one channel up or down: for channels
        that lie side by side, such as the pixels of a row.
    stop_learned : int
        The run ends after so many epochs in a row without a wrong training sample; 0: never.
    """

    a: tuple[tuple[float, ...], ...]
    lam: tuple[tuple[float, ...], ...]
    theta: float = 1.0
    rho: float = 1.0
    surrogate_width: float = 0.5
    surrogate_peak: float = 1.0
    weight_sd: tuple[float, ...]
    rates: tuple[float, ...]
    adapt_rates: tuple[float, ...] = (0.0, 0.0)
    final: float = 0.15
    a_max: float = 1.0 - 2.0**-12
    updates: int = 9
    epochs: int = 12
    window: float = 0.0
    encoder: str = ""
    scale: str = "channel"
    bias: bool = False
    search: int = 0
    search_samples: int = SEARCH_SAMPLES
    stop_margin: float = 0.0
    stop_points: int = 0
    stop_learned: int = 0
    recurrent_sd: float = 0.3
    normalise: tuple[float, ...] = ()
    normalise_limit: int = 2
    noise: float = 0.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ConfigError(f"recipe: scale {self.scale!r}, allowed {', '.join(SCALES)}")
        if not 0.0 <= self.window <= 1.0:
            raise ConfigError(f"recipe: window {self.window}, allowed 0 to 1")
        if not 0.0 <= self.noise < math.inf:
            raise ConfigError(f"recipe: noise {self.noise}, allowed are standard deviations from 0 up")
        if not 0.0 <= self.shift <= 1.0:
            raise ConfigError(f"recipe: shift {self.shift}, allowed are shares from 0 to 1")
        if any(not 0.0 <= value <= 1.0 for value in self.normalise):
            raise ConfigError(f"recipe: normalise {self.normalise}, allowed are mean errors from 0 to 1")

    def decided(self, steps: int) -> int:
        """Last steps that decide a sample of so many; 0 is all."""
        return max(1, round(self.window * steps)) if self.window else 0

    def schedule(self, config: NetworkConfig, lengths: Sequence[int]) -> tuple[int, ...]:
        """Scheduled steps for samples of these lengths; the median sample has at least three if it has the steps."""
        longest = max(lengths)
        if self.window and min(lengths) == longest:
            every = max(1, self.decided(longest) // self.updates)
            first = longest - self.decided(longest)
            return tuple(t for t in range(longest - 1, first - 1, -every) if t < config.max_steps)[::-1]
        every = max(1, min(round(longest / self.updates), sorted(lengths)[len(lengths) // 2] // 3))
        return tuple(range(every - 1, min(longest, config.max_steps), every))

    def factor(self, epoch: int) -> float:
        """What the rates are multiplied with in an epoch (counted from 0)."""
        return float(self.final ** min(1.0, epoch / max(1, self.epochs - 1)))

    def parameters(self, config: NetworkConfig, schedule: tuple[int, ...], epoch: int = 0) -> Parameters:
        """Parameters at the start of an epoch (counted from 0)."""
        factor = self.factor(epoch)
        return make_parameters(
            config,
            a=tuple(per_group(row, config.groups) for row in per_layer(self.a, config.depth)),
            lam=tuple(per_group(row, config.groups) for row in per_layer(self.lam, config.depth)),
            theta=self.theta,
            rho=self.rho,
            surrogate_width=self.surrogate_width,
            surrogate_peak=self.surrogate_peak,
            rates=tuple(rate * factor for rate in per_layer(self.rates, config.depth)),
            adapt_rates=tuple(rate * factor for rate in per_layer(self.adapt_rates, config.depth)),
            a_max=self.a_max,
            schedule=schedule,
            stop_margin=self.stop_margin if self.stop_points else 0.0,
            stop_points=self.stop_points,
            norm=self._norm(config) if config.normalise else (),
        )

    def _norm(self, config: NetworkConfig) -> tuple[Norm, ...]:
        """Reference and limit of every layer, as the registers hold them."""
        fmt = config.formats.mean_error
        references = per_layer(self.normalise or NORMALISE, config.depth)
        return tuple((fmt.from_float(v).bit_length(), self.normalise_limit if v else 0) for v in references)

    @property
    def augments(self) -> bool:
        """Whether training samples are changed anew in every epoch."""
        return bool(self.noise or self.shift)

    @property
    def adapts(self) -> bool:
        """Whether the filter constants are trained."""
        return any(self.adapt_rates)

    def with_(self, **changes: Any) -> Recipe:
        """Copy with some fields changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form; what is off is left out, so that recipes keep their identity."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # tuples become lists
        defaults = {f.name: f.default for f in fields(self) if f.name in _LATER}
        off = {name for name, default in defaults.items() if getattr(self, name) == default}
        return {name: value for name, value in plain.items() if name not in off}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Recipe:
        """Inverse of :meth:`to_dict`; raises ConfigError for unknown keys."""
        unknown = sorted(set(plain) - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(f"recipe: unknown key {unknown[0]!r}")
        try:
            return cls(**{k: _tuples(v) for k, v in plain.items()})
        except TypeError as error:
            raise ConfigError(f"recipe: {error}") from None


#: Fields that files of earlier versions do not have.
_LATER = frozenset(
    {
        "search", "search_samples", "stop_margin", "stop_points", "stop_learned", "recurrent_sd", "normalise",
        "normalise_limit", "noise", "shift", "surrogate_peak",
    }
)  # fmt: skip

#: Recipes of known data sets, tuned on folds of their training samples.
RECIPES: dict[str, Recipe] = {
    "JapaneseVowels": Recipe(
        a=((0.0, 0.2, 0.4, 0.6), (0.1,) * 4),
        lam=((0.5,) * 4, (0.4,) * 4),
        weight_sd=(0.2, 0.01),
        rates=(2.0**-6, 2.0**-4),
        final=0.15,
        updates=9,
    ),
    # Eight rows are few steps for spikes to say much: each is held for two. The classes show in the last rows only. A
    # neuron that knows neither the rows before nor which row it is has one weight per column for all of them: hence the
    # delays and the clock (docs/decisions/0015-delays.md).
    "digits": Recipe(
        a=((0.0,) * 4, (0.0,) * 4),
        lam=((0.5, 0.5, 0.7, 0.8), (0.6,) * 4),
        weight_sd=(0.2, 0.01),
        rates=(0.0096, 0.0208),
        final=0.03,
        updates=8,
        epochs=30,
        window=0.5,
        encoder="delays:taps=4,clock=8,repeat=2",
        scale="common",
        noise=0.3,
        shift=1 / 3,
    ),
    # Cue accumulation in steps of 10 ms, as host/bench_cues.py writes it: the default of its 225 steps, learning at
    # few of the last 15. The readout's time constant of 1000 steps counts the first cue as much as the last one.
    "cues": Recipe(
        a=((0.0, 0.671, 0.892, 0.964), (0.0,) * 4),
        lam=((0.333, 0.749, 0.906, 0.964), (0.999,) * 4),
        weight_sd=(0.163, 0.01),
        rates=(0.00255, 0.000116),
        final=0.05,
        updates=4,
        epochs=12,
        window=1 / 15,
        encoder="spikes",
    ),
}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


#: Written by ``solsa bench learning --recipes``; its entries go before those above.
RECIPES_FILE = Path(__file__).with_name("recipes.json")
if RECIPES_FILE.exists():
    RECIPES |= {name: Recipe.from_dict(plain) for name, plain in json.loads(RECIPES_FILE.read_text()).items()}


def recipe_for(dataset: str, config: NetworkConfig, steps: int = 0) -> Recipe:
    """Recipe of a data set by its name, or the default for a network and samples of so many steps."""
    return RECIPES.get(dataset) or default_recipe(config, steps)


def default_recipe(config: NetworkConfig, steps: int = 0, samples: int = 0, *, even: bool = False) -> Recipe:
    """Recipe for data that nobody has tuned one for.

    Start weights and rates follow the number N of signals that a neuron sums: standard deviation as 1/sqrt(N), rate as
    1/N, so that neither the start current nor what an update changes in it grows with N.

    With ``steps``, those of the median sample, time constants reach from one step to an eighth of a sample, that of the
    readout is half of it, and start weights and rates follow the gain of these filters as well.

    With ``samples``, the number of training samples, time constants are no longer than the traces can hold (see
    :func:`room`), few large values do not set the scale of the inputs, and small sets are gone through more often.
    ``even``: all samples have one length; then the second half of a sample learns and decides, with few and small
    updates, so that a sample does not drive the readout to its own label from the first step on. Rates and start
    weights are then best made for the data: host/calibrate.py.
    """
    *hidden, last = config.layers[:-1]  # own spikes are left out: a recurrent network begins as one without them
    if steps:
        if not samples:
            return _for_steps(hidden, last, max(2.0, steps / 8), max(1.7, steps / 2))
        gain, slow = room(config)
        found = _for_steps(hidden, last, max(2.0, min(gain, steps / 8)), max(1.7, min(slow, steps / 2)), gain)
        found = found.with_(epochs=max(found.epochs, min(40, 2000 // samples)), scale="robust", final=0.02)
        if not even:
            return found
        updates = min(8, max(1, steps // 2))
        factor = 0.25 * (steps / updates) ** 0.5
        return found.with_(window=0.5, updates=updates, rates=tuple(rate * factor for rate in found.rates))
    return Recipe(
        a=((0.0, 0.3, 0.6, 0.8), (0.1, 0.1, 0.1, 0.1)),
        lam=((0.5, 0.5, 0.7, 0.8), (0.4, 0.4, 0.4, 0.4)),
        weight_sd=(*(0.7 * n**-0.5 for n in hidden), 0.01),
        rates=(*(2.0**-6 * min(1.0, 12 / n) for n in hidden), 2.0**-4 * min(1.0, 64 / last)),
    )


def room(config: NetworkConfig) -> tuple[float, float]:
    """What traces can hold: product of both time constants of a hidden filter, time constant of the readout, in steps.

    The largest input for good makes an eps of its size times that product, a spike at every step one of the readout's
    time constant.
    """
    trace, largest = config.formats.trace, config.formats.input
    held = trace.max / trace.one
    return held * largest.one / largest.max, held


def _for_steps(hidden: list[int], last: int, slow: float, out: float, gain: float = math.inf) -> Recipe:
    """Recipe whose slowest membranes and readout have these time constants in steps; faster currents keep the gain."""
    lam = _spread(1.5, slow)
    a = tuple(min(x, 1.0 - 1.0 / max(1.0, gain * (1.0 - y))) for x, y in zip(_spread(1.0, slow), lam, strict=True))
    readout = 1.0 - 1.0 / out
    # one over the gain of a neuron's two filters for a constant input, in units of what the rates below are made for.
    open_ = sum((1 - x) * (1 - y) for x, y in zip(a, lam, strict=True)) / len(a) / 0.35
    return Recipe(
        a=(a, (0.0,) * 4),
        lam=(lam, (readout,) * 4),
        weight_sd=(*(1.4 * (open_ / n) ** 0.5 for n in hidden), 0.01),
        rates=(
            *(2.0**-6 * open_ * min(1.0, 12 / n) for n in hidden),
            2.0**-7 * (1 - readout) / 0.6 * min(1.0, 64 / last),
        ),
        final=0.05,
        updates=EVERY_STEP,
    )


def _spread(fastest: float, slowest: float) -> tuple[float, ...]:
    """Four decays between two time constants in steps, geometrically spaced."""
    return tuple(1.0 - 1.0 / (fastest * (slowest / fastest) ** (g / 3)) for g in range(4))


def initial_weights(config: NetworkConfig, recipe: Recipe, seed: int) -> list[Ints]:
    """Start weights, uniform with the recipe's standard deviation, int64 [M, N] per layer.

    Those of own spikes (option ``recurrent``) are drawn apart, so that a seed gives the others with and without them.
    Only PCG64's raw output and exact arithmetic are used, so a seed gives the same weights on every machine and with
    every NumPy.
    """
    fmt = config.formats.weight
    source, own_source = (np.random.PCG64(np.random.SeedSequence([seed, key])) for key in (0, 2))

    def uniform(source: np.random.PCG64, posts: int, pres: int, sd: float) -> Ints:
        unit = (source.random_raw(posts * pres) >> np.uint64(11)) * 2.0**-52 - 1.0  # uniform in [-1, 1)
        values = np.rint(unit * (sd * np.sqrt(3.0)) * fmt.one)
        return np.clip(values, fmt.min, fmt.max).astype(np.int64).reshape(posts, pres)

    found = []
    for layer, sd in enumerate(per_layer(recipe.weight_sd, config.depth)):
        posts = config.post(layer)
        weights = uniform(source, posts, config.layers[layer], sd)
        own = uniform(own_source, posts, config.own(layer), recipe.recurrent_sd / np.sqrt(posts))
        found.append(np.hstack([weights, own]))
    return found


def per_layer(values: Sequence[T], depth: int) -> tuple[T, ...]:
    """One value per layer: as given, or the first for every hidden layer and the last for the readout."""
    return tuple(values) if len(values) == depth else (values[0],) * (depth - 1) + (values[-1],)


def per_group(values: Sequence[float], groups: int) -> tuple[float, ...]:
    """One value per group: evenly spread for fewer groups than values, repeated for more."""
    count = len(values)
    if groups >= count:
        return tuple(values[g % count] for g in range(groups))
    return tuple(values[(2 * g + 1) * count // (2 * groups)] for g in range(groups))
