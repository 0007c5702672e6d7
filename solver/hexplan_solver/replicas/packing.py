"""The packing: how often each design is used, by a MILP over designs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pulp

from hexplan_solver.budget import Budget
from hexplan_solver.milp import Patience, solve_milp
from hexplan_solver.options import SolveOptions
from hexplan_solver.replicas.design import Design
from hexplan_solver.replicas.supply import LINKS, Row, Supply

PATIENCE = Patience(400, 60, 1e-4)
"""Packings that differ by less than links and names of hosts do are as good."""
ROUND = 1e-6


@dataclass(frozen=True, slots=True)
class Valued:
    """A design and what one replica of it is worth."""

    design: Design
    value: float


@dataclass(frozen=True, slots=True)
class Packing:
    """How to pack."""

    seconds: float
    counts_links: bool
    """Whether each replica takes what it passes of the trunks on its way. Otherwise replicas share
    trunks as they can, and some pass less."""


def packed(
    supply: Supply, columns: Sequence[Valued], options: SolveOptions, packing: Packing
) -> list[Design]:
    """Return the designs, each as often as it is used, whose sum of values is largest."""
    if not columns:
        return []
    model = pulp.LpProblem("replicas", pulp.LpMinimize)
    uses = []
    rows: dict[Row, list[tuple[pulp.LpVariable, int]]] = {}
    for number, column in enumerate(columns):
        every = supply.taken_by(column.design).items()
        taken = {row: n for row, n in every if n and (packing.counts_links or row[0] != LINKS)}
        most = min(supply.limits[row] // amount for row, amount in taken.items())
        use = model.add_variable(f"x{number}", 0, most, pulp.LpInteger)
        uses.append(use)
        for row, amount in taken.items():
            rows.setdefault(row, []).append((use, amount))
    scale = max(column.value for column in columns) or 1.0
    model += pulp.LpAffineExpression(
        (use, -column.value / scale) for use, column in zip(uses, columns, strict=True)
    )
    for row, terms in rows.items():
        model += pulp.LpAffineExpression(terms) <= supply.limits[row]
    # Many packings are equally good, and which of them is found depends on the threads.
    single = replace(options, threads=1)
    found = solve_milp(model, single, Budget(packing.seconds), patience=PATIENCE)
    if found.values is None:
        return []
    counts = [round(found.values.get(use.name, 0.0) + ROUND) for use in uses]
    return [
        column.design for column, count in zip(columns, counts, strict=True) for _ in range(count)
    ]
