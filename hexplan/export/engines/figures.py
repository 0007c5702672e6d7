"""Figures that engines are told, from what a plan states."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal

from hexplan.constants import MAX_BATCH
from hexplan.export.deployment import Deployment, Server
from hexplan.plan import DeviceMemory

_HUNDREDTH = Decimal("0.01")


def budget_share(deployment: Deployment, server: Server) -> str:
    """Return the share of its devices' memory that a server may fill.

    Engines take one share for all devices: the least, of what the driver reports, rounded down to
    hundredths.
    """
    return _share(
        Decimal(part.budget_bytes + 1) / memory_bytes  # it was rounded down to whole bytes
        for part, memory_bytes in _parts(deployment, server)
    )


def kept_share(deployment: Deployment, server: Server) -> str:
    """Return the share of its devices' memory that weights and KV cache may fill."""
    return _share(
        Decimal(part.budget_bytes - part.workspace_bytes - part.overhead_bytes) / memory_bytes
        for part, memory_bytes in _parts(deployment, server)
    )


def most_requests(deployment: Deployment) -> int:
    """Return the most requests that a step decodes."""
    limits = deployment.plan.step_limits
    return MAX_BATCH if limits is None else limits.decodes


def step_tokens(deployment: Deployment) -> int:
    """Return the most tokens in a step: no fewer than the requests that it decodes."""
    limits = deployment.plan.step_limits
    planned = deployment.plan.cluster.limits.chunk_tokens if limits is None else limits.tokens
    return max(planned, most_requests(deployment))


def _parts(deployment: Deployment, server: Server) -> Iterator[tuple[DeviceMemory, int]]:
    cluster = deployment.plan.cluster
    for stage in server.stages:
        types = cluster.host_by_name[stage.host].devices
        for part in stage.memory:
            yield part, cluster.device_type_by_name[types[part.device]].memory_bytes


def _share(shares: Iterator[Decimal]) -> str:
    return str(max(_HUNDREDTH, min(shares).quantize(_HUNDREDTH, ROUND_DOWN)))
