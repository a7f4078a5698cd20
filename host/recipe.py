"""How a network is trained: every number that is not geometry, with defaults and one entry per known data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, Parameters, make_parameters

from .words import Ints


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Constants, rates and schedule of a training run.

    A tuple per layer gives the value of every hidden layer and, last, that of the readout: for a network of another
    depth the first value serves all hidden layers. A tuple per group is taken evenly spread for fewer groups and
    repeated for more.

    Attributes
    ----------
    a, lam : tuple of float
        Filter and membrane constant of every group.
    theta, rho : float
        Threshold and soft reset.
    surrogate_width : float
        Width of the Gaussian surrogate, in units of the membrane.
    weight_scale : tuple of float
        Standard deviation of the start weights times sqrt(N), per layer.
    rates, adapt_rates : tuple of float
        Learning rates of weights and of filter constants, per layer; filter rates of 0 turn adaptation off.
    rate_decay : float
        Factor on all rates after every epoch.
    a_max : float
        Upper limit of the filter constants.
    first_update, update_every : int
        Scheduled steps: ``first_update``, then every ``update_every``-th step.
    epochs : int
        Epochs unless the user says otherwise.
    """

    a: tuple[float, ...] = (0.3, 0.5, 0.7, 0.9)
    lam: tuple[float, ...] = (0.3, 0.5, 0.7, 0.9)
    theta: float = 1.0
    rho: float = 1.0
    surrogate_width: float = 0.5
    weight_scale: tuple[float, ...] = (1.0, 1.0)
    rates: tuple[float, ...] = (0.002, 0.002)
    adapt_rates: tuple[float, ...] = (1e-4, 1e-4)
    rate_decay: float = 0.95
    a_max: float = 1.0 - 2.0**-12
    first_update: int = 1
    update_every: int = 2
    epochs: int = 20

    def schedule(self, config: NetworkConfig, steps: int) -> tuple[int, ...]:
        """Scheduled steps for samples of up to ``steps`` steps."""
        return tuple(range(self.first_update, min(steps, config.max_steps), self.update_every))

    def parameters(self, config: NetworkConfig, schedule: tuple[int, ...], epoch: int = 0) -> Parameters:
        """Parameters at the start of an epoch (counted from 0)."""
        factor = self.rate_decay**epoch
        return make_parameters(
            config,
            a=_per_group(self.a, config.groups),
            lam=_per_group(self.lam, config.groups),
            theta=self.theta,
            rho=self.rho,
            surrogate_width=self.surrogate_width,
            rates=tuple(rate * factor for rate in _per_layer(self.rates, config.depth)),
            adapt_rates=tuple(rate * factor for rate in _per_layer(self.adapt_rates, config.depth)),
            a_max=self.a_max,
            schedule=schedule,
        )

    @property
    def adapts(self) -> bool:
        """Whether the filter constants are trained."""
        return any(self.adapt_rates)

    def with_(self, **changes: Any) -> Recipe:
        """Copy with some fields changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Recipe:
        """Inverse of :meth:`to_dict`; raises ConfigError for unknown keys."""
        unknown = sorted(set(plain) - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(f"recipe: unknown key {unknown[0]!r}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        return cls(**values)


#: Recipes of known data sets; every other data set starts from the defaults.
RECIPES: dict[str, Recipe] = {
    "JapaneseVowels": Recipe(),
}


def recipe_for(dataset: str) -> Recipe:
    """Recipe of a data set, by its name."""
    return RECIPES.get(dataset, Recipe())


def initial_weights(config: NetworkConfig, recipe: Recipe, seed: int) -> list[Ints]:
    """Start weights, uniform with the recipe's standard deviation, int64 [M, N] per layer.

    Only PCG64's raw output and exact arithmetic are used, so a seed gives the same weights on every machine and with
    every NumPy.
    """
    fmt, source = config.formats.weight, np.random.PCG64(np.random.SeedSequence([seed, 0]))
    found = []
    for layer, scale in enumerate(_per_layer(recipe.weight_scale, config.depth)):
        posts, pres = config.post(layer), config.pre(layer)
        unit = (source.random_raw(posts * pres) >> np.uint64(11)) * 2.0**-52 - 1.0  # uniform in [-1, 1)
        values = np.rint(unit * (scale * np.sqrt(3.0 / pres)) * fmt.one)
        found.append(np.clip(values, fmt.min, fmt.max).astype(np.int64).reshape(posts, pres))
    return found


def _per_layer(values: Sequence[float], depth: int) -> tuple[float, ...]:
    return tuple(values) if len(values) == depth else (values[0],) * (depth - 1) + (values[-1],)


def _per_group(values: Sequence[float], groups: int) -> tuple[float, ...]:
    count = len(values)
    if groups >= count:
        return tuple(values[g % count] for g in range(groups))
    return tuple(values[(2 * g + 1) * count // (2 * groups)] for g in range(groups))
