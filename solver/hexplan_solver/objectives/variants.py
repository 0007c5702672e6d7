"""Variants of a spec whose placements have fewer hops, for the objectives `latency` and `slo`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hexplan.cluster import Exclusion, GroupPin
from hexplan.host import Host
from hexplan.spec import Spec


def variants_of(spec: Spec) -> Iterator[Spec]:
    """Yield specs with fewer hosts or wider stages.

    A heuristic: placements on fewer and faster hosts, and of whole hosts, have fewer hops, and each
    hop adds to a request's time.
    """
    yield _with_whole_hosts(spec)
    for chosen in _host_sets(spec):
        fewer = _without(spec, [h.name for h in spec.cluster.hosts if h.name not in chosen])
        yield fewer
        yield _with_whole_hosts(fewer)


def _host_sets(spec: Spec) -> Iterator[set[str]]:
    """Yield the hosts whose devices reach some memory bandwidth, then the hosts of each site."""
    cluster = spec.cluster
    speed = {d.name: d.memory_bandwidth_bytes_per_s for d in cluster.device_types}
    slowest = {host.name: min(speed[name] for name in host.devices) for host in cluster.hosts}
    for floor in sorted(set(slowest.values()))[1:]:
        yield {name for name, least in slowest.items() if least >= floor}
    sites = dict.fromkeys(host.site for host in cluster.hosts)
    if len(sites) > 1:
        for site in sites:
            yield {host.name for host in cluster.hosts if host.site == site}


def _without(spec: Spec, names: list[str]) -> Spec:
    pinned = {pin.host for pin in spec.cluster.layer_pins}
    gone = tuple(name for name in names if name not in pinned)
    exclusions = tuple(Exclusion(host=name) for name in gone)
    update = {
        "exclusions": (*spec.cluster.exclusions, *exclusions),
        "group_pins": tuple(pin for pin in spec.cluster.group_pins if pin.host not in gone),
    }
    return replace(spec, cluster=spec.cluster.model_copy(update=update))


def _with_whole_hosts(spec: Spec) -> Spec:
    """Tie all devices of each host into one stage, where no pin or exclusion concerns the host."""
    cluster = spec.cluster
    touched = {pin.host for pin in cluster.group_pins} | {e.host for e in cluster.exclusions}

    def is_whole(host: Host) -> bool:
        is_free = host.name not in touched and host.interconnect is not None
        n = len(host.devices)
        return is_free and 1 < n <= spec.model.as_held_by(n).kv_heads

    pins = tuple(
        GroupPin(host=host.name, devices=tuple(range(len(host.devices))))
        for host in cluster.hosts
        if is_whole(host)
    )
    update = {"group_pins": (*cluster.group_pins, *pins)}
    return replace(spec, cluster=cluster.model_copy(update=update))
