"""The crews of stages: where the ranks of one stage are started again, and ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hexplan_runtime.processes import Child, Supervisor
from hexplan_runtime.stage.messages import Assignment, Report


class LocalCrews:
    """Starts ranks on this machine.

    Parameters
    ----------
    start
        Starts a rank of this name.
    """

    def __init__(
        self, supervisor: Supervisor[Report], start: Callable[[str, Assignment], Child]
    ) -> None:
        self._supervisor = supervisor
        self._start = start

    def prepare(self, stage: int, assignment: Assignment) -> None:
        """Do nothing: this machine is here."""

    def start_again(self, names: Sequence[str], assignment: Assignment) -> Sequence[Child]:
        """Start all ranks of the assignment's stage."""
        return [
            self._start(name, assignment.model_copy(update={"rank": rank}))
            for rank, name in enumerate(names)
        ]

    def end(self, ranks: Sequence[Child]) -> None:
        """End ranks by force, and reap them."""
        self._supervisor.kill([one for one in self._supervisor.children if one in ranks])


class Crews(Protocol):
    """Starts and ends the ranks of single stages, here or on the plan's hosts."""

    def prepare(self, stage: int, assignment: Assignment) -> None:
        """Do what a start of a stage needs first, however long it takes.

        Raises
        ------
        HexplanError
            Its host is of no use.
        """

    def start_again(self, names: Sequence[str], assignment: Assignment) -> Sequence[Child]:
        """Start all ranks of the assignment's stage, and return them in their order.

        Parameters
        ----------
        names
            Of the ranks, in their order.

        Raises
        ------
        LaunchError
            They cannot be started.
        """

    def end(self, ranks: Sequence[Child]) -> None:
        """End ranks by force, and wait until they are gone, as far as that can be seen."""
