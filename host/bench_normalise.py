"""Rates per neuron (option ``normalise``): forms in float, and the device's form on and off in fixed point.

Run as ``python -m solsa.host.bench_normalise --json docs/results/normalise.json``; recipes are those of the program.

In float, forms of the mean (:data:`~solsa.golden.baselines.online.FORMS`) for hidden layers alone or for all, one
filter group, with the rates of the recipe times a factor; the mean at which a rate is as given is the geometric one at
the end of a run without. Accuracies are those on every fourth training sample of a class, none of them learned.

In fixed point, the network of ``solsa learn`` with one filter group and with four, compiled samples: test accuracy
after the last epoch; nothing was chosen by it.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from solsa.contract import NetworkConfig
from solsa.golden.baselines.network import Options, RuleNetwork, Samples
from solsa.golden.baselines.rules import RULES

from .bench_goals import GOALS, runs, where
from .bench_options import held_back
from .data import Dataset, load_dataset
from .recipe import NORMALISE, Recipe, initial_weights, per_group, per_layer
from .start import plan_for
from .study import StudyParser, in_one_line, keep, known, rows_of, summed
from .train import quantise, shuffled, start_network

#: Factors on the rates of the recipe, in float; filter groups; layers that have rates per neuron.
FACTORS = (0.5, 1.0, 2.0, 4.0)
GROUPS = (1, 4)
LAYERS = ("hidden", "all")
#: Fixed point: references by name, off without.
REFERENCES = {"off": (0.0,), "hidden": NORMALISE, "all": (NORMALISE[0], 2.0**-5)}


class FloatStudy:
    """Runs of a data set in float.

    Parameters
    ----------
    dataset : Dataset
        Training and validation samples.
    seeds : int
        Runs of every variant.
    epochs : int, optional
        Instead of the recipe's.
    """

    def __init__(self, dataset: Dataset, seeds: int, epochs: int | None) -> None:
        config, recipe, encoder = plan_for(dataset)
        self.config: NetworkConfig = config.with_(groups=1)
        self.recipe: Recipe = recipe.with_(epochs=epochs or recipe.epochs)
        self.seeds = seeds
        network = start_network(self.config, "float", self.recipe, dataset, 0, encoder)
        one = self.config.formats.input.one
        self.train, self.held = (
            Samples.pack([x / one for x in part.inputs], part.labels) for part in quantise(dataset, network)
        )
        self.schedule = np.zeros(self.train.longest, dtype=bool)
        self.schedule[list(network.parameters.schedule)] = True

    def run(self, seed: int, factor: float, **options: Any) -> RuleNetwork:
        """A trained network."""
        config, recipe, rates = self.config, self.recipe, np.array(per_layer(self.recipe.rates, self.config.depth))
        a, lam = ([per_group(r, config.groups) for r in per_layer(x, config.depth)] for x in (recipe.a, recipe.lam))
        even = np.ptp(self.train.lengths) == 0
        network = RuleNetwork(
            config.layers, [w / config.formats.weight.one for w in initial_weights(config, recipe, seed)], a, lam,
            RULES["solsa"], theta=recipe.theta, rho=recipe.rho, width=recipe.surrogate_width,
            peak=recipe.surrogate_peak, seed=seed,
            options=Options(window=recipe.decided(self.train.longest) if even else 0, **options),
        )  # fmt: skip
        order = np.random.PCG64(np.random.SeedSequence([seed, 1]))
        for epoch in range(recipe.epochs):
            now = rates * recipe.factor(epoch) * factor
            network.epoch(self.train, shuffled(len(self.train), order), self.schedule, now)
        return network

    def references(self, form: str) -> tuple[float, ...]:
        """Geometric means at the end of a run whose rates do not follow from them."""
        means = [m[m > 0] for m in self.run(0, 1.0, normalise=form, largest=0).means]
        power = 0.5 if form == "row" else 1.0  # a row's mean is one of squares
        return tuple(float(np.exp(power * np.log(m).mean())) if len(m) else 1.0 for m in means)

    def forms(self, has: Callable[[str], bool]) -> Iterator[tuple[str, dict[str, Any]]]:
        """(form and layers, references and accuracies by factor) of every variant that there is none of."""
        variants: dict[str, tuple[str, str]] = {"off": ("", "")}
        variants |= {f"{form}, {layers}": (form, layers) for form in ("row", "error") for layers in LAYERS}
        for name, (form, layers) in variants.items():
            if has(name):
                continue
            options: dict[str, Any] = {}
            if form:
                every = self.references(form)
                own = every if layers == "all" else (*every[:-1], 0.0)
                options = {"normalise": form, "reference": own, "largest": 2}
            factors = {
                f"{factor:g}": summed(
                    [self.run(seed, factor, **options).accuracy(self.held) for seed in range(self.seeds)]
                )
                for factor in FACTORS
            }
            yield name, {"reference": options.get("reference"), "factors": factors}


def fixed(
    dataset: Dataset, seeds: int, epochs: int | None, has: Callable[[str], bool]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(groups and layers, accuracies of the device's words) of every variant that there is none of."""
    plain, recipe, encoder = plan_for(dataset)
    recipe = recipe.with_(epochs=epochs or recipe.epochs)
    for groups, (layers, references) in itertools.product(GROUPS, REFERENCES.items()):
        name = f"G = {groups}, {layers}"
        if has(name):
            continue
        config = plain.with_(groups=groups, normalise=layers != "off")
        own = recipe.with_(normalise=references if config.normalise else ())
        yield name, runs(dataset, config, own, encoder, seeds)


def main() -> int:
    """Command line."""
    parser = StudyParser("solsa.host.bench_normalise", __doc__, seeds=5)
    parser.add_argument("datasets", nargs="*", default=tuple(GOALS), metavar="DATASET", help=", ".join(GOALS))
    parser.add_argument("--only", choices=("float", "fixed"), help="one of the two parts")
    parser.add_argument("--go-on", action="store_true", help="measure what the file of --json lacks")
    options = parser.parse()
    known(options.datasets, GOALS)
    results: dict[str, Any] = {}
    with in_one_line(json=options.json):
        if options.go_on:
            results = rows_of(options.json)
        for name, part in itertools.product(options.datasets, ("fixed", "float")):
            if options.only not in (None, part):
                continue
            dataset, found = load_dataset(where(name)), results.setdefault(name, {}).setdefault(part, {})
            if part == "fixed":
                measured = fixed(dataset, options.seeds, options.epochs, found.__contains__)
            else:
                measured = FloatStudy(held_back(dataset), options.seeds, options.epochs).forms(found.__contains__)
            for variant, entry in measured:
                found[variant] = entry
                best = max(v["mean"] for v in entry.get("factors", {"": entry}).values())
                print(f"{name}, {part}, {variant}: {best:.4f}", flush=True)
                keep(options.json, results=results, seeds=options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
