"""Sequencer: which slots a sweep issues, in which order, and never before their pre-synaptic signal is known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
from streams import Bench

from solsa.contract import Layout, NetworkConfig
from solsa.rtl.beat import Mode
from solsa.rtl.sequencer import MIN_PERIOD, Sequencer

CONFIGS = [
    NetworkConfig(layers=(9, 13, 5), lanes=4),  # ragged blocks, sweeps longer than the pipeline
    NetworkConfig(layers=(2, 3, 9), lanes=2),  # shorter than the pipeline
    NetworkConfig(layers=(3, 17, 20), lanes=8),  # the chain of 8 neurons is longer than the 3 slots of a block
    NetworkConfig(layers=(1, 1, 1), lanes=1),
]
FORWARD_MODES = (Mode.FORWARD, Mode.TRACE)


@dataclass
class Slot:
    """A slot and when it was issued."""

    clock: int
    compute: int
    first: int
    last: int
    mode: int
    layer: int
    block: int
    last_block: int
    index: int
    base: int


FIELDS = ("compute", "first", "last", "mode", "layer", "block", "last_block", "index", "base")


class Neurons:
    """Stands for the neuron unit: emits the layer below with random pauses."""

    def __init__(self, dut: Any, layer: int, spikes: list[int], rng: random.Random, speed: float) -> None:
        self.dut, self.layer, self.spikes, self.rng, self.speed = dut, layer, spikes, rng, speed
        self.emitted = self.events = 0

    def tick(self, ctx: Any) -> None:
        """One clock of progress."""
        if self.emitted < len(self.spikes) and self.rng.random() < self.speed:
            self.events += self.spikes[self.emitted]
            self.emitted += 1
        ctx.set(self.dut.emitted_valid, int(self.emitted > 0))
        ctx.set(self.dut.emitted_layer, self.layer)
        ctx.set(self.dut.emitted, self.emitted)
        ctx.set(self.dut.emitted_events, self.events)
        ctx.set(self.dut.emitted_all, int(self.emitted == len(self.spikes)))


def sweep(
    config: NetworkConfig, mode: Mode, layer: int, *, events: int = 0, spikes: list[int] | None = None,
    seed: int = 0, speed: float = 1.0, again: int = 1,
) -> list[list[Slot]]:  # fmt: skip
    """Slots of one or more sweeps; checks on the way that none comes too early."""
    dut, rng, found = Sequencer(config), random.Random(seed), []
    bench = Bench(dut, clocks=20_000)
    chasing = mode in FORWARD_MODES and layer > 0

    async def testbench(ctx: Any) -> None:
        clock = 0
        for _ in range(again):
            slots: list[Slot] = []
            neurons = Neurons(dut, layer - 1, spikes or [], rng, speed)
            ctx.set(dut.input_events, events)
            ctx.set(dut.mode, mode)
            ctx.set(dut.layer, layer)
            ctx.set(dut.start, 1)
            ctx.set(dut.emitted_valid, 0)
            assert ctx.get(dut.idle)
            await ctx.tick()
            ctx.set(dut.start, 0)
            while not ctx.get(dut.idle):
                if chasing:
                    neurons.tick(ctx)
                if ctx.get(dut.slot.valid):
                    slot = Slot(clock, *(int(ctx.get(getattr(dut.slot, name)).value) if name == "mode"
                                         else ctx.get(getattr(dut.slot, name)) for name in FIELDS))  # fmt: skip
                    slots.append(slot)
                    if chasing and slot.block == 0:
                        known = neurons.events if mode == Mode.FORWARD else neurons.emitted
                        assert slot.index < known or not slot.compute
                        assert not slot.last or neurons.emitted == len(neurons.spikes)
                await ctx.tick()
                clock += 1
            found.append(slots)

    bench.run(testbench)
    return found


def check(config: NetworkConfig, mode: Mode, layer: int, slots: list[Slot], count: int) -> None:
    """Order, flags and distances of a sweep with ``count`` computing slots per block."""
    layout, blocks = Layout(config), Layout(config).blocks(layer)
    pres = config.pre(layer)
    for block in range(blocks):
        mine = [s for s in slots if s.block == block]
        computing = [s for s in mine if s.compute]
        assert [s.index for s in computing] == list(range(count))
        # at most one slot without a signal, at the end of a block that had none, or learnt too late that it had all
        assert len(mine) - count in ((1,) if count == 0 else (0, 1) if mode == Mode.FORWARD and block == 0 else (0,))
        assert [s.first for s in mine] == [1] + [0] * (len(mine) - 1)
        assert [s.last for s in mine] == [0] * (len(mine) - 1) + [1]
        for s in mine:
            assert (s.mode, s.layer, s.last_block) == (mode.value, layer, int(block == blocks - 1))
            assert s.base == layout.synapse_base[layer] + block * pres
    assert [s.block for s in slots] == sorted(s.block for s in slots)
    firsts, lasts = [s.clock for s in slots if s.first], [s.clock for s in slots if s.last]
    if mode in (Mode.TRACE, Mode.BACKWARD):
        assert all(b - a >= MIN_PERIOD for a, b in zip(firsts, firsts[1:], strict=False))
    if mode in FORWARD_MODES:  # the unload chain of a block is empty before the next one is loaded
        assert all(b - a >= config.lanes for a, b in zip(lasts, lasts[1:], strict=False))


@pytest.mark.parametrize("speed", [1.0, 0.5, 0.2])
@pytest.mark.parametrize("pres", [1, 2, 3, 4, 5, 8])
def test_blocks_keep_their_distance(pres: int, speed: float, seed: int) -> None:
    """The same pre of two blocks is at least MIN_PERIOD apart, whatever the first block waited for."""
    config = NetworkConfig(layers=(2, pres, 7), lanes=2)
    for number in range(3):
        (slots,) = sweep(config, Mode.TRACE, 1, spikes=[1] * pres, seed=seed + number, speed=speed)
        clocks = {(s.block, s.index): s.clock for s in slots}
        assert len(clocks) == len(slots) == pres * 4
        for (block, index), clock in clocks.items():
            assert clocks.get((block + 1, index), clock + MIN_PERIOD) - clock >= MIN_PERIOD


def fewest_clocks(config: NetworkConfig, mode: Mode, layer: int, count: int) -> int:
    """Clocks from the first to the last slot of a sweep that never waits for its signals."""
    per_block = max(1, count)
    if mode in (Mode.TRACE, Mode.BACKWARD):
        per_block = max(per_block, MIN_PERIOD)
    if mode in FORWARD_MODES:
        per_block = max(per_block, config.lanes)
    return per_block * (Layout(config).blocks(layer) - 1) + max(1, count)


@pytest.mark.parametrize("mode", [Mode.TRACE, Mode.BACKWARD, Mode.UPDATE], ids=lambda m: m.name)
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.layers} P{c.lanes}")
def test_full_sweeps(config: NetworkConfig, mode: Mode) -> None:
    """Every synapse once, one slot per clock wherever pipeline and chain allow; twice in a row."""
    for layer in range(config.depth):
        if mode == Mode.TRACE and layer:
            continue
        for slots in sweep(config, mode, layer, again=2):
            check(config, mode, layer, slots, config.pre(layer))
            took = slots[-1].clock - slots[0].clock + 1
            assert took == fewest_clocks(config, mode, layer, config.pre(layer))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.layers} P{c.lanes}")
def test_inference_visits_active_inputs(config: NetworkConfig) -> None:
    for events in {0, 1, config.inputs // 2, config.inputs}:
        for slots in sweep(config, Mode.FORWARD, 0, events=events, again=2):
            check(config, Mode.FORWARD, 0, slots, events)
            assert slots[-1].clock - slots[0].clock + 1 <= fewest_clocks(config, Mode.FORWARD, 0, events)


@pytest.mark.parametrize("mode", FORWARD_MODES, ids=lambda m: m.name)
@pytest.mark.parametrize("speed", [1.0, 0.3])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.layers} P{c.lanes}")
def test_chases_the_layer_below(config: NetworkConfig, speed: float, mode: Mode, seed: int) -> None:
    """A sweep that starts while the layer below still emits; all, no and some neurons fire."""
    rng = random.Random(seed)
    posts = config.pre(1)
    for spikes in ([1] * posts, [0] * posts, [rng.getrandbits(1) for _ in range(posts)], [0] * (posts - 1) + [1]):
        for slots in sweep(config, mode, 1, spikes=spikes, seed=seed, speed=speed, again=2):
            check(config, mode, 1, slots, sum(spikes) if mode == Mode.FORWARD else posts)


def test_waits_for_the_right_layer() -> None:
    """Progress of another layer than the one below does not count."""
    config = NetworkConfig(layers=(2, 3, 4, 2), lanes=2)
    dut = Sequencer(config)
    bench = Bench(dut)

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.mode, Mode.TRACE)
        ctx.set(dut.layer, 2)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.emitted, 3)
        ctx.set(dut.emitted_all, 1)
        for valid, layer in ((0, 1), (1, 0), (1, 2)):
            ctx.set(dut.emitted_valid, valid)
            ctx.set(dut.emitted_layer, layer)
            for _ in range(5):
                assert not ctx.get(dut.slot.valid)
                await ctx.tick()
        ctx.set(dut.emitted_layer, 1)
        await ctx.tick()
        assert ctx.get(dut.slot.valid)
        assert ctx.get(dut.slot.index) == 0

    bench.run(testbench)
