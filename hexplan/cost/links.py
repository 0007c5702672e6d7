"""What a link carries, in tokens (docs/formulation.md 1 and 5)."""

from __future__ import annotations

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.constants import (
    COMPRESSED_BLOCK,
    COMPRESSED_SCALE_BYTES,
    MICRO,
    TOKEN_ID_BYTES,
)
from hexplan.field_types import Compression
from hexplan.model import Model


def token_bytes(cluster: Cluster, model: Model, source: str, target: str) -> int:
    """Return the bytes of one token between two hosts, one of which may be the coordinator."""
    if COORDINATOR in (source, target):
        return TOKEN_ID_BYTES
    return activation_bytes(model, compression(cluster, source, target))


def compression(cluster: Cluster, source: str, target: str) -> Compression:
    """Return how activations pass between two hosts, whatever else may pass there."""
    rule = cluster.rule(source, target) if source != target else None
    return rule.compress if rule is not None else "none"


def activation_bytes(model: Model, compress: Compression = "none") -> int:
    """Return the bytes of the activation of one token."""
    whole = model.hidden * model.dtype_bytes
    if compress == "none":
        return whole
    return compressed_bytes(model.hidden)


def compressed_bytes(hidden: int) -> int:
    """Return the bytes of one compressed activation of this width."""
    return hidden + -(-hidden // COMPRESSED_BLOCK) * COMPRESSED_SCALE_BYTES


def fewest_token_bytes(cluster: Cluster, model: Model) -> int:
    """Return the fewest bytes that an activation has on any link, for what bounds all of them."""
    hows: set[Compression] = {"none", *(link.compress for link in cluster.links)}
    return min(activation_bytes(model, how) for how in hows)


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
    return bandwidth * MICRO // token_bytes(cluster, model, source, target)
