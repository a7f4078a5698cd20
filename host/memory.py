"""Bits of state while learning: this core, which does not grow with a sample's steps, against BPTT, which does."""

from __future__ import annotations

from typing import Any

from solsa.contract import Layout, NetworkConfig

#: What the abstract of arXiv 2307.11314 claims to save against BPTT.
CLAIM = 0.72


def first_steps(config: NetworkConfig, saving: float) -> int:
    """Smallest number of steps at which the core needs at least this share less than BPTT.

    BPTT's bits are linear in the steps, so this is exact: state <= (1 - saving)*(fixed + steps*per_step).
    """
    layout = Layout(config)
    state, fixed = sum(layout.state_bits().values()), sum(layout.bptt_bits(0).values())
    per_step = sum(layout.bptt_bits(1).values()) - fixed
    steps = max(0, int((state / (1 - saving) - fixed) // per_step) - 1)
    while state > (1 - saving) * (fixed + steps * per_step):
        steps += 1
    return steps


def compared(config: NetworkConfig, steps: int) -> dict[str, Any]:
    """Bits of both for samples of ``steps`` steps, and from how many steps on the core needs less, and 72 % less."""
    layout = Layout(config)
    state, bptt = layout.state_bits(), layout.bptt_bits(steps)
    total, other = sum(state.values()), sum(bptt.values())
    return {
        "state_bits": total,
        "bptt_bits": other,
        "bptt_steps": steps,
        "saving": 1 - total / other,
        "steps_of_equal_bits": first_steps(config, 0.0),
        "steps_of_claim": first_steps(config, CLAIM),
        "claim": CLAIM,
        "state_bits_by_quantity": state,
        "bptt_bits_by_quantity": bptt,
    }
