"""Joined hosts: several machines whose devices work as one group (formulation 12)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import floor

from hexplan.check.exact import exact
from hexplan.check.lookup import Lookup
from hexplan.check.rule import Rule, Violation
from hexplan.check.text import number
from hexplan.cluster import Link
from hexplan.constants import RING_SHARE
from hexplan.host import Host, Machine

JOINED_HOST_WRONG = Rule(
    "HEX111",
    "joined-host-wrong",
    "A joined host has the name and site of its first machine, the devices of all its machines, and"
    " the figures of the ring through them; all its devices are pinned together.",
)


def joining_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield what a joined host states that does not follow from its machines and their links."""
    names = [host.name for host in lookup.plan.cluster.hosts]
    for host in lookup.plan.cluster.hosts:
        where = f"host {host.name}"
        crosses = host.interconnect is not None and host.interconnect.crosses_hosts
        if crosses != bool(host.parts):
            message = "it has joined machines without a ring as its interconnect, or the reverse"
            yield JOINED_HOST_WRONG.at(where, message)
        if host.parts:
            messages = [*_machines(host, names), *_figures(lookup, host), *_pinned(lookup, host)]
            yield from (JOINED_HOST_WRONG.at(where, message) for message in messages)


def _machines(host: Host, names: list[str]) -> Iterator[str]:
    """Yield what is wrong with its machines, devices and price."""
    parts = [part.name for part in host.parts]
    others = sorted(set(parts[1:]) & set(names))
    if len(parts) < 2 or len(set(parts)) < len(parts) or parts[0] != host.name or others:
        yield f"it joins {parts}, needed several machines, first itself, none of them a host"
    if {part.site for part in host.parts} != {host.site}:
        yield f"it stands in {host.site}, its machines in {sorted({p.site for p in host.parts})}"
    devices = tuple(device for part in host.parts for device in part.devices)
    if devices != host.devices:
        yield f"it has {len(host.devices)} devices, needed the {len(devices)} of its machines"
    prices = [part.price_usd_per_h for part in host.parts]
    total = None if None in prices else sum(exact(price) for price in prices if price is not None)
    stated = None if host.price_usd_per_h is None else exact(host.price_usd_per_h)
    if stated != total or host.spot is not None:
        yield "its price must be the sum of its machines' prices, and it must have no spot offer"


def _figures(lookup: Lookup, host: Host) -> Iterator[str]:
    """Yield figures of its interconnect and network card that differ from those of the ring.

    A card gives a share (`RING_SHARE`) to the ring, rounded down, and the rest to other stages, but
    at least 1 byte/s to each.
    """
    lines = _lines(lookup, host.parts)
    if None in lines:
        yield "its machines lack a link of their own that lets activations pass to the next machine"
        return
    links = [line for line in lines if line is not None]
    inner = [p.interconnect for p in host.parts if p.interconnect and len(p.devices) > 1]
    ring = [_ring_share(nic) for p in host.parts for nic in _nics(p)]
    rates = [link.bandwidth_bytes_per_s for link in links]
    slowest = min(ring + rates + [line.bandwidth_bytes_per_s for line in inner])
    delays = [link.latency_s for link in links] + [line.latency_s for line in inner]
    latency = max(map(exact, delays))
    stated = host.interconnect
    if stated is not None and stated.bandwidth_bytes_per_s != slowest:
        yield f"its ring has {stated.bandwidth_bytes_per_s} bytes/s, needed {slowest}"
    if stated is not None and exact(stated.latency_s) != latency:
        yield f"its ring has a latency of {number(stated.latency_s)} s, needed {number(latency)} s"
    rest = tuple(max(1, nic - _ring_share(nic)) for nic in _nics(host.parts[0]))
    if _nics(host) != rest:
        yield f"its network card has {list(_nics(host))} bytes/s in and out, needed {list(rest)}"


def _lines(lookup: Lookup, parts: tuple[Machine, ...]) -> list[Link | None]:
    """Return the link from each machine to the next, and from the last to the first; else None."""
    site = parts[0].site
    links: list[Link | None] = []
    for source, target in (*pairwise(p.name for p in parts), (parts[-1].name, parts[0].name)):
        ends = ((source, target), (source, site), (site, target), (site, site))
        link = next((lookup.links[pair] for pair in ends if pair in lookup.links), None)
        is_own = link is not None and lookup.over(link).trunk_bytes_per_s is None
        links.append(link if link and is_own and not lookup.forbids(link, is_end=False) else None)
    return links


def _pinned(lookup: Lookup, host: Host) -> Iterator[str]:
    """Yield that its usable devices are not all pinned to one stage, if so."""
    cluster = lookup.plan.cluster
    out = {e.device for e in cluster.exclusions if e.host == host.name and e.device is not None}
    usable = set(range(len(host.devices))) - out
    pins = [set(pin.devices) for pin in cluster.group_pins if pin.host == host.name]
    if usable not in pins:
        yield f"no pin ties its devices {sorted(usable)} to one stage"


def _ring_share(nic_bytes_per_s: int) -> int:
    return max(1, floor(nic_bytes_per_s * RING_SHARE))


def _nics(machine: Machine) -> tuple[int, int]:
    return machine.nic_in_bytes_per_s, machine.nic_out_bytes_per_s
