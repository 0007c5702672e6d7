"""Skip-join multi-level feedback queue: who was served little goes first."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Final

from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.order import Precedence
from hexplan.schedule.queueing.params import QueueParams
from hexplan.schedule.queueing.work import Work

_TINY: Final = 1e-9
"""Sums of equal steps are to reach a quantum that is a multiple of them, however they round."""


@dataclass(slots=True)
class _Place:
    """Where a request stands in the levels."""

    level: int
    order: int
    """Its place in the level: a request that stays in it keeps that."""
    used_s: float = 0.0
    """Work done for it on this level."""


class Mlfq:
    """Skip-join multi-level feedback queue (Wu et al., "FastServe", arXiv 2305.05920).

    Level p has the quantum q0 r^p. A request joins the first level whose quantum its prompt does
    not exceed, so that nobody has to wait for a long prompt in the first ones. Where its work on a
    level has reached the quantum, it goes to the end of the next. One that has starved goes to the
    end of the first level.
    """

    may_stop, moves_many = True, False

    def __init__(self, work: Work, params: QueueParams) -> None:
        self._work, self._growth = work, params.quantum_growth
        self._first_s = work.decode_s * params.first_quantum_decodes
        self._places: dict[int, _Place] = {}
        self._orders = count()

    def arrive(self, job: Job) -> None:
        """Let a request join the level of its prompt."""
        level, prompt_s = 0, self._work.prompt_s(job.prompt_tokens)
        while self._quantum_s(level) < prompt_s:
            level += 1
        self._join(job, level)

    def admit(self, job: Job) -> None:
        """Note that a request runs."""

    def serve(self, job: Job, seconds: float) -> bool:
        """Move a request down a level if it has used its quantum up."""
        place = self._places[job.number]
        place.used_s += seconds
        if place.used_s < self._quantum_s(place.level) * (1 - _TINY):
            return False
        self._join(job, place.level + 1)
        return True

    def move_up(self, job: Job) -> None:
        """Move a request to the end of the first level."""
        self._join(job, 0)

    def leave(self, job: Job) -> None:
        """Forget a request."""
        del self._places[job.number]

    def precedence(self, job: Job) -> Precedence:
        """Return its level, and its place there."""
        place = self._places[job.number]
        return place.level, place.order

    def level(self, job: Job) -> int:
        """Return the level of a request."""
        return self._places[job.number].level

    def _join(self, job: Job, level: int) -> None:
        self._places[job.number] = _Place(level, next(self._orders))

    def _quantum_s(self, level: int) -> float:
        return self._first_s * self._growth**level
