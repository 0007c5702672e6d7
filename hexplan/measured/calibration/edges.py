"""Compare what messages took with what the plan says about their links."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeAlias

import numpy as np

from hexplan.cluster import COORDINATOR, Link
from hexplan.host import Interconnect
from hexplan.measured.calibration.fit import Array, fit_factors, mean_error
from hexplan.measured.calibration.nouns import EdgeComparison, LinkFit
from hexplan.measured.calibration.parameters import PARAMETERS
from hexplan.measured.calibration.spread import middle
from hexplan.measured.observations import TransferSeen
from hexplan.plan import ENTRY, EXIT, Plan

Hosts: TypeAlias = tuple[str, str]
"""The hosts where a message leaves and arrives, in this order."""

_FASTEST_S_PER_BYTE: Final = 1e-14
"""No link takes less time for a byte: a fitted slope below this is noise."""
_NANOSECOND: Final = Decimal("1e-9")


def compare_edges(plan: Plan, transfers: Sequence[TransferSeen]) -> tuple[EdgeComparison, ...]:
    """Return every edge that carried more than its first messages, in the plan's order."""
    compared = []
    for edge in plan.edges:
        mine = _seen(transfers, edge.source, edge.target)
        way = _way(plan, _hosts(plan, edge.source, edge.target))
        if not mine or way is None:
            continue
        predicted = [_predicted_s(way, seen) for seen in mine]
        pairs = zip(mine, predicted, strict=True)
        ratio, spread = middle([seen.seconds / told for seen, told in pairs])
        size = int(np.median([seen.bytes for seen in mine]))
        compared.append(
            EdgeComparison(
                source=edge.source,
                target=edge.target,
                num_messages=len(mine),
                median_bytes=size,
                predicted_s=float(np.median(predicted)),
                ratio=ratio,
                spread=spread,
            )
        )
    return tuple(compared)


def fit_links(plan: Plan, transfers: Sequence[TransferSeen]) -> tuple[LinkFit, ...]:
    """Return the links between hosts that carried clearly slower or faster than predicted."""
    by_hosts: dict[Hosts, list[TransferSeen]] = {}
    for edge in plan.edges:
        hosts = _hosts(plan, edge.source, edge.target)
        if hosts[0] != hosts[1]:
            seen = _seen(transfers, edge.source, edge.target)
            by_hosts.setdefault(hosts, []).extend(seen)
    fits = (_fit_link(plan, hosts, seen) for hosts, seen in by_hosts.items())
    return tuple(fit for fit in fits if fit is not None)


def _fit_link(plan: Plan, hosts: Hosts, seen: Sequence[TransferSeen]) -> LinkFit | None:
    way = _way(plan, hosts)
    if not isinstance(way, Link) or len(seen) < PARAMETERS.min_messages:
        return None
    predicted = np.array([_predicted_s(way, one) for one in seen])
    observed = np.array([max(one.seconds, 1e-9) for one in seen])
    ratio, spread = middle(list(observed / predicted))
    if spread > PARAMETERS.most_spread:
        return None
    difference_s = np.median(np.abs(observed - predicted))
    if max(ratio, 1 / ratio) < PARAMETERS.off_factor or difference_s < PARAMETERS.off_s:
        return None
    latency_s, bandwidth = _figures(observed, np.array([float(one.bytes) for one in seen]), way)
    link = Link(
        source=hosts[0],
        target=hosts[1],
        bandwidth_bytes_per_s=bandwidth,
        latency_s=Decimal(repr(latency_s)).quantize(_NANOSECOND),
    )
    return LinkFit(link=link, num_messages=len(seen))


def _figures(observed: Array, sizes: Array, way: Link) -> tuple[float, int]:
    """Return latency and bandwidth; if the messages reveal no bandwidth, that of the plan."""
    ones = np.ones((len(observed), 1))
    both = np.column_stack((ones, sizes))
    alone = fit_factors(observed, ones)
    found = fit_factors(observed, both)
    errors = mean_error(observed, ones, alone), mean_error(observed, both, found)
    is_told = found[1] > _FASTEST_S_PER_BYTE and found[0] > 0
    if is_told and errors[1] < (1 - PARAMETERS.bandwidth_gain) * errors[0]:
        return float(found[0]), max(1, round(1 / found[1]))
    rest = observed - sizes / way.bandwidth_bytes_per_s
    return max(0.0, float(np.median(rest))), way.bandwidth_bytes_per_s


def _seen(transfers: Sequence[TransferSeen], source: str, target: str) -> list[TransferSeen]:
    """Return the messages of an edge that carried tokens, without the first few."""
    mine = (seen for seen in transfers if (seen.source, seen.target) == (source, target))
    return [seen for seen in mine if seen.tokens][PARAMETERS.warmup_messages :]


def _hosts(plan: Plan, source: str, target: str) -> Hosts:
    host_of = {stage.id: stage.host for stage in plan.stages}
    host_of |= {ENTRY: COORDINATOR, EXIT: COORDINATOR}
    return host_of[source], host_of[target]


def _way(plan: Plan, hosts: Hosts) -> Link | Interconnect | None:
    """Return what connects two hosts, or the devices of one."""
    if hosts[0] == hosts[1]:
        return plan.cluster.host_by_name[hosts[0]].interconnect
    return plan.cluster.link(*hosts)


def _predicted_s(way: Link | Interconnect, seen: TransferSeen) -> float:
    return max(1e-9, float(way.latency_s) + seen.bytes / way.bandwidth_bytes_per_s)
