"""The signals of a core that are worth seeing, under names that say what they are.

A core has thousands of signals, most of them the same word on its way from unit to unit. Here each word has one name,
in a scope per unit, in the order in which a step goes through them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Value
from amaranth.lib import data

from solsa.contract import Format, NetworkConfig
from solsa.rtl.beat import Mode


@dataclass(frozen=True, eq=False)
class Shown:
    """One signal of a wave.

    Attributes
    ----------
    scope, name : str
        Unit and name.
    value : Value
        What it shows.
    names : type of enum, optional
        Its values have names.
    format : Format, optional
        It is a fixed-point number.
    """

    scope: str
    name: str
    value: Value
    names: type[enum.Enum] | None = None
    format: Format | None = None

    @property
    def width(self) -> int:
        """Bits."""
        return len(self.value)

    def decode(self, bits: int) -> int | float | str:
        """Value from its bits: the name of an enum's member, the number of a fixed-point word, else the bits."""
        if self.names is not None:
            try:
                return self.names(bits).name
            except ValueError:
                return f"unknown_{bits}"
        if self.format is None:
            return bits
        signed = self.format.signed and bits >> (self.width - 1)
        return (bits - (1 << self.width) if signed else bits) / self.format.one


def shown_signals(config: NetworkConfig, units: Any) -> list[Shown]:
    """Signals of a core.

    Parameters
    ----------
    config : NetworkConfig
        Of the core.
    units : object
        Its submodules, such as ``units.control``.
    """
    f = config.formats
    control, sequencer, pre, lanes = units.control, units.sequencer, units.presynaptic, units.lanes
    if config.serial:
        neurons, error, adapt = units.engine.neurons, units.engine.error, units.engine.adapt
    else:
        neurons, error, adapt = units.neurons, units.error, units.adapt
    found: list[Shown] = []

    def add(scope: str, name: str, value: Any, fmt: Format | None = None, names: type[enum.Enum] | None = None) -> None:
        found.append(Shown(scope, name, Value.cast(value), names, fmt))

    def flow(scope: str, beat: Any, *places: str) -> None:
        add(scope, "valid", beat.valid)
        add(scope, "mode", beat.mode, names=Mode)
        for name in ("layer", "block", *places, "first", "last", "compute"):
            add(scope, name, beat[name])

    for name in ("busy", "learn", "scheduled", "step", "sweep", "layer", "label", "updates", "fresh"):
        add("control", name, getattr(control, name))
    add("control", "mode", control.mode, names=Mode)
    flow("c0_slot", sequencer.slot, "index")
    flow("r0_beat", pre.beat, "pre", "address")
    add("r2_operands", "x", pre.x, f.input)
    add("r2_operands", "random", units.generator.word)
    banks = pre.filter_advanced.shape().length if isinstance(pre.filter_advanced, data.View) else 0
    add("r4_filter", "written", pre.filter_retired)
    for bank in range(banks):
        add("r4_filter", f"F_bank{bank}", pre.filter_advanced[bank], f.trace)
    add("r5_errors", "valid", lanes.error_beat.valid)
    add("r5_errors", "sum_w_delta", lanes.error_sum)
    add("r6_sums", "block_valid", lanes.block_valid)
    add("r6_sums", "block", lanes.block_beat.block)
    add("r6_sums", "layer", lanes.block_beat.layer)
    flow("r7_words", lanes.retired, "pre")
    for lane in range(config.lanes):
        add("r7_words", f"weight_lane{lane}", lanes.words[lane].weight, f.weight)
        add("r7_words", f"trace_lane{lane}", lanes.words[lane].trace, f.trace)
    add("r8_chain", "shift", lanes.shift)
    add("r8_chain", "sum", lanes.chain)
    for name in ("spike_valid", "spike", "spike_layer", "spike_post"):
        add("neuron", name, getattr(neurons, name))
    add("neuron", "retired", neurons.retired)
    add("neuron", "layer", neurons.retired_layer)
    add("neuron", "post", neurons.retired_post)
    word = neurons.retired_word
    for name, fmt in (
        ("current", f.current), ("membrane", f.membrane), ("spike_now", None), ("surrogate", config.surrogate_word),
        ("gain", f.gain), ("filter_trace", f.filter_trace), ("adapt_trace", f.adapt_trace),
    ):  # fmt: skip
        add("neuron", name, word[name.removesuffix("_now")], fmt)
    add("neuron", "done", neurons.done)
    for name in ("valid", "layer", "post"):
        add("error", name, getattr(error, name))
    add("error", "delta", error.delta, f.delta)
    add("error", "rate_step", error.rate_step, f.rate_step)
    if config.normalise:
        add("error", "mean", units.means.mean, f.mean_error)
        add("error", "mean_kept", units.means.keep)
    add("error", "done", error.done)
    for name in ("valid", "layer", "post"):
        add("backward", name, getattr(units.backward, name))
    add("backward", "error", units.backward.error, f.delta)
    add("adapt", "retired", adapt.retired)
    add("adapt", "index", adapt.retired_index)
    add("adapt", "a", adapt.retired_value, f.adaptive)
    return found
