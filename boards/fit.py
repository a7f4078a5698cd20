"""Whether a network fits a chip, told before synthesis: every memory and multiplier of the design, and their blocks.

The lists are those of rtl/; tests/boards/ compares them with the netlist, so that they cannot drift.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.utils import bits_for

from solsa.contract import ConfigError, Layout, NetworkConfig, Readout
from solsa.contract.formats import DECAY_FRAC, EXP_INDEX_BITS, EXP_WIDTH, LOG2E
from solsa.contract.registers import MANTISSA_BITS
from solsa.rtl.beat import Geometry

from .board import Board, Family


@dataclass(frozen=True)
class Ram:
    """Memories of one kind: ``count`` of ``depth`` words of ``width`` bits."""

    name: str
    width: int
    depth: int
    count: int = 1


@dataclass(frozen=True)
class Multiplier:
    """Multipliers of one kind: ``count``, operands as wide as given, signs included."""

    name: str
    left: int
    right: int
    count: int = 1


@dataclass(frozen=True)
class Needs:
    """What a network takes of a chip."""

    bram: int
    dsp: int
    #: block RAMs of one lane's bank of synapse words; 0 where LUT RAM is cheaper
    bank_bram: int


def memories(config: NetworkConfig) -> list[Ram]:
    """Every memory of the design, the banks of synapse words first."""
    f, g, layout = config.formats, Geometry(config), Layout(config)
    outputs = max(2, config.outputs)
    found = [
        Ram("bank", f.weight.width + f.trace.width, max(2, layout.synapse_depth), config.lanes),
        Ram("gains", f.gain.width, max(2, layout.block_depth), config.lanes),
        Ram("errors", f.delta.width + f.rate_step.width, max(2, layout.block_depth), config.lanes),
        Ram("filter", f.trace.width, max(2, layout.filter_depth), layout.filter_banks),
        Ram("x_memory", f.input.width, max(2, layout.pre_depth)),
        Ram("active", g.pre_bits, max(2, layout.pre_depth)),
        Ram("neurons", g.neuron_layout().size, max(2, layout.post_depth)),
        Ram("scores", f.score.width, outputs),
        Ram("surrogate", f.surrogate.width, config.surrogate_entries),
        Ram("schedule", 1, config.max_steps),
        Ram("backward", g.error_bits, max([2, *g.pres[1:]])),
        Ram("frames", 8, config.frame_bytes, 2),
    ]
    if config.readout is Readout.MEMBRANE:
        found += [
            Ram("softmax membranes", f.membrane.width, outputs),
            Ram("softmax weights", EXP_WIDTH, outputs),
            Ram("softmax table", EXP_WIDTH, 1 << EXP_INDEX_BITS),
        ]
    elif config.readout is Readout.TARGET:
        found.append(Ram("targets", f.target.width, outputs))
    return found


def multipliers(config: NetworkConfig) -> list[Multiplier]:
    """Every multiplier of the design, those of the lanes first; an unsigned operand is a bit wider."""
    f = config.formats
    decay, mantissa = DECAY_FRAC + 1, MANTISSA_BITS + 1
    found = [
        Multiplier("k*eps, g*eps", f.trace.width, max(f.gain.width, f.rate_step.width), config.lanes),
        Multiplier("w*x, w*delta", f.weight.width, max(f.delta.width, f.input.width), config.lanes),
        Multiplier("a*F", f.trace.width, decay, Layout(config).filter_banks),
        Multiplier("a*I", f.current.width, decay),
        Multiplier("lam*V", f.membrane.width, decay),
        Multiplier("a*J", f.filter_trace.width, decay),
        Multiplier("k*A", f.adapt_trace.width, f.gain.width),
        Multiplier("rho*h", f.threshold.width, f.surrogate.width + 1),
        Multiplier("h*e", f.surrogate.width + 1, f.delta.width),
        Multiplier("delta*mantissa", f.delta.width, mantissa),
        Multiplier("delta*A", f.delta.width, f.adapt_trace.width),
        Multiplier("q*mantissa", f.adapt_sum.width, mantissa),
    ]
    if config.readout is Readout.MEMBRANE:
        found += [
            Multiplier("z*log2(e)", f.membrane.width, bits_for(LOG2E)),
            Multiplier("e*R", EXP_WIDTH, 18),
        ]
    return found


def blocks(ram: Ram, family: Family) -> int:
    """Block RAMs of one memory, 0 where LUT RAM costs less."""
    block = min(-(-ram.width // width) * -(-ram.depth // depth) for width, depth in family.block_modes)
    width, depth = family.lut_ram
    lut = -(-ram.width // width) * -(-ram.depth // depth)
    return 0 if lut * family.lut_ram_cost < block * family.block_cost else block


def multiplier_blocks(multiplier: Multiplier, family: Family) -> int:
    """Multiplier blocks of one multiplier, which is split where an operand is too wide."""
    size = family.multiplier
    return -(-multiplier.left // size) * -(-multiplier.right // size)


def needs(config: NetworkConfig, family: Family) -> Needs:
    """What a network takes of a chip of a family."""
    rams = memories(config)
    return Needs(
        bram=sum(ram.count * blocks(ram, family) for ram in rams),
        dsp=sum(m.count * multiplier_blocks(m, family) for m in multipliers(config)),
        bank_bram=blocks(rams[0], family),
    )


def capacity(config: NetworkConfig, board: Board) -> int:
    """Synapses that a board holds beside the other memories of this network, with its lanes and widths."""
    need, bank = needs(config, board.family), memories(config)[0]
    free = (board.bram - (need.bram - config.lanes * need.bank_bram)) // config.lanes
    words = [0, *(free // -(-bank.width // width) * depth for width, depth in board.family.block_modes)]
    return config.lanes * max(words)


def check_fit(config: NetworkConfig, board: Board) -> Needs:
    """What a network takes of a board.

    Raises
    ------
    ConfigError
        If it needs more block RAM or multipliers than the chip has; the line says what would fit.
    """
    need = needs(config, board.family)
    network = "-".join(map(str, config.layers))
    if need.bram > board.bram:
        room, words = capacity(config, board), config.lanes * Layout(config).synapse_depth
        wanted = f"{config.synapses}" if config.synapses > room else f"{words} words, whole blocks of posts counted"
        raise ConfigError(
            f"{board.name} holds {room} synapses with {config.lanes} lanes; {network} needs {wanted} "
            f"({need.bram} block RAMs of {board.bram})"
        )
    if need.dsp > board.dsp:
        lanes = config.lanes
        while lanes > 1 and needs(config.with_(lanes=lanes), board.family).dsp > board.dsp:
            lanes //= 2
        raise ConfigError(
            f"{board.name} has {board.dsp} multipliers, enough for {lanes} lanes; "
            f"{network} with {config.lanes} lanes needs {need.dsp}"
        )
    return need
