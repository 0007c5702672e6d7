"""An agent: one process on a host, which says what is there and measures links to other hosts."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import torch

from hexplan.errors import InputError
from hexplan_runtime.net.addresses import local_address
from hexplan_runtime.net.gloo import PeerLost, Rendezvous, join_store
from hexplan_runtime.probe.connection import Connection, follow, lead
from hexplan_runtime.probe.inventory import machine
from hexplan_runtime.probe.messages import AgentAnswer, AgentTask, PairOrder
from hexplan_runtime.processes.child import Parent, leave

_TRIES: Final = 5
"""How often gloo tries to reach a peer, with the whole timeout each time."""


class Refusal(Exception):
    """Something cannot be done, and the message says why."""


def main() -> None:
    """Read the task, say what is here, and measure links until the probe wants no more."""
    parent = Parent()
    task = parent.hear(AgentTask)
    torch.set_num_threads(1)  # as in the ranks of a launch
    try:
        place = Place.find(task)
    except Refusal as refusal:
        parent.tell(AgentAnswer(problem=str(refusal)))
        leave(0)
    parent.tell(AgentAnswer(machine=machine()))
    while True:
        parent.tell(place.obey(parent.hear(PairOrder)))


@dataclass(frozen=True, slots=True)
class Place:
    """Where this agent is."""

    task: AgentTask
    address: str
    """The IP address to listen at."""

    @classmethod
    def find(cls, task: AgentTask) -> Place:
        """Find the address to listen at, and try whether the store can be reached."""
        try:
            address = local_address(task.address, may_be_public=task.may_be_public)
        except InputError as error:
            message = f"{error.message}; {error.hint}"
            raise Refusal(message) from error
        if ip_address(address).is_loopback and not ip_address(task.store_address).is_loopback:
            message = (
                f"{task.address} means {address} there, which no other host reaches; give the"
                " host its address in numbers"
            )
            raise Refusal(message)
        place = cls(task, address)
        place.join(task.limit_s)
        return place

    def join(self, limit_s: float) -> Rendezvous:
        """Connect to the store, anew for each pair: a wait that timed out may spoil one."""
        store, task = f"{self.task.store_address} port {self.task.store_port}", self.task
        with _explained(f"it cannot reach the store at {store}: a firewall, or another `--bind`?"):
            joined = join_store(
                task.store_port, datetime.timedelta(seconds=limit_s), task.store_address
            )
        patience = datetime.timedelta(seconds=limit_s / _TRIES)
        return Rendezvous(joined, task.nonce, patience, self.address)

    def obey(self, order: PairOrder) -> AgentAnswer:
        """Measure the links of one pair of hosts, or say why that failed."""
        deadline_s = time.monotonic() + order.limit_s
        peer, limit = order.peer, f"within {order.limit_s:g} s"
        try:
            rendezvous = self.join(order.limit_s)
            with _explained(f"no connection with {peer} {limit}"):
                group = rendezvous.meet(order.meeting, order.rank, 2)
            connection = Connection(group, 1 - order.rank, deadline_s)
            with _explained(f"the connection to {peer} broke, or was too slow to measure {limit}"):
                if order.rank == 1:
                    follow(connection)
                    return AgentAnswer()
                figures = lead(
                    connection, is_forward=order.is_forward, is_backward=order.is_backward
                )
                return AgentAnswer(figures=figures)
        except Refusal as refusal:
            return AgentAnswer(problem=str(refusal))


@contextmanager
def _explained(problem: str) -> Iterator[None]:
    """Replace gloo's error by one that a user understands."""
    try:
        yield
    except PeerLost as loss:
        raise Refusal(problem) from loss


if __name__ == "__main__":
    main()
