"""Ways to join hosts: which of the sets that the spec allows are joined at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from hexplan.cluster import Cluster
from hexplan.joining import joined

Set = tuple[str, ...]
"""Hosts that are joined to one."""
Way = tuple[Set, ...]
"""Sets that share no host; empty where no hosts are joined."""

MAX_WAYS = 16
"""Ways that are tried at most, beside joining none."""


def ways_to_join(cluster: Cluster) -> list[Way]:
    """List ways to join hosts: all of them where they are few, else by sets that are alike.

    Of sets that are alike, all, half and one are joined; and the sets of all kinds together, from
    the largest down and from the smallest up.
    """
    allowed = cluster.limits.join
    found = list(islice(_families(allowed), MAX_WAYS + 1))
    if len(found) > MAX_WAYS:
        by_kind = [_disjoint(sets) for sets in _alike(cluster)]
        mixed = (_disjoint(sorted(allowed, key=len, reverse=is_down)) for is_down in (True, False))
        parts = (sets[:count] for sets in by_kind for count in (len(sets), len(sets) // 2, 1))
        found = [way for way in dict.fromkeys((*mixed, *parts)) if way][:MAX_WAYS]
    return sorted(found, key=lambda way: (len(way), way))


def as_joined(cluster: Cluster, way: Way) -> Cluster:
    """Return the cluster with the hosts of each set joined, and nothing left to join."""
    for names in way:
        cluster = joined(cluster, names)
    limits = cluster.limits.model_copy(update={"join": ()})
    return cluster.model_copy(update={"limits": limits})


def _families(sets: Sequence[Set]) -> Iterator[Way]:
    """Yield every choice of at least one set, no two of which share a host."""
    for index, names in enumerate(sets):
        yield (names,)
        rest = [other for other in sets[index + 1 :] if not set(other) & set(names)]
        for more in _families(rest):
            yield (names, *more)


def _alike(cluster: Cluster) -> list[list[Set]]:
    """Group the allowed sets by the devices and the site of their hosts."""
    hosts = cluster.host_by_name
    groups: dict[tuple[object, ...], list[Set]] = {}
    for names in cluster.limits.join:
        kind = tuple((hosts[name].site, hosts[name].devices) for name in names)
        groups.setdefault(kind, []).append(names)
    return list(groups.values())


def _disjoint(sets: Sequence[Set]) -> Way:
    """Return the sets, but those that share a host with one before."""
    taken: set[str] = set()
    found = []
    for names in sets:
        if taken.isdisjoint(names):
            taken.update(names)
            found.append(names)
    return tuple(found)
