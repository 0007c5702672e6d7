"""Certificate: prices that prove that no flow on this placement is larger (formulation 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import RATE_STEP, exact
from hexplan.check.flow.cheapest import cheapest_route
from hexplan.check.flow.edges import flow_into, shared_capacities
from hexplan.check.flow.held import held_back, held_rest
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number, rate
from hexplan.cluster import COORDINATOR
from hexplan.plan import ENTRY, EXIT

PRICE_TOLERANCE = Fraction(1, 10**9)
"""By how much less than 1 a route may pay.

Prices are decimals, and a fraction such as 1/192 has no exact decimal, so prices of NICs and trunks
are rounded. In a plain cut all prices are 0 or 1, so this tolerates nothing there. If a route pays
`1 - d`, the proved bound is `cut / (1 - d)`, which the comparison with the flow allows for.
"""

RELATIVE_TOLERANCE = Fraction(1, 10**6)
"""How far a flow may stay below the cut, as a share of it.

Where NICs or trunks bind, the flow comes from a linear program, and its routes are rounded down.
"""

Capacities = dict[str, Fraction | None]
"""The capacity that each term of the cut names; None if the placement has no such capacity."""


FLOW_MISSTATED = Rule(
    "HEX701", "flow-misstated", "The certificate's flow is the flow that reaches the exit."
)


def certificate_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield everything that keeps the cut from proving that the flow is the largest."""
    certificate = lookup.plan.certificate
    arrives, stated = flow_into(lookup, EXIT), exact(certificate.flow_tokens_per_s)
    if arrives != stated:
        message = f"states {rate(stated)}, but {rate(arrives)} reach the exit"
        yield FLOW_MISSTATED.at("certificate, flow", message)
    yield from _against_flow(lookup)
    shared = shared_capacities(lookup)
    capacities: Capacities = {
        term.constraint: _capacity(lookup, shared, term.constraint) for term in certificate.cut
    }
    unknown = list(_unknown(lookup, capacities))
    yield from unknown
    if not unknown:
        yield from _capacities(lookup, capacities)
        yield from _leaks(lookup)


FLOW_ABOVE_CUT = Rule(
    "HEX706",
    "flow-above-cut",
    "The flow is at most the cut, also if routes that are held back carried all that they could.",
)
FLOW_BELOW_CUT = Rule(
    "HEX707",
    "flow-below-cut",
    "The flow reaches the cut, up to 1e-6 a route and edge or one part in a million. Under the"
    " objective latency it may be the workload's rate instead. Under balanced, routes that"
    " `balance.held_back` names count with what they would carry if they were not held back.",
)


def _against_flow(lookup: Lookup) -> Iterator[Violation]:
    plan, certificate = lookup.plan, lookup.plan.certificate
    flow, cut = exact(certificate.flow_tokens_per_s), exact(certificate.cut_tokens_per_s)
    if flow > cut * (1 + 2 * PRICE_TOLERANCE) + RATE_STEP:
        message = f"flow {rate(flow)} is above the cut {rate(cut)}"
        yield FLOW_ABOVE_CUT.at("certificate, cut", message)
    needed = lookup.needed_tokens_per_s
    if plan.objective == "latency" and needed is not None and flow + RATE_STEP >= needed:
        return  # it carries the workload's rate, and need not be the largest
    rounding = (len(plan.routes) + len(plan.edges) + 1) * RATE_STEP
    held = held_back(plan)
    if held is not None:
        flow += held_rest(plan, held)
        rounding /= exact(held.part)
        if flow > cut + rounding:
            message = f"routes held back would carry {rate(flow)}, above the cut {rate(cut)}"
            yield FLOW_ABOVE_CUT.at("prediction, balance, held_back", message)
    if cut - flow > max(rounding, RELATIVE_TOLERANCE * cut):
        message = f"flow {rate(flow)} is {rate(cut - flow)} below the cut: it is not the largest"
        yield FLOW_BELOW_CUT.at("certificate, cut", message)


def _capacity(lookup: Lookup, shared: dict[str, int], name: str) -> Fraction | None:
    family, _, rest = name.partition(":")
    if family == "stage":
        stage = lookup.stages.get(rest)
        return exact(stage.capacity_tokens_per_s) if stage else None
    if family == "link":
        return _link_capacity(lookup, rest)
    if family == "pair":
        return _pair_capacity(lookup, rest)
    return Fraction(shared[name]) if name in shared else None


def _link_capacity(lookup: Lookup, ends: str) -> Fraction | None:
    source, _, target = ends.partition(">")
    are_ends = source in {*lookup.stages, ENTRY} and target in {*lookup.stages, EXIT}
    if not are_ends or not lookup.allows(source, target):
        return None
    connection = lookup.connection(source, target)
    return connection.capacity_tokens_per_s if connection else None


def _pair_capacity(lookup: Lookup, hosts: str) -> Fraction | None:
    source, _, target = hosts.partition(">")
    ends = {*lookup.hosts, COORDINATOR}
    if source == target or not {source, target} <= ends:
        return None
    connection = lookup.connection_of_hosts(source, target)
    return Fraction(connection.bandwidth_bytes_per_s) if connection else None


UNKNOWN_CONSTRAINT = Rule(
    "HEX702",
    "unknown-constraint",
    "A term of the cut names a stage, NIC, trunk, pair of linked hosts, or edge that the placement"
    " allows, once.",
)


def _unknown(lookup: Lookup, capacities: Capacities) -> Iterator[Violation]:
    names = Counter(term.constraint for term in lookup.plan.certificate.cut)
    for name, count in names.items():
        if count > 1:
            yield UNKNOWN_CONSTRAINT.at(f"certificate, {name}", f"listed {count} times")
        if capacities[name] is None:
            message = "this placement has no such capacity"
            yield UNKNOWN_CONSTRAINT.at(f"certificate, {name}", message)


CUT_CAPACITY_WRONG = Rule(
    "HEX703", "cut-capacity-wrong", "A term of the cut states the capacity that it names."
)
CUT_SUM_WRONG = Rule(
    "HEX705", "cut-sum-wrong", "`cut_tokens_per_s` is the sum of price times capacity."
)


def _capacities(lookup: Lookup, capacities: Capacities) -> Iterator[Violation]:
    certificate, total = lookup.plan.certificate, Fraction(0)
    for term in certificate.cut:
        capacity = capacities[term.constraint] or Fraction(0)
        total += exact(term.price) * capacity
        if exact(term.capacity) != capacity:
            message = f"states {number(term.capacity)}, but the capacity is {number(capacity)}"
            yield CUT_CAPACITY_WRONG.at(f"certificate, {term.constraint}", message)
    if abs(total - exact(certificate.cut_tokens_per_s)) > RATE_STEP:
        stated = rate(certificate.cut_tokens_per_s)
        message = f"states {stated}, but price times capacity sums to {rate(total)}"
        yield CUT_SUM_WRONG.at("certificate, cut", message)


CUT_LEAKS = Rule(
    "HEX704",
    "cut-leaks",
    "Every route that the placement allows, used or not, pays at least 1 per token (less 1e-9).",
)


def _leaks(lookup: Lookup) -> Iterator[Violation]:
    cut = lookup.plan.certificate.cut
    cheapest = cheapest_route(lookup, {term.constraint: exact(term.price) for term in cut})
    if cheapest is not None and cheapest.price < 1 - PRICE_TOLERANCE:
        paid = number(cheapest.price)
        message = f"the route {' > '.join(cheapest.stages)} pays {paid}, must pay 1"
        yield CUT_LEAKS.at("certificate, cut", message)
