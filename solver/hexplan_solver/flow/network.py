"""The flow network of a placement (docs/formulation.md 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hexplan.cluster import COORDINATOR
from hexplan.cost import link_rate, token_bytes
from hexplan.engines import ENGINES
from hexplan.plan import ENTRY, EXIT
from hexplan.spec import Spec
from hexplan_solver.placement.placement import PlacedStage

OUTSIDE = -1
"""The position that stands for entry as a source, and for exit as a target."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A capacity that several arcs share: a NIC, a trunk, or a link between two hosts."""

    name: str
    bytes_per_s: int


@dataclass(frozen=True, slots=True)
class Arc:
    """A possible edge between two stages, given by position."""

    source: int
    target: int
    capacity: int
    """In 1e-6 tokens/s."""
    token_bytes: int
    shared: tuple[int, ...]
    """Positions in `Network.shared`."""


@dataclass(frozen=True)
class Network:
    """All that bounds the flow of a placement; arcs are made when they are asked for."""

    spec: Spec
    stages: tuple[PlacedStage, ...]

    @cached_property
    def arcs(self) -> tuple[Arc, ...]:
        """Every arc: from entry, between stages, to exit."""
        pairs = _chained if self.is_of_replicas else _pairs
        found = (
            self.arc(*ends)
            for ends in pairs(self.stages, self.spec.model.layers)
            if self.enters_well(*ends)
        )
        return tuple(arc for arc in found if arc is not None)

    def arc(self, source: int, target: int) -> Arc | None:
        """Return the arc between two ends whose layers meet, or None if no link joins them."""
        link = self._links.between(
            COORDINATOR if source == OUTSIDE else self.stages[source].host,
            COORDINATOR if target == OUTSIDE else self.stages[target].host,
        )
        if link is None:
            return None
        return Arc(source, target, link.capacity, link.token_bytes, link.shared)

    def enters_well(self, source: int, target: int) -> bool:
        """Say whether an arc enters its target where requests may: not inside, with host memory.

        Nothing there would foresee what the layers need of it.
        """
        if OUTSIDE in (source, target) or not self.spec.counts_host_memory:
            return True
        return self.stages[source].layers[1] == self.stages[target].layers[0]

    @property
    def is_of_replicas(self) -> bool:
        """Whether requests stay within a replica, as the engine runs whole replicas alone."""
        return ENGINES[self.spec.cluster.limits.engine].whole_replicas

    @property
    def shared(self) -> tuple[Shared, ...]:
        """The capacities that the arcs asked for so far share."""
        return tuple(self._links.shared.found)

    def shared_limit(self, index: int) -> int:
        """Return the bytes per second of a shared capacity that some arc named."""
        return self._links.shared.found[index].bytes_per_s

    @cached_property
    def _links(self) -> _HostLinks:
        return _HostLinks(self.spec)


def stage_name(position: int, outside: str = ENTRY) -> str:
    """Return a stage's id, or `entry` or `exit`."""
    return outside if position == OUTSIDE else f"s{position}"


def arc_name(arc: Arc) -> str:
    """Return the name of an arc's own capacity."""
    return f"link:{stage_name(arc.source)}>{stage_name(arc.target, EXIT)}"


def build_network(spec: Spec, stages: Sequence[PlacedStage]) -> Network:
    """Join every two stages that a request may use one after the other."""
    return Network(spec, tuple(sorted(stages)))


def _pairs(stages: Sequence[PlacedStage], num_layers: int) -> Iterator[tuple[int, int]]:
    """Yield the ends of arcs: from entry, then by source and target, then to exit."""
    holders: list[list[int]] = [[] for _ in range(num_layers)]
    for j, stage in enumerate(stages):
        for layer in range(*stage.layers):
            holders[layer].append(j)
    yield from ((OUTSIDE, j) for j in holders[0])
    for i, stage in enumerate(stages):
        if stage.layers[1] < num_layers:
            yield from ((i, j) for j in holders[stage.layers[1]])
    yield from ((i, OUTSIDE) for i, s in enumerate(stages) if s.layers[1] == num_layers)


def _chained(stages: Sequence[PlacedStage], num_layers: int) -> Iterator[tuple[int, int]]:
    """Yield the ends of arcs within replicas, in the same order."""
    after = {(stage.replica, stage.layers[0]): i for i, stage in enumerate(stages)}
    yield from ((OUTSIDE, i) for i, stage in enumerate(stages) if stage.layers[0] == 0)
    for i, stage in enumerate(stages):
        j = after.get((stage.replica, stage.layers[1]))
        if j is not None:
            yield i, j
    yield from ((i, OUTSIDE) for i, s in enumerate(stages) if s.layers[1] == num_layers)


@dataclass(frozen=True, slots=True)
class _HostLink:
    """What an arc between two hosts may carry, whatever the stages."""

    capacity: int
    """In 1e-6 tokens/s."""
    token_bytes: int
    shared: tuple[int, ...]
    """Positions in `Network.shared`."""


class _HostLinks:
    """The links between hosts, each looked up once."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.shared = SharedCapacities(spec)
        self._known: dict[tuple[str, str], _HostLink | None] = {}

    def between(self, source: str, target: str) -> _HostLink | None:
        """Return what joins two hosts, or None if no link does."""
        hosts = source, target
        if hosts not in self._known:
            self._known[hosts] = self._look_up(source, target)
        return self._known[hosts]

    def _look_up(self, source: str, target: str) -> _HostLink | None:
        capacity = link_rate(self._spec.cluster, self._spec.model, source, target)
        if not capacity:
            return None
        num_bytes = token_bytes(self._spec.cluster, self._spec.model, source, target)
        return _HostLink(capacity, num_bytes, self.shared.of(source, target))


class SharedCapacities:
    """NICs, trunks, and links that several arcs use, numbered in the order of their first use."""

    def __init__(self, spec: Spec) -> None:
        self._cluster = spec.cluster
        self._index: dict[str, int] = {}
        self.found: list[Shared] = []

    def of(self, source: str, target: str) -> tuple[int, ...]:
        """Return the shared capacities between two hosts.

        The link itself is one of them if several arcs may use it and no other is narrower.
        """
        if source == target:
            return ()
        cluster = self._cluster
        out_end = cluster.coordinator if source == COORDINATOR else cluster.host_by_name[source]
        in_end = cluster.coordinator if target == COORDINATOR else cluster.host_by_name[target]
        names = [
            (f"nic-out:{source}", out_end.nic_out_bytes_per_s),
            (f"nic-in:{target}", in_end.nic_in_bytes_per_s),
        ]
        link = cluster.link(source, target)
        over = link and cluster.over(link)
        if over is not None and over.trunk_bytes_per_s is not None:
            names.append((f"trunk:{over.source}>{over.target}", over.trunk_bytes_per_s))
        may_be_several = max(self._most_stages(source), self._most_stages(target)) > 1
        narrowest = min(bytes_per_s for _, bytes_per_s in names)
        if link is not None and may_be_several and link.bandwidth_bytes_per_s < narrowest:
            names.append((f"pair:{source}>{target}", link.bandwidth_bytes_per_s))
        return tuple(self._number(*name) for name in names)

    def _most_stages(self, host: str) -> int:
        """Return how many stages a host can have; the coordinator is one."""
        found = self._cluster.host_by_name.get(host)
        return 1 if found is None or found.parts else len(found.devices)

    def _number(self, name: str, bytes_per_s: int) -> int:
        if name not in self._index:
            self._index[name] = len(self.found)
            self.found.append(Shared(name, bytes_per_s))
        return self._index[name]
