"""Hosts: machines with devices, each by itself or several joined."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from typing import Annotated

from pydantic import Field

from hexplan.field_types import Exact, Positive
from hexplan.frozen_model import FrozenModel


class Interconnect(FrozenModel):
    """How the devices of one host reach each other, per device and direction."""

    bandwidth_bytes_per_s: Positive
    """Bytes per second in one direction."""
    latency_s: Exact
    """Start-up time of one message."""
    crosses_hosts: Annotated[bool, Field(exclude_if=lambda crosses: not crosses)] = False
    """Whether it is the links between hosts that work as one; groups measured in one host do not
    speak for groups over it."""


class Spot(FrozenModel):
    """An offer to rent a host for less, which may be taken away."""

    price_usd_per_h: Exact
    """What the host costs for an hour, in US dollars."""
    availability: Annotated[Exact, Field(gt=0, le=1)]
    """Share of the time for which the host is there; its speed counts by this share."""
    is_taken: bool = False
    """Whether the plan rents the host by this offer."""


class Machine(FrozenModel):
    """A machine with devices."""

    name: str
    """Unique name."""
    site: str
    """The datacentre or region where it stands."""
    devices: tuple[str, ...]
    """The device type of each device, in index order."""
    interconnect: Interconnect | None = None
    """Between its devices; nothing where there is one device."""
    nic_in_bytes_per_s: Positive
    """What all links into the host carry together."""
    nic_out_bytes_per_s: Positive
    """What all links out of the host carry together."""
    address: str | None = None
    """Where `launch` reaches it."""
    price_usd_per_h: Exact | None = None
    """What it costs for an hour, in US dollars, where known."""
    spot: Spot | None = None
    """A cheaper offer, if there is one."""

    @property
    def rent_usd_per_h(self) -> Decimal | None:
        """What the plan pays for an hour of it, where known."""
        if self.spot is not None and self.spot.is_taken:
            return self.spot.price_usd_per_h
        return self.price_usd_per_h

    @property
    def presence(self) -> Decimal:
        """Share of the time for which the plan counts on it."""
        is_spot = self.spot is not None and self.spot.is_taken
        return self.spot.availability if self.spot is not None and is_spot else Decimal(1)


class Host(Machine):
    """A machine with devices, or several joined ones, all of whose devices form one stage.

    A joined host has the name and the links of its first machine, which talks to other hosts.
    """

    parts: Annotated[tuple[Machine, ...], Field(exclude_if=lambda parts: not parts)] = ()
    """The machines that are joined, whose devices it has in this order; empty for one machine."""

    @property
    def label(self) -> str:
        """Its name, or those of the machines that are joined."""
        return " + ".join(part.name for part in self.parts) or self.name

    @property
    def machines(self) -> tuple[Host, ...]:
        """The machines that are joined, each as a host of its own, or the one that it is."""
        apart = tuple(Host(**part.model_dump(exclude_none=True)) for part in self.parts)
        return apart or (self,)

    @cached_property
    def slots(self) -> tuple[tuple[str, int], ...]:
        """The machine of each device, and the device's index there."""
        parts = self.parts or (self,)
        return tuple((part.name, index) for part in parts for index in range(len(part.devices)))
