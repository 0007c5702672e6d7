"""The load of a stage at a rate of requests: how busy it is, and what its decodes wait for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.served.request import MeanRequest
from hexplan_solver.served.scheduler import SCHEDULER
from hexplan_solver.served.visits import Stop


@dataclass(frozen=True, slots=True)
class Load:
    """What a stage does at a rate of requests."""

    busy: float
    """Share of the time in which it runs a step; 1 or more is beyond its capacity."""
    wait_s: float
    """Time that a visiting clump waits, and by which prompts lengthen its own step."""


def load_of(stop: Stop, arriving: float, request: MeanRequest) -> Load:
    """Return the load of a stage where so many requests per second arrive."""
    decode_steps_per_s = arriving * request.decode_tokens / stop.batch
    by_decodes = decode_steps_per_s * stop.decode_s
    prompt_tokens_per_s = arriving * request.prompt_tokens
    apart = by_decodes + prompt_tokens_per_s / stop.least * stop.prompt_s(stop.least)
    mixed = min(1.0, apart) ** SCHEDULER.mixing
    tokens, prompt_s = _prompt_step(stop, prompt_tokens_per_s, mixed)
    prompt_steps_per_s = prompt_tokens_per_s / tokens
    by_prompts = prompt_steps_per_s * prompt_s
    ride_s = stop.ride_s(tokens)
    saved_s = prompt_s - ride_s
    mixing = (by_decodes + by_prompts) / (1 + prompt_steps_per_s * saved_s)
    # No more steps hold both than there are steps of decodes.
    mixing = max(mixing, by_decodes + by_prompts - decode_steps_per_s * max(0.0, saved_s))
    full = arriving * stop.full_s
    # The busier a stage, the more waits for its next step: at last all of its steps are full.
    busy = max(full, min(mixing, full ** (1 / SCHEDULER.filling)))
    if busy >= 1:
        return Load(busy, math.inf)
    rides = min(1.0, mixed * prompt_steps_per_s / decode_steps_per_s)
    queue_s = SCHEDULER.waiting * by_prompts * prompt_s / (1 - busy) ** SERVED_PARAMS.congestion
    # Clumps of one route follow each other in step; those of another one come at any time.
    meeting_s = SCHEDULER.meeting * (1 - 1 / stop.streams) * busy / (1 - busy) * stop.decode_s
    return Load(busy, queue_s + meeting_s + SCHEDULER.riding * rides * ride_s)


def _prompt_step(stop: Stop, prompt_tokens_per_s: float, mixed: float) -> tuple[float, float]:
    """Return the prompt tokens of a step and their time; busy stages gather several prompts."""
    room = max(stop.chunk - mixed * stop.batch, stop.least_room)
    tokens = min(stop.least, room)
    prompt_s = stop.prompt_s(tokens)
    for _ in range(SERVED_PARAMS.rounds):
        gathered = min(room, prompt_tokens_per_s * (prompt_s + stop.decode_s))
        if gathered <= tokens:
            break
        tokens, prompt_s = gathered, stop.prompt_s(gathered)
    return tokens, prompt_s
