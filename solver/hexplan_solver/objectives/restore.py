"""Put a plan that was made for a part of a cluster back into the whole of it."""

from __future__ import annotations

from decimal import Decimal

from hexplan.cluster import Cluster
from hexplan.constants import MICRO
from hexplan.plan import Certificate, Plan, Unused
from hexplan_solver.plans.extract import Proof
from hexplan_solver.plans.predicted import rate


def restored(plan: Plan, cluster: Cluster, proof: Proof, reason: str) -> Plan:
    """Return the plan on the user's cluster, with a bound for all of it.

    Parameters
    ----------
    cluster
        The user's: the plan's own has more exclusions and pins.
    proof
        A bound on the flow of every plan on `cluster`.
    reason
        Why the hosts without a stage are left out, where the user did not exclude them.
    """
    used = {stage.host for stage in plan.stages}

    def explained(unused: Unused) -> Unused:
        if cluster.is_excluded(unused.host, unused.device):
            return unused.model_copy(update={"reason": "excluded by a pin"})
        return unused if unused.host in used else unused.model_copy(update={"reason": reason})

    return plan.model_copy(
        update={
            "cluster": cluster,
            "cluster_sha256": cluster.sha256,
            "unused": tuple(explained(unused) for unused in plan.unused),
            "certificate": proved(plan.certificate, proof),
        }
    )


def proved(certificate: Certificate, proof: Proof) -> Certificate:
    """Return a certificate with another bound on the flow, and the gap that follows."""
    flow = int(certificate.flow_tokens_per_s * MICRO)
    return certificate.model_copy(
        update={
            "bound_tokens_per_s": rate(proof.micro_tokens_per_s),
            "bound_proof": proof.how,
            "gap": Decimal(-(-(proof.micro_tokens_per_s - flow) * MICRO // flow)) / MICRO,
            "status": proof.status,
        }
    )
