"""A stage's team over emulated links, whose clocks run with the processor time of its threads.

At each collective all clocks go on from the latest, plus the link's latency and the bytes that were
really sent over its bandwidth. So ranks may share a core, and one run serves several links.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Barrier

from torch import Tensor

from hexplan_runtime.net.emulated_link import Wire
from hexplan_runtime.net.gloo import Group
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat


class Clocks:
    """The clock of each rank, for each of the wires."""

    def __init__(self, wires: Sequence[Wire], ranks: int) -> None:
        self.wires = wires
        self._barrier = Barrier(ranks)
        self._seconds = [[0.0] * len(wires) for _ in range(ranks)]

    def of(self, rank: int) -> list[float]:
        """Return one rank's clocks, which it sets itself."""
        return self._seconds[rank]

    def meet(self, rank: int, delays_s: Sequence[float]) -> None:
        """Wait for the other ranks, and go on so much later than the last one came."""
        self._barrier.wait()
        latest = [max(column) for column in zip(*self._seconds, strict=True)]
        self._barrier.wait()
        self._seconds[rank][:] = [at + d for at, d in zip(latest, delays_s, strict=True)]


class EmulatedTeam(Team):
    """One rank's view of its team, whose clock runs with its thread's processor time."""

    def __init__(self, wire_format: WireFormat, rank: int, group: Group, clocks: Clocks) -> None:
        super().__init__(wire_format, rank, group)
        self._clocks = clocks
        self._mark = 0.0

    def begin(self) -> None:
        """Set the clocks to 0."""
        self._clocks.of(self.rank)[:] = [0.0] * len(self._clocks.wires)
        self._mark = time.thread_time()

    def end(self) -> list[float]:
        """Return the seconds since the beginning, for each wire."""
        self._compute()
        return list(self._clocks.of(self.rank))

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum of x over the team."""
        before = self.sent_bytes
        total = super().sum(x)
        self._pass(self.sent_bytes - before)
        return total

    def exchange(self, sends: Sequence[Tensor], receives: Sequence[Tensor]) -> None:
        """Send each rank its tensor, and fill those that come from each rank."""
        before = self.sent_bytes
        super().exchange(sends, receives)
        self._pass(self.sent_bytes - before)

    def _compute(self) -> None:
        now = time.thread_time()
        clocks = self._clocks.of(self.rank)
        clocks[:] = [at + now - self._mark for at in clocks]
        self._mark = now

    def _pass(self, num_bytes: int) -> None:
        self._compute()
        self._clocks.meet(self.rank, [wire.delay_s(num_bytes) for wire in self._clocks.wires])
        self._mark = time.thread_time()
