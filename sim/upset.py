"""The simulated device with its memories within reach: bits flipped as a particle or a weak cell would."""

from __future__ import annotations

import ctypes

from solsa.contract import BankKind, Layout, NetworkConfig
from solsa.rtl.bank import place

from .device import SimulatedDevice


class UpsetDevice(SimulatedDevice):
    """A simulated device whose memory bits can be flipped.

    Parameters
    ----------
    config : NetworkConfig
        What the device is built for.
    silence : int
        Clocks without a byte after which :meth:`receive` gives up.
    """

    def __init__(self, config: NetworkConfig, *, silence: int) -> None:
        self.config = config
        super().__init__(config, silence=silence, kind="upset")
        self._library.device_flip.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64]

    def flip(self, memory: str, address: int, bit: int) -> None:
        """Flip a bit of a memory, named by its place in the design, such as ``core.lanes.lane0.bank.memory``."""
        if not self._library.device_flip(self._alive(), memory.encode(), address, bit):
            raise ValueError(f"memory {memory}, word {address}, bit {bit} does not exist in the simulated device")

    def flip_weight(self, layer: int, post: int, pre: int, bit: int) -> None:
        """Flip a bit of a weight, which lies below the trace in a word of its lane's bank."""
        width = self.config.formats.weight.width
        if self.config.bank is not BankKind.DUAL_PORT or not 0 <= bit < width:
            raise ValueError(
                f"bit {bit} of a weight in a {self.config.bank.value} bank, allowed 0 to {width - 1} in dual_port"
            )
        lane, address = Layout(self.config).synapse_address(layer, post, pre)
        memory, address = place(Layout(self.config).synapse_depth, address)
        self.flip(f"core.lanes.lane{lane}.bank.{memory}", address, bit)
