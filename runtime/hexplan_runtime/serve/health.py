"""Health: whether a token really comes through every route."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from hexplan.errors import HexplanError
from hexplan_runtime.applying.view import Current
from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.outcomes import Failed, NoRoute
from hexplan_runtime.request import Request, TokenEvent

STALL_S: Final = 60.0
"""Requests under way that bring no token for this long have stalled."""
_PROBE_TOKEN: Final = 0


class Health:
    """Knows what keeps the server from being ready."""

    def __init__(self, current: Current, core: EngineCore) -> None:
        self._current = current
        self._num_routes = len(current.plan.routes)
        self._core = core
        self._passed: set[int] = set()
        self._last_event_s = time.monotonic()
        self.is_draining = False
        """Whether the server takes no more requests, because it is about to end."""

    def progressed(self) -> None:
        """Note that a token has come."""
        self._last_event_s = time.monotonic()

    async def probe(self) -> None:
        """Send a token through every route."""
        loop = asyncio.get_running_loop()
        outcomes: list[asyncio.Future[TokenEvent | Failed]] = []
        for route in range(self._num_routes):
            outcome: asyncio.Future[TokenEvent | Failed] = loop.create_future()
            outcomes.append(outcome)

            def deliver(
                event: TokenEvent | Failed, to: asyncio.Future[TokenEvent | Failed] = outcome
            ) -> None:
                loop.call_soon_threadsafe(to.set_result, event)

            try:
                self._core.submit(Request((_PROBE_TOKEN,), 1, route=route), deliver)
            except NoRoute as error:  # a stage is lost already; the engine probes the route later
                outcome.set_result(Failed(error))
        for route, outcome in enumerate(outcomes):
            if isinstance(await outcome, TokenEvent):
                self._passed.add(route)
                self.progressed()

    @property
    def notice(self) -> str | None:
        """What becomes of the plan, if it is not what it was at the start."""
        return self._current.notice

    def obstacles(self) -> list[str]:
        """Return why the server is not ready; nothing if it is."""
        if self.is_draining:
            return ["the server is about to end"]
        try:
            self._core.require_running()
        except HexplanError as error:
            return [error.message]
        if (obstacle := self._core.healing.obstacle) is not None:
            return [obstacle]
        seen = self._core.snapshot()
        known = self._passed.union(seen.masked, seen.proved)
        view = self._current.view
        missing = [route for route, place in enumerate(view.routes) if place not in known]
        if missing:
            return [f"no token has come through route {route} yet" for route in missing]
        silent_s = time.monotonic() - self._last_event_s
        if silent_s > STALL_S and seen.running:
            return [f"requests are under way, but no token has come for {silent_s:.0f} s"]
        return []
