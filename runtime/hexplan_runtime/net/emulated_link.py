"""Emulated links: sums of a stage's ranks that take as long as over a slower link, for trials.

Whoever waits for the link computes nothing meanwhile, and takes no processor time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from torch import Tensor

from hexplan.errors import InputError
from hexplan.host import Interconnect
from hexplan.units import QuantityError, parse_bandwidth, parse_seconds
from hexplan.wording import found
from hexplan_runtime.net.transport import TeamGroup, Underway

EMULATED_LINK: Final = "HEXPLAN_EMULATED_LINK"
"""The variable that slows the sums of a stage's ranks down, such as `50MB/s,500us`: for trials."""


@dataclass(frozen=True, slots=True)
class Wire:
    """An emulated link."""

    bandwidth_bytes_per_s: int
    latency_s: Decimal

    @property
    def interconnect(self) -> Interconnect:
        """What the planner knows of it."""
        return Interconnect(
            bandwidth_bytes_per_s=self.bandwidth_bytes_per_s, latency_s=self.latency_s
        )

    def delay_s(self, num_bytes: int) -> float:
        """Return how long a collective takes in which each rank sends so many bytes."""
        return float(self.latency_s) + num_bytes / self.bandwidth_bytes_per_s

    def __str__(self) -> str:
        return f"{self.bandwidth_bytes_per_s / 1e6:,.0f} MB/s, {self.latency_s * 10**6:.0f} us"


class EmulatedGroup:
    """A group whose collectives last until they would be over on an emulated link.

    What the group itself takes is part of that time, unless it takes longer.
    """

    def __init__(self, group: TeamGroup, wire: Wire) -> None:
        self._group, self._wire = group, wire
        self.size = group.size
        """Number of ranks."""

    @property
    def sent_bytes(self) -> int:
        """Bytes that this rank has sent to others."""
        return self._group.sent_bytes

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over all ranks."""
        ring_bytes = 2 * (self.size - 1) * x.nbytes // self.size
        with self._lasting(ring_bytes):
            return self._group.sum(x)

    def exchange(self, sends: Sequence[Tensor], receives: Sequence[Tensor]) -> None:
        """Send each rank its tensor, and fill those that come from each rank."""
        with self._lasting():
            self._group.exchange(sends, receives)

    def collect(self, x: Tensor, target: int, receives: Sequence[Tensor]) -> None:
        """Send a tensor to one rank, as fast as without the emulated link."""
        self._group.collect(x, target, receives)

    def start_send(self, x: Tensor, target: int) -> Underway:
        """Start to send, as fast as without the emulated link."""
        return self._group.start_send(x, target)

    def receive(self, x: Tensor, source: int) -> Tensor:
        """Wait for a message, and return x."""
        return self._group.receive(x, source)

    @contextmanager
    def _lasting(self, least_bytes: int = 0) -> Iterator[None]:
        """Wait until what was sent meanwhile, and at least so much, would be there."""
        begun_s, before = time.monotonic(), self.sent_bytes
        yield
        delay_s = self._wire.delay_s(max(least_bytes, self.sent_bytes - before))
        time.sleep(max(0.0, begun_s + delay_s - time.monotonic()))


def emulated(group: TeamGroup) -> TeamGroup:
    """Return the group over the link that is to be emulated, if one is.

    Raises
    ------
    InputError
        The variable says something else than a bandwidth and a latency.
    """
    asked = os.environ.get(EMULATED_LINK)
    if asked is None:
        return group
    bandwidth, _, latency = asked.partition(",")
    try:
        wire = Wire(parse_bandwidth(bandwidth), parse_seconds(latency))
    except QuantityError as error:
        message = f"{EMULATED_LINK}: found {found(asked)}, needed such as 50MB/s,500us"
        raise InputError(message) from error
    return EmulatedGroup(group, wire)
