"""Simulated cores and devices, and the lockstep checker."""
