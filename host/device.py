"""A device that learns: registers, networks, samples; the same for board, simulated device and golden model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import numpy as np

from solsa.contract import CONTRACT_VERSION, NetworkConfig, Parameters, Register, Space
from solsa.contract.parameters import Rate, rate_words
from solsa.contract.registers import (
    MAGIC,
    a_address,
    register_map,
    space_words,
)
from solsa.contract.wire import RUN_HEADER, Opcode, RunFlag, max_steps, max_words, queue_bytes, space_header, window

from .faulty import Faults, FaultyLine
from .learning import Learner
from .link import PAUSE, Link
from .network import Network
from .sample import Parts, Sample, output_words, run_flags, step_bytes
from .transport import DEFAULT_BAUD, MODELS, DeviceError, Transport, open_transport
from .words import AnyInts, Ints, pack_words, split_layers, synapse_positions, unpack_words

__all__ = ["AnyInts", "Device", "DeviceError", "Sample"]

#: Seconds until a request is sent again: a board answers in milliseconds, a simulation takes what it takes.
BOARD_TIMEOUT = 2.0
MODEL_TIMEOUT = 60.0
_NEURON_WORDS = 8


class Device(Learner):
    """An open device whose configuration has been checked. Use as a context manager, or call :meth:`close`.

    Parameters
    ----------
    transport : Transport
        Where the bytes go.
    config : NetworkConfig
        Configuration that the device must have.
    name : str
        Name in error messages.
    timeout : float
        Seconds until an unanswered request is sent again.
    **line
        How to reconnect, see :class:`~solsa.host.link.Link`.

    Raises
    ------
    DeviceError
        If there is no solsa device, or one of another contract version or configuration.
    """

    def __init__(
        self, transport: Transport, config: NetworkConfig, name: str, timeout: float = MODEL_TIMEOUT, **line: Any
    ) -> None:
        self.config = config
        self.name = name
        self.link = Link(transport, name, timeout, **line)
        self.link.table = config.max_steps
        if config.stream:
            self.link.flight.window = window(config.frame_bytes, config.outputs)
            self.link.flight.bytes = queue_bytes(config.frame_bytes)
        self._entries = register_map(config)
        self._by_name = {e.name: e.address for e in self._entries.values()}
        self._positions = synapse_positions(config)
        self._words = space_words(config)
        self._check_identity(self.link.start())

    @classmethod
    def open(
        cls,
        where: str,
        network: Network | NetworkConfig,
        *,
        baud: int = DEFAULT_BAUD,
        timeout: float | None = None,
        say: Callable[[str], None] | None = None,
        faults: Faults | None = None,
    ) -> Self:
        """Open a device by name: ``golden``, ``sim``, ``sim-serial`` or a serial port.

        ``say`` is called before something slow. A network is loaded at once, see
        :class:`~solsa.host.learning.Learner`; with a configuration alone the device stays as it is. A serial port that
        is lost is waited for and opened again. With ``faults`` the line lies (host/faulty.py).

        Raises
        ------
        DeviceError
            If it cannot be reached or is not the device that the configuration describes.
        """
        config = network.config if isinstance(network, Network) else network
        model = where in MODELS

        def connect() -> Transport:
            return open_transport(where, config, baud, say)

        transport = faulty = connect() if faults is None else FaultyLine(connect, faults)

        def reconnect() -> Transport:
            nonlocal transport
            with suppress(OSError):
                transport.close()
            transport = connect()
            return transport

        if timeout is None:
            timeout = MODEL_TIMEOUT if model else BOARD_TIMEOUT
        line: dict[str, Any] = {} if model else {"reopen": reconnect, "say": say or (lambda _: None)}
        if isinstance(faulty, FaultyLine):
            line = {"reopen": faulty.reopen, "pause": 0.0 if model else PAUSE}
        try:
            device = cls(transport, config, where, timeout, **line)
            if isinstance(network, Network):
                device.load(network)
            return device
        except BaseException:
            transport.close()
            raise

    def close(self) -> None:
        """Release the device."""
        self.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _check_identity(self, reply: bytes) -> None:
        info = unpack_words(reply[: len(reply) // 4 * 4])
        if len(info) <= Register.CONFIG_HASH or info[Register.MAGIC] != MAGIC:
            raise DeviceError(f"{self.name} answers, but is not a solsa device")
        version = int(info[Register.CONTRACT_VERSION])
        if version != CONTRACT_VERSION:
            raise DeviceError(f"device {self.name} has contract version {version}, this solsa needs {CONTRACT_VERSION}")
        found = f"{int(info[Register.CONFIG_HASH]) & 0xFFFFFFFF:08x}"
        if found != self.config.config_hash:
            layers = "-".join(map(str, self.config.layers))
            raise DeviceError(
                f"device {self.name} holds configuration {found}, this run needs {self.config.config_hash} "
                f"({layers}, {self.config.lanes} lanes); choose its preset or load another bitstream"
            )

    # -- words and registers ------------------------------------------------------------------------------------------
    def read_words(self, space: Space, index: int, count: int) -> Ints:
        """Words of an address space as signed integers, int64 [count]; any count."""
        parts, start, end = [], index, index + count
        while start < end:
            part = min(self._max_words, end - start)
            parts.append(self._read(Opcode.STATE, space, start, part))
            start += part
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def _read(self, opcode: Opcode, space: Space, index: int, count: int) -> Ints:
        """Words by one request."""
        reply = self.link.request(opcode, space_header(space, index) + bytes([count]))
        if len(reply) != 4 * count:
            raise DeviceError(f"device {self.name} sent {len(reply)} bytes for {count} words of {space.name}")
        return unpack_words(reply)

    def load_words(self, space: Space, index: int, words: AnyInts) -> None:
        """Write words into an address space; any count (registers one by one)."""
        start = 0
        while start < len(words):
            size = 1 if space is Space.REGISTER else self._max_words
            payload = space_header(space, index + start) + pack_words(words[start : start + size].astype(np.int64))
            self.link.request(Opcode.LOAD, payload)
            start += size

    @property
    def _max_words(self) -> int:
        """Words per frame: what the device takes, fewer on a bad line."""
        return max_words(min(self.config.frame_bytes, self.link.frame_bytes))

    @property
    def _max_steps(self) -> int:
        """Steps per frame: what the device takes, fewer on a bad line, but at least one."""
        return max(1, max_steps(min(self.config.frame_bytes, self.link.frame_bytes), self.config.step_bytes))

    def read_register(self, register: str | int) -> int:
        """Value of a register by address or dotted name, such as ``layer0.theta``."""
        address = self._address(register)
        word = int(self._read(Opcode.READ, Space.REGISTER, address, 1)[0])
        entry = self._entries.get(address)
        return word if entry is not None and entry.signed else word & 0xFFFFFFFF

    def write_register(self, register: str | int, value: int) -> None:
        """Write a register by address or dotted name; DeviceError names a value that it cannot take."""
        address = self._address(register)
        entry = self._entries.get(address)
        if entry is not None and entry.writable and not entry.low <= value <= entry.high:
            raise DeviceError(f"register {entry.name}: {value}, allowed {entry.low} to {entry.high}")
        self.link.request(Opcode.WRITE, space_header(Space.REGISTER, address) + pack_words(np.array([value])))

    def _address(self, register: str | int) -> int:
        if not isinstance(register, str):
            return int(register)
        if register not in self._by_name:
            raise DeviceError(f"register {register!r} does not exist in this configuration")
        return self._by_name[register]

    @property
    def cycles(self) -> int:
        """Clocks since reset of the device; 0 where nothing counts them (golden model)."""
        low, high = self._read(Opcode.READ, Space.REGISTER, Register.CYCLES_LOW, 2).tolist()
        return (low & 0xFFFFFFFF) | (high & 0xFFFFFFFF) << 32

    # -- networks -----------------------------------------------------------------------------------------------------
    def load_network(
        self, parameters: Parameters, weights: list[Ints], mean_errors: Sequence[Ints] | None = None
    ) -> None:
        """Program everything: parameters, adaptive constants, state of the random generator, weights.

        Parameters
        ----------
        parameters : Parameters
            Checked against the configuration.
        weights : list of int arrays [M, N]
            One per layer, format ``weight``.
        mean_errors : list of int arrays [M], optional
            Running means of |delta| of a core with ``normalise``, zero without.
        """
        c, fmt = self.config, self.config.formats.weight
        shapes = [(c.post(i), c.pre(i)) for i in range(c.depth)]
        if [w.shape for w in weights] != shapes:
            raise DeviceError(f"weights of shapes {[w.shape for w in weights]}, this configuration has {shapes}")
        if any(w.min() < fmt.min or w.max() > fmt.max for w in weights):
            raise DeviceError(f"a weight does not fit, allowed {fmt.min} to {fmt.max}")
        self.set_parameters(parameters)
        for address, value in parameters.start_words():
            self.write_register(address, value)
        flat = np.concatenate([w.ravel() for w in weights])
        self.load_words(Space.WEIGHT, 0, np.where(self._positions >= 0, flat[self._positions], 0))
        if c.normalise:
            means = np.concatenate(mean_errors) if mean_errors else np.zeros(sum(c.layers[1:]), dtype=np.int64)
            self.load_words(Space.SURROGATE, c.surrogate_entries, means)

    def set_parameters(self, parameters: Parameters) -> None:
        """Program parameters, tables and schedule; weights, adaptive constants and random generator stay."""
        parameters.check(self.config)
        for address, value in (*parameters.constant_words(), *parameters.option_words(self.config)):
            self.write_register(address, value)
        self.load_words(Space.SURROGATE, 0, np.array(parameters.surrogate))
        self.set_schedule(parameters.schedule)
        self.set_rates(parameters.rate, parameters.adapt_rate)

    def set_rates(self, rate: tuple[Rate, ...], adapt_rate: tuple[Rate, ...]) -> None:
        """Program the learning rates of weights and filter constants, one (mantissa, shift) per layer each."""
        for address, value in rate_words(rate, adapt_rate):
            self.write_register(address, value)

    def set_schedule(self, steps: tuple[int, ...]) -> None:
        """Program the steps at which weights are updated."""
        table = np.zeros(self.config.max_steps, dtype=np.int64)
        table[list(steps)] = 1
        self.load_words(Space.SCHEDULE, 0, table)

    def read_weights(self) -> list[Ints]:
        """Weights, one array [M, N] per layer."""
        return self._read_synapses(Space.WEIGHT)

    def read_traces(self) -> list[Ints]:
        """Eligibility traces, one array [M, N] per layer."""
        return self._read_synapses(Space.TRACE)

    def read_filter_constants(self) -> list[list[int]]:
        """Adaptive constants a [layer][group], u0.24."""
        c = self.config
        return [self.read_words(Space.REGISTER, a_address(i, 0), c.groups).tolist() for i in range(c.depth)]

    def read_mean_errors(self) -> list[Ints]:
        """Running means of |delta|, one array [M] per layer; none without the option ``normalise``."""
        c = self.config
        if not c.normalise:
            return []
        words = self.read_words(Space.SURROGATE, c.surrogate_entries, sum(c.layers[1:]))
        return np.split(words, np.cumsum(c.layers[1:])[:-1])

    def read_neurons(self) -> list[Ints]:
        """Neuron words, one array [M, 8] per layer; the columns are those of ``NeuronField``."""
        c = self.config
        words = self.read_words(Space.NEURON, 0, self._words[Space.NEURON]).reshape(-1, _NEURON_WORDS)
        return np.split(words, np.cumsum(c.layers[1:])[:-1])

    def _read_synapses(self, space: Space) -> list[Ints]:
        words = self.read_words(space, 0, self._words[space])
        flat = np.zeros(self.config.synapses, dtype=np.int64)
        used = self._positions >= 0
        flat[self._positions[used]] = words[used]
        return split_layers(self.config, flat)

    # -- samples ------------------------------------------------------------------------------------------------------
    def run_sample(
        self,
        inputs: AnyInts,
        label: int | None = None,
        *,
        learn: bool = False,
        adapt: bool = False,
        targets: AnyInts | None = None,
        window: int = 0,
    ) -> Ints:
        """Run one sample from a fresh state and return the readout summed over its steps, int64 [outputs].

        Parameters
        ----------
        inputs : int array [T, inputs]
            Format ``input``.
        label : int, optional
            Class; needed to learn with the readouts ``membrane`` and ``spike``.
        learn : bool
            Update the weights at the scheduled steps.
        adapt : bool
            Adapt the filter constants as well.
        targets : int array [T, outputs], optional
            Format ``target``; needed to learn with the readout ``target``.
        window : int
            Only so many last steps are summed; 0 is all.
        """
        parts = self._parts(Sample(inputs, label, learn=learn, adapt=adapt, targets=targets, window=window))
        while parts.left:
            parts.take(self.link.request(Opcode.RUN, parts.next(self._max_steps)))
        return parts.scores

    def run_samples(self, samples: Iterable[Sample]) -> Iterator[Ints]:
        """Readouts of samples in their order, as :meth:`run_sample` returns them.

        With the option ``stream`` requests travel ahead: a sample is sent while the device still works on those before,
        so ``samples`` is asked for the next one before the last readouts are there, and what is read from the device in
        between may already be the work of later samples. Once all readouts were taken nothing is under way.
        """
        flight, under_way, ready = self.link.flight, deque[Parts](), list[Ints]()

        def take() -> None:
            parts = under_way[0]
            parts.take(flight.take())
            if parts.done:
                ready.append(under_way.popleft().scores)

        try:
            for sample in samples:
                if not self._streams:
                    while under_way:
                        take()
                    yield from ready
                    ready.clear()
                    yield self.run_sample(
                        sample.inputs, sample.label, learn=sample.learn, adapt=sample.adapt, targets=sample.targets,
                        window=sample.window,
                    )  # fmt: skip
                    continue
                parts, most = self._parts(sample), max_steps(self.config.frame_bytes, self.config.step_bytes)
                under_way.append(parts)
                while parts.left:
                    payload = parts.next(most)
                    while not flight.fits(payload):
                        take()
                    flight.post(payload)
                yield from ready  # not while a sample is sent in part
                ready.clear()
            while under_way:
                take()
                yield from ready
                ready.clear()
        finally:
            flight.drop()

    def _parts(self, sample: Sample) -> Parts:
        return Parts(self.config, sample, self.name)

    @property
    def _streams(self) -> bool:
        """Whether samples are sent ahead now: not to a model that answers at once, and not over a bad line."""
        far = self.config.stream and not getattr(self.link.transport, "immediate", False)
        return far and self.link.frame_bytes >= self.config.frame_bytes

    def step(
        self,
        inputs: AnyInts,
        label: int | None = None,
        *,
        reset: bool = False,
        learn: bool = False,
        adapt: bool = False,
        targets: AnyInts | None = None,
    ) -> tuple[Ints, Ints]:
        """Run one step, inputs [inputs] and targets [outputs]; returns membranes and scores of the readout."""
        row = np.asarray(inputs)[None]
        data = step_bytes(self.config, row, None if targets is None else np.asarray(targets)[None])
        flags, code = run_flags(self.config, label, targets, learn, adapt)
        header = RUN_HEADER.pack(flags | (RunFlag.RESET if reset else 0), code, 1)
        words = output_words(self.config, self.link.request(Opcode.STEP, header + data), 2, self.name)
        return words[: self.config.outputs], words[self.config.outputs :]
