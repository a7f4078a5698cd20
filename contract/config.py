"""The frozen configuration of a core: geometry, lanes, formats. One object drives model, hardware, host and docs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from typing import Any

from .formats import Format, Formats
from .random import POST_HASH_BITS
from .wire import reply_slots

#: Changes whenever the same configuration would mean other bits, registers or frames.
CONTRACT_VERSION = 1
MAX_LAYERS = 8
#: Replies that a device with the option ``stream`` keeps at least.
FEWEST_SLOTS = 4
MAX_GROUPS = 8
#: Lanes that one register reaches (rtl/lanes.py).
ROW = 16
MAX_POSTS = 1 << POST_HASH_BITS


class ConfigError(ValueError):
    """A configuration that cannot be built; the message is one line."""


class Readout(Enum):
    """How the last layer makes its error (SPEC section 1)."""

    #: No spikes, no reset; delta = softmax(V) - y.
    MEMBRANE = "membrane"
    #: Spikes and reset as everywhere; delta = (s - y)*h.
    SPIKE = "spike"
    #: No spikes, no reset; delta = V - y[t], y supplied at every step.
    TARGET = "target"

    @property
    def spiking(self) -> bool:
        """Whether the last layer spikes."""
        return self is Readout.SPIKE


class NeuronUnit(Enum):
    """How neurons are computed; the bits are the same."""

    #: One neuron per clock, about 20 multipliers.
    PIPELINED = "pipelined"
    #: One neuron in SERIAL_CLOCKS clocks, one multiplier: for devices with few multipliers.
    SERIAL = "serial"


class BankKind(Enum):
    """Memory that holds the synapse words; the bits are the same."""

    #: Block RAM with a read and a write port.
    DUAL_PORT = "dual_port"
    #: Single-port RAM, even and odd addresses in memories of their own (the UP5K's SPRAM).
    SINGLE_PORT = "single_port"


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Geometry and widths of a core.

    Parameters
    ----------
    layers : tuple of int
        Inputs, then the posts of every layer: ``(12, 64, 9)`` has two layers of synapses.
    lanes : int
        P, a power of two: synapses processed per clock.
    groups : int
        G, filter groups per layer (1, 2, 4 or 8); post i belongs to group i mod G.
    readout : Readout
        Error of the last layer.
    max_steps : int
        Depth of the schedule table; later steps are never scheduled.
    surrogate_entries : int
        Entries of the surrogate table, a power of two.
    frame_bytes : int
        Largest decoded frame that the device takes, a power of two.
    neuron_unit : NeuronUnit
        Pipelined or serial arithmetic of neurons, softmax and filter constants.
    bank : BankKind
        Memory of the synapse words.
    early_stop : bool
        Registers with which a sample stops learning once its readout has been right often enough.
    probe : bool
        Measurement of what an update at each step would change (S[t], docs/how_it_works.md).
    recurrent : bool
        Hidden layers have their own spikes of the step before as further pre-synaptic signals.
    normalise : bool
        A running mean of |delta| per neuron, by which its learning rate is divided (docs/how_it_works.md).
    filtered_surrogate : bool
        Errors of hidden layers are multiplied with h as the readout's membrane filters it (docs/how_it_works.md).
    stream : bool
        A queue of requests: the host sends samples ahead of the core (contract/wire.py).
    formats : Formats
        Every number format.
    """

    layers: tuple[int, ...]
    lanes: int = 8
    groups: int = 1
    readout: Readout = Readout.MEMBRANE
    max_steps: int = 256
    surrogate_entries: int = 64
    frame_bytes: int = 1024
    neuron_unit: NeuronUnit = NeuronUnit.PIPELINED
    bank: BankKind = BankKind.DUAL_PORT
    early_stop: bool = False
    probe: bool = False
    recurrent: bool = False
    normalise: bool = False
    filtered_surrogate: bool = False
    stream: bool = False
    formats: Formats = field(default_factory=Formats)

    def __post_init__(self) -> None:
        problems = self._problems()
        if problems:
            raise ConfigError(f"network {'-'.join(map(str, self.layers))}: {problems[0]}")

    def _problems(self) -> list[str]:
        found = []
        if not 2 <= len(self.layers) <= MAX_LAYERS + 1:
            found.append(f"{len(self.layers)} sizes given, allowed 2 to {MAX_LAYERS + 1}")
        for size in self.layers:
            if not isinstance(size, int) or not 1 <= size <= MAX_POSTS:
                found.append(f"a layer of {size} neurons, allowed 1 to {MAX_POSTS}")
        if not _power_of_two(self.lanes) or self.lanes > 128:
            found.append(f"{self.lanes} lanes, allowed a power of two up to 128")
        if self.groups not in (1, 2, 4, MAX_GROUPS):
            found.append(f"{self.groups} filter groups, allowed 1, 2, 4 or {MAX_GROUPS}")
        if not _power_of_two(self.max_steps) or not 2 <= self.max_steps <= 65536:
            found.append(f"a schedule table of {self.max_steps} steps, allowed a power of two from 2 to 65536")
        if not _power_of_two(self.surrogate_entries) or not 4 <= self.surrogate_entries <= 1024:
            found.append(f"{self.surrogate_entries} surrogate entries, allowed a power of two from 4 to 1024")
        if not _power_of_two(self.frame_bytes) or not 64 <= self.frame_bytes <= 16384:
            found.append(f"frames of {self.frame_bytes} bytes, allowed a power of two from 64 to 16384")
        if not found and max(self.step_bytes + 11, 8 * self.layers[-1] + 7) > self.frame_bytes:
            found.append(f"frames of {self.frame_bytes} bytes hold no step of {self.layers[0]} inputs "
                         f"and {self.layers[-1]} outputs, allowed a larger frame_bytes")  # fmt: skip
        for name in OPTIONS:
            if not isinstance(getattr(self, name), bool):
                found.append(f"{name} is {getattr(self, name)!r}, allowed true or false")
        if self.early_stop and self.readout is Readout.TARGET:
            found.append("early_stop with readout target, which has no classes, allowed membrane or spike")
        if self.recurrent and len(self.layers) == 2:
            found.append("recurrent without a hidden layer, allowed with three sizes or more")
        for name in PIPELINED_ONLY:
            if self.serial and getattr(self, name):
                found.append(f"{name} with the serial neuron unit, allowed is the pipelined one")
        if self.filtered_surrogate and len(self.layers) == 2:
            found.append("filtered_surrogate without a hidden layer, allowed with three sizes or more")
        if not found and self.stream and self.reply_slots < FEWEST_SLOTS:
            found.append(f"stream with frames of {self.frame_bytes} bytes, too few for {FEWEST_SLOTS} readouts of "
                         f"{self.outputs} outputs, allowed a larger frame_bytes")  # fmt: skip
        if self.serial and self.readout is Readout.TARGET:
            found.append("readout target with the serial neuron unit, allowed membrane or spike")
        if not found and self.readout is Readout.MEMBRANE and self.layers[-1] > 255:
            found.append(f"a softmax over {self.layers[-1]} classes, allowed up to 255")
        if not found:
            # golden sums delta*A in 64-bit integers
            bits = self.formats.delta.width + self.formats.adapt_trace.width + max(self.layers[1:]).bit_length()
            if bits > 63:
                found.append(f"the sum of delta*A takes {bits} bits with these formats and layers, allowed up to 63")
        return found + self.formats.problems()

    # -- geometry ----------------------------------------------------------------------------------------------------
    @property
    def depth(self) -> int:
        """Number of layers of synapses."""
        return len(self.layers) - 1

    def pre(self, layer: int) -> int:
        """N, pre-synaptic signals of a layer: inputs or the spikes below, then its own spikes of the step before."""
        return self.layers[layer] + self.own(layer)

    def own(self, layer: int) -> int:
        """Pre-synaptic signals that are the layer's own spikes (option ``recurrent``), the last ones."""
        return self.post(layer) if self.recurrent and layer < self.depth - 1 else 0

    def post(self, layer: int) -> int:
        """M, neurons of a layer."""
        return self.layers[layer + 1]

    @property
    def surrogate_word(self) -> Format:
        """Format of a neuron's word ``surrogate``: h, or H with the option ``filtered_surrogate``."""
        return self.formats.filtered_surrogate if self.filtered_surrogate else self.formats.surrogate

    @property
    def inputs(self) -> int:
        """Channels of the input."""
        return self.layers[0]

    @property
    def outputs(self) -> int:
        """Neurons of the readout."""
        return self.layers[-1]

    @property
    def step_bytes(self) -> int:
        """Bytes of one step in a RUN request: inputs, then two bytes per target of the ``target`` readout."""
        return self.layers[0] + (2 * self.layers[-1] if self.readout is Readout.TARGET else 0)

    @property
    def reply_slots(self) -> int:
        """Replies that a device with the option ``stream`` keeps, 0 without it."""
        return reply_slots(self.frame_bytes, self.outputs) if self.stream else 0

    @property
    def synapses(self) -> int:
        """Synapses of the whole network."""
        return sum(self.pre(i) * self.post(i) for i in range(self.depth))

    def spiking(self, layer: int) -> bool:
        """Whether the neurons of a layer spike and reset."""
        return layer < self.depth - 1 or self.readout.spiking

    @property
    def serial(self) -> bool:
        """Whether neurons are computed one after the other on one multiplier."""
        return self.neuron_unit is NeuronUnit.SERIAL

    @property
    def relay(self) -> int:
        """Clocks that everything takes more to the lanes: with many, they lie too far apart for one wire."""
        return int(self.lanes > ROW and not self.serial)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options of learning that are built in."""
        return tuple(name for name in OPTIONS if getattr(self, name))

    def used_groups(self, layer: int) -> int:
        """Groups that have at least one post in this layer."""
        return min(self.groups, self.post(layer))

    # -- identity ----------------------------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """Plain, JSON-ready form; options that are off are left out, so that they change no hash."""
        plain = asdict(self)
        for name in OPTIONS:
            if not plain[name]:
                del plain[name]
        plain["layers"] = list(self.layers)
        for name in _ENUMS:
            plain[name] = getattr(self, name).value
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> NetworkConfig:
        """Inverse of :meth:`to_dict`.

        Raises
        ------
        ConfigError
            For unknown or missing keys and for values that cannot be built.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(plain) - known)
        if unknown:
            raise ConfigError(f"configuration: unknown key {unknown[0]!r}, allowed {', '.join(sorted(known))}")
        values = dict(plain)
        try:
            values["layers"] = tuple(values["layers"])
            for name, kind in _ENUMS.items():
                if name in values:
                    values[name] = kind(values[name])
            if "formats" in values:
                values["formats"] = Formats(**{k: Format(**v) for k, v in values["formats"].items()})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"configuration: {error}") from None
        return cls(**values)

    @property
    def config_hash(self) -> str:
        """Eight hex digits over everything that changes bits, registers or memory maps."""
        text = json.dumps({"contract": CONTRACT_VERSION, **self.to_dict()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def with_(self, **changes: Any) -> NetworkConfig:
        """Copy with some fields changed."""
        return replace(self, **changes)


#: Fields that add something to a core and are off in every preset.
OPTIONS = ("early_stop", "probe", "recurrent", "normalise", "filtered_surrogate", "stream")
#: Those that the serial neuron unit does not have.
PIPELINED_ONLY = ("normalise", "filtered_surrogate")
_ENUMS: dict[str, type[Enum]] = {"readout": Readout, "neuron_unit": NeuronUnit, "bank": BankKind}


def _power_of_two(value: int) -> bool:
    return isinstance(value, int) and value > 0 and value & (value - 1) == 0


PRESETS: dict[str, NetworkConfig] = {
    # Small enough for pysim; odd sizes so that blocks and groups have ragged ends.
    "tiny": NetworkConfig(layers=(3, 5, 3), lanes=2, groups=2, max_steps=16, frame_bytes=256),
    # JapaneseVowels: 12 LPC cepstra, 9 speakers.
    "vowels": NetworkConfig(layers=(12, 64, 9), lanes=8, groups=4),
}
# One preset per board: the network that the board's documentation speaks of.
PRESETS["ulx3s_85f"] = NetworkConfig(layers=(240, 256, 16), lanes=8, groups=4)  # 65,536 synapses, 8192 a lane
# As many synapses as the chip's block RAM holds in 64 banks: m*(N + 64) <= 1536 words for N inputs and 64*m hidden.
PRESETS["flagship"] = NetworkConfig(layers=(320, 256, 32), lanes=64, groups=4)
# Formats for chips with few multipliers of 16 to 18 bits: no product is wider.
_SMALL = Formats(
    current=Format(20, 12), membrane=Format(20, 12), threshold=Format(16, 12), delta=Format(16, 14),
    rate_step=Format(16, 19), filter_trace=Format(16, 4), adapt_trace=Format(16, 2), adapt_sum=Format(18, 18),
    score=Format(24, 12),
)  # fmt: skip
# The GW1NR-9 has multipliers enough for the pipelined unit, but not flip-flops.
PRESETS["tang_nano_9k"] = NetworkConfig(
    layers=(12, 64, 9), lanes=1, groups=1, frame_bytes=512, neuron_unit=NeuronUnit.SERIAL, formats=_SMALL
)
# 16,384 synapses: half of what the UP5K's single-port RAM holds; a block is longer than the serial unit's program.
PRESETS["icebreaker"] = NetworkConfig(
    layers=(240, 64, 16), lanes=1, groups=1, frame_bytes=512, neuron_unit=NeuronUnit.SERIAL,
    bank=BankKind.SINGLE_PORT, formats=_SMALL,
)  # fmt: skip
PRESETS["icebreaker_vowels"] = PRESETS["icebreaker"].with_(layers=(12, 64, 9))


def preset(name: str) -> NetworkConfig:
    """Configuration of a named preset, with options after plus signs: ``vowels+early_stop+probe``.

    Raises
    ------
    ConfigError
        With the allowed names, for an unknown one.
    """
    base, *options = name.split("+")
    if base not in PRESETS:
        raise ConfigError(f"preset {base!r} is not known, allowed: {', '.join(PRESETS)}")
    for option in options:
        if option not in OPTIONS:
            raise ConfigError(f"preset {name!r}: option {option!r} is not known, allowed: {', '.join(OPTIONS)}")
    return PRESETS[base].with_(**dict.fromkeys(options, True))
