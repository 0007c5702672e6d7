"""What is started where: the replicas of a plan as servers, with their machines and ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from hexplan.engines import Engine, Replica
from hexplan.export.names import address, host_name
from hexplan.export.options import ExportOptions
from hexplan.export.whole import WholePlan
from hexplan.host import Host
from hexplan.plan import DeviceMemory, Plan, Stage


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a replica, on one machine."""

    name: str
    """`node0`, `node1`, ... or, of llama.cpp, `rpc0`, ... and `main`."""
    machine: Host
    devices: tuple[int, ...]
    """Indices on the machine, in the order of ranks."""
    stages: tuple[str, ...]
    """Ids of the stages that it has a hand in."""
    port: int | None
    """Where it listens: for requests, or for the main member; None if the engine chooses."""
    serves: bool
    """Whether requests go there."""

    @property
    def host(self) -> str:
        """The machine's name, fit for a file's name."""
        return host_name(self.machine.name)

    @property
    def address(self) -> str:
        """The machine's address; `CannotExpress` if there is none, or it is not fit."""
        return address(self.machine.name, self.machine.address)

    @property
    def device_types(self) -> tuple[str, ...]:
        """The type of each device."""
        return tuple(self.machine.devices[device] for device in self.devices)

    @property
    def shape(self) -> tuple[str, tuple[str, ...]]:
        """What machines must share to stand in for each other: site and types of devices."""
        return self.machine.site, self.device_types


@dataclass(frozen=True, slots=True)
class Server:
    """A replica as it is served."""

    name: str
    """`r0`, `r1`, ... in the order of the plan's routes."""
    replica: Replica
    members: tuple[Member, ...]
    """Its processes, in the order in which they are started."""
    share: Fraction
    """Of all requests."""
    weight: int
    """The share as a whole number, in proportion to the other servers'."""
    api_port: int
    master_port: int

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Its stages, in the order of layers."""
        return tuple(placed.stage for placed in self.replica.stages)

    @property
    def layers(self) -> tuple[int, ...]:
        """How many layers each stage runs."""
        return tuple(end - first for first, end in (stage.layers for stage in self.stages))

    @property
    def memory(self) -> Iterator[DeviceMemory]:
        """What is planned on each device."""
        return (found for stage in self.stages for found in stage.memory)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The platforms of its devices, each once."""
        return tuple(dict.fromkeys(rank.kind for rank in self.replica.ranks))

    @property
    def front(self) -> Member:
        """The member that answers requests."""
        return next(member for member in self.members if member.serves)


@dataclass(frozen=True, slots=True)
class Deployment:
    """All replicas of a plan on one engine."""

    whole: WholePlan
    engine: Engine
    servers: tuple[Server, ...]
    model: str
    """The model as the hosts have it."""
    options: ExportOptions

    @property
    def plan(self) -> Plan:
        """The plan of whole replicas."""
        return self.whole.plan

    @property
    def longest_tokens(self) -> int:
        """The longest request that the plan has room for: a prompt and its output."""
        workload = self.plan.workload
        longest = workload.prompt_tokens.max + workload.output_tokens.max
        return min(longest, self.plan.model.max_context)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of all machines that run something, each once."""
        return tuple(dict.fromkeys(member.host for one in self.servers for member in one.members))
