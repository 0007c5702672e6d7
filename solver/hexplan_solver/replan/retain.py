"""The MILP that keeps the most bytes in place: the coverage MILP with named devices.

If links do not limit it, a placement passes F tokens/s exactly if the speeds of every layer's
stages sum to F (docs/formulation.md 7). With y = 1 for each stage that is formed:

    minimise    sum over stages of moved_bytes y
    cover[l]    sum over stages that hold l of min(T, F) y >= F
    device[d]   sum over stages that use d of y <= 1
    pinned[h]   sum over stages of h of y >= 1         for each host pinned to layers

Links can only reduce the flow. So the optimum over all stages is a lower bound on the bytes of any
placement that passes F.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pulp

from hexplan.constants import MICRO
from hexplan.cost import ShardSizes
from hexplan.cost.weights import weights_bytes
from hexplan_solver.budget import Budget
from hexplan_solver.milp import PATIENT, solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.placement.placement import PlacedStage
from hexplan_solver.placement.supply_rows import Terms
from hexplan_solver.problem.problem import Problem
from hexplan_solver.replan.columns import Columns, PricedStage
from hexplan_solver.replan.params import REPLAN_PARAMS

PricedVariable = tuple[PricedStage, pulp.LpVariable]
"""A stage that could be formed, and y, whether it is."""


@dataclass(frozen=True, slots=True)
class StageChoices:
    """What both MILPs choose from."""

    problem: Problem
    columns: Columns
    options: SolveOptions
    """How to run them."""


@dataclass(frozen=True, slots=True)
class Retained:
    """The stages chosen, and what is proved about the bytes."""

    stages: tuple[PlacedStage, ...]
    """Empty if none were found."""
    fewest_bytes: int | None
    """Proved: no placement that passes the flow moves fewer bytes."""


def fewest_bytes(
    choices: StageChoices, flow: int, start: Sequence[PlacedStage], budget: Budget
) -> Retained:
    """Choose the stages that pass `flow` and move the fewest bytes, links ignored.

    Parameters
    ----------
    flow
        In 1e-6 tokens/s.
    start
        Stages to start from; none for no start.
    """
    problem, columns, margin = choices.problem, choices.columns, REPLAN_PARAMS.bound_margin
    model = pulp.LpProblem("retain", pulp.LpMaximize)
    chosen = _choices(model, columns.stages)
    unit = _layer_bytes(problem)
    model += pulp.LpAffineExpression([(y, -p.moved_bytes / unit) for p, y in chosen])
    for layer, row in enumerate(_cover(problem, chosen, flow)):
        model += pulp.LpAffineExpression(row) >= flow / MICRO, f"cover_{layer}"
    _limit(model, problem, chosen)
    warm = _start(chosen, start)
    result = solve_milp(model, choices.options, budget, warm, REPLAN_PARAMS.patience)
    bound = None
    if columns.is_complete and result.bound is not None:
        bound = max(0, int((-result.bound * (1 - margin) - margin) * unit))
    return Retained(_taken(chosen, result.values), bound)


def largest_flow(
    choices: StageChoices, most_bytes: int, start: Sequence[PlacedStage], budget: Budget
) -> tuple[PlacedStage, ...]:
    """Choose the stages of the largest flow, links ignored, that move at most `most_bytes`."""
    problem, columns = choices.problem, choices.columns
    model = pulp.LpProblem("refill", pulp.LpMaximize)
    chosen = _choices(model, [p for p in columns.stages if p.moved_bytes <= most_bytes])
    flow = model.add_variable("F", lowBound=0)
    model += flow
    for layer, row in enumerate(_cover(problem, chosen, None)):
        model += pulp.LpAffineExpression([*row, (flow, -1.0)]) >= 0, f"cover_{layer}"
    unit = _layer_bytes(problem)
    moved = [(y, p.moved_bytes / unit) for p, y in chosen if p.moved_bytes]
    if moved:
        model += pulp.LpAffineExpression(moved) <= most_bytes / unit * (1 + 1e-9), "bytes"
    _limit(model, problem, chosen)
    result = solve_milp(model, choices.options, budget, _start(chosen, start), PATIENT)
    return _taken(chosen, result.values)


def _choices(model: pulp.LpProblem, stages: Iterable[PricedStage]) -> list[PricedVariable]:
    return [
        (priced, model.add_variable(f"y_{i}", 0, 1, pulp.LpInteger))
        for i, priced in enumerate(stages)
    ]


def _cover(problem: Problem, chosen: Iterable[PricedVariable], most: int | None) -> list[Terms]:
    """List each layer's stages with their speeds in tokens/s, each at most `most` (in 1e-6)."""
    rows: list[Terms] = [[] for _ in range(problem.num_layers)]
    for priced, variable in chosen:
        rate = priced.stage.rate if most is None else min(priced.stage.rate, most)
        for layer in range(*priced.stage.layers):
            rows[layer].append((variable, rate / MICRO))
    return rows


def _limit(model: pulp.LpProblem, problem: Problem, chosen: Iterable[PricedVariable]) -> None:
    """Use each device once at most, and every host that is pinned to layers."""
    users: dict[tuple[str, int], Terms] = defaultdict(list)
    of_host: dict[str, Terms] = defaultdict(list)
    for priced, variable in chosen:
        of_host[priced.stage.host].append((variable, 1.0))
        for device in priced.stage.devices:
            users[priced.stage.host, device].append((variable, 1.0))
    for i, (_, row) in enumerate(sorted(users.items())):
        model += pulp.LpAffineExpression(row) <= 1, f"device_{i}"
    pinned = [h for c in problem.classes if c.must_serve for h in c.hosts]
    for i, host in enumerate(pinned):
        model += pulp.LpAffineExpression(of_host[host]) >= 1, f"pinned_{i}"


def _start(
    chosen: Iterable[PricedVariable], stages: Sequence[PlacedStage]
) -> dict[str, float] | None:
    wanted = {(s.layers, s.host, frozenset(s.devices), s.kind) for s in stages}
    if not wanted:
        return None
    return {
        y.name: float((s.layers, s.host, frozenset(s.devices), s.kind) in wanted)
        for s, y in ((priced.stage, y) for priced, y in chosen)
    }


def _taken(
    chosen: Iterable[PricedVariable], values: dict[str, float] | None
) -> tuple[PlacedStage, ...]:
    if values is None:
        return ()
    return tuple(priced.stage for priced, y in chosen if values[y.name] > 0.5)


def _layer_bytes(problem: Problem) -> int:
    """Return the bytes of one whole layer: in this unit the MILP's numbers are moderate."""
    model = problem.spec.model
    return weights_bytes(model, ShardSizes(model.kv_heads, model.ffn, model.vocab), (1, 2))
