"""The spec: what a cluster.yaml says, with every quantity in SI units and every range expanded."""

from __future__ import annotations

from dataclasses import dataclass

from hexplan.cluster import Cluster
from hexplan.model import Model
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
