"""The problem: kinds of stages with their rates, and how many of each the hosts can form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from hexplan.constants import MICRO
from hexplan.cost import DeviceShard, ShardSizes, Sharing
from hexplan.errors import InputError
from hexplan.field_types import Range
from hexplan.host import Host, Interconnect
from hexplan.spec import Spec
from hexplan_solver.budget import NO_BOUND
from hexplan_solver.problem.params import PROBLEM_PARAMS, ProblemParams
from hexplan_solver.problem.partitions import Group, partitions
from hexplan_solver.problem.rates import Rates, rates_of
from hexplan_solver.problem.shards import shard_sizes

Partition = tuple[tuple[int, int], ...]
"""How the devices of one host are grouped: (kind index, number of groups) pairs."""


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
    """Rate by layers."""
    pin: Range | None
    """The only layers allowed, if the user pinned the host."""

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
    """Hosts that cannot be told apart, apart from their links."""

    hosts: tuple[str, ...]
    """Names, in the spec's order."""
    partitions: tuple[Partition, ...]
    """Every partition of one host's devices that the search may use."""
    must_serve: bool
    """Whether every host of the class has to hold layers, because the user pinned it."""


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
        stage = self.kinds[kind]
        types = self.spec.cluster.device_type_by_name
        return tuple(
            DeviceShard(types[name], sizes)
            for name, sizes in zip(stage.group, stage.sizes, strict=True)
        )

    def sharing_of(self, kind: int, layers: Range) -> Sharing:
        """Return how the devices of a kind of stage share the work on these layers."""
        return self.kinds[kind].rates.sharing_of(*layers)

    def zone_of(self, kind: int, zones: Mapping[str, int]) -> int:
        """Return the zone of a kind's hosts, from the zone of each host; 0 if they have none."""
        hosts = self.classes[self.kinds[kind].host_class].hosts
        return zones.get(hosts[0], 0) if hosts else 0

    @property
    def has_trunks(self) -> bool:
        """Whether hosts share trunks, so that links cannot be judged pair by pair."""
        return self.spec.cluster.has_trunks

    @property
    def is_pinned(self) -> bool:
        """Whether some host must serve."""
        return any(host_class.must_serve for host_class in self.classes)

    def max_layers(self, partition: Partition) -> int:
        """Return the most layers that a host with this partition can hold."""
        return sum(count * self.kinds[kind].rates.max_layers for kind, count in partition)

    def only(self, hosts: Sequence[str]) -> Problem:
        """Return the problem restricted to some of the hosts."""
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
    """A host of the class; fields that may differ within the class are blank."""


_KnownRates = dict[tuple[Group, Interconnect | None, Decimal, Host | None], Rates]


def build_problem(spec: Spec, params: ProblemParams = PROBLEM_PARAMS) -> Problem:
    """Group the hosts into classes and tabulate the rate of every kind of stage."""
    members: dict[_Signature, list[str]] = {}
    known: _KnownRates = {}
    for host in spec.cluster.hosts:
        members.setdefault(_signature(spec, host), []).append(host.name)
    classes: list[HostClass] = []
    kinds: list[StageKind] = []
    for signature, hosts in members.items():
        by_group: dict[Group, int] = {}
        groupings = partitions(signature.free, signature.fixed, params.max_partitions)
        for group in dict.fromkeys(group for groups in groupings for group in groups):
            sized = _sized_group(spec, signature, group, known)
            if sized is not None:
                by_group[group] = len(kinds)
                kinds.append(StageKind(len(kinds), len(classes), group, *sized, pin=signature.pin))
        counted = (Counter(by_group[g] for g in groups if g in by_group) for groups in groupings)
        distinct = dict.fromkeys(tuple(sorted(count.items())) for count in counted if count)
        if not distinct and signature.pin is not None:
            # It must serve and cannot: it stays, so that the refusal names it.
            distinct = {(): None}
        if distinct:
            classes.append(HostClass(tuple(hosts), tuple(distinct), signature.pin is not None))
    problem = Problem(spec, tuple(classes), tuple(kinds))
    _require_sane(problem)
    return problem


def _require_sane(problem: Problem) -> None:
    """Refuse rates whose sums do not fit into 64 bits.

    Raises
    ------
    InputError
        If devices and the coordinator's network card are faster than any that exist.
    """
    fastest = max((kind.rates.fastest for kind in problem.kinds), default=0)
    num_devices = sum(len(host.devices) for host in problem.spec.cluster.hosts)
    if fastest * num_devices >= NO_BOUND:
        message = (
            f"{num_devices} devices and stages of {fastest / MICRO:.1e} tokens/s,"
            f" needed a sum below {NO_BOUND / MICRO:.1e}"
        )
        hint = "are the coordinator's `nic` and the devices' `memory_bandwidth` what you mean?"
        raise InputError(message, hint=hint)


def _signature(spec: Spec, host: Host) -> _Signature:
    cluster = spec.cluster
    fixed = [p.devices for p in cluster.group_pins if p.host == host.name]
    tied = {device for devices in fixed for device in devices}
    free = [
        name
        for index, name in enumerate(host.devices)
        if index not in tied and not cluster.is_excluded(host.name, index)
    ]
    pin = next((p.layers for p in cluster.layer_pins if p.host == host.name), None)
    # A pinned host must itself serve, so no other can take its place.
    name = host.name if pin else ""
    update: dict[str, object] = {"name": name, "address": None}
    if not spec.counts_host_memory:
        # Then it is given out once a plan is finished.
        update |= {"devices": (), "host_memory_bytes": None, "host_link_bytes_per_s": None}
    blank = host.model_copy(update=update)
    groups = sorted(tuple(sorted(host.devices[d] for d in devices)) for devices in fixed)
    return _Signature(host.site, tuple(sorted(free)), tuple(groups), pin, blank)


def _sized_group(
    spec: Spec, signature: _Signature, group: Group, known: _KnownRates
) -> tuple[tuple[ShardSizes, ...], Rates] | None:
    """Return a group's shards and rates; None if it can hold no layer."""
    devices = [spec.cluster.device_type_by_name[name] for name in group]
    sizes = shard_sizes(spec.model, devices)
    if sizes is None:
        return None
    # Hosts of many sites have the same devices, so equal groups share one table of rates.
    host = signature.host
    key = (group, host.interconnect, host.presence, host if spec.counts_host_memory else None)
    if key not in known:
        known[key] = rates_of(spec, host, tuple(map(DeviceShard, devices, sizes)))
    rates = known[key]
    return (sizes, rates) if rates.max_layers else None
