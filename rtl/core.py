"""The core: connects the units, computes nothing itself."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from solsa.contract import NetworkConfig
from solsa.contract.formats import ADAPT_GUARD

from .adapt import Adapt
from .arith import delayed
from .backward import Backward
from .beat import Mode
from .bus import HostBus, StepCommand
from .changes import Changes
from .control import Control
from .engine import Engine
from .error import ErrorUnit
from .host_port import HostPort
from .lanes import Lanes
from .neuron import Neurons
from .normalise import MeanErrors
from .observe import Observation
from .presynaptic import Presynaptic
from .random import Generator
from .registers import RegisterFile
from .registers_serial import SerialRegisters
from .sequencer import Sequencer
from .stop import Lead


class Core(wiring.Component):
    """A network that learns.

    Parameters
    ----------
    config : NetworkConfig
        Geometry, lanes, formats.
    observe : bool
        Add the observation port.
    """

    def __init__(self, config: NetworkConfig, *, observe: bool = False) -> None:
        self.config, self.observed = config, observe
        ports = {
            "bus": In(HostBus()),
            #: inputs of the next step, N words in order; taken while not busy
            "inputs": In(stream.Signature(signed(8))),
            #: targets of the next step (readout target), M words in order
            "targets": In(stream.Signature(signed(16))),
            #: run a time step
            "command": In(stream.Signature(StepCommand)),
            #: from the clock after a command until the step has ended
            "busy": Out(1),
        }
        if observe:
            ports["observe"] = Out(Observation(config))
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        last_layer = config.depth - 1
        m.submodules.control = control = Control(config)
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.presynaptic = pre = Presynaptic(config)
        m.submodules.generator = generator = Generator(config)
        m.submodules.lanes = lanes = Lanes(config, pre.data_bits)
        if config.serial:
            m.submodules.engine = engine = Engine(config)
            neurons, error, adapt = engine.neurons, engine.error, engine.adapt
            m.submodules.registers = registers = SerialRegisters(config)
        else:
            m.submodules.neurons = neurons = Neurons(config)
            m.submodules.error = error = ErrorUnit(config)
            m.submodules.adapt = adapt = Adapt(config, error.sum_bits)
            m.submodules.registers = registers = RegisterFile(config)
        m.submodules.backward = backward = Backward(config, len(lanes.error_sum))
        m.submodules.host = host = HostPort(config, pre.data_bits)

        idle = ~control.busy
        index, value = self.bus.index, self.bus.data
        if not config.serial:
            # They stand long before anything is read or written: registers here keep link and core apart.
            index, value = (
                delayed(m, word, 1, name)[1] for word, name in ((index, "host_index"), (value, "host_value"))
            )
        #: option probe: the words of S lie above those of the schedule
        above_table = Signal()
        connect(m, flipped(self.bus), host.bus)
        connect(m, flipped(self.command), control.command)
        m.d.comb += [
            self.busy.eq(control.busy),
            self.inputs.ready.eq(idle),
            self.targets.ready.eq(idle),
            # sequencer
            sequencer.begin.eq(control.begin),
            sequencer.start.eq(control.sweep),
            sequencer.mode.eq(control.mode),
            sequencer.layer.eq(control.layer),
            control.sweep_idle.eq(sequencer.idle),
            sequencer.input_events.eq(pre.input_events),
            sequencer.emitted_layer.eq(neurons.emitted_layer),
            sequencer.emitted_valid.eq(neurons.emitted_valid),
            sequencer.emitted.eq(neurons.emitted),
            sequencer.emitted_events.eq(neurons.emitted_events),
            sequencer.emitted_all.eq(neurons.emitted_all),
            # pre-synaptic unit
            pre.slot.eq(sequencer.slot),
            pre.fresh.eq(control.fresh[1]),
            pre.write.eq(self.inputs.valid & idle),
            pre.write_value.eq(self.inputs.payload),
            pre.restart.eq(control.end),
            pre.spike_valid.eq(neurons.spike_valid),
            pre.spike.eq(neurons.spike),
            pre.spike_layer.eq(neurons.spike_layer),
            pre.spike_post.eq(neurons.spike_post),
            pre.spike_event.eq(neurons.spike_event),
            pre.idle.eq(idle),
            # generator, lanes
            generator.beat.eq(pre.beat),
            lanes.beat.eq(pre.beat),
            lanes.fresh.eq(control.fresh[1]),
            lanes.x_early.eq(pre.x),
            lanes.filter_early.eq(pre.filter),
            lanes.random.eq(generator.word),
            control.pending.eq(lanes.pending | pre.pending),
            # neurons
            neurons.start.eq(control.begin),
            neurons.learn.eq(control.learn),
            neurons.fresh_neurons.eq(control.fresh[0]),
            neurons.fresh_traces.eq(control.fresh[1]),
            neurons.block_valid.eq(lanes.block_valid),
            neurons.block_beat.eq(lanes.block_beat),
            neurons.chain.eq(lanes.chain),
            lanes.shift.eq(neurons.shift | idle),
            neurons.lam.eq(registers.lam),
            neurons.theta.eq(registers.theta),
            neurons.rho.eq(registers.rho),
            neurons.surrogate_shift.eq(registers.surrogate_shift),
            neurons.idle.eq(idle),
            control.neurons_done.eq(neurons.done),
            lanes.gain_valid.eq(neurons.retired),
            lanes.gain_layer.eq(neurons.retired_layer),
            lanes.gain_post.eq(neurons.retired_post),
            lanes.gain.eq(neurons.retired_word.gain),
            # errors
            backward.beat.eq(lanes.error_beat),
            backward.sum.eq(lanes.error_sum),
            error.label.eq(control.label),
            error.target_write.eq(self.targets.valid & idle),
            error.target_value.eq(self.targets.payload),
            error.restart.eq(control.end),
            error.membrane_valid.eq(neurons.spike_valid & (neurons.spike_layer == last_layer)),
            error.membrane_post.eq(neurons.spike_post),
            error.membrane.eq(neurons.membrane),
            error.start.eq(control.error_start),
            error.error_valid.eq(backward.valid),
            error.error_layer.eq(backward.layer),
            error.error_post.eq(backward.post),
            error.error.eq(backward.error),
            error.read_word.eq(neurons.read_word),
            error.rate_mantissa.eq(registers.rate_mantissa),
            error.rate_shift.eq(registers.rate_shift),
            control.error_done.eq(error.done),
            lanes.error_valid.eq(error.valid),
            lanes.error_layer.eq(error.layer),
            lanes.error_post.eq(error.post),
            lanes.delta.eq(error.delta),
            lanes.rate_step.eq(error.rate_step),
            # filter constants
            adapt.start.eq(control.adapt_start),
            adapt.layer.eq(control.layer),
            adapt.sums.eq(error.sums),
            adapt.mantissa.eq(registers.adapt_mantissa),
            adapt.shift.eq(registers.adapt_shift),
            adapt.a_min.eq(registers.a_min),
            adapt.a_max.eq(registers.a_max),
            control.adapt_idle.eq(adapt.idle),
            # registers
            registers.address.eq(index),
            registers.value.eq(value),
            registers.write.eq(host.register_write),
            registers.take.eq(host.register_take),
            registers.a.eq(adapt.constants),
            adapt.write.eq(registers.a_write),
            adapt.write_index.eq(registers.a_index),
            adapt.write_value.eq(value),
            registers.rng.eq(generator.master),
            generator.write.eq(registers.rng_write),
            generator.write_value.eq(value),
            registers.fresh.eq(control.fresh),
            registers.step.eq(control.step),
            registers.updates.eq(control.updates),
            # host
            host.core_idle.eq(idle),
            host.chain.eq(lanes.chain),
            host.register_status.eq(registers.status),
            host.register_answer.eq(registers.answer),
            pre.host_valid.eq(host.beat_valid),
            pre.host_mode.eq(host.beat_mode),
            pre.host_address.eq(host.beat_address),
            pre.host_data.eq(host.beat_data),
            lanes.host_lane.eq(host.lane),
            lanes.host_padding.eq(host.padding),
            lanes.host_trace.eq(host.trace),
            pre.filter_address.eq(index >> (pre.geometry.layout.filter_banks.bit_length() - 1)),
            host.filter_words.eq(pre.filter_words),
            host.neuron_word.eq(neurons.read_word),
            neurons.score_address.eq(index),
            host.score_word.eq(neurons.score_word),
            neurons.table_address.eq(index),
            neurons.table_write.eq(host.surrogate_write),
            neurons.table_value.eq(value),
            host.surrogate_word.eq(neurons.table_word),
            control.table_address.eq(index),
            control.table_write.eq(host.schedule_write & ~above_table),
            control.table_value.eq(value),
            host.schedule_word.eq(control.table_word),
            # options
            registers.right.eq(control.right),
            control.stop_points.eq(registers.stop_points),
            control.probe.eq(registers.probe),
        ]
        if config.recurrent:
            m.d.comb += [
                pre.sweep.eq(control.sweep),
                pre.sweep_layer.eq(control.layer),
                pre.fresh_neurons.eq(control.fresh[0]),
                sequencer.own_events.eq(pre.own_events),
            ]
        if config.early_stop:
            m.submodules.lead = lead = Lead(config)
            m.d.comb += [
                lead.valid.eq(neurons.score_retired),
                lead.post.eq(neurons.score_post),
                lead.score.eq(neurons.score_value),
                lead.label.eq(control.label),
                lead.margin.eq(registers.stop_margin),
                control.right_now.eq(lead.right),
            ]
        if config.probe:
            m.submodules.changes = changes = Changes(config, len(lanes.error_sum))
            m.d.comb += [
                changes.begin.eq(control.begin),
                changes.valid.eq(lanes.change_valid),
                changes.sum.eq(lanes.error_sum),
                changes.store.eq(control.end & control.probed),
                changes.step.eq(control.step),
                changes.idle.eq(idle & ~self.command.valid),
                changes.address.eq(index),
                changes.write.eq(host.schedule_write & above_table),
                changes.value.eq(value),
                above_table.eq(index[config.max_steps.bit_length() - 1]),
                host.schedule_word.eq(Mux(above_table, changes.word, control.table_word)),
            ]
        if config.normalise:
            m.submodules.means = means = MeanErrors(config)
            behind_table = Signal()
            m.d.comb += [
                means.norm_shift.eq(registers.norm_shift),
                means.norm_reference.eq(registers.norm_reference),
                means.norm_limit.eq(registers.norm_limit),
                means.layer4.eq(error.layer4),
                means.rate_shift6.eq(error.rate_shift6),
                means.delta7.eq(error.delta7),
                error.shift7.eq(means.shift7),
                means.read_address.eq(error.read_address),
                means.keep.eq(error.valid & ~registers.probe),
                means.idle.eq(idle),
                behind_table.eq(self.bus.index >= config.surrogate_entries),
                means.address.eq(self.bus.index - config.surrogate_entries),
                means.write.eq(host.surrogate_write & behind_table),
                means.value.eq(self.bus.data),
                neurons.table_write.eq(host.surrogate_write & ~behind_table),
                host.surrogate_word.eq(Mux(behind_table, means.word, neurons.table_word)),
            ]
        for i in range(config.depth * config.groups):
            m.d.comb += [
                pre.a[i].eq(adapt.constants[i] >> ADAPT_GUARD),
                neurons.a[i].eq(adapt.constants[i] >> ADAPT_GUARD),
            ]
        if config.serial:
            m.d.comb += [
                engine.host_space.eq(self.bus.space),
                engine.host_index.eq(index),
                engine.constant.eq(registers.constant),
                registers.constant_address.eq(engine.constant_address),
                registers.busy.eq(control.busy),
                registers.constant_read.eq(engine.constant_read),
                engine.sum_error.eq(backward.read_error),
                backward.read_address.eq(engine.sum_address),
                backward.reading.eq(engine.reading_sums),
            ]
        with m.If(idle):
            m.d.comb += neurons.read_address.eq(index >> 3)
        with m.Else():
            m.d.comb += neurons.read_address.eq(error.read_address)

        if self.observed:
            o = self.observe
            retired = lanes.retired
            m.d.comb += [
                o.step.eq(control.end),
                o.trace.eq(retired.valid & (retired.mode == Mode.TRACE)),
                o.update.eq(retired.valid & (retired.mode == Mode.UPDATE)),
                o.layer.eq(retired.layer),
                o.block.eq(retired.block),
                o.pre.eq(retired.pre),
                o.words.eq(lanes.words),
                o.filter.eq(pre.filter_retired),
                o.filter_layer.eq(pre.filter_beat.layer),
                o.filter_block.eq(pre.filter_beat.block),
                o.filter_pre.eq(pre.filter_beat.pre),
                o.filter_words.eq(pre.filter_advanced),
                o.neuron.eq(neurons.retired),
                o.neuron_layer.eq(neurons.retired_layer),
                o.neuron_post.eq(neurons.retired_post),
                o.neuron_word.eq(neurons.retired_word),
                o.error.eq(error.valid),
                o.error_layer.eq(error.layer),
                o.error_post.eq(error.post),
                o.delta.eq(error.delta),
                o.rate_step.eq(error.rate_step),
                *([o.mean.eq(means.keep), o.mean_error.eq(means.mean)] if config.normalise else []),
                o.score.eq(neurons.score_retired),
                o.score_post.eq(neurons.score_post),
                o.score_value.eq(neurons.score_value),
                o.adapt.eq(adapt.retired),
                o.adapt_index.eq(adapt.retired_index),
                o.adapt_value.eq(adapt.retired_value),
                o.rng.eq(generator.master),
                o.updates.eq(control.updates),
            ]
        return m
