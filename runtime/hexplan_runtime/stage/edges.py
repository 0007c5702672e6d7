"""The edges that a plan uses: which process listens at which, and which one sends to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hexplan.plan import ENTRY, EXIT, Plan
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.messages import MessageEnds, socket_file
from hexplan_runtime.net.transport import Receives, Sends
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.stage.messages import launch_mark
from hexplan_runtime.stage.stage import torch_dtype

LAUNCHER = "launcher"
"""The process at the other end of entry and exit edges."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where the processes of a launch find each other."""

    folder: Path
    """A folder that only this user may enter; sockets and stores in it are open to nobody else."""
    nonce: str
    """A random number of this launch, in hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Ends:
    """A leader's or the launcher's ends of its edges, each by the name of the other end."""

    senders: Mapping[str, Sends]
    receivers: Mapping[str, Receives]
    close: Callable[[], None] = lambda: None
    """Closes all of them; nobody may be sending."""
    back_senders: Mapping[str, Sends] = field(default_factory=dict)
    """Of a last stage: the ways back to the stages where its routes begin."""
    back_receivers: Mapping[str, Receives] = field(default_factory=dict)
    """The other ends of those."""


def connect(plan: Plan, end: str, meeting: Meeting) -> Ends:
    """Open the ends that a stage, or the launcher, has of the plan's edges.

    Nobody waits here: an end may send before the other one listens.
    """
    ends = MessageEnds(wire_format_of(plan, meeting.nonce))
    senders: dict[str, EdgeSender] = {}
    receivers: dict[str, Receives] = {}
    back_senders: dict[str, EdgeSender] = {}
    back_receivers: dict[str, Receives] = {}
    ways = used_edges(plan)
    for number, (source, target) in enumerate((*ways, *back_edges(plan))):
        is_back = number >= len(ways)
        address = socket_file(meeting.folder, number)
        if end == (LAUNCHER if source == ENTRY else source):
            sender = EdgeSender(ends.sender(address))
            (back_senders if is_back else senders)[target] = sender
        if end == (LAUNCHER if target == EXIT else target):
            (back_receivers if is_back else receivers)[source] = ends.receiver(address)

    def close() -> None:
        for sender in (*senders.values(), *back_senders.values()):
            sender.close()
        ends.close()

    return Ends(senders, receivers, close, back_senders, back_receivers)


def wire_format_of(plan: Plan, nonce: str) -> WireFormat:
    """Return what all ends of this launch must know of each other."""
    return WireFormat(launch_mark(nonce), plan.model.hidden, torch_dtype(plan.model))


def used_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return the edges that routes take, in the order in which routes first take them."""
    pairs = [pair for route in range(len(plan.routes)) for pair in route_edges(plan, route)]
    return tuple(dict.fromkeys(pairs))


def back_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return the ways of tokens from last stages straight to other stages where routes begin."""
    ends = [route_ends(plan, n) for n in range(len(plan.routes)) if returns_directly(plan, n)]
    return tuple(dict.fromkeys((last, first) for first, last in ends if first != last))


def returns_directly(plan: Plan, route: int) -> bool:
    """Say whether tokens go from a route's last stage straight to its first.

    They go through the router where the plan's cluster has no link that may carry them.
    """
    hosts = {stage.id: stage.host for stage in plan.stages}
    first, last = (hosts[stage] for stage in route_ends(plan, route))
    return first == last or plan.cluster.link(last, first) is not None


def route_ends(plan: Plan, route: int) -> tuple[str, str]:
    """Return the first and the last stage of a route."""
    hops = plan.routes[route].hops
    return hops[0].stage, hops[-1].stage


def route_edges(plan: Plan, route: int) -> tuple[tuple[str, str], ...]:
    """Return the edges of one route, from entry to exit."""
    ends = (ENTRY, *(hop.stage for hop in plan.routes[route].hops), EXIT)
    return tuple(zip(ends, ends[1:], strict=False))
