"""Shortest remaining time first: who has least left to do goes first."""

from __future__ import annotations

from itertools import count

from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.order import Precedence
from hexplan.schedule.queueing.params import QueueParams
from hexplan.schedule.queueing.work import Work


class Srpt:
    """Shortest remaining time first, by the output that clients declare.

    One that has starved goes ahead of all that have not, until it has emitted a page.
    """

    may_stop, moves_many = True, False

    def __init__(self, work: Work, params: QueueParams) -> None:
        self._work, self._first_s = work, work.decode_s * params.starved_decodes
        self._first_left_s: dict[int, tuple[int, float]] = {}
        """Of those that go first: their order, and the work until they no longer do."""
        self._orders = count()

    def arrive(self, job: Job) -> None:
        """Take a request, whose precedence follows from what it says."""

    def admit(self, job: Job) -> None:
        """Note that a request runs."""

    def serve(self, job: Job, seconds: float) -> bool:
        """Note work: a request that went first may do so no longer."""
        if job.number not in self._first_left_s:
            return False
        order, left_s = self._first_left_s[job.number]
        if left_s > seconds:
            self._first_left_s[job.number] = order, left_s - seconds
            return False
        del self._first_left_s[job.number]
        return True

    def move_up(self, job: Job) -> None:
        """Let a request go first, behind others that do."""
        prompt_s = 0.0 if job.is_prefilled else self._work.prompt_s(job.prompt_tokens)
        self._first_left_s[job.number] = next(self._orders), prompt_s + self._first_s

    def leave(self, job: Job) -> None:
        """Forget a request."""
        self._first_left_s.pop(job.number, None)

    def precedence(self, job: Job) -> Precedence:
        """Return what is left of a request, or its place among those that go first."""
        if job.number in self._first_left_s:
            return 0.0, self._first_left_s[job.number][0]
        if job.is_prefilled:
            return 1.0, (job.declared_tokens - job.emitted) * self._work.decode_s
        return 1.0, self._work.request_s(job.prompt_tokens, job.declared_tokens)
