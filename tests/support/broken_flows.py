"""Plans that break flow or routes."""

from __future__ import annotations

from decimal import Decimal

from support.changes import (
    broken,
    change_certificate,
    change_edge,
    change_plan,
    change_predicted,
    change_route,
    change_stage,
)
from support.plan_parts import edge, link, route
from support.plans import profiled_plan, resealed, two_hosts_plan

from hexplan.plan import Edge, Hop, Plan

TWO = two_hosts_plan()
BIG_HOST, SMALL_HOST = TWO.cluster.hosts
PROFILED = profiled_plan()


def _rate(rate: str) -> dict[str, Decimal]:
    return {"tokens_per_s": Decimal(rate)}


def _weight(weight: str) -> dict[str, Decimal]:
    return {"weight": Decimal(weight)}


def _with_edges(plan: Plan, *edges: Edge) -> Plan:
    return change_plan(plan, edges=(*plan.edges, *edges))


def _half_of_the_first_edge() -> Plan:
    half = PROFILED.edges[0].model_copy(
        update={"tokens_per_s": Decimal(25), "weight": Decimal("0.294117647")}
    )
    return change_plan(PROFILED, edges=(half, half, *PROFILED.edges[1:]))


def _half_of_the_first_route() -> Plan:
    half = PROFILED.routes[0].model_copy(
        update={"tokens_per_s": Decimal(25), "weight": Decimal("0.294117647")}
    )
    return change_plan(PROFILED, routes=(half, half, *PROFILED.routes[1:]))


def _no_way_from_a_to_c() -> Plan:
    # The coordinator and all hosts stand in `lab`, so `a` to `c` needs a rule for either end.
    rules = [link("lab", name) for name in ("a", "b", "d")]
    rules += [link("c", "lab"), link("d", "lab"), link("b", "c"), link("b", "d", 3200)]
    rules += [link("coordinator", "c")]
    return resealed(PROFILED, links=tuple(rules))


def _nothing_flows() -> Plan:
    still = change_plan(PROFILED, edges=(), routes=())
    for index in range(4):
        still = change_stage(still, index, load_tokens_per_s=Decimal(0))
    stated = change_certificate(still, flow_tokens_per_s=Decimal(0))
    return change_predicted(stated, tokens_per_s=Decimal(0), requests_per_s=Decimal(0))


FLOWS = (
    broken(
        "an edge into a stage that does not hold the next layer",
        _with_edges(PROFILED, edge("s0", "s3", 2, "7812.5", "0", "0")),
        "HEX501",
        "HEX507",
    ),
    broken(
        "an edge that exits before the last layer",
        _with_edges(PROFILED, edge("s1", "exit", 4, "250000", "0", "0")),
        "HEX501",
        "HEX507",
    ),
    broken(
        "an entry to a stage that does not start at layer 0",
        _with_edges(PROFILED, edge("entry", "s2", 0, "250000", "0", "0")),
        "HEX501",
        "HEX507",
    ),
    broken(
        "an edge from a stage to itself",
        _with_edges(PROFILED, edge("s1", "s1", 4, "7812.5", "0", "0")),
        "HEX501",
        "HEX504",  # its host has one device and no interconnect
        "HEX507",
    ),
    broken("an edge at a wrong layer", change_edge(PROFILED, "s0>s2", enter_layer=3), "HEX502"),
    broken("an exit at layer 0", change_edge(TWO, "s1>exit", enter_layer=0), "HEX502"),
    broken(
        "an edge listed in two halves",
        _half_of_the_first_edge(),
        "HEX503",
        "HEX604",  # each half against all routes
    ),
    broken("an edge between hosts without a link", _no_way_from_a_to_c(), "HEX504"),
    broken(
        "an edge that states more than its link carries",
        change_edge(PROFILED, "s0>s2", capacity_tokens_per_s=Decimal("7812.500001")),
        "HEX505",
    ),
    broken(
        "an edge that carries more than its link",
        change_edge(
            resealed(TWO, links=(*TWO.cluster.links, link("coordinator", "big", 4000))),
            "entry>s0",
            capacity_tokens_per_s=Decimal(1000),
        ),
        "HEX506",
    ),
    broken(
        "two edges that carry more than the link between their hosts",
        change_edge(
            change_edge(
                resealed(TWO, links=(*TWO.cluster.links, link("big", "small", 559_000))),
                "s0>s1",
                capacity_tokens_per_s=Decimal("4367.1875"),
            ),
            "s0>s2",
            capacity_tokens_per_s=Decimal("4367.1875"),
        ),
        "HEX516",
    ),
    broken(
        "an edge that carries nothing",
        _with_edges(PROFILED, edge("s0", "s1", 2, "7812.5", "0", "0")),
        "HEX507",
    ),
    broken(
        "a stage that loses flow",
        change_edge(PROFILED, "s2>exit", **_rate("59.999999")),
        "HEX508",
        "HEX604",
        "HEX701",
    ),
    broken(
        "a load that is not what enters",
        change_stage(PROFILED, 1, load_tokens_per_s=Decimal("34.999999")),
        "HEX509",
    ),
    broken(
        "more out of a host than its NIC carries",
        resealed(
            TWO,
            hosts=(BIG_HOST.model_copy(update={"nic_out_bytes_per_s": 559_000}), SMALL_HOST),
        ),
        "HEX510",
    ),
    broken(
        "more into a host than its NIC carries",
        resealed(
            TWO,
            hosts=(BIG_HOST, SMALL_HOST.model_copy(update={"nic_in_bytes_per_s": 559_000})),
        ),
        "HEX510",
    ),
    broken(
        "more out of the coordinator than its NIC carries",
        resealed(
            TWO,
            coordinator=TWO.cluster.coordinator.model_copy(update={"nic_out_bytes_per_s": 17_480}),
        ),
        "HEX510",
    ),
    broken(
        "more over a rule than its trunk carries",
        resealed(TWO, links=(link("lab", "lab", trunk=594_326),)),
        "HEX511",
    ),
    broken(
        "edge weights that are not the shares",
        change_edge(
            change_edge(TWO, "s0>s1", **_weight("0.500000002")), "s0>s2", **_weight("0.499999998")
        ),
        "HEX512",
    ),
    broken(
        "edge weights that sum to less than 1",
        change_edge(TWO, "s0>s1", **_weight("0.499999999")),
        "HEX513",
    ),
    broken("a plan in which nothing flows", _nothing_flows(), "HEX514", "HEX707"),
)

ROUTES = (
    broken(
        "a hop that enters where the last did not end",
        change_route(
            PROFILED,
            0,
            hops=(Hop(stage="s0", enter_layer=0), Hop(stage="s2", enter_layer=3)),
        ),
        "HEX601",
    ),
    broken(
        "a route that ends before the last layer",
        change_route(PROFILED, 1, hops=(Hop(stage="s1", enter_layer=0),)),
        "HEX601",
        "HEX602",
        "HEX604",
    ),
    broken(
        "a route without hops", change_route(PROFILED, 1, hops=()), "HEX601", "HEX602", "HEX604"
    ),
    broken(
        "a route that comes twice through one stage",
        change_route(
            TWO,
            0,
            hops=(
                Hop(stage="s0", enter_layer=0),
                Hop(stage="s0", enter_layer=4),
                Hop(stage="s1", enter_layer=4),
            ),
        ),
        "HEX601",
        "HEX602",
    ),
    broken(
        "a sound route over edges that the plan lacks",
        change_plan(
            PROFILED,
            routes=(
                *PROFILED.routes,
                route((("s0", 0), ("s1", 2), ("s3", 4)), "0", "0"),
            ),
        ),
        "HEX602",
        "HEX607",
    ),
    broken("a route listed in two halves", _half_of_the_first_route(), "HEX603"),
    broken(
        "routes that carry less than their edges",
        change_route(PROFILED, 1, **_rate("9.9999999")),
        "HEX404",
        "HEX604",
        "HEX605",
    ),
    broken(
        "route weights that are not the shares",
        change_route(
            change_route(PROFILED, 0, **_weight("0.117647059")), 1, **_weight("0.588235294")
        ),
        "HEX605",
    ),
    broken(
        "route weights that sum to less than 1",
        change_route(PROFILED, 1, **_weight("0.117647058")),
        "HEX606",
    ),
    broken("no routes for the flow", change_plan(TWO, routes=()), "HEX604"),
)

BROKEN_FLOWS = FLOWS + ROUTES
