"""A scikit-learn classifier whose network learns on a device, for pipelines, cross-validation and grid searches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .arrays import ArrayLike, as_samples
from .data_files import DataError, FloatArray
from .device import Device
from .network import Network

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data
except ModuleNotFoundError as error:
    raise ImportError(f"SolsaClassifier needs {error.name}: pip install 'solsa[sklearn]'") from None


class SolsaClassifier(ClassifierMixin, BaseEstimator):
    """Spiking network that learns online on a device.

    Samples are time series: an array [n, T, channels], or a list of arrays [T, channels] of different lengths. A table
    [n, features] is taken as well: each row is given unchanged for ``steps`` steps, a direct current.

    The device is opened for every call and closed after it; what was learned is in ``network_``.

    Parameters
    ----------
    hidden : int or tuple of int
        Neurons of the hidden layers.
    device : str
        ``golden``, ``sim``, ``sim-serial`` or a serial port.
    epochs : int
        Passes over the data in :meth:`fit`.
    steps : int
        Time steps of a row of a table.
    lanes, groups : int
        Of the core, see :class:`~solsa.contract.NetworkConfig`.
    recipe : mapping, optional
        Fields of :class:`~solsa.host.recipe.Recipe` that differ from the default.
    encoder : str, optional
        Makes currents or spikes of the values, such as ``"population:neurons=8"``; see
        :data:`solsa.host.encoders.KINDS`.
    random_state : int, RandomState or None
        Of start weights and order of samples.

    Attributes
    ----------
    classes_ : array [n_classes]
        Labels, sorted.
    network_ : Network
        What was learned.
    n_features_in_ : int
        Channels, or features of a table.
    """

    def __init__(
        self,
        hidden: int | tuple[int, ...] = 32,
        *,
        device: str = "golden",
        epochs: int = 12,
        steps: int = 8,
        lanes: int = 8,
        groups: int = 4,
        recipe: Mapping[str, Any] | None = None,
        encoder: str | None = None,
        random_state: Any = 0,
    ) -> None:
        self.hidden = hidden
        self.device = device
        self.epochs = epochs
        self.steps = steps
        self.lanes = lanes
        self.groups = groups
        self.recipe = recipe
        self.encoder = encoder
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train from new start weights."""
        samples, labels = self._checked(X, y, reset=True)
        self.classes_, indices = np.unique(labels, return_inverse=True)
        self._create()
        with Device.open(self.device, self.network_) as device:
            device.fit(samples, indices, epochs=self.epochs)
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Learn from more samples, once each and in their order.

        ``classes`` are all labels, needed in the first call if ``y`` lacks one. That call sets the input scale.
        """
        first = not hasattr(self, "network_")
        samples, labels = self._checked(X, y, reset=first)
        if first:
            self.classes_ = np.unique(labels if classes is None else column_or_1d(classes))
            self._create()
        elif classes is not None and not np.array_equal(np.unique(column_or_1d(classes)), self.classes_):
            raise DataError(f"classes {classes}, those of the first call were {self.classes_}")
        indices = np.minimum(np.searchsorted(self.classes_, labels), len(self.classes_) - 1)
        unknown = np.flatnonzero(self.classes_[indices] != labels)
        if len(unknown):
            raise DataError(f"y, sample {unknown[0]}: label {str(labels[unknown[0]])!r} is not one of {self.classes_}")
        with Device.open(self.device, self.network_) as device:
            device.partial_fit(samples, indices, classes=np.arange(len(self.classes_)) if first else None)
        return self

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Readout summed over the steps, [n, classes]; for two classes the second less the first, [n]."""
        check_is_fitted(self)
        samples = self._samples(X, reset=False)
        with Device.open(self.device, self.network_) as device:
            scores = device.decision_function(samples)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Class of every sample."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(np.int64) if scores.ndim == 1 else np.argmax(scores, axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # -- inside -------------------------------------------------------------------------------------------------------
    def _create(self) -> None:
        if len(self.classes_) < 2:
            raise DataError(f"y has 1 class ({self.classes_[0]}), 2 or more are needed to learn")
        hidden = self.hidden if isinstance(self.hidden, tuple | list) else (self.hidden,)
        seed = self.random_state
        if not isinstance(seed, int):
            seed = int(check_random_state(seed).randint(1 << 31))
        self.network_ = Network.create(
            (self.n_features_in_, *hidden, len(self.classes_)),
            lanes=self.lanes, groups=self.groups, recipe=self.recipe, encoder=self.encoder, seed=seed,
        )  # fmt: skip

    def _checked(self, x: ArrayLike, y: ArrayLike, reset: bool) -> tuple[list[FloatArray], NDArray[Any]]:
        """Samples and labels of a call that learns."""
        if _is_series(x):
            samples, labels = self._samples(x, reset), column_or_1d(y, warn=True)
            check_consistent_length(samples, labels)
        else:
            table, labels = validate_data(self, x, y, dtype=np.float64, reset=reset)
            samples = self._rows(table)
        check_classification_targets(labels)
        return samples, labels

    def _samples(self, x: ArrayLike, reset: bool) -> list[FloatArray]:
        if not _is_series(x):
            return self._rows(validate_data(self, x, dtype=np.float64, reset=reset))
        samples = as_samples(x)
        channels = samples[0].shape[1]
        if reset:
            self.n_features_in_ = channels
        elif channels != self.n_features_in_:
            raise DataError(f"X has {channels} channels, {type(self).__name__} was fitted on {self.n_features_in_}")
        return samples

    def _rows(self, table: FloatArray) -> list[FloatArray]:
        if not isinstance(self.steps, int) or self.steps < 1:
            raise DataError(f"steps={self.steps!r}, allowed are integers from 1 up")
        return [np.repeat(row[None], self.steps, axis=0) for row in table]


def _is_series(x: ArrayLike) -> bool:
    """Whether X holds time series, not a table."""
    if isinstance(x, list | tuple):
        return len(x) > 0 and np.ndim(x[0]) == 2
    return getattr(x, "ndim", 2) == 3
