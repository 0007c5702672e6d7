"""Edges: which are allowed, what they carry, and what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup, trunk_name
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number, rate, span
from hexplan.cluster import COORDINATOR
from hexplan.plan import ENTRY, EXIT, Edge

DUPLICATE_EDGE = Rule("HEX503", "duplicate-edge", "Two ends have at most one edge.")


def flow_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield forbidden edges, flows that do not add up, and overloaded NICs, trunks and links."""
    ends = Counter((edge.source, edge.target) for edge in lookup.plan.edges)
    for (source, target), count in ends.items():
        if count > 1:
            yield DUPLICATE_EDGE.at(f"edge {source}>{target}", f"listed {count} times")
    for edge in lookup.plan.edges:
        yield from _ranges(lookup, edge)
        yield from _capacity(lookup, edge)
    yield from _conservation(lookup)
    yield from _shared(lookup)


def shared_capacities(lookup: Lookup) -> dict[str, int]:
    """Return the bytes per second of every NIC and trunk, by the name of its constraint."""
    cluster = lookup.plan.cluster
    coordinator = cluster.coordinator
    capacities = {
        f"nic-out:{COORDINATOR}": coordinator.nic_out_bytes_per_s,
        f"nic-in:{COORDINATOR}": coordinator.nic_in_bytes_per_s,
    }
    for host in cluster.hosts:
        capacities[f"nic-out:{host.name}"] = host.nic_out_bytes_per_s
        capacities[f"nic-in:{host.name}"] = host.nic_in_bytes_per_s
    for link in cluster.links:
        if link.trunk_bytes_per_s is not None:
            capacities[trunk_name(link)] = link.trunk_bytes_per_s
    return capacities


def flow_into(lookup: Lookup, end: str) -> Fraction:
    """Return the flow of the edges into a stage or the exit."""
    edges = lookup.plan.edges
    return sum((exact(edge.tokens_per_s) for edge in edges if edge.target == end), Fraction(0))


EDGE_NOT_ALLOWED = Rule(
    "HEX501",
    "edge-not-allowed",
    "An edge enters a stage inside its range (s_j <= t_i < t_j), at 0 from entry, and exits at L;"
    " with an engine of whole replicas, it is a step of a route. Where the longest request needs"
    " host memory, it enters a stage at its first layer (s_j = t_i).",
)
ENTER_LAYER_WRONG = Rule(
    "HEX502",
    "enter-layer-wrong",
    "An edge's `enter_layer` is the end of the stage that it leaves (0 at entry, L at exit).",
)


def _ranges(lookup: Lookup, edge: Edge) -> Iterator[Violation]:
    where = f"edge {edge.source}>{edge.target}"
    leave = 0 if edge.source == ENTRY else lookup.stages[edge.source].layers[1]
    if not lookup.allows(edge.source, edge.target):
        if edge.target == EXIT:
            message = f"leaves at layer {leave}, must leave at {lookup.plan.model.layers}"
        else:
            held = span(lookup.stages[edge.target].layers)
            message = f"enters {held} at layer {leave}, which it does not hold"
            if lookup.counts_host_memory:
                message = f"enters {held} at layer {leave}, needed its first one for host memory"
            if edge.source == ENTRY:
                message = f"enters {held}, which does not start at layer 0"
        if not lookup.joins(edge.source, edge.target):
            message = "it is on no route, and the engine runs whole replicas alone"
        yield EDGE_NOT_ALLOWED.at(where, message)
    if edge.enter_layer != leave:
        yield ENTER_LAYER_WRONG.at(where, f"states {edge.enter_layer}, must be {leave}")


EDGE_CAPACITY_WRONG = Rule(
    "HEX505",
    "edge-capacity-wrong",
    "An edge's capacity is its bandwidth over the bytes of a token, rounded down to 1e-6.",
)
EDGE_OVERLOADED = Rule("HEX506", "edge-overloaded", "An edge's flow is at most its capacity.")
EDGE_IDLE = Rule("HEX507", "edge-idle", "Every listed edge carries flow.")


def _capacity(lookup: Lookup, edge: Edge) -> Iterator[Violation]:
    where = f"edge {edge.source}>{edge.target}"
    flow, capacity = exact(edge.tokens_per_s), exact(edge.capacity_tokens_per_s)
    if flow == 0:
        yield EDGE_IDLE.at(where, "carries nothing, and must not be listed")
    if flow > capacity:
        message = f"carries {rate(flow)}, but its capacity is {rate(capacity)}"
        yield EDGE_OVERLOADED.at(where, message)
    connection = lookup.connection(edge.source, edge.target)
    if connection is None:
        yield _unconnected(lookup, edge, where)
    elif capacity != connection.capacity_tokens_per_s:
        message = (
            f"states {rate(capacity)}, but {connection.bandwidth_bytes_per_s} bytes/s"
            f" / {connection.bytes_per_token} bytes = {rate(connection.capacity_tokens_per_s)}"
        )
        yield EDGE_CAPACITY_WRONG.at(where, message)


EDGE_NOT_CONNECTED = Rule(
    "HEX504", "edge-not-connected", "A link rule or an interconnect connects the ends of an edge."
)
EDGE_FORBIDDEN = Rule(
    "HEX515",
    "edge-forbidden",
    "No activations pass under a link rule that allows `tokens`, and nothing passes under one that"
    " allows `none`.",
)


def _unconnected(lookup: Lookup, edge: Edge, where: str) -> Violation:
    source, target = lookup.host_of(edge.source), lookup.host_of(edge.target)
    link = lookup.link(source, target) if source != target else None
    if link is None:
        return EDGE_NOT_CONNECTED.at(where, f"nothing connects {source} to {target}")
    rule = lookup.over(link)
    message = f"the rule from {rule.source} to {rule.target} allows `{rule.allow}`"
    return EDGE_FORBIDDEN.at(where, message)


FLOW_NOT_CONSERVED = Rule(
    "HEX508", "flow-not-conserved", "Exactly the flow that enters a stage leaves it."
)
LOAD_WRONG = Rule("HEX509", "load-wrong", "A stage's load is the flow that enters it.")
NO_FLOW = Rule("HEX514", "no-flow", "Some flow reaches the exit.")


def _conservation(lookup: Lookup) -> Iterator[Violation]:
    inflow: dict[str, Fraction] = {}
    outflow: dict[str, Fraction] = {}
    for edge in lookup.plan.edges:
        flow = exact(edge.tokens_per_s)
        outflow[edge.source] = outflow.get(edge.source, Fraction(0)) + flow
        inflow[edge.target] = inflow.get(edge.target, Fraction(0)) + flow
    for stage in lookup.plan.stages:
        enters = inflow.get(stage.id, Fraction(0))
        leaves = outflow.get(stage.id, Fraction(0))
        if enters != leaves:
            message = f"{rate(enters)} enter, {rate(leaves)} leave"
            yield FLOW_NOT_CONSERVED.at(f"stage {stage.id}", message)
        if exact(stage.load_tokens_per_s) != enters:
            message = f"states {rate(stage.load_tokens_per_s)}, but {rate(enters)} enter"
            yield LOAD_WRONG.at(f"stage {stage.id}", message)
    if not inflow.get(EXIT):
        yield NO_FLOW.at("plan", "nothing reaches the exit")


NIC_OVERLOADED = Rule(
    "HEX510",
    "nic-overloaded",
    "The edges out of a host, and those into it, carry no more than its NIC.",
)
TRUNK_OVERLOADED = Rule(
    "HEX511", "trunk-overloaded", "The edges under one link rule carry no more than its trunk."
)
PAIR_OVERLOADED = Rule(
    "HEX516",
    "pair-overloaded",
    "The edges from one host to another together carry no more than the link between them.",
)


def _shared(lookup: Lookup) -> Iterator[Violation]:
    used: dict[str, Fraction] = {}
    capacities, pairs = shared_capacities(lookup), Counter[str]()
    for edge in lookup.plan.edges:
        connection = lookup.connection(edge.source, edge.target)
        if connection is not None:
            pairs[connection.pair] += 1
            if pairs[connection.pair] > 1:  # for a single edge, its own capacity is enough
                capacities[connection.pair] = connection.bandwidth_bytes_per_s
            for name in connection.shared:
                bytes_per_s = exact(edge.tokens_per_s) * connection.bytes_per_token
                used[name] = used.get(name, Fraction(0)) + bytes_per_s
    rules = {"trunk": TRUNK_OVERLOADED, "pair": PAIR_OVERLOADED}
    for name, capacity in capacities.items():
        load = used.get(name, Fraction(0))
        if load > capacity:
            rule = rules.get(name.partition(":")[0], NIC_OVERLOADED)
            message = f"carries {number(load)} bytes/s of {capacity}"
            yield rule.at(name, message)
