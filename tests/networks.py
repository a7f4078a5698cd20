"""Formats and cases for tests of every layer of the package; solsa.sim.strategies says what a random network is."""

from __future__ import annotations

from solsa.contract import Formats
from solsa.sim.random_networks import Case, make_case
from solsa.sim.strategies import NARROW, WIDE

FORMATS = {"default": Formats(), "narrow": NARROW, "wide": WIDE}

__all__ = ["FORMATS", "NARROW", "WIDE", "Case", "make_case"]
