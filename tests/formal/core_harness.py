"""The core in a harness: real, wired by itself, with only its arithmetic and what its memories hold left open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any
from unittest.mock import patch

from amaranth.hdl import Cat, Const, Module, Signal, Value

from solsa.contract import Layout, NetworkConfig, Readout
from solsa.contract.registers import Space, space_words

from .harness import Harness, WatchedMemory
from .slots import Slots

#: Files whose memories are watched.
WATCHED = ("control", "presynaptic", "lane", "bank", "neuron", "backward", "error")
#: Units of the core that are as they are; those that issue slots may be replaced.
REAL = ("Presynaptic", "Lanes", "Neurons", "Backward", "ErrorUnit", "Adapt", "HostPort")
ISSUERS = ("Control", "Sequencer")


class CoreHarness(Harness):
    """The core with its surroundings as the command processor is proved to be (claim 6).

    Parameters
    ----------
    rtl : module
        RTL package.
    c : NetworkConfig
        Geometry.
    host, steps : bool
        Whether the host accesses words; whether time steps are run.
    issuers : bool
        Control and Sequencer are the real ones; else their outputs are free, and `slots` keep their rules.
    polite : bool
        No step is started during an access (`sharing-processor`).
    """

    def __init__(
        self, rtl: ModuleType, c: NetworkConfig, *, host: bool, steps: bool, issuers: bool, polite: bool = True
    ) -> None:
        super().__init__(rtl)
        self.config, self.layout = c, Layout(c)
        self.units: dict[str, Any] = {}
        core_module = self.unit("core")
        real, free = (*REAL, *ISSUERS), ("RegisterFile", "Generator")
        if not issuers:
            real, free = REAL, (*free, *ISSUERS)
        with ExitStack() as stack:
            for name in real:
                stack.enter_context(patch.object(core_module, name, self._recorded(getattr(core_module, name), False)))
            for name in free:
                stack.enter_context(patch.object(core_module, name, self._recorded(getattr(core_module, name), True)))
            for file in ("presynaptic", "lane", "neuron", "error", "backward"):
                stack.enter_context(patch.object(self.unit(file), "saturate", self._any_value))
            self.core = self.place(core_module.Core(c), "core", watch=WATCHED)
        self.slots = Slots(self, c, self.units["Sequencer"].slot)
        self._surroundings(host, steps, polite)
        if not issuers:
            control = self.units["Control"]
            self.slots.are_legal(self.assume)
            self.last_layer, self.last_posts, self.any_block = self.slots.come_in_order(self.assume)
            self.slots.within_steps(self.assume, control.busy, control.begin)

    def _recorded(self, kind: type, free: bool) -> Callable[..., Any]:
        def make(*args: Any, **kwargs: Any) -> Any:
            unit = kind(*args, **kwargs)
            self.units[kind.__name__] = unit
            if free:
                for path, member, port in unit.signature.flatten(unit):
                    if member.flow.name == "Out":
                        value = Value.cast(port)
                        self.m.d.comb += value.eq(self.free(len(value), "_".join(map(str, (kind.__name__, *path)))))
                unit.elaborate = lambda platform: Module()
            return unit

        return make

    def _any_value(self, value: Value, fmt: Any) -> Value:
        bits: Signal = self.free(fmt.width, f"saturated{len(self.ports)}")
        return bits.as_signed()

    def _surroundings(self, host: bool, steps: bool, polite: bool) -> None:
        m, c, core = self.m, self.config, self.core
        bus, words = core.bus, space_words(c)
        access = self.free(1, "access") if host else Const(0)
        m.d.comb += [
            bus.valid.eq(access), bus.write.eq(self.free(1, "write")), bus.space.eq(self.free(4, "space")),
            bus.index.eq(self.free(24, "index")), bus.data.eq(self.free(32, "data")),
            core.inputs.valid.eq(self.free(1, "input")), core.inputs.payload.eq(self.free(8, "input_value")),
            core.targets.valid.eq(self.free(1, "target")), core.targets.payload.eq(self.free(16, "target_value")),
            core.command.valid.eq(self.free(1, "command") if steps else 0),
            core.command.payload.eq(self.free(19, "command_value")),
        ]  # fmt: skip
        self.keeps_rules(access, bus.done, Cat(bus.write, bus.space, bus.index, bus.data), self.assume)
        self.assume(~self.past(access & bus.done) | ~access)
        limit = Signal(25)
        with m.Switch(bus.space):
            for space in Space:
                with m.Case(space):
                    m.d.comb += limit.eq(words[space])
        self.assume(~access | (bus.index < limit))
        if polite:
            self.assume(~access | ~(core.busy | core.command.valid))
        self.assume(~core.busy | ~(core.command.valid | core.inputs.valid | core.targets.valid))
        self.assume(~access | ~(core.inputs.valid | core.targets.valid))
        # A step gets its inputs (and targets), no more; the core counts them as well.
        for stream, most, own in (
            (core.inputs, c.inputs, self.inner("presynaptic", "inputs")),
            (core.targets, c.outputs, self.inner("error", "written") if c.readout is Readout.TARGET else None),
        ):
            count = Signal(range(most + 1))
            with m.If(self.units["Control"].end):
                m.d.sync += count.eq(0)
            with m.Elif(stream.valid & stream.ready):
                m.d.sync += count.eq(count + 1)
            self.assume(~stream.valid | (count < most))
            if own is not None:
                self.always(own == count)
        self.assume(~self.units["Control"].end | core.busy)
        self.always(self.units["Presynaptic"].input_events <= self.inner("presynaptic", "inputs"))

    # -- views -------------------------------------------------------------------------------------------------------
    def each(self, name: str) -> Iterator[WatchedMemory]:
        """Watched memories of a name."""
        found = [memory for memory in self.memories if memory.name == name]
        if not found:
            raise LookupError(f"no memory {name!r}, there are {', '.join(sorted({m.name for m in self.memories}))}")
        return iter(found)

    def inside(self, when: Value, name: str) -> None:
        """State that a memory's read address lies inside whenever it counts."""
        for memory in self.each(name):
            self.always(~when | (memory.reads[0].addr < memory.depth))

    def list_holds_pres(self) -> None:
        """What the list of active inputs holds are pres of the layer: assumed of its words, stated of its writes."""
        (memory,) = self.each("presynaptic.active")
        read, write = memory.reads[0], memory.writes[0]
        where = self.past(read.addr)
        for layer, base in enumerate(self.layout.pre_base):
            pres = self.config.pre(layer)
            self.assume(~((where >= base) & (where < base + pres)) | (read.data < pres))
            inside = (write.addr >= base) & (write.addr < base + pres)
            self.always(~(write.en & inside) | (write.data < pres))
