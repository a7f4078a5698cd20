"""One run of the bench: which device, and how the line behaves. Travels from pytest into the simulator as JSON."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from solsa.contract import NetworkConfig, Readout, preset

#: Environment variable that carries the case.
VARIABLE = "SOLSA_PINS_CASE"


@dataclass(frozen=True, kw_only=True)
class PinCase:
    """A device and its line.

    Attributes
    ----------
    readout : str
        Readout of the network.
    divisor : int
        Clocks per bit, a parameter of the build.
    layers : tuple of int
        Geometry; ragged blocks with the two lanes and two groups of the tiny preset.
    gap : float
        Longest idle time between two bytes, in bits; every second gap is zero. 0 sends without a gap.
    skew : float
        Baud rate error of the host, as a part of the bit time: 0.02 makes its bits 2 % longer.
    seed : int
        Stimuli, weights, gaps and garbage.
    """

    readout: str
    divisor: int
    layers: tuple[int, ...] = (3, 5, 3)
    gap: float = 0.0
    skew: float = 0.0
    seed: int = 1

    @property
    def config(self) -> NetworkConfig:
        """The network, tiny: the line is what costs time."""
        return preset("tiny").with_(
            layers=tuple(self.layers), readout=Readout(self.readout), surrogate_entries=8, max_steps=8
        )

    @property
    def name(self) -> str:
        """Readable id."""
        gaps = f"gaps-{self.gap:g}" if self.gap else "no-gaps"
        skew = f"-skew{100 * self.skew:+g}%" if self.skew else ""
        layers = "-".join(map(str, self.layers))
        return f"{self.readout}-{layers}-div{self.divisor}-{gaps}{skew}-seed{self.seed}"

    def to_environment(self) -> dict[str, str]:
        """Variables for the simulator."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> PinCase:
        """Inverse of :meth:`to_environment`, inside the simulator."""
        return cls(**json.loads(os.environ[VARIABLE]))
