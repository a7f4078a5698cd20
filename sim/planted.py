"""Planted bugs: the RTL with one line changed, to see the checkers catch it.

A bug is a replacement of text in one file of rtl/. The changed package is written to a temporary folder and imported
under a name of its own, so the real package stays as it is.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from solsa.contract import ConfigError

RTL = Path(__file__).resolve().parent.parent / "rtl"


@dataclass(frozen=True)
class Bug:
    """One planted bug.

    Attributes
    ----------
    file : str
        File in rtl/.
    old, new : str
        Text that occurs exactly once, and what takes its place.
    about : str
        What is wrong then.
    """

    file: str
    old: str
    new: str
    about: str


BUGS: dict[str, Bug] = {
    "trace-floor": Bug(
        "lane.py", "toward_zero_bits(product_a, decay.shift)", "C(0, decay.shift)",
        "eps decays with floor instead of toward zero",
    ),
    "weight-wraps": Bug(
        "lane.py", "saturate(weight4 - (total >> step.shift), f.weight)", "weight4 - (total >> step.shift)",
        "weights wrap around instead of saturating",
    ),
    "random-tap": Bug(
        "random.py", "b = a ^ (a >> right)", "b = a ^ (a >> (right + 1))",
        "the random generator has a wrong tap",
    ),
    "lane-swap": Bug(
        "lanes.py", "ahead.error_to.write & (ahead.error_to.lane == p)",
        "ahead.error_to.write & (ahead.error_to.lane == (p ^ 1))",
        "delta reaches the neighbouring lane",
    ),
    "stale-filter": Bug(
        "presynaptic.py", "with m.If(first_visit[3]):", "with m.If(first_visit[3] & ~beats[3].last):",
        "F of the last pre-synaptic signal does not advance",
    ),
    "reset-early": Bug(
        "neuron.py", "reset1.eq(Mux(old.spike & ~zero_neuron, -rho0, 0))", "reset1.eq(Mux(old.spike, -rho0, 0))",
        "the soft reset survives a sample reset",
    ),
    "schedule-late": Bug(
        "control.py", "m.d.comb += read.addr.eq(self.step)", "m.d.comb += read.addr.eq(self.step + 1)",
        "the schedule is one step late",
    ),
    "new-weights-backward": Bug(
        "backward.py", "Mux(beats[1].block == 0, half, read.data)", "Mux(beats[1].first, half, read.data)",
        "the backward pass mixes up its partial sums",
    ),
    "stop-late": Bug(
        "control.py", "counts & (self.right + 1 >=", "counts & (self.right >=",
        "a sample stops one scheduled step too late",
    ),
    "stop-survives-reset": Bug(
        "control.py", "self.step.eq(0), self.right.eq(0)]", "self.step.eq(0)]",
        "the next sample does not learn either after an early stop",
    ),
    "lead-of-any": Bug(
        "stop.py", "m.If(self.post == self.label)", "m.If((self.post == self.label) | (self.score > labelled))",
        "the readout counts as right whichever class leads",
    ),
    "probe-writes": Bug(
        "lane.py", "self.control4.update & ~self.control4.probe", "self.control4.update",
        "a probe changes the weights",
    ),
    "probe-signed": Bug(
        "lane.py", "Mux(product_a < 0, -product_a, product_a)", "product_a",
        "a probe sums changes with their signs",
    ),
    "probe-tree-late": Bug(
        "lanes.py", "self.beat.valid | pending1 | changing", "self.beat.valid | pending1",
        "a probe ends before the last sums have left the adder tree",
    ),
    "own-spikes-survive-reset": Bug(
        "presynaptic.py", "self.fresh_neurons & (beat.pre >=", "0 & (beat.pre >=",
        "a recurrent layer sees its last spikes of the sample before",
    ),
    "own-list-moves": Bug(
        "presynaptic.py", "with m.If(self.sweep):", "with m.If(1):",
        "the list of a sweep begins where that of the next layer does",
    ),
    "own-spikes-unseen": Bug(
        "halves.py", "odd.eq(~odd)", "odd.eq(odd)",
        "the halves of a recurrent network's signals never change places",
    ),
    "own-spikes-get-errors": Bug(
        "sequencer.py", "with m.If(self.mode == Mode.BACKWARD):", "with m.If(0):",
        "a recurrent layer passes errors back through its own spikes",
    ),
    "norm-neighbour": Bug(
        "normalise.py", '10, "address")[10]', '10, "address")[9]',
        "a running mean is written to the neuron that follows",
    ),
    "filtered-survives-reset": Bug(
        "neuron.py", "Mux(filters & ~self.fresh_neurons, before, 0)", "Mux(filters, before, 0)",
        "the filtered surrogate of a sample begins with that of the sample before",
    ),
    "filtered-own-lam": Bug(
        "neuron.py", "lam1.eq(self.lam[last * config.groups])", "lam1.eq(self.lam[0])",
        "the surrogate is filtered as the first hidden layer's membrane",
    ),
    "filtered-readout": Bug(
        "neuron.py", "[int(i < last) for i in range(config.depth)]", "[1] * config.depth",
        "the surrogate of a readout that spikes is filtered too",
    ),
    "filtered-wraps": Bug(
        "neuron.py", "Mux(total11[-1], fmt.max, total11)", "total11[:-1]",
        "the filtered surrogate wraps instead of saturating",
    ),
    "norm-probe-keeps": Bug(
        "core.py", "error.valid & ~registers.probe", "error.valid",
        "a probe moves the running means",
    ),
}  # fmt: skip


def bug(name: str) -> Bug:
    """Planted bug of a name; ConfigError with the known names for another."""
    if name not in BUGS:
        raise ConfigError(f"planted bug {name!r} is not known, allowed: {', '.join(BUGS)}")
    return BUGS[name]


def changed(change: Bug, text: str) -> str:
    """Text of the bug's file with the change.

    Raises
    ------
    ValueError
        If the text to replace does not occur exactly once.
    """
    if text.count(change.old) != 1:
        raise ValueError(f"rtl/{change.file}: {change.old!r} occurs {text.count(change.old)} times, needed once")
    return text.replace(change.old, change.new)


def planted(change: Bug) -> ModuleType:
    """The package ``rtl`` with a change, imported; its ``core`` and ``top`` modules are loaded.

    Raises
    ------
    ValueError
        If the text to replace does not occur exactly once.
    """
    text = changed(change, (RTL / change.file).read_text())
    name = "solsa_planted_" + variant(change)
    if name in sys.modules:
        return sys.modules[name]
    folder = Path(tempfile.mkdtemp(prefix="solsa-planted-"))
    for path in RTL.glob("*.py"):
        (folder / path.name).write_text(text if path.name == change.file else path.read_text())
    start = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, start, submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    for module in ("core", "top"):
        importlib.import_module(f"{name}.{module}")
    return package


def variant(change: Bug) -> str:
    """Short name of a change, for the cache of compiled libraries."""
    return hashlib.sha256(repr(change).encode()).hexdigest()[:12]
