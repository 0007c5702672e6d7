"""Orders: what a rank that is up hears from its launcher, in a thread of its own."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Thread
from typing import NoReturn

from hexplan.errors import HexplanError
from hexplan_runtime.processes.child import Parent
from hexplan_runtime.stage.mailbox import Inbox, Outbox
from hexplan_runtime.stage.messages import Directory, RankOrder, Renewal, Report, Rerouting
from hexplan_runtime.stage.rewiring import Rewiring
from hexplan_runtime.stage.stage import Stage


@dataclass(frozen=True, slots=True)
class Leader:
    """What a leader has that others of its team do not have."""

    inbox: Inbox
    outbox: Outbox
    rewiring: Rewiring


class Orders:
    """Does what the launcher orders.

    Parameters
    ----------
    generations
        How often each stage of the plan was lost before this one started.
    """

    def __init__(
        self,
        launcher: Parent,
        stage: Stage,
        leader: Leader | None,
        generations: tuple[int, ...],
    ) -> None:
        self._launcher, self._stage, self._leader = launcher, stage, leader
        self._generations = generations
        self._rerouting: Rerouting | None = None
        """One that waits for the addresses of others."""

    def obey(self) -> None:
        """Begin to do what comes, for ever."""
        Thread(target=self._run, daemon=True, name="orders").start()

    def _run(self) -> NoReturn:
        while True:
            order = self._launcher.hear(RankOrder)
            if order.renewal is not None:
                self._renew(order.renewal)
            if order.rerouting is not None:
                self._reroute(order.rerouting)
            if order.directory is not None and self._rerouting is not None:
                self._finish(self._rerouting, order.directory)

    def _renew(self, renewal: Renewal) -> None:
        self._generations = renewal.generations
        if self._leader is not None:
            self._leader.inbox.renew(renewal)

    def _reroute(self, order: Rerouting) -> None:
        """Learn other routes; ends on other machines are called once it is known where they are."""
        if self._leader is None:
            self._stage.reroute(order.plan)
            self._launcher.tell(Report(event="rerouted", number=order.number))
            return
        try:
            listening = self._leader.rewiring.listen(order, self._generations)
        except HexplanError as error:
            self._refuse(order, error)
            return
        if listening or self._leader.rewiring.waits:
            self._rerouting = order
            self._launcher.tell(Report(event="listening", listening=listening, number=order.number))
        else:
            self._finish(order, None)

    def _finish(self, order: Rerouting, directory: Directory | None) -> None:
        """Open what is left to open, and let the next step know the new routes."""
        assert self._leader is not None
        leader, self._rerouting = self._leader, None
        try:
            leader.rewiring.call(directory)
        except HexplanError as error:
            self._refuse(order, error)
            return

        def adopt() -> None:
            self._stage.reroute(order.plan)
            leader.inbox.reroute(order.plan)
            leader.outbox.reroute(order.plan)
            self._launcher.tell(Report(event="rerouted", number=order.number))

        leader.inbox.between_steps(adopt)
        leader.rewiring.close_others(order.edges)

    def _refuse(self, order: Rerouting, error: HexplanError) -> None:
        """Say that the new routes cannot be; those so far go on."""
        report = Report(
            event="rerouted", number=order.number, message=error.message, hint=error.hint
        )
        self._launcher.tell(report)
