"""Whether a network fits a chip, told before synthesis: memories, multipliers, and about how many LUTs.

Memories and multipliers are those of the netlist (survey.py); tests/boards/ compares their blocks with what the tools
counted. LUTs are a line through builds (Family.luts), right to about a tenth: good enough to refuse what is hopeless.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from solsa.contract import BankKind, ConfigError, Layout, NetworkConfig

from .board import Board, Chip, Family
from .survey import Multiplier, Ram, Survey, is_bank, survey

#: A network is refused if it is predicted to take more than this share of the LUTs: full chips cannot be routed.
LUT_SHARE = 1.0
#: Words of one single-port RAM of a UP5K; a bank has two halves, see rtl/bank.py.
SPRAM_WORDS, SPRAM_HALVES = 1 << 14, 2
#: Of these fields of a synapse word each has its RAM: weight and trace.
SPRAM_FIELDS = 2


@dataclass(frozen=True)
class Needs:
    """What a network takes of a chip."""

    bram: int
    dsp: int
    #: block RAMs of one lane's bank of synapse words; 0 where other memory is cheaper
    bank_bram: int
    lut: int = 0
    spram: int = 0

    def over(self, chip: Chip) -> str:
        """What the chip has too little of, such as ``39 multipliers of 28``, or an empty string."""
        if self.spram > chip.spram:
            return f"{self.spram} single-port RAMs of {chip.spram}"
        if self.bram > chip.bram:
            return f"{self.bram} block RAMs of {chip.bram}"
        if self.dsp > chip.dsp:
            return f"{self.dsp} multipliers of {chip.dsp}"
        if self.lut > chip.lut * LUT_SHARE:
            return f"about {self.lut} LUTs of {chip.lut}"
        return ""


def blocks(ram: Ram, family: Family) -> int:
    """Block RAMs of one memory, 0 where flip-flops cost no more, or LUT RAM less (yosys' memory_libmap)."""
    block = min(-(-ram.width // width) * -(-ram.depth // depth) for width, depth in family.block_modes)
    cost = block * family.block_cost
    if ram.width * ram.depth <= cost:
        return 0
    if family.lut_ram:
        width, depth = family.lut_ram
        if -(-ram.width // width) * -(-ram.depth // depth) * family.lut_ram_cost < cost:
            return 0
    return block


def multiplier_blocks(multiplier: Multiplier, family: Family) -> float:
    """Multiplier blocks of one multiplier, which is split where an operand is too wide."""
    return family.multiplier(multiplier.left, multiplier.right)


def needs(config: NetworkConfig, chip: Chip) -> Needs:
    """What a network takes of a chip."""
    if _in_spram(config, chip) and config.lanes * SPRAM_FIELDS * SPRAM_HALVES * _depth_in_sprams(config) > chip.spram:
        # not even to be elaborated: a half of a bank is one RAM deep
        return Needs(bram=0, dsp=0, bank_bram=0, spram=config.lanes * SPRAM_FIELDS * SPRAM_HALVES
                     * _depth_in_sprams(config))  # fmt: skip
    found, family = survey(config, chip.part), chip.family
    fixed, lane = family.serial_luts if config.serial else family.luts
    return Needs(
        bram=sum(ram.count * blocks(ram, family) for ram in found.memories),
        dsp=ceil(sum(m.count * multiplier_blocks(m, family) for m in found.multipliers)),
        bank_bram=_bank_blocks(found, config, family),
        lut=round(fixed + lane * config.lanes),
        spram=found.spram,
    )


def _bank_blocks(found: Survey, config: NetworkConfig, family: Family) -> int:
    banks = [ram for ram in found.memories if is_bank(ram.name)]
    return sum(ram.count * blocks(ram, family) for ram in banks) // config.lanes


def _in_spram(config: NetworkConfig, chip: Chip) -> bool:
    return config.bank is BankKind.SINGLE_PORT and chip.spram > 0


def _depth_in_sprams(config: NetworkConfig) -> int:
    """Single-port RAMs that half a bank is deep."""
    return -(-Layout(config).synapse_depth // (SPRAM_HALVES * SPRAM_WORDS))


def capacity(config: NetworkConfig, chip: Chip) -> int:
    """Synapses that a chip holds beside the other memories of this network, with its lanes and widths."""
    if _in_spram(config, chip):
        return config.lanes * SPRAM_HALVES * SPRAM_WORDS * (chip.spram // (config.lanes * SPRAM_FIELDS * SPRAM_HALVES))
    need, width = needs(config, chip), config.formats.weight.width + config.formats.trace.width
    free = (chip.bram - (need.bram - config.lanes * need.bank_bram)) // config.lanes
    words = [0, *(free // -(-width // wide) * depth for wide, depth in chip.family.block_modes)]
    return config.lanes * max(words)


def lanes_that_fit(config: NetworkConfig, chip: Chip) -> int:
    """Most lanes, up to the configuration's own, with which it fits; 0 if it fits with none."""
    lanes = config.lanes
    while lanes and needs(config.with_(lanes=lanes), chip).over(chip):
        lanes //= 2
    return lanes


def check_fit(config: NetworkConfig, board: Board) -> Needs:
    """What a network takes of a board.

    Raises
    ------
    ConfigError
        If it needs more of something than the chip has; the line says what would fit.
    """
    chip = board.chip
    need = needs(config, chip)
    over = need.over(chip)
    if not over:
        return need
    network = "-".join(map(str, config.layers))
    fewer = lanes_that_fit(config, chip)
    if fewer:
        raise ConfigError(
            f"{network} with {config.lanes} lanes needs {over} on {board.name}, enough for --lanes {fewer}"
        )
    words = config.lanes * Layout(config).synapse_depth
    room = max(capacity(config.with_(lanes=2**i), chip) for i in range(config.lanes.bit_length()))
    if (need.bram > chip.bram or need.spram > chip.spram) and words > room:
        wanted = f"{config.synapses}" if config.synapses > room else f"{words} words, whole blocks of posts counted"
        raise ConfigError(f"{board.name} holds {room} synapses; {network} needs {wanted} ({over})")
    least = needs(config.with_(lanes=1), chip).over(chip)
    raise ConfigError(f"{board.name} is too small for this core: {network} with one lane needs {least}")
