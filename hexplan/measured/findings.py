"""What a probe found on the hosts and between them; it can be written as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.frozen_model import FrozenModel

Bytes = Annotated[int, Field(ge=0)]
Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Accelerator(FrozenModel):
    """One device that torch can use."""

    name: str
    """What its driver calls it."""
    kind: Literal["cuda", "rocm"]
    """The torch backend that uses it."""
    memory_bytes: Bytes
    """The memory that the driver reports."""
    free_bytes: Bytes
    """How much of it is free."""


class Inventory(FrozenModel):
    """One host, as its agent sees it."""

    processor: str
    """The name that the processor gives itself."""
    cores: Annotated[int, Field(gt=0)]
    """Cores that a process may use."""
    memory_bytes: Bytes
    """Main memory."""
    free_bytes: Bytes
    """Main memory that a new process could use."""
    accelerators: tuple[Accelerator, ...]
    """Devices, in torch's order."""
    python: str
    """Version of Python."""
    torch: str
    """Version of torch."""
    hexplan: str
    """Version of hexplan."""


class HostFinding(FrozenModel):
    """One host."""

    host: str
    """Its name."""
    machine: Inventory | None = None
    """What was found there, if the host was reached."""
    problem: str | None = None
    """Why it was not reached, or what went wrong later."""


class LinkFinding(FrozenModel):
    """One direction between two hosts."""

    source: str
    """A host, or `coordinator`."""
    target: str
    """A host, or `coordinator`."""
    latency_s: Time | None = None
    """Half the median round trip of a tiny message."""
    latency_spread: Time | None = None
    """The range of the middle half of the round trips, as a share of their median."""
    bandwidth_bytes_per_s: Annotated[int, Field(gt=0)] | None = None
    """The bandwidth of a large message, the best of a few."""
    problem: str | None = None
    """Why it was not measured, or None."""


class Findings(FrozenModel):
    """All that a probe found."""

    is_one_machine: bool
    """Whether this machine played all hosts, connected by its loopback interface."""
    hosts: tuple[HostFinding, ...]
    """The hosts in the spec's order, without the coordinator, which is this machine."""
    links: tuple[LinkFinding, ...]
    """The links that were tried, in this order."""
    num_links: int
    """How many links there are in all."""
    torch: str
    """Version of torch on this machine."""
    hexplan: str
    """Version of hexplan on this machine."""

    @property
    def num_measured(self) -> int:
        """How many links have figures."""
        return sum(link.problem is None for link in self.links)

    @property
    def is_complete(self) -> bool:
        """Whether every link was tried."""
        return len(self.links) == self.num_links
