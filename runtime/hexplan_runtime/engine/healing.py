"""Healing: what the engine does when stages are lost and come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hexplan.errors import HexplanError
from hexplan_runtime.engine.changes import (
    Change,
    Patience,
    PlanChange,
    PlanGrown,
    Renewed,
    RoutesClosed,
    RoutesOpened,
    RoutesWeighed,
    StageBack,
    StageGone,
    StagesLost,
    StagesWanted,
)
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.links import Links
from hexplan_runtime.engine.outcomes import Deliver, Failed, NoRoute, Ticket
from hexplan_runtime.engine.weighing.reweigher import Reweigher
from hexplan_runtime.request import Request, TokenEvent

PATIENCE_S: Final = 120.0
"""How long requests may wait for a route when there is none left: stages read weights meanwhile."""
_PROBE_TOKEN: Final = 0
_PROBE_S: Final = 60.0
"""After so long another probe is sent: an edge may have lost the first one."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """A token that is on its way through a masked route."""

    ticket: Ticket
    begun_s: float


class Healing:
    """Masks routes, has what was on them start over, and opens routes that are proved again.

    Parameters
    ----------
    ask
        Takes a request that the engine makes itself, and returns its ticket.
    """

    def __init__(
        self, engine: Engine, links: Links, ask: Callable[[Request, Deliver], Ticket]
    ) -> None:
        self._engine = engine
        self._links = links
        self._ask = ask
        self._probes: dict[int, _Probe] = {}
        """Those under way, by their routes."""
        self._why = ""
        self._gone: HexplanError | None = None
        """Why the last stage was given up that nobody starts again."""
        self._shut_s: float | None = None
        """Since when no route is left, by the monotonic clock."""
        self.patience_s = PATIENCE_S
        self.has_hope = False
        """Whether somebody looks for another plan when no route can come back; any thread sets
        it."""
        self.reweigher = Reweigher(engine)
        """Gives slow routes fewer requests, if it is on."""
        self._is_patient = False
        """Whether requests wait however long it takes, as plans are changing."""

    def require_route(self, request: Request) -> None:
        """Refuse a request that finds no route for now, from any thread.

        Raises
        ------
        NoRoute
            The route that it asks for is masked, or all are if it asks for none.
        """
        masking = self._engine.replays.masking
        if self._is_patient and request.route is None:
            return
        if masking.is_shut if request.route is None else request.route in masking.masked:
            message = f"no route is left for now: {self._why}"
            raise NoRoute(message, hint="its stage starts again; try again later")

    @property
    def obstacle(self) -> str | None:
        """Why no request finds a route, if it is so."""
        is_shut = self._engine.replays.masking.is_shut
        return f"no route is left for now: {self._why}" if is_shut else None

    def take(self, change: Change) -> Sequence[int]:
        """Take a change, and return the tickets that end with it."""
        cut: Sequence[int] = ()
        replays = self._engine.replays
        if isinstance(change, StagesLost):
            self._why = change.why
            loss = self._engine.lose(change.stages)
            cut = loss.cut
            self._links.renew(loss.renewal)
        elif isinstance(change, StageBack):
            replays.masking.come_back(change.stage)
        elif isinstance(change, StageGone):
            replays.masking.gone |= {change.stage}
            self._gone = change.why
            self._require_hope()
        elif isinstance(change, Renewed):
            self._engine.renewed(change.number)
        else:
            cut = self._change_plan(change)
        return cut

    def _change_plan(self, change: PlanChange) -> Sequence[int]:
        """Take a step from one plan to another, and return the tickets that end with it."""
        replays = self._engine.replays
        if isinstance(change, Patience):
            self._is_patient = change.is_endless
            self._require_hope()
        elif isinstance(change, PlanGrown):
            self._engine.grow(change.plan)
        elif isinstance(change, RoutesClosed):
            self._why = "another plan is being applied"
            replays.close(change.routes)
        elif isinstance(change, RoutesOpened):
            replays.masking.open_again(change.routes)
        elif isinstance(change, RoutesWeighed):
            self._engine.weigh(change.plan)
        elif isinstance(change, StagesWanted):
            replays.masking.want_again(change.stages)
        else:
            replays.masking.gone |= change.stages
            replays.close(change.routes)
            loss = self._engine.lose(change.stages, change.routes)
            self._links.renew(loss.renewal)
            return tuple({*loss.cut, *self._engine.too_long()})
        return ()

    def _require_hope(self) -> None:
        """End the launch if no route can come back, and nobody looks for another plan.

        Raises
        ------
        HexplanError
            What the last stage was given up for.
        """
        if self._is_patient or self.has_hope or self._gone is None:
            return
        if self._engine.replays.masking.is_hopeless:
            raise self._gone

    def look(self) -> Sequence[int]:
        """Probe the routes that may be open, and return who has waited too long for one."""
        masking, now_s = self._engine.replays.masking, time.monotonic()
        self.reweigher.look(now_s)
        for route in sorted(self._engine.replays.to_probe() - self._probes.keys()):
            ticket = self._ask(Request((_PROBE_TOKEN,), 1, route=route), self._hear(route))
            self._probes[route] = _Probe(ticket, now_s)
        for probe in self._probes.values():
            if now_s - probe.begun_s > _PROBE_S:
                probe.ticket.cancel("no token has come of the probe")
        if not masking.is_shut:
            self._shut_s = None
            return ()
        if self._shut_s is None:
            self._shut_s = now_s
        if self._is_patient:
            return ()
        return self._engine.waiting_tickets() if now_s - self._shut_s > self.patience_s else ()

    def _hear(self, route: int) -> Deliver:
        def deliver(event: TokenEvent | Failed) -> None:
            self._probes.pop(route, None)
            if isinstance(event, TokenEvent):
                self._engine.replays.prove(route)

        return deliver
