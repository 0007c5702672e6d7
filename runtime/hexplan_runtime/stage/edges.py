"""The edges that a plan uses: which process listens at which, and which one sends to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from hexplan.errors import LaunchError
from hexplan.field_types import Compression
from hexplan.plan import Plan
from hexplan_runtime.net.addresses import tcp_address
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.net.meeting import Control
from hexplan_runtime.net.messages import MessageEnds, socket_file
from hexplan_runtime.net.plain import PlainReceiver, PlainSender, meet
from hexplan_runtime.net.transport import Receives, Sends
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.stage.keys import keys_of
from hexplan_runtime.stage.messages import (
    Across,
    Directory,
    EdgeLost,
    EdgePlace,
    Listening,
    launch_mark,
)
from hexplan_runtime.stage.stage import torch_dtype
from hexplan_runtime.stage.topology import LAUNCHER as LAUNCHER
from hexplan_runtime.stage.topology import (
    back_edges,
    behind_of,
    edge_compressions,
    edge_epochs,
    launch_edges,
    plain_edges,
    processes_of,
)
from hexplan_runtime.stage.topology import listener as listener
from hexplan_runtime.stage.topology import numbered as numbered
from hexplan_runtime.stage.topology import returns_directly as returns_directly
from hexplan_runtime.stage.topology import route_edges as route_edges
from hexplan_runtime.stage.topology import route_ends as route_ends

CALL_S: Final = 15.0
"""How long connections to other machines may take."""
CALL_HINT: Final = (
    "does a firewall close the port? `--first-port` chooses ports that it can let through, and"
    " `hexplan doctor PLAN` tries them"
)
MEET_S: Final = 30.0
"""How long the two ends of a plain edge may take to find each other."""
MEET_HINT: Final = (
    "hosts of a trusted site reach each other at any port; if a firewall there closes some, take"
    " the site out of `trusted`, and edges use the ports of `--first-port` alone"
)


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where the processes of a launch find each other."""

    folder: Path
    """A folder that only this user may enter; sockets and stores in it are open to nobody else."""
    nonce: str
    """A random number of this launch, in hexadecimal digits."""
    across: Across | None = None
    """What ends of edges to other machines must know; None if all processes are on this one."""
    exchange: Callable[[Directory], Directory] = lambda directory: directory
    """Tells the coordinator where an end listens, and returns where all ends do."""
    lose: Callable[[EdgeLost], None] = lambda lost: None
    """Takes each edge whose connection to another machine is lost."""
    generations: tuple[int, ...] = ()
    """How often each stage was lost before; never if empty."""
    directory: Directory | None = None
    """Where ends listen, if that is known already."""
    edges: tuple[EdgePlace, ...] = ()
    """The edges of the launch; those of the plan's routes if empty."""


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
    opened: Opened | None = None
    """What they were opened by, and more can be; None for ends that are not of a launch."""


def connect(plan: Plan, end: str, meeting: Meeting) -> Ends:
    """Open the ends that a stage, or the launcher, has of the plan's edges.

    Nobody waits here, unless there are other machines: an end may send before the other one
    listens. The launcher listens nowhere, and may be where no host can reach it (`listener`).

    Raises
    ------
    LaunchError
        Another machine cannot be reached.
    """
    keys = None if meeting.across is None else keys_of(meeting.across)
    called: dict[str, tuple[str, str]] = {}

    def lose(address: str) -> None:
        source, target = called[address]
        message = f"edge {source} > {target}: the connection to {address} is lost"
        meeting.lose(EdgeLost(source=source, target=target, message=message))

    wire_format = wire_format_of(plan, meeting.nonce)
    messages = MessageEnds(wire_format, keys, lose)
    edges, behind = edges_of(plan, meeting, end), behind_of(meeting.across)
    added = {edge.ends for edge in edges if edge.is_added}
    plain = frozenset(plain_edges(plan, behind) if meeting.across is not None else ()) - added
    epochs = edge_epochs(plan, meeting.generations)
    compressions = edge_compressions(plan)
    opened = Opened(end, messages, frozenset(back_edges(plan)), epochs, plain, called, compressions)
    addresses = local_addresses(plan, meeting, edges)
    listening = []
    if meeting.directory is not None:
        addresses |= {one.edge: one.address for one in meeting.directory.edges}
    for edge in edges:
        if end == listener(plan, edge.ends, behind):
            address = addresses.get(edge.number) or own_address(meeting.across, edge.number)
            where = opened.listen(edge.ends, address)
            listening.append(Listening(edge=edge.number, address=where))
    if meeting.across is not None and meeting.directory is None:
        away = tuple(one for one in listening if one.edge not in addresses)
        directory = meeting.exchange(Directory(edges=away))
        addresses |= {one.edge: one.address for one in directory.edges}
    for edge in edges:
        if end != listener(plan, edge.ends, behind):
            opened.call(edge.ends, addresses[edge.number])
    try:
        opened.await_calls()
    except LaunchError:
        opened.ends().close()
        raise
    opened.meet([edge.ends for edge in edges], meeting.across, wire_format, lose)
    return opened.ends()


def edges_of(plan: Plan, meeting: Meeting, end: str) -> list[EdgePlace]:
    """Return the edges of a launch at which a process has an end."""
    edges = meeting.edges or numbered(launch_edges(plan))
    return [edge for edge in edges if end in processes_of(*edge.ends)]


def local_addresses(plan: Plan, meeting: Meeting, edges: Sequence[EdgePlace]) -> dict[int, str]:
    """Return the addresses of the edges inside machines, by their numbers."""
    places = {stage.id: stage.host for stage in plan.stages}
    return {
        edge.number: socket_file(meeting.folder, edge.number)
        for edge in edges
        if meeting.across is None or places.get(edge.source) == places.get(edge.target)
    }


@dataclass(slots=True)
class Opened:
    """The ends of one process that are open so far."""

    end: str
    messages: MessageEnds
    back: frozenset[tuple[str, str]]
    """The ways back from last stages."""
    epochs: Mapping[tuple[str, str], int]
    plain: frozenset[tuple[str, str]]
    """Edges inside trusted sites."""
    called: dict[str, tuple[str, str]]
    """The edges that this process calls, by their addresses."""
    compressions: Mapping[tuple[str, str], Compression]
    """How edges send activations; those that are not among them carry none."""
    controls: dict[tuple[str, str], Control] = field(default_factory=dict)
    """Where the ends of plain edges meet."""
    senders: dict[str, EdgeSender] = field(default_factory=dict)
    receivers: dict[str, Receives] = field(default_factory=dict)
    back_senders: dict[str, EdgeSender] = field(default_factory=dict)
    back_receivers: dict[str, Receives] = field(default_factory=dict)

    def listen(self, edge: tuple[str, str], address: str) -> str:
        """Listen for the other end, and return where."""
        return self._open(edge, address, calls=False)

    def call(self, edge: tuple[str, str], address: str) -> None:
        """Connect to where the other end listens."""
        self.called[address] = edge
        self._open(edge, address, calls=True)

    def await_calls(self, addresses: Sequence[str] | None = None) -> None:
        """Wait until the connections to other machines are up: all, or these.

        Raises
        ------
        LaunchError
            Some are not in time.
        """
        missing = self.messages.await_calls(CALL_S, addresses)
        if missing:
            what = ", ".join(
                f"edge {' > '.join(self.called[address])} at {address}" for address in missing
            )
            message = f"cannot reach {what} within {CALL_S:g} s"
            raise LaunchError(message, hint=CALL_HINT)

    def meet(
        self,
        edges: Sequence[tuple[str, str]],
        across: Across | None,
        wire_format: WireFormat,
        lose: Callable[[str], None],
    ) -> None:
        """Wait for the other ends of plain edges: in one order everywhere, so never in a ring.

        Only first processes meet; where one end is a later one, both keep to the connection.
        """
        for edge in (edge for edge in edges if edge in self.controls):
            control, calls, epoch = self.controls[edge], self.end == edge[0], self.epochs[edge]
            assert across is not None
            assert across.address is not None
            try:
                where = across.address
                group = None if epoch else meet(control, where, calls=calls, timeout_s=MEET_S)
            except PeerLost as error:
                self.ends().close()
                message = f"edge {edge[0]} > {edge[1]}: {error}"
                raise LaunchError(message, hint=MEET_HINT) from error
            if calls:
                losing = partial(lose, control.address)
                sent_as = replace(wire_format, compress=self.compression(edge))
                sender = PlainSender(group, control, sent_as, losing, epoch)
                self._keep_sender(edge, EdgeSender(sender))
            else:
                self._keep_receiver(edge, PlainReceiver(group, control, wire_format, epoch))

    def compression(self, edge: tuple[str, str]) -> Compression:
        """Return how an edge sends activations."""
        return self.compressions.get(edge, "none")

    def sends(self, edge: tuple[str, str]) -> bool:
        """Say whether this process is at the end of an edge that batches leave from."""
        return self.end == processes_of(*edge)[0]

    def ways(self, edge: tuple[str, str]) -> tuple[dict[str, EdgeSender], dict[str, Receives]]:
        """Return the ends among which this process's end of an edge is."""
        if edge in self.back:
            return self.back_senders, self.back_receivers
        return self.senders, self.receivers

    def ends(self) -> Ends:
        """Return all of them."""

        def close() -> None:
            for sender in (*self.senders.values(), *self.back_senders.values()):
                sender.close()
            self.messages.close()

        ways = self.senders, self.receivers, close, self.back_senders, self.back_receivers
        return Ends(*ways, self)

    def _open(self, edge: tuple[str, str], address: str, *, calls: bool) -> str:
        if edge in self.plain:
            self.controls[edge] = self.messages.control(address, calls=calls)
            return self.controls[edge].address
        if self.sends(edge):
            how, epoch = self.compression(edge), self.epochs[edge]
            sender = self.messages.sender(address, calls=calls, epoch=epoch, compress=how)
            self._keep_sender(edge, EdgeSender(sender))
            return sender.address
        receiver = self.messages.receiver(address, calls=calls, epoch=self.epochs[edge])
        self._keep_receiver(edge, receiver)
        return receiver.address

    def _keep_sender(self, edge: tuple[str, str], sender: EdgeSender) -> None:
        self.ways(edge)[0][edge[1]] = sender

    def _keep_receiver(self, edge: tuple[str, str], receiver: Receives) -> None:
        self.ways(edge)[1][edge[0]] = receiver


def own_address(across: Across | None, number: int) -> str:
    """Return where this machine listens for the other end of an edge."""
    assert across is not None
    assert across.address is not None
    port = None if across.first_port is None else across.first_port + number
    return tcp_address(across.address, port)


def wire_format_of(plan: Plan, nonce: str) -> WireFormat:
    """Return what all ends of this launch must know of each other."""
    return WireFormat(launch_mark(nonce), plan.model.hidden, torch_dtype(plan.model))
