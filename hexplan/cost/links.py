"""What a link carries, in tokens (docs/formulation.md 1 and 5)."""

from __future__ import annotations

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.constants import MICRO, TOKEN_ID_BYTES
from hexplan.model import Model


def token_bytes(model: Model, source: str, target: str) -> int:
    """Return the bytes of one token between two hosts, one of which may be the coordinator."""
    if COORDINATOR in (source, target):
        return TOKEN_ID_BYTES
    return model.hidden * model.dtype_bytes


def link_rate(cluster: Cluster, model: Model, source: str, target: str) -> int | None:
    """Return what the link between two hosts carries, in 1e-6 tokens/s; None if unconnected."""
    bandwidth: int | None
    if source == target:
        interconnect = cluster.host_by_name[source].interconnect
        bandwidth = interconnect.bandwidth_bytes_per_s if interconnect else None
    else:
        link = cluster.link(source, target)
        bandwidth = link.bandwidth_bytes_per_s if link else None
    if bandwidth is None:
        return None
    return bandwidth * MICRO // token_bytes(model, source, target)
