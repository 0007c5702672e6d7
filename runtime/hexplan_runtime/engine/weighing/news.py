"""News of weights: what the log says when routes get other shares of requests."""

from __future__ import annotations

from collections.abc import Iterator

from hexplan.plan import Plan
from hexplan_runtime.engine.snapshot import EngineSnapshot


class WeightNews:
    """Tells when the share of a route has become another one."""

    def __init__(self) -> None:
        self._plan: Plan | None = None
        self._told: tuple[int, ...] = ()

    def of(self, plan: Plan, seen: EngineSnapshot) -> Iterator[str]:
        """Yield a line for each route whose share has changed since the last call."""
        before, self._told = self._told, seen.weights
        if plan is not self._plan:
            self._plan = plan
            return
        for number, (then, now) in enumerate(zip(before, seen.weights, strict=True)):
            if then != now:
                route = plan.routes[number]
                name = " > ".join(hop.stage for hop in route.hops)
                share, planned = seen.weight_now(number), float(route.weight)
                if abs(share - planned) < 1e-9:
                    yield f"route {name} gets its {planned:.1%} of requests again"
                else:
                    yield f"route {name} gets {share:.1%} of requests for now, not {planned:.1%}"
