"""``solsa bench link``, second part: time per sample of a host with latency, request by request and sent ahead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from solsa.contract import ConfigError, NetworkConfig
from solsa.sim.device import DIVISOR
from solsa.sim.late import LateDevice

from .bench_link import BITS, core_clocks, random_network
from .device import Device
from .sample import Sample

#: Steps of a sample.
LENGTHS = (1, 8, 16, 29)
#: Samples one by one, each of which takes the same time, and samples sent ahead.
SINGLE, AHEAD = 2, 45
#: Milliseconds.
MOST_LATENCY = 100


def bench_stream(
    config: NetworkConfig,
    *,
    clock_mhz: float,
    baud: int,
    latencies: Sequence[float],
    lengths: Sequence[int] = LENGTHS,
    ahead: int = AHEAD,
    seed: int = 0,
) -> dict[str, Any]:
    """Times of learning samples at the pins of the simulated device, which the host hears of with a latency.

    Parameters
    ----------
    config : NetworkConfig
        Network; the device gets the option ``stream``.
    clock_mhz : float
        Clock of the device.
    baud : int
        Bits per second; the nearest that the clock can be divided to is simulated.
    latencies : sequence of float
        Milliseconds from the end of a reply until the host has it.
    lengths : sequence of int
        Steps of a sample; those that the schedule table does not hold are left out.
    ahead : int
        Samples sent ahead, more than may be under way.
    seed : int
        Of weights and inputs.

    Returns
    -------
    dict
        ``rows``: per length of a sample and latency the microseconds of a sample ``one_by_one`` and ``ahead``: in all,
        on the wire (both ways one by one, the busier way ahead, where both are in use at a time), in the core, and
        ``turn_around``, the rest that neither hides: one by one what is neither wire nor core, ahead what is more than
        the busier of both. ``bound`` is the largest part. ``equal`` is whether readouts and weights were the same.
    """
    config = config.with_(stream=True)
    divisor = round(clock_mhz * 1e6 / baud)
    if divisor < DIVISOR or not all(0 <= value <= MOST_LATENCY for value in latencies):
        raise ConfigError(
            f"{baud} baud from {clock_mhz:g} MHz, latencies {', '.join(f'{value:g}' for value in latencies)} ms, "
            f"allowed are {DIVISOR} clocks per bit or more, and 0 to {MOST_LATENCY} ms"
        )
    rows, rng = [], np.random.default_rng(seed)
    simulated = LateDevice(config, divisor, 0)
    with Device(simulated, config, "sim") as device:
        parameters, weights = random_network(config, rng)
        device.load_network(parameters, weights)
        for steps in (steps for steps in lengths if steps <= config.max_steps):
            core = core_clocks(config, steps, parameters)
            for latency in latencies:
                row: dict[str, Any] = {"steps": steps, "latency_ms": latency}
                for name, count in (("one_by_one", SINGLE), ("ahead", ahead)):
                    device.read_register("step")  # nothing is under way
                    simulated.latency = round(latency * clock_mhz * 1000)
                    part = _measured(device, simulated, _samples(config, rng, steps, count), name == "ahead")
                    simulated.latency = 0
                    row[name] = _parts(part, float(core), clock_mhz, divisor, name == "ahead")
                rows.append(row)
        ends = []
        for streamed in (False, True):
            device.load_network(parameters, weights)
            samples = _samples(config, np.random.default_rng(seed), lengths[0], ahead)
            scores = _scores(device, samples, streamed)
            ends.append((scores, [w.tolist() for w in device.read_weights()]))
    return {
        "layers": "-".join(map(str, config.layers)), "lanes": config.lanes, "config_hash": config.config_hash,
        "clock_mhz": clock_mhz, "baud": round(clock_mhz * 1e6 / divisor), "samples": ahead,
        "equal": ends[0] == ends[1], "seed": seed, "rows": rows,
    }  # fmt: skip


def _samples(config: NetworkConfig, rng: np.random.Generator, steps: int, count: int) -> list[Sample]:
    return [
        Sample(rng.integers(-32, 33, (steps, config.inputs)), n % config.outputs, learn=True, adapt=True)
        for n in range(count)
    ]


def _scores(device: Device, samples: list[Sample], ahead: bool) -> list[list[int]]:
    if ahead:
        return [found.tolist() for found in device.run_samples(samples)]
    return [device.run_sample(s.inputs, s.label, learn=s.learn, adapt=s.adapt).tolist() for s in samples]


def _measured(device: Device, simulated: LateDevice, samples: list[Sample], ahead: bool) -> tuple[float, float, float]:
    """Clocks, bytes sent and bytes received per sample; ahead without those that fill the line at first."""
    sent, received, heard = simulated.sent, simulated.received, [simulated.cycles]
    if ahead:
        for _ in device.run_samples(samples):
            heard.append(simulated.cycles)
    else:
        _scores(device, samples, ahead)
        heard.append(simulated.cycles)
    count, filling = len(samples), device.link.flight.window if ahead else 0
    total = (heard[-1] - heard[filling]) / (count - filling)
    return total, (simulated.sent - sent) / count, (simulated.received - received) / count


def _parts(
    measured: tuple[float, float, float], core: float, clock_mhz: float, divisor: int, ahead: bool
) -> dict[str, Any]:
    total, *ways = measured[0], *(BITS * divisor * each for each in measured[1:])
    wire = max(ways) if ahead else sum(ways)
    hidden = max(wire, core) if ahead else wire + core
    clocks = {"total": total, "wire": wire, "core": core, "turn_around": max(0.0, total - hidden)}
    return {
        "microseconds": {name: round(value / clock_mhz, 1) for name, value in clocks.items()},
        "bound": max(("wire", "core", "turn_around"), key=lambda name: clocks[name]),
        "samples_per_second": round(clock_mhz * 1e6 / total),
    }
