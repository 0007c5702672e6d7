"""What a replan tells: bytes and time by host, and why devices are left out."""

from __future__ import annotations

from collections.abc import Iterable

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.plan import Plan
from hexplan.results.replanning import HostMove, Replanning
from hexplan_solver.flow.network import PlacedStage
from hexplan_solver.replan.movement import Movement

EXCLUDED = "excluded by a pin"
REASONS = {
    "routes-only": "no stage is left on it, and this replan moves no weights",
    "fewest-bytes": "the flow asked for is reached without moving weights to it",
}


def summarise(
    before: Plan, after: Plan, movement: Movement, stages: Iterable[PlacedStage]
) -> Replanning:
    """Count what moves; the estimate lets all hosts receive at once, each at its fastest link.

    Disks, senders and trunks are not counted.
    """
    stages = tuple(stages)
    hosts = tuple(
        HostMove(
            host=host,
            moved_bytes=moved,
            fetched_layers=movement.fetched(s for s in stages if s.host == host),
            estimate_s=round(moved / _receiving_bytes_per_s(after.cluster, host), 3),
        )
        for host, moved in movement.by_host(stages).items()
    )
    return Replanning(
        mode="routes-only",
        flow_before_tokens_per_s=before.certificate.flow_tokens_per_s,
        flow_tokens_per_s=after.certificate.flow_tokens_per_s,
        flow_fresh_tokens_per_s=None,
        flow_kept_tokens_per_s=after.certificate.flow_tokens_per_s,
        max_loss=None,
        moved_bytes=sum(host.moved_bytes for host in hosts),
        moved_bytes_fresh=None,
        moved_bytes_bound=None,
        estimate_s=max((host.estimate_s for host in hosts), default=0.0),
        hosts=hosts,
        gone=(),
        notes=(),
    )


def with_reasons(plan: Plan, mode: str) -> Plan:
    """Say of each unused device why this replan leaves it out."""
    unused = tuple(
        u if u.reason == EXCLUDED else u.model_copy(update={"reason": REASONS[mode]})
        for u in plan.unused
    )
    return plan.model_copy(update={"unused": unused})


def _receiving_bytes_per_s(cluster: Cluster, host: str) -> int:
    """Return the speed of the fastest link into a host, at most that of its NIC."""
    others = [COORDINATOR, *(h.name for h in cluster.hosts if h.name != host)]
    links = [link for link in (cluster.link(other, host) for other in others) if link]
    nic = cluster.host_by_name[host].nic_in_bytes_per_s
    return min(nic, max((link.bandwidth_bytes_per_s for link in links), default=nic))
