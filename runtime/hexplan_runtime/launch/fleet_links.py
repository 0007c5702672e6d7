"""The engine's way to the stages of a launch and back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import torch

from hexplan_runtime.batch import Batch, Limits, merge, regroup
from hexplan_runtime.engine.changes import Change, Renewal
from hexplan_runtime.engine.flight import EntryRow
from hexplan_runtime.launch.fleet import Fleet
from hexplan_runtime.net.transport import Sends
from hexplan_runtime.processes import Said

_LOOK_S: Final = 1.0
"""How often the engine looks at the clock while nothing happens."""


class FleetLinks:
    """Sends over the entry edges, and takes the news of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.senders: Mapping[str, Sends] = {}
        """The entry edges, once they are up."""

    def next_news(self) -> Batch | Change | None:
        """Wait for what a last stage says, or what happens to stages; None if `wake` was called."""
        news = self._fleet.next_news(time.monotonic() + _LOOK_S if self._fleet.mender else None)
        return None if isinstance(news, Said) else news

    def renew(self, renewal: Renewal) -> None:
        """Tell the stages that are left what is over, and start those that are lost again."""
        assert self._fleet.mender is not None
        self._fleet.mender.renew(renewal)

    def wake(self) -> None:
        """End a wait for news, from any thread."""
        self._fleet.tell(None)

    def send(self, rows: Sequence[EntryRow], limits: Limits) -> None:
        """Send rows in groups, as far as the limits go."""
        for stage in dict.fromkeys(row.stage for row in rows):
            mine = [_as_batch(row) for row in rows if row.stage == stage]
            self._send_to(stage, regroup(mine, limits))

    def send_together(self, rows: Sequence[EntryRow]) -> None:
        """Send rows for one stage in one message."""
        self._send_to(rows[0].stage, [merge([_as_batch(row) for row in rows])])

    def _send_to(self, stage: str, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self.senders[stage].send(batch)


def _as_batch(entry: EntryRow) -> Batch:
    ids = torch.tensor(entry.token_ids, dtype=torch.int64) if entry.token_ids else None
    return Batch((entry.row,), ids)
