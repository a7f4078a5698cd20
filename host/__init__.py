"""Host side of solsa: data sets, devices, networks and the command line. Never imports amaranth or the RTL.

>>> from solsa.host import Device, Network
>>> network = Network.create((3, 32, 2), seed=1)
>>> with Device.open("golden", network) as device:  # or "sim", or a serial port
...     device.fit(X, y, epochs=5)
...     device.score(X_test, y_test)
>>> network.save("network.npz")
"""

from typing import TYPE_CHECKING, Any

from .data import DataError, Dataset, load_dataset
from .device import Device
from .network import Network, NetworkError
from .nir_import import NirReport, import_nir
from .recipe import Recipe
from .train import Progress
from .transport import DeviceError

if TYPE_CHECKING:
    from .classifier import SolsaClassifier

__all__ = [
    "DataError",
    "Dataset",
    "Device",
    "DeviceError",
    "Network",
    "NetworkError",
    "NirReport",
    "Progress",
    "Recipe",
    "SolsaClassifier",
    "import_nir",
    "load_dataset",
]


def __getattr__(name: str) -> Any:
    """Import what needs an optional package only when somebody asks for it."""
    if name == "SolsaClassifier":
        from .classifier import SolsaClassifier

        return SolsaClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
