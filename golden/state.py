"""State of the golden model: what every memory and register of the device holds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from solsa.contract import NetworkConfig, Parameters

from .arith import Ints


@dataclass
class LayerState:
    """Memories of one layer; int64 arrays.

    Attributes
    ----------
    weight, trace : [M, N]
        w and eps.
    filter : [G', N]
        F of every group that has a post.
    current, membrane, spike, surrogate, gain, filter_trace, adapt_trace : [M]
        I, V, s, h, k, J, A; H instead of h in hidden layers with the option ``filtered_surrogate``.
    delta, rate_step : [M]
        Error and g = eta*delta of the last update.
    a : [G]
        Adaptive constants, u0.24.
    mean_error : [M]
        m, running mean of |delta| over the updates so far, 0 before the first (option normalise; 0 without).
    """

    weight: Ints
    trace: Ints
    filter: Ints
    current: Ints
    membrane: Ints
    spike: Ints
    surrogate: Ints
    gain: Ints
    filter_trace: Ints
    adapt_trace: Ints
    delta: Ints
    rate_step: Ints
    a: Ints
    mean_error: Ints

    @classmethod
    def zero(cls, config: NetworkConfig, layer: int) -> LayerState:
        """All memories zero, as after reset of the device."""
        posts, pres = config.post(layer), config.pre(layer)
        shapes: dict[str, tuple[int, ...]] = {
            "weight": (posts, pres),
            "trace": (posts, pres),
            "filter": (config.used_groups(layer), pres),
            "a": (config.groups,),
        }
        return cls(**{f.name: np.zeros(shapes.get(f.name, (posts,)), dtype=np.int64) for f in fields(cls)})

    def copy(self) -> LayerState:
        """Deep copy."""
        return LayerState(**{f.name: getattr(self, f.name).copy() for f in fields(self)})


@dataclass
class StepTrace:
    """Every state word after one step.

    Attributes
    ----------
    step : int
        Index of the step within its sample.
    learned, updated : bool
        Whether traces advanced, whether weights were updated.
    layers : list of LayerState
        Copies.
    score : [M of the last layer]
        Readout summed over the sample so far.
    rng : int
        Master state of the random generator.
    updates : int
        Weight updates since reset.
    probed : bool
        Whether the step's changes were measured instead of made.
    """

    step: int
    learned: bool
    updated: bool
    layers: list[LayerState]
    score: Ints
    rng: int
    updates: int
    probed: bool = False

    def difference(self, other: StepTrace) -> str | None:
        """First word that differs, in words, or None."""
        for name in ("step", "learned", "updated", "rng", "updates", "probed"):
            if getattr(self, name) != getattr(other, name):
                return f"step {self.step} {name}: {getattr(self, name)} against {getattr(other, name)}"
        for index, (mine, theirs) in enumerate(zip(self.layers, other.layers, strict=True)):
            for f in fields(LayerState):
                a, b = getattr(mine, f.name), getattr(theirs, f.name)
                if not np.array_equal(a, b):
                    at = tuple(int(v) for v in np.argwhere(a != b)[0])
                    return f"step {self.step} layer {index} {f.name}{list(at)}: {a[at]} against {b[at]}"
        if not np.array_equal(self.score, other.score):
            return f"step {self.step} score: {self.score} against {other.score}"
        return None


@dataclass
class CoreState:
    """Everything that a device holds between two steps."""

    layers: list[LayerState]
    score: Ints
    rng: int
    step: int = 0
    updates: int = 0
    #: neuron state restarts from zero at the next step
    fresh_neurons: bool = True
    #: traces restart from zero at the next learning step
    fresh_traces: bool = True
    schedule: set[int] = field(default_factory=set)
    #: scheduled steps of this sample at which the readout was right (option early_stop)
    right: int = 0
    #: learning steps measure their changes and make none (option probe)
    probe: bool = False
    #: S of every step, format ``change``, shape [max_steps] (option probe)
    changes: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @classmethod
    def start(cls, config: NetworkConfig, parameters: Parameters) -> CoreState:
        """State after reset and after loading ``parameters``."""
        layers = [LayerState.zero(config, i) for i in range(config.depth)]
        for layer, row in zip(layers, parameters.a, strict=True):
            layer.a[:] = row
        score = np.zeros(config.outputs, dtype=np.int64)
        changes = np.zeros(config.max_steps if config.probe else 0, dtype=np.int64)
        return cls(layers, score, parameters.rng, schedule=set(parameters.schedule), changes=changes)


def posts_of_group(config: NetworkConfig, layer: int) -> Ints:
    """Group of every post, shape [M]."""
    return np.arange(config.post(layer), dtype=np.int64) % config.groups
