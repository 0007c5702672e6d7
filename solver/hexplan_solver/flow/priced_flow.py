"""The largest flow where NICs or trunks bind, by an LP whose duals are the prices of the cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from hexplan.constants import MICRO
from hexplan_solver.flow.network import OUTSIDE, Network, arc_name, stage_name
from hexplan_solver.flow.prices import Priced, price_terms, priced_stages
from hexplan_solver.flow.routes import Flow, paths_of

SAFETY = 1 - 1e-9
"""An LP's flow is multiplied by this and then rounded down, so that rounding errors of the LP
exceed no capacity."""


def priced_flow(network: Network) -> Flow:
    """Solve the flow with shared capacities as an LP; its duals are the prices."""
    solution = _solve_lp(network)
    shrunk = [max(0, int(x * SAFETY * MICRO)) for x in solution.flows]
    paths = paths_of(network, shrunk)
    cut = price_terms(_priced(network, solution.prices), lambda p: _cheapest_route(network, p))
    return Flow(sum(p.amount for p in paths), paths, cut)


def shared_flow_value(network: Network) -> float:
    """Return the value of the largest flow with shared capacities, in tokens/s."""
    return _solve_lp(network).value


@dataclass(frozen=True, slots=True)
class _Solution:
    value: float
    flows: list[float]
    prices: list[float]
    """What one more unit of a capacity brings: stages, then shared capacities, then arcs."""


def _solve_lp(network: Network) -> _Solution:
    if not network.arcs:
        return _Solution(0.0, [], [0.0] * (len(network.stages) + len(network.shared)))
    rows, limits = _capacity_rows(network)
    balance = _balance_rows(network)
    gain = [-1.0 if arc.target == OUTSIDE else 0.0 for arc in network.arcs]
    num_arcs = len(network.arcs)
    found = linprog(  # type: ignore[call-overload]  # scipy takes sparse matrices, its stubs do not
        gain,
        A_ub=coo_array(_entries(rows), shape=(len(rows), num_arcs)),
        b_ub=limits,
        A_eq=coo_array(_entries(balance), shape=(len(balance), num_arcs)),
        b_eq=[0.0] * len(balance),
        bounds=[(0.0, arc.capacity / MICRO) for arc in network.arcs],
        method="highs",
    )
    prices = np.concatenate([-found.ineqlin.marginals, -found.upper.marginals])
    return _Solution(-float(found.fun), found.x.tolist(), prices.tolist())


Row = list[tuple[int, float]]
"""(arc, coefficient) pairs."""


def _capacity_rows(network: Network) -> tuple[list[Row], list[float]]:
    """Return the rows of stages, then those of shared capacities, and what bounds each."""
    stages: list[Row] = [[] for _ in network.stages]
    shared: list[Row] = [[] for _ in network.shared]
    for position, arc in enumerate(network.arcs):
        if arc.target != OUTSIDE:
            stages[arc.target].append((position, 1.0))
        for index in arc.shared:
            # In tokens of this arc per 1e-6 of the capacity, so that all rows are of one scale.
            scale = network.shared[index].bytes_per_s / MICRO
            shared[index].append((position, arc.token_bytes / scale))
    limits = [stage.rate / MICRO for stage in network.stages] + [float(MICRO)] * len(shared)
    return stages + shared, limits


def _balance_rows(network: Network) -> list[Row]:
    rows: list[Row] = [[] for _ in network.stages]
    for position, arc in enumerate(network.arcs):
        if arc.target != OUTSIDE:
            rows[arc.target].append((position, 1.0))
        if arc.source != OUTSIDE:
            rows[arc.source].append((position, -1.0))
    return rows


def _entries(rows: list[Row]) -> tuple[list[float], tuple[list[int], list[int]]]:
    flat = [(value, r, arc) for r, row in enumerate(rows) for arc, value in row]
    return [v for v, _, _ in flat], ([r for _, r, _ in flat], [a for _, _, a in flat])


def _priced(network: Network, prices: Sequence[float]) -> list[Priced]:
    """Name the capacities that the duals of the LP belong to."""
    num_stages, num_shared = len(network.stages), len(network.shared)
    named = priced_stages(network, prices[:num_stages])
    for i, shared in enumerate(network.shared):
        price = prices[num_stages + i] * MICRO / shared.bytes_per_s
        named.append(Priced(shared.name, price, Decimal(shared.bytes_per_s)))
    for i, arc in enumerate(network.arcs):
        price = prices[num_stages + num_shared + i]
        named.append(Priced(arc_name(arc), price, Decimal(arc.capacity) / MICRO))
    return named


def _cheapest_route(network: Network, prices: Mapping[str, float]) -> float:
    """Return what the cheapest route from entry to exit pays for a token."""
    paid = [float("inf")] * len(network.stages)
    best = float("inf")
    for arc in sorted(network.arcs, key=lambda arc: _end_layer(network, arc.source)):
        pays = 0.0 if arc.source == OUTSIDE else paid[arc.source]
        pays += prices[arc_name(arc)]
        pays += sum(prices[network.shared[i].name] * arc.token_bytes for i in arc.shared)
        if arc.target == OUTSIDE:
            best = min(best, pays)
        else:
            pays += prices[f"stage:{stage_name(arc.target)}"]
            paid[arc.target] = min(paid[arc.target], pays)
    return best


def _end_layer(network: Network, stage: int) -> int:
    """Return the layer at which a request leaves a stage: it grows along every arc."""
    return 0 if stage == OUTSIDE else network.stages[stage].layers[1]
