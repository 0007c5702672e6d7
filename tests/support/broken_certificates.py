"""Plans that break the certificate or the prediction."""

from __future__ import annotations

from decimal import Decimal

from support.broken_figures import asked
from support.changes import (
    broken,
    change_certificate,
    change_cut,
    change_edge,
    change_plan,
    change_predicted,
    change_route,
    change_stage,
)
from support.plans import profiled_plan, two_hosts_plan, two_sites_plan

from hexplan.plan import Plan
from hexplan.predicted import Basis

TWO = two_hosts_plan()
PROFILED = profiled_plan()
SITES = two_sites_plan()
TOO_SURE = (
    Basis(origin="measured profile", share=Decimal("0.706")),
    Basis(origin="links", share=Decimal("0.294")),
)


def _rate(rate: str) -> dict[str, Decimal]:
    return {"tokens_per_s": Decimal(rate)}


def _weight(weight: str) -> dict[str, Decimal]:
    return {"weight": Decimal(weight)}


def _less_than_could_flow() -> Plan:
    """Return a plan that leaves out s1>s2, in which everything else adds up."""
    edges = [e for e in PROFILED.edges if (e.source, e.target) != ("s1", "s2")]
    less = change_plan(PROFILED, edges=tuple(edges), routes=PROFILED.routes[::2])
    less = change_edge(less, "entry>s0", **_weight("0.666666667"))
    less = change_edge(less, "entry>s1", **_rate("25"), **_weight("0.333333333"))
    less = change_edge(less, "s1>s3", **_weight("1"))
    less = change_edge(less, "s2>exit", **_rate("50"))
    less = change_stage(less, 1, load_tokens_per_s=Decimal(25))
    less = change_stage(less, 2, load_tokens_per_s=Decimal(50))
    less = change_route(less, 0, **_weight("0.666666667"))
    less = change_route(less, 1, **_weight("0.333333333"))
    less = change_predicted(less, tokens_per_s=Decimal(75), requests_per_s=Decimal("0.9375"))
    return change_certificate(less, flow_tokens_per_s=Decimal(75), gap=Decimal("3332.333334"))


BROKEN_CERTIFICATES = (
    broken(
        "a flow that is not what reaches the exit",
        change_certificate(PROFILED, flow_tokens_per_s=Decimal("84.999999")),
        "HEX701",
        "HEX709",
        "HEX710",
    ),
    broken(
        "a cut through a stage that is not there",
        change_cut(PROFILED, ("stage:s9", "1", "60")),
        "HEX702",
    ),
    broken(
        "a cut through a link that the ranges do not allow",
        change_cut(PROFILED, ("link:s0>s3", "1", "7812.5")),
        "HEX702",
    ),
    broken(
        "a cut through a trunk that the link does not have",
        change_cut(SITES, ("trunk:west>east", "1", "1000000")),
        "HEX702",
    ),
    broken(
        "a cut through one stage twice",
        change_cut(TWO, ("stage:s1", "1", "2185.023639"), ("stage:s1", "1", "2185.023639")),
        "HEX702",
    ),
    broken(
        "a cut that states another capacity",
        change_cut(PROFILED, ("stage:s2", "1", "60"), ("link:s1>s3", "1", "25.000001")),
        "HEX703",
    ),
    broken(
        "a cut of the right size that a route gets around",
        change_cut(PROFILED, ("stage:s2", "1", "60"), ("stage:s3", "0.5", "50")),
        "HEX704",
    ),
    broken(
        "a cut that holds for the used edges only",  # s0>s1 is allowed, and leads around it
        change_certificate(
            change_cut(PROFILED, ("link:s0>s2", "1", "7812.5"), ("link:entry>s1", "1", "250000")),
            cut_tokens_per_s=Decimal("257812.5"),
        ),
        "HEX704",
        "HEX707",
    ),
    broken(
        "a trunk at a price that is rounded too far",
        change_cut(SITES, ("trunk:east>west", "0.0052083333", "800000")),
        "HEX704",
        "HEX705",
    ),
    broken(
        "a cut that is not its sum",
        change_certificate(PROFILED, cut_tokens_per_s=Decimal("85.000002")),
        "HEX705",
    ),
    broken(
        "a cut below the flow",
        change_certificate(PROFILED, cut_tokens_per_s=Decimal("84.999998")),
        "HEX705",
        "HEX706",
    ),
    broken("a flow that could be larger", _less_than_could_flow(), "HEX707"),
    broken(
        "a flow that could be larger, below the rate of a run",
        change_predicted(
            asked(_less_than_could_flow(), 1, 10), ttft_s=Decimal(4), tpot_s=Decimal("0.1")
        ),
        "HEX707",
    ),
    broken(
        "a cut that is not the smallest",
        change_certificate(
            change_cut(PROFILED, ("stage:s2", "1", "60"), ("stage:s3", "1", "50")),
            cut_tokens_per_s=Decimal(110),
        ),
        "HEX707",
    ),
    broken(
        "a bound below the flow",
        change_certificate(PROFILED, bound_tokens_per_s=Decimal("84.999999")),
        "HEX708",
        "HEX801",
    ),
    broken(
        "a gap that is rounded down",
        change_certificate(PROFILED, gap=Decimal("2940.17647")),
        "HEX709",
    ),
    broken(
        "a gap larger than the bound gives",
        change_certificate(PROFILED, gap=Decimal("2940.176472")),
        "HEX709",
    ),
    broken(
        "a prediction above the flow",
        change_predicted(PROFILED, tokens_per_s=Decimal("85.000001")),
        "HEX710",
    ),
    broken(
        "a least flow that is rounded up",
        change_predicted(TWO, least_tokens_per_s=Decimal("2185.02364")),
        "HEX715",
    ),
    broken(
        "a largest flow without the error of a stage",
        change_predicted(PROFILED, most_tokens_per_s=Decimal(85)),
        "HEX715",
    ),
    broken(
        "a prediction that rests on something else",
        change_predicted(TWO, rests_on=(Basis(origin="a guess", share=Decimal(1)),)),
        "HEX716",
    ),
    broken(
        "a prediction that rests on its links too little",
        change_predicted(PROFILED, rests_on=TOO_SURE),
        "HEX716",
    ),
    broken(
        "a rate of requests that is rounded up",
        change_predicted(TWO, requests_per_s=Decimal("54.625591")),
        "HEX710",
    ),
)
