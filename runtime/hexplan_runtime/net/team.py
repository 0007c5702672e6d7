"""The team: the ranks of one stage, which share every layer and see the same batches.

While tokens are shared out among fewer groups than ranks, each rank works in two smaller teams.
With an SP degree s, rank i has the tokens that all ranks of the same `i mod s` have, and exchanges
them for heads with those of the same quotient of i by s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from hexplan.field_types import Range
from hexplan_runtime.batch import Batch
from hexplan_runtime.net.lane_sums import LaneSums, ThreadSums
from hexplan_runtime.net.transport import Receiver, Sender, TeamGroup
from hexplan_runtime.net.wire import WireFormat

LEADER = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """The two smaller teams in which a rank works while tokens are shared out."""

    exchange_group: Team
    """Ranks that have all tokens together, and hold the same weights."""
    token_group: Team
    """Ranks that have the same tokens, and hold all weights together."""

    @staticmethod
    def join(rank: int, size: int, sp_degree: int, meet: Callable[[str, int, int], Team]) -> Parts:
        """Meet the others of both; all ranks of the stage do so in this order.

        Parameters
        ----------
        meet
            Returns the team of a name, as a rank of it, of so many.
        """
        number, portion = divmod(rank, sp_degree)
        return Parts(
            meet(f"exchange/{number}", portion, sp_degree),
            meet(f"tokens/{portion}", number, size // sp_degree),
        )


class Team:
    """One rank's view of its stage's ranks; a stage of one rank has no group.

    Parameters
    ----------
    lanes
        A group for sums that go on beside the team's other messages, which must not meet these.
    parts
        The smaller teams of this rank; none where each rank has tokens of its own.
    """

    def __init__(
        self,
        wire_format: WireFormat,
        rank: int = LEADER,
        group: TeamGroup | None = None,
        lanes: TeamGroup | None = None,
        parts: Parts | None = None,
    ) -> None:
        self.rank = rank
        self._group = group
        self._lanes = lanes or group
        self._parts = parts
        self._senders: tuple[Sender, ...] = ()
        if group is not None and rank == LEADER:
            self._senders = tuple(Sender(group, wire_format, peer) for peer in range(1, group.size))
        self._receiver = Receiver(group, wire_format, LEADER) if group is not None else None

    @property
    def size(self) -> int:
        """Number of ranks."""
        return 1 if self._group is None else self._group.size

    @property
    def sent_bytes(self) -> int:
        """Bytes of all messages that this rank has sent to others of the team one by one."""
        groups = {id(group): group for group in (self._group, self._lanes) if group is not None}
        sent = sum(group.sent_bytes for group in groups.values())
        if self._parts is not None:
            sent += self._parts.exchange_group.sent_bytes + self._parts.token_group.sent_bytes
        return sent

    @property
    def exchange_group(self) -> Team:
        """The ranks with which this one exchanges tokens for heads."""
        return self if self._parts is None else self._parts.exchange_group

    @property
    def token_group(self) -> Team | None:
        """The ranks that have the same tokens where they are shared out; None if no other has."""
        return None if self._parts is None else self._parts.token_group

    @property
    def is_leader(self) -> bool:
        """Whether this rank talks to other stages and decides what its team runs."""
        return self.rank == LEADER

    def share(self, batch: Batch | None) -> Batch:
        """Return the leader's batch on every rank; the other ranks pass None."""
        if batch is None:
            assert self._receiver is not None
            return self._receiver.receive()
        for sender in self._senders:
            sender.send(batch)
        return batch

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum of x over the team, the same bits on every rank."""
        return x if self._group is None else self._group.sum(x)

    def lane_sums(self) -> LaneSums:
        """Return what begins sums over the team that go on while this rank computes."""
        assert self._lanes is not None
        return ThreadSums(self._lanes.sum)

    def exchange(self, sends: Sequence[Tensor], receives: Sequence[Tensor]) -> None:
        """Send each rank its tensor, and fill those that come from each rank; all contiguous."""
        if self._group is not None:
            self._group.exchange(sends, receives)

    def gather_columns(self, x: Tensor, intervals: tuple[Range, ...]) -> Tensor | None:
        """Return the ranks' columns side by side on the leader, and None on other ranks."""
        if self._group is None:
            return x
        if not self.is_leader:
            self._group.collect(x.contiguous(), LEADER, ())
            return None
        whole = x.new_empty(len(x), max(end for _, end in intervals))
        columns = [x.new_empty(len(x), end - first) for first, end in intervals]
        self._group.collect(x.contiguous(), LEADER, columns)
        for (first, end), part in zip(intervals, columns, strict=True):
            whole[:, first:end] = part
        return whole
