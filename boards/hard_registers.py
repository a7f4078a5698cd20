"""Registers inside the multipliers and block RAMs of ECP5, which yosys leaves unused, taken into use.

A product goes from registers of the fabric through a multiplier to registers of the fabric: the multiplier has both
inside (REG_INPUTA, REG_INPUTB, REG_OUTPUT of MULT18X18D), where they cost no wire and no logic. The same holds for the
register behind a block RAM (REGMODE of DP16KD). The pass moves them there in the netlist, clock for clock the same
design; tests/boards/test_hard_registers.py and the netlist simulation (sim/netlist.py) run what it makes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

#: Net name of a constant or unconnected bit in yosys' JSON.
_CONSTANTS = ("0", "1", "x", "z")
Bit = int | str


@dataclass
class Moved:
    """What the pass did.

    Attributes
    ----------
    inputs, outputs : int
        Operands and products of multipliers whose registers moved inside.
    memories : int
        Block RAMs whose output register moved inside.
    flip_flops : int
        Flip-flops of the fabric that are no longer needed.
    """

    inputs: int = 0
    outputs: int = 0
    memories: int = 0
    flip_flops: int = 0


@dataclass
class _Netlist:
    cells: dict[str, Any]
    users: Counter[Bit] = field(default_factory=Counter)
    #: flip-flop by the net that it drives, and flip-flops by the net that they take
    by_output: dict[Bit, str] = field(default_factory=dict)
    by_input: dict[Bit, list[str]] = field(default_factory=lambda: defaultdict(list))

    def index(self, ports: dict[str, Any]) -> None:
        for port in ports.values():
            if port["direction"] != "input":
                self.users.update(port["bits"])
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "input":
                    self.users.update(bits)
            if _plain(cell):
                self.by_output[cell["connections"]["Q"][0]] = name
                self.by_input[cell["connections"]["DI"][0]].append(name)

    def remove(self, name: str) -> None:
        """A flip-flop that drives nothing any more."""
        cell = self.cells.pop(name)
        connections = cell["connections"]
        for port, bits in connections.items():
            if cell["port_directions"][port] == "input":
                self.users.subtract(bits)
        del self.by_output[connections["Q"][0]]
        self.by_input[connections["DI"][0]].remove(name)


def _plain(cell: dict[str, Any]) -> bool:
    """Whether a flip-flop takes its input at every rising edge and does nothing else."""
    if cell["type"] != "TRELLIS_FF":
        return False
    parameters, connections = cell["parameters"], cell["connections"]
    usual = {"CEMUX": "1", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET", "SRMODE": "LSR_OVER_CE"}
    return "DI" in connections and all(parameters.get(key, value).strip() == value for key, value in usual.items())


def _control(cell: dict[str, Any]) -> tuple[Bit, Bit]:
    """Clock and reset of a flip-flop."""
    connections = cell["connections"]
    return connections["CLK"][0], connections.get("LSR", ["0"])[0]


def use_hard_registers(design: dict[str, Any], top: str = "top") -> Moved:
    """Move registers into the multipliers and block RAMs of a netlist.

    Parameters
    ----------
    design : dict
        Netlist of ``synth_ecp5`` as yosys' ``write_json`` has it; changed in place.
    top : str
        Name of the module.

    Returns
    -------
    Moved
        How many registers moved.
    """
    module = design["modules"][top]
    net = _Netlist(module["cells"])
    net.index(module["ports"])
    moved = Moved()
    before = sum(cell["type"] == "TRELLIS_FF" for cell in net.cells.values())
    for cell in [c for c in net.cells.values() if c["type"] == "MULT18X18D"]:
        _pack_multiplier(net, cell, moved)
    for cell in [c for c in net.cells.values() if c["type"] == "DP16KD"]:
        _pack_memory(net, cell, moved)
    for bit in [bit for bit in net.by_output if not net.users[bit]]:
        net.remove(net.by_output[bit])
    moved.flip_flops = before - sum(cell["type"] == "TRELLIS_FF" for cell in net.cells.values())
    return moved


def _bits(cell: dict[str, Any], prefix: str, width: int) -> dict[str, Bit]:
    """Port and bit of those bits of a bus that are connected."""
    found = {}
    for i in range(width):
        for bit in cell["connections"].get(f"{prefix}{i}", []):
            found[f"{prefix}{i}"] = bit
    return found


def _behind(net: _Netlist, bits: dict[str, Bit]) -> tuple[list[str], tuple[Bit, Bit]] | None:
    """(Flip-flops that alone take these bits, their clock and reset); bits that nobody takes are passed over."""
    flip_flops, clocks = [], set()
    for bit in bits.values():
        if bit in _CONSTANTS or not net.users[bit]:
            continue
        takers = net.by_input.get(bit, [])
        if len(takers) != 1 or net.users[bit] != 1:
            return None
        flip_flops += takers
        clocks.add(_control(net.cells[takers[0]]))
    return (flip_flops, clocks.pop()) if len(clocks) == 1 else None


def _take_output(net: _Netlist, cell: dict[str, Any], bits: dict[str, Bit], flip_flops: list[str]) -> None:
    """Let the cell drive what the flip-flops drove."""
    outputs = {}
    for name in flip_flops:
        connections = net.cells[name]["connections"]
        outputs[connections["DI"][0]] = connections["Q"][0]
        net.remove(name)
    for port, bit in bits.items():
        if bit in outputs:
            cell["connections"][port] = [outputs[bit]]


def _pack_multiplier(net: _Netlist, cell: dict[str, Any], moved: Moved) -> None:
    parameters = cell["parameters"]
    control: tuple[Bit, Bit] | None = None
    found = _behind(net, products := _bits(cell, "P", 36))
    if found:
        flip_flops, control = found
        _take_output(net, cell, products, flip_flops)
        parameters["REG_OUTPUT_CLK"] = "CLK0"
        moved.outputs += 1
    # both operands or none: for anything else nextpnr has no delays
    operands = {**_bits(cell, "A", 18), **_bits(cell, "B", 18)}
    sources = [net.by_output.get(bit) for bit in operands.values() if bit not in _CONSTANTS]
    controls = {_control(net.cells[name]) for name in sources if name}
    # a constant one would be zero in the first clock
    if (
        None not in sources
        and "1" not in operands.values()
        and len(controls) == 1
        and controls == {control or min(controls)}
    ):
        control = controls.pop()
        for port, bit in operands.items():
            if bit not in _CONSTANTS:
                source = net.cells[net.by_output[bit]]["connections"]["DI"][0]
                cell["connections"][port] = [source]
                net.users[bit] -= 1
                net.users[source] += 1
        parameters["REG_INPUTA_CLK"] = parameters["REG_INPUTB_CLK"] = "CLK0"
        moved.inputs += 1
    if control is None:
        return
    parameters["RESETMODE"] = "SYNC"
    for register in ("REG_INPUTA", "REG_INPUTB", "REG_OUTPUT"):
        parameters.setdefault(f"{register}_CLK", "NONE")
        parameters[f"{register}_CE"], parameters[f"{register}_RST"] = "CE0", "RST0"
    for port, bit in (("CLK0", control[0]), ("CE0", "1"), ("RST0", control[1])):
        cell["connections"][port] = [bit]
        cell["port_directions"][port] = "input"
        net.users[bit] += 1


def _pack_memory(net: _Netlist, cell: dict[str, Any], moved: Moved) -> None:
    """Output register of the port that reads; yosys makes memories of one reading and one writing port."""
    both = int(cell["parameters"]["DATA_WIDTH_B"], 2) == 36
    outputs = {**_bits(cell, "DOA", 18), **_bits(cell, "DOB", 18)}
    found = _behind(net, outputs)
    if found is None:
        return
    flip_flops, (clock, reset) = found
    if cell["connections"]["CLKB"] != [clock] or reset != "0":
        return
    used = {port[2] for port, bit in outputs.items() if bit not in _CONSTANTS and net.users[bit]}
    if not both and used != {"B"}:
        return
    _take_output(net, cell, outputs, flip_flops)
    cell["parameters"]["REGMODE_B"] = "OUTREG"
    cell["connections"]["OCEB"] = ["1"]
    cell["port_directions"]["OCEB"] = "input"
    if both:
        cell["parameters"]["REGMODE_A"] = "OUTREG"
        cell["connections"]["OCEA"] = ["1"]
        cell["port_directions"]["OCEA"] = "input"
    moved.memories += 1
