"""What a rank does in each step besides its layers: messages, the queue, and places in the cache.

It is timed right after layers have run, as between two steps: their weights have driven everything
else out of the processor's caches, so that the work takes several times as long as it does when it
is repeated by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

import torch

from hexplan.schedule.step import next_step
from hexplan.step_limits import StepLimits
from hexplan_runtime.batch import MAX_ROWS, Batch, Row, merge, single_rows
from hexplan_runtime.measure.clock import clock_between_steps
from hexplan_runtime.measure.devices import DeviceKind
from hexplan_runtime.model.kv_cache import KvCache
from hexplan_runtime.model.rotary import RotaryTable
from hexplan_runtime.model.step import spans_of, turns_of
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.messages import MessageEnds, socket_file
from hexplan_runtime.net.team import Team
from hexplan_runtime.net.wire import WireFormat
from hexplan_runtime.stage.mailbox import Loss, drain
from hexplan_runtime.stage.waiting_row import WaitingRow

_LIMITS = StepLimits(tokens=MAX_ROWS, decodes=MAX_ROWS)


class StepTimer:
    """An edge from a rank to itself, and the way of rows over it until layers can run them.

    Parameters
    ----------
    folder
        Where the edge's socket is.
    """

    def __init__(self, kind: DeviceKind, team: Team, wire: WireFormat, folder: Path) -> None:
        self._clock = clock_between_steps(kind, team)
        self._team, self._wire = team, wire
        self._arrived: SimpleQueue[Batch | Loss] = SimpleQueue()
        if team.is_leader:
            ends = MessageEnds(wire)
            drain(ends.receiver(socket_file(folder, 0)), self._arrived.put)
            self._edge = EdgeSender(ends.sender(socket_file(folder, 0)))

    def time_s(self, rows: Sequence[Row], cache: KvCache, rotary: RotaryTable) -> float:
        """Return the seconds from when rows leave a stage to when their layers can run."""
        x_TH = torch.zeros(len(rows), self._wire.hidden, dtype=self._wire.dtype)

        def run() -> None:
            batch = self._team.share(self._passed(Batch(tuple(rows), hidden=x_TH)))
            spans = spans_of(batch.rows)
            for row in batch.rows:
                cache.open(row.request, cache.arenas[0].layers[0], row.context_tokens)
            turns_of(spans, rotary)
            self._team.sum(torch.zeros(1))

        return self._clock(run)

    def _passed(self, batch: Batch) -> Batch | None:
        """Send a batch and take it, and return the next step's; the leader alone does."""
        if not self._team.is_leader:
            return None
        self._edge.send(batch)
        arrived = self._arrived.get()
        if isinstance(arrived, Exception):
            raise arrived
        waiting = [WaitingRow(0, single) for single in single_rows(arrived)]
        taken, _ = next_step(waiting, _LIMITS, MAX_ROWS)
        return merge([one.batch for one in taken])
