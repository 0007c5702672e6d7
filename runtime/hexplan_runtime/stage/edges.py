"""The edges that a plan uses, met in one order by all processes so that none waits in a circle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hexplan.plan import ENTRY, EXIT, Plan
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.gloo import Rendezvous
from hexplan_runtime.net.transport import RECEIVER, SENDER, Receiver, Receives, Sends
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.stage.messages import launch_mark
from hexplan_runtime.stage.stage import torch_dtype

LAUNCHER = "launcher"
"""The process at the other end of entry and exit edges."""


@dataclass(frozen=True, slots=True)
class Ends:
    """A leader's or the launcher's ends of its edges, each by the name of the other end."""

    senders: Mapping[str, Sends]
    receivers: Mapping[str, Receives]


def connect(plan: Plan, end: str, rendezvous: Rendezvous) -> Ends:
    """Meet the other end of each edge of a stage, or of the launcher, in the plan's order.

    Every process meets its edges in the same order. So both ends of the first edge that is not up
    are waiting for it, and there is no deadlock.
    """
    wire_format = wire_format_of(plan, rendezvous.nonce)
    senders: dict[str, EdgeSender] = {}
    receivers: dict[str, Receiver] = {}
    for source, target in used_edges(plan):
        name = f"edge/{source}-{target}"
        if end == (LAUNCHER if source == ENTRY else source):
            senders[target] = EdgeSender(rendezvous.meet(name, SENDER, 2), wire_format)
        if end == (LAUNCHER if target == EXIT else target):
            receivers[source] = Receiver(rendezvous.meet(name, RECEIVER, 2), wire_format)
    return Ends(senders, receivers)


def wire_format_of(plan: Plan, nonce: str) -> WireFormat:
    """Return what all ends of this launch must know of each other."""
    return WireFormat(launch_mark(nonce), plan.model.hidden, torch_dtype(plan.model))


def used_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return the edges that routes take, in the order in which routes first take them."""
    pairs = [pair for route in range(len(plan.routes)) for pair in route_edges(plan, route)]
    return tuple(dict.fromkeys(pairs))


def route_edges(plan: Plan, route: int) -> tuple[tuple[str, str], ...]:
    """Return the edges of one route, from entry to exit."""
    ends = (ENTRY, *(hop.stage for hop in plan.routes[route].hops), EXIT)
    return tuple(zip(ends, ends[1:], strict=False))
