"""Renewing: a leader lets go of what is over, between two steps, and says when that is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hexplan.plan import Plan
from hexplan_runtime.batch import Batch
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.stage.edges import Ends
from hexplan_runtime.stage.messages import Renewal
from hexplan_runtime.stage.step_queue import StepQueue
from hexplan_runtime.stage.topology import edge_epochs


class Renewing:
    """Does renewals of one stage.

    Parameters
    ----------
    done
        Takes the number of each renewal whose requests hold nothing here any more.
    """

    def __init__(
        self, plan: Plan, stage: str, ends: Ends, steps: StepQueue, done: Callable[[int], None]
    ) -> None:
        self._plan, self._stage, self._steps, self._done = plan, stage, steps, done
        self._ends = ends
        self._ways = (*ends.senders.items(), *ends.back_senders.items())
        self._due: deque[Batch | int] = deque()
        """What ends requests, and after that the number of its renewal."""

    def reroute(self, plan: Plan) -> None:
        """Take other routes, whose edges are open."""
        self._plan = plan
        self._ways = (*self._ends.senders.items(), *self._ends.back_senders.items())

    def begin(self, renewal: Renewal) -> None:
        """Drop what waits, here and on the way out, of requests that are over."""
        ends = self._steps.renew(renewal)
        epochs = edge_epochs(self._plan, renewal.generations)
        ended = {row.request for batch in ends for row in batch.rows}
        for target, sender in self._ways:
            if isinstance(sender, EdgeSender):
                sender.renew(epochs[self._stage, target], self._steps.tenants.is_over, ended)
        self._due += [*ends, renewal.number]

    def next_end(self) -> Batch | None:
        """Return rows that end requests in this stage and go no further; None if none are due."""
        while self._due:
            due = self._due.popleft()
            if isinstance(due, Batch):
                self._steps.tenants.note(due)
                return due
            self._done(due)
        return None
