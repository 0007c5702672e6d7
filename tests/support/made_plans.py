"""Plans that the planner makes of the example specs, in little time, for every objective."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path

from hexplan.plan import Objective, Plan
from hexplan.reading import read_spec
from hexplan.spec import Spec
from hexplan.workload import Slo
from hexplan_solver import SolveOptions, solve

FOLDER = Path(__file__).parents[2] / "cluster_specs"
SPECS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
OBJECTIVES: tuple[Objective, ...] = (
    "throughput",
    "sustained",
    "latency",
    "slo",
    "cost",
    "balanced",
)
LOOSE = Slo(ttft_s=Decimal(20), tpot_s=Decimal(2), attainment=Decimal("0.9"))
"""A promise that a plan of every example keeps at some rate."""
SMALL_RATE_PER_S = 0.1
"""A rate that a plan of every example carries."""


@cache
def made_plan(name: str, objective: Objective) -> Plan:
    """Return a plan of an example for an objective, with what the objective needs."""
    return solve(spec_for(name, objective), SolveOptions(time_limit_s=1))


def spec_for(name: str, objective: Objective) -> Spec:
    """Return an example's spec for an objective, with a rate, a promise or prices."""
    spec = read_spec(FOLDER / f"{name}.yaml")
    workload, cluster = spec.workload, spec.cluster
    if objective in ("latency", "cost"):
        rate = workload.request_rate_per_s or SMALL_RATE_PER_S
        workload = workload.model_copy(update={"request_rate_per_s": rate})
    if objective == "slo":
        workload = workload.model_copy(update={"slo": workload.slo or LOOSE})
    if objective == "cost":
        hosts = tuple(
            host.model_copy(update={"price_usd_per_h": Decimal(1 + index % 4)})
            for index, host in enumerate(cluster.hosts)
        )
        cluster = cluster.model_copy(update={"hosts": hosts})
    return replace(spec, objective=objective, workload=workload, cluster=cluster)
