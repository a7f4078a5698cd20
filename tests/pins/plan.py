"""What is said over the line, and what golden answers: made before the first clock, in plain Python.

The host's own code encodes the commands (solsa.host.device); the golden device answers them; a golden core that is
stepped directly, without any frame, must end in the same state. The bench then only plays the frames at the pins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from cobs import cobs

from solsa.contract import Layout, NetworkConfig, NeuronField, Register, Space
from solsa.contract.registers import a_address, lam_address, layer_address, space_words
from solsa.contract.wire import CRC_BYTES, REPLY_HEADER, Opcode, unpack_reply, unpack_request
from solsa.golden import GoldenCore
from solsa.host.device import Device
from solsa.host.golden_device import GoldenDevice
from solsa.sim.random_networks import Case, make_case, make_stimuli
from solsa.sim.records import StepInput

from .case import PinCase

#: Updates happen at these steps of a sample, and at no other.
SCHEDULE = (1, 2)
#: Samples: how they are sent, and their steps (networks.make_stimuli): R and r reset, capital letters learn.
SAMPLES: tuple[tuple[Opcode, str, bool], ...] = (
    (Opcode.RUN, "RLLL", True),
    (Opcode.STEP, "RL.L", True),
    (Opcode.RUN, "r..", False),
    (Opcode.RUN, "RLL", False),
)


@dataclass(frozen=True)
class Exchange:
    """A request as it goes over the line, and the reply of the golden device."""

    request: bytes
    reply: bytes


class Recorder:
    """Transport to a golden device that keeps what passes."""

    def __init__(self, config: NetworkConfig) -> None:
        self.golden = GoldenDevice(config)
        self.exchanges: list[Exchange] = []
        self._request = b""

    def send(self, data: bytes) -> None:
        self._request = data
        self.golden.send(data)

    def receive(self, timeout: float) -> bytes:
        reply = self.golden.receive(timeout)
        if self._request.strip(b"\0"):  # not the lone delimiter that opens a session
            self.exchanges.append(Exchange(self._request, reply))
        return reply

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Plan:
    """Exchanges of the learning test in order, and what their words are called.

    Attributes
    ----------
    exchanges : list of Exchange
        Loading, samples, read back.
    names : dict
        Name of a state word by (space, index); words without one pad a memory.
    read_back : int
        Exchanges at the end that read the state.
    """

    exchanges: list[Exchange]
    names: dict[tuple[int, int], str]
    read_back: int


def make_plan(case: PinCase) -> Plan:
    """Plan of a case; raises AssertionError if golden device and golden core disagree, or the case shows nothing."""
    config = case.config
    network = make_case(config, case.seed, "")
    network = replace(network, parameters=network.parameters.with_(schedule=SCHEDULE))
    recorder = Recorder(config)
    device = Device(recorder, config, "golden")
    core = GoldenCore(config, network.parameters, network.weights)
    device.load_network(network.parameters, network.weights)
    rng = np.random.default_rng(case.seed)
    for opcode, steps, adapt in SAMPLES:
        _sample(device, core, opcode, make_stimuli(config, rng, steps, adapt=adapt))
    _check(recorder.golden, core, network)
    before = len(recorder.exchanges)
    for space, start, count in readable(config):
        device.read_words(space, start, count)
    return Plan(recorder.exchanges, word_names(config), len(recorder.exchanges) - before)


def _sample(device: Device, core: GoldenCore, opcode: Opcode, stimuli: list[StepInput]) -> None:
    """A sample to both; one RUN has one label, one STEP each its own."""
    if opcode == Opcode.RUN:
        stimuli = [replace(s, label=stimuli[0].label) for s in stimuli]
        first = stimuli[0]
        targets = None if first.target is None else np.stack([s.target for s in stimuli])
        device.run_sample(np.stack([s.inputs for s in stimuli]), first.label, learn=first.learn,
                          adapt=first.adapt, targets=targets)  # fmt: skip
    for s in stimuli:
        if s.reset:
            core.reset_sample()
        core.step(s.inputs, label=s.label, target=s.target, learn=s.learn, adapt=s.adapt)
        if opcode == Opcode.STEP:
            device.step(s.inputs, s.label, reset=s.reset, learn=s.learn, adapt=s.adapt, targets=s.target)


def _check(golden: GoldenDevice, core: GoldenCore, network: Case) -> None:
    mine, theirs = (c.snapshot(0, False, False) for c in (core, golden.memory.core))
    found = mine.difference(theirs)
    assert found is None, f"golden core and golden device: {found}"
    assert mine.updates == sum(steps[t] in "LR" for _, steps, _ in SAMPLES for t in SCHEDULE), f"{mine.updates} updates"
    for start, a, layer in zip(network.weights, network.parameters.a, mine.layers, strict=True):
        assert not np.array_equal(start, layer.weight), "no weight learned"
        assert list(a) != layer.a.tolist(), "no filter constant was adapted"
        assert np.any(layer.trace), "no trace"
    assert np.any(mine.score), "no score"


def readable(config: NetworkConfig) -> list[tuple[Space, int, int]]:
    """(space, index, count) of everything that can be read; of the registers the windows, not the holes between."""
    windows = [(Register.FRESH, Register.INPUTS + 1 - Register.FRESH)]
    windows += [(layer_address(i, 0), 8) for i in range(config.depth)]
    windows += [(address(0, 0), 8 * config.depth) for address in (a_address, lam_address)]
    words = space_words(config)
    spaces = [s for s in Space if s is not Space.REGISTER]
    return [(Space.REGISTER, *window) for window in windows] + [(space, 0, words[space]) for space in spaces]


def word_names(config: NetworkConfig) -> dict[tuple[int, int], str]:
    """Names of the words of weights, traces, filters and neurons, from the contract's layout."""
    layout, names = Layout(config), {}
    for layer in range(config.depth):
        for post in range(config.post(layer)):
            for pre in range(config.pre(layer)):
                lane, address = layout.synapse_address(layer, post, pre)
                for space in (Space.WEIGHT, Space.TRACE):
                    names[space, address * config.lanes + lane] = f"layer {layer} post {post} pre {pre}"
            for field in NeuronField:
                index = (layout.post_base[layer] + post) * 8 + field
                names[Space.NEURON, index] = f"layer {layer} post {post} {field.name.lower()}"
        for group in range(config.used_groups(layer)):
            for pre in range(config.pre(layer)):
                bank, address = layout.filter_address(layer, pre, group)
                index = address * layout.filter_banks + bank
                names[Space.FILTER, index] = f"layer {layer} pre {pre} group {group}"
    return names


def explain(exchange: Exchange, got: bytes, names: dict[tuple[int, int], str]) -> str:
    """The first word of a reply that is not golden's, by name."""
    request = unpack_request(cobs.decode(exchange.request[:-1]))
    what = f"reply to {Opcode(request.opcode).name}" if request.opcode in list(Opcode) else "reply"
    reply, wanted = cobs.decode(got[:-1]), cobs.decode(exchange.reply[:-1])
    if len(reply) != len(wanted) or reply[:REPLY_HEADER] != wanted[:REPLY_HEADER]:
        return f"{what}: {reply.hex(' ')}, golden {wanted.hex(' ')}"
    body = slice(REPLY_HEADER, -CRC_BYTES)
    pairs = zip(np.frombuffer(reply[body], "<i4").tolist(), np.frombuffer(wanted[body], "<i4").tolist(), strict=True)
    for place, (a, b) in enumerate(pairs):
        if a != b:
            where = f"word {place}"
            if request.opcode in (Opcode.STATE, Opcode.READ):
                space, index = request.payload[0], int.from_bytes(request.payload[1:4], "little") + place
                where = f"{Space(space).name} {index} {names.get((space, index), '')}".strip()
            return f"{what}: {where}: {a}, golden {b}"
    return f"{what}: equal words, wrong CRC"


def without_clocks(reply: bytes) -> list[int]:
    """Words of a reply to INFO; the clock counter, which golden does not have, reads 0."""
    words = np.frombuffer(unpack_reply(cobs.decode(reply[:-1])).payload, "<i4").copy()
    words[Register.CYCLES_LOW : Register.CYCLES_HIGH + 1] = 0
    return words.tolist()
