"""The golden model as a device's address spaces: every register and memory word of the contract, read and written."""

from __future__ import annotations

import numpy as np

from solsa.contract import Format, NeuronField, Parameters, Register, Space
from solsa.contract.config import NetworkConfig
from solsa.contract.registers import (
    NORM_SHIFT,
    LayerRegister,
    a_address,
    lam_address,
    layer_address,
    register_map,
    space_words,
)
from solsa.contract.wire import Status
from solsa.golden.core import GoldenCore

from .words import Ints, synapse_positions, truncate

_NEURON_WORDS = 8
_ONE_BIT = Format(1, 0, signed=False)


class GoldenMemory:
    """Word-level view of a :class:`GoldenCore`, in the state after reset of the device.

    Padding words (lanes without a post in the last block, filter groups without a post) read as 0 and ignore writes:
    they take no part in any computation.

    Parameters
    ----------
    config : NetworkConfig
        Geometry and formats.
    """

    def __init__(self, config: NetworkConfig) -> None:
        self.config = config
        self._entries = register_map(config)
        self._words = space_words(config)
        self._registers = {e.address: e.reset for e in self._entries.values()}
        self._schedule = np.zeros(config.max_steps, dtype=np.int64)
        self._surrogate = np.zeros(config.surrogate_entries, dtype=np.int64)
        self._positions = synapse_positions(config)
        sizes = [config.post(i) * config.pre(i) for i in range(config.depth)]
        self._starts = np.concatenate(([0], np.cumsum(sizes)))
        self._a = {a_address(i, g): (i, g) for i in range(config.depth) for g in range(config.groups)}
        self._core = GoldenCore(config, self._parameters())
        self._core.state.rng = self._registers[Register.RNG]
        self._stale = False

    @property
    def core(self) -> GoldenCore:
        """The golden core, with the registers as they are now."""
        if self._stale:
            self._core.set_parameters(self._parameters(), check=False)
            self._stale = False
        return self._core

    def _parameters(self) -> Parameters:
        r, c = self._registers, self.config

        def row(register: LayerRegister) -> tuple[int, ...]:
            return tuple(r[layer_address(i, register)] for i in range(c.depth))

        pair = LayerRegister
        return Parameters(
            theta=row(pair.THETA),
            rho=row(pair.RHO),
            lam=tuple(tuple(r[lam_address(i, g)] for g in range(c.groups)) for i in range(c.depth)),
            a=((0,) * c.groups,) * c.depth,  # the core holds the adaptive constants themselves
            surrogate=tuple(self._surrogate.tolist()),
            surrogate_shift=r[Register.SURROGATE_SHIFT],
            rate=tuple(zip(row(pair.RATE_MANTISSA), row(pair.RATE_SHIFT), strict=True)),
            adapt_rate=tuple(zip(row(pair.ADAPT_MANTISSA), row(pair.ADAPT_SHIFT), strict=True)),
            a_min=r[Register.A_MIN],
            a_max=r[Register.A_MAX],
            schedule=tuple(np.flatnonzero(self._schedule).tolist()),
            stop_margin=r.get(Register.STOP_MARGIN, 0),
            stop_points=r.get(Register.STOP_POINTS, 0),
            norm=tuple(zip(row(pair.NORM_REFERENCE), row(pair.NORM_LIMIT), strict=True)) if c.normalise else (),
            norm_shift=r.get(Register.NORM_SHIFT, NORM_SHIFT),
        )

    # -- checks -------------------------------------------------------------------------------------------------------
    def refuse_read(self, space: int, index: int, count: int) -> Status:
        """OK, or why these words cannot be read."""
        inside = space in self._words and index + count <= self._words[Space(space)]
        return Status.OK if inside else Status.BAD_ADDRESS

    def refuse_write(self, space: int, index: int, words: Ints) -> Status:
        """OK, or why these words cannot be written; a REGISTER write carries one word."""
        if space == Space.REGISTER:
            entry = self._entries.get(index)
            if entry is None or not entry.writable:
                return Status.BAD_ADDRESS
            value = int(words[0]) if entry.signed else int(words[0]) & 0xFFFFFFFF
            return Status.OK if entry.low <= value <= entry.high else Status.BAD_VALUE
        if space not in (Space.WEIGHT, Space.TRACE, Space.SCHEDULE, Space.SURROGATE):
            return Status.BAD_ADDRESS
        return self.refuse_read(space, index, len(words))

    # -- words --------------------------------------------------------------------------------------------------------
    def read(self, space: Space, index: int, count: int) -> Ints:
        """Words of a space, after :meth:`refuse_read` said OK; int64 [count]."""
        where = slice(index, index + count)
        if space is Space.REGISTER:
            return np.array([self._register(i) for i in range(index, index + count)], dtype=np.int64)
        if space in (Space.WEIGHT, Space.TRACE):
            name = "weight" if space is Space.WEIGHT else "trace"
            flat = np.concatenate([getattr(layer, name).ravel() for layer in self._core.state.layers])
            positions = self._positions[where]
            return np.where(positions >= 0, flat[positions], 0)
        if space is Space.FILTER:
            return np.concatenate([self._filters(i) for i in range(self.config.depth)])[where]
        if space is Space.NEURON:
            return self._neurons()[where]
        if space is Space.SCHEDULE:
            return np.concatenate([self._schedule, self._core.state.changes])[where]
        if space is Space.SURROGATE:
            means = [layer.mean_error for layer in self._core.state.layers] if self.config.normalise else []
            return np.concatenate([self._surrogate, *means])[where]
        return self._core.state.score[where]

    def write(self, space: Space, index: int, words: Ints) -> None:
        """Write words, after :meth:`refuse_write` said OK."""
        f, where = self.config.formats, slice(index, index + len(words))
        if space is Space.REGISTER:
            self._write_register(index, int(words[0]))
        elif space is Space.SCHEDULE:
            table = max(0, min(len(words), self.config.max_steps - index))
            self._schedule[index : index + table] = truncate(words[:table], _ONE_BIT)
            start = max(0, index - self.config.max_steps)
            self._core.state.changes[start : start + len(words) - table] = truncate(words[table:], f.change)
            self._stale = True
        elif space is Space.SURROGATE:
            table = max(0, min(len(words), len(self._surrogate) - index))
            self._surrogate[index : index + table] = truncate(words[:table], f.surrogate)
            self._write_means(max(0, index - len(self._surrogate)), truncate(words[table:], f.mean_error))
            self._stale = True
        elif space is Space.WEIGHT:
            self._write_synapses("weight", where, truncate(words, f.weight))
        else:
            self._write_synapses("trace", where, truncate(words, f.trace))

    def _register(self, address: int) -> int:
        state = self._core.state
        if address in self._a:
            layer, group = self._a[address]
            return int(state.layers[layer].a[group])
        live: dict[int, int] = {
            Register.FRESH: state.fresh_neurons | state.fresh_traces << 1,
            Register.STEP: state.step,
            Register.UPDATES: state.updates,
            Register.RNG: state.rng,
            **({Register.RIGHT: state.right} if self.config.early_stop else {}),
        }
        return live.get(address, self._registers.get(address, 0))

    def _write_register(self, address: int, word: int) -> None:
        value = word if self._entries[address].signed else word & 0xFFFFFFFF
        if address in self._a:
            layer, group = self._a[address]
            self._core.state.layers[layer].a[group] = value
        elif address == Register.RNG:
            self._core.state.rng = value
        else:
            self._registers[address] = value
            self._core.state.probe = bool(self._registers.get(Register.PROBE, 0))
            self._stale = True

    def _write_synapses(self, name: str, where: slice, values: Ints) -> None:
        positions = self._positions[where]
        for i, layer in enumerate(self._core.state.layers):
            mine = (positions >= self._starts[i]) & (positions < self._starts[i + 1])
            getattr(layer, name).reshape(-1)[positions[mine] - self._starts[i]] = values[mine]

    def _write_means(self, start: int, values: Ints) -> None:
        """Running means of |delta| from a neuron on, layer by layer."""
        for layer in self._core.state.layers:
            mine = layer.mean_error[start : start + len(values)]
            mine[:] = values[: len(mine)]
            values, start = values[len(mine) :], max(0, start - len(layer.mean_error))

    def _filters(self, layer: int) -> Ints:
        words = np.zeros((self.config.pre(layer), self.config.groups), dtype=np.int64)
        words[:, : self.config.used_groups(layer)] = self._core.state.layers[layer].filter.T
        return words.ravel()

    def _neurons(self) -> Ints:
        names = [field.name.lower() for field in NeuronField]
        rows = np.zeros((sum(self.config.layers[1:]), _NEURON_WORDS), dtype=np.int64)
        for column, name in enumerate(names):
            rows[:, column] = np.concatenate([getattr(layer, name) for layer in self._core.state.layers])
        return rows.ravel()
