"""What messages took, against what the plan says of their links."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeAlias

import numpy as np

from hexplan.cluster import COORDINATOR, Link
from hexplan.host import Interconnect
from hexplan.measured.calibration.fit import fit_factors, mean_error
from hexplan.measured.calibration.nouns import EdgeComparison, LinkFit
from hexplan.measured.calibration.spread import middle
from hexplan.measured.observations import TransferSeen
from hexplan.plan import ENTRY, EXIT, Plan

Hosts: TypeAlias = tuple[str, str]
"""Where a message leaves and arrives."""

MIN_MESSAGES: Final = 30
"""With fewer a link is not measured."""
WARMUP_MESSAGES: Final = 2
"""The first messages of an edge in a file, which are not counted."""
MOST_SPREAD: Final = 1.0
"""Where the middle half of the messages spreads further, the link is not what was observed."""
OFF_FACTOR: Final = 1.5
"""A link is off if its messages take this many times longer or shorter..."""
OFF_S: Final = 1e-4
"""...and by this much: less is the software of both ends."""
_GAIN: Final = 0.1
"""A bandwidth must lower the mean error by this share to be believed."""
_FASTEST_S: Final = 1e-14
"""Seconds a byte, below which no link is."""
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
    """Return links between hosts whose messages took clearly otherwise, where enough were seen."""
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
    if not isinstance(way, Link) or len(seen) < MIN_MESSAGES:
        return None
    predicted = np.array([_predicted_s(way, one) for one in seen])
    observed = np.array([max(one.seconds, 1e-9) for one in seen])
    ratio, spread = middle(list(observed / predicted))
    if spread > MOST_SPREAD:
        return None
    if max(ratio, 1 / ratio) < OFF_FACTOR or np.median(np.abs(observed - predicted)) < OFF_S:
        return None
    latency_s, bandwidth = _figures(observed, np.array([float(one.bytes) for one in seen]), way)
    link = Link(
        source=hosts[0],
        target=hosts[1],
        bandwidth_bytes_per_s=bandwidth,
        latency_s=Decimal(repr(latency_s)).quantize(_NANOSECOND),
    )
    return LinkFit(link=link, num_messages=len(seen))


def _figures(
    observed: np.ndarray[tuple[int], np.dtype[np.float64]],
    sizes: np.ndarray[tuple[int], np.dtype[np.float64]],
    way: Link,
) -> tuple[float, int]:
    """Return latency and bandwidth; the bandwidth of the plan where messages do not tell one."""
    ones = np.ones((len(observed), 1))
    both = np.column_stack((ones, sizes))
    alone = fit_factors(observed, ones)
    found = fit_factors(observed, both)
    errors = mean_error(observed, ones, alone), mean_error(observed, both, found)
    is_told = found[1] > _FASTEST_S and found[0] > 0
    if is_told and errors[1] < (1 - _GAIN) * errors[0]:
        return float(found[0]), max(1, round(1 / found[1]))
    rest = observed - sizes / way.bandwidth_bytes_per_s
    return max(0.0, float(np.median(rest))), way.bandwidth_bytes_per_s


def _seen(transfers: Sequence[TransferSeen], source: str, target: str) -> list[TransferSeen]:
    """Return the messages of an edge that carried tokens, without the first ones."""
    mine = (seen for seen in transfers if (seen.source, seen.target) == (source, target))
    return [seen for seen in mine if seen.tokens][WARMUP_MESSAGES:]


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
