"""A sample as the device takes it: checked, cut into requests of whole steps, and its readout from their replies."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from solsa.contract import NetworkConfig, Readout
from solsa.contract.wire import RUN_HEADER, RunFlag

from .transport import DeviceError
from .words import AnyInts, Ints, unpack_words


@dataclass(frozen=True, eq=False)
class Sample:
    """What :meth:`Device.run_sample` takes, for :meth:`Device.run_samples`."""

    inputs: AnyInts
    label: int | None = None
    learn: bool = False
    adapt: bool = False
    targets: AnyInts | None = None
    window: int = 0


class Parts:
    """Payloads of the RUN (or STREAM) requests of a sample, and what comes back.

    Parameters
    ----------
    config : NetworkConfig
        Of the device.
    sample : Sample
        Checked here.
    name : str
        Of the device, for messages.

    Raises
    ------
    DeviceError
        For a sample that the device cannot take.
    """

    def __init__(self, config: NetworkConfig, sample: Sample, name: str) -> None:
        self._config, self._name = config, name
        self._data = step_bytes(config, sample.inputs, sample.targets)
        self._header = run_flags(config, sample.label, sample.targets, sample.learn, sample.adapt)
        self._total = len(sample.inputs)
        if not self._total:
            raise DeviceError("a sample without steps")
        # The device sums from the start: what came before the window is taken off.
        self._first = max(0, self._total - sample.window) if sample.window else 0
        self._sent = 0
        self._ends: deque[int] = deque()
        self._early = self._last = np.zeros(config.outputs, dtype=np.int64)

    @property
    def left(self) -> bool:
        """Whether there are steps to be sent."""
        return self._sent < self._total

    @property
    def done(self) -> bool:
        """Whether the last reply has come."""
        return not self.left and not self._ends

    def next(self, most: int) -> bytes:
        """Payload of the next request, of so many steps at the most."""
        flags, code = self._header
        start = self._sent
        end = min(start + most, self._first if start < self._first else self._total)
        edge = (RunFlag.RESET if start == 0 else 0) | (RunFlag.LAST if end in (self._first, self._total) else 0)
        self._sent = end
        self._ends.append(end)
        size = self._config.step_bytes
        return RUN_HEADER.pack(flags | edge, code, end - start) + self._data[start * size : end * size]

    def take(self, reply: bytes) -> None:
        """The reply to the oldest request that has none."""
        end = self._ends.popleft()
        if end in (self._first, self._total):
            self._last = output_words(self._config, reply, 1, self._name)
            if end == self._first:
                self._early = self._last

    @property
    def scores(self) -> Ints:
        """Readout summed over the window."""
        return self._last - self._early


def run_flags(
    config: NetworkConfig, label: int | None, targets: AnyInts | None, learn: bool, adapt: bool
) -> tuple[int, int]:
    """Flags and label of a request; DeviceError if it cannot learn like this."""
    if label is not None and not 0 <= label < config.outputs:
        raise DeviceError(f"label {label}, allowed 0 to {config.outputs - 1}")
    if learn and config.readout is Readout.TARGET and targets is None:
        raise DeviceError("the target readout needs targets to learn")
    if learn and config.readout is not Readout.TARGET and label is None:
        raise DeviceError(f"the {config.readout.value} readout needs a label to learn")
    return (RunFlag.LEARN if learn else 0) | (RunFlag.ADAPT if adapt else 0), label or 0


def step_bytes(config: NetworkConfig, inputs: AnyInts, targets: AnyInts | None) -> bytes:
    """Data of steps as they go over the line; DeviceError for what the formats do not hold."""
    f = config.formats
    x = _fitting("inputs", inputs, config.inputs, f.input.min, f.input.max).astype(np.int8)
    if config.readout is not Readout.TARGET:
        return x.tobytes()
    if targets is None:
        targets = np.zeros((len(x), config.outputs), dtype=np.int64)
    y = _fitting("targets", targets, config.outputs, f.target.min, f.target.max).astype("<i2")
    if len(y) != len(x):
        raise DeviceError(f"targets of {len(y)} steps for inputs of {len(x)}")
    return np.hstack([x.view(np.uint8), y.view(np.uint8).reshape(len(y), -1)]).tobytes()


def output_words(config: NetworkConfig, reply: bytes, rows: int, name: str) -> Ints:
    """Words of so many per output; DeviceError if a device sent others."""
    if len(reply) != 4 * rows * config.outputs:
        raise DeviceError(f"device {name} sent {len(reply)} bytes for {rows * config.outputs} outputs")
    return unpack_words(reply)


def _fitting(name: str, values: AnyInts, columns: int, low: int, high: int) -> AnyInts:
    """Check shape [T, columns], integers and range."""
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] != columns:
        raise DeviceError(f"{name} of shape {array.shape}, allowed [steps, {columns}]")
    if array.dtype.kind not in "iu":
        raise DeviceError(f"{name} of type {array.dtype}, allowed are integers")
    if array.size and (array.min() < low or array.max() > high):
        raise DeviceError(f"{name} from {array.min()} to {array.max()}, allowed {low} to {high}")
    return np.ascontiguousarray(array)
