"""The record of a simulation: a few numbers for each request, and snapshots."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hexplan_solver.simulate.params import SIMULATE_PARAMS
from hexplan_solver.simulate.request_state import RequestState
from hexplan_solver.simulate.token_group import TokenGroup

SHORTEST_GAP_S = 1e-9
"""Shorter gaps count as this: the histogram is logarithmic."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state at a moment; counts are since the start."""

    at_s: float
    arrived: int
    finished: int
    tokens: int
    """Tokens emitted."""
    decoded: int
    """Those of them that decodes gave, not prompts."""
    waiting: int
    """Requests not admitted."""
    running: int
    """Requests admitted and not finished."""
    busy_s: tuple[float, ...]
    """Per stage: time spent in steps."""
    kv_share: tuple[float, ...]
    """Per stage: share of the KV cache that is reserved."""
    queued_tokens: tuple[int, ...]
    """Per stage: tokens that wait at it."""


class Recorder:
    """Keeps what the outcome needs: 48 bytes a request, and what snapshots take."""

    def __init__(self) -> None:
        self.arrived = self.finished = self.turned_away = self.restarts = self.swaps = 0
        self.tokens = self.decoded = 0
        self.arrival_s, self.admitted_s = array("d"), array("d")
        self.first_s, self.last_s = array("d"), array("d")
        self.prompt_tokens, self.output_tokens = array("q"), array("q")
        self.snapshots: list[Snapshot] = []
        self.gaps: list[Counter[int]] = [Counter()]
        """Histograms of the time between two tokens of a request, one up to each snapshot."""

    def first_token(self, request: RequestState, now_s: float) -> None:
        """Note a request's first token, unless it was evicted and had one before."""
        if request.first_s < 0:
            request.first_s = now_s
        else:
            self.gaps[-1][_gap_step(now_s - request.last_s)] += 1
        request.last_s = now_s
        self.tokens += 1

    def tokens_of(self, group: TokenGroup, now_s: float) -> None:
        """Note one decoded token of each request."""
        gaps = self.gaps[-1]
        for request in group.requests:
            if request.first_s < 0:
                request.first_s = now_s
            else:
                gaps[_gap_step(now_s - request.last_s)] += 1
            request.last_s = now_s
        self.tokens += group.tokens
        self.decoded += group.tokens

    def done(self, request: RequestState) -> None:
        """Note a finished request."""
        self.finished += 1
        self.arrival_s.append(request.arrival_s)
        self.admitted_s.append(request.admitted_s)
        self.first_s.append(request.first_s)
        self.last_s.append(request.last_s)
        self.prompt_tokens.append(request.asked_prompt_tokens)
        self.output_tokens.append(request.asked_tokens)

    def take(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        self.snapshots.append(snapshot)
        self.gaps.append(Counter())


def _gap_step(gap_s: float) -> int:
    return math.floor(math.log(max(gap_s, SHORTEST_GAP_S)) * SIMULATE_PARAMS.gap_steps)


def detect_warmup(snapshots: Sequence[Snapshot]) -> int:
    """Return the snapshot at which the rate of tokens has settled, in the first half of the run.

    MSER-5: of the rate's means over five snapshots each, leave out as many as make the standard
    error of the mean of the rest smallest (White, "An effective truncation heuristic for bias
    reduction in simulation output", Simulation 69(6), 1997).
    """
    rates = [
        (after.tokens - before.tokens) / (after.at_s - before.at_s)
        for before, after in pairwise(snapshots)
        if after.at_s > before.at_s
    ]
    batch = SIMULATE_PARAMS.warmup_batch
    means = [sum(rates[i : i + batch]) / batch for i in range(0, len(rates) - batch + 1, batch)]
    best, first = float("inf"), 0
    for cut in range(len(means) // 2 + 1):
        rest = means[cut:]
        if len(rest) < 2:
            break
        mean = sum(rest) / len(rest)
        error = sum((value - mean) ** 2 for value in rest) / len(rest) ** 2
        if error < best:
            best, first = error, cut
    return min(first * batch, len(snapshots) - 2) if len(snapshots) > 2 else 0
