"""The spec: what a cluster.yaml says, with every quantity in SI units and every range expanded."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cluster import Cluster
from hexplan.model import Model
from hexplan.plan import Plan
from hexplan.workload import Objective, Workload


@dataclass(frozen=True, slots=True)
class Spec:
    """What a cluster.yaml says."""

    cluster: Cluster
    """The hosts, their devices and links."""
    model: Model
    """The model to serve."""
    workload: Workload
    """The requests to plan for."""
    objective: Objective = "throughput"
    """What the plan is made for; a file that names none means `balanced`."""
    counts_host_memory: bool = False
    """Whether a stage may have room for the longest request in host memory alone: the planner sets
    it where no plan has room on the devices."""

    @staticmethod
    def of(plan: Plan) -> Spec:
        """Return what a plan was made for, without its objective."""
        longest = plan.workload.max_tokens
        needs = (one.kv_tokens < longest for one in plan.stages if one.kv_offload is not None)
        return Spec(plan.cluster, plan.model, plan.workload, counts_host_memory=any(needs))
