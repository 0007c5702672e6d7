"""The routes of a rehearsal: how many requests are on each, and their micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from hexplan.schedule.micro_batches import Loop, micro_batches
from hexplan.schedule.routing import WeightedRoundRobin
from hexplan_solver.served.rehearsal.params import REHEARSAL_PARAMS
from hexplan_solver.simulate.entry import loop_of
from hexplan_solver.simulate.kv_reservations import KvReservations
from hexplan_solver.simulate.pipeline_model import PipelineModel
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.request_route import RequestRoute, RequestRoutes


class Batches:
    """The decodes of one route by their number: those that wait, and those under way.

    It does on counts what `RouteDecodes` of the schedule does on requests.
    """

    def __init__(self, loop: Loop, largest: int) -> None:
        self._loop, self._largest = loop, largest
        self.waiting = 0
        self._sent = 0
        self._left: dict[int, int] = {}
        """Tokens still under way of each micro-batch."""
        self._number = 0
        self._divided: dict[int, int] = {}

    @property
    def decodes(self) -> int:
        """Requests that decode."""
        return self.waiting + self._sent

    def come_back(self, batch: int, decodes: int) -> None:
        """Note that tokens of a micro-batch are back."""
        self._sent -= decodes
        left = self._left[batch] - decodes
        if left:
            self._left[batch] = left
        else:
            del self._left[batch]

    def take(self) -> Iterator[tuple[int, int]]:
        """Yield the micro-batches to send now, each with its number and its size."""
        while self.waiting:
            decodes = self.decodes
            allowed = self._allowed(decodes)
            if len(self._left) >= allowed:
                return
            size = min(self.waiting, -(-decodes // allowed))
            self.waiting -= size
            self._sent += size
            self._number += 1
            self._left[self._number] = size
            yield self._number, size

    def _allowed(self, decodes: int) -> int:
        exact = REHEARSAL_PARAMS.exact_decodes
        if decodes > exact:
            decodes -= decodes % (decodes // exact)
        known = self._divided.get(decodes)
        if known is None:
            known = self._divided[decodes] = micro_batches(self._loop, decodes, self._largest)
        return known


class Routes:
    """All routes, with the requests that are on them and the KV room that these keep.

    Every request keeps the same room.
    """

    def __init__(self, pipeline: PipelineModel, policy: Policy, tokens: int) -> None:
        chains = RequestRoutes(pipeline)
        used = [route for route in pipeline.routes if route.weight]
        self.ways: list[RequestRoute] = [chains.of(route.stages) for route in used]
        loops = _remembering([loop_of(pipeline, way.decode) for way in self.ways], self.ways)
        self.batches = [Batches(loop, policy.max_decode_tokens) for loop in loops]
        self.requests = [0] * len(used)
        self._weights = [route.weight for route in used]
        self._turns = WeightedRoundRobin(self._weights)
        self._space = KvReservations(pipeline, policy.reservation).space
        self._tokens = tokens
        layers = [0] * len(pipeline.stages)
        for way in self.ways:
            for hold in way.holds:
                layers[hold.stage] = max(layers[hold.stage], hold.layers)
        self._full = [
            limit - most * tokens for limit, most in zip(self._space.limit, layers, strict=True)
        ]
        """Per stage: what is reserved where some route no longer finds room, at most."""
        self._every = range(len(used))

    def fill(self, population: int) -> None:
        """Admit requests by the weights of the routes, as far as there is room."""
        whole = sum(self._weights)
        for route, weight in enumerate(self._weights):
            count = population * weight // whole
            while count and not self._space.has_room(self.ways[route].holds, self._tokens * count):
                count = count * 9 // 10
            self._space.reserve(self.ways[route].holds, self._tokens * count)
            self.requests[route] += count
        while sum(self.requests) < population and self.admit() is not None:
            pass
        if not any(self.requests):
            self._tokens = 0  # at least one request is in flight, in the formula too
            self.admit()
        for batches, count in zip(self.batches, self.requests, strict=True):
            batches.waiting = count

    def admit(self) -> int | None:
        """Give a request a route with room for it; None if there is none."""
        usable = self._usable()
        if not usable:
            return None
        route = self._turns.take(usable)
        self._space.reserve(self.ways[route].holds, self._tokens)
        self.requests[route] += 1
        return route

    def end(self, route: int) -> None:
        """Let a request of a route go."""
        self._space.release(self.ways[route].holds, self._tokens)
        self.requests[route] -= 1

    def _usable(self) -> Sequence[int]:
        reserved = self._space.reserved
        if all([used <= full for used, full in zip(reserved, self._full, strict=True)]):
            return self._every
        ways = enumerate(self.ways)
        return [route for route, way in ways if self._space.has_room(way.holds, self._tokens)]


def _remembering(loops: Sequence[Loop], ways: Sequence[RequestRoute]) -> list[Loop]:
    """Return loops whose step times are computed once for each stage, layer and size."""
    known: dict[tuple[int, int], Callable[[int], float]] = {}
    found = []
    for loop, way in zip(loops, ways, strict=True):
        visits = []
        for visit, hold in zip(loop.visits, way.holds, strict=True):
            key = hold.stage, hold.layers
            if key not in known:
                known[key] = cache(visit.step_s)
            visits.append(replace(visit, step_s=known[key]))
        found.append(replace(loop, visits=visits))
    return found
