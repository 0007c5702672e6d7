"""The request queue: all requests of a launch, in the order in which they may run."""

from __future__ import annotations

from hexplan.schedule.queueing.fair import Fair
from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.mlfq import Mlfq
from hexplan.schedule.queueing.order import Fcfs, Order
from hexplan.schedule.queueing.params import QUEUE_PARAMS, QueueParams
from hexplan.schedule.queueing.srpt import Srpt
from hexplan.schedule.queueing.work import Work
from hexplan.techniques import QueueName


class RequestQueue:
    """Ranks requests from their arrival to their end, whether they wait, run or made way.

    Times are given by whoever calls, of any clock that never goes back.
    """

    def __init__(self, name: QueueName, work: Work, params: QueueParams = QUEUE_PARAMS) -> None:
        self.work = work
        self._order = order_of(name, work, params)
        self._jobs: dict[int, Job] = {}
        self._starve_s = params.starve_s if self._order.may_stop else float("inf")
        self._look_at_s = float("inf")
        self.has_changed = False
        """Whether the ranks may be others than those that `ranked` gave last."""

    @property
    def may_stop(self) -> bool:
        """Whether a request that runs makes way for one of a better rank."""
        return self._order.may_stop

    def __contains__(self, number: int) -> bool:
        return number in self._jobs

    def arrive(self, job: Job, now_s: float) -> None:
        """Take a request; the clock of its starvation starts now."""
        job.served_at_s = now_s
        self._jobs[job.number] = job
        self._order.arrive(job)
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

    def leave(self, number: int) -> None:
        """Forget a request that is over; one that is not known is left."""
        job = self._jobs.pop(number, None)
        if job is not None:
            self._order.leave(job)
            self.has_changed = True

    def must_rank(self, now_s: float) -> bool:
        """Say whether ranks may have changed, or somebody may have starved."""
        return self.has_changed or now_s >= self._look_at_s

    def ranked(self, now_s: float) -> list[int]:
        """Return all requests, the one that should run first; who has starved is moved up."""
        self.has_changed = False
        for job in self._jobs.values():
            if not job.is_starved and now_s - job.served_at_s >= self._starve_s:
                self._order.move_up(job)
                job.is_starved = True
        waits = [job.served_at_s for job in self._jobs.values() if not job.is_starved]
        self._look_at_s = min(waits, default=float("inf")) + self._starve_s
        rank = self._order.rank
        order = sorted(self._jobs.values(), key=lambda job: (rank(job), job.number))
        return [job.number for job in order]


def order_of(name: QueueName, work: Work, params: QueueParams = QUEUE_PARAMS) -> Order:
    """Return the order that a queue goes by."""
    if name == "mlfq":
        return Mlfq(work, params)
    if name == "srpt":
        return Srpt(work, params)
    return Fair(params) if name == "fair" else Fcfs()
