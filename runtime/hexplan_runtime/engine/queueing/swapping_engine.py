"""The engine that moves KV to host memory and back: the second tier of the stages' caches."""

from __future__ import annotations

from dataclasses import replace

from hexplan.plan import Plan
from hexplan.schedule.kv_growth import Share
from hexplan_runtime.batch import Row
from hexplan_runtime.engine.engine import Engine
from hexplan_runtime.engine.flight import Flight
from hexplan_runtime.engine.queueing.host_room import HostRoom
from hexplan_runtime.engine.snapshot import StageKv
from hexplan_runtime.engine.turn import Turn


class SwappingEngine(Engine):
    """Parks flights that decode, stops them, and lets them go on.

    A flight whose tokens go straight to its first stage waits there; any other waits here.

    Parameters
    ----------
    host_share
        Host memory, as a multiple of each stage's cache.
    """

    def __init__(self, plan: Plan, host_share: float) -> None:
        super().__init__(plan)
        self._host = HostRoom(self._room.router, host_share)
        self._is_due = False
        """Whether something has happened by which others may run."""
        self._parked: dict[int, Flight] = {}
        """Those whose next token waits here, by ticket."""
        self._stopping: dict[int, Flight] = {}
        """Those whose KV is on its way to host memory."""
        self._away: dict[int, Flight] = {}
        """Those whose KV is there."""

    def kv(self) -> tuple[StageKv, ...]:
        """Return what requests hold of each stage's KV cache, and in host memory."""
        return tuple(
            replace(stage, swapped_tokens=tokens)
            for stage, tokens in zip(super().kv(), self._host.used, strict=True)
        )

    def _stop(self, turn: Turn, flight: Flight) -> None:
        """Move a flight's KV to host memory, as soon as its token is back."""
        ticket = flight.asked.ticket
        self._stopping[ticket] = flight
        self._host.take(flight)
        self._shelf.prefixes.remove(flight.id)
        is_here = self._parked.pop(ticket, None) is not None
        is_here = self._room.stalled.pop(flight.id, None) is not None or is_here
        flight.parks, flight.fetches = True, False
        if flight.route not in self._decodes or is_here:
            self._late.pop(flight.id, None)
            turn.notices.append(flight.stow_row())

    def _fetch(self, flight: Flight) -> bool:
        """Give a flight room again, and say whether there is some; its KV then comes back."""
        tokens = flight.tokens_again
        if self._room.router.take_if_free(flight.route, tokens) is None:
            return False
        flight.reserved_tokens, flight.fetches, flight.parks = tokens, True, False
        del self._away[flight.asked.ticket]
        self.counts.swapped = len(self._away)
        self._host.give_back(flight)
        self._late[flight.id] = flight
        return True

    def _stowed(self, row: Row) -> None:
        """Free the room of a flight whose KV is in host memory on all stages."""
        flight = self._flights.get(row.request)
        if flight is None or self._stopping.pop(flight.asked.ticket, None) is None:
            return
        self._room.land(flight)
        flight.reserved_tokens = 0
        self._away[flight.asked.ticket] = flight
        self.counts.swaps += 1
        self.counts.swapped = len(self._away)
        self._late |= {one.id: one for one in self._room.resume()}
        self._is_due = True

    def _may_stop(self, flight: Flight) -> bool:
        """Say whether a flight's KV can be moved: all of it is there, and nobody copies it."""
        ticket = flight.asked.ticket
        is_gone = ticket in self._stopping or ticket in self._away
        return flight.is_decoding and not is_gone and not self._shelf.is_read(flight.id)

    def _leaving(self) -> list[Share]:
        """Return what is about to be free."""
        over = [flight for flight in self._flights.values() if flight.is_over]
        going = (*over, *self._stopping.values())
        return [Share(0, self._room.router.holds[one.route], one.reserved_tokens) for one in going]

    def _pass(self, row: Row) -> None:
        if row.stows:
            self._stowed(row)
        else:
            super()._pass(row)

    def _end(self, turn: Turn, flight: Flight, *, is_told: bool = False) -> None:
        super()._end(turn, flight, is_told=is_told)
        ticket = flight.asked.ticket
        self._parked.pop(ticket, None)
        self._stopping.pop(ticket, None)
        self._away.pop(ticket, None)
        self.counts.swapped = len(self._away)
        self._host.give_back(flight)

    def _go_on(self, turn: Turn, flight: Flight) -> None:
        """Let a flight begin or decode, unless it has to wait for others."""
        is_direct = flight.route not in self._decodes
        if not flight.has_begun:
            super()._go_on(turn, flight)
        elif is_direct:
            super()._go_on(turn, flight)
            flight.fetches = False
        elif flight.asked.ticket in self._stopping:
            turn.notices.append(flight.stow_row())
        elif flight.parks:
            self._parked[flight.asked.ticket] = flight
        else:
            super()._go_on(turn, flight)
