"""The set of chains without a common stage that together carry most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from hexplan.check.flow.edges import shared_capacities
from hexplan.check.lookup import Lookup
from hexplan.constants import MICRO
from hexplan.errors import HexplanError
from hexplan.export.chains import Chain
from hexplan.plan import Plan

_NODE_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Carried:
    """A chain that serves alone, and what it carries."""

    chain: Chain
    tokens_per_s: Decimal


@dataclass(frozen=True, slots=True)
class _Shared:
    """A capacity that several chains use, and what a token of each takes of it."""

    bytes_per_s: int
    bytes_per_token: Mapping[int, int]
    """By the index of the chain."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Constraints on flows and choices, a row each: their sums are at most the ceilings."""

    table: NDArray[np.float64]
    ceilings: NDArray[np.float64]


def best_disjoint(plan: Plan, chains: Sequence[Chain]) -> tuple[Carried, ...]:
    """Return the chains that carry most together, if each stage serves one of them.

    Links, network cards and trunks that several chains share are counted as `check` counts them.
    An integer program chooses; what the chosen ones carry is rounded down to whole millionths.
    """
    if not chains:
        return ()
    sharing = _sharing(plan, chains)
    chosen = _chosen(chains, sharing)
    if not chosen:
        return ()
    flows = _solve(chosen, _sharing(plan, chosen), fixed=True)
    carried = (
        Carried(chain, _rounded_down(flow)) for chain, flow in zip(chosen, flows, strict=True)
    )
    return tuple(one for one in carried if one.tokens_per_s > 0)


def _chosen(chains: Sequence[Chain], sharing: Mapping[str, _Shared]) -> tuple[Chain, ...]:
    flows = _solve(chains, sharing, fixed=False)
    return tuple(c for c, flow in zip(chains, flows, strict=True) if flow > 1 / MICRO)


def _sharing(plan: Plan, chains: Sequence[Chain]) -> dict[str, _Shared]:
    lookup = Lookup.of(plan)
    capacities = shared_capacities(lookup)
    takes: dict[str, dict[int, int]] = {}
    for index, chain in enumerate(chains):
        for edge in chain.edges:
            connection = lookup.connection(edge.source, edge.target)
            assert connection is not None, "a sound plan's edges are connected"
            capacities.setdefault(connection.pair, connection.bandwidth_bytes_per_s)
            for name in connection.shared:
                row = takes.setdefault(name, {})
                row[index] = row.get(index, 0) + connection.bytes_per_token
    return {name: _Shared(capacities[name], row) for name, row in takes.items()}


def _solve(
    chains: Sequence[Chain], sharing: Mapping[str, _Shared], *, fixed: bool
) -> NDArray[np.float64]:
    """Return the flow of each chain; without `fixed`, chains with a common stage exclude others."""
    number = len(chains)
    most = np.array([float(chain.most_tokens_per_s) for chain in chains])
    rows = _rows(chains, sharing)
    result = milp(
        c=np.concatenate([-np.ones(number), np.zeros(number)]),
        integrality=np.concatenate([np.zeros(number), np.full(number, 0 if fixed else 1)]),
        bounds=Bounds(
            np.concatenate([np.zeros(number), np.full(number, 1.0 if fixed else 0.0)]),
            np.concatenate([most, np.ones(number)]),
        ),
        constraints=LinearConstraint(csr_array(rows.table), ub=rows.ceilings),
        options={"node_limit": _NODE_LIMIT, "mip_rel_gap": 0.0},
    )
    if result.x is None:
        message = f"hexplan has a bug: no disjoint chains were found: {result.message}"
        raise HexplanError(message)
    return np.asarray(result.x[:number], dtype=np.float64)


def _rows(chains: Sequence[Chain], sharing: Mapping[str, _Shared]) -> _Rows:
    number = len(chains)
    table: list[NDArray[np.float64]] = []
    ceilings: list[float] = []
    for index, chain in enumerate(chains):  # flow <= most * choice
        row = np.zeros(2 * number)
        row[index], row[number + index] = 1.0, -float(chain.most_tokens_per_s)
        table.append(row)
        ceilings.append(0.0)
    for stage in dict.fromkeys(name for chain in chains for name in chain.stages):
        row = np.zeros(2 * number)
        row[[number + i for i, chain in enumerate(chains) if stage in chain.stages]] = 1.0
        table.append(row)
        ceilings.append(1.0)
    for shared in sharing.values():
        row = np.zeros(2 * number)
        for index, size in shared.bytes_per_token.items():
            row[index] = size / shared.bytes_per_s
        table.append(row)
        ceilings.append(1.0)
    return _Rows(np.array(table), np.array(ceilings))


def _rounded_down(flow: float) -> Decimal:
    """Return a flow in whole millionths that cannot exceed a capacity by the solver's tolerance."""
    micros = int(Fraction(flow) * MICRO * (1 - Fraction(1, 10**9)))
    return Decimal(micros).scaleb(-6).quantize(Decimal("0.000001"), ROUND_DOWN)
