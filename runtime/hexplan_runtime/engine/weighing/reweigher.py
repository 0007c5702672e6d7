"""The reweigher: lets routes that have become slow have fewer requests, and says so."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

from hexplan.schedule.reweighting import Reweighting
from hexplan_runtime.engine.flight import Flight
from hexplan_runtime.engine.replay import Replays
from hexplan_runtime.engine.weighing.passed import Observed, Passed

_SAMPLE_S: Final = 0.1
_LOOK_S: Final = 2.0
"""Long enough for several tokens of a request."""


class CountsPassed(Protocol):
    """What counts the tokens that come out of routes."""

    passed: Passed


class Weighed(Protocol):
    """The engine, as far as its routes are weighed."""

    replays: Replays

    @property
    def counts(self) -> CountsPassed:
        """Its counts."""
        ...

    @property
    def flights(self) -> Collection[Flight]:
        """The requests that it has."""
        ...


class Reweigher:
    """Weighs routes by what they pass, while it is on; in the engine's thread."""

    def __init__(self, engine: Weighed) -> None:
        self._engine = engine
        self.is_on = False
        self._planned: tuple[int, ...] = ()
        self._observed: Observed | None = None
        self._reweighting = Reweighting(())
        self._sampled_s = 0.0

    def look(self, now_s: float) -> None:
        """Sample the routes, and weigh them anew if it is time."""
        if not self.is_on or now_s - self._sampled_s < _SAMPLE_S:
            return
        router, passed = self._engine.replays.router, self._engine.counts.passed
        if router.planned != self._planned or self._observed is None:
            self._planned = router.planned
            self._reweighting = Reweighting(self._planned)
            self._observed = Observed(passed, now_s)
        self._sampled_s = now_s
        self._observed.sample(self._engine.flights, now_s)
        if now_s - self._observed.since_s >= _LOOK_S:
            before = self._reweighting.weights
            now = self._reweighting.look(self._observed.look(now_s))
            if now != before:
                router.reweigh(now)
