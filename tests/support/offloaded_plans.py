"""Hand-made plans whose stages use host memory, and what is wrong with each."""

from __future__ import annotations

from decimal import Decimal

from support.changes import broken, change_stage
from support.interleaved_plans import LANES
from support.plans import mixed_stage_plan, resealed, two_hosts_plan

from hexplan.plan import Plan
from hexplan.techniques import HOST_LINK_BYTES_PER_S, KvOffload, Techniques

HOW = KvOffload(
    from_layer=2,
    fraction=Decimal("0.1"),
    link_bytes_per_s=HOST_LINK_BYTES_PER_S,
    kv_tokens=3000,
)
ASKED = Techniques(kv_offload="on", host_memory_bytes=10**9)


def offloaded_plan(asked: Techniques = ASKED, **update: object) -> Plan:
    """Return a plan whose first stage uses host memory, with some of how it does replaced.

    Devices of a megabyte have no room for it: the last pages of 256 requests would not fit.
    """
    plan = resealed(two_hosts_plan(), techniques=asked)
    return change_stage(plan, 0, kv_offload=HOW.model_copy(update=update))


def _with_own_memory(plan: Plan) -> Plan:
    """Return the plan with little memory of its own on the host of its first stage."""
    hosts = tuple(
        host.model_copy(update={"host_memory_bytes": 1000})
        if host.name == plan.stages[0].host
        else host
        for host in plan.cluster.hosts
    )
    return resealed(plan, hosts=hosts)


BROKEN_OFFLOADS = (
    broken("host memory that nobody asked for", offloaded_plan(Techniques()), "HEX228"),
    broken("another fraction than asked for", offloaded_plan(fraction=Decimal("0.2")), "HEX228"),
    broken("another link than asked for", offloaded_plan(link_bytes_per_s=1), "HEX228"),
    broken("the second layer of a model in host memory", offloaded_plan(from_layer=1), "HEX228"),
    broken(
        "a stage that interleaves and uses host memory",
        change_stage(
            resealed(
                mixed_stage_plan(),
                techniques=ASKED.model_copy(update={"interleave": "on"}),
            ),
            0,
            interleave=LANES,
            kv_offload=HOW,
        ),
        "HEX228",
    ),
    broken("more context than devices have room for", offloaded_plan(), "HEX411"),
    broken(
        "more context than the host has memory for",
        offloaded_plan(ASKED.model_copy(update={"host_memory_bytes": 1000})),
        "HEX308",
        "HEX411",
    ),
    broken(
        "more context than its host has memory for, by its own figure",
        _with_own_memory(offloaded_plan()),
        "HEX308",
        "HEX411",
    ),
)
