"""Joined hosts: what several machines that work as one have between them (formulation 12)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hexplan.check.host_rules import JOINED_HOST_WRONG
from hexplan.check.lookup import Lookup
from hexplan.check.rules import Violation
from hexplan.check.text import exact, number
from hexplan.cluster import Link
from hexplan.host import Host, Machine


def joining_violations(lookup: Lookup) -> Iterator[Violation]:
    """Yield what a joined host has that its machines and the links between them do not give."""
    names = [host.name for host in lookup.plan.cluster.hosts]
    for host in lookup.plan.cluster.hosts:
        where = f"host {host.name}"
        crosses = host.interconnect is not None and host.interconnect.crosses_hosts
        if crosses != bool(host.parts):
            message = "it has machines that are joined, or an interconnect that is a ring, not both"
            yield JOINED_HOST_WRONG.at(where, message)
        if host.parts:
            found = [*_places(host, names), *_figures(lookup, host), *_pinned(lookup, host)]
            yield from (JOINED_HOST_WRONG.at(where, message) for message in found)


def _places(host: Host, names: list[str]) -> Iterator[str]:
    """Yield what is wrong with its machines, devices and offers."""
    parts = [part.name for part in host.parts]
    others = sorted(set(parts[1:]) & set(names))
    if len(parts) < 2 or len(set(parts)) < len(parts) or parts[0] != host.name or others:
        message = f"it joins {parts}, needed several machines, itself first, no other a host"
        yield message
    if {part.site for part in host.parts} != {host.site}:
        yield f"it stands in {host.site}, its machines in {sorted({p.site for p in host.parts})}"
    devices = tuple(device for part in host.parts for device in part.devices)
    if devices != host.devices:
        yield f"it has {len(host.devices)} devices, needed the {len(devices)} of its machines"
    prices = [part.price_usd_per_h for part in host.parts]
    total = None if None in prices else sum(exact(price) for price in prices if price is not None)
    stated = None if host.price_usd_per_h is None else exact(host.price_usd_per_h)
    if stated != total or host.spot is not None:
        yield "its price is that of its machines together, and it has no spot offer"


def _figures(lookup: Lookup, host: Host) -> Iterator[str]:
    """Yield figures of its interconnect and network card that are better than the ring gives.

    A card gives nine tenths to the ring, rounded down, and the rest to other stages, but each at
    least a byte/s.
    """
    lines = _lines(lookup, host.parts)
    if None in lines:
        yield "no link of their own lets activations pass from each machine to the next"
        return
    links = [line for line in lines if line is not None]
    inner = [p.interconnect for p in host.parts if p.interconnect and len(p.devices) > 1]
    ring = [max(1, 9 * nic // 10) for p in host.parts for nic in _nics(p)]
    rates = [link.bandwidth_bytes_per_s for link in links]
    slowest = min(ring + rates + [line.bandwidth_bytes_per_s for line in inner])
    delays = [link.latency_s for link in links] + [line.latency_s for line in inner]
    latency = max(map(exact, delays))
    stated = host.interconnect
    if stated is not None and stated.bandwidth_bytes_per_s != slowest:
        yield f"its ring has {stated.bandwidth_bytes_per_s} bytes/s, needed {slowest}"
    if stated is not None and exact(stated.latency_s) != latency:
        yield f"its ring has a latency of {number(stated.latency_s)} s, needed {number(latency)} s"
    rest = tuple(max(1, nic - max(1, 9 * nic // 10)) for nic in _nics(host.parts[0]))
    if _nics(host) != rest:
        yield f"its network card has {list(_nics(host))} bytes/s in and out, needed {list(rest)}"


def _lines(lookup: Lookup, parts: tuple[Machine, ...]) -> list[Link | None]:
    """Return what lets activations pass from each machine to the next, and to the first again."""
    site = parts[0].site
    found: list[Link | None] = []
    for source, target in (*pairwise(p.name for p in parts), (parts[-1].name, parts[0].name)):
        ends = ((source, target), (source, site), (site, target), (site, site))
        link = next((lookup.links[pair] for pair in ends if pair in lookup.links), None)
        is_own = link is not None and lookup.over(link).trunk_bytes_per_s is None
        found.append(link if link and is_own and not lookup.forbids(link, is_end=False) else None)
    return found


def _pinned(lookup: Lookup, host: Host) -> Iterator[str]:
    """Yield devices that nobody excluded and that are not tied to all others."""
    cluster = lookup.plan.cluster
    out = {e.device for e in cluster.exclusions if e.host == host.name and e.device is not None}
    usable = set(range(len(host.devices))) - out
    pins = [set(pin.devices) for pin in cluster.group_pins if pin.host == host.name]
    if usable not in pins:
        yield f"no pin ties its devices {sorted(usable)} to one stage"


def _nics(machine: Machine) -> tuple[int, int]:
    return machine.nic_in_bytes_per_s, machine.nic_out_bytes_per_s
