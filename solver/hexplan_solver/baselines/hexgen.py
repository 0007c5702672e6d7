"""HexGen: a genetic search over groups of devices, each a pipeline (Jiang et al., ICML 2024).

A re-implementation from the paper's description. An individual cuts the devices into groups, and
each group becomes one pipeline. Individuals change by merging, splitting and swapping groups, and
the fittest survive. The fitness is the rate at which the pipelines finish requests by HexGen's cost
model, one request at a time in each. The paper's own fitness is the share of requests that a
simulation finishes before a deadline, at a given rate. It grows with the fitness used here, and a
plan for the largest flow has neither a deadline nor a rate.
"""

from __future__ import annotations

import random

from hexplan_solver.baselines.hexgen_pipeline import Devices, HexgenPipeline, PipelinePlanner
from hexplan_solver.baselines.params import HEXGEN_PARAMS
from hexplan_solver.baselines.result import MethodResult, give_up, result_of, time_for
from hexplan_solver.baselines.stocks import Stock, stocks_of
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run

Individual = tuple[Devices, ...]
"""Groups of devices, sorted; together they have all devices."""


def place_hexgen(run: Run, problem: Problem) -> MethodResult:
    """Search groups of devices by evolution, and place a pipeline on each that has room for one."""
    stocks = stocks_of(problem)
    planner = PipelinePlanner(problem.spec, stocks, time_for(run, len(stocks)))
    best = _evolve(run, planner, _by_site(stocks))
    pipelines = [pipeline for group in best if (pipeline := planner.plan(group))]
    if not pipelines:
        raise give_up("no group of devices holds the model by HexGen's formulas")
    return result_of(_stages(stocks, pipelines))


def _evolve(run: Run, planner: PipelinePlanner, first: Individual) -> Individual:
    """Return the fittest individual after a number of generations.

    The fittest of parents and children make up the next generation.
    """
    rng = random.Random(run.options.seed)  # noqa: S311 - a search, not a secret
    params = HEXGEN_PARAMS
    everything: Individual = (tuple(len(stock.devices) for stock in planner.stocks),)

    def fitness(individual: Individual) -> float:
        plans = (planner.plan(group) for group in individual)
        return sum(1 / plan.latency_s for plan in plans if plan)

    def fittest(individuals: set[Individual]) -> list[Individual]:
        return sorted(individuals, key=lambda i: (-fitness(i), i))[: params.population]

    population = fittest({first, everything})
    for _ in range(params.generations):
        if run.left_s == 0:
            break
        run.tell("evolution", None)
        children = {_mutated(rng, rng.choice(population)) for _ in range(params.children)}
        population = fittest({*population, *children})
    return population[0]


def _by_site(stocks: list[Stock]) -> Individual:
    """Return the individual with one group for each site, from which the search starts."""
    sites = list(dict.fromkeys(stock.host.site for stock in stocks))
    return _tidy(
        [
            tuple(len(stock.devices) if stock.host.site == site else 0 for stock in stocks)
            for site in sites
        ]
    )


def _tidy(groups: list[Devices]) -> Individual:
    return tuple(sorted(group for group in groups if any(group)))


def _mutated(rng: random.Random, individual: Individual) -> Individual:
    """Merge two groups, split one, or move devices of one stock from one group to another."""
    groups = list(individual)
    rng.shuffle(groups)
    choice = rng.choice(("merge", "split", "swap"))
    if choice == "split" or len(groups) < 2:
        whole = groups.pop()
        part = tuple(rng.randint(0, count) for count in whole)
        return _tidy([*groups, part, _minus(whole, part)])
    one, other = groups.pop(), groups.pop()
    if choice == "merge":
        return _tidy([*groups, _plus(one, other)])
    stock = rng.choice([i for i, count in enumerate(one) if count])
    given = tuple(rng.randint(1, n) if i == stock else 0 for i, n in enumerate(one))
    return _tidy([*groups, _minus(one, given), _plus(other, given)])


def _plus(one: Devices, other: Devices) -> Devices:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _minus(one: Devices, other: Devices) -> Devices:
    return tuple(a - b for a, b in zip(one, other, strict=True))


def _stages(stocks: list[Stock], pipelines: list[HexgenPipeline]) -> list[PlacedStage]:
    """Assign to every part the next devices of its stock."""
    taken = [0] * len(stocks)
    stages = []
    for pipeline in pipelines:
        first = 0
        for part in pipeline.parts:
            layers = (first, first + part.layers)
            stages.append(stocks[part.stock].stage(taken[part.stock], part.degree, layers))
            taken[part.stock] += part.degree
            first += part.layers
    return stages
