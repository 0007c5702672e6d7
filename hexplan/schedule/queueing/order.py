"""Orders: by what requests are compared. Each keeps what it must know of them, and no clock."""

from __future__ import annotations

from typing import Protocol

from hexplan.schedule.queueing.job import Job

Precedence = tuple[float, float]
"""What requests are sorted by; the least is first, and equal ones go by their arrival."""


class Order(Protocol):
    """How requests are ordered."""

    may_stop: bool
    """Whether a request that runs makes way for one of higher precedence."""
    moves_many: bool
    """Whether service of one request changes the precedence of others."""

    def arrive(self, job: Job) -> None:
        """Take a request that waits from now on."""

    def admit(self, job: Job) -> None:
        """Note that a request runs for the first time."""

    def serve(self, job: Job, seconds: float) -> bool:
        """Note work that was done for a request; say whether it has sunk."""

    def move_up(self, job: Job) -> None:
        """Let a request that has starved go first; asked only where some may have to stop."""

    def leave(self, job: Job) -> None:
        """Forget a request that is over."""

    def precedence(self, job: Job) -> Precedence:
        """Return the precedence of a request."""


class Fcfs:
    """First come, first served."""

    may_stop = moves_many = False

    def arrive(self, job: Job) -> None:
        """Take a request; its number is its place."""

    def admit(self, job: Job) -> None:
        """Note that a request runs."""

    def serve(self, job: Job, seconds: float) -> bool:
        """Note work; it changes nothing."""
        return False

    def move_up(self, job: Job) -> None:
        """Let a request be: what waits longest is first anyway."""

    def leave(self, job: Job) -> None:
        """Forget a request."""

    def precedence(self, job: Job) -> Precedence:
        """Return its place in the order of arrival."""
        return 0.0, job.number
