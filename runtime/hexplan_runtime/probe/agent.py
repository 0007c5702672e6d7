"""An agent: one process on a host, which says what is there and measures lines to other hosts.

Its task and then its orders come on stdin; the end of stdin ends it, whatever it is doing.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from queue import SimpleQueue
from threading import Thread
from typing import Final

import torch

from hexplan.errors import InputError
from hexplan_runtime.net.addresses import local_address
from hexplan_runtime.net.gloo import PeerLost, Rendezvous, join_store
from hexplan_runtime.probe.inventory import machine
from hexplan_runtime.probe.line import Line, follow, lead
from hexplan_runtime.probe.messages import Answer, Order, Task
from hexplan_runtime.processes.child import claim_stdout, die_with_parent, leave, say

_TRIES: Final = 5
"""How often gloo tries to reach a peer, each time as long as it is given."""


class Refusal(Exception):
    """Something cannot be done, and the message says why."""


def main() -> None:
    """Read the task, say what is here, and measure lines until there are no more."""
    answers = claim_stdout()
    die_with_parent()
    lines: SimpleQueue[bytes] = SimpleQueue()
    Thread(target=_read_stdin, args=(lines,), daemon=True, name="stdin").start()
    task = Task.model_validate_json(lines.get())
    torch.set_num_threads(1)  # as in the ranks of a launch
    try:
        place = Place.find(task)
    except Refusal as refusal:
        say(answers, Answer(problem=str(refusal)))
        leave(0)
    say(answers, Answer(machine=machine()))
    while True:
        say(answers, place.obey(Order.model_validate_json(lines.get())))


@dataclass(frozen=True, slots=True)
class Place:
    """Where this agent is."""

    task: Task
    address: str
    """In numbers."""

    @classmethod
    def find(cls, task: Task) -> Place:
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
        """Connect to the store, anew for each pair: a wait that was broken off may spoil one."""
        store, task = f"{self.task.store_address} port {self.task.store_port}", self.task
        with _explained(f"it cannot reach the store at {store}: a firewall, or another `--bind`?"):
            joined = join_store(
                task.store_port, datetime.timedelta(seconds=limit_s), task.store_address
            )
        patience = datetime.timedelta(seconds=limit_s / _TRIES)
        return Rendezvous(joined, task.nonce, patience, self.address)

    def obey(self, order: Order) -> Answer:
        """Measure one line, or say why that failed."""
        deadline_s = time.monotonic() + order.limit_s
        peer, limit = order.peer, f"within {order.limit_s:g} s"
        try:
            rendezvous = self.join(order.limit_s)
            with _explained(f"no connection with {peer} {limit}"):
                group = rendezvous.meet(order.meeting, order.rank, 2)
            line = Line(group, 1 - order.rank, deadline_s)
            with _explained(f"the line to {peer} broke, or was too slow to measure {limit}"):
                if order.rank == 1:
                    follow(line)
                    return Answer()
                figures = lead(line, is_forward=order.is_forward, is_backward=order.is_backward)
                return Answer(figures=figures)
        except Refusal as refusal:
            return Answer(problem=str(refusal))


@contextmanager
def _explained(problem: str) -> Iterator[None]:
    """Say in our words what gloo says in its own."""
    try:
        yield
    except PeerLost as loss:
        raise Refusal(problem) from loss


def _read_stdin(lines: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
