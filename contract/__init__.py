"""What golden model, RTL, host and documents agree on. Plain Python, imports nothing of ours."""

from .config import (
    CONTRACT_VERSION,
    OPTIONS,
    PIPELINED_ONLY,
    PRESETS,
    BankKind,
    ConfigError,
    NetworkConfig,
    NeuronUnit,
    Readout,
    preset,
)
from .formats import Format, Formats, Operation, Overflow, Rounding
from .layout import Layout
from .parameters import Parameters, make_parameters
from .registers import LayerRegister, NeuronField, Register, Space

__all__ = [
    "OPTIONS",
    "PIPELINED_ONLY",
    "CONTRACT_VERSION",
    "PRESETS",
    "BankKind",
    "ConfigError",
    "Format",
    "Formats",
    "LayerRegister",
    "Layout",
    "NetworkConfig",
    "NeuronField",
    "NeuronUnit",
    "Operation",
    "Overflow",
    "Parameters",
    "Readout",
    "Register",
    "Rounding",
    "Space",
    "make_parameters",
    "preset",
]
