"""Which of the sets of hosts that the spec allows to join are joined at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from hexplan.cluster import Cluster
from hexplan.joining import joined
from hexplan_solver.problem.params import PROBLEM_PARAMS, ProblemParams

HostSet = tuple[str, ...]
"""Hosts that are joined into one."""
JoinChoice = tuple[HostSet, ...]
"""Sets that share no host; empty if no hosts are joined."""


def join_choices(cluster: Cluster, params: ProblemParams = PROBLEM_PARAMS) -> list[JoinChoice]:
    """List what to join: every choice if there are few, else some for sets that are alike.

    Of sets that are alike, all, half and one are joined; and the sets of all kinds together, the
    largest first and the smallest first.
    """
    allowed, most = cluster.limits.join, params.max_join_choices
    choices = list(islice(_disjoint_choices(allowed), most + 1))
    if len(choices) > most:
        by_kind = [_disjoint(sets) for sets in _alike(cluster)]
        mixed = (_disjoint(sorted(allowed, key=len, reverse=is_down)) for is_down in (True, False))
        some = (sets[:count] for sets in by_kind for count in (len(sets), len(sets) // 2, 1))
        choices = [choice for choice in dict.fromkeys((*mixed, *some)) if choice][:most]
    return sorted(choices, key=lambda choice: (len(choice), choice))


def as_joined(cluster: Cluster, choice: JoinChoice) -> Cluster:
    """Return the cluster with the hosts of each set joined, and nothing left to join."""
    for names in choice:
        cluster = joined(cluster, names)
    limits = cluster.limits.model_copy(update={"join": ()})
    return cluster.model_copy(update={"limits": limits})


def _disjoint_choices(sets: Sequence[HostSet]) -> Iterator[JoinChoice]:
    """Yield every choice of at least one set, no two of which share a host."""
    for index, names in enumerate(sets):
        yield (names,)
        rest = [other for other in sets[index + 1 :] if not set(other) & set(names)]
        for more in _disjoint_choices(rest):
            yield (names, *more)


def _alike(cluster: Cluster) -> list[list[HostSet]]:
    """Group the allowed sets by the devices and the site of their hosts."""
    hosts = cluster.host_by_name
    groups: dict[tuple[object, ...], list[HostSet]] = {}
    for names in cluster.limits.join:
        kind = tuple((hosts[name].site, hosts[name].devices) for name in names)
        groups.setdefault(kind, []).append(names)
    return list(groups.values())


def _disjoint(sets: Sequence[HostSet]) -> JoinChoice:
    """Return the sets without those that share a host with an earlier one."""
    taken: set[str] = set()
    kept = []
    for names in sets:
        if taken.isdisjoint(names):
            taken.update(names)
            kept.append(names)
    return tuple(kept)
