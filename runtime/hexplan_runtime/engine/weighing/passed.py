"""Passed: the tokens that have come out of the last stage of each route so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hexplan.schedule.reweighting import STEP_TOKENS, LaneSeen, RouteSeen
from hexplan_runtime.batch import Batch
from hexplan_runtime.engine.flight import Flight


class Passed:
    """Counts of each route, prompts and decodes apart."""

    def __init__(self, routes: int) -> None:
        self.prompts = [0] * routes
        """Tokens of prompts, and `STEP_TOKENS` for each piece."""
        self.decodes = [0] * routes

    def grow(self, routes: int) -> None:
        """Take more routes."""
        self.prompts += [0] * (routes - len(self.prompts))
        self.decodes += [0] * (routes - len(self.decodes))

    def take(self, flights: Mapping[int, Flight], batch: Batch) -> None:
        """Count what came out of a last stage."""
        for row in batch.rows:
            flight = flights.get(row.request)
            if row.closes or flight is None or flight.is_over:
                continue
            before = max(flight.passed_tokens, flight.prefix.tokens)
            if row.position <= before:
                continue
            flight.passed_tokens = row.position
            of_prompt = min(row.position, flight.prompt_tokens) - before
            if of_prompt > 0:
                self.prompts[flight.route] += of_prompt + STEP_TOKENS
            self.decodes[flight.route] += row.position - before - max(of_prompt, 0)


class Observed:
    """What each route does between two looks, by samples of the requests that it has.

    Parameters
    ----------
    passed
        What counts the tokens that come out.
    """

    def __init__(self, passed: Passed, now_s: float) -> None:
        self._passed = passed
        self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        self.since_s = self._sampled_s = now_s
        self._before = list(self._passed.prompts), list(self._passed.decodes)
        self._prompt_s = [0.0] * len(self._passed.prompts)
        self._decode_s = [0.0] * len(self._passed.decodes)

    def sample(self, flights: Collection[Flight], now_s: float) -> None:
        """Take it that routes had these requests since the last sample."""
        elapsed_s, self._sampled_s = now_s - self._sampled_s, now_s
        for flight in flights:
            if flight.is_over or flight.parks or flight.lacks_room or not flight.has_begun:
                continue
            spent = self._decode_s if flight.is_decoding else self._prompt_s
            if flight.route < len(spent):
                spent[flight.route] += elapsed_s

    def look(self, now_s: float) -> list[RouteSeen]:
        """Return what each route did since the last look, and begin anew."""
        elapsed_s = max(now_s - self.since_s, 1e-9)

        def lane(spent_s: float, before: int, now: int) -> LaneSeen:
            return LaneSeen(spent_s / elapsed_s, (now - before) / elapsed_s)

        prompts = map(lane, self._prompt_s, self._before[0], self._passed.prompts)
        decodes = map(lane, self._decode_s, self._before[1], self._passed.decodes)
        found = [RouteSeen(*pair) for pair in zip(prompts, decodes, strict=False)]
        self._begin(now_s)
        return found
