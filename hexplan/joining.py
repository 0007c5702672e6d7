"""Joined hosts: machines whose devices form one stage over the links between them.

Their collectives run in a ring through all devices, machine by machine, and share the machines'
network cards with the traffic of other stages (docs/formulation.md 12).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain

from hexplan.cluster import Cluster, Exclusion, GroupPin, Link
from hexplan.constants import RING_SHARE
from hexplan.host import Host, Interconnect, Machine


def joined(cluster: Cluster, names: Sequence[str]) -> Cluster:
    """Return the cluster with some hosts joined, if `why_not_joined` has no objection to them.

    The joined host takes the place and the name of the first of them.
    """
    parts = [cluster.host_by_name[name] for name in names]
    first, offsets = parts[0], _offsets(parts)
    nic_in, nic_out = first.nic_in_bytes_per_s, first.nic_out_bytes_per_s
    whole = Host(
        name=first.name,
        site=first.site,
        devices=tuple(chain.from_iterable(part.devices for part in parts)),
        interconnect=_ring(cluster, parts),
        nic_in_bytes_per_s=max(1, nic_in - _ring_share(nic_in)),
        nic_out_bytes_per_s=max(1, nic_out - _ring_share(nic_out)),
        price_usd_per_h=_sum([part.price_usd_per_h for part in parts]),
        parts=tuple(map(_machine, parts)),
    )
    exclusions = tuple(
        e
        if e.host not in offsets or e.device is None
        else Exclusion(host=first.name, device=offsets[e.host] + e.device)
        for e in cluster.exclusions
    )
    out = {e.device for e in exclusions if e.host == first.name}
    group = tuple(device for device in range(len(whole.devices)) if device not in out)
    replaced = (whole if host.name == first.name else host for host in cluster.hosts)
    update = {
        "hosts": tuple(host for host in replaced if host is whole or host.name not in names),
        "exclusions": exclusions,
        "group_pins": (*cluster.group_pins, GroupPin(host=first.name, devices=group)),
    }
    return cluster.model_copy(update=update)


def split(cluster: Cluster, names: Iterable[str]) -> Cluster:
    """Return the cluster with some joined hosts split into their machines."""
    joined_hosts = {name: cluster.host_by_name[name] for name in names}
    hosts = (h.machines if h.name in joined_hosts else (h,) for h in cluster.hosts)
    exclusions = [
        e
        if e.host not in joined_hosts or e.device is None
        else _exclusion_of(joined_hosts[e.host], e.device)
        for e in cluster.exclusions
    ]
    update = {
        "hosts": tuple(chain.from_iterable(hosts)),
        "exclusions": tuple(exclusions),
        "group_pins": tuple(pin for pin in cluster.group_pins if pin.host not in joined_hosts),
    }
    return cluster.model_copy(update=update)


def why_not_joined(cluster: Cluster, names: Sequence[str]) -> str:
    """Say why some hosts cannot be joined; an empty text if they can."""
    parts = [cluster.host_by_name[name] for name in names]
    if len({part.site for part in parts}) > 1:
        return f"they are in {' and '.join(sorted({part.site for part in parts}))}, not one site"
    pinned = {p.host for p in cluster.layer_pins} | {p.host for p in cluster.group_pins}
    for part in parts:
        if part.parts:
            return f"{part.name} is already joined"
        if part.name in pinned:
            return f"{part.name} is pinned"
        if all(cluster.is_excluded(part.name, device) for device in range(len(part.devices))):
            return f"{part.name} is excluded"
        if len(part.devices) > 1 and part.interconnect is None:
            return f"{part.name} has no interconnect"
    for source, target, link in _ring_links(cluster, parts):
        if link is None:
            return f"no link rule lets activations pass from {source} to {target}"
        if cluster.over(link).trunk_bytes_per_s is not None:
            return f"{source} and {target} share their link, a trunk, with other hosts"
    return ""


def _ring(cluster: Cluster, parts: Sequence[Host]) -> Interconnect:
    """Return the figures of the slowest step of a ring through all devices."""
    links = [link for _, _, link in _ring_links(cluster, parts) if link is not None]
    inner = [part.interconnect for part in parts if part.interconnect and len(part.devices) > 1]
    nics = [nic for p in parts for nic in (p.nic_in_bytes_per_s, p.nic_out_bytes_per_s)]
    rates = [*(link.bandwidth_bytes_per_s for link in links), *map(_ring_share, nics)]
    return Interconnect(
        bandwidth_bytes_per_s=min(*rates, *(line.bandwidth_bytes_per_s for line in inner)),
        latency_s=max(*(k.latency_s for k in links), *(line.latency_s for line in inner)),
        crosses_hosts=True,
    )


def _ring_links(cluster: Cluster, parts: Sequence[Host]) -> Iterator[tuple[str, str, Link | None]]:
    names = [part.name for part in parts]
    for source, target in zip(names, (*names[1:], names[0]), strict=True):
        yield source, target, cluster.link(source, target)


def _ring_share(nic_bytes_per_s: int) -> int:
    return max(1, int(nic_bytes_per_s * RING_SHARE))


def _sum(prices: Sequence[Decimal | None]) -> Decimal | None:
    """Return what the machines cost together, if all have a price."""
    known = [price for price in prices if price is not None]
    return sum(known, Decimal(0)) if len(known) == len(prices) else None


def _exclusion_of(host: Host, device: int) -> Exclusion:
    """Exclude a device of a joined host on its own machine."""
    machine, index = host.slots[device]
    return Exclusion(host=machine, device=index)


def _offsets(parts: Sequence[Machine]) -> dict[str, int]:
    """Return the index of each machine's first device on the joined host."""
    offsets, position = {}, 0
    for part in parts:
        offsets[part.name] = position
        position += len(part.devices)
    return offsets


def _machine(host: Host) -> Machine:
    return Machine(**{name: getattr(host, name) for name in Machine.model_fields})
