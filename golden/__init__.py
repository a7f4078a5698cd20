"""Golden model: NumPy, bit-exact, and the float references beside it."""

from .core import GoldenCore
from .state import CoreState, LayerState, StepTrace

__all__ = ["CoreState", "GoldenCore", "LayerState", "StepTrace"]
