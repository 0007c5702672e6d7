"""A plan with its names resolved, and what connects two ends of an edge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import TypeVar

from hexplan.check.exact import round_down
from hexplan.cluster import COORDINATOR, Link, Profile
from hexplan.constants import COMPRESSED_BLOCK, COMPRESSED_SCALE_BYTES, TOKEN_ID_BYTES
from hexplan.device import DeviceType
from hexplan.engines import ENGINES
from hexplan.field_types import Compression
from hexplan.host import Host
from hexplan.model import Model
from hexplan.plan import ENTRY, EXIT, Plan, Stage

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Connection:
    """What carries tokens from one host (or the coordinator) to another, or within one host."""

    source: str
    """Host, or `coordinator`."""
    target: str
    """Host, or `coordinator`."""
    bandwidth_bytes_per_s: int
    """Bandwidth of the link, or of the interconnect."""
    bytes_per_token: int
    """Bytes of a token id to or from the coordinator, else of an activation."""
    trunk: Link | None
    """The link rule whose trunk a token passes, if any."""

    @property
    def capacity_tokens_per_s(self) -> Fraction:
        """Tokens per second, rounded down to a multiple of 1e-6."""
        return round_down(Fraction(self.bandwidth_bytes_per_s, self.bytes_per_token))

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the link, NICs and trunk that a token passes on this connection."""
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
    """A plan with its names resolved; of two things with the same name, the first counts."""

    plan: Plan
    hosts: Mapping[str, Host]
    device_types: Mapping[str, DeviceType]
    stages: Mapping[str, Stage]
    links: Mapping[tuple[str, str], Link]
    chained: frozenset[tuple[str, str]] | None = None
    """The steps of all routes, if the engine runs whole replicas alone; else None."""
    counts_host_memory: bool = False
    """Whether a stage needs host memory for the longest request.

    The bound is then that of plans in which stages may, and whose requests enter them at their
    first layers.
    """

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
            chained=_chained(plan) if ENGINES[cluster.limits.engine].whole_replicas else None,
            counts_host_memory=any(_needs_host_memory(plan, stage) for stage in plan.stages),
        )

    def needs_host_memory(self, stage: Stage) -> bool:
        """Say whether a stage has room for the longest request in host memory alone."""
        return _needs_host_memory(self.plan, stage)

    @property
    def needed_tokens_per_s(self) -> Fraction | None:
        """The flow that carries the workload's request rate, if it states one."""
        asked = self.plan.workload.request_rate_per_s
        if asked is None:
            return None
        # `repr` gives the decimal that the user wrote, not the binary number nearest to it.
        return Fraction(Decimal(repr(asked))) * self.plan.workload.mean_tokens

    def has_device(self, host: str, device: int) -> bool:
        """Say whether a host of the cluster has a device of this index."""
        return host in self.hosts and 0 <= device < len(self.hosts[host].devices)

    def device_type(self, host: str, device: int) -> DeviceType | None:
        """Return the type of a device, or None if the device or its type is unknown."""
        if not self.has_device(host, device):
            return None
        return self.device_types.get(self.hosts[host].devices[device])

    def model_of(self, stage: Stage) -> Model:
        """Return the model as the devices of a stage hold it, with copies of KV heads."""
        return self.plan.model.as_held_by(stage.tp)

    def is_joined(self, stage: Stage) -> bool:
        """Say whether a stage is on a joined host."""
        return stage.host in self.hosts and bool(self.hosts[stage.host].parts)

    def profiles_for(self, stage: Stage) -> tuple[Profile, ...]:
        """Return the profiles that apply to a stage.

        Groups of several devices were measured in one host, and tell nothing about joined hosts.
        """
        profiles = self.plan.cluster.profiles
        return tuple(p for p in profiles if p.tp == 1) if self.is_joined(stage) else profiles

    def is_placed(self, stage: Stage) -> bool:
        """Say whether a stage has a known host and a valid range of layers."""
        first, end = stage.layers
        return stage.host in self.hosts and 0 <= first < end <= self.plan.model.layers

    def is_measurable(self, stage: Stage) -> bool:
        """Say whether a stage is complete enough to recompute its memory and speed."""
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

    def joins(self, source: str, target: str) -> bool:
        """Say whether the engine lets requests go from one end to another: within a replica."""
        return self.chained is None or (source, target) in self.chained

    def allows(self, source: str, target: str) -> bool:
        """Say whether the layer ranges and the engine allow an edge between two known ends."""
        if not self.joins(source, target):
            return False
        if source == ENTRY:
            return target != EXIT and self.stages[target].layers[0] == 0
        leave = self.stages[source].layers[1]
        if target == EXIT:
            return leave == self.plan.model.layers
        first, end = self.stages[target].layers
        return leave == first if self.counts_host_memory else first <= leave < end

    def connection(self, source: str, target: str) -> Connection | None:
        """Return what connects two known ends of an edge, or None."""
        return self.connection_of_hosts(self.host_of(source), self.host_of(target))

    def connection_of_hosts(self, source: str, target: str) -> Connection | None:
        """Return what connects two known hosts, or a host and the coordinator, or None."""
        is_end = COORDINATOR in (source, target)
        token = TOKEN_ID_BYTES if is_end else self.activation_bytes("none")
        if source == target:
            inner = None if is_end else self.hosts[source].interconnect
            if inner is None:
                return None
            return Connection(source, target, inner.bandwidth_bytes_per_s, token, None)
        link = self.link(source, target)
        if link is None or self.forbids(link, is_end=is_end):
            return None
        token = token if is_end else self.activation_bytes(link.compress)
        over = self.over(link)
        trunk = None if over.trunk_bytes_per_s is None else over
        return Connection(source, target, link.bandwidth_bytes_per_s, token, trunk)

    def activation_bytes(self, compress: Compression) -> int:
        """Return the bytes of an activation: whole, or a byte a number and a scale a block."""
        hidden = self.plan.model.hidden
        if compress == "none":
            return hidden * self.plan.model.dtype_bytes
        return hidden + COMPRESSED_SCALE_BYTES * ceil(Fraction(hidden, COMPRESSED_BLOCK))

    @property
    def fewest_bytes(self) -> int:
        """Bytes of an activation on the links that make it smallest."""
        every: set[Compression] = {"none", *(link.compress for link in self.plan.cluster.links)}
        return min(self.activation_bytes(how) for how in every)

    def forbids(self, link: Link, *, is_end: bool) -> bool:
        """Say whether a rule keeps out what would pass: token ids at the ends, else activations."""
        allow = self.over(link).allow
        return allow == "none" or (allow == "tokens" and not is_end)

    def over(self, link: Link) -> Link:
        """Return the rule whose trunk and policy apply: the one that a rule is under, or itself."""
        return link if link.under is None else self.links.get(link.under, link)

    def host_of(self, end: str) -> str:
        """Return the host of a known stage, or the coordinator for `entry` and `exit`."""
        return COORDINATOR if end in (ENTRY, EXIT) else self.stages[end].host

    def link(self, source: str, target: str) -> Link | None:
        """Return the most specific rule for a pair of hosts, or None if there is none."""
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


def _needs_host_memory(plan: Plan, stage: Stage) -> bool:
    return stage.kv_offload is not None and stage.kv_tokens < plan.workload.max_tokens


def _chained(plan: Plan) -> frozenset[tuple[str, str]]:
    """Return the steps of all routes, from entry to exit."""
    chains = ((ENTRY, *(hop.stage for hop in route.hops), EXIT) for route in plan.routes)
    return frozenset(step for chain in chains for step in pairwise(chain))


def _first(pairs: Iterable[tuple[Key, Value]]) -> dict[Key, Value]:
    first: dict[Key, Value] = {}
    for key, value in pairs:
        first.setdefault(key, value)
    return first
