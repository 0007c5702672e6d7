"""The request queue: all requests of a launch, in the order in which they may run."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from hexplan.schedule.queueing.fair import Fair
from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.mlfq import Mlfq
from hexplan.schedule.queueing.order import Fcfs, Order, Precedence
from hexplan.schedule.queueing.params import QUEUE_PARAMS, QueueParams
from hexplan.schedule.queueing.srpt import Srpt
from hexplan.schedule.queueing.work import Work
from hexplan.techniques import QueueName

Key = tuple[Precedence, int]
"""A precedence, and the number of its request, so that equal ones go by arrival."""


class RequestQueue:
    """Orders requests from their arrival to their end, whether they wait, run or made way.

    Times are given by whoever calls, of any clock that never goes back.
    """

    def __init__(self, name: QueueName, work: Work, params: QueueParams = QUEUE_PARAMS) -> None:
        self.work = work
        self._order = order_of(name, work, params)
        self._jobs: dict[int, Job] = {}
        self._keys: dict[int, Key] = {}
        self._sorted: list[Key] = []
        """All keys, the first to run first; those of an order that moves many are sorted late."""
        self._starve_s = params.starve_s if self._order.may_stop else float("inf")
        self._look_at_s = float("inf")
        self.has_changed = False
        """Whether the order may be another one than that that `ordered` gave last."""

    @property
    def may_stop(self) -> bool:
        """Whether a request that runs makes way for one of higher precedence."""
        return self._order.may_stop

    def __contains__(self, number: int) -> bool:
        return number in self._jobs

    def arrive(self, job: Job, now_s: float) -> None:
        """Take a request; the clock of its starvation starts now."""
        job.served_at_s = now_s
        self._jobs[job.number] = job
        self._order.arrive(job)
        self._place(job)
        self._look_at_s = min(self._look_at_s, now_s + self._starve_s)
        self.has_changed = True

    def admit(self, number: int) -> None:
        """Note that a request runs; the first time counts."""
        job = self._jobs[number]
        if not job.is_admitted:
            self._order.admit(job)
            job.is_admitted = True

    def emit(self, number: int, now_s: float) -> None:
        """Note a token that a request emitted: by its prompt's pass the first, then by decodes.

        A prompt that is run again, after its request made way, is no service.
        """
        job = self._jobs[number]
        seconds = self.work.decode_s if job.is_prefilled else self.work.prompt_s(job.prompt_tokens)
        job.is_prefilled, job.is_starved = True, False
        job.emitted += 1
        job.served_at_s = now_s
        self.has_changed = self._order.serve(job, seconds) or self.has_changed
        self._place(job)

    def leave(self, number: int) -> None:
        """Forget a request that is over; one that is not known is left."""
        job = self._jobs.pop(number, None)
        if job is not None:
            self._order.leave(job)
            self._remove(self._keys.pop(number))
            self.has_changed = True

    def must_order(self, now_s: float) -> bool:
        """Say whether the order may have changed, or somebody may have starved."""
        return self.has_changed or now_s >= self._look_at_s

    def ordered(self, now_s: float) -> list[int]:
        """Return all requests, the one that should run first; who has starved is moved up."""
        self.has_changed = False
        if now_s >= self._look_at_s:
            self._move_up(now_s)
        if self._order.moves_many:
            for job in self._jobs.values():
                self._keys[job.number] = self._order.precedence(job), job.number
            self._sorted = sorted(self._keys.values())
        return [number for _, number in self._sorted]

    def in_order(self, numbers: Iterable[int]) -> list[int]:
        """Return some requests as `ordered` does."""
        return sorted(numbers, key=self._keys.__getitem__)

    def _move_up(self, now_s: float) -> None:
        waits = [float("inf")]
        for job in self._jobs.values():
            if not job.is_starved and now_s - job.served_at_s >= self._starve_s:
                self._order.move_up(job)
                job.is_starved = True
                self._place(job)
            if not job.is_starved:
                waits.append(job.served_at_s)
        self._look_at_s = min(waits) + self._starve_s

    def _place(self, job: Job) -> None:
        """Sort a request in again, if its precedence is another one."""
        key, had = (self._order.precedence(job), job.number), self._keys.get(job.number)
        if key != had:
            if had is not None:
                self._remove(had)
            self._keys[job.number] = key
            insort(self._sorted, key)

    def _remove(self, key: Key) -> None:
        del self._sorted[bisect_left(self._sorted, key)]


def order_of(name: QueueName, work: Work, params: QueueParams = QUEUE_PARAMS) -> Order:
    """Return the order that a queue goes by."""
    if name == "mlfq":
        return Mlfq(work, params)
    if name == "srpt":
        return Srpt(work, params)
    return Fair(params) if name == "fair" else Fcfs()
