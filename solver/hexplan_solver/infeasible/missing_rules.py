"""Which rule of `links` is missing, as a line to add to the cluster.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from hexplan.cluster import COORDINATOR, Cluster

NO_RULES = "look at `links`: pairs that no rule names are unconnected"
MAX_ENDS = 200
"""Ends whose pairs are looked at: a hint names only the first pair."""


def missing_rule_hint(cluster: Cluster, *, coordinator_first: bool = False) -> str:
    """Return a hint with the rule that joins the first pair of ends that no rule names.

    Parameters
    ----------
    coordinator_first
        Whether pairs with the coordinator come first, rather than last.
    """
    pairs = [*_pairs(cluster)]
    if coordinator_first:
        pairs.sort(key=lambda pair: COORDINATOR not in pair)
    line = next((rule for pair in pairs if (rule := _rule(cluster, *pair))), None)
    if line is None:
        return NO_RULES
    return f"{NO_RULES}; add a rule with your figures, such as `{line}`"


def _pairs(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Yield pairs of hosts that links may treat differently, and each with the coordinator."""
    rules = {(link.source, link.target) for link in cluster.links}
    named = {end for rule in rules for end in rule}
    first: dict[str, str] = {}
    for host in cluster.hosts:
        is_site = host.name not in named and (host.site, host.site) in rules
        first.setdefault(host.site if is_site else host.name, host.name)
    hosts = [*first.values()][:MAX_ENDS]
    yield from combinations(hosts, 2)
    yield from ((COORDINATOR, host) for host in hosts)


def _rule(cluster: Cluster, one: str, other: str) -> str | None:
    """Return the line that joins two ends, if no rule does so in both directions."""
    is_out = cluster.rule(one, other) is not None
    is_back = cluster.rule(other, one) is not None
    if is_out and is_back:
        return None
    a, b = _end(cluster, one), _end(cluster, other)
    figures = "bandwidth: 10Gbps, latency: 1ms"
    if is_out or is_back:
        source, target = (b, a) if is_out else (a, b)
        return f"- {{from: {source}, to: {target}, {figures}}}"
    if a == b:
        return f"- {{within: {a}, {figures}}}"
    return f"- {{between: [{a}, {b}], {figures}}}"


def _end(cluster: Cluster, name: str) -> str:
    """Return what a rule should name: a host's site, unless other rules name the host itself."""
    named = {end for link in cluster.links for end in (link.source, link.target)}
    return name if name in named or name == COORDINATOR else cluster.site_of(name)
