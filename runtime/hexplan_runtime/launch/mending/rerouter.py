"""The rerouter: which ranks know the routes of a plan that is being applied."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from hexplan.errors import HexplanError, LaunchError
from hexplan_runtime.processes import Child
from hexplan_runtime.stage.messages import (
    Assignment,
    Directory,
    Listening,
    RankOrder,
    Report,
    Rerouting,
)


class Rerouter:
    """Tells ranks their new routes, and hears of them.

    The mender's thread tells it what happens; any thread may look.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._order: Rerouting | None = None
        self._waiting: set[Child] = set()
        self._askers: dict[Child, bool] = {}
        """Leaders that wait for the addresses of others, and whether they are new."""
        self._away: frozenset[int] = frozenset()
        self._addresses: dict[int, str] = {}
        self._number = 0
        self._problem: HexplanError | None = None

    def begin(self, template: Assignment, away: frozenset[int]) -> None:
        """Begin with other edges, of which some are not known yet."""
        with self._lock:
            self._number += 1
            edges = template.edges
            self._order = Rerouting(number=self._number, plan=template.plan, edges=edges)
            known = template.directory.edges if template.directory is not None else ()
            self._addresses |= {one.edge: one.address for one in known}
            self._away, self._problem = away, None
            self._waiting.clear()
            self._askers.clear()

    def tell(self, ranks: Iterable[Child]) -> None:
        """Tell ranks of a stage that goes on."""
        with self._lock:
            assert self._order is not None
            for rank in ranks:
                self._waiting.add(rank)
                rank.tell(RankOrder(rerouting=self._order))

    def forget(self, ranks: Iterable[Child]) -> None:
        """Wait for these no more: they are lost."""
        with self._lock:
            for rank in ranks:
                self._waiting.discard(rank)
                self._askers.pop(rank, None)

    def hear(self, child: Child, report: Report, *, is_new: bool) -> None:
        """Take what a rank says of its routes, or where a leader listens."""
        with self._lock:
            if report.event == "rerouted":
                self._waiting.discard(child)
                if report.message:
                    message = f"{child.name}: {report.message}"
                    self._problem = LaunchError(message, hint=report.hint)
                return
            self._addresses |= {one.edge: one.address for one in report.listening}
            self._askers[child] = is_new
            self._answer()

    def _answer(self) -> None:
        """Tell those who wait where all ends listen, once that is known."""
        directory = self._directory()
        if directory is None:
            return
        for child, is_new in self._askers.items():
            child.tell(directory if is_new else RankOrder(directory=directory))
        self._askers.clear()

    def _directory(self) -> Directory | None:
        if not self._away <= self._addresses.keys():
            return None
        edges = (Listening(edge=n, address=where) for n, where in self._addresses.items())
        return Directory(edges=tuple(edges))

    @property
    def order(self) -> Rerouting:
        """The plan, and the edges that there are now."""
        with self._lock:
            assert self._order is not None
            return self._order

    @property
    def directory(self) -> Directory | None:
        """Where ends between machines listen, once all are known."""
        with self._lock:
            return self._directory()

    @property
    def is_done(self) -> bool:
        """Whether all ranks that go on know the new routes.

        Raises
        ------
        LaunchError
            One of them could not open its new edges.
        """
        with self._lock:
            if self._problem is not None:
                raise self._problem
            return not self._waiting
