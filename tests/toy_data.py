"""Small data sets in every file kind the host reads, for the tests of the host."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TS = """# a comment
@problemName Toy
@timeStamps false
@univariate false
@equalLength false
@classLabel true up down

@data
1,2,3:4,5,6:up
-1,-2.5:0,1e-3:down
"""
CSV = "sample,step,label,ax,ay\na,0,0,1,2\nb,0,7,3,4\na,1,0,5,6\nb,1,7,-7,8.5\na2,0,0,1,1\nb2,0,7,1,1\n"


def toy_arrays(n: int = 8, steps: int = 5, channels: int = 3) -> dict[str, np.ndarray]:
    x = np.arange(n * steps * channels, dtype=np.float64).reshape(n, steps, channels)
    return {"X": x, "y": np.arange(n) % 2, "X_test": x[:4] + 0.5, "y_test": np.array([1, 0, 1, 0])}


def toy_pair(folder: Path, train: str = TS, test: str = TS, name: str = "Toy", suffix: str = ".ts") -> Path:
    (folder / f"{name}_TRAIN{suffix}").write_text(train)
    (folder / f"{name}_TEST{suffix}").write_text(test)
    return folder / f"{name}_TRAIN{suffix}"
