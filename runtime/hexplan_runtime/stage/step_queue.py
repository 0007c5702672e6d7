"""The step queue: what waits at a stage becomes steps. No threads, no edges, no clock."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.plan import Plan
from hexplan.schedule.limits import step_limits_of
from hexplan.schedule.step import next_step
from hexplan_runtime.batch import MAX_ROWS, Batch, merge, single_rows
from hexplan_runtime.stage.messages import Renewal
from hexplan_runtime.stage.rounds import Rounds
from hexplan_runtime.stage.tenants import Tenants
from hexplan_runtime.stage.waiting_row import WaitingRow


class StepQueue:
    """Gathers what has arrived at a stage into steps within the plan's limits."""

    def __init__(self, plan: Plan, stage: str) -> None:
        self._limits = step_limits_of(plan)
        self._waiting: list[WaitingRow] = []
        self._rounds = Rounds(plan, stage)
        self.tenants = Tenants()

    def reroute(self, plan: Plan) -> None:
        """Take other routes, and the limits of their steps."""
        self._limits = step_limits_of(plan)
        self._rounds.grow(plan)

    def take(self, batch: Batch, enter_layer: int) -> None:
        """Take a batch that came from the router or another stage, and enters at a layer."""
        singles = self._wanted(batch)
        self._add(enter_layer, [self._rounds.enter(single) for single in singles])

    def take_back(self, batch: Batch) -> None:
        """Take tokens that come back from the last stage of a route that begins here."""
        self._add(0, [self._rounds.come_back(single) for single in self._wanted(batch)])

    def renew(self, renewal: Renewal) -> list[Batch]:
        """Drop what waits of requests that are over, and return what ends them here."""
        self.tenants.renew(renewal)
        is_over = self.tenants.is_over
        ends = list(self.tenants.ends())
        over = [one.row for one in self._waiting if is_over(one.row)]
        over += [row for batch in ends for row in batch.rows]
        self._waiting = [one for one in self._waiting if not is_over(one.row)]
        for row in over:
            self._rounds.forget(row)
        return ends

    def next_batch(self) -> Batch | None:
        """Return what one step may hold of what is here; None if nothing is.

        The rows stand in the order of the layer where they enter; one request's rows keep their
        order.
        """
        self._waiting += [WaitingRow(0, batch) for batch in self._rounds.take()]
        if not self._waiting:
            return None
        taken, self._waiting = next_step(self._waiting, self._limits, MAX_ROWS)
        taken.sort(key=lambda waiting: waiting.enter_layer)
        batch = merge([waiting.batch for waiting in taken])
        self.tenants.note(batch)
        return batch

    def _wanted(self, batch: Batch) -> list[Batch]:
        """Return the rows of a batch alone, but for those of requests that are over."""
        return [one for one in single_rows(batch) if not self.tenants.is_over(one.rows[0])]

    def _add(self, enter_layer: int, batches: Sequence[Batch | None]) -> None:
        """Let rows wait; the end of a request goes ahead, and drops its others."""
        rows = [WaitingRow(enter_layer, single) for single in batches if single is not None]
        ended = {waiting.row.request: waiting for waiting in rows if waiting.row.closes}
        if ended:
            left = [one for one in (*self._waiting, *rows) if one.row.request not in ended]
            self._waiting = [*ended.values(), *left]
        else:
            self._waiting += rows
