"""A plan with its names resolved, and what connects two ends of an edge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from hexplan.check.text import round_down
from hexplan.cluster import COORDINATOR, Link, Profile
from hexplan.device import DeviceType
from hexplan.host import Host
from hexplan.plan import ENTRY, EXIT, Plan, Stage

TOKEN_ID_BYTES = 4
"""What one token costs between the coordinator and a stage."""

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Connection:
    """A directed way from one host (or the coordinator) to another, or within one host."""

    source: str
    """Host, or `coordinator`."""
    target: str
    """Host, or `coordinator`."""
    bandwidth_bytes_per_s: int
    """Of the link, or of the interconnect."""
    bytes_per_token: int
    """Of a token id to or from the coordinator, else of an activation."""
    trunk: Link | None
    """The rule whose trunk a token takes, if it takes one."""

    @property
    def capacity_tokens_per_s(self) -> Fraction:
        """Tokens per second, rounded down to whole 1e-6."""
        return round_down(Fraction(self.bandwidth_bytes_per_s, self.bytes_per_token))

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the link, the NICs and the trunk that a token passes here."""
        if self.source == self.target:
            return ()
        names = (self.pair, f"nic-out:{self.source}", f"nic-in:{self.target}")
        return names if self.trunk is None else (*names, trunk_name(self.trunk))

    @property
    def pair(self) -> str:
        """Name of the link between the two hosts, which all edges between them share."""
        return f"pair:{self.source}>{self.target}"


@dataclass(frozen=True, slots=True)
class Lookup:
    """A plan with its names resolved; of two things with one name, the first counts."""

    plan: Plan
    hosts: Mapping[str, Host]
    device_types: Mapping[str, DeviceType]
    stages: Mapping[str, Stage]
    links: Mapping[tuple[str, str], Link]

    @classmethod
    def of(cls, plan: Plan) -> Lookup:
        """Resolve the names of a plan."""
        cluster = plan.cluster
        return cls(
            plan=plan,
            hosts=_first((host.name, host) for host in cluster.hosts),
            device_types=_first((kind.name, kind) for kind in cluster.device_types),
            stages=_first((stage.id, stage) for stage in plan.stages),
            links=_first(((link.source, link.target), link) for link in cluster.links),
        )

    def has_device(self, host: str, device: int) -> bool:
        """Say whether a host of the cluster has a device of this index."""
        return host in self.hosts and 0 <= device < len(self.hosts[host].devices)

    def device_type(self, host: str, device: int) -> DeviceType | None:
        """Return the type of a device, or nothing where either is unknown."""
        if not self.has_device(host, device):
            return None
        return self.device_types.get(self.hosts[host].devices[device])

    def is_joined(self, stage: Stage) -> bool:
        """Say whether a stage is on a host whose devices are in several machines."""
        return stage.host in self.hosts and bool(self.hosts[stage.host].parts)

    def profiles_for(self, stage: Stage) -> tuple[Profile, ...]:
        """Return what was measured of groups like a stage: of groups in one host, as all were."""
        profiles = self.plan.cluster.profiles
        return tuple(p for p in profiles if p.tp == 1) if self.is_joined(stage) else profiles

    def is_placed(self, stage: Stage) -> bool:
        """Say whether a stage has a known host and a sensible range of layers."""
        first, end = stage.layers
        return stage.host in self.hosts and 0 <= first < end <= self.plan.model.layers

    def is_measurable(self, stage: Stage) -> bool:
        """Say whether a stage says enough to recompute its memory and speed."""
        return (
            self.is_placed(stage)
            and bool(stage.shards)
            and all(self.device_type(stage.host, shard.device) for shard in stage.shards)
            and all(
                shard.kv_heads[0] < shard.kv_heads[1]
                and shard.ffn[0] < shard.ffn[1]
                and shard.vocab[0] <= shard.vocab[1]
                for shard in stage.shards
            )
        )

    def allows(self, source: str, target: str) -> bool:
        """Say whether the layer ranges allow an edge between two known ends."""
        if source == ENTRY:
            return target != EXIT and self.stages[target].layers[0] == 0
        leave = self.stages[source].layers[1]
        if target == EXIT:
            return leave == self.plan.model.layers
        first, end = self.stages[target].layers
        return first <= leave < end

    def connection(self, source: str, target: str) -> Connection | None:
        """Return what connects two known ends of an edge, or nothing."""
        return self.way(self.host_of(source), self.host_of(target))

    def way(self, source: str, target: str) -> Connection | None:
        """Return what connects two known hosts, or a host and the coordinator, or nothing."""
        hosts = source, target
        is_end = COORDINATOR in hosts
        token = TOKEN_ID_BYTES if is_end else self.plan.model.hidden * self.plan.model.dtype_bytes
        if hosts[0] == hosts[1]:
            inner = None if is_end else self.hosts[hosts[0]].interconnect
            return Connection(*hosts, inner.bandwidth_bytes_per_s, token, None) if inner else None
        link = self.link(*hosts)
        if link is None or self.forbids(link, is_end=is_end):
            return None
        over = self.over(link)
        trunk = None if over.trunk_bytes_per_s is None else over
        return Connection(*hosts, link.bandwidth_bytes_per_s, token, trunk)

    def forbids(self, link: Link, *, is_end: bool) -> bool:
        """Say whether a rule keeps out token ids (to or from the coordinator) or activations."""
        allow = self.over(link).allow
        return allow == "none" or (allow == "tokens" and not is_end)

    def over(self, link: Link) -> Link:
        """Return the rule whose trunk and policy hold for a rule: itself unless it is under one."""
        return link if link.under is None else self.links.get(link.under, link)

    def host_of(self, end: str) -> str:
        """Return the host of a known stage, or the coordinator for `entry` and `exit`."""
        return COORDINATOR if end in (ENTRY, EXIT) else self.stages[end].host

    def link(self, source: str, target: str) -> Link | None:
        """Return the most specific rule for a pair of hosts, or nothing where there is none."""
        sites = self._site(source), self._site(target)
        for ends in ((source, target), (source, sites[1]), (sites[0], target), sites):
            if ends in self.links:
                return self.links[ends]
        return None

    def _site(self, host: str) -> str:
        coordinator = self.plan.cluster.coordinator
        return coordinator.site if host == COORDINATOR else self.hosts[host].site


def trunk_name(link: Link) -> str:
    """Return the name of a trunk's constraint."""
    return f"trunk:{link.source}>{link.target}"


def _first(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, Value]:
    found: dict[Key, Value] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found
