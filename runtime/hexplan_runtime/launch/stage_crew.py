"""The crews of stages: where the ranks of one stage are started again, and ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from hexplan_runtime.launch.agents import Agents
from hexplan_runtime.processes import Child, Command, Spares, Supervisor
from hexplan_runtime.stage.messages import Assignment, Report


class LocalCrews:
    """Starts ranks on this machine.

    Parameters
    ----------
    spares
        How many ranks wait with their libraries read.
    """

    def __init__(self, supervisor: Supervisor[Report], command: Command, spares: int = 0) -> None:
        self._supervisor = supervisor
        self._spares = Spares(supervisor, command, spares)

    def prepare(self, stage: int, assignment: Assignment) -> None:
        """Do nothing: this machine is here."""

    def start_again(self, names: Sequence[str], assignment: Assignment) -> Sequence[Child]:
        """Start all ranks of the assignment's stage."""
        ranks = []
        for rank, name in enumerate(names):
            child = self._spares.take(name)
            child.tell(assignment.model_copy(update={"rank": rank}))
            ranks.append(child)
        return ranks

    def end(self, stage: int, ranks: Sequence[Child]) -> None:
        """End the ranks of a stage by force, and reap them."""
        self._supervisor.kill([one for one in self._supervisor.children if one in ranks])


class HostCrews:
    """Starts ranks on the plan's hosts, and their agents where they are lost.

    Parameters
    ----------
    timeout_s
        How long a host may take until its agent is checked.
    """

    def __init__(self, agents: Agents, timeout_s: float) -> None:
        self._agents = agents
        self._timeout_s = timeout_s

    def prepare(self, stage: int, assignment: Assignment) -> None:
        """Start the agent of the stage's host again if it is lost."""
        self._agents.revive(stage, time.monotonic() + self._timeout_s)

    def start_again(self, names: Sequence[str], assignment: Assignment) -> Sequence[Child]:
        """Start all ranks of the assignment's stage."""
        return self._agents.start_again(names, assignment)

    def end(self, stage: int, ranks: Sequence[Child]) -> None:
        """Have the agent end the ranks of a stage, if it lives."""
        self._agents.end_stage(stage)


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

    def end(self, stage: int, ranks: Sequence[Child]) -> None:
        """End the ranks of a stage by force."""
