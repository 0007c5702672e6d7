"""Plan families: what /metrics tells of plans that were applied, and of routes' weights now."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from hexplan_runtime.applying.view import Current


def plan_families(current: Current) -> Iterator[Metric]:
    """Yield what became of other plans so far, and what the router gives each route."""
    for name, text, number in (
        ("plans_applied", "Plans that were applied", current.applied),
        ("plans_not_applied", "Plans that could not be applied", current.failed),
        ("heals", "Plans that were found and applied without a lost stage", current.healed),
    ):
        plans = CounterMetricFamily(f"hexplan_{name}", text, labels=())
        plans.add_metric((), number)
        yield plans
    applying = GaugeMetricFamily("hexplan_applying", "1 while a plan is applied", labels=())
    applying.add_metric((), float(current.is_applying))
    weight = GaugeMetricFamily(
        "hexplan_route_weight_now", "Share of requests that a route gets now", labels=("route",)
    )
    for route in (seen := current.snapshot()).routes:
        weight.add_metric((str(route.route),), seen.weight_now(route.route))
    yield from (applying, weight)
