"""Plans that break what their objective or a link's permission asks for."""

from __future__ import annotations

from decimal import Decimal

from support.broken_figures import TIMED
from support.changes import (
    broken,
    change_certificate,
    change_plan,
    change_predicted,
    change_stage,
)
from support.plans import resealed, two_hosts_plan, two_sites_plan

from hexplan.host import Spot
from hexplan.plan import Plan

TWO = two_hosts_plan()
SITES = two_sites_plan()


def priced(*prices: str, objective: str = "cost") -> Plan:
    """Return the plan on two hosts with prices, made for a rate of 50 requests/s."""
    hosts = tuple(
        host.model_copy(update={"price_usd_per_h": Decimal(price)})
        for host, price in zip(TWO.cluster.hosts, prices, strict=True)
    )
    asked = TWO.workload.model_copy(update={"request_rate_per_s": 50.0})
    plan = change_plan(resealed(TWO, hosts=hosts), objective=objective, workload=asked)
    plan = change_predicted(plan, cost_usd_per_h=sum((Decimal(p) for p in prices), Decimal(0)))
    return change_certificate(
        plan,
        cost_bound_usd_per_h=Decimal(4),
        cost_gap=Decimal("0.25"),
        cost_proof="trusted, not computed again by the check: by hand",
    )


def with_allow(plan: Plan, source: str, target: str, allow: str) -> Plan:
    """Return the plan with one link rule that allows less, and nothing else changed."""
    links = tuple(
        link.model_copy(update={"allow": allow}) if (link.source, link.target) == ends else link
        for link in plan.cluster.links
        for ends in [(source, target)]
    )
    return resealed(plan, links=links)


def on_spot(plan: Plan, availability: str) -> Plan:
    """Return the plan with its first host rented by a spot offer of 1 USD/h."""
    offer = Spot(price_usd_per_h=Decimal(1), availability=Decimal(availability), is_taken=True)
    first, *others = plan.cluster.hosts
    return resealed(plan, hosts=(first.model_copy(update={"spot": offer}), *others))


PRICED = priced("3", "2")

BROKEN_OBJECTIVES = (
    # With no permitted way from s0 on, no route is left that could leak around the cut.
    broken(
        "activations that leave a site over a link for tokens",
        with_allow(SITES, "east", "west", "tokens"),
        "HEX515",
    ),
    broken("a link that allows nothing", with_allow(TWO, "lab", "lab", "none"), "HEX515"),
    broken(
        "a plan for a cost that does not carry the rate",
        change_plan(
            PRICED, workload=PRICED.workload.model_copy(update={"request_rate_per_s": 67.9})
        ),
        "HEX711",
    ),
    broken(
        "a plan for latency without a rate",
        change_plan(TIMED, workload=TWO.workload),
        "HEX711",
    ),
    broken(
        "a cost that is not the sum of the rents",
        change_predicted(PRICED, cost_usd_per_h=Decimal("4.999")),
        "HEX712",
        "HEX713",
    ),
    broken(
        "a plan for a cost that states none",
        change_predicted(PRICED, cost_usd_per_h=None),
        "HEX712",
    ),
    broken(
        "a cost where a host has no price",
        change_predicted(TWO, cost_usd_per_h=Decimal(5)),
        "HEX712",
    ),
    broken(
        "a cost at the full price of a host on a spot offer",
        change_stage(
            on_spot(PRICED, "0.75"), 0, capacity_tokens_per_s=Decimal("6404.313457")
        ),  # 8539.08461 * 0.75, rounded down
        "HEX712",
    ),
    broken(
        "a stage at full speed on a spot host",
        change_certificate(
            change_predicted(on_spot(PRICED, "0.75"), cost_usd_per_h=Decimal(3)),
            cost_bound_usd_per_h=Decimal(3),
            cost_gap=Decimal(0),
        ),
        "HEX401",
    ),
    broken(
        "a bound on the cost that claims a proof",
        change_certificate(PRICED, cost_proof="work bound: exact"),
        "HEX713",
    ),
    broken(
        "a bound on the cost without the objective",
        change_plan(PRICED, objective="throughput"),
        "HEX713",
    ),
    broken(
        "a plan for a cost without a bound",
        change_certificate(PRICED, cost_bound_usd_per_h=None),
        "HEX713",
    ),
    broken("a gap in cost without a bound", change_certificate(TWO, cost_gap=Decimal(1)), "HEX713"),
    broken(
        "a gap to nothing",
        change_certificate(
            PRICED, cost_bound_usd_per_h=Decimal(0), cost_proof="no price is below 0"
        ),
        "HEX713",
    ),
    broken(
        "a bound above the cost",
        change_certificate(PRICED, cost_bound_usd_per_h=Decimal("5.01")),
        "HEX713",
    ),
    broken(
        "a gap in cost that is too small",
        change_certificate(PRICED, cost_gap=Decimal("0.2")),
        "HEX713",
    ),
    broken(
        "a bound on the cost without a gap",
        change_certificate(PRICED, cost_gap=None),
        "HEX713",
    ),
)
