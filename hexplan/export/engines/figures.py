"""Figures that engines are told, from what a plan states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_DOWN, Decimal

from hexplan.constants import MAX_BATCH
from hexplan.errors import CannotExpress
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


def kv_dtype(deployment: Deployment, title: str, names: Mapping[str, str]) -> list[str]:
    """Return the words that name the type of the KV cache, if it is not that of the model.

    Parameters
    ----------
    title
        The engine.
    names
        Its names of the types that it keeps.

    Raises
    ------
    CannotExpress
        The engine has no such KV cache.
    """
    model = deployment.plan.model
    if model.kv_dtype in (None, model.dtype):
        return []
    if model.kv_dtype not in names:
        message = f"{title} keeps no KV cache in {model.kv_dtype} for a model in {model.dtype}"
        raise CannotExpress(message, hint="set `kv_cache` of the model to fp8, or leave it out")
    return ["--kv-cache-dtype", names[model.kv_dtype]]


def _parts(deployment: Deployment, server: Server) -> Iterator[tuple[DeviceMemory, int]]:
    cluster = deployment.plan.cluster
    for stage in server.stages:
        types = cluster.host_by_name[stage.host].devices
        for part in stage.memory:
            yield part, cluster.device_type_by_name[types[part.device]].memory_bytes


def _share(shares: Iterator[Decimal]) -> str:
    return str(max(_HUNDREDTH, min(shares).quantize(_HUNDREDTH, ROUND_DOWN)))
