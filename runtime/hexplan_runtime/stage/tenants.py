"""Tenants: the requests that a stage holds something of, and which of them are over elsewhere.

When another stage is lost, the router ends what was on its routes without being able to send ends
through them. It tells each leader which requests that are, and the leader ends them in its stage.
"""

from __future__ import annotations

from collections.abc import Iterator

from hexplan_runtime.batch import MAX_ROWS, Batch, Row
from hexplan_runtime.request import GREEDY
from hexplan_runtime.stage.messages import Renewal


class Tenants:
    """Knows the route of each request that has run here and may still hold cache."""

    def __init__(self) -> None:
        self._routes: dict[int, int] = {}
        self._floors: tuple[int, ...] = ()
        self._others: set[int] = set()

    def note(self, batch: Batch) -> None:
        """Note what a step is about to run."""
        for row in batch.rows:
            if row.closes and not row.position:
                self._routes.pop(row.request, None)
            else:
                self._routes[row.request] = row.route

    def renew(self, renewal: Renewal) -> None:
        """Take what is over from now on."""
        self._floors = renewal.floors
        self._others |= set(renewal.others)

    def is_over(self, row: Row) -> bool:
        """Say whether a row is of a request that is over, so that nobody waits for it."""
        if not self._floors:
            return False
        return row.request < self._floors[row.route] or row.request in self._others

    def ends(self) -> Iterator[Batch]:
        """Yield what ends the requests here that are over."""
        rows = [_end(*one) for one in self._routes.items()]
        over = [row for row in rows if self.is_over(row)]
        for first in range(0, len(over), MAX_ROWS):
            yield Batch(tuple(over[first : first + MAX_ROWS]))


def _end(request: int, route: int) -> Row:
    return Row(request, route, 0, 0, 0, GREEDY, closes=True)
