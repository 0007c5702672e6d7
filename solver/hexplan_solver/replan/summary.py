"""The summary of a replan: bytes and time for each host, and figures of other placements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from hexplan.cluster import COORDINATOR, Cluster
from hexplan.constants import MICRO
from hexplan.plan import Plan
from hexplan.results.replanning import GoneStage, HostMove, Replanning
from hexplan_solver.flow.evaluate import Evaluated
from hexplan_solver.replan.movement import Movement


@dataclass(frozen=True, slots=True)
class Transition:
    """A plan, the placement that replaces it, and what counts the bytes that move."""

    before: Plan
    after: Evaluated
    movement: Movement


@dataclass(frozen=True, slots=True)
class Rivals:
    """What the search learned about other placements, to compare with; flows in 1e-6 tokens/s."""

    fresh_flow: int
    """The largest flow found when every weight may move."""
    kept_flow: int
    """The flow if no weight moves."""
    fresh_bytes: int
    """What the placement of that largest flow would have to fetch."""
    fewest_bytes: int | None
    """Proved: no placement within the loss fetches fewer."""
    max_loss: Decimal
    """The share of the largest flow that may be given up."""


@dataclass(frozen=True, slots=True)
class Remarks:
    """What the user should know besides the figures."""

    gone: tuple[GoneStage, ...]
    notes: tuple[str, ...]


def summarise(change: Transition, rivals: Rivals | None, told: Remarks) -> Replanning:
    """Return what moves, and an estimate of how long that takes.

    The estimate assumes that all hosts receive at the same time, each over its fastest link. It
    leaves out disks, senders and trunks, so it is optimistic.

    Parameters
    ----------
    rivals
        None if only routes may change.
    """
    hosts = tuple(_host_moves(change))
    flow = Decimal(change.after.value) / MICRO
    return Replanning(
        mode="routes-only" if rivals is None else "fewest-bytes",
        flow_before_tokens_per_s=change.before.certificate.flow_tokens_per_s,
        flow_tokens_per_s=flow,
        flow_fresh_tokens_per_s=None if rivals is None else Decimal(rivals.fresh_flow) / MICRO,
        flow_kept_tokens_per_s=flow if rivals is None else Decimal(rivals.kept_flow) / MICRO,
        max_loss=None if rivals is None else rivals.max_loss,
        moved_bytes=sum(host.moved_bytes for host in hosts),
        moved_bytes_fresh=None if rivals is None else rivals.fresh_bytes,
        moved_bytes_bound=None if rivals is None else rivals.fewest_bytes,
        estimate_s=max((host.estimate_s for host in hosts), default=0.0),
        hosts=hosts,
        gone=told.gone,
        notes=told.notes,
    )


def _host_moves(change: Transition) -> Iterator[HostMove]:
    placement, movement = change.after.placement, change.movement
    cluster = change.after.problem.spec.cluster
    for host, moved in movement.by_host(placement).items():
        yield HostMove(
            host=host,
            moved_bytes=moved,
            fetched_layers=movement.fetched(s for s in placement if s.host == host),
            estimate_s=round(moved / _receiving_bytes_per_s(cluster, host), 3),
        )


def _receiving_bytes_per_s(cluster: Cluster, host: str) -> int:
    """Return the speed of the fastest link into a host, at most that of its NIC."""
    others = [COORDINATOR, *(h.name for h in cluster.hosts if h.name != host)]
    links = [link for link in (cluster.link(other, host) for other in others) if link]
    nic = cluster.host_by_name[host].nic_in_bytes_per_s
    return min(nic, max((link.bandwidth_bytes_per_s for link in links), default=nic))
