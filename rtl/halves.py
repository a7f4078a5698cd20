"""Pre-synaptic signals of a recurrent network: two halves that take turns, one time step each (option ``recurrent``).

A layer's neurons of the first block fire while its later blocks still read what the layer fired in the step before. So
the signals of this step lie in one half, x and list of the active ones, and a neuron's spike goes into both: into this
step's half for the layer above, into the other half for its own layer in the next step.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig

from .arith import shape_of
from .beat import Geometry


class Halves(wiring.Component):
    """Memories of x and of the active signals, each twice.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        self._depth = max(2, g.layout.pre_depth)
        words = {"x": shape_of(config.formats.input), "list": g.pre_bits}
        ports = {
            name: data.StructLayout({"en": 1, "addr": range(self._depth), "data": word}) for name, word in words.items()
        }
        reads = {
            name: wiring.Signature({"addr": In(range(self._depth)), "data": Out(word)}) for name, word in words.items()
        }
        super().__init__(
            {
                #: one clock, while nothing is written: the halves change places
                "swap": In(1),
                #: into this step's half and into that of the next, written a clock later
                "x_now": In(ports["x"]),
                "x_next": In(ports["x"]),
                "list_now": In(ports["list"]),
                "list_next": In(ports["list"]),
                #: from this step's half, words a clock later
                "x_read": Out(reads["x"]),
                "list_read": Out(reads["list"]),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        odd = Signal()
        with m.If(self.swap):
            m.d.sync += odd.eq(~odd)
        for name in ("x", "list"):
            port, words = getattr(self, f"{name}_read"), []
            for half in (0, 1):
                memory = Memory(shape=port.data.shape(), depth=self._depth, init=[])
                m.submodules[f"{name}_memory{half}"] = memory
                read, write = memory.read_port(), memory.write_port()
                now, later = getattr(self, f"{name}_now"), getattr(self, f"{name}_next")
                for field in ("en", "addr", "data"):
                    m.d.sync += getattr(write, field).eq(Mux(odd == half, getattr(now, field), getattr(later, field)))
                m.d.comb += read.addr.eq(port.addr)
                words.append(read.data)
            m.d.comb += port.data.eq(Mux(odd, words[1], words[0]))
        return m
