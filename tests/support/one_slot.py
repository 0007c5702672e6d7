"""A server that runs one request at a time, by which orders of requests are worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hexplan.schedule.queueing.job import Job
from hexplan.schedule.queueing.request_queue import RequestQueue


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: when it comes, and how many tokens it has."""

    at_s: float
    prompt_tokens: int
    output_tokens: int
    client: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """A step of one request, `[first, end)`."""

    first_s: float
    end_s: float
    number: int


def run_alone(queue: RequestQueue, asked: Sequence[Asked]) -> list[Ran]:
    """Run steps of one request each, a prompt or a decode, until all have emitted their tokens.

    A request that has begun goes on to its end, unless the queue may stop it. What arrives while a
    step runs, or at its end, is taken before the step's own request is.
    """
    ran: list[Ran] = []
    now_s = 0.0
    left = {number: one.output_tokens for number, one in enumerate(asked)}
    due = sorted(left, key=lambda number: (asked[number].at_s, number))
    while left:
        _arrive(queue, asked, due, now_s)
        ordered = queue.ordered(now_s)
        if not ordered:
            now_s = asked[due[0]].at_s
            continue
        goes_on = not queue.may_stop and ran and ran[-1].number in left
        number = ran[-1].number if goes_on else ordered[0]
        is_first = left[number] == asked[number].output_tokens
        prompt_s = queue.work.prompt_s(asked[number].prompt_tokens)
        end_s = now_s + (prompt_s if is_first else queue.work.decode_s)
        ran.append(Ran(now_s, end_s, number))
        now_s = end_s
        _arrive(queue, asked, due, now_s)
        queue.admit(number)
        queue.emit(number, now_s)
        left[number] -= 1
        if not left[number]:
            del left[number]
            queue.leave(number)
    return ran


def completions(ran: Sequence[Ran], asked: Sequence[Asked]) -> list[float]:
    """Return how long each request took from its arrival to its last token."""
    ends = {one.number: one.end_s for one in ran}
    return [ends[number] - one.at_s for number, one in enumerate(asked)]


def _arrive(queue: RequestQueue, asked: Sequence[Asked], due: list[int], now_s: float) -> None:
    while due and asked[due[0]].at_s <= now_s:
        number = due.pop(0)
        one = asked[number]
        job = Job(number, one.prompt_tokens, one.output_tokens, one.client)
        queue.arrive(job, one.at_s)
