"""Links: what the engine needs of the edges between it and the stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hexplan_runtime.batch import Batch, Limits
from hexplan_runtime.engine.changes import Change, Renewal
from hexplan_runtime.engine.flight import EntryRow


class Links(Protocol):
    """The way to the stages and back."""

    def next_news(self) -> Batch | Change | None:
        """Wait for what a last stage says, or what happens to stages; None if `wake` was called.

        Raises
        ------
        HexplanError
            A rank failed.
        """

    def wake(self) -> None:
        """End a wait for news, from any thread."""

    def send(self, rows: Sequence[EntryRow], limits: Limits) -> None:
        """Send rows in groups, as far as the limits go."""

    def send_together(self, rows: Sequence[EntryRow]) -> None:
        """Send rows for one stage in one message."""

    def renew(self, renewal: Renewal) -> None:
        """Tell the stages that are left what is over, and start those that are lost again."""
