"""Random search of the learning benchmark: which configurations are tried, the same for every rule."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from solsa.contract import ConfigError

from .bench_tasks import Task
from .recipe import EVERY_STEP, Recipe, recipe_for

#: Schedules. ``last``: the last step; ``all``: every step; ``even``: the recipe's evenly spaced steps; ``searched``:
#: the steps at which a probe sweep finds the largest changes.
SCHEDULES = ("last", "all", "even", "searched")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One configuration: a recipe and the switches that it does not have."""

    recipe: Recipe
    schedule: str = "even"
    stop_after: int = 0
    stop_margin: float = 0.0
    reset_term: bool = True
    normalise: bool = False
    recurrent: bool = False
    filtered_surrogate: bool = False
    groups: int = 4
    hidden: tuple[int, ...] = (64,)

    def with_(self, **changes: Any) -> Choice:
        """Copy with some fields changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form."""
        return {**asdict(self), "recipe": self.recipe.to_dict(), "hidden": list(self.hidden)}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Choice:
        """Inverse of :meth:`to_dict`; raises ConfigError for unknown keys."""
        try:
            return cls(**{**plain, "recipe": Recipe.from_dict(plain["recipe"]), "hidden": tuple(plain["hidden"])})
        except (KeyError, TypeError) as error:
            raise ConfigError(f"configuration: {error}") from None


def draw(task: Task, index: int, *, enhanced: bool = False, filtered: bool = False) -> Choice:
    """Configuration number ``index`` for a task.

    Time constants reach from one step to at most half a sample. Start weights and rates follow the number of inputs and
    the gain of the filters, so that one range serves all data sets. ``enhanced`` adds SOLSA's own switches,
    ``filtered`` the option filtered_surrogate; everything else is the same draw for all rules.
    """
    recipe = _drawn(task, index)
    choice = Choice(recipe=recipe, filtered_surrogate=filtered)
    if not enhanced:
        return choice
    own = np.random.default_rng([zlib.crc32(task.name.encode()), index, 1])
    rate = _between(own, 2.0**-14, 2.0**-8) if own.random() < 0.67 else 0.0
    stop = int(own.choice((0, 2, 4)))
    searched = own.random() < 0.5 and recipe.updates < EVERY_STEP
    return choice.with_(
        recipe=recipe.with_(adapt_rates=(rate, 0.0)),
        schedule="searched" if searched else "even",
        stop_after=stop,
        stop_margin=float(own.choice((1.0, 3.0))) if stop else 0.0,
    )


def _drawn(task: Task, index: int) -> Recipe:
    """Recipe number ``index``: first the one that ``solsa learn`` takes, then random ones, of inputs made alike."""
    steps = float(np.median(task.train.lengths))
    present = recipe_for(task.dataset.name, task.config, int(steps)).with_(epochs=task.epochs)
    if index == 0:
        return present
    rng = np.random.default_rng([zlib.crc32(task.name.encode()), index])
    inputs, hidden = task.config.layers[0], 64
    a = _spread(0.0, _between(rng, 1.0, max(2.0, steps / 4)))
    slowest = _between(rng, 1.4, max(3.0, steps / 2))
    lam = _spread(0.25, slowest) if rng.random() < 0.5 else (_decay(slowest),) * 4
    out_a, out_lam = float(rng.choice((0.0, 0.1, 0.5))), _decay(_between(rng, 1.2, max(2.5, steps / 2)))
    open_hidden = float(np.mean([(1 - x) * (1 - y) for x, y in zip(a, lam, strict=True)]))
    open_out = (1 - out_a) * (1 - out_lam)
    sd = _between(rng, 0.6, 2.4) * (open_hidden / inputs) ** 0.5
    updates = int(rng.choice((3, 9, EVERY_STEP)))
    # Errors of hidden layers have the factor of the peak; the rate makes up for it.
    peak = float(np.random.default_rng([zlib.crc32(task.name.encode()), index, 2]).choice((1.0, 0.3, 0.1)))
    per_update = 9.0 / min(updates, task.window or steps, steps)
    hidden_rate = _between(rng, 2.0**-9, 2.0**-3) * min(1.0, 12 / inputs) * open_hidden / 0.35 * min(2.0, per_update)
    out_rate = _between(rng, 2.0**-6, 2.0**-2) * 64 / hidden * (open_out / 0.54) ** 2 * min(2.0, per_update)
    return present.with_(
        a=(a, (out_a,) * 4),
        lam=(lam, (out_lam,) * 4),
        surrogate_width=float(rng.choice((0.3, 0.5, 1.0))),
        surrogate_peak=peak,
        weight_sd=(sd, 0.01),
        rates=(hidden_rate / peak, out_rate),
        adapt_rates=(0.0, 0.0),
        final=float(rng.choice((0.05, 0.15))),
        updates=updates,
    )


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Random number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _decay(steps: float) -> float:
    """Constant per step of a filter with a time constant in steps."""
    return max(0.0, 1.0 - 1.0 / steps)


def _spread(fastest: float, slowest: float) -> tuple[float, ...]:
    """Four decays from a constant to a time constant, geometrically between."""
    first = 1.0 / (1.0 - fastest)
    return tuple(_decay(first * (slowest / first) ** (g / 3)) for g in range(4))
