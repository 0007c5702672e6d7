"""An agent, with its task on stdin.

It checks its host, starts the ranks there when told so, and passes on what they say. It ends them
and itself when its stdin ends, or when the coordinator says nothing for too long.
"""

from __future__ import annotations

import time
from threading import Lock, Thread
from typing import NoReturn

from hexplan.errors import HexplanError
from hexplan_runtime.agent.checks import check_version, own_address
from hexplan_runtime.agent.looking import at_home, look_around
from hexplan_runtime.agent.messages import (
    BEAT_S,
    DEAD_MAN_S,
    HostGreeting,
    HostOrder,
    HostReport,
    HostSeen,
    HostTask,
)
from hexplan_runtime.agent.ranks import HostRanks
from hexplan_runtime.processes.child import Parent, leave
from hexplan_runtime.stage.messages import REFUSED

COORDINATOR_LOST = 77
"""Exit code of an agent that has heard nothing from its coordinator for too long."""


def run() -> NoReturn:
    """Check this host, and run its ranks until the coordinator wants no more."""
    parent = Parent()
    _beat(parent)
    try:
        check_version(parent.hear(HostGreeting))
        task = at_home(parent.hear(HostTask))
        address = own_address(task.address, may_be_public=task.may_be_public)
        ranks = HostRanks(task, address, parent.tell)  # so that spare ones read their libraries
        parent.before_leaving(ranks.stop)
        seen = _look_around(task, ranks)
    except HexplanError as error:
        refused = HostReport(event="refused", message=error.message, hint=error.hint)
        parent.tell(refused)
        leave(REFUSED)
    parent.tell(HostReport(event="checked", seen=seen))
    _obey(parent, ranks)


def _look_around(task: HostTask, ranks: HostRanks) -> HostSeen:
    """Return what is here; no rank is left if something is not as it should be."""
    try:
        return look_around(task)
    except HexplanError:
        ranks.stop()
        raise


def _obey(parent: Parent, ranks: HostRanks) -> NoReturn:
    """Do what the coordinator orders, as long as it lives."""
    heard = _LastHeard(ranks)
    while True:
        order = parent.hear(HostOrder)
        heard.note()
        if order.change is not None:
            ranks.take(order.change)
        if order.start:
            ranks.start()
        if order.end_stage is not None:
            ranks.end_stage(order.end_stage)
        if order.start_stage is not None:
            ranks.start_stage(order.start_stage)
        if order.words:
            ranks.tell_words()
        if order.rank is not None and order.line is not None:
            ranks.tell(order.rank, order.line)


def _beat(parent: Parent) -> None:
    """Say that this agent lives, for ever."""

    def run() -> None:
        while True:
            time.sleep(BEAT_S)
            parent.tell(HostReport())

    Thread(target=run, daemon=True, name="beat").start()


class _LastHeard:
    """Ends everything if the coordinator has said nothing for too long."""

    def __init__(self, ranks: HostRanks) -> None:
        self._ranks = ranks
        self._lock = Lock()
        self._silent_looks = 0
        Thread(target=self._watch, daemon=True, name="dead man").start()

    def note(self) -> None:
        """Note that the coordinator has said something."""
        with self._lock:
            self._silent_looks = 0

    def _watch(self) -> None:
        while True:
            time.sleep(BEAT_S)
            with self._lock:  # looks, not seconds: those pass while this process is held up, too
                self._silent_looks += 1
                is_lost = self._silent_looks > DEAD_MAN_S / BEAT_S
            if is_lost:
                self._ranks.stop()
                leave(COORDINATOR_LOST)
