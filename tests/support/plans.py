"""Four small valid plans, made by hand: no solver, no cost model and no check made them.

Every speed, KV room, weight and bound is a literal. `test_check_by_hand.py` walks through the sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from support.plan_parts import (
    BIASED_MODEL,
    BIG,
    COORDINATOR,
    MODEL,
    SMALL,
    WIDE_MODEL,
    WORKLOAD,
    certificate,
    edge,
    host,
    link,
    profile,
    route,
    shards,
    stage,
)

from hexplan.cluster import Cluster, Limits
from hexplan.model import Model
from hexplan.plan import (
    Certificate,
    Edge,
    Plan,
    Route,
    SolveInfo,
    Stage,
    Unused,
    inputs_sha256,
)
from hexplan.predicted import Basis, Predicted

QUICK = BIG.model_copy(update={"name": "Quick"})
SLOW = BIG.model_copy(update={"name": "Slow"})
LIMITS = Limits(chunk_tokens=100)
"""A step holds the longest prompt, or as many decodes."""


TWO_HOSTS = Cluster(
    name="two-hosts",
    hosts=(host("big", (BIG, BIG)), host("small", (SMALL, SMALL, SMALL))),
    coordinator=COORDINATOR,
    links=(link("lab", "lab"),),
    device_types=(BIG, SMALL),
    limits=LIMITS,
)
PROFILED = Cluster(
    name="profiled",
    hosts=tuple(
        host(name, (kind,)) for name, kind in zip("abcd", (SLOW, QUICK, QUICK, SLOW), strict=True)
    ),
    coordinator=COORDINATOR,
    links=(link("lab", "lab"), link("b", "d", 3200)),
    device_types=(QUICK, SLOW),
    profiles=(
        profile("Quick", "160", "120", "90", "60"),
        profile("Slow", "70", "50.0000009", "35"),
    ),
    limits=LIMITS,
)
TWO_SITES = Cluster(
    name="two-sites",
    hosts=(host("e", (QUICK,), "east"), host("w", (SLOW, SLOW), "west")),
    coordinator=COORDINATOR.model_copy(update={"site": "east"}),
    links=(
        link("east", "east"),
        link("east", "west", trunk=800_000),
        link("west", "east"),
    ),
    device_types=(QUICK, SLOW),
    profiles=(
        profile("Quick", "18000", "9000", "6000"),
        profile("Slow", "9000", "4500", "3000"),
    ),
    limits=LIMITS,
)
MIXED_STAGE = Cluster(
    name="mixed-stage",
    hosts=(host("odd", (BIG, SMALL, SMALL)),),
    coordinator=COORDINATOR,
    links=(link("lab", "lab"),),
    device_types=(BIG, SMALL),
    limits=LIMITS,
)


@dataclass(frozen=True, slots=True)
class Flow:
    """The flow of a plan, and what follows from it."""

    edges: tuple[Edge, ...]
    routes: tuple[Route, ...]
    proof: Certificate
    requests_per_s: str
    least: str
    most: str
    rests_on: tuple[tuple[str, str], ...] = (("datasheet", "1"),)


def resealed(plan: Plan, **update: object) -> Plan:
    """Return the plan on a changed cluster, with the hash of that cluster."""
    cluster = plan.cluster.model_copy(update=update)
    return plan.model_copy(update={"cluster": cluster, "cluster_sha256": cluster.sha256})


def two_hosts_plan() -> Plan:
    """Return a stage of two devices that feeds two stages of one, by the roofline.

    Host `big` holds layers 0 to 3 in s0; devices 0 and 1 of `small` hold layers 4 and 5 in s1 and
    s2, which share the flow and are the cut. Device 2 of `small` is unused.
    """
    left, right = shards(2, 2)
    whole, half = "4370.047278", "2185.023639"
    figures = (660, half, half)
    (one,), (other,) = shards(4), shards(4, first_device=1)
    devices = ((left, BIG), (right, BIG))
    stages = (
        stage(MODEL, "s0", ("big", (0, 4)), devices, (2432, "8539.08461", whole)),
        stage(MODEL, "s1", ("small", (4, 6)), ((one, SMALL),), figures),
        stage(MODEL, "s2", ("small", (4, 6)), ((other, SMALL),), figures),
    )
    flow = Flow(
        edges=(
            edge("entry", "s0", 0, "250000", whole, "1"),
            edge("s0", "s1", 4, "7812.5", half, "0.5"),
            edge("s0", "s2", 4, "7812.5", half, "0.5"),
            edge("s1", "exit", 6, "250000", half, "1"),
            edge("s2", "exit", 6, "250000", half, "1"),
        ),
        routes=(
            route((("s0", 0), ("s1", 4)), half, "0.5"),
            route((("s0", 0), ("s2", 4)), half, "0.5"),
        ),
        proof=certificate(
            whole, (("stage:s1", "1", half), ("stage:s2", "1", half)), whole, "56.20762"
        ),
        requests_per_s="54.62559",
        least="2185.023639",  # every error is a half
        most="6555.070917",
    )
    unused = (Unused(host="small", device=2, reason="by hand"),)
    return _plan(TWO_HOSTS, MODEL, stages, flow, unused)


def profiled_plan() -> Plan:
    """Return four measured stages whose ranges overlap, with three routes.

    Both s0 `[0, 2)` and s1 `[0, 4)` feed s2 `[2, 6)`, which s1 enters at layer 4 ("partial use");
    s1 also feeds s3 `[4, 6)` over a link of 25 tokens/s. That link and s2 (60) are the cut: 85.
    """
    (whole,) = shards(4)
    stages = (
        stage(MODEL, "s0", ("a", (0, 2)), ((whole, SLOW),), (2227, "50", "50"), "0.1"),
        stage(MODEL, "s1", ("b", (0, 4)), ((whole, QUICK),), (776, "60", "35"), "0.1"),
        stage(MODEL, "s2", ("c", (2, 6)), ((whole, QUICK),), (520, "60", "60"), "0.1"),
        stage(MODEL, "s3", ("d", (4, 6)), ((whole, SLOW),), (1715, "50", "25"), "0.1"),
    )
    flow = Flow(
        edges=(
            edge("entry", "s0", 0, "250000", "50", "0.588235294"),
            edge("entry", "s1", 0, "250000", "35", "0.411764706"),
            edge("s0", "s2", 2, "7812.5", "50", "1"),
            edge("s1", "s2", 4, "7812.5", "10", "0.285714286"),
            edge("s1", "s3", 4, "25", "25", "0.714285714"),
            edge("s2", "exit", 6, "250000", "60", "1"),
            edge("s3", "exit", 6, "250000", "25", "1"),
        ),
        routes=(
            route((("s0", 0), ("s2", 2)), "50", "0.588235294"),
            route((("s1", 0), ("s2", 4)), "10", "0.117647059"),
            route((("s1", 0), ("s3", 4)), "25", "0.294117647"),
        ),
        proof=certificate(
            "85", (("stage:s2", "1", "60"), ("link:s1>s3", "1", "25")), "85", "2940.176471"
        ),
        requests_per_s="1.0625",
        least="76.5",  # profiles err by a tenth, links by nothing
        most="91",
        rests_on=(("measured profile", "0.705882353"), ("links", "0.294117647")),
    )
    return _plan(PROFILED, MODEL, stages, flow)


def two_sites_plan() -> Plan:
    """Return a plan whose cut is a trunk: 800 kB/s at 192 bytes a token, a price of 1/192."""
    (first,), (left,), (right,) = shards(4), shards(4), shards(4, first_device=1)
    whole, rest = "4166.666666", "2166.666666"
    stages = (
        stage(WIDE_MODEL, "s0", ("e", (0, 3)), ((first, QUICK),), (835, "6000", whole), "0.1"),
        stage(WIDE_MODEL, "s1", ("w", (3, 6)), ((left, SLOW),), (493, "3000", "2000"), "0.1"),
        stage(WIDE_MODEL, "s2", ("w", (3, 6)), ((right, SLOW),), (493, "3000", rest), "0.1"),
    )
    flow = Flow(
        edges=(
            edge("entry", "s0", 0, "250000", whole, "1"),
            edge("s0", "s1", 3, "5208.333333", "2000", "0.48"),
            edge("s0", "s2", 3, "5208.333333", rest, "0.52"),
            edge("s1", "exit", 6, "250000", "2000", "1"),
            edge("s2", "exit", 6, "250000", rest, "1"),
        ),
        routes=(
            route((("s0", 0), ("s1", 3)), "2000", "0.48"),
            route((("s0", 0), ("s2", 3)), rest, "0.52"),
        ),
        proof=certificate(
            whole,
            (("trunk:east>west", "0.00520833333333333", "800000"),),
            whole,
            "59.000001",
        ),
        requests_per_s="52.083333",
        least="3749.999999",
        most="4166.666667",
        rests_on=(("links", "1"),),
    )
    return _plan(TWO_SITES, WIDE_MODEL, stages, flow)


def mixed_stage_plan() -> Plan:
    """Return one stage of unlike devices with uneven shards, with biases and tied embeddings."""
    speed = "3359.179464"
    parts = tuple(zip(shards(2, 1, 1), (BIG, SMALL, SMALL), strict=True))
    flow = Flow(
        edges=(
            edge("entry", "s0", 0, "250000", speed, "1"),
            edge("s0", "exit", 6, "250000", speed, "1"),
        ),
        routes=(route((("s0", 0),), speed, "1"),),
        proof=certificate(speed, (("stage:s0", "1", speed),), speed, "73.422937"),
        requests_per_s="41.989743",
        least="1679.589732",
        most="5038.769196",
    )
    stages = (stage(BIASED_MODEL, "s0", ("odd", (0, 6)), parts, (1213, speed, speed)),)
    return _plan(MIXED_STAGE, BIASED_MODEL, stages, flow)


def _plan(
    cluster: Cluster,
    model: Model,
    stages: tuple[Stage, ...],
    flow: Flow,
    unused: tuple[Unused, ...] = (),
) -> Plan:
    predicted = Predicted(
        tokens_per_s=flow.proof.flow_tokens_per_s,
        requests_per_s=Decimal(flow.requests_per_s),
        least_tokens_per_s=Decimal(flow.least),
        most_tokens_per_s=Decimal(flow.most),
        rests_on=tuple(
            Basis(origin=origin, share=Decimal(share)) for origin, share in flow.rests_on
        ),
    )
    return Plan(
        cluster=cluster,
        cluster_sha256=cluster.sha256,
        model=model,
        workload=WORKLOAD,
        inputs_sha256=inputs_sha256(model, WORKLOAD, "throughput"),
        stages=stages,
        edges=flow.edges,
        routes=flow.routes,
        unused=unused,
        predicted=predicted,
        certificate=flow.proof,
        solve=SolveInfo(wall_s=0.0, seed=0, versions={"hexplan": "by hand"}),
    )
