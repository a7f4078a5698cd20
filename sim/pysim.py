"""The core on Amaranth's own simulator: slow, but needs no compiler, and its signals can be looked into.

For tiny geometries: some thousand clocks per second at most. Same interface and same records as sim/compiled.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Elaboratable, Value
from amaranth.sim import Simulator

from solsa.contract import Format, Layout, NetworkConfig
from solsa.rtl.core import Core

from .records import RECORD, HangError, Ints, Kind, Records

PERIOD = 1e-6
#: Clocks after which a bus access counts as hung.
BUS_LIMIT = 10_000
#: Clocks after which a step counts as hung.
STEP_LIMIT = 100_000

_BIT = Format(1, 0, signed=False)
_WORD = Format(32, 0, signed=False)


def _field(bits: int, low: int, fmt: Format) -> int:
    """Word of a format at bit ``low`` of a packed port."""
    value = bits >> low & ((1 << fmt.width) - 1)
    return value - (1 << fmt.width) if fmt.signed and value >> (fmt.width - 1) else value


class PysimCore:
    """Core backend on Amaranth's simulator.

    Parameters
    ----------
    config : NetworkConfig
        What to simulate.
    make_core : callable, optional
        Another design with the same ports (planted bugs).
    step_limit : int
        Clocks after which a step counts as hung.
    """

    def __init__(
        self,
        config: NetworkConfig,
        *,
        make_core: Callable[[], Elaboratable] | None = None,
        step_limit: int = STEP_LIMIT,
    ) -> None:
        self.config = config
        self.step_clocks = 0
        self._layout = Layout(config)
        self._limit = step_limit
        self._core: Any = make_core() if make_core else Core(config, observe=True)
        self._bus, self._observe = self._core.bus, self._core.observe
        o = self._observe
        self._events = Cat(o.trace | o.update, o.filter, o.neuron, o.error, o.mean, o.score, o.adapt, o.step)
        #: the same events, in the order of sim/cpp/core.cpp
        self._takers = (self._synapses, self._filters, self._neuron, self._error, self._mean, self._score,
                        self._constant, self._end)  # fmt: skip
        f = config.formats
        self._neuron_formats = (
            f.current,
            f.membrane,
            _BIT,
            config.surrogate_word,
            f.gain,
            f.filter_trace,
            f.adapt_trace,
        )
        self._records: list[tuple[int, int, int, int, int]] = []
        self._job: Callable[[Any], Awaitable[Any]] | None = None
        self._result: Any = None
        self._simulator: Simulator | None = Simulator(self._core)
        self._simulator.add_clock(PERIOD)
        self._simulator.add_testbench(self._testbench, background=True)

    # -- CoreBackend ------------------------------------------------------------------------------------------------
    def write(self, space: int, index: int, value: int) -> int:
        """Write a word; returns the status."""
        return self._access(1, space, index, value)[0]

    def read(self, space: int, index: int) -> int:
        """Read a word as unsigned 32 bits."""
        return self._access(0, space, index, 0)[1]

    def step(self, inputs: Ints, *, label: int, target: Ints | None, reset: bool, learn: bool, adapt: bool) -> Records:
        """Run one time step and return what was retired."""
        x = [int(v) for v in np.asarray(inputs, dtype=np.int8)]
        y = [] if target is None else [int(v) for v in np.asarray(target, dtype=np.int16)]
        command = {"reset": int(reset), "learn": int(learn), "adapt": int(adapt), "label": label}

        async def job(ctx: Any) -> Records:
            core = self._core
            self._records = []
            for port, values in ((core.inputs, x), (core.targets, y)):
                for value in values:
                    ctx.set(port.valid, 1)
                    ctx.set(port.payload, value)
                    await ctx.tick()
                ctx.set(port.valid, 0)
            ctx.set(core.command.valid, 1)
            ctx.set(core.command.payload, command)
            await ctx.tick()
            ctx.set(core.command.valid, 0)
            for clocks in range(self._limit):
                events = ctx.get(self._events)
                if events:
                    for i, take in enumerate(self._takers):
                        if events >> i & 1:
                            take(ctx)
                if not ctx.get(core.busy):
                    self.step_clocks = clocks
                    return np.array(self._records, dtype=RECORD)
                await ctx.tick()
            raise HangError("the core does not end its step")

        records: Records = self._run(job)
        return records

    def close(self) -> None:
        """Release the simulation."""
        self._simulator = None

    # -- simulation -------------------------------------------------------------------------------------------------
    def _access(self, write: int, space: int, index: int, value: int) -> tuple[int, int]:
        async def job(ctx: Any) -> tuple[int, int]:
            bus = self._bus
            ctx.set(bus.valid, 1)
            ctx.set(bus.write, write)
            ctx.set(bus.space, space)
            ctx.set(bus.index, index)
            ctx.set(bus.data, value & 0xFFFFFFFF)
            for _ in range(BUS_LIMIT):
                if ctx.get(bus.done):
                    found = ctx.get(bus.status), ctx.get(bus.answer)
                    await ctx.tick()
                    ctx.set(bus.valid, 0)
                    await ctx.tick()
                    return found
                await ctx.tick()
            ctx.set(bus.valid, 0)
            raise HangError(f"the bus does not answer at space {space}, index {index}")

        found: tuple[int, int] = self._run(job)
        return found

    async def _testbench(self, ctx: Any) -> None:
        """Run one job after the other; time stands still while there is none."""
        for _ in range(4):
            await ctx.tick()
        while True:
            if self._job is not None:
                try:
                    self._result = await self._job(ctx)
                except HangError as error:
                    self._result = error
                self._job = None
            await ctx.tick()

    def _run(self, job: Callable[[Any], Awaitable[Any]]) -> Any:
        """Give the testbench a job and let time go on until it is done."""
        if self._simulator is None:
            raise RuntimeError("the simulation is closed")
        self._job = job
        while self._job is not None:
            self._simulator.advance()
        if isinstance(self._result, HangError):
            raise self._result
        return self._result

    # -- observation port -------------------------------------------------------------------------------------------
    def _put(self, kind: int, layer: int, post: int, pre: int, value: int) -> None:
        self._records.append((kind, layer, post, pre, value))

    def _synapses(self, ctx: Any) -> None:
        o, f = self._observe, self.config.formats
        layer, block, pre = ctx.get(o.layer), ctx.get(o.block), ctx.get(o.pre)
        words, traced, wide = ctx.get(Value.cast(o.words)), ctx.get(o.trace), f.weight.width + f.trace.width
        for lane in range(self.config.lanes):
            post = block * self.config.lanes + lane
            if post >= self.config.post(layer):
                break
            if traced:
                self._put(Kind.TRACE, layer, post, pre, _field(words, lane * wide + f.weight.width, f.trace))
            else:
                self._put(Kind.WEIGHT, layer, post, pre, _field(words, lane * wide, f.weight))

    def _filters(self, ctx: Any) -> None:
        o, banks, trace = self._observe, self._layout.filter_banks, self.config.formats.trace
        layer, block, pre = ctx.get(o.filter_layer), ctx.get(o.filter_block), ctx.get(o.filter_pre)
        words = ctx.get(Value.cast(o.filter_words))
        for bank in range(banks):
            group = block * banks + bank
            if group < self.config.used_groups(layer):
                self._put(Kind.FILTER, layer, group, pre, _field(words, bank * trace.width, trace))

    def _neuron(self, ctx: Any) -> None:
        o, low = self._observe, 0
        layer, post, word = ctx.get(o.neuron_layer), ctx.get(o.neuron_post), ctx.get(Value.cast(o.neuron_word))
        for i, fmt in enumerate(self._neuron_formats):
            self._put(Kind.CURRENT + i, layer, post, 0, _field(word, low, fmt))
            low += fmt.width

    def _error(self, ctx: Any) -> None:
        o = self._observe
        layer, post = ctx.get(o.error_layer), ctx.get(o.error_post)
        self._put(Kind.DELTA, layer, post, 0, ctx.get(o.delta))
        self._put(Kind.RATE_STEP, layer, post, 0, ctx.get(o.rate_step))

    def _mean(self, ctx: Any) -> None:
        o = self._observe
        self._put(Kind.MEAN_ERROR, ctx.get(o.error_layer), ctx.get(o.error_post), 0, ctx.get(o.mean_error))

    def _score(self, ctx: Any) -> None:
        o = self._observe
        self._put(Kind.SCORE, self.config.depth - 1, ctx.get(o.score_post), 0, ctx.get(o.score_value))

    def _constant(self, ctx: Any) -> None:
        layer, group = divmod(ctx.get(self._observe.adapt_index), self.config.groups)
        self._put(Kind.CONSTANT, layer, group, 0, ctx.get(self._observe.adapt_value))

    def _end(self, ctx: Any) -> None:
        self._put(Kind.RNG, 0, 0, 0, ctx.get(self._observe.rng))
        self._put(Kind.UPDATES, 0, 0, 0, ctx.get(self._observe.updates))
