"""Traffic: when requests come, and how long they are."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hexplan.workload import Lengths

Tokens = tuple[int, int]
"""Prompt tokens and output tokens of a request."""
LengthSource = Callable[[random.Random], Tokens]
Arrival = tuple[float, int, int]
"""Time in seconds, prompt tokens, output tokens."""


@dataclass(frozen=True, slots=True)
class FixedLengths:
    """Every request is the same."""

    prompt_tokens: int
    output_tokens: int

    def __call__(self, rng: random.Random) -> Tokens:
        """Return the lengths."""
        return self.prompt_tokens, self.output_tokens


@dataclass(frozen=True, slots=True)
class SampledLengths:
    """Pairs drawn with replacement from those of a trace."""

    pairs: tuple[Tokens, ...]

    def __call__(self, rng: random.Random) -> Tokens:
        """Draw a pair."""
        return self.pairs[rng.randrange(len(self.pairs))]


class SpreadLengths:
    """Independent lengths from 1 to a maximum with a given mean, spread as evenly as that allows.

    It is the distribution of largest entropy: a truncated geometric one.
    """

    def __init__(self, prompt: Lengths, output: Lengths) -> None:
        self._prompt = _TruncatedGeometric(prompt.mean, prompt.max)
        self._output = _TruncatedGeometric(output.mean, output.max)

    def __call__(self, rng: random.Random) -> Tokens:
        """Draw a pair."""
        return self._prompt.draw(rng), self._output.draw(rng)


class _TruncatedGeometric:
    """P(n) in proportion to exp(-decay n) for n = 1 .. longest; below 0 it leans to the top."""

    def __init__(self, mean: int, longest: int) -> None:
        self._longest, self._mean = longest, mean
        low, high = -50.0, 50.0
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if _mean(middle, longest) > mean else (low, middle)
        self._decay = low

    def draw(self, rng: random.Random) -> int:
        """Draw by inverting the distribution function."""
        if self._mean == self._longest:
            return self._longest
        share, decay = rng.random(), self._decay
        if abs(decay) * self._longest < 1e-9:
            return 1 + int(share * self._longest)
        whole = -math.expm1(-decay * self._longest)
        length = 1 + int(-math.log1p(-share * whole) / decay)
        return min(length, self._longest)


def _mean(decay: float, longest: int) -> float:
    if abs(decay) * longest < 1e-9:
        return (longest + 1) / 2
    # 1 / (1 - exp(-d)) - m / (exp(d m) - 1), each term free of overflow
    tail = 0.0 if decay * longest > 700 else longest / math.expm1(decay * longest)
    return 1 / -math.expm1(-decay) - tail


@dataclass(frozen=True, slots=True)
class Poisson:
    """Arrivals at random and independent, so many a second in the mean."""

    requests_per_s: float
    lengths: LengthSource

    def arrivals(self, rng: random.Random) -> Iterator[Arrival]:
        """Yield requests for ever."""
        now_s = 0.0
        while True:
            now_s += rng.expovariate(self.requests_per_s)
            yield (now_s, *self.lengths(rng))


@dataclass(frozen=True, slots=True)
class Constant:
    """Arrivals at even distances."""

    requests_per_s: float
    lengths: LengthSource

    def arrivals(self, rng: random.Random) -> Iterator[Arrival]:
        """Yield requests for ever, the first after one distance."""
        number = 0
        while True:
            number += 1
            yield (number / self.requests_per_s, *self.lengths(rng))


@dataclass(frozen=True, slots=True)
class Replay:
    """Arrivals of a trace; `speedup` 2 lets them come twice as fast."""

    requests: tuple[Arrival, ...]
    speedup: float = 1.0
    clients: tuple[str, ...] = ()
    """Who sends each request, in the order of the requests; one client all of them if empty."""

    def arrivals(self, rng: random.Random) -> Iterator[Arrival]:
        """Yield the requests of the trace."""
        for at_s, prompt_tokens, output_tokens in self.requests:
            yield at_s / self.speedup, prompt_tokens, output_tokens


@dataclass(frozen=True, slots=True)
class Offline:
    """As many requests as the KV cache takes (Helix's offline feeder).

    `initial` requests come `gap_s` apart. Whenever a prompt or a request is done, none waits and no
    layer has more than `high_water` of its KV cache reserved, one more comes `gap_s` later.
    """

    lengths: LengthSource
    initial: int = 20
    high_water: float = 0.8
    gap_s: float = 0.1
    turns_away: bool = False
    """Whether a request for which no route has room goes away, as Helix's feeder lets it, instead
    of waiting. Long requests go most often, so that those served are shorter than what comes."""

    def arrivals(self, rng: random.Random) -> Iterator[Arrival]:
        """Yield the initial requests."""
        for number in range(self.initial):
            yield (number * self.gap_s, *self.lengths(rng))


@dataclass(frozen=True, slots=True)
class Closed:
    """So many requests at once: one that is done makes room for the next, `gap_s` later."""

    lengths: LengthSource
    population: int
    gap_s: float = 0.1

    def arrivals(self, rng: random.Random) -> Iterator[Arrival]:
        """Yield the first requests."""
        for number in range(self.population):
            yield (number * self.gap_s, *self.lengths(rng))


Traffic = Poisson | Constant | Replay | Offline | Closed
