"""A small sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from toy_data import toy_arrays

SPACE = """dataset = "toy.npz"
[space]
epochs = 3
hidden = [4, 6, "5-3"]
groups = [1, 2]
formats.weight = ["16.13", "12.9"]
rate_hidden = { low = 0.004, high = 0.06, log = true }
"""


def toy_space(folder: Path, text: str = SPACE) -> Path:
    """A search space over a toy data set beside it."""
    np.savez(folder / "toy.npz", **toy_arrays(n=40))
    (folder / "toy.toml").write_text(text)
    return folder / "toy.toml"
