"""The crossing bound: how much work hosts do, if what they pass must cross their links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.constants import CROSSING_HOSTS, MICRO
from hexplan.cost import fewest_token_bytes, link_rate
from hexplan_solver.bounds.work_bound import Work, work_bound
from hexplan_solver.problem.problem import Problem
from hexplan_solver.problem.zones import Zone


@dataclass(frozen=True, slots=True)
class _Capped:
    """Hosts that do equal work, none of which passes more than a cap at any layer."""

    work: Work
    cap: int
    """In 1e-6 tokens/s."""
    count: int


def crossing_bound(problem: Problem, zones: Sequence[Zone], bound: int) -> int:
    """Lower a bound, in 1e-6 tokens/s, by what hosts and zones can pass at most.

    A token that visits a host is served there alone, or comes in as activations, or leaves as
    activations. So at no layer does a host pass more than it can serve alone, receive and send
    together; and the same holds for a zone. Exact in integers: the work bound with these caps.

    Parameters
    ----------
    bound
        A proved bound.
    """
    hosts = problem.spec.cluster.hosts
    if len(hosts) > CROSSING_HOSTS:
        return bound
    zone_cap = {
        host: work_bound(problem.only(zone.hosts)) + zone.inward + zone.outward
        for zone in zones
        for host in zone.hosts
        if len(zones) > 1
    }
    alone: dict[str, int] = {}
    for host_class in problem.classes:
        served = work_bound(problem.only(host_class.hosts[:1]))
        alone.update(dict.fromkeys(host_class.hosts, served))
    caps = {
        host.name: min(
            alone.get(host.name, 0) + _most_exchanged(problem, host.name),
            zone_cap.get(host.name, bound),
        )
        for host in hosts
    }
    if min(caps.values(), default=bound) >= bound:
        return bound
    alike: Counter[tuple[int, int]] = Counter()
    for index, host_class in enumerate(problem.classes):
        alike.update((index, caps[name]) for name in host_class.hosts)
    works = [Work.of(problem.only(c.hosts[:1])) for c in problem.classes]
    capped = [_Capped(works[index], cap, count) for (index, cap), count in alike.items()]
    low, high = 0, bound
    while low < high:
        middle = (low + high + 1) // 2
        done = sum(part.count * part.work.at_most(min(middle, part.cap)) for part in capped)
        is_possible = done >= problem.num_layers * middle
        low, high = (middle, high) if is_possible else (low, middle - 1)
    return low


def _most_exchanged(problem: Problem, name: str) -> int:
    """Return what a host receives and sends at most, in 1e-6 tokens/s."""
    cluster, model = problem.spec.cluster, problem.spec.model
    host, others = cluster.host_by_name[name], [h.name for h in cluster.hosts if h.name != name]
    num_bytes = fewest_token_bytes(cluster, model)
    into = sum(link_rate(cluster, model, other, name) or 0 for other in others)
    out = sum(link_rate(cluster, model, name, other) or 0 for other in others)
    received = min(into, host.nic_in_bytes_per_s * MICRO // num_bytes)
    sent = min(out, host.nic_out_bytes_per_s * MICRO // num_bytes)
    return received + sent
