"""One lane: a bank of synapse words {eps, w} and two multipliers (stages L0 to L5, see beat.py).

Two multipliers are enough because sweeps differ: multiplier A makes k*eps (trace sweep) or g*eps (update sweep),
multiplier B makes w*x (forward) or w*delta (backward). One adder serves both products of A: the rounding bits of the
trace decay lie below the point, F lies above it, and the random bits of an update lie below its own point.
"""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, ShapeLike, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from solsa.contract import NetworkConfig
from solsa.contract.formats import Rounding
from solsa.contract.random import post_hash

from .arith import saturate, shape_of, toward_zero_bits
from .bank import Bank
from .beat import Geometry

#: Decoded mode of a beat, the same for every lane. ``fresh``: eps counts as zero (first learning step of a sample, or a
#: host write).
LaneControl = data.StructLayout(
    {
        "valid": 1,
        "compute": 1,
        "first": 1,
        "last": 1,
        "trace": 1,
        "update": 1,
        "backward": 1,
        "fresh": 1,
        "write_weight": 1,
        "write_trace": 1,
        "read": 1,
        "probe": 1,
    }
)


class Lane(wiring.Component):
    """Bank, memories of k and {delta, g}, and the arithmetic of one lane.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    lane : int
        Index; fixes the lane's part of the random bits.
    data_bits : int
        Width of the ``filter`` operand, which also carries the host's word.
    """

    def __init__(self, config: NetworkConfig, lane: int, data_bits: int) -> None:
        self.config, self.lane = config, lane
        g = self.geometry = Geometry(config)
        f = config.formats
        self.random_bits = f.operations()["weight_step"].shift
        super().__init__(
            {
                #: L0
                "read_address": In(g.address_bits),
                "block_address": In(g.block_address_bits),
                #: L1
                "control1": In(LaneControl),
                "x": In(shape_of(f.input)),
                #: L3
                "control3": In(LaneControl),
                "filter": In(signed(data_bits)),
                "random": In(self.random_bits),
                #: L3: w*delta; in a probe L4: |g*eps|
                "product": Out(signed(self.product_bits(config))),
                #: L4
                "control4": In(LaneControl),
                #: L4: this lane has a post in the beat's block
                "owned": In(1),
                #: L5
                "write_address": In(g.address_bits),
                "word": Out(self.word_layout(config)),
                #: unload chain, toward lane 0
                "load": In(1),
                "load_word": In(1),
                "load_trace": In(1),
                "shift": In(1),
                "chain_in": In(signed(g.chain_bits)),
                "chain": Out(signed(g.chain_bits)),
                #: writes of k and of {delta, g}
                "gain_write": In(1),
                "error_write": In(1),
                "neuron_block": In(g.block_address_bits),
                "gain": In(shape_of(f.gain)),
                "error_block": In(g.block_address_bits),
                "delta": In(shape_of(f.delta)),
                "rate_step": In(shape_of(f.rate_step)),
            }
        )

    @staticmethod
    def product_bits(config: NetworkConfig) -> int:
        """Width of ``product``."""
        f = config.formats
        backward = f.weight.width + f.delta.width
        return max(backward, f.trace.width + f.rate_step.width + 1) if config.probe else backward

    @staticmethod
    def word_layout(config: NetworkConfig) -> data.StructLayout:
        """Synapse word."""
        f = config.formats
        return data.StructLayout({"weight": shape_of(f.weight), "trace": shape_of(f.trace)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, g, f = self.config, self.geometry, self.config.formats
        ops = f.operations()
        word_layout = self.word_layout(config)
        blocks = max(2, g.layout.block_depth)

        # -- memories: words of the bank out at L2, the others at L1 -------------------------------------------------
        m.submodules.bank = bank = Bank(config.bank, word_layout, g.layout.synapse_depth)
        m.submodules.gains = gains = Memory(shape=shape_of(f.gain), depth=blocks, init=[])
        error_layout = data.StructLayout({"delta": shape_of(f.delta), "rate_step": shape_of(f.rate_step)})
        m.submodules.errors = errors = Memory(shape=unsigned(error_layout.size), depth=blocks, init=[])
        gain_read, gain_write = gains.read_port(), gains.write_port()
        error_read, error_write = errors.read_port(), errors.write_port()
        m.d.comb += [
            bank.read_address.eq(self.read_address),
            gain_read.addr.eq(self.block_address),
            error_read.addr.eq(self.block_address),
            gain_write.en.eq(self.gain_write),
            gain_write.addr.eq(self.neuron_block),
            gain_write.data.eq(self.gain),
            error_write.en.eq(self.error_write),
            error_write.addr.eq(self.error_block),
            error_write.data.eq(Cat(self.delta, self.rate_step)),
        ]
        stored = bank.read_word
        error = data.View(error_layout, error_read.data)

        # -- L2: operands --------------------------------------------------------------------------------------------
        wide = max(f.gain.width, f.rate_step.width)

        # Registers of words take no reset: those inside block RAMs and multipliers have none that reaches them alone.
        def register(shape: ShapeLike, name: str) -> Signal:
            return Signal(shape, name=name, reset_less=True)

        a_right = register(signed(wide), "a_right")
        b_right = register(signed(max(f.delta.width, f.input.width)), "b_right")
        trace2, weight2 = Signal(shape_of(f.trace)), Signal(shape_of(f.weight))
        factor = Mux(self.control1.update, error.rate_step, gain_read.data)
        m.d.sync += [
            # eps counts as zero: so does its product
            a_right.eq(Mux(self.control1.fresh, 0, factor)),
            b_right.eq(Mux(self.control1.backward, error.delta, self.x)),
        ]
        m.d.comb += [trace2.eq(stored.trace), weight2.eq(stored.weight)]

        # -- L3: products --------------------------------------------------------------------------------------------
        # Those behind a multiplier keep theirs on small chips: without, yosys 0.70 makes constants of them for iCE40
        # (tests/integration/test_cells.py).
        product_a = Signal(signed(f.trace.width + wide), reset_less=bool(config.relay))
        product_b = Signal(signed(f.weight.width + len(b_right)), reset_less=bool(config.relay))
        trace3, weight3 = register(shape_of(f.trace), "trace3"), register(shape_of(f.weight), "weight3")
        m.d.sync += [
            product_a.eq(trace2 * a_right),
            product_b.eq(weight2 * b_right),
            trace3.eq(trace2),
            weight3.eq(weight2),
        ]
        if config.probe:
            moved4 = register(len(product_a), "moved4")
            m.d.sync += moved4.eq(Mux(product_a < 0, -product_a, product_a))
            m.d.comb += self.product.eq(Mux(self.control4.probe, moved4, product_b))
        else:
            m.d.comb += self.product.eq(product_b)

        # -- L4: sums ------------------------------------------------------------------------------------------------
        decay, step = ops["trace_decay"], ops["weight_step"]
        assert decay.rounding is Rounding.TOWARD_ZERO
        assert step.rounding is Rounding.STOCHASTIC
        random = self.random ^ C(post_hash(self.lane) >> (32 - step.shift), step.shift)
        addend = Signal(signed(max(len(self.filter) + decay.shift, step.shift + 1)))
        with m.If(self.control3.update):
            m.d.comb += addend.eq(random)
        with m.Else():
            m.d.comb += addend.eq(Cat(toward_zero_bits(product_a, decay.shift), self.filter).as_signed())
        total = register(signed(max(len(product_a), len(addend)) + 1), "total")
        trace4, weight4 = register(shape_of(f.trace), "trace4"), register(shape_of(f.weight), "weight4")
        host4 = register(signed(len(self.filter)), "host4")
        m.d.sync += [
            total.eq(product_a + addend),
            trace4.eq(trace3),
            weight4.eq(weight3),
            host4.eq(self.filter),
        ]
        half = 1 << (ops["current_sum"].shift - 1) if ops["current_sum"].shift else 0
        accumulator = register(signed(g.accumulator_bits), "accumulator")
        with m.If(self.control3.valid):
            m.d.sync += accumulator.eq(
                Mux(self.control3.first, half, accumulator)
                + Mux(self.control3.compute, product_b[: f.weight.width + f.input.width].as_signed(), 0)
            )

        # -- L5: words, written back ---------------------------------------------------------------------------------
        word, enable = Signal(word_layout, reset_less=True), Signal(reset_less=True)
        writes_trace, writes_weight = Signal(), Signal()
        m.d.comb += [
            writes_trace.eq(self.control4.trace | self.control4.write_trace),
            writes_weight.eq(self.control4.update & ~self.control4.probe),
        ]
        m.d.sync += [
            word.trace.eq(Mux(writes_trace, saturate(total >> decay.shift, f.trace), trace4)),
            enable.eq(self.control4.valid & self.owned & (writes_trace | writes_weight | self.control4.write_weight)),
        ]
        with m.If(self.control4.write_weight):
            m.d.sync += word.weight.eq(host4)
        with m.Elif(writes_weight):
            m.d.sync += word.weight.eq(saturate(weight4 - (total >> step.shift), f.weight))
        with m.Else():
            m.d.sync += word.weight.eq(weight4)
        m.d.comb += [
            self.word.eq(word),
            bank.write.eq(enable),
            bank.write_address.eq(self.write_address),
            bank.write_word.eq(word),
        ]

        # -- unload chain: loaded at L4, shifted toward lane 0 -------------------------------------------------------
        chain = register(signed(g.chain_bits), "chained")
        m.d.comb += self.chain.eq(chain)
        with m.If(self.shift):
            m.d.sync += chain.eq(self.chain_in)
        with m.If(self.load_word):
            m.d.sync += chain.eq(Mux(self.load_trace, trace4, weight4))
        with m.Elif(self.load):
            m.d.sync += chain.eq(accumulator)
        return m
