"""What the harnesses have in common: free inputs, memories that can be watched, properties of a stream."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any
from unittest.mock import patch

from amaranth import tracer
from amaranth.back import rtlil
from amaranth.hdl import (
    Assert,
    Assume,
    ClockDomain,
    Const,
    Cover,
    Elaboratable,
    Module,
    Mux,
    Signal,
    Value,
)
from amaranth.hdl._ast import SignalSet
from amaranth.hdl._dsl import FSM
from amaranth.hdl._ir import Fragment
from amaranth.lib import memory


class Harness:
    """A module around a unit under proof. Reset happens once, before the first clock.

    Parameters
    ----------
    rtl : module
        Package ``solsa.rtl``, or the same with a planted bug.
    """

    #: Whether `lemma` counts. A control must fail on a claim.
    lemmas = True

    def __init__(self, rtl: ModuleType) -> None:
        self.rtl, self.m = rtl, Module()
        self.ports: list[Signal] = []
        self.memories: list[WatchedMemory] = []
        self.variables: dict[str, list[dict[str, Any]]] = {}
        self.fragments: dict[str, Fragment] = {}
        self.m.domains.sync = domain = ClockDomain(reset_less=True)
        self.ports.append(domain.clk)
        #: not in the first clock
        self.started = Signal()
        self.m.d.sync += self.started.eq(1)

    def unit(self, module: str) -> ModuleType:
        """A module of the package."""
        return importlib.import_module(f"{self.rtl.__name__}.{module}")

    # -- inputs ------------------------------------------------------------------------------------------------------
    def free(self, shape: Any, name: str) -> Any:
        """Signal with any value in every clock."""
        signal = Signal(shape, name=name)
        self.ports.append(signal)
        return signal

    def constant(self, shape: Any, name: str) -> Signal:
        """Signal with any value that never changes."""
        choice, kept = self.free(shape, f"{name}_choice"), Signal(shape, name=f"{name}_kept")
        value = Signal(shape, name=name)
        self.m.d.comb += value.eq(Mux(self.started, kept, choice))
        self.m.d.sync += kept.eq(value)
        return value

    # -- time --------------------------------------------------------------------------------------------------------
    def past(self, value: Any, clocks: int = 1, init: int = 0) -> Signal:
        """Value some clocks ago; `init` before."""
        self._unconditional()
        line = Value.cast(value)
        for _ in range(clocks):
            stage = Signal(line.shape(), init=init)
            self.m.d.sync += stage.eq(line)
            line = stage
        return line

    def run_length(self, condition: Any, most: int) -> Signal:
        """Clocks before this one in which `condition` held without a break, at most `most`."""
        self._unconditional()
        count = Signal(range(most + 1))
        with self.m.If(~Value.cast(condition)):
            self.m.d.sync += count.eq(0)
        with self.m.Elif(count != most):
            self.m.d.sync += count.eq(count + 1)
        if most & (most + 1):
            self.lemma(count <= most)  # an induction may begin anywhere
        return count

    def within(self, event: Any, first: int, last: int) -> Value:
        """Whether an event was `first` to `last` clocks ago."""
        found: Value = Const(0)
        value: Value = self.past(event, first)
        for _ in range(last - first + 1):
            found = found | value
            value = self.past(value)
        return found

    def _unconditional(self) -> None:
        if self.m.domain._depth:
            raise ValueError("a history inside m.If would stand still outside it")

    # -- properties --------------------------------------------------------------------------------------------------
    def always(self, condition: Any) -> None:
        """State what must hold in every clock."""
        self.m.d.comb += Assert(condition, src_loc_at=1)

    def lemma(self, condition: Any) -> None:
        """State an invariant that only helps an induction: proved like a claim, left out where a bug must be found."""
        if self.lemmas:
            self.m.d.comb += Assert(condition, src_loc_at=1)

    def assume(self, condition: Any) -> None:
        """State what the surroundings guarantee in every clock."""
        self.m.d.comb += Assume(condition, src_loc_at=1)

    def cover(self, condition: Any) -> None:
        """State what must be possible."""
        self.m.d.comb += Cover(condition, src_loc_at=1)

    def keeps_rules(self, valid: Value, ready: Value, payload: Any, say: Callable[[Any], None]) -> None:
        """Valid and payload stay until ready; `say` is `always` or `assume`."""
        waited = self.past(valid & ~ready)
        if payload is not None:
            payload = Value.cast(payload)
            say(~waited | (valid & (payload == self.past(payload))))
        else:
            say(~waited | valid)

    # -- units -------------------------------------------------------------------------------------------------------
    def place(self, component: Any, name: str = "unit", watch: tuple[str, ...] = (), words: str = "free") -> Any:
        """Elaborate a unit; the memories of the modules in `watch` go to `memories`.

        `words`: see `WatchedMemory`.
        """
        with self._watched(watch, words), self._remembered():
            fragment = Fragment.get(component, None)
        self.m.submodules[name] = self.fragments[name] = fragment
        return component

    def inner(self, module: str, variable: str) -> Any:
        """A local variable of the one unit of a module, for invariants that an induction needs.

        Raises
        ------
        LookupError
            If there is no such unit, or it has no such variable.
        """
        found = self.variables.get(module, [])
        if len(found) != 1 or variable not in found[0]:
            raise LookupError(f"{len(found)} units of rtl/{module}.py with a variable {variable!r}, needed one")
        return found[0][variable]

    def state(self, name: str = "unit") -> Signal:
        """The state register of a placed unit with one state machine."""
        driven = SignalSet()
        for statements in self.fragments[name].statements.values():
            driven.update(statements._lhs_signals())
        (register,) = (signal for signal in driven if signal.name == "fsm_state")
        return register

    def in_state(self, *names: str, unit: str = "unit") -> Value:
        """Whether the one state machine of a placed unit is in a state of these names.

        Raises
        ------
        LookupError
            If it has no such state.
        """
        (machine,) = (fsm for fsm in self.fragments[unit].generated.values() if isinstance(fsm, FSM))
        unknown = set(names) - set(machine.encoding)
        if unknown:
            raise LookupError(f"no state {', '.join(sorted(unknown))}, there are {', '.join(machine.encoding)}")
        state = self.state(unit)
        found: Value = Const(0)
        for name in names:
            found = found | (state == machine.encoding[name])
        return found

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        """Keep the variables of every ``elaborate`` (their Amaranth names are not always known)."""

        def on_return(frame: FrameType, event: str, value: object) -> None:
            code = frame.f_code
            if event == "return" and code.co_name == "elaborate" and frame.f_globals["__name__"].startswith(prefix):
                self.variables.setdefault(Path(code.co_filename).stem, []).append(dict(frame.f_locals))

        prefix, before = self.rtl.__name__ + ".", sys.getprofile()
        sys.setprofile(on_return)
        try:
            yield
        finally:
            sys.setprofile(before)

    @contextmanager
    def _watched(self, names: tuple[str, ...], words: str) -> Iterator[None]:
        patches = []
        for name in names:
            module = self.unit(name)

            def make(*args: Any, where: str = name, **kwargs: Any) -> WatchedMemory:
                local = tracer.get_var_name(depth=2, default="memory")
                made = WatchedMemory(self, f"{where}.{local}", words, *args, **kwargs)
                self.memories.append(made)
                return made

            patches.append(patch.object(module, "Memory", make))
        for p in patches:
            p.start()
        try:
            yield
        finally:
            for p in patches:
                p.stop()

    def memory(self, name: str) -> WatchedMemory:
        """The watched memory of a name, `file.variable`."""
        found = [m for m in self.memories if m.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} memories {name!r}, there are {', '.join(m.name for m in self.memories)}")
        return found[0]

    def to_rtlil(self) -> str:
        """The design as text."""
        return rtlil.convert(self.m, name="top", ports=self.ports)


class WatchedMemory(Elaboratable):
    """Stands for ``amaranth.lib.memory.Memory`` and shows its ports.

    ``words`` says what a read gives: ``real`` the memory; ``free`` anything; ``one`` the right word at one address
    (any, `chosen`) and anything at the others. The last two can do all that a real memory can, with less state.
    """

    def __init__(
        self, harness: Harness, name: str, words: str, *, shape: Any, depth: int, init: Any, **further: Any
    ) -> None:
        self.harness, self.name, self.words, self.shape, self.depth = harness, name, words, shape, depth
        self.reads: list[Any] = []
        self.writes: list[Any] = []
        self.inner = memory.Memory(shape=shape, depth=depth, init=init, **further) if words == "real" else None
        if words == "one":
            self.chosen = harness.constant(range(depth), f"{self._label()}_chosen")
            self.word = Signal(Value.cast(Signal(shape)).shape().width, name=f"{self._label()}_chosen_word")

    def read_port(self, *, transparent_for: Any = (), **further: Any) -> Any:
        if self.words == "real":
            port = self.inner.read_port(transparent_for=transparent_for, **further)
            self.reads.append(port)
            return port
        h = self.harness
        port = memory.ReadPort.Signature(addr_width=self._address_bits(), shape=self.shape).create()
        other = h.free(Value.cast(port.data).shape().width, f"{self._label()}_{len(self.reads)}_word")
        if self.words == "free":
            h.m.d.comb += Value.cast(port.data).eq(other)
        else:
            stored: Value = self.word
            for write in transparent_for:
                stored = Mux(write.en & (write.addr == self.chosen), write.data, stored)
            with h.m.If(port.en):
                h.m.d.sync += Value.cast(port.data).eq(Mux(port.addr == self.chosen, stored, other))
        self.reads.append(port)
        return port

    def write_port(self, **further: Any) -> Any:
        if self.words == "real":
            port = self.inner.write_port(**further)
        else:
            port = memory.WritePort.Signature(addr_width=self._address_bits(), shape=self.shape, **further).create()
        if self.words == "one":
            with self.harness.m.If(port.en & (port.addr == self.chosen)):
                self.harness.m.d.sync += self.word.eq(Value.cast(port.data))
        self.writes.append(port)
        return port

    def _address_bits(self) -> int:
        return (self.depth - 1).bit_length()

    def _label(self) -> str:
        return self.name.replace(".", "_")

    def elaborate(self, platform: object) -> Any:
        return self.inner if self.words == "real" else Module()
