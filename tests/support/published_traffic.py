"""The requests that Helix's artifact simulates, drawn from Azure's conversations."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from pathlib import Path

from hexplan_solver.simulate import Replay, SampledLengths
from hexplan_solver.simulate.traces import read_trace
from hexplan_solver.simulate.traffic import Arrival

TRACE = Path(__file__).parents[2] / "benchmarks" / "traces" / "azure-conversation-2023.csv.gz"
INTERVAL_S, NUM_INTERVALS, ONLINE_S = 3, 1200, 1800
"""Its trace is an hour of counts, one for 3 s; half an hour of it is simulated."""
TRACE_S, FIRST_S = 3503, 0.68059
"""Whole seconds that the requests came in, and how far into a second the first came."""


@cache
def _kept() -> tuple[Arrival, ...]:
    """Requests that Helix keeps: of 4 to 2048 prompt tokens and 4 to 1024 output tokens."""
    return tuple(
        (at_s, prompt, output)
        for at_s, prompt, output in read_trace(TRACE)
        if 4 <= prompt <= 2048 and 4 <= output <= 1024
    )


@cache
def published_lengths() -> SampledLengths:
    """Return the lengths of the requests that Helix keeps."""
    return SampledLengths(tuple((prompt, output) for _, prompt, output in _kept()))


@cache
def _counts() -> tuple[int, ...]:
    """Return how many came in each interval, the trace being stretched to an hour."""
    came = Counter(int(at_s + FIRST_S) * NUM_INTERVALS // TRACE_S for at_s, _, _ in _kept())
    return tuple(came[interval] for interval in range(NUM_INTERVALS))


@cache
def published_arrivals(tokens_per_s: float, seed: int = 0) -> Replay:
    """Return the artifact's own requests for a load of so many prompt and output tokens a second.

    Each interval has the count of a random one of the trace, scaled; what rounding takes is given
    to the next.
    """
    rng, lengths, counts = random.Random(seed), published_lengths(), _counts()
    mean_tokens = sum(map(sum, lengths.pairs)) / len(lengths.pairs)
    scale = tokens_per_s / mean_tokens * INTERVAL_S * len(counts) / sum(counts)
    requests: list[Arrival] = []
    carried = 0.0
    for begin_s in range(0, ONLINE_S, INTERVAL_S):
        wanted = carried + scale * counts[rng.randrange(len(counts))]
        count = round(wanted)
        carried = wanted - count
        times_s = sorted(begin_s + INTERVAL_S * rng.random() for _ in range(count))
        requests += [(at_s, *lengths(rng)) for at_s in times_s]
    return Replay(tuple(requests))
