"""One call of ``solsa learn`` or ``solsa eval`` from the checked arguments to the files it leaves."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from solsa.contract import PRESETS

from .augment import varied
from .checkpoint import NETWORK_FILE, Checkpoints, Every
from .data import Dataset, load_dataset
from .device import Device
from .display import Bar, LearnDisplay, accuracy_table, table
from .errors import RunFailed, RunInterrupted
from .faulty import Faults
from .files import check_file, make_folder, write_json
from .geometry import sizes
from .golden_run import GoldenRun
from .live import LivePage
from .network import Network
from .probe import Probe
from .progress import PROGRESS_FILE, Recorder
from .report import CURVE_FILE, RASTER_FILE, RESULT_FILE
from .saturation import Saturation
from .saturation import rows as saturation_rows
from .scheduling import described
from .scrub import ScrubbedDevice
from .start import LearnOptions, begin, epochs_of
from .train import LearnResult, Progress, evaluate, first_difference, learn, quantise
from .transport import DeviceError


def run_learn(options: LearnOptions, console: Console) -> LearnResult:
    """Train, show it, and write the results.

    Raises
    ------
    ConfigError, DataError, DeviceError, NetworkError, OutputError
        For arguments that cannot work, before anything is trained.
    RunFailed
        If the device is lost on the way, results cannot be written, or the golden model ends with other words.
    RunInterrupted
        If a signal stopped it; what it had is saved.
    """
    check_file(options.json, "--json")
    faults = None if options.faults is None else Faults.parse(options.faults)
    every = Every.parse(options.checkpoint)
    options, dataset, network = begin(options, console.print)
    epochs = epochs_of(options, network)
    make_folder(options.out, "--out")
    checkpoints = Checkpoints(options.out, every, options.keep) if options.out else None
    kind = ScrubbedDevice if options.scrub else Device
    with _opened(options.device, network, options.baud, console, faults, kind) as device, ExitStack() as stack:
        _show_start(options, dataset, network, epochs, console)
        golden = stack.enter_context(GoldenRun(network, dataset, epochs)) if options.check_golden else None
        try:
            result = _learn(device, network, dataset, epochs, console, checkpoints, options)
            if options.out:
                _draw(device, network, dataset, options.out)
        except DeviceError as error:
            where = f"; {network.epochs_done} epochs are kept in {options.out}" if options.out else ""
            raise RunFailed(f"{error}{where}") from None
        except OSError as error:
            how = f"; go on with: {_again(options, network, epochs)}" if options.out else ""
            raise RunFailed(f"{options.out}: cannot be written ({error.strerror or error}){how}") from None
        except KeyboardInterrupt:
            if options.out is None:
                raise
            raise RunInterrupted(f"interrupted; go on with: {_again(options, network, epochs)}") from None
        if isinstance(device, ScrubbedDevice):
            result.memory_faults = [str(fault) for fault in device.found]
        if golden is not None:
            with console.status("waiting for the golden model"):
                reference = golden.result()
            result.golden_difference = first_difference(network, reference, device.name)
            result.golden_equal = result.golden_difference is None
            result.golden_sha256 = reference.sha256
    _show_result(result, network, options, console)
    if options.out:
        write_json(options.out / RESULT_FILE, result.to_dict())
    if options.json:
        write_json(options.json, result.to_dict())
    if checkpoints:
        checkpoints.clear()
    if result.golden_difference is not None:
        raise RunFailed(f"not equal to the golden model: {result.golden_difference}")
    return result


def run_eval(file: Path, data: str, device_name: str, baud: int, json: Path | None, console: Console) -> dict[str, Any]:
    """Decide the test samples of a data set with a trained network; returns what ``--json`` writes."""
    check_file(json, "--json")
    network = Network.load(file)
    dataset = load_dataset(data, like=network.binning)
    network.check_dataset(dataset)
    _, test = quantise(dataset, network)
    with _opened(device_name, network, baud, console) as device, Bar(console, len(test.inputs)) as bar:
        try:
            device.load_network(network.current_parameters(), network.weights)
            decisions = evaluate(device, test, lambda at: _show_eval(bar, at), 0, network.recipe.decided)
        except DeviceError as error:
            raise RunFailed(str(error)) from None
    right = int(np.count_nonzero(decisions == test.labels))
    accuracy_table(console, dataset.class_names, test.labels, decisions)
    table(console, [("test accuracy", f"{right / len(decisions):.4f}  ({right} of {len(decisions)})"),
                    ("sha256", network.sha256)])  # fmt: skip
    content = {
        "network": str(file),
        "dataset": dataset.name,
        "device": device_name,
        "preset": network.preset,
        "epochs": network.epochs_done,
        "samples": len(decisions),
        "test_accuracy": right / len(decisions),
        "decisions": decisions.tolist(),
        "weight_sha256": network.sha256,
        "config_hash": network.config.config_hash,
    }
    if json:
        write_json(json, content)
    return content


# -- training and files -----------------------------------------------------------------------------------------------
def _again(options: LearnOptions, network: Network, epochs: int) -> str:
    """Command that goes on with an interrupted run."""
    words = ["solsa", "learn", options.dataset, "--device", options.device, "--resume", str(options.out)]
    if epochs != network.recipe.epochs:
        words += ["--epochs", str(epochs)]
    if options.json:
        words += ["--json", str(options.json)]
    if options.scrub:
        words.append("--scrub")
    return shlex.join(words)


def _opened(
    name: str,
    network: Network,
    baud: int,
    console: Console,
    faults: Faults | None = None,
    kind: type[Device] = Device,
) -> Device:
    with console.status(f"opening device {name}"):
        return kind.open(name, network.config, baud=baud, say=lambda line: console.print(line), faults=faults)


def _learn(
    device: Device,
    network: Network,
    dataset: Dataset,
    epochs: int,
    console: Console,
    checkpoints: Checkpoints | None,
    options: LearnOptions,
) -> LearnResult:
    per_epoch = len(dataset.train) + len(dataset.test)
    with LearnDisplay(console, epochs, per_epoch, network.epochs_done) as display, ExitStack() as stack:
        record = _recorder(stack, options, network, dataset, epochs, console)
        kept = None if checkpoints is None else stack.enter_context(checkpoints)
        wanted = False
        if kept is not None:
            kept.save(network)

        saturation = Saturation(device)

        def progress(at: Progress) -> None:
            saturation.sample(at.done)
            display(at)
            if record is not None:
                record.sample(at)

        def epoch(now: Network) -> None:
            if options.out is not None:
                now.save(options.out / NETWORK_FILE)
            if record is not None:
                record.epoch(now)

        def due() -> bool:
            nonlocal wanted
            wanted = kept is not None and kept.due()
            return wanted or (options.live and record is not None and record.due())

        def snapshot(now: Network) -> None:
            if kept is not None and wanted:
                kept.save(now)
            if record is not None:
                record.look(now)
            if kept is not None and kept.stopping:
                raise RunInterrupted(
                    f"interrupted in epoch {now.epochs_done + 1} after {now.samples_done} samples; "
                    f"go on with: {_again(options, now, epochs)}"
                )

        result = learn(device, network, dataset, epochs, progress, epoch, due=due, on_snapshot=snapshot)
        result.saturation = saturation.end()
        return result


def _recorder(
    stack: ExitStack, options: LearnOptions, network: Network, dataset: Dataset, epochs: int, console: Console
) -> Recorder | None:
    """Keeper of the run's ``progress.json``, and with --live the page that shows it."""
    folder = options.out
    if options.live and folder is None:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="solsa-live-")))
    if folder is None:
        return None
    train, test = quantise(dataset, network)
    probe = Probe.choose(network, test.inputs[0], int(test.labels[0]), train.inputs, train.labels)
    record = stack.enter_context(Recorder(folder, network, probe, options.device, epochs))
    if options.live:
        table(console, [("live page", stack.enter_context(LivePage(folder)).url)])
    return record


def _draw(device: Device, network: Network, dataset: Dataset, out: Path) -> None:
    from .plots import ENCODED, SCALED, learning_curve, record_sample, spike_raster

    title = f"{dataset.name} on {sizes(network.config)}"
    learning_curve(network.history, out / CURVE_FILE, f"{title}, device {device.name}, seed {network.seed}")
    _, test = quantise(dataset, network)
    record = record_sample(device, test.inputs[0])
    spike_raster(
        record, out / RASTER_FILE, f"{title}: test sample 0 after {network.epochs_done} epochs",
        f"states read step by step from the device: {device.name}", network.class_names, int(test.labels[0]),
        SCALED if network.scaled else ENCODED,
    )  # fmt: skip


def _show_start(options: LearnOptions, dataset: Dataset, network: Network, epochs: int, console: Console) -> None:
    config, lengths = network.config, [len(x) for x in (*dataset.train, *dataset.test)]
    steps = [length * (network.encoder.stretch if network.encoder else 1) for length in lengths]
    resumed = f", {network.epochs_done} of them done in {options.resume}" if options.resume else ""
    shape = f"{dataset.n_channels} channels, {min(lengths)} to {max(lengths)} steps, {dataset.n_classes} classes"
    nothing = "nothing; --out DIR keeps the network and pictures"
    constant, encoder = network.quantiser.constant_channels, network.encoder
    origin = f"preset {network.preset}" if network.preset.split("+")[0] in PRESETS else "sizes from the data"
    rows: list[tuple[str, object]] = [
        ("data set", f"{dataset.name}: {len(dataset.train)} training, {len(dataset.test)} test samples, {shape}"),
        ("encoder", encoder and f"{encoder}: {config.inputs} inputs, {min(steps)} to {max(steps)} steps"),
        ("network", f"{sizes(config)}, {origin}, {config.groups} filter groups, {config.lanes} lanes"),
        ("device", f"{options.device}, configuration {config.config_hash}"),
        ("epochs", f"{epochs}{resumed}, seed {network.seed}"),
        ("updates", described(network.recipe, len(network.parameters.schedule))),
        ("samples", varied(network.recipe) if network.recipe.augments else None),
        ("saved", options.out or nothing),
        *(("note", note) for note in dataset.notes),
    ]
    if constant:
        rows.append(("note", f"constant in training, given as 0: channels {', '.join(map(str, constant))}"))
    if max(steps) > config.max_steps:
        rows.append(("note", f"steps from {config.max_steps} on are never scheduled for an update"))
    table(console, rows)


def _show_result(result: LearnResult, network: Network, options: LearnOptions, console: Console) -> None:
    accuracy = None if result.test_accuracy is None else f"{result.test_accuracy:.4f}"
    rows: list[tuple[str, object]] = [
        ("test accuracy", accuracy and f"{accuracy} after {result.epochs} epochs"),
        ("train accuracy", f"{result.train_accuracy:.4f} without learning"),
        ("time", f"{result.wall_seconds:.1f} s for {result.steps:,} steps"),
        ("clocks", result.device_cycles and f"{result.device_cycles:,}"),
        ("device sha256", result.weight_sha256),
        *saturation_rows(result.saturation),
    ]
    if result.memory_faults is not None:
        undone = f"{len(result.memory_faults)} faults, undone: {'; '.join(result.memory_faults)}"
        rows.append(
            ("memory", undone if result.memory_faults else "every readout and all words as in the golden model")
        )
    if result.golden_sha256 is not None:
        words = network.config.synapses + sum(len(row) for row in network.constants)
        rows.append(("golden sha256", result.golden_sha256))
        if result.golden_equal:
            rows.append(("equal", f"all {words:,} weights and filter constants, and the accuracy of every epoch"))
    if options.out:
        rows.append(
            ("saved", f"{options.out}: {NETWORK_FILE}, {RESULT_FILE}, {PROGRESS_FILE}, {CURVE_FILE}, {RASTER_FILE}")
        )
        rows.append(("a page", f"solsa report {shlex.quote(str(options.out))}"))
    console.print()
    table(console, rows)


def _show_eval(bar: Bar, at: Progress) -> None:
    bar.update(at.done, f"sample {at.done}/{at.total}", f"accuracy {at.correct / at.done:.3f}")
