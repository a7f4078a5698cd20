"""Every register of the core through its bus: value after reset, ends of its range, and nobody else's word changed."""

from __future__ import annotations

import pytest

from solsa.contract import NetworkConfig, NeuronUnit, Readout, Register, Space
from solsa.contract.registers import Entry, register_map, space_words
from solsa.contract.wire import Status
from solsa.sim.pysim import PysimCore

CONFIGS = {
    "one lane": NetworkConfig(layers=(2, 3, 2), lanes=1, groups=2, readout=Readout.SPIKE, surrogate_entries=4),
    "more groups": NetworkConfig(layers=(1, 2), lanes=2, groups=4, readout=Readout.TARGET, surrogate_entries=4),
    "serial": NetworkConfig(layers=(2, 3, 2), lanes=1, groups=2, surrogate_entries=4, neuron_unit=NeuronUnit.SERIAL),
}
CLOCKS = {Register.CYCLES_LOW, Register.CYCLES_HIGH}


def word(core: PysimCore, entry: Entry) -> int:
    """Register as its own integer type."""
    value = core.read(Space.REGISTER, entry.address)
    return value - (1 << 32) if entry.signed and value >> 31 else value


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_reset_values_ranges_and_neighbours(config: NetworkConfig) -> None:
    core, entries = PysimCore(config), register_map(config)
    wanted = {address: entry.reset for address, entry in entries.items() if address not in CLOCKS}
    assert {address: word(core, entries[address]) for address in wanted} == wanted
    for number, (address, entry) in enumerate(entries.items()):
        if not entry.writable:
            assert core.write(Space.REGISTER, address, 1) == Status.BAD_ADDRESS
            continue
        full = (-(1 << 31), (1 << 31) - 1) if entry.signed else (0, (1 << 32) - 1)
        for end, beyond in ((entry.low, entry.low - 1), (entry.high, entry.high + 1)):
            assert core.write(Space.REGISTER, address, end) == Status.OK, entry.name
            assert word(core, entry) == end, entry.name
            if full[0] <= beyond <= full[1]:
                assert core.write(Space.REGISTER, address, beyond) == Status.BAD_VALUE, entry.name
                assert word(core, entry) == end, entry.name
        # a word of its own for each: a write that reaches another register is seen at the end
        wanted[address] = entry.low + (number + 1) % (entry.high - entry.low + 1)
        assert core.write(Space.REGISTER, address, wanted[address]) == Status.OK
    assert {address: word(core, entries[address]) for address in wanted} == wanted


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_addresses_without_a_register(config: NetworkConfig) -> None:
    core, entries = PysimCore(config), register_map(config)
    free = [address for address in range(space_words(config)[Space.REGISTER]) if address not in entries]
    for address in free[::19]:
        assert core.write(Space.REGISTER, address, 1) == Status.BAD_ADDRESS
        assert core.read(Space.REGISTER, address) == 0
