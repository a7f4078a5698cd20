"""Programs of the serial unit: what it computes for a neuron, an error, a filter constant, one row per clock.

The serial unit (rtl/engine.py) is an accumulator machine with one multiplier and two stages: the first reads a word
(source), the second computes. A word stored by a row can be fetched two rows later; a table index set by a row finds
its entry three rows later. These straight-line programs are its contents and their lengths are its clocks, so hardware
(rtl) and prediction (cycles.py) read them from here. The
arithmetic is that of docs/numbers.md; golden/core.py computes the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache

from .config import NetworkConfig, Readout
from .formats import ADAPT_GUARD, DECAY_FRAC, LOG2E_FRAC, RECIPROCAL_BITS, Format
from .registers import LayerRegister, NeuronField, Register

#: Bits of the left operand that the multiplier takes at a time; bits of the right operand.
PART_BITS, RIGHT_BITS = 12, 16
#: Clocks of a shift by a programmed count: three times by 8 or not, seven times by 1 or not.
VARIABLE_SHIFT_CLOCKS = 10


class Source(IntEnum):
    """What the B bus carries."""

    ACC = 0
    X = 1
    #: product of the two registers before, and the same 12 bits up
    PRODUCT = 2
    PRODUCT_HIGH = 3
    #: X * 2**15, gives back what an unsigned right operand was lowered by
    X_OFFSET = 4
    FIELD = 5
    CONSTANT = 6
    CONSTANT_IF_FIRED = 7
    CHAIN = 8
    A = 9
    A_STORED = 10
    SURROGATE = 11
    SPIKE = 12
    EXP = 13
    LOG2E = 14
    RECIPROCAL = 15
    ONE_IF_LABEL = 16
    FIELD_IF_WRONG_SPIKE = 17
    FIELD_IF_MISSING_SPIKE = 18
    ERROR = 19
    DELTA = 20
    SUM = 21
    #: CONSTANT with ADAPT_GUARD more bits below
    CONSTANT_RAISED = 22


class Op(IntEnum):
    """What becomes of the accumulator."""

    HOLD = 0
    LOAD = 1
    ADD = 2
    SUB = 3
    #: B, or -B if the sign flag is set
    MAGNITUDE = 4
    SHIFT1 = 5
    SHIFT8 = 6
    #: by the programmed count, VARIABLE_SHIFT_CLOCKS clocks
    SHIFT = 7
    #: completes a shift: toward zero, or half up
    ROUND_ZERO = 8
    ROUND_HALF = 9
    SATURATE = 10
    #: 0 if positive; 0 if negative
    NOT_ABOVE_ZERO = 11
    NOT_BELOW_ZERO = 12


class Part(IntEnum):
    """Multiplier's operand registers."""

    HOLD = 0
    #: left: low part of X; right: B
    LOW = 1
    #: the same, B less 2**15
    LOW_UNSIGNED = 2
    #: left: high part of X
    HIGH = 3


class Place(IntEnum):
    """Where a word is read (it stands from the next row on)."""

    NONE = 0
    #: field of the neuron
    NEURON = 1
    SCRATCH = 2
    SCORE = 3
    #: word of the layer's register window
    LAYER = 4
    GLOBAL = 5
    LAM = 6


class When(IntEnum):
    """Condition of a write."""

    ALWAYS = 0
    LEARN = 1
    LAST_LAYER = 2
    #: last layer, and larger than the largest so far
    NEW_TOP = 3


class Act(IntEnum):
    """Side effect of a row."""

    NONE = 0
    #: the unload chain moves on
    TAKE = 1
    #: spike of the step before, from B
    FIRED = 2
    #: sign flag
    SIGN = 3
    #: sign flag and spike
    SPIKE = 4
    EMIT = 5
    #: shift count from B
    COUNT = 6
    SURROGATE_INDEX = 7
    #: exp table index and shift count
    EXP_INDEX = 8
    RETIRE = 9
    DELTA = 10
    #: {delta, g} leave
    ERROR_OUT = 11
    SUM = 12
    CONSTANT_OUT = 13
    #: score written
    SCORE = 14
    #: B to the sum of exponentials that is divided by
    DIVISOR = 15


class Scratch(IntEnum):
    """Words beside the neurons'."""

    TOP = 0
    TOTAL = 1


#: Field of a neuron's eight words that the programs use between rows.
TEMPORARY = 7


@dataclass(frozen=True)
class Row:
    """One microinstruction."""

    source: Source = Source.ACC
    op: Op = Op.HOLD
    fmt: Format | None = None
    part: Part = Part.HOLD
    set_x: bool = False
    #: the word read counts as zero at a sample's start; SUM and scratch words at the first index
    fresh: bool = False
    read: Place = Place.NONE
    read_id: int = 0
    write: Place = Place.NONE
    write_id: int = 0
    when: When = When.ALWAYS
    act: Act = Act.NONE
    end: bool = False

    @property
    def clocks(self) -> int:
        """Clocks that the row takes."""
        return VARIABLE_SHIFT_CLOCKS if self.op is Op.SHIFT else 1


class _Program:
    def __init__(self) -> None:
        self.rows: list[Row] = []

    def row(self, source: Source = Source.ACC, op: Op = Op.HOLD, **columns: object) -> None:
        self.rows.append(Row(source=source, op=op, **columns))  # type: ignore[arg-type]

    def fetch(self, read: Place, read_id: int) -> None:
        """Read a word in the row before the next."""
        assert self.rows[-1].read is Place.NONE
        self.rows[-1] = replace(self.rows[-1], read=read, read_id=int(read_id))

    def field(self, name: int) -> None:
        self.fetch(Place.NEURON, name)

    def store(self, name: int, **columns: object) -> None:
        """Accumulator to a field of the neuron."""
        self.row(write=Place.NEURON, write_id=int(name), **columns)  # type: ignore[arg-type]

    def multiply(self, right: Source, *, unsigned: bool = False) -> None:
        """X * right to the accumulator."""
        self.row(right, part=Part.LOW_UNSIGNED if unsigned else Part.LOW)
        self.row(part=Part.HIGH)
        self.row(Source.PRODUCT, Op.LOAD)
        self.row(Source.PRODUCT_HIGH, Op.ADD)
        if unsigned:
            self.row(Source.X_OFFSET, Op.ADD)

    def shift(self, bits: int) -> None:
        for _ in range(bits // 8):
            self.row(op=Op.SHIFT8)
        for _ in range(bits % 8):
            self.row(op=Op.SHIFT1)

    def decay(self, bits: int, then: tuple[Place, int] | None = None) -> None:
        """Shift toward zero; reads a word with the last row."""
        self.shift(bits)
        self.row(op=Op.ROUND_ZERO)
        if then:
            self.fetch(*then)

    def saturate(self, fmt: Format) -> None:
        self.row(op=Op.SATURATE, fmt=fmt)

    def finish(self) -> list[Row]:
        self.rows[-1] = replace(self.rows[-1], end=True)
        return self.rows


@dataclass(frozen=True)
class Microcode:
    """Programs of a configuration, as rows in one memory.

    Attributes
    ----------
    rows : tuple of Row
    starts : dict
        First row of each program.
    """

    rows: tuple[Row, ...]
    starts: dict[str, int]

    def program(self, name: str) -> list[Row]:
        """Rows of a program."""
        found = []
        for row in self.rows[self.starts[name] :]:
            found.append(row)
            if row.end:
                break
        return found

    def clocks(self, name: str, until: Act | None = None) -> int:
        """Clocks of a program, or those before the row with an act."""
        total = 0
        for row in self.program(name):
            if until is not None and row.act is until:
                return total
            total += row.clocks
        return total


@lru_cache(maxsize=64)
def microcode(config: NetworkConfig) -> Microcode:
    """Programs of a configuration with the serial neuron unit."""
    programs = {"neuron": _neuron(config)}
    if config.readout is Readout.MEMBRANE:
        programs["exp"] = _exp(config)
    programs["readout"] = _readout(config)
    if config.depth > 1:
        programs["hidden"] = _hidden(config)
    programs["adapt"] = _adapt(config)
    rows: list[Row] = []
    starts = {}
    for name, program in programs.items():
        starts[name] = len(rows)
        rows += program
    return Microcode(tuple(rows), starts)


def gain_bound(config: NetworkConfig) -> Format:
    """Format that rho*h is clipped to before lam - rho*h is.

    Its ends lie more than the range of the gain beyond lam in [0, 1], so the difference saturates as it would have.
    One that a program saturates to anyway costs no logic, if it is wide enough.
    """
    f = config.formats
    needed = f.gain.width + 2
    return next((fmt for fmt in (f.current, f.membrane) if fmt.width >= needed), Format(needed, f.gain.frac))


def _neuron(config: NetworkConfig) -> list[Row]:
    f, ops, p = config.formats, config.formats.operations(), _Program()
    n = NeuronField
    last_spikes = config.readout.spiking
    # J' = a*J + I, before I is overwritten
    p.row()
    p.field(n.CURRENT)
    p.row(Source.FIELD, Op.LOAD, fresh=True)
    p.shift(ops["filter_trace_in"].shift)
    p.field(n.FILTER_TRACE)
    p.row(Source.FIELD, set_x=True, fresh=True, write=Place.NEURON, write_id=TEMPORARY)
    p.multiply(Source.A, unsigned=True)
    p.decay(DECAY_FRAC, (Place.NEURON, TEMPORARY))
    p.row(Source.FIELD, Op.ADD)
    p.saturate(f.filter_trace)
    p.store(n.FILTER_TRACE, when=When.LEARN)
    # A' = k*A + J', before k is overwritten
    p.shift(ops["adapt_trace_in"].shift)
    p.store(TEMPORARY)
    p.field(n.ADAPT_TRACE)
    p.row(Source.FIELD, set_x=True, fresh=True)
    p.field(n.GAIN)
    p.multiply(Source.FIELD)
    p.decay(ops["adapt_trace_decay"].shift, (Place.NEURON, TEMPORARY))
    p.row(Source.FIELD, Op.ADD)
    p.saturate(f.adapt_trace)
    p.store(n.ADAPT_TRACE, when=When.LEARN)
    # I' = a*I + sum; the lanes started the sum with half of the last kept bit
    p.field(n.CURRENT)
    p.row(Source.FIELD, set_x=True, fresh=True)
    p.multiply(Source.A, unsigned=True)
    p.decay(DECAY_FRAC)
    p.row(Source.CHAIN, Op.ADD, act=Act.TAKE)
    p.saturate(f.current)
    p.store(n.CURRENT)
    # V' = lam*V + I' - rho*s
    p.field(n.MEMBRANE)
    p.row(Source.FIELD, set_x=True, fresh=True)
    p.fetch(Place.LAM, 0)
    p.multiply(Source.CONSTANT, unsigned=True)
    p.decay(DECAY_FRAC, (Place.NEURON, n.CURRENT))
    p.row(Source.FIELD, Op.ADD)
    p.field(n.SPIKE)
    p.row(Source.FIELD, fresh=True, act=Act.FIRED)
    p.fetch(Place.LAYER, LayerRegister.RHO)
    p.row(Source.CONSTANT_IF_FIRED, Op.SUB)
    p.saturate(f.membrane)
    p.store(n.MEMBRANE, set_x=True)
    if config.readout is Readout.MEMBRANE:  # largest membrane of the readout
        p.fetch(Place.SCRATCH, Scratch.TOP)
        p.row(Source.FIELD, Op.SUB)
        p.row(act=Act.SIGN)
        p.row(Source.X, Op.LOAD)
        p.row(write=Place.SCRATCH, write_id=Scratch.TOP, when=When.NEW_TOP)
    # s, |V - theta|, h
    p.fetch(Place.LAYER, LayerRegister.THETA)
    p.row(Source.CONSTANT, Op.LOAD)
    p.row(Source.X, Op.SUB)
    p.row(Source.ACC, set_x=True, act=Act.SPIKE)
    p.fetch(Place.GLOBAL, Register.SURROGATE_SHIFT)
    p.row(Source.CONSTANT, act=Act.COUNT)
    p.row(Source.X, Op.MAGNITUDE, act=Act.EMIT)
    p.row(op=Op.SHIFT)
    p.row(act=Act.SURROGATE_INDEX)
    p.row()
    p.row()
    p.row(Source.SURROGATE, Op.LOAD)
    p.store(n.SURROGATE)
    # k' = lam - rho*h
    p.fetch(Place.LAYER, LayerRegister.RHO)
    p.row(Source.CONSTANT, set_x=True)
    p.multiply(Source.ACC, unsigned=f.surrogate.width == RIGHT_BITS)
    p.shift(ops["gain_reset"].shift)
    p.saturate(gain_bound(config))  # the whole product is wider than X
    p.row(Source.ACC, set_x=True)
    p.fetch(Place.LAM, 0)
    p.row(Source.CONSTANT, Op.LOAD)
    p.shift(ops["gain_decay"].shift)
    p.row(Source.X, Op.SUB)
    p.saturate(f.gain)
    p.store(n.GAIN)
    # score
    p.fetch(Place.SCORE, 0)
    p.row(Source.FIELD, Op.LOAD, fresh=True)
    if last_spikes:
        p.row(Source.SPIKE, Op.ADD)
    else:
        p.field(n.MEMBRANE)
        p.row(Source.FIELD, Op.ADD)
    p.saturate(f.score)
    p.row(write=Place.SCORE, when=When.LAST_LAYER, act=Act.SCORE)
    p.row(Source.SPIKE, Op.LOAD)
    p.store(n.SPIKE, act=Act.RETIRE)
    return p.finish()


def _exp(config: NetworkConfig) -> list[Row]:
    """exp(V - top) of a readout neuron, and their sum."""
    p = _Program()
    p.row()
    p.fetch(Place.SCRATCH, Scratch.TOP)
    p.row(Source.FIELD, Op.LOAD)
    p.field(NeuronField.MEMBRANE)
    p.row(Source.FIELD, Op.SUB)
    p.row(Source.ACC, set_x=True)
    p.multiply(Source.LOG2E)
    p.shift(LOG2E_FRAC)
    p.row(act=Act.EXP_INDEX)
    p.row()
    p.row()
    p.row(Source.EXP, Op.LOAD)
    p.row(op=Op.SHIFT)
    p.store(TEMPORARY)
    p.fetch(Place.SCRATCH, Scratch.TOTAL)
    p.row(Source.FIELD, Op.ADD, fresh=True)
    p.row(Source.ACC, write=Place.SCRATCH, write_id=Scratch.TOTAL, act=Act.DIVISOR)
    return p.finish()


def _readout(config: NetworkConfig) -> list[Row]:
    """Delta of a readout neuron, and what follows from it."""
    p, f = _Program(), config.formats
    p.row()
    if config.readout is Readout.MEMBRANE:
        p.field(TEMPORARY)
        p.row(Source.RECIPROCAL, set_x=True)
        p.multiply(Source.FIELD, unsigned=True)
        p.shift(RECIPROCAL_BITS - f.delta.frac)
        p.row(op=Op.ROUND_HALF)
        p.row(Source.ONE_IF_LABEL, Op.SUB)
    else:
        p.field(NeuronField.SPIKE)
        p.row(Source.FIELD, act=Act.FIRED)
        p.field(NeuronField.SURROGATE)
        p.row(Source.FIELD_IF_WRONG_SPIKE, Op.LOAD)
        p.row(Source.FIELD_IF_MISSING_SPIKE, Op.SUB)
    _rate_step(config, p)
    return p.finish()


def _hidden(config: NetworkConfig) -> list[Row]:
    """Delta of a hidden neuron from the sum of the backward pass."""
    p, f, ops = _Program(), config.formats, config.formats.operations()
    p.row()
    p.field(NeuronField.SURROGATE)
    p.row(Source.FIELD, set_x=True)
    p.multiply(Source.ERROR)
    p.shift(ops["hidden_delta"].shift)
    p.row(op=Op.ROUND_HALF)
    p.saturate(f.delta)
    _rate_step(config, p)
    return p.finish()


def _rate_step(config: NetworkConfig, p: _Program) -> None:
    """From delta: g = eta*delta, sum of delta*A."""
    f = config.formats
    p.row(Source.ACC, set_x=True, act=Act.DELTA)
    p.fetch(Place.LAYER, LayerRegister.RATE_MANTISSA)
    p.multiply(Source.CONSTANT, unsigned=True)
    p.fetch(Place.LAYER, LayerRegister.RATE_SHIFT)
    p.row(Source.CONSTANT, act=Act.COUNT)
    p.row(op=Op.SHIFT)
    p.row(op=Op.ROUND_HALF)
    p.saturate(f.rate_step)
    p.row(act=Act.ERROR_OUT)
    p.field(NeuronField.ADAPT_TRACE)
    p.row(Source.FIELD, set_x=True)
    p.multiply(Source.DELTA)
    p.row(Source.SUM, Op.ADD, fresh=True)
    p.row(act=Act.SUM)


def _adapt(config: NetworkConfig) -> list[Row]:
    """A filter constant's step; the accumulator holds -a' while it is clipped."""
    p, f = _Program(), config.formats
    p.row(Source.SUM, Op.LOAD)
    p.fetch(Place.LAYER, LayerRegister.ADAPT_SHIFT)
    p.row(Source.CONSTANT, act=Act.COUNT)
    p.row(op=Op.SHIFT)
    p.saturate(f.adapt_sum)
    p.row(Source.ACC, set_x=True)
    p.fetch(Place.LAYER, LayerRegister.ADAPT_MANTISSA)
    p.multiply(Source.CONSTANT, unsigned=True)
    p.shift(ADAPT_GUARD)
    p.row(Source.A_STORED, Op.SUB)
    p.fetch(Place.GLOBAL, Register.A_MIN)
    for bound, clip in ((Register.A_MIN, Op.NOT_ABOVE_ZERO), (Register.A_MAX, Op.NOT_BELOW_ZERO)):
        if bound is Register.A_MAX:
            p.fetch(Place.GLOBAL, bound)
        p.row(Source.CONSTANT_RAISED, Op.ADD)
        p.row(op=clip)
        p.row(Source.CONSTANT_RAISED, Op.SUB)
    p.row(Source.ACC, set_x=True, act=Act.SIGN)
    p.row(Source.X, Op.MAGNITUDE)
    p.row(act=Act.CONSTANT_OUT)
    return p.finish()
