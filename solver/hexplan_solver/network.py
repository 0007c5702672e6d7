"""The flow network of a placement (docs/formulation.md 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.cluster import COORDINATOR
from hexplan.cost import link_rate, token_bytes
from hexplan.noun import Range
from hexplan.plan import ENTRY, EXIT
from hexplan.spec import Spec

OUTSIDE = -1
"""Stands for entry as a source and for exit as a target."""


@dataclass(frozen=True, slots=True, order=True)
class PlacedStage:
    """A stage on named devices of a named host; stages sort by their layers."""

    layers: Range
    host: str
    devices: tuple[int, ...]
    kind: int
    rate: int
    """Speed in 1e-6 tokens/s."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A capacity that several arcs share."""

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


@dataclass(frozen=True, slots=True)
class Network:
    """All that bounds the flow of a placement."""

    stages: tuple[PlacedStage, ...]
    arcs: tuple[Arc, ...]
    shared: tuple[Shared, ...]


def stage_name(position: int, outside: str = ENTRY) -> str:
    """Return a stage's id, or `entry` or `exit`."""
    return outside if position == OUTSIDE else f"s{position}"


def arc_name(arc: Arc) -> str:
    """Return the name of an arc's own capacity."""
    return f"link:{stage_name(arc.source)}>{stage_name(arc.target, EXIT)}"


def build_network(spec: Spec, stages: Sequence[PlacedStage]) -> Network:
    """Join every two stages that a request may use one after the other."""
    ordered = tuple(sorted(stages))
    shared = _SharedCapacities(spec)
    arcs = []
    for source, target in _pairs(ordered, spec.model.layers):
        ends = (
            COORDINATOR if source == OUTSIDE else ordered[source].host,
            COORDINATOR if target == OUTSIDE else ordered[target].host,
        )
        capacity = link_rate(spec.cluster, spec.model, *ends)
        if capacity:
            num_bytes = token_bytes(spec.model, *ends)
            arcs.append(Arc(source, target, capacity, num_bytes, shared.of(*ends)))
    return Network(ordered, tuple(arcs), tuple(shared.found))


def _pairs(stages: Sequence[PlacedStage], num_layers: int) -> list[tuple[int, int]]:
    starts = [(OUTSIDE, j) for j, stage in enumerate(stages) if stage.layers[0] == 0]
    inner = [
        (i, j)
        for i, before in enumerate(stages)
        for j, after in enumerate(stages)
        if after.layers[0] <= before.layers[1] < after.layers[1]
    ]
    ends = [(i, OUTSIDE) for i, stage in enumerate(stages) if stage.layers[1] == num_layers]
    return starts + inner + ends


class _SharedCapacities:
    """NICs and trunks, numbered as they are met."""

    def __init__(self, spec: Spec) -> None:
        self._cluster = spec.cluster
        self._index: dict[str, int] = {}
        self.found: list[Shared] = []

    def of(self, source: str, target: str) -> tuple[int, ...]:
        """Return the shared capacities on the way between two hosts."""
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
        if link is not None and link.trunk_bytes_per_s is not None:
            names.append((f"trunk:{link.source}>{link.target}", link.trunk_bytes_per_s))
        return tuple(self._number(*name) for name in names)

    def _number(self, name: str, bytes_per_s: int) -> int:
        if name not in self._index:
            self._index[name] = len(self.found)
            self.found.append(Shared(name, bytes_per_s))
        return self._index[name]
