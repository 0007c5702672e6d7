"""Plans that follow one another on the same machine, for tests of applying them."""

from __future__ import annotations

from collections.abc import Sequence

from support.runtime_plans import make_cluster, make_plan

from hexplan.field_types import Range
from hexplan.model import Model
from hexplan.plan import DeviceMemory, Plan

DEVICES = 6
FULL_BYTES, HALF_BYTES = 1000, 400
"""What a stage takes of the 1000 bytes of its device."""


def plan_on(
    model: Model,
    stages: Sequence[tuple[Range, int]],
    routes: Sequence[tuple[Sequence[int], int]],
    used_bytes: int = HALF_BYTES,
) -> Plan:
    """Return a plan of stages of one device each, on a machine of six.

    Parameters
    ----------
    stages
        The layers and the device of each.
    routes
        Each a chain of stage indices and a weight in percent.
    """
    plan = make_plan(model, [(layers, (1,)) for layers, _ in stages], routes)
    cluster = make_cluster(DEVICES)
    placed = tuple(
        stage.model_copy(
            update={
                "shards": (stage.shards[0].model_copy(update={"device": device}),),
                "memory": (memory_of(device, used_bytes),),
            }
        )
        for stage, (_, device) in zip(plan.stages, stages, strict=True)
    )
    update = {"stages": placed, "cluster": cluster, "cluster_sha256": cluster.sha256}
    return plan.model_copy(update=update)


def memory_of(device: int, used_bytes: int) -> DeviceMemory:
    """Return how a device's memory is used."""
    return DeviceMemory(
        device=device,
        budget_bytes=FULL_BYTES,
        weights_bytes=used_bytes,
        kv_bytes=0,
        workspace_bytes=0,
        free_bytes=FULL_BYTES - used_bytes,
    )
