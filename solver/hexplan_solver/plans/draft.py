"""The draft: everything that a plan will state, from which the plan is written in one place."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hexplan.cluster import Cluster
from hexplan.plan import Objective
from hexplan.predicted import RateRun, SustainedRate
from hexplan.step_limits import StepLimits
from hexplan.workload import Balance
from hexplan_solver.bounds.proof import Proof
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.simulate.pipeline_model import RouteModel


@dataclass(frozen=True, slots=True)
class IdleReasons:
    """Why devices are left out; a device that the user excluded has its own reason."""

    device: str | None = None
    """Of a device without a stage; None for the reason that holds for the largest flow."""
    host: str | None = None
    """Of a device whose whole host is idle, if that has another reason."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Mean times of a request, and where they come from."""

    ttft_s: float | None
    tpot_s: float | None
    basis: str
    run: RateRun | None = None
    """The simulation that they come from; None if they come from a formula."""

    def total_s(self, output_tokens: int) -> float | None:
        """Return the time from a request's arrival to its last token, if it is known."""
        if self.ttft_s is None or self.tpot_s is None:
            return None
        return self.ttft_s + output_tokens * self.tpot_s


@dataclass(frozen=True, slots=True)
class CostProof:
    """A bound on the cost of every set of hosts that carries the rate."""

    usd_per_h: Decimal
    how: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A placement with its flow, what is proved about it, and what is predicted."""

    evaluated: Evaluated
    proof: Proof
    objective: Objective = "throughput"
    cluster: Cluster | None = None
    """The user's cluster, if the search saw one with fewer hosts or other prices."""
    idle: IdleReasons = IdleReasons()
    latency: Latency | None = None
    slo_requests_per_s: float | None = None
    sustained: SustainedRate | None = None
    step_limits: StepLimits | None = None
    cost_proof: CostProof | None = None
    balance: Balance | None = None
    handovers: tuple[RouteModel, ...] = ()
    """Ways of requests that are decoded on other stages than they are prefilled on."""

    @property
    def user_cluster(self) -> Cluster:
        """The cluster that the plan is for."""
        return self.cluster or self.evaluated.problem.spec.cluster

    @property
    def value(self) -> int:
        """The flow in 1e-6 tokens/s."""
        return self.evaluated.value

    @property
    def used_hosts(self) -> list[str]:
        """Names of the hosts with a stage, in the order of the stages."""
        return list(dict.fromkeys(stage.host for stage in self.evaluated.network.stages))

    @property
    def cost_usd_per_h(self) -> Decimal | None:
        """What the hosts in use cost for an hour, if all of them have a price."""
        hosts = self.user_cluster.host_by_name
        rents = [hosts[name].rent_usd_per_h for name in self.used_hosts]
        known = [rent for rent in rents if rent is not None]
        return sum(known, Decimal(0)) if len(known) == len(rents) else None
