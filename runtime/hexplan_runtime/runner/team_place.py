"""Where the ranks of a stage meet to form its team: over shared memory, and over NCCL on GPUs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from hexplan.plan import Plan, Stage
from hexplan_runtime.net.emulated_link import emulated
from hexplan_runtime.net.gloo import Rendezvous, local_store
from hexplan_runtime.net.host_meeting import HostMeeting
from hexplan_runtime.net.team import Parts, Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.runner.device import device_of
from hexplan_runtime.runner.nccl import NcclGroup, NcclTeam, has_nccl


@dataclass(frozen=True, slots=True)
class TeamPlace:
    """Where the ranks of a stage find each other."""

    folder: Path
    """A folder that only this user may enter."""
    nonce: str
    """What only ranks of this launch know."""
    name: str
    """Name of the team, which no other of the launch has."""
    wire_format: WireFormat

    def join(self, plan: Plan, stage: Stage, rank: int) -> Team:
        """Meet the other ranks of the stage; one device alone needs no group."""
        if stage.tp == 1:
            return Team(self.wire_format, rank)
        device = device_of(plan, stage, rank)
        if has_nccl(device):
            torch.cuda.set_device(device)
        parts = None
        if stage.sp_degree is not None:
            meet = partial(self._part, has_nccl(device))
            parts = Parts.join(rank, stage.tp, stage.sp_degree, meet)
        return self._join((rank, stage.tp), has_nccl(device), stage.interleave is not None, parts)

    def _part(self, over_nccl: bool, name: str, rank: int, size: int) -> Team:
        return replace(self, name=f"{self.name}/{name}")._join((rank, size), over_nccl)

    def _join(
        self,
        seat: tuple[int, int],
        over_nccl: bool,
        has_lanes: bool = False,
        parts: Parts | None = None,
    ) -> Team:
        """Return the team, as a rank of it, of so many."""
        host, (rank, size), lanes_name = HostMeeting(self.folder, self.nonce), seat, None
        group = emulated(host.meet(self.name, rank, size))
        if has_lanes:
            lanes_name = f"{self.name}/lanes"
        if over_nccl:
            rendezvous = Rendezvous(local_store(self.folder), self.nonce)
            nccl, lanes = (
                NcclGroup(rendezvous, known, rank, size) if known else None
                for known in (self.name, lanes_name)
            )
            assert nccl is not None
            return NcclTeam(self.wire_format, rank, group, nccl, lanes, parts)
        if lanes_name is None:
            return Team(self.wire_format, rank, group, parts=parts)
        # The thread that waits here shares its core with the one that computes.
        lane_group = emulated(host.meet(lanes_name, rank, size, spin_s=0.0))
        return Team(self.wire_format, rank, group, lane_group, parts)
