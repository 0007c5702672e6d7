"""Re-weighting: routes that pass less than they used to get fewer requests, within bounds.

What a route passes depends on how many requests it has, so it is compared with what it passed at
other numbers of them. More requests pass no fewer tokens, and half as many pass at least half, so
what is known of one number says the least for any other. Where all routes pass less, the machine is
busy or the requests are others, and nothing changes: only differences between routes count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log2
from typing import Final

MOST_FACTOR: Final = 2
"""By how much a weight may differ from the plan's."""
STEP_TOKENS: Final = 64
"""What a piece of a prompt counts beside its own tokens, as a step costs something anyway."""
_SLOW: Final = 2.0
"""How many times as slow as the least slow route one is before it gets fewer requests."""
_WELL: Final = 1.4
"""Below this it gets its share again: well below the other, so that it does not go to and fro."""
_LOOKS_TO_SLOW: Final = 3
_LOOKS_TO_WELL: Final = 15
_LOOKS_UNSEEN: Final = 30
"""After so many looks without a request nothing is known of a route any more."""
_LOOKS_TO_KNOW: Final = 3
"""Looks at a route before it is judged."""
_FADE: Final = 0.6
"""What an earlier look counts beside the next one."""
_LEARNS: Final = 0.1
"""How far a look moves what is usual, once there were many."""
_LEAST_REQUESTS: Final = 0.05
"""Below this mean number of requests a look says nothing."""
_CHANGE: Final = 0.1
"""Weights that would move by less than this share stay."""


@dataclass(frozen=True, slots=True)
class LaneSeen:
    """What a route did for prompts, or for decodes, between two looks."""

    requests: float = 0.0
    """Mean number of requests that were at it."""
    tokens_per_s: float = 0.0
    """Tokens that came out of the last stage; pieces of prompts count `STEP_TOKENS` more."""


@dataclass(frozen=True, slots=True)
class RouteSeen:
    """What a route did between two looks."""

    prompts: LaneSeen = LaneSeen()
    decodes: LaneSeen = LaneSeen()


@dataclass(slots=True)
class _Known:
    requests: float
    tokens_per_s: float
    looks: int = 1


class UsualFlow:
    """What one route used to pass, by how many requests it had."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self.looks = 0

    def learn(self, seen: LaneSeen) -> None:
        """Take a look at the route for usual."""
        self.looks += 1
        known = self._known.setdefault(floor(log2(seen.requests)), _Known(0.0, 0.0, 0))
        known.looks += 1
        share = max(_LEARNS, 1 / known.looks)
        known.requests += share * (seen.requests - known.requests)
        known.tokens_per_s += share * (seen.tokens_per_s - known.tokens_per_s)

    def least(self, requests: float) -> float:
        """Return the tokens per second that so many requests pass at least, as far as is known."""
        return max(
            [k.tokens_per_s * min(1.0, requests / k.requests) for k in self._known.values()],
            default=0.0,
        )


class _Route:
    """How slow one route is beside what it was."""

    def __init__(self) -> None:
        self._prompts, self._decodes = UsualFlow(), UsualFlow()
        self._had = self._needed = 0.0
        self._unseen = self._looks = self._streak = 0
        self.is_slow = False

    @property
    def slowness(self) -> float | None:
        """The time that its requests took, as a multiple of the usual time for what they passed."""
        if self._looks < _LOOKS_TO_KNOW or self._unseen >= _LOOKS_UNSEEN:
            return None
        return self._had / max(self._needed, self._had / 1e6)

    def look(self, seen: RouteSeen) -> None:
        """Compare a look with what is usual."""
        lanes = (self._prompts, seen.prompts), (self._decodes, seen.decodes)
        had = needed = 0.0
        for usual, lane in lanes:
            if lane.requests < _LEAST_REQUESTS:
                continue
            least = usual.least(lane.requests) if usual.looks >= _LOOKS_TO_KNOW else 0.0
            had += lane.requests
            # More than is known to pass is no news of slowness elsewhere.
            needed += lane.requests * (min(1.0, lane.tokens_per_s / least) if least else 1.0)
        self._unseen = 0 if had else self._unseen + 1
        if had:
            self._looks += 1
            self._had = _FADE * self._had + had
            self._needed = _FADE * self._needed + needed

    def learn(self, seen: RouteSeen) -> None:
        """Take a look for usual."""
        for usual, lane in ((self._prompts, seen.prompts), (self._decodes, seen.decodes)):
            if lane.requests >= _LEAST_REQUESTS and lane.tokens_per_s:
                usual.learn(lane)

    def judge(self, ratio: float | None) -> None:
        """Decide whether it is slow, by how many times as slow as the least slow one it is."""
        if ratio is None or self._unseen:
            self.is_slow = self.is_slow and self._unseen < _LOOKS_UNSEEN
            return
        is_other = ratio < _WELL if self.is_slow else ratio >= _SLOW
        self._streak = self._streak + 1 if is_other else 0
        if self._streak >= (_LOOKS_TO_WELL if self.is_slow else _LOOKS_TO_SLOW):
            self.is_slow, self._streak = not self.is_slow, 0


class Reweighting:
    """Follows how slow routes are, and says what they should weigh.

    Parameters
    ----------
    planned
        The plan's weight of each route, whole numbers.
    """

    def __init__(self, planned: Sequence[int]) -> None:
        self._planned = tuple(planned)
        self._routes = [_Route() for _ in planned]
        self.weights = self._planned
        """What routes weigh now: the plan's weights unless one is slow."""

    def look(self, seen: Sequence[RouteSeen]) -> tuple[int, ...]:
        """Take what each route did since the last look, and return the weights."""
        for route, one in zip(self._routes, seen, strict=True):
            route.look(one)
        told = [
            route.slowness if weight else None
            for route, weight in zip(self._routes, self._planned, strict=True)
        ]
        least = min([one for one in told if one is not None], default=1.0)
        ratios = [None if one is None else one / least for one in told]
        for route, one, ratio in zip(self._routes, seen, ratios, strict=True):
            route.judge(ratio)
            if not route.is_slow and (ratio is None or ratio < _WELL):
                route.learn(one)
        self._weigh(ratios)
        return self.weights

    def _weigh(self, ratios: Sequence[float | None]) -> None:
        slow = [route.is_slow for route in self._routes]
        if not any(slow):
            self.weights = self._planned
            return
        slowness = [
            (ratio or 1.0) if is_slow else 1.0 for ratio, is_slow in zip(ratios, slow, strict=True)
        ]
        wanted = bounded_weights(self._planned, slowness)
        pairs = zip(wanted, self.weights, strict=True)
        if any(abs(new - now) > _CHANGE * now for new, now in pairs):
            self.weights = wanted


def bounded_weights(planned: Sequence[int], slowness: Sequence[float]) -> tuple[int, ...]:
    """Return weights in proportion to the plan's over slowness, with the same sum.

    None is more than `MOST_FACTOR` times the plan's, or less than that part of it; what one cannot
    give or take, the others do. Where all are equally slow, the plan's weights stay.

    Parameters
    ----------
    planned
        Whole weights; a route of weight 0 keeps it.
    slowness
        Of each route, > 0.
    """
    if len(set(slowness)) <= 1:
        return tuple(planned)
    least = [ceil(weight / MOST_FACTOR) for weight in planned]
    most = [MOST_FACTOR * weight for weight in planned]
    wanted = [weight / slow for weight, slow in zip(planned, slowness, strict=True)]

    def scaled(scale: float) -> list[float]:
        parts = zip(wanted, least, most, strict=True)
        return [min(max(scale * want, low), high) for want, low, high in parts]

    total = sum(planned)
    low, high = min(slowness) / MOST_FACTOR, max(slowness) * MOST_FACTOR
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(scaled(middle)) < total else (low, middle)
    found = [round(weight) for weight in scaled(low)]
    missing = total - sum(found)  # less than one a route
    for n in sorted(range(len(found)), key=lambda n: found[n] - most[n]):
        more = max(least[n] - found[n], min(most[n] - found[n], missing))
        found[n] += more
        missing -= more
    return tuple(found)
