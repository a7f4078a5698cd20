"""Address spaces and registers of the device, every address explicit.

All words are 32 bits on the wire. Values narrower than 32 bits are sign-extended when read (signed formats) and
truncated when written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .config import CONTRACT_VERSION, MAX_GROUPS, NetworkConfig
from .formats import MEAN_GUARD
from .layout import Layout
from .random import DEFAULT_RNG

#: "SOLS", the first register of every device.
MAGIC = 0x534F4C53


class Space(IntEnum):
    """Address spaces of the LOAD and STATE commands."""

    #: Control registers, see :class:`Register`.
    REGISTER = 0
    #: Weight of a synapse, index = bank address * P + lane.
    WEIGHT = 1
    #: Eligibility trace of a synapse, index as for WEIGHT.
    TRACE = 2
    #: F, index = filter address * banks + bank.
    FILTER = 3
    #: Neuron words, index = neuron * 8 + :class:`NeuronField`.
    NEURON = 4
    #: Schedule table, one word (0 or 1) per step. With the option ``probe`` as many words follow: S of every step,
    #: the changes that updates would have made there, summed over synapses and probes, in units of the weights.
    SCHEDULE = 5
    #: Surrogate table. With the option ``normalise`` one word per neuron follows: the running mean of its |delta|.
    SURROGATE = 6
    #: Readout summed over the sample, index = readout neuron.
    SCORE = 7


class NeuronField(IntEnum):
    """Word of a neuron."""

    CURRENT = 0
    MEMBRANE = 1
    SPIKE = 2
    SURROGATE = 3
    GAIN = 4
    FILTER_TRACE = 5
    ADAPT_TRACE = 6


class Register(IntEnum):
    """Word addresses in the REGISTER space. Addresses never move; a new register takes a new address."""

    MAGIC = 0
    CONTRACT_VERSION = 1
    CONFIG_HASH = 2
    #: depth | lanes << 8 | groups << 16 | readout << 24
    GEOMETRY = 3
    #: Clocks since reset; reading the low word latches the high word.
    CYCLES_LOW = 4
    CYCLES_HIGH = 5
    #: bit 0: neuron state restarts at the next step; bit 1: traces restart at the next learning step.
    FRESH = 6
    #: Step index t of the next step of the sample.
    STEP = 7
    #: Weight updates since reset.
    UPDATES = 8
    #: Master state of the random generator, not zero.
    RNG = 9
    #: |V - theta| >> shift indexes the surrogate table.
    SURROGATE_SHIFT = 10
    #: Limits of the adaptive constants, u0.16.
    A_MIN = 11
    A_MAX = 12
    #: Inputs of the network.
    INPUTS = 13
    #: Option early_stop: score of the label less the largest other one with which a readout counts as right.
    STOP_MARGIN = 14
    #: Option early_stop: a sample learns no more once its readout was right at so many scheduled steps; 0 is off.
    STOP_POINTS = 15
    #: Option early_stop: scheduled steps of this sample at which the readout was right.
    RIGHT = 16
    #: Option probe, 1: learning steps measure S and change no weight, no filter constant, no generator.
    PROBE = 17
    #: Option normalise: the running means of |delta| move by 2**-NORM_SHIFT of the way at every update.
    NORM_SHIFT = 18
    #: Per-layer window, 16 words each, see :class:`LayerRegister`.
    LAYER = 0x40
    #: a of layer l and group g at A + 8*l + g, u0.24.
    A = 0x100
    #: lam of layer l and group g at LAM + 8*l + g, u0.16.
    LAM = 0x140


LAYER_WINDOW = 16


class LayerRegister(IntEnum):
    """Word within a layer's window."""

    #: Neurons of the layer.
    POSTS = 0
    THETA = 1
    RHO = 2
    #: eta = mantissa * 2**-(shift + rate_step.frac - delta.frac)
    RATE_MANTISSA = 3
    RATE_SHIFT = 4
    #: a -= q * mantissa * 2**-8 with q = sum(delta*A) >> shift, in units of 2**-24, see parameters.py
    ADAPT_MANTISSA = 5
    ADAPT_SHIFT = 6
    #: Option normalise: bits of a running mean (see ``Space.SURROGATE``) at which RATE_SHIFT counts as it is; every bit
    #: more or fewer shifts once more or less, but at most NORM_LIMIT times; 0 is off.
    NORM_REFERENCE = 7
    NORM_LIMIT = 8


#: Codes of the readouts in the GEOMETRY register.
READOUT_CODES = {"membrane": 0, "spike": 1, "target": 2}
MANTISSA_BITS = 16
SHIFT_BITS = 5
SURROGATE_SHIFT_BITS = 5
STOP_POINTS_BITS = 8
NORM_REFERENCE_BITS, NORM_LIMIT_BITS = 5, 3
#: Start and largest value of NORM_SHIFT.
NORM_SHIFT, NORM_SHIFT_MAX = 6, MEAN_GUARD


@dataclass(frozen=True)
class Entry:
    """One register of a configuration.

    Parameters
    ----------
    address : int
        Word address.
    name : str
        Dotted name, such as ``layer1.theta``.
    width : int
        Bits kept.
    signed : bool
        Sign-extended when read.
    writable : bool
        Whether a write is accepted.
    reset : int
        Value after reset of the device.
    low, high : int
        Allowed values of a write (as the register's own integer type); others are refused with BAD_VALUE.
    """

    address: int
    name: str
    width: int
    signed: bool
    writable: bool
    reset: int
    low: int
    high: int


def layer_address(layer: int, register: LayerRegister) -> int:
    """Word address of a per-layer register."""
    return Register.LAYER + LAYER_WINDOW * layer + register


def a_address(layer: int, group: int) -> int:
    """Word address of an adaptive constant."""
    return Register.A + MAX_GROUPS * layer + group


def lam_address(layer: int, group: int) -> int:
    """Word address of a membrane constant."""
    return Register.LAM + MAX_GROUPS * layer + group


def register_map(config: NetworkConfig) -> dict[int, Entry]:
    """Every register of a configuration by address."""
    f = config.formats
    geometry = config.depth | config.lanes << 8 | config.groups << 16 | READOUT_CODES[config.readout.value] << 24
    entries: list[Entry] = []

    def fixed(address: int, name: str, value: int) -> None:
        entries.append(Entry(address, name, 32, False, False, value, 0, 0))

    def unsigned(address: int, name: str, width: int, reset: int, low: int = 0, high: int | None = None) -> None:
        top = (1 << width) - 1 if high is None else high
        entries.append(Entry(address, name, width, False, True, reset, low, top))

    fixed(Register.MAGIC, "magic", MAGIC)
    fixed(Register.CONTRACT_VERSION, "contract_version", CONTRACT_VERSION)
    fixed(Register.CONFIG_HASH, "config_hash", int(config.config_hash, 16))
    fixed(Register.GEOMETRY, "geometry", geometry)
    fixed(Register.CYCLES_LOW, "cycles_low", 0)
    fixed(Register.CYCLES_HIGH, "cycles_high", 0)
    fixed(Register.FRESH, "fresh", 3)
    fixed(Register.STEP, "step", 0)
    fixed(Register.UPDATES, "updates", 0)
    unsigned(Register.RNG, "rng", 32, DEFAULT_RNG, low=1)
    unsigned(Register.SURROGATE_SHIFT, "surrogate_shift", SURROGATE_SHIFT_BITS, 0)
    unsigned(Register.A_MIN, "a_min", f.decay.width, 0)
    unsigned(Register.A_MAX, "a_max", f.decay.width, f.decay.max)
    fixed(Register.INPUTS, "inputs", config.inputs)
    if config.early_stop:
        score = f.score
        entries.append(Entry(Register.STOP_MARGIN, "stop_margin", score.width, True, True, 0, score.min, score.max))
        unsigned(Register.STOP_POINTS, "stop_points", STOP_POINTS_BITS, 0)
        entries.append(Entry(Register.RIGHT, "right", STOP_POINTS_BITS, False, False, 0, 0, 0))
    if config.probe:
        unsigned(Register.PROBE, "probe", 1, 0)
    if config.normalise:
        unsigned(Register.NORM_SHIFT, "norm_shift", NORM_SHIFT_MAX.bit_length(), NORM_SHIFT, high=NORM_SHIFT_MAX)
    th = f.threshold
    for i in range(config.depth):
        base = f"layer{i}"
        fixed(layer_address(i, LayerRegister.POSTS), f"{base}.posts", config.post(i))
        entries.append(Entry(layer_address(i, LayerRegister.THETA), f"{base}.theta", th.width, True, True,
                             min(th.one, th.max), th.min, th.max))  # fmt: skip
        entries.append(Entry(layer_address(i, LayerRegister.RHO), f"{base}.rho", th.width, True, True,
                             min(th.one, th.max), 0, th.max))  # fmt: skip
        unsigned(layer_address(i, LayerRegister.RATE_MANTISSA), f"{base}.rate_mantissa", MANTISSA_BITS, 0)
        unsigned(layer_address(i, LayerRegister.RATE_SHIFT), f"{base}.rate_shift", SHIFT_BITS, 0)
        unsigned(layer_address(i, LayerRegister.ADAPT_MANTISSA), f"{base}.adapt_mantissa", MANTISSA_BITS, 0)
        unsigned(layer_address(i, LayerRegister.ADAPT_SHIFT), f"{base}.adapt_shift", SHIFT_BITS, 0)
        if config.normalise:
            unsigned(layer_address(i, LayerRegister.NORM_REFERENCE), f"{base}.norm_reference", NORM_REFERENCE_BITS, 0)
            unsigned(layer_address(i, LayerRegister.NORM_LIMIT), f"{base}.norm_limit", NORM_LIMIT_BITS, 0)
        for g in range(config.groups):
            unsigned(a_address(i, g), f"{base}.a{g}", f.adaptive.width, 0)
            unsigned(lam_address(i, g), f"{base}.lam{g}", f.decay.width, 0)
    return {e.address: e for e in entries}


def space_words(config: NetworkConfig) -> dict[Space, int]:
    """Number of words that each space answers for."""
    layout = Layout(config)
    return {
        Space.REGISTER: Register.LAM + MAX_GROUPS * config.depth,
        Space.WEIGHT: layout.synapse_depth * config.lanes,
        Space.TRACE: layout.synapse_depth * config.lanes,
        Space.FILTER: layout.filter_depth * layout.filter_banks,
        Space.NEURON: layout.post_depth * 8,
        Space.SCHEDULE: config.max_steps << config.probe,
        Space.SURROGATE: config.surrogate_entries + (layout.post_depth if config.normalise else 0),
        Space.SCORE: config.outputs,
    }


#: Spaces that LOAD accepts.
WRITABLE_SPACES = frozenset({Space.REGISTER, Space.WEIGHT, Space.TRACE, Space.SCHEDULE, Space.SURROGATE})
