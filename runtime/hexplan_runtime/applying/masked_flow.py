"""Masked flow: what a plan passes while some of its routes are masked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal

from hexplan.plan import Plan
from hexplan_runtime.stage.topology import route_edges


def masked_flow_tokens_per_s(plan: Plan, masked: Collection[int]) -> Decimal:
    """Return the flow of a plan over its other routes, whose shares stay in proportion."""
    left = {n: route for n, route in enumerate(plan.routes) if n not in masked and route.weight}
    total = sum(route.weight for route in left.values())
    shares: dict[str | tuple[str, str], Decimal] = defaultdict(Decimal)
    for number, route in left.items():
        for hop in route.hops:
            shares[hop.stage] += route.weight / total
        for edge in route_edges(plan, number):
            shares[edge] += route.weight / total
    capacities: dict[str | tuple[str, str], Decimal] = {
        stage.id: stage.capacity_tokens_per_s for stage in plan.stages
    }
    capacities |= {(edge.source, edge.target): edge.capacity_tokens_per_s for edge in plan.edges}
    most = [capacities[what] / share for what, share in shares.items() if what in capacities]
    return min(most, default=Decimal(0))
