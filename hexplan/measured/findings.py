"""What a probe found on the hosts and between them, as nouns that stand in a JSON file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hexplan.frozen_model import FrozenModel

Bytes = Annotated[int, Field(ge=0)]
Time = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Accelerator(FrozenModel):
    """One device that torch drives."""

    name: str
    """What its driver calls it."""
    kind: Literal["cuda", "rocm"]
    """Which torch backend drives it."""
    memory_bytes: Bytes
    """Memory that the driver reports."""
    free_bytes: Bytes
    """What is free of it."""


class Inventory(FrozenModel):
    """What one host is, as its agent sees it."""

    processor: str
    """The processor's own name."""
    cores: Annotated[int, Field(gt=0)]
    """Cores that a process may use."""
    memory_bytes: Bytes
    """Main memory."""
    free_bytes: Bytes
    """Main memory that a new process could have."""
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
    """What it is, where it was reached."""
    problem: str | None = None
    """Why it was not, or what went wrong later."""


class LinkFinding(FrozenModel):
    """One way between two hosts."""

    source: str
    """A host, or `coordinator`."""
    target: str
    """A host, or `coordinator`."""
    latency_s: Time | None = None
    """Half the median round trip of a tiny message."""
    latency_spread: Time | None = None
    """The range of the middle half of the round trips, as a share of their median."""
    bandwidth_bytes_per_s: Annotated[int, Field(gt=0)] | None = None
    """What a large message makes, the best of a few."""
    problem: str | None = None
    """Why it was not measured, if it was not."""


class Findings(FrozenModel):
    """All that a probe found."""

    is_one_machine: bool
    """Whether this machine played all hosts, over its loopback interface."""
    hosts: tuple[HostFinding, ...]
    """The hosts, in the spec's order; the coordinator is this machine, and not among them."""
    links: tuple[LinkFinding, ...]
    """What was tried, in the order of trying."""
    num_links: int
    """How many there were to try."""
    torch: str
    """Version of torch on this machine."""
    hexplan: str
    """Version of hexplan on this machine."""

    @property
    def num_measured(self) -> int:
        """Number of links with figures."""
        return sum(link.problem is None for link in self.links)

    @property
    def is_complete(self) -> bool:
        """Whether every link was tried."""
        return len(self.links) == self.num_links
