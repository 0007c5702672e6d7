"""Counts: the tokens and requests that were sent into each route so far."""

from __future__ import annotations

from hexplan.plan import Plan
from hexplan_runtime.engine.snapshot import EdgeTokens, RouteTokens
from hexplan_runtime.engine.weighing.passed import Passed
from hexplan_runtime.runner.kv_offload.host_traffic import HostTraffic
from hexplan_runtime.stage.edges import route_edges


class Counts:
    """Tokens and requests of each route, by its index in the plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.tokens = [0] * len(plan.routes)
        self.requests = [0] * len(plan.routes)
        self.passed = Passed(len(plan.routes))
        """What came out of each route."""
        self.swaps = self.swapped = 0
        """How often KV went to host memory, and how many requests have theirs there."""

        self.host: dict[str, HostTraffic] = {}
        """What stages have last told of their traffic with host memory, by their ids."""

    def grow(self, plan: Plan) -> None:
        """Take a plan with more routes."""
        more = [0] * (len(plan.routes) - len(self.tokens))
        self._plan = plan
        self.tokens += more
        self.requests += more
        self.passed.grow(len(plan.routes))

    def by_edge(self) -> tuple[EdgeTokens, ...]:
        """Return the tokens sent over each edge, in the plan's order."""
        count = {(edge.source, edge.target): 0 for edge in self._plan.edges}
        for route, tokens in enumerate(self.tokens):
            for pair in route_edges(self._plan, route):
                count[pair] = count.get(pair, 0) + tokens
        return tuple(EdgeTokens(*pair, tokens) for pair, tokens in count.items())

    def by_route(self) -> tuple[RouteTokens, ...]:
        """Return what was sent into each route, in the plan's order."""
        counts = zip(self.tokens, self.requests, strict=True)
        return tuple(RouteTokens(route, *pair) for route, pair in enumerate(counts))
