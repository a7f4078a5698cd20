"""Formal proofs over the real RTL units: ``python -m tests.formal`` (or ``make formal``)."""
