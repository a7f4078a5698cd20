"""Which tests a mutant of a file has to get past, cheap ones first.

The stages run one after the other, each in a process of its own; a mutant that a stage notices meets no further one.
Tests that plant bugs themselves are left out: on a changed RTL they fail for want of their text.
"""

from __future__ import annotations

RTL, INTEGRATION = "tests/rtl/test_", "tests/integration/test_"
LOCKSTEP, OPTIONS = f"{INTEGRATION}lockstep.py", f"{INTEGRATION}options.py"

#: Unit tests of a file.
UNITS: dict[str, list[str]] = {
    "adapt.py": ["adapt", "register_map"],
    "arith.py": ["arith"],
    "bank.py": ["bank", "memory_map"],
    "bus.py": ["command"],
    "cobs.py": ["cobs", "frames"],
    "command.py": ["command", "stream"],
    "control.py": ["control"],
    "crc.py": ["frames"],
    "engine.py": ["serial"],
    "frame_queue.py": ["stream"],
    "frames.py": ["frames", "stream"],
    "halves.py": [],
    "host_port.py": ["host_port", "register_map", "memory_map"],
    "link.py": ["command", "stream"],
    "presynaptic.py": ["presynaptic"],
    "random.py": ["generator", "register_map"],
    "registers.py": ["registers", "register_map"],
    "registers_serial.py": ["register_map", "serial"],
    "rows.py": ["serial"],
    "sequencer.py": ["sequencer", "bank"],
    "softmax.py": ["softmax"],
    "top.py": ["top"],
    "uart.py": ["uart"],
}
#: Files of the link: no lockstep of the core sees them.
LINK = {"bus.py", "cobs.py", "command.py", "crc.py", "frame_queue.py", "frames.py", "link.py", "top.py", "uart.py"}

#: Files that only configurations for small chips use.
SMALL = {"bank.py", "engine.py", "registers_serial.py", "rows.py"}

#: Files that options of learning add or change, and their tests.
WITH_OPTIONS = {"changes.py", "control.py", "lane.py", "lanes.py", "stop.py"}
OPTION_TESTS = [
    f"{OPTIONS}::{name}" for name in (
        "test_early_stop", "test_probe", "test_a_probe_looks_past_an_early_stop", "test_clocks",
        "test_the_host_sets_and_reads_the_changes", "test_registers_of_options",
    )
]  # fmt: skip

#: Files that recurrent layers add or change, and their tests.
RECURRENT = {"backward.py", "halves.py", "presynaptic.py", "sequencer.py"}
RECURRENT_TESTS = [f"{INTEGRATION}recurrent.py::{name}" for name in ("test_lockstep", "test_clocks")]

#: The file of rates per neuron, which nothing else uses.
NORMALISE, NORMALISE_TESTS = "normalise.py", [f"{INTEGRATION}normalise.py"]

#: Files that the filtered surrogate adds to, and its tests.
FILTERED, FILTERED_TESTS = {"neuron.py", "error.py"}, [f"{INTEGRATION}filtered_surrogate.py"]

READOUTS = ("membrane", "spike", "target")
#: Lockstep on Amaranth's simulator: a first look, then every pattern and format, odd geometries and reads by the host.
FIRST = [
    f"{LOCKSTEP}::test_tiny[membrane-learning]", f"{LOCKSTEP}::test_extremes[membrane-narrow]",
    f"{LOCKSTEP}::test_tiny[target-toggled]", f"{LOCKSTEP}::test_extremes[target-default]",
    f"{LOCKSTEP}::test_odd_geometries[(2, 9, 5)-4-8]", f"{LOCKSTEP}::test_tiny[spike-learning]",
]  # fmt: skip
#: Exact edges, and memories read by the host.
EDGES = [f"{RTL}edges.py", f"{RTL}memory_map.py"]
PATTERNS = ("learning", "inference", "toggled", "no reset")
PYSIM = [
    *(f"{LOCKSTEP}::test_extremes[{r}-{formats}]" for r in READOUTS for formats in ("default", "narrow", "wide")),
    *(f"{LOCKSTEP}::test_tiny[{r}-{pattern}]" for r in READOUTS for pattern in PATTERNS),
    *(f"{LOCKSTEP}::test_odd_geometries[{name}]" for name in (
        "(1, 1)-1-1", "(1, 1)-4-8", "(2, 1, 1, 2)-2-4", "(9, 3)-1-8", "(5, 3, 6, 2)-8-2", "(1, 17, 1)-2-1")),
    *(f"{LOCKSTEP}::{name}" for name in (
        "test_without_adaptation", "test_every_word_can_be_read_back", "test_more_groups_than_posts",
        "test_a_short_layer_that_is_chased", "test_a_reset_without_memory_clear_forgets_the_sample")),
]  # fmt: skip
PYSIM = [name for name in PYSIM if name not in FIRST]
#: Exact clocks of every kind of step, the complete device behind its pins, a random network: compiled.
CYCLES = [f"tests/sim/test_cycles.py::test_prediction_equals_simulation[{name}]" for name in ("1-1x1", "2-7-3-4x4")]
CYCLES_SMALL = [
    f"tests/sim/test_cycles.py::test_prediction_equals_simulation[{name}]"
    for name in ("3-5-3x1", "5-9-6-4x4", "7-11-5-3x1")
]
DEVICE = [f"{INTEGRATION}simulated_device.py::test_same_bytes_as_the_golden_device"]
COMPILED = [*CYCLES, *DEVICE, f"{LOCKSTEP}::test_compiled[P4 G8 membrane]"]

#: Tests of the tests.
LEFT_OUT = [
    f"{RTL}bank.py::test_a_sweep_out_of_phase_is_caught",
    f"{RTL}cobs.py::test_a_planted_bug_is_seen",
    f"{RTL}frames.py::test_a_planted_crc_bug_is_seen",
    f"{RTL}command.py::test_a_missing_check_is_seen",
    f"{RTL}command.py::test_it_converts",
    f"{RTL}stream.py::test_a_missing_check_is_seen",
    f"{RTL}uart.py::test_the_watchdog_names_the_hang",
]


#: The command tests that take seconds, after the others of their file.
COMMAND = f"{RTL}command.py"
EARLY = (
    "test_serial_link", "test_a_repeated_sequence_is_not_executed_again", "test_info_and_unknown_opcodes",
    "test_the_next_request_may_come_while_the_reply_is_on_the_line", "test_hosts_that_do_not_wait_hang_nothing",
    "test_read_and_state", "test_write_and_load",
)  # fmt: skip
LATE = [f"{COMMAND}::test_run_and_step", f"{COMMAND}::test_random_requests"]


def stages(file: str) -> list[list[str]]:
    """Node ids of every stage for a mutant of a file of rtl/."""
    units = [f"{RTL}{name}.py" for name in UNITS.get(file, [])]
    if COMMAND in units:
        units = [*(f"{COMMAND}::{name}" for name in EARLY), *LATE, *units[1:]]
    if file in LINK:
        found = [units, DEVICE]
    elif file in SMALL:
        found = [units, CYCLES_SMALL]
    elif file == NORMALISE:
        found = [NORMALISE_TESTS]
    else:
        found = [units + FIRST, EDGES + PYSIM, COMPILED]
        if file in WITH_OPTIONS:
            found[0] = [*units, *OPTION_TESTS, *FIRST]
        if file in FILTERED:
            found[0] = [*units, *FILTERED_TESTS, *FIRST]
        if file in RECURRENT:
            found[0] = [*units, *RECURRENT_TESTS, *FIRST]
    return [stage for stage in found if stage]


def control_stages() -> list[list[str]]:
    """Every killer once, for the run on the RTL as it is."""
    units = sorted({f"{RTL}{name}.py" for names in UNITS.values() for name in names} - set(EDGES))
    return [
        COMPILED,
        CYCLES_SMALL,
        EDGES + PYSIM,
        FIRST,
        OPTION_TESTS,
        RECURRENT_TESTS,
        NORMALISE_TESTS,
        FILTERED_TESTS,
        units[::2],
        units[1::2],
    ]
