"""The spec: what a cluster.yaml says, with every quantity in SI units and every range expanded."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cluster import Cluster
from hexplan.model import Model
from hexplan.plan import Objective
from hexplan.workload import Workload


@dataclass(frozen=True, slots=True)
class Spec:
    """What a cluster.yaml says."""

    cluster: Cluster
    """The hosts, their devices and links."""
    model: Model
    """What is to run there."""
    workload: Workload
    """What it is to be planned for."""
    objective: Objective = "throughput"
    """What the plan is made for."""
