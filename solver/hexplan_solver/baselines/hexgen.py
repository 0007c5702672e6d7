"""HexGen: a genetic search over groups of devices, each a pipeline (Jiang et al., ICML 2024).

A re-implementation from the paper's description. Individuals cut the devices into groups, of which
each becomes one pipeline; they change by merging, splitting and swapping; the fittest survive.
The fitness is the rate at which the pipelines finish requests, each serving one at a time by
HexGen's cost model. The paper's fitness, attainment of a deadline at a given rate in a simulation,
grows with it; a plan for the largest flow knows neither deadline nor rate.
"""

from __future__ import annotations

import random

from hexplan_solver.baselines.hexgen_pipeline import Devices, HexgenPipeline, PipelinePlanner
from hexplan_solver.baselines.result import MethodResult, give_up, result_of
from hexplan_solver.baselines.stocks import Stock, stocks_of
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.problem.problem import Problem
from hexplan_solver.run import Run

POPULATION = 30
CHILDREN = 10
GENERATIONS = 300
"""As in HexGen's repository, but for the smaller population."""

Individual = tuple[Devices, ...]
"""Groups of devices, sorted; together they are all devices."""


def place_hexgen(run: Run, problem: Problem) -> MethodResult:
    """Search groups of devices by evolution, and place one pipeline on each that holds one."""
    stocks = stocks_of(problem)
    planner = PipelinePlanner(problem.spec, stocks)
    best = _evolve(run, planner, _by_site(stocks))
    pipelines = [pipeline for group in best if (pipeline := planner.plan(group))]
    if not pipelines:
        raise give_up("no group of devices holds the model by HexGen's formulas")
    return result_of(_stages(stocks, pipelines))


def _evolve(run: Run, planner: PipelinePlanner, first: Individual) -> Individual:
    """Let the fittest of parents and children live on, for a number of generations."""
    rng = random.Random(run.options.seed)  # noqa: S311 - a search, not a secret
    everything: Individual = (tuple(len(stock.devices) for stock in planner.stocks),)

    def fitness(individual: Individual) -> float:
        plans = (planner.plan(group) for group in individual)
        return sum(1 / plan.latency_s for plan in plans if plan)

    def fittest(individuals: set[Individual]) -> list[Individual]:
        return sorted(individuals, key=lambda i: (-fitness(i), i))[:POPULATION]

    population = fittest({first, everything})
    for _ in range(GENERATIONS):
        if run.left_s == 0:
            break
        run.tell("evolution", None)
        children = {_mutated(rng, rng.choice(population)) for _ in range(CHILDREN)}
        population = fittest({*population, *children})
    return population[0]


def _by_site(stocks: list[Stock]) -> Individual:
    """Group all devices of each site: where the search begins."""
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
    """Merge two groups, split one, or hand devices of one stock from one group to another."""
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
    """Give every part the next devices of its stock."""
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
