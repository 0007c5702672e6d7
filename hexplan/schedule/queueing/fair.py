"""Fairness by client: whose requests were served least goes first."""

from __future__ import annotations

from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.order import Precedence
from hexplan.schedule.queueing.params import QueueParams


class Fair:
    """The client that was served least goes first (Sheng et al., OSDI 2024: virtual token counter).

    Prompts count when they are admitted, outputs as they come. A client that comes back begins with
    no less than the least of those that wait, so that nobody saves service up. Who runs goes on:
    what two clients that always wait have been served differs by a bounded amount nevertheless.
    """

    may_stop, moves_many = False, True

    def __init__(self, params: QueueParams) -> None:
        self._params = params
        self._counters: dict[str, float] = {}
        self._waiting: dict[str, int] = {}
        """Requests of each client that wait to be admitted."""
        self._last_s = 0.0
        """The counter of the client whose last request was admitted when nobody else waited."""

    def arrive(self, job: Job) -> None:
        """Lift the counter of a client that did not wait."""
        client = job.client
        if client not in self._waiting:
            least = min((self._counters[other] for other in self._waiting), default=self._last_s)
            self._counters[client] = max(self._counters.get(client, 0.0), least)
        self._waiting[client] = self._waiting.get(client, 0) + 1

    def admit(self, job: Job) -> None:
        """Count a prompt."""
        self._counters[job.client] += self._params.prompt_weight * job.prompt_tokens
        self._stop_waiting(job)

    def serve(self, job: Job, seconds: float) -> bool:
        """Count a token that was emitted."""
        self._counters[job.client] += self._params.output_weight
        return False

    def move_up(self, job: Job) -> None:
        """Let a request be: those of one client wait for each other, and clients do not starve."""

    def leave(self, job: Job) -> None:
        """Forget a request, which may never have been admitted."""
        if not job.is_admitted:
            self._stop_waiting(job)

    def precedence(self, job: Job) -> Precedence:
        """Return what its client has been served."""
        return self._counters[job.client], job.number

    def _stop_waiting(self, job: Job) -> None:
        client = job.client
        self._waiting[client] -= 1
        if not self._waiting[client]:
            del self._waiting[client]
            self._last_s = self._counters[client]
