"""The problem: kinds of stages with their speeds, and how many of each the hosts can form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.cluster import Cluster
from hexplan.constants import MICRO
from hexplan.cost import DeviceShard, ShardSizes, Sharing
from hexplan.errors import InputError
from hexplan.field_types import Range
from hexplan.host import Host, Interconnect
from hexplan.spec import Spec
from hexplan_solver.problem.partitions import Group, partitions
from hexplan_solver.problem.rates import Rates, rates_of
from hexplan_solver.problem.shards import shard_sizes

TOO_FAST = 2**62
"""Sums of speeds are below this, in 1e-6 tokens/s."""


@dataclass(frozen=True, slots=True)
class StageKind:
    """Stages that cannot be told apart: the same devices of interchangeable hosts."""

    index: int
    """Position in `Problem.kinds`."""
    host_class: int
    """Position in `Problem.classes`."""
    group: Group
    """Device types."""
    sizes: tuple[ShardSizes, ...]
    """Shard of each device."""
    rates: Rates
    """Speed by layers."""
    pin: Range | None
    """The only layers allowed, where the user tied them."""

    def ranges(self) -> list[Range]:
        """List every range of layers that such a stage can hold."""
        total = self.rates.num_layers
        if self.pin is not None:
            return [self.pin] if self.rates.of(*self.pin) else []
        return [
            (first, first + k)
            for k in range(1, self.rates.max_layers + 1)
            for first in range(total - k + 1)
            if self.rates.of(first, first + k)
        ]


@dataclass(frozen=True, slots=True)
class HostClass:
    """Hosts that cannot be told apart, links aside."""

    hosts: tuple[str, ...]
    """Names, in the spec's order."""
    partitions: tuple[tuple[tuple[int, int], ...], ...]
    """Ways to group one host's devices: (kind index, count) pairs."""
    must_serve: bool
    """Whether every host of the class has to hold layers."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What the search works on."""

    spec: Spec
    classes: tuple[HostClass, ...]
    kinds: tuple[StageKind, ...]

    @property
    def num_layers(self) -> int:
        """Layers of the model."""
        return self.spec.model.layers

    def group_of(self, kind: int) -> tuple[DeviceShard, ...]:
        """Return each device of a kind of stage, with its shard."""
        found = self.kinds[kind]
        types = self.spec.cluster.device_type_by_name
        pairs = zip(found.group, found.sizes, strict=True)
        return tuple(DeviceShard(types[name], sizes) for name, sizes in pairs)

    def sharing_of(self, kind: int, layers: Range) -> Sharing:
        """Return how the devices of a kind of stage share the work on these layers."""
        return self.kinds[kind].rates.sharing_of(*layers)

    def zone_of(self, kind: int, zones: Mapping[str, int]) -> int:
        """Return the zone of a kind's hosts, by the zone of each host; 0 where it has none."""
        hosts = self.classes[self.kinds[kind].host_class].hosts
        return zones.get(hosts[0], 0) if hosts else 0

    @property
    def is_pinned(self) -> bool:
        """Whether some host must serve."""
        return any(host_class.must_serve for host_class in self.classes)

    def room(self, way: tuple[tuple[int, int], ...]) -> int:
        """Return the most layers that a host partitioned in this way can hold."""
        return sum(count * self.kinds[kind].rates.max_layers for kind, count in way)

    def only(self, hosts: Sequence[str]) -> Problem:
        """Return the problem on some of the hosts alone."""
        kept = set(hosts)
        classes = tuple(
            HostClass(tuple(h for h in c.hosts if h in kept), c.partitions, c.must_serve)
            for c in self.classes
        )
        return Problem(self.spec, classes, self.kinds)


@dataclass(frozen=True, slots=True)
class _Signature:
    """What makes two hosts interchangeable."""

    site: str
    free: Group
    fixed: tuple[Group, ...]
    pin: Range | None
    host: Host
    """A host of the class, what may differ blanked."""


_KnownRates = dict[tuple[Group, Interconnect | None, Decimal], Rates]


def build_problem(spec: Spec) -> Problem:
    """Group the hosts into classes and tabulate the speed of every kind of stage."""
    members: dict[_Signature, list[str]] = {}
    known: _KnownRates = {}
    for host in spec.cluster.hosts:
        members.setdefault(_signature(spec.cluster, host), []).append(host.name)
    classes: list[HostClass] = []
    kinds: list[StageKind] = []
    for signature, hosts in members.items():
        by_group: dict[Group, int] = {}
        ways = partitions(signature.free, signature.fixed)
        for group in dict.fromkeys(group for way in ways for group in way):
            kind = _kind(spec, signature, group, (len(kinds), len(classes)), known)
            if kind is not None:
                by_group[group] = kind.index
                kinds.append(kind)
        counted = (Counter(by_group[g] for g in way if g in by_group) for way in ways)
        distinct = dict.fromkeys(tuple(sorted(count.items())) for count in counted if count)
        if not distinct and signature.pin is not None:
            distinct = {(): None}  # it must serve and cannot: it stays, to be refused
        if distinct:
            classes.append(HostClass(tuple(hosts), tuple(distinct), signature.pin is not None))
    problem = Problem(spec, tuple(classes), tuple(kinds))
    _require_sane(problem)
    return problem


def _require_sane(problem: Problem) -> None:
    """Refuse speeds whose sums would not be exact.

    Raises
    ------
    InputError
        If devices and the coordinator's card are faster than any there are.
    """
    fastest = max((kind.rates.fastest for kind in problem.kinds), default=0)
    num_devices = sum(len(host.devices) for host in problem.spec.cluster.hosts)
    if fastest * num_devices >= TOO_FAST:
        message = (
            f"{num_devices} devices and stages of {fastest / MICRO:.1e} tokens/s,"
            f" needed a sum below {TOO_FAST / MICRO:.1e}"
        )
        hint = "are the coordinator's `nic` and the devices' `memory_bandwidth` what you mean?"
        raise InputError(message, hint=hint)


def _signature(cluster: Cluster, host: Host) -> _Signature:
    fixed = [p.devices for p in cluster.group_pins if p.host == host.name]
    tied = {device for devices in fixed for device in devices}
    free = [
        name
        for index, name in enumerate(host.devices)
        if index not in tied and not cluster.is_excluded(host.name, index)
    ]
    pin = next((p.layers for p in cluster.layer_pins if p.host == host.name), None)
    # A pinned host must serve by itself, so it is interchangeable with none.
    name = host.name if pin else ""
    blank = host.model_copy(update={"name": name, "address": None, "devices": ()})
    groups = sorted(tuple(sorted(host.devices[d] for d in devices)) for devices in fixed)
    return _Signature(host.site, tuple(sorted(free)), tuple(groups), pin, blank)


def _kind(
    spec: Spec,
    signature: _Signature,
    group: Group,
    place: tuple[int, int],
    known: _KnownRates,
) -> StageKind | None:
    devices = [spec.cluster.device_type_by_name[name] for name in group]
    sizes = shard_sizes(spec.model, devices)
    if sizes is None:
        return None
    # Hosts of many sites have the same devices: what decides a speed is looked up once.
    host = signature.host
    key = (group, host.interconnect, host.presence)
    if key not in known:
        known[key] = rates_of(spec, host, tuple(map(DeviceShard, devices, sizes)))
    rates = known[key]
    if rates.max_layers == 0:
        return None
    return StageKind(*place, group, sizes, rates, signature.pin)
