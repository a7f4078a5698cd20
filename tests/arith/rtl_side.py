"""Drivers of the units: operands in at the stage where they count, results out, one case per clock."""

from __future__ import annotations

import numpy as np
from bench import Ints
from golden_side import GoldenNeurons, filter_step
from setups import BLOCKS, POSTS, PRES, TERMS, Setup

#: Clocks after which the last case of a run has left any unit.
SLACK = 40
#: Clocks for which the operands of one case stand, in units that take them at many stages.
WINDOW = 20
# Values of rtl/beat.py's Mode.
TRACE, BACKWARD = 1, 2


class LaneRun:
    """A lane whose memories hold chosen words."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.unit = setup, setup.unit("lane")

    def load_bank(self, weight: Ints, trace: Ints) -> None:
        """Write words from address 0 on, as the host does."""
        assert len(weight) <= TERMS * BLOCKS
        for name, words in (("weight", weight), ("trace", trace)):
            at = np.arange(len(words))
            ones = np.ones(len(words), dtype=np.int64)
            self.unit.run(
                len(words) + 8, [], read_address=at, write_address=(at, 5), control1_fresh=1, filter=(words, 3),
                control4_valid=(ones, 4), owned=1, **{f"control4_write_{name}": 1},
            )  # fmt: skip
            self.unit.run(1, [], control1_fresh=0, owned=0, **{f"control4_write_{name}": 0})

    def load_blocks(self, *, gain: Ints | None = None, delta: Ints | None = None, rate: Ints | None = None) -> None:
        """Write the memories of k and of {delta, g} from entry 0 on."""
        for word in (gain, delta, rate):
            assert word is None or len(word) <= BLOCKS
        if gain is not None:
            at = np.arange(len(gain))
            self.unit.run(len(at) + 1, [], gain_write=np.ones(len(at)), neuron_block=at, gain=gain)
        other = delta if delta is not None else rate
        if other is not None:
            at = np.arange(len(other))
            words = {"delta": delta if delta is not None else 0, "rate_step": rate if rate is not None else 0}
            self.unit.run(len(at) + 1, [], error_write=np.ones(len(at)), error_block=at, **words)

    def trace(self, address: Ints, block: Ints, filtered: Ints) -> Ints:
        """eps'."""
        (found,) = self.unit.at(
            len(address), 5, ["word_trace"], read_address=address, block_address=block, filter=(filtered, 3),
            control1_update=0, control3_update=0, control4_update=0, control4_trace=1, control4_valid=1,
        )  # fmt: skip
        self.unit.run(1, [], control4_trace=0, control4_valid=0)
        return found

    def update(self, address: Ints, block: Ints, random: Ints) -> Ints:
        """w'."""
        modes = ("control1_update", "control3_update", "control4_update", "control4_valid")
        (found,) = self.unit.at(
            len(address), 5, ["word_weight"], read_address=address, block_address=block, random=(random, 3),
            **dict.fromkeys(modes, 1),
        )  # fmt: skip
        self.unit.run(1, [], **dict.fromkeys(modes, 0))
        return found

    def products(self, address: Ints, block: Ints) -> Ints:
        """w*delta."""
        (found,) = self.unit.at(
            len(address), 3, ["product"], read_address=address, block_address=block, control1_backward=1
        )
        self.unit.run(1, [], control1_backward=0)
        return found

    def sums(self, address: Ints, x: Ints, terms: int) -> Ints:
        """Accumulators, as they enter the unload chain, after every ``terms`` synapses."""
        rows = len(address)
        first = (np.arange(rows) % terms == 0).astype(np.int64)
        (found,) = self.unit.at(
            rows, 5, ["chain"], read_address=address, x=(x, 1), control3_valid=(np.ones(rows), 3),
            control3_compute=1, control3_first=(first, 3), load=1,
        )  # fmt: skip
        self.unit.run(1, [], load=0, control3_compute=0)
        return found[terms - 1 :: terms]


class NeuronRun:
    """The neuron unit beside golden neurons; every field of every neuron is compared after every step.

    Parameters
    ----------
    half : bool
        Add the half that lanes put in front of their sums; without, ``sums`` come from a lane.
    """

    def __init__(self, setup: Setup, count: int) -> None:
        assert count <= POSTS
        self.setup, self.unit, self.count = setup, setup.unit("neuron"), count
        self.golden = GoldenNeurons(setup, count)
        self.table = [0] * 32
        self.state: dict[str, Ints] = {}
        self.load_table(self.table)
        self.step(0, learn=True, fresh_neurons=True, fresh_traces=True)

    def load_table(self, table: list[int]) -> None:
        """Write the surrogate table."""
        self.table = table
        self.unit.run(33, [], idle=1, table_write=np.ones(32), table_address=np.arange(32), table_value=np.array(table))
        self.unit.run(1, [], idle=0)

    def step(
        self, currents: Ints | int | None = None, *, sums: Ints | None = None, chain: Ints | None = None,
        a: Ints | int = 0, lam: int = 0, rho: int = 0, theta: Ints | int = 0, surrogate_shift: int = 0,
        fresh_neurons: bool = False, fresh_traces: bool = False, learn: bool = False,
    ) -> dict[str, Ints]:  # fmt: skip
        """One step of all neurons; returns their state.

        Parameters
        ----------
        currents : int array, optional
            What the sums are after the shift to the format of I; or exact ``sums``.
        chain : int array, optional
            Sums as lanes hand them over; without, the exact sums with half of the last kept bit.
        """
        count, shift = self.count, self.setup.ops["current_sum"].shift
        if sums is None:
            sums = np.broadcast_to(np.asarray(currents) << shift, (count,)).astype(np.int64)
        if chain is None:
            chain = sums + (1 << shift >> 1)
        a = np.broadcast_to(np.asarray(a), (count,)).astype(np.int64)
        theta = np.broadcast_to(np.asarray(theta), (count,)).astype(np.int64)
        bits = self.setup.accumulator_bits
        assert -(1 << (bits - 1)) <= chain.min() <= chain.max() < 1 << (bits - 1), "beyond a lane's accumulator"
        fields = [f"retired_word_{name}" for name in GoldenNeurons.FIELDS]
        post = np.arange(count)
        found = self.unit.where(
            "retired", count + SLACK, fields, block_valid=np.ones(count), block_beat_block=post,
            block_beat_last_block=post == count - 1, chain=(chain, 1), a_0=(a, 2), lam_0=lam, rho_0=rho,
            theta_0=(theta, 6), surrogate_shift=surrogate_shift, fresh_neurons=int(fresh_neurons),
            fresh_traces=int(fresh_traces), learn=int(learn),
        )  # fmt: skip
        wanted = self.golden.step(
            sums, a, lam, rho, theta, self.table, surrogate_shift, fresh_neurons, fresh_traces, learn
        )
        for name, got in zip(GoldenNeurons.FIELDS, found, strict=True):
            assert len(got) == count
            expect(f"{self.setup.name}: {name}", got, wanted[name])
        self.state = wanted
        return wanted


class FilterRun:
    """The pre-synaptic unit beside golden's F, one group."""

    def __init__(self, setup: Setup, count: int) -> None:
        assert count <= PRES
        self.setup, self.unit, self.count = setup, setup.unit("filter"), count
        self.state = np.zeros(count, dtype=np.int64)

    def step(self, x: Ints | int, a: int, *, fresh: bool = False) -> Ints:
        """Advance F of every pre-synaptic signal."""
        count = self.count
        x = np.broadcast_to(np.asarray(x), (count,)).astype(np.int64)
        self.unit.run(1, [], restart=1)
        self.unit.run(count, [], restart=0, write=np.ones(count), write_value=x)
        index, ones = np.arange(count), np.ones(count)
        (found,) = self.unit.where(
            "filter_retired", count + SLACK, ["filter_advanced_0"], slot_valid=ones, slot_compute=ones, slot_mode=TRACE,
            slot_index=index, slot_first=index == 0, slot_last=index == count - 1, slot_last_block=1, a_0=a,
            fresh=int(fresh),
        )  # fmt: skip
        wanted = filter_step(self.setup, self.state, a, x, fresh=fresh)
        assert len(found) == count
        expect(f"{self.setup.name}: F", found, wanted)
        self.state = wanted
        return wanted


def hidden(
    setup: Setup, error: Ints, surrogate: Ints, mantissa: Ints, shift: Ints, adapt: Ints | None = None
) -> tuple[Ints, Ints, Ints]:
    """(delta, g, delta*A) of the error unit for errors of hidden neurons."""

    def held(column: Ints) -> Ints:
        return np.repeat(column, WINDOW)

    rows = len(error) * WINDOW
    delta, rate, sums = setup.unit("error").where(
        "valid", rows, ["delta", "rate_step", "sums_0"], error_valid=np.arange(rows) % WINDOW == 0, error_layer=0,
        error_post=0, error=held(error), read_word_surrogate=held(surrogate),
        read_word_adapt_trace=held(0 * error if adapt is None else adapt), rate_mantissa_0=held(mantissa),
        rate_shift_0=held(shift),
    )  # fmt: skip
    assert len(delta) == len(error)
    return delta, rate, sums


def backward(setup: Setup, sums: Ints, before: Ints | None = None) -> Ints:
    """Errors of the backward unit for sums of w*delta; with ``before``, in two blocks."""
    # Per case one beat, or two with a gap in which the first block's sum reaches the memory.
    blocks = [sums] if before is None else [before, sums]
    rows = len(sums) * len(blocks) * WINDOW
    last = np.arange(rows) // WINDOW % len(blocks) == len(blocks) - 1
    (found,) = setup.unit("backward").where(
        "valid", rows, ["error"], beat_mode=BACKWARD, beat_layer=1, beat_valid=np.arange(rows) % WINDOW == 0,
        beat_block=last * (len(blocks) - 1), beat_last_block=last,
        sum=np.repeat(np.stack(blocks, axis=1).ravel(), WINDOW),
    )  # fmt: skip
    assert len(found) == len(sums)
    return found


def adapt(setup: Setup, a: Ints, total: Ints, mantissa: Ints, shift: Ints, low: Ints, high: Ints) -> Ints:
    """a' of the adapting unit; eight cases, which share rate and limits, are the groups of one start."""
    # Eight writes of a, a start, clocks enough for eight groups.
    starts, period = len(total) // 8, 8 + 1 + 12 * 8
    rows = starts * period
    phase, which = np.arange(rows) % period, np.arange(rows) // period
    case = np.minimum(8 * which + np.minimum(phase, 7), len(total) - 1)
    found = setup.unit("adapt").where(
        "retired", rows, ["retired_value"], write=phase < 8, write_index=np.minimum(phase, 7), write_value=a[case],
        start=phase == 8, layer=0, mantissa_0=mantissa[8 * which], shift_0=shift[8 * which], a_min=low[8 * which],
        a_max=high[8 * which], **{f"sums_{k}": total[8 * which + k] for k in range(8)},
    )[0]  # fmt: skip
    assert len(found) == len(total)
    return found


def softmax(setup: Setup, membranes: Ints) -> Ints:
    """Probabilities [cases, outputs] of membranes [cases, outputs]."""
    cases, outputs = membranes.shape
    period = 4 * outputs + setup.constant("RECIPROCAL_BITS") + SLACK
    rows = cases * period
    phase, which = np.arange(rows) % period, np.arange(rows) // period
    post = np.minimum(phase, outputs - 1)
    (found,) = setup.unit(f"softmax{outputs}").where(
        "out_valid", rows, ["probability"], valid=phase < outputs, post=post, membrane=membranes[which, post],
        start=phase == outputs,
    )  # fmt: skip
    assert len(found) == membranes.size
    return found.reshape(cases, outputs)


def divide(setup: Setup, divisors: Ints) -> Ints:
    """Reciprocals of the divider."""
    period = setup.constant("RECIPROCAL_BITS") + 8
    rows = len(divisors) * period
    phase, which = np.arange(rows) % period, np.arange(rows) // period
    (found,) = setup.unit("divider").where(
        "done", rows, ["quotient"], start=phase == 0, divisor=np.where(phase == 0, divisors[which], 0)
    )
    assert len(found) == len(divisors)
    return found


def expect(what: str, got: Ints, wanted: Ints, **operands: Ints) -> None:
    """All equal, or an AssertionError that names the first case that differs."""
    wrong = np.flatnonzero(np.asarray(got).ravel() != np.asarray(wanted).ravel())
    if len(wrong):
        i = wrong[0]
        given = "".join(f", {name}={np.ravel(column)[i]}" for name, column in operands.items())
        first = f"expected {np.ravel(wanted)[i]}, got {np.ravel(got)[i]}{given}"
        raise AssertionError(f"{what}: {len(wrong)} of {np.size(wanted)} cases differ, first: {first}")
