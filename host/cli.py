"""The command line: ``solsa learn`` and its sisters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from solsa.contract import OPTIONS, ConfigError, preset
from solsa.contract.cycles import inference_bound, predicted_cycles, scheduled_bound, trace_bound

from .checkpoint import EVERY, KEEP
from .cli_bench import bench
from .cli_build import build_command, program_command
from .cli_data import app as data_app
from .cli_devices import devices_command
from .cli_nir import app as nir_app
from .cli_pictures import report_command, watch_command
from .cli_sweep import sweep_command
from .display import Bar, numbers, table
from .errors import RunFailed
from .files import check_file, write_json
from .geometry import BASE, sizes
from .golden_device import GoldenDevice
from .memory import compared
from .options import (
    BaudOption,
    BinsOption,
    EncoderOption,
    JsonOption,
    PresetOption,
    QuietOption,
    SweepOption,
    TrialOption,
    chosen_trial,
    console,
    optional,
    set_quiet,
)
from .program import Program
from .session import run_eval, run_learn
from .start import LearnOptions
from .train import versions
from .transport import DEFAULT_BAUD

#: Steps of the longest JapaneseVowels sample: what ``info`` takes for the comparison with BPTT.
BPTT_STEPS = 29
#: Kinds of time steps that ``info`` lists: learning off; learning on; weights updated as well.
STEPS = ("inference", "learning", "scheduled")

app = Program(add_completion=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})

DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="golden|sim|sim-serial|PORT",
        help="Golden model, simulated device (or with its serial pins), serial port.",
    ),
]
SeedOption = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the random networks and stimuli.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        found = versions()
        typer.echo(f"solsa {found['solsa']}, contract {found['contract']}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def solsa(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Spiking networks that learn on the FPGA.

    The same commands drive a board, the simulated device and the golden model; all three end with the same bits.
    """
    set_quiet(quiet)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("learn")
def learn_command(
    dataset: Annotated[
        str | None, typer.Argument(metavar="DATASET", help="Known name, or a .ts, .csv, .npz or .h5 file.")
    ] = None,
    device: DeviceOption = "golden",
    preset: PresetOption = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Epochs in total, those before --resume included.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Seed of start weights and sample order (0).")
    ] = None,
    json: JsonOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep network and pictures here, in place of older ones.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FILE|DIR", help="Go on from a network file, or from the newest one of a folder."),
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="N|Ns", help="Samples, or seconds with an s, between two checkpoints in --out.")
    ] = EVERY,
    keep: Annotated[int, typer.Option(metavar="N", min=1, help="Checkpoints kept while the run goes on.")] = KEEP,
    check_golden: Annotated[
        bool, typer.Option("--check-golden", help="Train the golden model as well, in a second process, and compare.")
    ] = False,
    encoder: EncoderOption = None,
    bins: BinsOption = None,
    from_sweep: SweepOption = None,
    trial: TrialOption = None,
    baud: BaudOption = DEFAULT_BAUD,
    scrub: Annotated[
        bool, typer.Option("--scrub", help="Check readouts and memory against golden on the way; undo flipped bits.")
    ] = False,
    faults: Annotated[
        str | None, typer.Option(metavar="SPEC", help="A line that lies, for tests, as in flip=0.01,seed=1.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Show the run as a page on this machine.")] = False,
    schedule: Annotated[
        str | None, typer.Option(metavar="even|search[:N]", help="Steps of updates; searched by probes every N epochs.")
    ] = None,
    early_stop: Annotated[
        str | None,
        typer.Option(metavar="MARGIN[:N]", help="A sample stops learning once right by MARGIN at N scheduled steps."),
    ] = None,
    stop_learned: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="End after N epochs without a wrong training sample.")
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(metavar="SD", help="Noise on training samples, new in every epoch, in standard deviations."),
    ] = None,
    shift: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Share of training samples moved by a channel, others in every epoch."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Train a network on a device, online, sample by sample.

    Without --preset the network is channels-64-classes.

    The learning rates fall over the epochs first asked for. --resume keeps to
    that plan: without --epochs it trains to the plan's end; with more epochs
    the last rates stay.

    With --out an interrupt, a lost device or a killed run loses nothing but the
    time since the last checkpoint: --resume DIR ends with the same bits.

    Encoders are direct, spikes, delta, rate, latency, population, delays; the
    network is as wide as what the encoder makes of the channels, and keeps it.

    With --from-sweep network, recipe and seed are those of a trial of solsa
    sweep, and so is the data set unless one is named.

    --schedule search and --early-stop need a core that has these options; a
    board's is built with solsa build --preset NAME+probe+early_stop.

    Example: solsa learn JapaneseVowels --device sim --out runs/a
    """
    chosen = chosen_trial(from_sweep, trial, preset=preset, resume=resume, encoder=encoder, bins=bins)
    if dataset is None:
        if chosen is None:
            raise ConfigError("DATASET is missing, a known name or a file")
        dataset = optional("solsa.host.sweep_choice", "chosen_dataset", "sweep")(chosen[0])
    run_learn(
        LearnOptions(dataset=dataset, device=device, preset=preset, epochs=epochs, seed=seed, json=json, out=out,
                     resume=resume, check_golden=check_golden, baud=baud, checkpoint=checkpoint, keep=keep,
                     faults=faults, live=live, scrub=scrub, encoder=encoder, bins=bins, chosen=chosen,
                     schedule=schedule, early_stop=early_stop, stop_learned=stop_learned,
                     noise=noise, shift=shift),
        console(),
    )  # fmt: skip


@app.command("eval")
def eval_command(
    network: Annotated[Path, typer.Argument(metavar="NETWORK", help="Network file that learn wrote.")],
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Known name, or a .ts, .csv, .npz or .h5 file.")],
    device: DeviceOption = "golden",
    json: JsonOption = None,
    baud: BaudOption = DEFAULT_BAUD,
    quiet: QuietOption = False,
) -> None:
    """Decide the test samples of a data set with a trained network.

    Example: solsa eval runs/a/network.npz JapaneseVowels
    """
    run_eval(network, dataset, device, baud, json, console())


@app.command("verify")
def verify_command(
    preset: PresetOption = None,
    random: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Random networks (10, or 0 with a preset).")
    ] = None,
    seed: SeedOption = 0,
    plant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Plant a bug into the RTL first, to see it caught; ? lists them.")
    ] = None,
    shrink: Annotated[bool, typer.Option(help="Make failing networks small and store them as vectors.")] = True,
    failures: Annotated[Path, typer.Option(metavar="DIR", help="Folder of these vectors.")] = Path("runs/verify"),
    wave: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Some steps of one network as a waveform (.vcd), for GTKWave and Surfer."),
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run RTL and golden model in lockstep and compare every state word.

    Random requests to complete devices, and functional coverage, come with random networks.
    Exit status 1 if a word differs; the first one is named.

    With --wave the network is --preset (tiny), simulated by Amaranth, until a
    word differs or some steps are done; lists of signals lie beside the file.

    Example: solsa verify --random 20 --seed 1
    """
    check_file(json, "--json")
    check_file(wave, "--wave")
    _known(preset)
    if wave is not None:
        if random is not None:
            raise ConfigError("--wave shows one network, that of --preset; leave --random out")
        run_wave = optional("solsa.sim.wave", "run_wave", "sim")
        with console().status("simulating"):
            found: dict[str, Any] = run_wave(wave, preset or "tiny", seed, plant)
        _show_verified(found, json)
        return
    run_verify = optional("solsa.sim.verify", "run_verify", "sim")
    count = random if random is not None else 10 if preset is None else 0
    terminal = console()
    with Bar(terminal, max(1, count)) as bar:
        result: dict[str, Any] = run_verify(
            preset, count, seed, lambda state: _show_verify(bar, state),
            plant=plant, shrink=shrink, failures=failures, reference=GoldenDevice,
        )  # fmt: skip
    _show_verified(result, json)


def _show_verified(result: dict[str, Any], json: Path | None) -> None:
    """Print and write what a verification found; RunFailed if a word differs."""
    rows = {key: ", ".join(value) if isinstance(value, list) else value for key, value in result.items()}
    table(console(), [(key.replace("_", " "), value) for key, value in rows.items() if not isinstance(value, dict)])
    if json:
        write_json(json, result)
    if result["mismatches"]:
        raise RunFailed(f"{result['mismatches']} words differ, the first: {result['first_mismatch']}")


app.command("build")(build_command)
app.command("program")(program_command)
app.command("devices")(devices_command)
app.command("report")(report_command)
app.command("watch")(watch_command)
app.add_typer(bench, name="bench")
app.add_typer(nir_app, name="nir")
app.command("sweep")(sweep_command)
app.add_typer(data_app, name="data")


@app.command("info")
def info_command(
    preset: PresetOption = BASE,
    steps: Annotated[
        int, typer.Option(metavar="T", min=1, help="Steps of a sample, for the comparison with BPTT.")
    ] = BPTT_STEPS,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Show size, memory and speed of a preset.

    Clocks are predicted, those of inference with every signal active, beside
    the bounds of the specification; memory is compared with what BPTT would
    store for a sample, of 29 steps unless told otherwise.

    Example: solsa info --preset vowels --steps 100
    """
    check_file(json, "--json")
    content = describe(preset or BASE, steps)
    terminal = console()
    table(terminal, [
        ("network", f"{content['layers']}, preset {content['preset']}, configuration {content['config_hash']}"),
        ("synapses", f"{content['synapses']:,} on {content['lanes']} lanes"),
        ("neurons", f"{content['groups']} filter groups, readout {content['readout']}"),
        ("options", ", ".join(content["options"]) or f"none; {', '.join(OPTIONS)} as in {BASE}+{OPTIONS[0]}"),
    ])  # fmt: skip
    cycles = [(name, content[f"cycles_{name}_step"], content[f"bound_{name}_step"]) for name in STEPS]
    if content["cycles_probe_step"]:
        cycles.append(("probe", content["cycles_probe_step"], None))
    numbers(terminal, ("clocks per step", "predicted", "bound"), cycles)
    state, bptt = content["state_bits_by_quantity"], content["bptt_bits_by_quantity"]
    parts = [(name.replace("_", " "), state.get(name), bptt.get(name)) for name in dict.fromkeys((*state, *bptt))]
    total = ("total", content["state_bits"], content["bptt_bits"])
    numbers(terminal, ("bits", "this core", f"BPTT, T={steps}"), parts, total)
    saving = 100 * content["saving"]
    table(terminal, [
        ("saved", f"{saving:.1f} % of BPTT's bits" if saving >= 0 else f"nothing, {-saving:.1f} % more bits than BPTT"),
        ("from", f"{content['steps_of_equal_bits']} steps on; 72 % from {content['steps_of_claim']} steps on"),
    ])  # fmt: skip
    if json:
        write_json(json, content)


def describe(name: str, steps: int = BPTT_STEPS) -> dict[str, Any]:
    """What ``info --json`` writes about a preset."""
    config = preset(name)
    cycles = predicted_cycles(config)
    return {
        "preset": name,
        "layers": sizes(config),
        "synapses": config.synapses,
        "lanes": config.lanes,
        "groups": config.groups,
        "readout": config.readout.value,
        "options": list(config.options),
        "config_hash": config.config_hash,
        **compared(config, steps),
        **{f"cycles_{name}_step": getattr(cycles, f"{name}_step") for name in STEPS},
        "cycles_probe_step": cycles.probe_step,
        "bound_inference_step": inference_bound(config),
        "bound_learning_step": trace_bound(config),
        "bound_scheduled_step": scheduled_bound(config),
    }


def _show_verify(bar: Bar, state: dict[str, Any]) -> None:
    done, total = state.get("done", 0), state.get("total")
    rest = "  ".join(f"{key} {value}" for key, value in state.items() if key not in ("done", "total"))
    bar.update(done, f"network {done}/{total}" if total else f"network {done}", rest, total)


def _known(name: str | None) -> None:
    if name is not None:
        preset(name)


def main() -> None:
    """Entry point of the command ``solsa``."""
    app(prog_name="solsa")
