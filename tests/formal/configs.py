"""Tiny cores: ragged blocks, several layers, the narrowest formats that may be built."""

from __future__ import annotations

from solsa.contract import BankKind, NetworkConfig, Readout


def config(
    layers: tuple[int, ...] = (2, 3, 2),
    *,
    outputs: int | None = None,
    lanes: int = 2,
    groups: int = 1,
    readout: Readout = Readout.MEMBRANE,
    bank: BankKind = BankKind.DUAL_PORT,
) -> NetworkConfig:
    """Configuration of a proof."""
    if outputs is not None:
        layers = (*layers[:-1], outputs)
    return NetworkConfig(
        layers=layers,
        lanes=lanes,
        groups=groups,
        readout=readout,
        bank=bank,
        max_steps=4,
        surrogate_entries=4,
        frame_bytes=64,
    )
