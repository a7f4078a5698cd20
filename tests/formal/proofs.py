"""What a proof is: a harness, how it is proved, what must be reachable, and planted bugs that must be found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from solsa.sim.planted import Bug

from .harness import Harness

Build = Callable[[ModuleType], Harness]


@dataclass(frozen=True)
class Control:
    """Negative control: the same proof must fail on this.

    Attributes
    ----------
    about : str
        What is wrong.
    bug : Bug
        Change of one line of rtl/ ...
    build : callable or None
        ... or a harness of its own on the real RTL.
    depth : int
        Clocks within which BMC finds it.
    skip : int
        Clocks at whose begin BMC does not look.
    """

    about: str
    depth: int
    bug: Bug | None = None
    build: Build | None = None
    skip: int = 0


@dataclass(frozen=True)
class Proof:
    """One claim about one unit.

    Attributes
    ----------
    name : str
        Of the run.
    claim : int
        Number of the claim in `CLAIMS`.
    unit : str
        What is under proof, with its parameters.
    says : str
        The properties in words.
    build : callable
        Makes the harness from the RTL package.
    engine : str
        pdr (unbounded, invariants found by ABC) or yices.
    mode : str
        prove (unbounded) or bmc (every run up to `depth` clocks).
    depth : int
        k of an induction, clocks of a BMC; without meaning for pdr.
    cover : int
        Clocks within which every cover is reached.
    controls : tuple of Control
        At least one.
    skip : int
        Clocks at whose begin the search for the covers does not look: to prove that they come no earlier costs more.
    limit : int
        Seconds for every single run.
    script : str
        Yosys commands for the design (cut points).
    weight : int
        Seconds that the proof takes, roughly: the longest are started first.
    """

    name: str
    claim: int
    unit: str
    says: str
    build: Build
    cover: int
    controls: tuple[Control, ...]
    engine: str = "pdr"
    mode: str = "prove"
    depth: int = 1
    skip: int = 0
    limit: int = 300
    script: str = ""
    weight: int = 0


CLAIMS = {
    1: "frame decoder never deadlocks and never passes a frame with a bad CRC",
    2: "stream stages obey the valid/ready rules",
    3: "no address leaves its bank",
    4: "read-modify-write hazards cannot occur",
    5: "softmax divider ends within its bound and divides",
    6: "host and core share the memories without collision or starvation",
    7: "serial line: no byte lost, the line returns to idle",
}
