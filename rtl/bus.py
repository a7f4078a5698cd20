"""What the link asks of the core: one bus for words, streams for the data of a step."""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

SPACE_BITS = 4
INDEX_BITS = 24
WORD_BITS = 32
STATUS_BITS = 3


class HostBus(wiring.Signature):
    """One word of a space (contract/registers.py) per access, seen from the link.

    The master raises ``valid`` and keeps every field until ``done`` is high for one clock, then lowers ``valid`` for at
    least one clock. Indices lie inside the space, except that a REGISTER need not exist.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                #: An access waits for ``done``.
                "valid": Out(1),
                #: Write ``data``, else read ``answer``.
                "write": Out(1),
                #: contract.registers.Space
                "space": Out(SPACE_BITS),
                #: Word within the space.
                "index": Out(INDEX_BITS),
                #: Word to write.
                "data": Out(WORD_BITS),
                #: High for one clock: the access is over, ``status`` and ``answer`` count.
                "done": In(1),
                #: contract.wire.Status of a write; reads always succeed.
                "status": In(STATUS_BITS),
                #: Word read.
                "answer": In(WORD_BITS),
            }
        )


#: Run one time step on the inputs (and targets) sent before.
StepCommand = data.StructLayout(
    {
        #: Sample reset before the step.
        "reset": 1,
        #: Learn in this step.
        "learn": 1,
        #: Adapt the filter constants.
        "adapt": 1,
        #: Class; below ``config.outputs`` when learning from a label, else without meaning.
        "label": 16,
    }
)


def core_ports() -> dict[str, wiring.Member]:
    """Ports of the link and its command processor towards the core."""
    return {
        #: Words of the core.
        "bus": Out(HostBus()),
        #: Inputs of the next step, one byte each.
        "inputs": Out(stream.Signature(signed(8))),
        #: Targets of the next step; never valid without the target readout.
        "targets": Out(stream.Signature(signed(16))),
        #: Start of a step, after its inputs and targets.
        "command": Out(stream.Signature(StepCommand)),
        #: From the clock after ``command`` was taken until the step has ended completely.
        "busy": In(1),
    }
