"""Number formats, roundings and overflows: the one place where a bit has a meaning.

Every quantity of the core is a two's complement (or unsigned) integer with a number of fraction bits.
Every place where bits are dropped is one row of :meth:`Formats.operations`; golden and RTL both read the shift and
the rounding from that row, so neither can round in a way that the table does not name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import Enum


class Rounding(Enum):
    """How an arithmetic right shift treats the bits that it drops."""

    #: Toward minus infinity: the plain arithmetic shift.
    FLOOR = "floor"
    #: Toward zero: a decaying value reaches zero instead of resting in a limit cycle.
    TOWARD_ZERO = "toward_zero"
    #: Add half of the last kept bit, then floor: no bias for quantities that are not fed back.
    HALF_UP = "half_up"
    #: Add uniform random bits below the last kept bit, then floor: small updates survive on average.
    STOCHASTIC = "stochastic"
    #: No bit is dropped.
    EXACT = "exact"


class Overflow(Enum):
    """What happens to a value that its format cannot hold."""

    #: Clamp to the nearest value of the format.
    SATURATE = "saturate"
    #: Clamp to programmable limits (the filter constants).
    CLIP = "clip"
    #: The register is wide enough for the worst case; overflow cannot occur.
    NONE = "none"


@dataclass(frozen=True)
class Format:
    """A fixed-point format.

    Parameters
    ----------
    width : int
        Total bits, sign included.
    frac : int
        Fraction bits: the integer ``v`` stands for ``v * 2**-frac``.
    signed : bool
        Two's complement if true.
    """

    width: int
    frac: int
    signed: bool = True

    @property
    def min(self) -> int:
        """Smallest integer of the format."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Largest integer of the format."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1

    @property
    def one(self) -> int:
        """The integer that stands for 1.0 (may lie outside the format)."""
        return 1 << self.frac

    def saturate(self, value: int) -> int:
        """Clamp an integer to the format."""
        return max(self.min, min(self.max, value))

    def from_float(self, value: float) -> int:
        """Nearest integer (ties to even) of ``value``, saturated."""
        return self.saturate(round(value * self.one))

    def to_float(self, value: int) -> float:
        """Real number that an integer of this format stands for."""
        return value / self.one

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.width}.{self.frac}"


@dataclass(frozen=True)
class Operation:
    """One place where bits are dropped.

    Parameters
    ----------
    name : str
        Key in :meth:`Formats.operations`.
    equation : str
        What is computed, in the symbols of docs/numbers.md.
    shift : int
        Bits dropped; 0 with ``variable`` set where the host programs the shift.
    rounding : Rounding
        Treatment of the dropped bits.
    result : str
        Name of the :class:`Formats` field that holds the result after the following store, or a note.
    overflow : Overflow
        What the store does with a value that does not fit.
    variable : bool
        The shift comes from a register.
    """

    name: str
    equation: str
    shift: int
    rounding: Rounding
    result: str
    overflow: Overflow
    variable: bool = False


#: Fraction bits of the decay constants a and lam as the multipliers see them (u0.16).
DECAY_FRAC = 16
#: Extra bits below the decay constant in which the adaptive constant accumulates its steps.
ADAPT_GUARD = 8
#: Extra bits below delta's in which the running mean of |delta| is kept (option normalise).
MEAN_GUARD = 8
#: Bits before the point of H (option filtered_surrogate): h of 0.1, over a readout's memory of 640 steps.
FILTERED_RANGE = 6
#: log2(e) with 14 fraction bits, for exp(-z) = 2**(-z*log2(e)).
LOG2E_FRAC = 14
LOG2E = 23637
#: The table of 2**-f holds this many index bits, entries are u0.16.
EXP_INDEX_BITS = 8
EXP_WIDTH = 16
#: The reciprocal of the softmax sum is floor(2**RECIPROCAL_BITS / sum).
RECIPROCAL_BITS = 32


def exp_entries() -> list[int]:
    """Table of 2**-f of the softmax, f in the middle of each of its intervals, u0.16."""
    entries = 1 << EXP_INDEX_BITS
    return [round(math.exp2(-(i + 0.5) / entries) * ((1 << EXP_WIDTH) - 1)) for i in range(entries)]


@dataclass(frozen=True, kw_only=True)
class Formats:
    """Widths of every quantity; each is a parameter of the hardware.

    Attributes
    ----------
    weight : Format
        Synaptic weight w.
    trace : Format
        Pre-synaptic trace F and eligibility trace eps.
    input : Format
        Graded input x of the first layer; a spike is 1.0 in this format.
    current, membrane : Format
        Synaptic current I and membrane V; the same fraction bits.
    gain : Format
        k = lam - rho*h, the decay of the eligibility traces.
    threshold : Format
        theta and rho.
    delta : Format
        Error delta; its fraction bits are also those of the surrogate h and of the softmax probability.
    rate_step : Format
        g = eta*delta, what a lane multiplies with eps.
    filter_trace : Format
        J = dI/da.
    adapt_trace : Format
        A = dV/da.
    adapt_sum : Format
        sum of delta*A of a group after its programmable shift.
    score : Format
        Readout summed over the steps of a sample.
    target : Format
        Target of the ``target`` readout.
    """

    weight: Format = field(default=Format(16, 13))
    trace: Format = field(default=Format(16, 8))
    input: Format = field(default=Format(8, 5))
    current: Format = field(default=Format(24, 12))
    membrane: Format = field(default=Format(24, 12))
    gain: Format = field(default=Format(16, 14))
    threshold: Format = field(default=Format(24, 12))
    delta: Format = field(default=Format(18, 14))
    rate_step: Format = field(default=Format(18, 20))
    filter_trace: Format = field(default=Format(24, 8))
    adapt_trace: Format = field(default=Format(24, 6))
    adapt_sum: Format = field(default=Format(24, 20))
    score: Format = field(default=Format(32, 12))
    target: Format = field(default=Format(16, 12))

    @property
    def surrogate(self) -> Format:
        """h in [0, 1.0], both ends included."""
        return Format(self.delta.frac + 1, self.delta.frac, signed=False)

    @property
    def filtered_surrogate(self) -> Format:
        """H, h summed over the steps that the readout's membrane remembers (option filtered_surrogate)."""
        return Format(self.delta.frac + FILTERED_RANGE, self.delta.frac, signed=False)

    @property
    def decay(self) -> Format:
        """a and lam as multiplied: u0.16."""
        return Format(DECAY_FRAC, DECAY_FRAC, signed=False)

    @property
    def adaptive(self) -> Format:
        """The stored a: u0.24, its upper 16 bits are multiplied."""
        return Format(DECAY_FRAC + ADAPT_GUARD, DECAY_FRAC + ADAPT_GUARD, signed=False)

    @property
    def change(self) -> Format:
        """S of a step: what an update would change, summed over synapses, in units of the weight."""
        return Format(31, self.weight.frac, signed=False)

    @property
    def mean_error(self) -> Format:
        """m, the running mean of |delta| of a neuron."""
        return Format(self.delta.width - 1 + MEAN_GUARD, self.delta.frac + MEAN_GUARD, signed=False)

    @property
    def spike(self) -> int:
        """The input word of a spike (1.0)."""
        return self.input.one

    def operations(self) -> dict[str, Operation]:
        """Every place where bits are dropped, by name."""
        w, t, x, c = self.weight, self.trace, self.input, self.current
        k, d, g, th = self.gain, self.delta, self.rate_step, self.threshold
        j, a = self.filter_trace, self.adapt_trace
        sat, none = Overflow.SATURATE, Overflow.NONE
        zero, floor, half = Rounding.TOWARD_ZERO, Rounding.FLOOR, Rounding.HALF_UP
        rows = [
            Operation("filter_decay", "F' = [a*F] + x", DECAY_FRAC, zero, "trace", sat),
            Operation("trace_decay", "eps' = [k*eps] + F'", k.frac, zero, "trace", sat),
            Operation("current_sum", "[sum w*x]", w.frac + x.frac - c.frac, half, "current", none),
            Operation("current_decay", "I' = [a*I] + sum w*x", DECAY_FRAC, zero, "current", sat),
            Operation("membrane_decay", "V' = [lam*V] + I' - rho*s", DECAY_FRAC, zero, "membrane", sat),
            Operation("gain_decay", "k' = [lam] - rho*h", DECAY_FRAC - k.frac, floor, "gain", sat),
            Operation("gain_reset", "k' = lam - [rho*h]", th.frac + d.frac - k.frac, floor, "gain", sat),
            Operation("filter_trace_in", "J' = a*J + [I]", c.frac - j.frac, floor, "filter_trace", sat),
            Operation("filter_trace_decay", "J' = [a*J] + I", DECAY_FRAC, zero, "filter_trace", sat),
            Operation("adapt_trace_in", "A' = k*A + [J']", j.frac - a.frac, floor, "adapt_trace", sat),
            Operation("adapt_trace_decay", "A' = [k*A] + J'", k.frac, zero, "adapt_trace", sat),
            Operation("exponent", "y = [z*log2(e)]", LOG2E_FRAC, floor, "27 bits or more, frac of V", none),
            Operation("reciprocal", "R = [2**32 / sum e]", 0, floor, "u17", none),
            Operation("probability", "p = [e*R]", RECIPROCAL_BITS - d.frac, half, "delta", none),
            Operation("error", "e_j = [sum_i w_ij*delta_i]", w.frac, half, "delta", sat),
            Operation("hidden_delta", "delta_j = [h_j*e_j]", d.frac, half, "delta", sat),
            Operation("rate_step", "g = [delta*mantissa]", 0, half, "rate_step", sat, variable=True),
            Operation("weight_step", "w' = w - [g*eps]", g.frac + t.frac - w.frac, Rounding.STOCHASTIC, "weight", sat),
            Operation("adapt_sum", "q = [sum delta*A]", 0, floor, "adapt_sum", sat, variable=True),
            Operation("adapt_step", "a' = a - [q*mantissa]", ADAPT_GUARD, floor, "adaptive", Overflow.CLIP),
        ]
        return {row.name: row for row in rows}

    def option_operations(self) -> dict[str, Operation]:
        """Places where the options of learning (config.OPTIONS) drop bits."""
        shift = self.operations()["weight_step"].shift
        rows = [
            Operation(
                "surrogate_decay",
                "H' = [lam*H] + h",
                DECAY_FRAC,
                Rounding.TOWARD_ZERO,
                "filtered_surrogate",
                Overflow.SATURATE,
            ),
            Operation("change", "S[t]' = S[t] + [sum |g*eps|]", shift, Rounding.FLOOR, "change", Overflow.SATURATE),
            Operation("mean_error", "m' = m + [(|d| - m)*2**-n]", 0, Rounding.FLOOR, "mean_error", Overflow.NONE, True),
        ]
        return {row.name: row for row in rows}

    def problems(self) -> list[str]:
        """Reasons why these formats cannot be built, empty if they can."""
        found = []
        for f in fields(self):
            fmt: Format = getattr(self, f.name)
            if not 2 <= fmt.width <= 40:
                found.append(f"{f.name} has {fmt.width} bits, allowed 2 to 40")
            if fmt.frac < 0:
                found.append(f"{f.name} has {fmt.frac} fraction bits, allowed 0 or more")
            if not fmt.signed:
                found.append(f"{f.name} must be signed")
        for name, low, high in (("weight", 4, 24), ("trace", 4, 24), ("input", 2, 8), ("current", 8, 32),
                                ("membrane", 8, 32), ("threshold", 4, 32), ("gain", 4, 18), ("delta", 6, 24),
                                ("rate_step", 6, 24), ("filter_trace", 6, 32), ("adapt_trace", 6, 32),
                                ("adapt_sum", 6, 32), ("score", 8, 32), ("target", 2, 16)):  # fmt: skip
            width = getattr(self, name).width
            if not low <= width <= high:
                found.append(f"{name} has {width} bits, allowed {low} to {high}")
        if self.current.frac != self.membrane.frac:
            found.append("current and membrane must have the same fraction bits")
        if self.threshold.frac != self.membrane.frac:
            found.append("threshold and membrane must have the same fraction bits")
        if self.trace.frac < self.input.frac:
            found.append("trace must have at least the fraction bits of input")
        if self.spike > self.input.max:
            found.append(f"input {self.input} cannot hold a spike of 1.0")
        if self.delta.one > self.delta.max:
            found.append(f"delta {self.delta} cannot hold 1.0")
        if self.membrane.frac < self.target.frac:
            found.append("membrane must have at least the fraction bits of target")
        if self.delta.frac < self.membrane.frac:
            found.append("delta must have at least the fraction bits of membrane")
        if self.membrane.frac < EXP_INDEX_BITS:
            found.append(f"membrane has {self.membrane.frac} fraction bits, allowed {EXP_INDEX_BITS} or more")
        if self.delta.frac > 15:
            found.append(f"delta has {self.delta.frac} fraction bits, allowed 15 or fewer")
        for op in self.operations().values():
            if op.shift < 0:
                found.append(f"{op.name} ({op.equation}) would have to shift left by {-op.shift} bits")
        if self.operations()["weight_step"].shift not in range(1, 31):
            found.append("weight_step must drop 1 to 30 bits: rate_step.frac + trace.frac - weight.frac")
        return found
