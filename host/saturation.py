"""Words that did not fit while the golden model learned: counted per store, shown, and warned about.

The device does not count; its words are those of the golden model, so a run on the golden model tells for both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from solsa.golden.core import GoldenCore

from .device import Device
from .golden_device import GoldenDevice
from .words import Ints

#: One sample in so many is watched: comparing every word makes a step half as slow again.
EVERY = 16
#: Share of a store's words from which saturation is warned about.
WARN = 1e-3
#: What to do about a store that saturates.
_REMEDY = {
    "weight_step": "smaller rates or start weights",
    "error": "smaller weights of the layer above",
    "hidden_delta": "smaller weights of the layer above",
    "rate_step": "smaller rates",
    "trace_decay": "smaller a or lam, or a trace format with fewer fraction bits",
    "filter_decay": "smaller a, or a trace format with fewer fraction bits",
}


class Saturation:
    """Counts stores of a golden core in one sample of :data:`EVERY`.

    Parameters
    ----------
    device : Device
        Nothing is counted unless it is the golden model.
    """

    def __init__(self, device: Device) -> None:
        transport = device.link.transport
        self._core: GoldenCore | None = transport.memory.core if isinstance(transport, GoldenDevice) else None
        self._counts: dict[str, list[int]] = {}
        self.watched = 0
        self.sample(0)

    def sample(self, done: int) -> None:
        """Say that the sample number ``done`` begins."""
        if self._core is None:
            return
        watch = done % EVERY == 0
        self.watched += watch
        self._core.watch = self._count if watch else None

    def _count(self, name: str, values: Ints, low: int, high: int) -> None:
        counts = self._counts.setdefault(name, [0, 0])
        counts[0] += int(np.count_nonzero((values < low) | (values > high)))
        counts[1] += int(np.size(values))

    def end(self) -> dict[str, Any] | None:
        """Stop; what was counted, or None on another device."""
        if self._core is None:
            return None
        self._core.watch = None
        stores = {name: {"saturated": c[0], "stored": c[1]} for name, c in sorted(self._counts.items())}
        return {"watched_samples": self.watched, "stores": stores}


def rows(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Lines for people: every store that saturated, and a warning for those that did so often."""
    if found is None:
        return []
    shares = {n: c["saturated"] / max(1, c["stored"]) for n, c in found["stores"].items()}
    some = sorted(((share, name) for name, share in shares.items() if share), reverse=True)
    text = ", ".join(f"{name} {100 * share:.2g} %" for share, name in some) or "no word"
    lines = [("saturated", f"{text} (of {found['watched_samples']} samples watched)")]
    for share, name in some:
        if share >= WARN and name != "adapt_step":  # filter constants at their limits are in order
            remedy = _REMEDY.get(name, "smaller start weights, or a format with more bits")
            lines.append(("warning", f"{name} saturates in {100 * share:.2g} % of its words; try {remedy}"))
    return lines
