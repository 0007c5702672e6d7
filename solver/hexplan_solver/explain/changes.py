"""Changed clusters: with one more host or device, or with a link, NIC or trunk twice as fast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from hexplan.cluster import COORDINATOR, Cluster, Coordinator, Link
from hexplan.host import Host
from hexplan.plan import Plan
from hexplan.spec import Spec
from hexplan_solver.problem.problem import Problem


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """A spec whose cluster has one host or device more, or one faster link, NIC or trunk."""

    kind: Literal["host", "device", "link", "nic", "trunk"]
    words: str
    """The change, as the explanation states it."""
    spec: Spec

    @property
    def keeps_stages(self) -> bool:
        """Whether only links change, so that the plan's stages remain and can take new routes."""
        return self.kind in ("link", "nic", "trunk")


def more_of_each_kind(problem: Problem) -> Iterator[ClusterChange]:
    """Yield one more host of each class, and one more device in each class of several devices."""
    spec = problem.spec
    for host_class in problem.classes:
        whole = spec.cluster.host_by_name[host_class.hosts[0]]
        host = whole.machines[0]
        types = dict.fromkeys(host.devices)
        inside = " + ".join(f"{host.devices.count(name)} x {name}" for name in types)
        words = f"one more host like {host.name} ({inside})"
        yield ClusterChange("host", words, one_more_host(spec, host.name))
        if len(host.devices) > 1 and not whole.parts:
            for name in types:
                words = f"one more {name} in {host.name} ({inside})"
                yield ClusterChange("device", words, one_more_device(spec, host.name, name))


def one_more_host(spec: Spec, name: str) -> Spec:
    """Add a host like another, with the same links and group pins, but no pin to layers.

    If the other is a joined host, the new one is like its first machine.
    """
    cluster = spec.cluster
    host = cluster.host_by_name[name]
    twin = host.machines[0].model_copy(update={"name": _new_name(cluster, name), "address": None})
    renamed = {name: twin.name}
    links = [
        link.model_copy(
            update={
                "source": renamed.get(link.source, link.source),
                "target": renamed.get(link.target, link.target),
                "under": link.under and tuple(renamed.get(end, end) for end in link.under),
            }
        )
        for link in cluster.links
        if name in (link.source, link.target)
    ]
    links += _between(cluster, host, twin)
    pins = [pin for pin in cluster.group_pins if pin.host == name and not host.parts]
    update = {
        "hosts": (*cluster.hosts, twin),
        "links": (*cluster.links, *links),
        "group_pins": (
            *cluster.group_pins,
            *(pin.model_copy(update={"host": twin.name}) for pin in pins),
        ),
    }
    return replace(spec, cluster=cluster.model_copy(update=update))


def one_more_device(spec: Spec, name: str, device: str) -> Spec:
    """Add a device to a host, after its present devices."""
    host = spec.cluster.host_by_name[name]
    return _with_host(spec, host.model_copy(update={"devices": (*host.devices, device)}))


def faster(plan: Plan, spec: Spec) -> Iterator[ClusterChange]:
    """Yield each link rule, NIC and trunk that limits the plan's flow at twice its speed."""
    done: set[str] = set()
    for term in plan.certificate.cut:
        change = faster_one(plan, spec, term.constraint)
        if change is not None and change.words not in done:
            done.add(change.words)
            yield change


def faster_one(plan: Plan, spec: Spec, constraint: str) -> ClusterChange | None:
    """Double the speed of the link rule, NIC or trunk of a constraint; None if it is of a stage."""
    kind, _, name = constraint.partition(":")
    source, _, target = name.partition(">")
    if kind == "link":
        hosts = {stage.id: stage.host for stage in plan.stages}
        return _faster_link(spec, hosts.get(source, COORDINATOR), hosts.get(target, COORDINATOR))
    if kind == "pair":
        return _faster_link(spec, source, target)
    if kind == "trunk":
        return _faster_trunk(spec, source, target)
    return _faster_nic(spec, kind, name) if kind in ("nic-in", "nic-out") else None


def _faster_link(spec: Spec, source: str, target: str) -> ClusterChange | None:
    if source == target:
        host = spec.cluster.host_by_name[source]
        if host.interconnect is None:
            return None
        bandwidth = 2 * host.interconnect.bandwidth_bytes_per_s
        inside = host.interconnect.model_copy(update={"bandwidth_bytes_per_s": bandwidth})
        changed = _with_host(spec, host.model_copy(update={"interconnect": inside}))
        return ClusterChange("link", f"the interconnect of {source}, twice as fast", changed)
    rule = spec.cluster.link(source, target)
    if rule is None:
        return None
    twice = rule.model_copy(update={"bandwidth_bytes_per_s": 2 * rule.bandwidth_bytes_per_s})
    words = f"each link from {rule.source} to {rule.target}, twice as fast"
    return ClusterChange("link", words, _with_link(spec, rule, twice))


def _faster_trunk(spec: Spec, source: str, target: str) -> ClusterChange | None:
    for rule in spec.cluster.links:
        if (rule.source, rule.target) == (source, target) and rule.trunk_bytes_per_s:
            twice = rule.model_copy(update={"trunk_bytes_per_s": 2 * rule.trunk_bytes_per_s})
            words = f"the trunk from {source} to {target}, twice as fast"
            return ClusterChange("trunk", words, _with_link(spec, rule, twice))
    return None


def _faster_nic(spec: Spec, kind: str, name: str) -> ClusterChange:
    field = f"{kind.replace('-', '_')}_bytes_per_s"
    does = "sends" if kind == "nic-out" else "receives"
    words = f"what the NIC of {name} {does}, twice as fast"
    cluster = spec.cluster
    end: Coordinator | Host
    end = cluster.coordinator if name == COORDINATOR else cluster.host_by_name[name]
    twice = end.model_copy(update={field: 2 * getattr(end, field)})
    if isinstance(twice, Host):
        return ClusterChange("nic", words, _with_host(spec, twice))
    changed = cluster.model_copy(update={"coordinator": twice})
    return ClusterChange("nic", words, replace(spec, cluster=changed))


def _with_host(spec: Spec, host: Host) -> Spec:
    hosts = tuple(host if h.name == host.name else h for h in spec.cluster.hosts)
    return replace(spec, cluster=spec.cluster.model_copy(update={"hosts": hosts}))


def _with_link(spec: Spec, before: Link, after: Link) -> Spec:
    links = tuple(after if link == before else link for link in spec.cluster.links)
    return replace(spec, cluster=spec.cluster.model_copy(update={"links": links}))


def _new_name(cluster: Cluster, name: str) -> str:
    names = {host.name for host in cluster.hosts} | {host.site for host in cluster.hosts}
    number = 1
    while f"{name}-more-{number}" in names:
        number += 1
    return f"{name}-more-{number}"


def _between(cluster: Cluster, host: Host, twin: Host) -> Iterator[Link]:
    """Link a host and its twin like the host and a neighbour, unless a rule of the site does so."""
    neighbours = [h.name for h in cluster.hosts if h.site == host.site and h.name != host.name]
    if any((link.source, link.target) == (host.site, host.site) for link in cluster.links):
        return
    for name in neighbours[:1]:
        there, back = cluster.link(host.name, name), cluster.link(name, host.name)
        for rule, source, target in ((there, host, twin), (back, twin, host)):
            if rule is not None:
                update = {"source": source.name, "target": target.name, "trunk_bytes_per_s": None}
                yield rule.model_copy(update=update)
