"""What the links between the hosts of a replica carry, and what they allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from hexplan.constants import MICRO
from hexplan.cost import link_rate, token_bytes
from hexplan_solver.budget import NO_BOUND
from hexplan_solver.problem.problem import Problem


def narrowest(problem: Problem, hosts: Sequence[str]) -> int:
    """Return what the links, NICs and trunks on a way over hosts pass, in 1e-6 tokens/s.

    Parameters
    ----------
    hosts
        The host of each stage, in the order of the layers.
    """
    cluster, model = problem.spec.cluster, problem.spec.model
    least = NO_BOUND
    used: Counter[tuple[str, int]] = Counter()
    for source, target in pairwise(hosts):
        least = min(least, link_rate(cluster, model, source, target) or 0)
        if source != target:
            size = token_bytes(cluster, model, source, target)
            used["out " + source, cluster.host_by_name[source].nic_out_bytes_per_s] += size
            used["in " + target, cluster.host_by_name[target].nic_in_bytes_per_s] += size
    for trunk, size in trunks(problem, hosts).items():
        used[trunk] += size
    return min([least, *(limit * MICRO // size for (_, limit), size in used.items())])


def trunks(problem: Problem, hosts: Sequence[str]) -> Counter[tuple[str, int]]:
    """Return the trunks that a token passes on a way over hosts, and its bytes there.

    Each is known by its name and its bytes per second.
    """
    cluster, model = problem.spec.cluster, problem.spec.model
    found: Counter[tuple[str, int]] = Counter()
    for source, target in pairwise(hosts):
        rule = cluster.link(source, target) if source != target else None
        over = cluster.over(rule) if rule is not None else None
        if over is not None and over.trunk_bytes_per_s is not None:
            size = token_bytes(cluster, model, source, target)
            found[f"{over.source}>{over.target}", over.trunk_bytes_per_s] += size
    return found
