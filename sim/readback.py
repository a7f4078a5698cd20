"""Every memory and register word of a core, read over its bus at the end of a run and compared with golden's."""

from __future__ import annotations

from collections.abc import Iterator

from solsa.contract import Layout, NeuronField, Register, Space
from solsa.contract.registers import a_address
from solsa.golden import GoldenCore

from .lockstep import Lockstep, Mismatch


def read_back(run: Lockstep) -> Mismatch | None:
    """First word that differs; counts the words into the run."""
    for name, layer, post, pre, space, index, expected in _words(run.golden):
        word = run.backend.read(space, index)
        run.words += 1
        if word != expected & 0xFFFFFFFF:
            return Mismatch(run.steps, f"{name} (memory)", layer, post, pre, expected, word)
    return None


def _words(golden: GoldenCore) -> Iterator[tuple[str, int, int, int, Space, int, int]]:
    """(name, layer, post, pre, space, index, golden's word)."""
    c, state = golden.config, golden.state
    layout, lanes = Layout(c), c.lanes
    for i, layer in enumerate(state.layers):
        for post in range(c.post(i)):
            for pre in range(c.pre(i)):
                lane, at = layout.synapse_address(i, post, pre)
                yield "weight", i, post, pre, Space.WEIGHT, at * lanes + lane, int(layer.weight[post, pre])
                yield "trace", i, post, pre, Space.TRACE, at * lanes + lane, int(layer.trace[post, pre])
            for field in NeuronField:
                name, index = field.name.lower(), (layout.post_base[i] + post) * 8 + field
                yield name, i, post, 0, Space.NEURON, index, int(getattr(layer, name)[post])
            if c.normalise:
                index = c.surrogate_entries + layout.post_base[i] + post
                yield "mean_error", i, post, 0, Space.SURROGATE, index, int(layer.mean_error[post])
        for group in range(c.used_groups(i)):
            for pre in range(c.pre(i)):
                bank, at = layout.filter_address(i, pre, group)
                yield (
                    "filter",
                    i,
                    group,
                    pre,
                    Space.FILTER,
                    at * layout.filter_banks + bank,
                    int(layer.filter[group, pre]),
                )
        for group in range(c.groups):
            yield "constant", i, group, 0, Space.REGISTER, a_address(i, group), int(layer.a[group])
    for post, word in enumerate(state.score):
        yield "score", c.depth - 1, post, 0, Space.SCORE, post, int(word)
    if c.early_stop:
        yield "right", 0, 0, 0, Space.REGISTER, Register.RIGHT, state.right
    for step, change in enumerate(state.changes):
        yield "change", 0, step, 0, Space.SCHEDULE, c.max_steps + step, int(change)
    for register, value in ((Register.STEP, state.step), (Register.UPDATES, state.updates), (Register.RNG, state.rng)):
        yield register.name.lower(), 0, 0, 0, Space.REGISTER, register, value
