"""The engine's way to the stages of a launch and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from hexplan_runtime.batch import Batch, Limits, merge, regroup
from hexplan_runtime.engine.flight import EntryRow
from hexplan_runtime.launch.fleet import Fleet
from hexplan_runtime.net.edge_sender import EdgeSender
from hexplan_runtime.net.gloo import PeerLost
from hexplan_runtime.net.transport import Sends


class FleetLinks:
    """Sends over the entry edges, and takes the news of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.senders: Mapping[str, Sends] = {}
        """The entry edges, once they are up."""

    def next_news(self) -> Batch | None:
        """Wait for what a last stage says; None once somebody has called `wake`."""
        news = self._fleet.next_news()
        assert news is None or isinstance(news, Batch)
        return news

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

    def close(self) -> None:
        """Send no more."""
        for sender in self.senders.values():
            if isinstance(sender, EdgeSender):
                sender.close()

    def _send_to(self, stage: str, batches: Iterable[Batch]) -> None:
        try:
            for batch in batches:
                self.senders[stage].send(batch)
        except PeerLost as loss:
            self._fleet.tell(loss)


def _as_batch(entry: EntryRow) -> Batch:
    ids = torch.tensor(entry.token_ids, dtype=torch.int64) if entry.token_ids else None
    return Batch((entry.row,), ids)
