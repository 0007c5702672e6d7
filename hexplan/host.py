"""Hosts: machines with devices, single or joined."""

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
    """Bytes per second in one direction, as a collective of two devices reaches them [B]."""
    latency_s: Exact
    """Start-up time of one message, or of one collective of two devices [alpha]."""
    device_latency_s: Annotated[Exact, Field(exclude_if=lambda seconds: not seconds)] = Decimal(0)
    """What each device beyond the second adds to the start-up of a collective [alpha_d]."""
    exchange_latency_s: Annotated[
        Exact | None, Field(exclude_if=lambda seconds: seconds is None)
    ] = None
    """Start-up time of an all-to-all or an all-gather of two devices, if it was measured; null for
    twice that of a collective."""
    contention: Annotated[Exact, Field(exclude_if=lambda share: not share)] = Decimal(0)
    """How much longer each byte takes for each device beyond the second, as a share [gamma]."""
    error: Annotated[Exact, Field(lt=1, exclude_if=lambda error: not error)] = Decimal(0)
    """How far the times of groups over it may be off, as a share of them; 0 if that of its devices
    is no smaller."""
    crosses_hosts: Annotated[bool, Field(exclude_if=lambda crosses: not crosses)] = False
    """Whether it consists of the links between joined hosts; profiles of groups in one host do not
    apply to groups over it."""


class Spot(FrozenModel):
    """An offer to rent a host at a lower price, which may be withdrawn."""

    price_usd_per_h: Exact
    """What the host costs per hour, in US dollars."""
    availability: Annotated[Exact, Field(gt=0, le=1)]
    """Share of the time in which the host is available; its speed is multiplied by it."""
    is_taken: bool = False
    """Whether the plan takes this offer."""


class Machine(FrozenModel):
    """A machine with devices."""

    name: str
    """Unique name."""
    site: str
    """The datacentre or region that it is in."""
    devices: tuple[str, ...]
    """The device type of each device, in index order."""
    interconnect: Interconnect | None = None
    """What joins its devices; null if there is only one."""
    nic_in_bytes_per_s: Positive
    """What all links into the host can carry together."""
    nic_out_bytes_per_s: Positive
    """What all links out of the host can carry together."""
    address: str | None = None
    """The address at which `launch` reaches it."""
    price_usd_per_h: Exact | None = None
    """What it costs per hour, in US dollars, if known."""
    spot: Spot | None = None
    """A cheaper offer, if there is one."""
    host_memory_bytes: Annotated[Positive | None, Field(exclude_if=lambda size: size is None)] = (
        None
    )
    """What it has for keys and values; None for what `techniques` states of every host."""
    host_link_bytes_per_s: Annotated[
        Positive | None, Field(exclude_if=lambda rate: rate is None)
    ] = None
    """What its link from host memory carries to each device; None for that of `techniques`."""

    @property
    def rent_usd_per_h(self) -> Decimal | None:
        """What the plan pays for it per hour, if known."""
        if self.spot is not None and self.spot.is_taken:
            return self.spot.price_usd_per_h
        return self.price_usd_per_h

    @property
    def presence(self) -> Decimal:
        """Share of the time in which the plan counts on it."""
        is_spot = self.spot is not None and self.spot.is_taken
        return self.spot.availability if self.spot is not None and is_spot else Decimal(1)


class Host(Machine):
    """A machine with devices, or several joined machines whose devices all form one stage.

    A joined host has the name and the links of its first machine, which talks to other hosts.
    """

    parts: Annotated[tuple[Machine, ...], Field(exclude_if=lambda parts: not parts)] = ()
    """The machines that are joined, in the order of their devices; empty for a single machine."""

    @property
    def label(self) -> str:
        """Its name, or the names of its joined machines."""
        return " + ".join(part.name for part in self.parts) or self.name

    @property
    def machines(self) -> tuple[Host, ...]:
        """Its joined machines, each as a host of its own, or the host itself."""
        separate = tuple(Host(**part.model_dump(exclude_none=True)) for part in self.parts)
        return separate or (self,)

    @cached_property
    def slots(self) -> tuple[tuple[str, int], ...]:
        """The machine of each device, and the device's index there."""
        parts = self.parts or (self,)
        return tuple((part.name, index) for part in parts for index in range(len(part.devices)))
