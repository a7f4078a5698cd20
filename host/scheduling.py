"""When to learn: the schedule searched by probes, early stop of a sample on the chip, end of a run that has learned.

A probe (contract: option ``probe``) runs samples as if every step were scheduled and changes nothing; the device sums
S[t], the sum of the changes' magnitudes at every step. Those with the largest S become the schedule (SPEC, 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, Space

from .sample import Sample
from .words import Ints

if TYPE_CHECKING:
    from .device import AnyInts, Device
    from .recipe import Recipe

#: Epochs from one search to the next, and samples of a probe, unless they are given.
SEARCH_EVERY, SEARCH_SAMPLES = 3, 18


def changed(recipe: Recipe, early_stop: str | None, schedule: str | None, stop_learned: int | None) -> Recipe:
    """Recipe with the command line's ``--early-stop MARGIN[:POINTS]``, ``--schedule`` and ``--stop-learned``.

    Raises
    ------
    ConfigError
        For texts that say nothing of the kind.
    """
    changes: dict[str, Any] = {}
    if early_stop is not None:
        margin, _, points = early_stop.partition(":")
        try:
            changes |= {"stop_margin": float(margin), "stop_points": int(points or 1)}
        except ValueError:
            raise ConfigError(f"--early-stop {early_stop!r}, allowed is MARGIN or MARGIN:POINTS, as 2.5:2") from None
        if not (np.isfinite(changes["stop_margin"]) and 1 <= changes["stop_points"] <= 255):
            raise ConfigError(f"--early-stop {early_stop!r}, allowed are finite margins and 1 to 255 points")
    if schedule is not None:
        kind, _, every = schedule.partition(":")
        if not (kind == "search" or schedule == "even") or not (every or "1").isdecimal() or every == "0":
            raise ConfigError(f"--schedule {schedule!r}, allowed are even, search and search:EPOCHS")
        changes["search"] = 0 if kind == "even" else int(every or SEARCH_EVERY)
    if stop_learned is not None:
        changes["stop_learned"] = stop_learned
    return recipe.with_(**changes)


def with_options(config: NetworkConfig, name: str, recipe: Recipe) -> tuple[NetworkConfig, str]:
    """Configuration with the options that a recipe needs, and its name with them."""
    needed = {
        "early_stop": bool(recipe.stop_points),
        "probe": bool(recipe.search),
        "normalise": any(recipe.normalise),
    }
    missing = [option for option, need in needed.items() if need and not getattr(config, option)]
    return config.with_(**dict.fromkeys(missing, True)), "+".join([name, *missing])


def described(recipe: Recipe, steps: int) -> str:
    """How a recipe schedules the updates, in one line."""
    text = f"{steps} steps of the longest sample, "
    text += f"searched every {recipe.search} epochs" if recipe.search else "evenly spaced"
    if recipe.stop_points:
        text += f"; a sample stops once right by {recipe.stop_margin:g} at {recipe.stop_points} of them"
    if recipe.stop_learned:
        text += f"; the run stops after {recipe.stop_learned} epochs without a wrong training sample"
    return text


def has_learned(recipe: Recipe, history: list[dict[str, Any]]) -> bool:
    """Whether every training sample was right, while it was learned, in as many last epochs as are asked for."""
    last = history[-recipe.stop_learned :] if recipe.stop_learned else []
    return len(last) == recipe.stop_learned > 0 and all(epoch["online_accuracy"] == 1.0 for epoch in last)


def probe_samples(labels: Ints, count: int) -> list[int]:
    """Samples of a probe: the first of every class, then the second of every class, until there are ``count``."""
    ranks = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        mine = labels == label
        ranks[mine] = np.arange(np.count_nonzero(mine))
    return sorted(int(i) for i in np.argsort(ranks, kind="stable")[:count])


def measure_changes(device: Device, samples: list[tuple[AnyInts, int]]) -> Ints:
    """S of every step in units of the weight's last place, summed over samples, int64 [max_steps].

    Weights, filter constants and random generator stay as they are.
    """
    steps = device.config.max_steps
    device.load_words(Space.SCHEDULE, steps, np.zeros(steps, dtype=np.int64))
    device.write_register("probe", 1)
    for _ in device.run_samples(Sample(inputs, label, learn=True) for inputs, label in samples):
        pass
    device.write_register("probe", 0)
    return device.read_words(Space.SCHEDULE, steps, steps)


def largest(changes: Ints, count: int) -> tuple[int, ...]:
    """The ``count`` steps with the largest S in order; earlier ones of equal S; none whose S is 0."""
    order = np.argsort(-changes, kind="stable")[:count]
    return tuple(sorted(int(t) for t in order if changes[t] > 0))
