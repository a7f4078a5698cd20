"""Serial unit: neurons, errors and filter constants by microprogram on one multiplier and one accumulator.

A pipelined core computes a neuron per clock with about 20 multipliers; a small FPGA has 8. Here contract/microcode.py's
programs run one row per clock: B bus (a word, a constant, a product ...), accumulator, multiplier operands, one memory
for all words of neurons. The bits are those of neuron.py, error.py, softmax.py and adapt.py, whose ports this unit has.
"""

from __future__ import annotations

from enum import IntEnum

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from solsa.contract import NetworkConfig, NeuronField, Space
from solsa.contract.formats import ADAPT_GUARD, DECAY_FRAC, EXP_INDEX_BITS, EXP_WIDTH, LOG2E, exp_entries
from solsa.contract.microcode import (
    PART_BITS,
    RIGHT_BITS,
    VARIABLE_SHIFT_CLOCKS,
    Act,
    Op,
    Part,
    Place,
    Scratch,
    Source,
    When,
    gain_bound,
    microcode,
)
from solsa.contract.registers import MAX_GROUPS, Register

from .adapt import Adapt
from .arith import by_index, low_bits, saturate, shape_of
from .beat import Geometry
from .error import ErrorUnit
from .neuron import Neurons
from .registers_serial import constant_bits
from .rows import Columns
from .softmax import Divider

#: The reciprocal of a sum above 2**15.
_RECIPROCAL_BITS = 18
_FRESH_TRACES = (NeuronField.FILTER_TRACE, NeuronField.ADAPT_TRACE)


class _State(IntEnum):
    NEURON = 0
    EXP = 1
    READOUT = 2
    HIDDEN = 3
    ADAPT = 4


class Engine(wiring.Component):
    """Accumulator machine with the ports of the neuron, error and filter-constant units.

    Parameters
    ----------
    config : NetworkConfig
        With the serial neuron unit.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        g = self.geometry = Geometry(config)
        error = ErrorUnit(config)
        self.sum_bits = error.sum_bits
        units = Neurons(config), error, Adapt(config, error.sum_bits)
        for unit in units:
            unit._MustUse__used = True  # only their signatures are wanted: no warning that they are not elaborated
        super().__init__(
            {
                "neurons": Out(units[0].signature),
                "error": Out(units[1].signature),
                "adapt": Out(units[2].signature),
                #: what the host reads while idle
                "host_space": In(Space),
                "host_index": In(range(8 * g.layout.post_depth)),
                #: constants: address as in the register map, word one clock later
                "constant_read": Out(1),
                "constant_address": Out(9),
                "constant": In(signed(constant_bits(config))),
                #: sums of the backward pass: neuron of the layer below, error one clock later
                "reading_sums": Out(1),
                "sum_address": Out(g.pre_bits),
                "sum_error": In(shape_of(config.formats.delta)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        g, config, f = self.geometry, self.config, self.config.formats
        code = microcode(config)
        columns = Columns(code.rows)
        neurons, error, adapt = self.neurons, self.error, self.adapt
        last_layer = config.depth - 1

        # -- program counter -----------------------------------------------------------------------------------------
        m.submodules.rom = rom = Memory(
            shape=unsigned(columns.layout.size),
            depth=max(2, len(code.rows)),
            init=[word.as_bits() for word in columns.words],
        )
        fetch = rom.read_port()
        row = data.View(columns.layout, fetch.data)
        pc_bits = bits_for(len(code.rows))
        running, state = Signal(), Signal(_State)
        pc, layer, index, final = Signal(pc_bits), Signal(g.layer_bits), Signal(g.post_bits), Signal(g.post_bits)
        starts = [code.starts.get(s.name.lower(), 0) for s in _State]
        shifting, turn = Signal(), Signal(range(VARIABLE_SHIFT_CLOCKS))
        stall, at_end, finished = Signal(), Signal(), Signal()
        # second stage: the row that computes, and whose it is
        row2, running2, state2 = Signal(columns.layout), Signal(), Signal(_State)
        layer2, index2, finished2 = Signal.like(layer), Signal.like(index), Signal()
        m.d.comb += [
            stall.eq(shifting & (turn != VARIABLE_SHIFT_CLOCKS - 1)),
            at_end.eq(running & ~stall & columns.match(row, "end", True)),
            finished.eq(at_end & (index == final)),
        ]
        m.d.sync += [turn.eq(Mux(stall, turn + 1, 0)), finished2.eq(finished)]
        with m.If(~stall):
            m.d.sync += [
                row2.eq(row), running2.eq(running), state2.eq(state), layer2.eq(layer), index2.eq(index),
            ]  # fmt: skip

        with m.If(~stall):
            m.d.sync += shifting.eq(running & columns.match(row, "op", Op.SHIFT))

        def reads(name: str, *wanted: object) -> Value:
            """Whether the row in the first stage has one of some values in a column."""
            return running & ~stall & columns.match(row, name, *wanted)

        def is_(name: str, *wanted: object) -> Value:
            """The same for the row in the second stage, decoded before: no gate between the register and its use."""
            found = Signal(name="is_" + "_".join([name, *(str(getattr(w, "name", w)).lower() for w in wanted)]))
            with m.If(~stall):
                m.d.sync += found.eq(running & columns.match(row, name, *wanted))
            return found

        m.submodules.divider = divider = Divider(EXP_WIDTH + bits_for(config.outputs))
        exp = "exp" in code.starts
        launch, program = Signal(), Signal(_State)
        launch_layer, launch_index, launch_final = Signal.like(layer), Signal.like(index), Signal.like(final)
        beat = neurons.block_beat
        first = beat.block << g.lane_shift
        ragged = by_index(m, beat.layer, g.ragged, "ragged")
        posts = [v - 1 for v in g.posts]
        last_error = by_index(m, error.error_layer, posts, "last_error")
        last_group = by_index(m, adapt.layer, [config.used_groups(i) - 1 for i in range(config.depth)], "last_group")
        start_of_launch = by_index(m, program, starts, "start_of_launch")
        start_of_state = by_index(m, state, starts, "start_of_state")
        with m.If(neurons.block_valid):
            m.d.comb += [
                launch.eq(1),
                program.eq(_State.NEURON),
                launch_layer.eq(beat.layer),
                launch_index.eq(first),
                launch_final.eq(first + Mux(beat.last_block, ragged, config.lanes) - 1),
            ]
        with m.Elif(error.start | (divider.done if exp else 0)):
            m.d.comb += [
                launch.eq(1),
                program.eq(Mux(error.start, _State.EXP, _State.READOUT) if exp else _State.READOUT),
                launch_layer.eq(last_layer),
                launch_final.eq(config.outputs - 1),
            ]
        with m.Elif(error.error_valid & (error.error_post == last_error)):
            m.d.comb += [
                launch.eq(1),
                program.eq(_State.HIDDEN),
                launch_layer.eq(error.error_layer),
                launch_final.eq(error.error_post),
            ]
        with m.Elif(adapt.start):
            m.d.comb += [
                launch.eq(1),
                program.eq(_State.ADAPT),
                launch_layer.eq(adapt.layer),
                launch_final.eq(last_group),
            ]
        with m.If(launch):
            m.d.sync += [
                running.eq(1),
                state.eq(program),
                layer.eq(launch_layer),
                index.eq(launch_index),
                final.eq(launch_final),
            ]
            m.d.comb += fetch.addr.eq(start_of_launch)
        with m.Elif(at_end):
            m.d.sync += index.eq(index + 1)
            with m.If(finished):
                m.d.sync += running.eq(0)
            m.d.comb += fetch.addr.eq(start_of_state)
        with m.Else():
            m.d.comb += fetch.addr.eq(Mux(stall, pc, pc + 1))
        m.d.sync += pc.eq(fetch.addr)
        divide = Signal()
        m.d.sync += divide.eq(finished2 & (state2 == _State.EXP))
        m.d.comb += divider.start.eq(divide)

        # -- memory of neurons, scratch words and scores -------------------------------------------------------------
        word_bits = max(
            f.current.width, f.membrane.width, f.filter_trace.width, f.adapt_trace.width, f.gain.width, f.score.width,
            f.surrogate.width + 1, EXP_WIDTH + bits_for(config.outputs) + 1,
        )  # fmt: skip
        scratch = 8 * g.layout.post_depth
        scores = scratch + len(Scratch)
        depth = scores + config.outputs
        m.submodules.words = words = Memory(shape=signed(word_bits), depth=depth, init=[])
        read, write = words.read_port(), words.write_port()
        base = by_index(m, layer, list(g.layout.post_base), "post_base")
        neuron, neuron2 = (Signal(range(max(2, g.layout.post_depth)), name=f"neuron_{i}") for i in (1, 2))
        m.d.comb += neuron.eq(base + index)
        with m.If(~stall):
            m.d.sync += neuron2.eq(neuron)

        def address(of: data.View, place: str, ident: str, neuron: Signal, index: Signal) -> Signal:
            out = Signal(range(depth), name=f"{place}_address")
            ids = by_index(m, of[ident], columns.values[ident], f"{ident}_value")
            m.d.comb += out.eq(Cat(low_bits(ids, 3), neuron))
            with m.If(columns.match(of, place, Place.SCRATCH)):
                m.d.comb += out.eq(scratch + ids)
            with m.If(columns.match(of, place, Place.SCORE)):
                m.d.comb += out.eq(scores + index)
            return out

        accumulator_bits = max(self.sum_bits + 1, self._x_bits + self._right_bits + 1)
        accumulator = Signal(signed(accumulator_bits))
        host_score = self.host_space == Space.SCORE
        host_address = Mux(host_score, scores + self.host_index, self.host_index)
        fetching, trace_word = reads("read", Place.NEURON, Place.SCRATCH, Place.SCORE), Signal()
        m.d.comb += [
            read.addr.eq(Mux(neurons.idle, host_address, address(row, "read", "read_id", neuron, index))),
            read.en.eq(neurons.idle | fetching),
        ]
        with m.If(fetching):
            m.d.sync += trace_word.eq(
                columns.match(row, "read", Place.NEURON) & columns.match(row, "read_id", *_FRESH_TRACES)
            )
        new_top = Signal()
        negative, last_is = Signal(), layer2 == last_layer
        m.d.comb += new_top.eq(last_is & ((index2 == 0) | ~negative))
        allowed = (
            is_("when", When.ALWAYS)
            | (is_("when", When.LEARN) & neurons.learn)
            | (is_("when", When.LAST_LAYER) & last_is)
            | (is_("when", When.NEW_TOP) & new_top)
        )
        m.d.comb += [
            write.addr.eq(address(row2, "write", "write_id", neuron2, index2)),
            write.en.eq(is_("write", Place.NEURON, Place.SCRATCH, Place.SCORE) & allowed),
            write.data.eq(accumulator),
        ]
        for name, _ in neurons.read_word.shape():
            m.d.comb += neurons.read_word[name].eq(read.data)
        m.d.comb += neurons.score_word.eq(read.data)

        # -- constants -----------------------------------------------------------------------------------------------
        group_bits = config.groups.bit_length() - 1
        group = index[:group_bits] if group_bits else C(0, 1)
        ids = by_index(m, row.read_id, columns.values["read_id"], "constant_id")
        m.d.comb += self.constant_read.eq(reads("read", Place.LAYER, Place.GLOBAL, Place.LAM))
        m.d.comb += self.constant_address.eq(Register.LAYER + Cat(low_bits(ids, 4), layer))
        with m.If(columns.match(row, "read", Place.GLOBAL)):
            m.d.comb += self.constant_address.eq(ids)
        with m.If(columns.match(row, "read", Place.LAM)):
            m.d.comb += self.constant_address.eq(
                Register.LAM + Cat(low_bits(group, MAX_GROUPS.bit_length() - 1), layer)
            )

        # -- surrogate and exp tables --------------------------------------------------------------------------------
        m.submodules.table = table = Memory(shape=shape_of(f.surrogate), depth=config.surrogate_entries, init=[])
        table_read, table_write = table.read_port(), table.write_port()
        entries = config.surrogate_entries
        surrogate_index = Signal(range(entries))
        m.d.comb += [
            table_read.addr.eq(Mux(neurons.idle, neurons.table_address, surrogate_index)),
            table_write.en.eq(neurons.table_write),
            table_write.addr.eq(neurons.table_address),
            table_write.data.eq(neurons.table_value),
            neurons.table_word.eq(table_read.data),
        ]
        spikes = by_index(m, layer2, [int(config.spiking(i)) for i in range(config.depth)], "spikes")
        count = Signal(5)
        frac = f.membrane.frac
        exp_index, exp_word = Signal(EXP_INDEX_BITS), Signal(EXP_WIDTH)
        if exp:
            m.submodules.exp = exp_table = Memory(
                shape=unsigned(EXP_WIDTH), depth=1 << EXP_INDEX_BITS, init=exp_entries()
            )
            exp_read = exp_table.read_port()
            m.d.comb += [exp_read.addr.eq(exp_index), exp_word.eq(exp_read.data)]

        # -- B bus ---------------------------------------------------------------------------------------------------
        fired, spike, delta = Signal(), Signal(), Signal(shape_of(f.delta))
        x, part = Signal(signed(self._x_bits)), Signal(signed(max(PART_BITS + 1, self._x_bits - PART_BITS)))
        right = Signal(signed(self._right_bits))
        product = Signal(signed(len(part) + self._right_bits))
        sums = error.sums
        total = by_index(m, group, list(sums), "total")
        zero = Signal()
        with m.If(state == _State.NEURON):
            m.d.comb += zero.eq(row.fresh & Mux(trace_word, neurons.fresh_traces, neurons.fresh_neurons))
        with m.Else():
            m.d.comb += zero.eq(row.fresh & (index == 0))
        word = Signal(signed(word_bits))
        m.d.comb += word.eq(Mux(zero, 0, read.data))
        labelled = index == error.label
        a_stored = by_index(m, Cat(low_bits(group, group_bits), layer), list(adapt.constants), "a_stored")
        current_shift = f.operations()["current_sum"].shift
        constant = self.constant
        sources: dict[Source, Value] = {
            Source.FIELD: word,
            Source.CONSTANT: constant,
            Source.CONSTANT_IF_FIRED: Mux(fired, constant, 0),
            Source.CONSTANT_RAISED: (constant << ADAPT_GUARD).as_signed(),
            Source.CHAIN: neurons.chain[: g.accumulator_bits].as_signed() >> current_shift,
            Source.A: a_stored >> (f.adaptive.width - DECAY_FRAC),
            Source.A_STORED: a_stored,
            Source.SURROGATE: Mux(spikes, table_read.data, 0),
            Source.SPIKE: spike,
            Source.EXP: exp_word,
            Source.LOG2E: C(LOG2E),
            Source.RECIPROCAL: divider.quotient[:_RECIPROCAL_BITS],
            Source.ONE_IF_LABEL: Mux(labelled, f.delta.one, 0),
            Source.FIELD_IF_WRONG_SPIKE: Mux(fired & ~labelled, word, 0),
            Source.FIELD_IF_MISSING_SPIKE: Mux(~fired & labelled, word, 0),
            Source.ERROR: self.sum_error,
            Source.DELTA: delta,
            Source.SUM: Mux(row.fresh & (index < config.groups), 0, total),
        }
        word_in, b = Signal(signed(accumulator_bits)), Signal(signed(accumulator_bits))
        with m.If(~stall):
            m.d.sync += word_in.eq(0)
            with m.Switch(row.source):
                for i, source in enumerate(columns.values["source"]):
                    if source in sources:
                        with m.Case(i):
                            m.d.sync += word_in.eq(sources[source])
        #: what the row before has computed is only there in the second stage
        computed: dict[Source, Value] = {
            Source.ACC: accumulator,
            Source.X: x,
            Source.PRODUCT: product,
            Source.PRODUCT_HIGH: (product << PART_BITS).as_signed(),
            Source.X_OFFSET: (x << (RIGHT_BITS - 1)).as_signed(),
        }
        gathered: Value = word_in
        for source, value in computed.items():
            wide = Signal(signed(accumulator_bits), name=f"from_{source.name.lower()}")
            m.d.comb += wide.eq(value)
            gathered = gathered | (wide & is_("source", source).replicate(accumulator_bits))
        m.d.comb += b.eq(gathered)

        # -- multiplier ----------------------------------------------------------------------------------------------
        m.d.sync += product.eq(part * right)
        part_high, part_low = is_("part", Part.HIGH), is_("part", Part.LOW, Part.LOW_UNSIGNED)
        part_unsigned = is_("part", Part.LOW_UNSIGNED)
        with m.If(is_("set_x", True)):
            m.d.sync += x.eq(b)
        with m.If(part_high):
            m.d.sync += part.eq(x >> PART_BITS)
        with m.Elif(part_low):
            m.d.sync += [part.eq(x[:PART_BITS]), right.eq(b)]
            with m.If(part_unsigned):
                m.d.sync += right.eq(Cat(b[: RIGHT_BITS - 1], ~b[RIGHT_BITS - 1]).as_signed())

        # -- accumulator ---------------------------------------------------------------------------------------------
        sign = accumulator[-1]
        sticky, last = Signal(), Signal()
        subtract = is_("op", Op.SUB) | (is_("op", Op.MAGNITUDE) & negative)
        keep = is_("op", Op.ADD, Op.SUB, Op.ROUND_ZERO, Op.ROUND_HALF)
        rounding = is_("op", Op.ROUND_ZERO, Op.ROUND_HALF)
        carry = Signal()
        m.d.comb += carry.eq(subtract)
        with m.If(is_("op", Op.ROUND_ZERO)):
            m.d.comb += carry.eq(sign & sticky)
        with m.If(is_("op", Op.ROUND_HALF)):
            m.d.comb += carry.eq(last)
        left_operand, right_operand = Signal(accumulator_bits), Signal(accumulator_bits)
        m.d.comb += [
            left_operand.eq(Mux(keep, accumulator, 0)),
            right_operand.eq(Mux(rounding, 0, b ^ subtract.replicate(accumulator_bits))),
        ]
        # carry in through an extra lowest bit: one carry chain
        added = (Cat(C(1, 1), left_operand) + Cat(carry, right_operand))[1 : accumulator_bits + 1]
        by8, by1 = Signal(), Signal()
        early = turn < 3
        m.d.comb += [
            by8.eq(is_("op", Op.SHIFT8) | (shifting & early & (count >= 8))),
            by1.eq(is_("op", Op.SHIFT1) | (shifting & ~early & (count != 0))),
        ]
        with m.If(shifting & by8):
            m.d.sync += count.eq(count - 8)
        with m.If(shifting & by1):
            m.d.sync += count.eq(count - 1)
        with m.If(by8):
            m.d.sync += [
                accumulator.eq(accumulator >> 8), sticky.eq(sticky | accumulator[:8].any()), last.eq(accumulator[7]),
            ]  # fmt: skip
        with m.If(by1):
            m.d.sync += [
                accumulator.eq(accumulator >> 1), sticky.eq(sticky | accumulator[0]), last.eq(accumulator[0]),
            ]  # fmt: skip
        with m.If(is_("op", Op.LOAD, Op.ADD, Op.SUB, Op.MAGNITUDE, Op.ROUND_ZERO, Op.ROUND_HALF)):
            m.d.sync += [accumulator.eq(added), sticky.eq(0), last.eq(0)]
        for fmt in columns.values["fmt"]:
            if fmt is not None:
                with m.If(is_("fmt", fmt)):  # only rows that saturate have a format
                    m.d.sync += accumulator.eq(saturate(accumulator, fmt))
        above = ~sign & accumulator.any()
        with m.If(is_("op", Op.NOT_ABOVE_ZERO) & above | is_("op", Op.NOT_BELOW_ZERO) & sign):
            m.d.sync += accumulator.eq(0)

        # -- side effects --------------------------------------------------------------------------------------------
        act = {a: is_("act", a) for a in Act}
        with m.If(reads("act", Act.FIRED)):
            m.d.sync += fired.eq(word[0])
        with m.If(reads("act", Act.COUNT)):
            m.d.sync += count.eq(constant)
        with m.If(act[Act.SIGN] | act[Act.SPIKE]):
            m.d.sync += negative.eq(sign)
        with m.If(act[Act.SPIKE]):
            m.d.sync += spike.eq(sign & spikes)
        with m.If(act[Act.SURROGATE_INDEX]):
            beyond = accumulator[len(surrogate_index) :].any()
            m.d.sync += surrogate_index.eq(Mux(beyond, entries - 1, accumulator))
        if exp:
            with m.If(act[Act.EXP_INDEX]):
                beyond = accumulator[frac + 4 :].any()
                m.d.sync += [
                    exp_index.eq(accumulator[frac - EXP_INDEX_BITS : frac]),
                    count.eq(Mux(beyond, EXP_WIDTH, accumulator[frac : frac + 4])),
                ]
            with m.If(act[Act.DIVISOR]):
                m.d.sync += divider.divisor.eq(accumulator)
        with m.If(act[Act.DELTA]):
            m.d.sync += delta.eq(accumulator)
        group2 = index2[:group_bits] if group_bits else C(0, 1)
        with m.If(act[Act.SUM]):
            for k in range(config.groups):
                with m.If(group2 == k):
                    m.d.sync += sums[k].eq(accumulator)
        constant_index = Signal(range(max(2, config.depth * config.groups)))
        m.d.comb += constant_index.eq(layer2 * config.groups + index2)
        for i in range(config.depth * config.groups):
            with m.If(act[Act.CONSTANT_OUT] & (constant_index == i)):
                m.d.sync += adapt.constants[i].eq(accumulator)
            with m.If(adapt.write & (adapt.write_index == i)):
                m.d.sync += adapt.constants[i].eq(adapt.write_value)

        # -- outputs -------------------------------------------------------------------------------------------------
        end = index2 == by_index(m, layer2, posts, "posts_minus_1")
        events = Signal(g.post_bits)
        m.d.comb += [
            neurons.shift.eq(act[Act.TAKE]),
            events.eq(Mux(index2 == 0, 0, neurons.emitted_events)),
            neurons.spike_valid.eq(act[Act.EMIT]),
            neurons.spike.eq(spike),
            neurons.spike_layer.eq(layer2),
            neurons.spike_post.eq(index2),
            neurons.spike_event.eq(events),
            neurons.score_retired.eq(act[Act.SCORE] & last_is),
            neurons.score_post.eq(index2),
            neurons.score_value.eq(accumulator),
            neurons.retired.eq(act[Act.RETIRE]),
            neurons.retired_layer.eq(layer2),
            neurons.retired_post.eq(index2),
            neurons.done.eq(act[Act.RETIRE] & end & last_is),
            error.valid.eq(act[Act.ERROR_OUT]),
            error.layer.eq(layer2),
            error.post.eq(index2),
            error.delta.eq(delta),
            error.rate_step.eq(accumulator),
            error.done.eq(finished2 & ((state2 == _State.READOUT) | (state2 == _State.HIDDEN))),
            adapt.idle.eq(~(running & (state == _State.ADAPT)) & ~(running2 & (state2 == _State.ADAPT)) & ~adapt.start),
            adapt.retired.eq(act[Act.CONSTANT_OUT]),
            adapt.retired_index.eq(constant_index),
            adapt.retired_value.eq(accumulator),
            self.reading_sums.eq(running & (state == _State.HIDDEN)),
            self.sum_address.eq(index),
        ]
        with m.If(neurons.start):
            m.d.sync += neurons.emitted_valid.eq(0)
        with m.If(neurons.spike_valid):
            m.d.sync += [
                neurons.emitted_valid.eq(1),
                neurons.emitted_layer.eq(layer2),
                neurons.emitted.eq(index2 + 1),
                neurons.emitted_events.eq(events + spike),
                neurons.emitted_all.eq(end),
            ]
        self._observe(m, columns, (row, row2), (reads, is_), read.data, accumulator, allowed, spike)
        return m

    @property
    def _x_bits(self) -> int:
        f = self.config.formats
        return max(
            f.current.width, f.membrane.width + 1, f.threshold.width + 1, f.filter_trace.width, f.adapt_trace.width,
            f.adapt_sum.width, f.surrogate.width + 1, f.adaptive.width + 2, _RECIPROCAL_BITS + 1,
            gain_bound(self.config).width,
        )  # fmt: skip

    @property
    def _right_bits(self) -> int:
        f = self.config.formats
        return max(RIGHT_BITS, f.gain.width, f.delta.width)

    def _observe(self, m: Module, columns: Columns, rows: tuple[data.View, data.View], has, raw: Value, stored: Value,
                 allowed: Value, spike: Value) -> None:  # fmt: skip
        """A neuron's words as they are written, for the observation port; synthesis drops it with the port."""
        seen = Signal(self.geometry.neuron_layout())
        word = self.neurons.retired_word
        last_read = Signal(3)
        reads, is_ = has
        ids = by_index(m, rows[0].read_id, columns.values["read_id"], "observed_id")
        with m.If(reads("read", Place.NEURON)):
            m.d.sync += last_read.eq(ids)
        written = by_index(m, rows[1].write_id, columns.values["write_id"], "observed_write_id")
        for field in NeuronField:
            name = field.name.lower()
            with m.If(reads("source", Source.FIELD) & reads("set_x", True) & (last_read == field)):
                m.d.sync += seen[name].eq(raw)
            with m.If(is_("write", Place.NEURON) & allowed & (written == field)):
                m.d.sync += seen[name].eq(stored)
        m.d.comb += [word.eq(seen), word.spike.eq(spike)]
