"""A replica: the chain of stages of one route, as an engine would run it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hexplan.device import DeviceType
from hexplan.host import Host
from hexplan.plan import Plan, Stage


@dataclass(frozen=True, slots=True)
class Rank:
    """A device of a replica on its machine."""

    machine: str
    """Name of the host, or of the machine of a joined host."""
    device: int
    """Index on that machine."""
    kind: str
    """The platform that drives it, such as `cuda`; empty if its type is unknown."""


@dataclass(frozen=True, slots=True)
class PlacedRanks:
    """A stage with the device of each of its ranks."""

    stage: Stage
    ranks: tuple[Rank, ...]
    """In the order of its shards; those of unknown devices are left out."""


@dataclass(frozen=True, slots=True)
class Replica:
    """The stages of one route, in the order of their layers."""

    where: str
    """Which route it is, such as `route 0`."""
    stages: tuple[PlacedRanks, ...]

    @property
    def ranks(self) -> tuple[Rank, ...]:
        """All ranks, stage after stage: tensor parallelism is innermost."""
        return tuple(rank for placed in self.stages for rank in placed.ranks)

    @property
    def machines(self) -> tuple[str, ...]:
        """Names of its machines, in the order in which its ranks come to them."""
        return tuple(dict.fromkeys(rank.machine for rank in self.ranks))

    @property
    def ranks_by_machine(self) -> Counter[str]:
        """How many ranks each machine carries."""
        return Counter(rank.machine for rank in self.ranks)


def replicas_of(plan: Plan) -> tuple[Replica, ...]:
    """Return the chain of each route; hops of unknown stages are left out.

    They are replicas in an engine's sense only if no two of them share a stage.
    """
    cluster = plan.cluster
    hosts = {host.name: host for host in reversed(cluster.hosts)}
    types = {kind.name: kind for kind in reversed(cluster.device_types)}
    stages = {
        stage.id: PlacedRanks(stage, _ranks(stage, hosts.get(stage.host), types))
        for stage in reversed(plan.stages)
    }
    return tuple(
        Replica(
            f"route {index}",
            tuple(stages[hop.stage] for hop in route.hops if hop.stage in stages),
        )
        for index, route in enumerate(plan.routes)
    )


def _ranks(stage: Stage, host: Host | None, types: dict[str, DeviceType]) -> tuple[Rank, ...]:
    if host is None:
        return ()
    return tuple(
        Rank(*host.slots[device], _platform(types.get(host.devices[device])))
        for device in stage.devices
        if 0 <= device < len(host.slots)
    )


def _platform(device: DeviceType | None) -> str:
    return device.kind if device is not None else ""
