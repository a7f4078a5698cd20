"""What a worker of a sweep runs: one training on the golden model, or one core for a board.

Both are functions of their content alone and answer with plain dictionaries; a failure is an answer too, so that its
cause arrives whatever the worker has installed.
"""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from solsa.contract import NetworkConfig

from .data import Dataset
from .device import Device
from .errors import USER_ERRORS, RunFailed
from .geometry import sizes
from .options import optional
from .recipe import Recipe
from .train import learn, start_network, versions

#: Of :func:`solsa.host.train.versions`: what must be the same on client and worker for equal results.
MUST_AGREE = ("solsa", "contract")


def train_job(content: dict[str, Any], dataset: Dataset, client: Mapping[str, str]) -> dict[str, Any]:
    """Train on the golden model.

    Parameters
    ----------
    content : dict
        See :meth:`solsa.host.sweep_plan.Plan.training`.
    dataset : Dataset
        Its test samples are the validation samples.
    client : dict
        Versions of the sender.

    Returns
    -------
    dict
        ``accuracy`` (validation), ``train_accuracy``, ``weight_sha256``, ``epochs``, ``steps`` and who did it;
        or ``failed``.
    """

    def work() -> dict[str, Any]:
        config = NetworkConfig.from_dict(content["config"])
        network = start_network(config, sizes(config), Recipe.from_dict(content["recipe"]), dataset, content["seed"])
        with Device.open("golden", config) as device:
            result = learn(device, network, dataset, network.recipe.epochs)
        return {
            "accuracy": result.test_accuracy,
            "train_accuracy": result.train_accuracy,
            "weight_sha256": result.weight_sha256,
            "epochs": result.epochs,
            "steps": result.steps,
        }

    return _answer(work, client)


def hardware_job(content: dict[str, Any], client: Mapping[str, str]) -> dict[str, Any]:
    """Area and clock of a core on a board: predicted in seconds, or built in minutes.

    Parameters
    ----------
    content : dict
        See :meth:`solsa.host.sweep_plan.Plan.hardware`.
    client : dict
        Versions of the sender.

    Returns
    -------
    dict
        ``source`` (predicted or built), ``lut``, ``clock_mhz``, ``updates_per_second`` and more; or ``failed``.
    """

    def work() -> dict[str, Any]:
        config = NetworkConfig.from_dict(content["config"])
        if content["mode"] == "predict":
            found: dict[str, Any] = optional("solsa.boards.predict", "predict_board", "boards")(
                content["board"], config, clock_mhz=content["clock_mhz"]
            )
            return {"source": "predicted", **found}
        manifest: dict[str, Any] = optional("solsa.boards.build", "build_board", "boards")(
            content["board"], content["name"], config=config, lanes=config.lanes, clock_mhz=content["clock_mhz"],
            seed=content["seed"], seeds=content["seeds"],
        )  # fmt: skip
        if manifest["problem"]:
            raise RunFailed(manifest["problem"])
        return {"source": "built", **manifest}

    return _answer(work, client)


def worker_versions() -> dict[str, str]:
    """Versions of a worker."""
    return versions()


def disagreement(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Which version of a worker is another one, or an empty string."""
    for name in MUST_AGREE:
        if ours[name] != theirs[name]:
            return f"runs {name} {theirs[name]}, this is {name} {ours[name]}"
    return ""


def _answer(work: Callable[[], dict[str, Any]], client: Mapping[str, str]) -> dict[str, Any]:
    began = time.perf_counter()
    other = disagreement(client, versions())
    if other:
        return {"failed": f"the worker on {socket.gethostname()} {other}"}
    try:
        found = work()
    except (*USER_ERRORS, RunFailed, OSError) as error:  # a tool of a build fails with an OSError
        return {"failed": f"{error}"}
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return {"failed": f"{text} ({os.path.basename(at.filename)}:{at.lineno})"}
    seconds = time.perf_counter() - began
    return {**found, "seconds": seconds, "host": socket.gethostname(), "pid": os.getpid(), "finished": time.time()}
