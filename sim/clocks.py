"""Clocks of every kind of time step, measured in simulation while every word is compared with the golden model."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from solsa.contract import NetworkConfig, Readout, make_parameters
from solsa.contract.cycles import inference_bound, predicted_cycles, scheduled_bound, trace_bound

from .build import QUICK
from .compiled import CompiledCore
from .lockstep import Lockstep, Mismatch
from .records import StepInput

#: Thresholds at which every neuron fires in every step, and none ever does.
_FIRES, _SILENT = -2000, 2000
#: Fractions of active inputs of the measured inference steps.
ACTIVITY = (0.0, 0.1, 0.25, 0.5, 1.0)


@dataclass
class Measured:
    """What was measured of one network.

    Attributes
    ----------
    clocks : dict
        Clocks seen of each kind of step (names of :class:`~solsa.contract.cycles.Cycles`), all inputs and neurons
        active; they do not depend on the data, so each set has one element.
    activity : list of (int, int, int)
        Active inputs of an inference step in which no neuron fires, its clocks and their bound.
    words : int
        State words compared.
    mismatch : Mismatch or None
        First difference from the golden model.
    simulated_clocks, seconds : int, float
        Work and wall time of the simulation, without its compilation.
    """

    clocks: dict[str, set[int]] = field(default_factory=dict)
    activity: list[tuple[int, int, int]] = field(default_factory=list)
    words: int = 0
    mismatch: Mismatch | None = None
    simulated_clocks: int = 0
    seconds: float = 0.0


def measure(config: NetworkConfig, *, seed: int = 0, steps: int = 40, level: str = QUICK) -> Measured:
    """Run every kind of step on the compiled core in lockstep with the golden model.

    Parameters
    ----------
    config : NetworkConfig
        At least 6 steps in its schedule table.
    seed : int
        Of weights and inputs.
    steps : int
        Steps with every input and neuron active.
    level : str
        g++ optimisation.
    """
    found = Measured()
    _busy(found, config, seed, steps, level)
    if found.mismatch is None:
        _inference(found, config, level)
    return found


def _run(config: NetworkConfig, theta: float, weights: list[np.ndarray], level: str) -> Lockstep:
    constants = tuple(float(v) for v in np.linspace(0.3, 0.9, config.groups))
    parameters = make_parameters(
        config, a=constants, lam=constants, theta=theta, rates=(0.01,) * config.depth,
        adapt_rates=(1e-4,) * config.depth, schedule=(0, 2, 4),
    )  # fmt: skip
    return Lockstep(config, parameters, weights, CompiledCore(config, level=level))


def _busy(found: Measured, config: NetworkConfig, seed: int, steps: int, level: str) -> None:
    rng = np.random.default_rng(seed)
    weights = [rng.integers(-8000, 8000, (config.post(i), config.pre(i))) for i in range(config.depth)]
    run = _run(config, _FIRES, weights, level)
    started = time.perf_counter()
    for step in range(steps):
        learn, adapt = step % 20 < 10, step % 40 < 20
        target = rng.integers(-3000, 3000, config.outputs) if config.readout is Readout.TARGET else None
        label, x = int(rng.integers(config.outputs)), rng.integers(1, config.formats.input.max, config.inputs)
        found.mismatch = run.step(StepInput(x, label, target, step % 10 == 0, learn, adapt))
        if found.mismatch:
            return
        learned, updated, clocks = run.clocks[-1]
        if not learned and config.recurrent and step % 10 == 0:
            continue  # the slowest step is predicted, not the first of a sample, in which no neuron has fired before
        kind = ("adapting" if adapt else "scheduled") if updated else "learning" if learned else "inference"
        found.clocks.setdefault(f"{kind}_step", set()).add(clocks)
    found.seconds = time.perf_counter() - started
    found.words += run.words
    found.simulated_clocks = sum(clocks for *_, clocks in run.clocks)


def _inference(found: Measured, config: NetworkConfig, level: str) -> None:
    ones = [np.ones((config.post(i), config.pre(i)), dtype=np.int64) for i in range(config.depth)]
    run = _run(config, _SILENT, ones, level)
    target = np.zeros(config.outputs, dtype=np.int64) if config.readout is Readout.TARGET else None
    for part in ACTIVITY:
        active = round(part * config.inputs)
        x = np.zeros(config.inputs, dtype=np.int64)
        x[:active] = 1
        found.mismatch = found.mismatch or run.step(StepInput(x, reset=True, target=target))
        counts = [active, *[0] * (config.depth - 1)]
        found.activity.append((active, run.clocks[-1][2], inference_bound(config, counts)))
    found.words += run.words


def row(config: NetworkConfig, found: Measured) -> dict[str, object]:
    """Measured clocks beside the prediction and the bounds of SPEC section 4, for a JSON file."""
    predicted = predicted_cycles(config)
    clocks = {name: sorted(values) for name, values in sorted(found.clocks.items())}
    exact = all(values == [getattr(predicted, name)] for name, values in clocks.items()) and len(clocks) == 4
    limits = {
        "inference_step": inference_bound(config),
        "learning_step": trace_bound(config),
        "scheduled_step": scheduled_bound(config),
    }
    within = all(max(clocks.get(name, [0])) <= limit for name, limit in limits.items())
    within &= all(spent <= bound for _, spent, bound in found.activity)
    return {
        "layers": "-".join(map(str, config.layers)),
        "lanes": config.lanes,
        "groups": config.groups,
        "neuron_unit": config.neuron_unit.value,
        "bank": config.bank.value,
        "readout": config.readout.value,
        "synapses": config.synapses,
        "clocks": {name: values[0] if len(values) == 1 else values for name, values in clocks.items()},
        "bounds": limits,
        "prediction_exact": exact,
        "within_bounds": within,
        "activity": [{"active_inputs": a, "clocks": c, "bound": b} for a, c, b in found.activity],
        "updates_per_clock": round(config.synapses / predicted.learning_step, 3),
        "words_compared": found.words,
        "mismatch": str(found.mismatch or ""),
        "simulated_clocks_per_second": round(found.simulated_clocks / found.seconds) if found.seconds else None,
    }
