"""HexGen's headline: 58 mixed GPUs against 16 A100 that cost as much per hour.

A request keeps its deadline if its last token comes in time. Deadlines are multiples of the time of
a lone request on the A100, as in the paper. Requests have 64 + 64 tokens, of the paper's lengths.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import islice

from headline_columns import Column, column_of_method, own_column, spec_named

from hexplan.plan import Objective
from hexplan.spec import Spec
from hexplan.workload import Slo
from hexplan_solver import SolveOptions
from hexplan_solver.problem.problem import build_problem
from hexplan_solver.served.step_limits import with_step_limits
from hexplan_solver.simulate import (
    CHUNKED,
    Closed,
    FixedLengths,
    Offline,
    Poisson,
    Replay,
    Window,
    pipeline_of_placement,
    simulate,
)
from hexplan_solver.start.uniform import uniform_placements

LENGTHS = FixedLengths(64, 64)
REQUEST_TOKENS = 128
ATTAINMENT_PERCENT = 99
GRID = 1.04
"""Rates are tried in steps of 4 %..."""
LOWEST_STEP = -40
"""...from 0.2 requests/s on."""
LEAST_REQUESTS = 500
LEAST_DEADLINES = 1.0
"""A run has at least so many requests, over so many deadlines, and ends with the last of them."""
FULL = Window(150.0, 90.0)
"""The window for as many requests as fit; a request stays for up to 40 s."""
PROMPT_SHARE = Decimal("0.25")
"""Share of a deadline that hexplan's objective `slo` gets for the first token; the tokens after it
get the rest."""
MOST_GRIDS = 2
"""Uniform configurations of the A100 that are simulated: so many of those that serve most by the
formula, that serve most one request at a time, and whose lone request is fastest."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a row asks: the shortest deadline at a rate, or the largest rate with a deadline."""

    name: str
    objective: Objective
    """What hexplan plans for."""
    scale: float = math.inf
    """The deadline, in times of a lone request on the A100."""
    requests_per_s: float | None = None
    """At which the shortest deadline is sought."""


QUESTIONS = (
    Question("deadline-1", "latency", 20.0, 1.0),
    Question("deadline-1.6", "latency", 20.0, 1.6),
    Question("deadline-40", "latency", 20.0, 40.0),
    Question("rate-10", "slo", 10.0),
    Question("rate-20", "slo", 20.0),
    Question("rate-any", "sustained"),
)
NAMES = [f"hexgen/{question.name}" for question in QUESTIONS]
COLUMNS = (
    "what",
    "the paper",
    "16 A100, one at a time",
    "HexGen, one at a time",
    "16 A100",
    "HexGen",
    "hexplan",
    "times HexGen",
    "times 16 A100, one at a time",
    "times 16 A100",
)
HEADER = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def hexgen_rows(names: Sequence[str], options: SolveOptions, seeds: range) -> Iterator[str]:
    """Yield a row for each name; the first seed alone is used."""
    for question in QUESTIONS:
        if f"hexgen/{question.name}" in names:
            yield _row(question, options, seeds[0])


def _row(question: Question, options: SolveOptions, seed: int) -> str:
    lone_s = _grids()[0].lone_s
    mixed = spec_named("hexgen-full58")
    hexgen = column_of_method(mixed, "hexgen")
    own = own_column(_asking(mixed, question, lone_s), question.objective, options)
    groups = [
        [_one_at_a_time(column) for column in _uniform_columns(is_single=True)],
        [_one_at_a_time(hexgen)],
        _uniform_columns(is_single=False),
        [hexgen],
        [own],
    ]
    figures = [_figure(group, question, lone_s, seed) for group in reversed(groups)][::-1]
    if question.requests_per_s is not None:
        what = f"shortest deadline in s at {question.requests_per_s:g} requests/s"
        paper, gains = "up to 2.3, mean 1.5", [figure / figures[-1] for figure in figures]
    elif math.isinf(question.scale):
        what = "requests/s without a deadline"
        paper, gains = "", [figures[-1] / figure for figure in figures]
    else:
        what = f"requests/s within {question.scale:g} times {lone_s:.2f} s"
        paper, gains = "up to 4, mean 2", [figures[-1] / figure for figure in figures]
    shown = [*map(_shown, figures), *(_shown(gains[i]) for i in (3, 0, 2))]
    return "| " + " | ".join([what, paper, *shown]) + " |"


def _shown(figure: float) -> str:
    return f"{figure:.3g}" if math.isfinite(figure) else "none"


def _asking(spec: Spec, question: Question, lone_s: float) -> Spec:
    """Return the spec with what the objective needs: a rate, or a promise that keeps a deadline."""
    update: dict[str, object] = {"request_rate_per_s": question.requests_per_s}
    if question.objective == "slo":
        deadline, output = Decimal(f"{question.scale * lone_s:.3f}"), LENGTHS.output_tokens
        update["slo"] = Slo(
            ttft_s=deadline * PROMPT_SHARE,
            tpot_s=round(deadline * (1 - PROMPT_SHARE) / (output - 1), 6),
            attainment=Decimal(ATTAINMENT_PERCENT) / 100,
        )
    return replace(spec, workload=spec.workload.model_copy(update=update))


def _figure(columns: Sequence[Column], question: Question, lone_s: float, seed: int) -> float:
    """Return what the best of some columns reaches."""
    deadline_s, rate = question.scale * lone_s, question.requests_per_s
    if rate is not None:
        return min(_tail_s(column, rate, deadline_s, seed) for column in columns)
    if math.isinf(deadline_s):
        return max(_most_requests_per_s(column, seed) for column in columns)
    return _largest_rate(columns, deadline_s, seed)


def _most_requests_per_s(column: Column, seed: int) -> float:
    window = replace(FULL, seed=seed)
    return simulate(column.pipeline, Offline(LENGTHS), column.policy, window).requests_per_s


@dataclass(frozen=True, slots=True)
class Grid:
    """A uniform configuration of the A100."""

    column: Column
    served: float
    """Decode tokens/s by the formula."""
    lone_s: float
    """Mean time of a request that is alone."""
    singles_per_s: float
    """Requests/s of all pipelines, one request at a time."""


@cache
def _grids() -> tuple[Grid, ...]:
    """Return all uniform configurations, those with the fastest lone request first."""
    spec = spec_named("hexgen-a100-16")
    problem, found = build_problem(spec), []
    for grid in uniform_placements(problem):
        pipeline = pipeline_of_placement(problem, grid.evaluated.network, grid.evaluated.flow)
        policy, served = with_step_limits(spec, pipeline, CHUNKED)
        column = Column(grid.name, pipeline, policy)
        lone_s = _lone_s(column)
        rate = grid.num_pipelines / lone_s
        found.append(Grid(column, served.decode_tokens_per_s, lone_s, rate))
    return tuple(sorted(found, key=lambda grid: grid.lone_s))


def _uniform_columns(is_single: bool) -> list[Column]:
    """Return the uniform configurations that may be the best."""
    grids = _grids()
    chosen = [*grids[:MOST_GRIDS]]
    chosen += sorted(grids, key=lambda grid: -grid.singles_per_s)[:MOST_GRIDS]
    if not is_single:
        chosen += sorted(grids, key=lambda grid: -grid.served)[:MOST_GRIDS]
    return [grid.column for grid in dict.fromkeys(reversed(chosen))]


def _lone_s(column: Column) -> float:
    """Return the mean time of a request that is alone."""
    outcome = simulate(column.pipeline, Closed(LENGTHS, 1), column.policy, Window(60.0, 5.0))
    assert outcome.e2e is not None
    return outcome.e2e.mean_s


def _one_at_a_time(column: Column) -> Column:
    """Return a column with KV room for one request at each stage."""
    stages = tuple(
        replace(stage, kv_tokens=min(stage.kv_tokens, REQUEST_TOKENS), measured_kv_tokens=None)
        for stage in column.pipeline.stages
    )
    return replace(column, pipeline=replace(column.pipeline, stages=stages))


def _tail_s(column: Column, rate: float, deadline_s: float, seed: int) -> float:
    """Return the time within which 99 % of the requests are done; infinite beyond the deadline.

    All requests are waited for. A short run shows most of what is overloaded.
    """
    found_s = math.inf
    for share in (0.2, 1.0):
        warm_up = deadline_s * rate * share
        measured = max(LEAST_REQUESTS, LEAST_DEADLINES * deadline_s * rate) * share
        arrivals = Poisson(rate, LENGTHS).arrivals(random.Random(seed))  # noqa: S311
        requests = tuple(islice(arrivals, int(warm_up + measured)))
        window = Window(None, requests[int(warm_up)][0], seed)
        outcome = simulate(column.pipeline, Replay(requests), column.policy, window)
        if outcome.turned_away or outcome.e2e is None:
            return math.inf
        found_s = outcome.e2e.percentiles_s[ATTAINMENT_PERCENT - 1]
        if found_s > deadline_s:
            return math.inf
    return found_s


def _largest_rate(columns: Sequence[Column], deadline_s: float, seed: int) -> float:
    """Return the largest rate of the grid at which one of some columns keeps the deadline."""
    best = LOWEST_STEP
    for column in columns:
        best = _best_step(column, best, deadline_s, seed)
    return float(GRID**best)


def _best_step(column: Column, least: int, deadline_s: float, seed: int) -> int:
    """Return the largest step of the grid at which a column keeps the deadline, or `least`."""

    def keeps(step: int) -> bool:
        return _tail_s(column, GRID**step, deadline_s, seed) <= deadline_s

    if not keeps(least + 1):
        return least
    low, stride = least + 1, 8
    while keeps(low + stride):
        low, stride = low + stride, 2 * stride
    high = low + stride
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    print(f"{column.name}: {GRID**low:.3g} requests/s", file=sys.stderr, flush=True)
    return low
