"""Rewiring: one process opens and closes ends of edges while it runs, as routes change."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from hexplan.plan import Plan
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.messages import MessageReceiver
from hexplan_runtime.net.transport import Receives
from hexplan_runtime.stage.edges import (
    Meeting,
    Opened,
    edges_of,
    listener,
    local_addresses,
    own_address,
)
from hexplan_runtime.stage.messages import Directory, EdgePlace, Listening, Rerouting
from hexplan_runtime.stage.topology import back_edges, behind_of, edge_compressions, edge_epochs


@dataclass(frozen=True, slots=True)
class Arrivals:
    """New ends at which batches arrive, by the stages that send them."""

    receivers: dict[str, Receives] = field(default_factory=dict)
    back_receivers: dict[str, Receives] = field(default_factory=dict)


class Rewiring:
    """Follows the edges of one process.

    Parameters
    ----------
    opened
        Its ends so far; whoever holds their mappings sees what is opened and closed.
    """

    def __init__(self, plan: Plan, meeting: Meeting, opened: Opened) -> None:
        self._meeting, self._opened = meeting, opened
        self._known = {edge.number: edge for edge in edges_of(plan, meeting, opened.end)}
        self._addresses: dict[int, str] = {}
        self._to_call: list[EdgePlace] = []

    @property
    def waits(self) -> bool:
        """Whether ends are to be called whose addresses are not known yet."""
        return any(edge.number not in self._addresses for edge in self._to_call)

    def listen(self, order: Rerouting, generations: Sequence[int]) -> tuple[Listening, ...]:
        """Open the new ends that listen, and return where those for other machines do.

        Parameters
        ----------
        generations
            How often each stage was lost so far.
        """
        opened, meeting = self._opened, self._meeting
        places = Meeting(meeting.folder, meeting.nonce, meeting.across, edges=order.edges)
        mine = edges_of(order.plan, places, opened.end)
        new = [edge for edge in mine if edge.number not in self._known]
        opened.epochs = edge_epochs(order.plan, generations)
        opened.compressions = edge_compressions(order.plan)
        opened.back = frozenset(back_edges(order.plan))
        self._addresses = local_addresses(order.plan, meeting, new)
        away, behind = [], behind_of(meeting.across)
        for edge in new:
            if opened.end == listener(order.plan, edge.ends, behind):
                known = self._addresses.get(edge.number)
                where = opened.listen(edge.ends, known or own_address(meeting.across, edge.number))
                if known is None:
                    away.append(Listening(edge=edge.number, address=where))
        self._to_call = [
            edge for edge in new if opened.end != listener(order.plan, edge.ends, behind)
        ]
        self._known |= {edge.number: edge for edge in new}
        return tuple(away)

    def call(self, directory: Directory | None = None) -> None:
        """Open the new ends that call.

        Raises
        ------
        LaunchError
            Another machine cannot be reached.
        """
        if directory is not None:
            self._addresses |= {one.edge: one.address for one in directory.edges}
        for edge in self._to_call:
            self._opened.call(edge.ends, self._addresses[edge.number])
        called = [self._addresses[edge.number] for edge in self._to_call]
        self._to_call = []
        self._opened.await_calls(called)

    def arrivals(self, before: Collection[Receives]) -> Arrivals:
        """Return the receivers that are not among those before."""
        ways = self._opened.receivers, self._opened.back_receivers
        return Arrivals(
            *({name: one for name, one in way.items() if one not in before} for way in ways)
        )

    def receivers(self) -> list[Receives]:
        """Return all ends at which batches arrive."""
        return [*self._opened.receivers.values(), *self._opened.back_receivers.values()]

    def close_others(self, edges: Collection[EdgePlace]) -> None:
        """Close the ends of edges that are not among these; nothing may be under way there."""
        live = {edge.number for edge in edges}
        left = {edge.ends for edge in self._known.values() if edge.number in live}
        for number in self._known.keys() - live:
            edge = self._known.pop(number)
            if edge.ends not in left:
                self._close(edge.ends)

    def _close(self, edge: tuple[str, str]) -> None:
        opened, (source, target) = self._opened, edge
        addresses = [address for address, ends in opened.called.items() if ends == edge]
        for address in addresses:
            opened.messages.forget(address)
            del opened.called[address]
        senders, receivers = opened.ways(edge)
        sender = senders.pop(target, None) if opened.sends(edge) else None
        receiver = None if opened.sends(edge) else receivers.pop(source, None)
        if isinstance(sender, EdgeSender):
            sender.hang_up()
        if isinstance(receiver, MessageReceiver):
            receiver.end()
