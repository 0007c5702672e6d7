"""A team of GPUs: sums go over NCCL, and everything else between processors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hexplan.field_types import Range
from hexplan_runtime.net.gloo import Rendezvous, peer_loss
from hexplan_runtime.net.lane_sums import LaneSums
from hexplan_runtime.net.team import Parts, Team
from hexplan_runtime.net.transport import TeamGroup
from hexplan_runtime.net.wire import WireFormat


@dataclass(frozen=True, slots=True)
class StreamSum:
    """A sum that is under way on the stream of an NCCL group."""

    total: Tensor
    work: Any

    def result(self) -> Tensor:
        """Let the current stream wait for the sum, and return it; the processor goes on."""
        with peer_loss():
            self.work.wait()
        return self.total


class NcclGroup:
    """The ranks of a stage as NCCL sees them; all of them must be on GPUs."""

    def __init__(self, rendezvous: Rendezvous, name: str, rank: int, size: int) -> None:
        from torch._C._distributed_c10d import PrefixStore, ProcessGroupNCCL

        self._rank = rank
        options = ProcessGroupNCCL.Options()
        options._timeout = rendezvous.timeout
        store = PrefixStore(f"{rendezvous.nonce}/{name}/nccl", rendezvous.store)
        with peer_loss():
            self._group: Any = ProcessGroupNCCL(store, rank, size, options)

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum over all ranks, in place and the same bits on every rank."""
        with peer_loss():
            self._group.allreduce([x]).wait()
        return x

    def start(self, x: Tensor) -> StreamSum:
        """Begin to sum x up on the stream of this group, in place."""
        with peer_loss():
            return StreamSum(x, self._group.allreduce([x]))

    def exchange(self, sends: Sequence[Tensor], receives: Sequence[Tensor]) -> None:
        """Send each rank its tensor, and fill those that come from each rank."""
        own, got = sends[self._rank], receives[self._rank]
        if got.data_ptr() != own.data_ptr():
            got.copy_(own)
        ends = [list(receives), list(sends)]
        for end in ends:  # what is empty is not sent
            end[self._rank] = own.new_empty(0)
        with peer_loss():
            self._group.alltoall(*ends).wait()


class NcclTeam(Team):
    """One rank's view of its stage's ranks, each of which is on a GPU of its own."""

    def __init__(
        self,
        wire_format: WireFormat,
        rank: int,
        group: TeamGroup,
        nccl: NcclGroup,
        lanes: NcclGroup | None = None,
        parts: Parts | None = None,
    ) -> None:
        super().__init__(wire_format, rank, group, parts=parts)
        self._nccl, self._nccl_lanes = nccl, lanes or nccl

    def lane_sums(self) -> LaneSums:
        """Return what begins sums on a stream beside the one that computes.

        One group has one stream, so these sums never run at once, in whatever order.
        """
        return self._nccl_lanes

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum of x over the team."""
        return self._nccl.sum(x) if x.is_cuda else super().sum(x)

    def exchange(self, sends: Sequence[Tensor], receives: Sequence[Tensor]) -> None:
        """Send each rank its tensor, and fill those that come from each rank."""
        if sends[0].is_cuda:
            self._nccl.exchange(sends, receives)
        else:
            super().exchange(sends, receives)

    def gather_columns(self, x: Tensor, intervals: tuple[Range, ...]) -> Tensor | None:
        """Return the ranks' columns side by side on the leader, in its processor's memory."""
        with torch.device("cpu"):
            return super().gather_columns(x.cpu(), intervals)


def has_nccl(device: torch.device) -> bool:
    """Say whether a device's ranks can form a team over NCCL."""
    return device.type == "cuda" and torch.distributed.is_nccl_available()
