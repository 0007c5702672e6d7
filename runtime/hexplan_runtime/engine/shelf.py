"""The shelf: what requests that are over leave on the stages for others to begin with.

Admission does not see it: it gives room away as if the shelf were empty, so that which route a
request takes, and who makes way, does not depend on it. What was given away and is still taken up
by the shelf is a debt. The shelf pays it by letting go of what was used longest ago, and whoever
got such room waits until the stages have heard of that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from hexplan.plan import Plan
from hexplan.schedule.kv_space import KvHold, KvSpace
from hexplan_runtime.batch import NOTHING, Prefix
from hexplan_runtime.engine.prefixes import Prefixes
from hexplan_runtime.engine.snapshot import StageKv

_SPARE = 16
"""One part in so many of each cache is kept free of the shelf, so that few have to wait."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one request has left."""

    request: int
    route: int
    tokens: int


class Shelf:
    """Knows what lies on each stage's shelf, who reads it, and what must go."""

    def __init__(self, plan: Plan, space: KvSpace, holds: Sequence[Sequence[KvHold]]) -> None:
        self.prefixes = Prefixes(plan)
        self.used = [0] * len(plan.stages)
        """Tokens on each stage, with those that are about to go."""
        self.hits = [0] * len(plan.stages)
        """Tokens of prompts that each stage had already."""
        self._space, self._holds = space, holds
        self._kept: dict[int, Kept] = {}
        """Those that stay, the longest unused first."""
        self._going: dict[int, Kept] = {}
        self._readers: dict[int, int] = {}
        """How many requests are still to copy from each."""

    def kv(self, plan: Plan) -> tuple[StageKv, ...]:
        """Return what requests and the shelf hold of each stage's KV cache, in the plan's order."""
        columns = self._space.reserved, self.used, self.hits
        return tuple(
            StageKv(stage.id, held, stage.room_tokens, kept, hit)
            for stage, held, kept, hit in zip(plan.stages, *columns, strict=True)
        )

    def grow(self, plan: Plan) -> None:
        """Take a plan with more stages and routes; the holds are those of the router."""
        self.prefixes.grow(plan)
        more = [0] * (len(plan.stages) - len(self.used))
        self.used += more
        self.hits += more

    def begin(self, route: int, tokens: Sequence[int]) -> Prefix:
        """Return with what a prompt may begin on a route, and keep that until `copied`."""
        found = self.prefixes.find(route, tokens)
        for source in found.sources:
            self._readers[source] = self._readers.get(source, 0) + 1
            if source in self._kept:
                self._kept[source] = self._kept.pop(source)
        if found is not NOTHING:
            for hold in self._holds[route]:
                self.hits[hold.stage] += found.tokens
        return found

    def touch(self, route: int, tokens: Sequence[int]) -> None:
        """Let others go before those that a prompt could begin with now."""
        for source in self.prefixes.find(route, tokens).sources:
            if source in self._kept:
                self._kept[source] = self._kept.pop(source)

    def copied(self, prefix: Prefix) -> None:
        """Note that all stages have copied a prefix."""
        for source in prefix.sources:
            self._readers[source] -= 1
            if not self._readers[source]:
                del self._readers[source]

    def is_read(self, request: int) -> bool:
        """Say whether somebody is still to copy from a request."""
        return request in self._readers

    def keep(self, kept: Kept) -> None:
        """Take what a request leaves; the stages have done so."""
        self._kept[kept.request] = kept
        self._add(kept, kept.tokens)

    def owes(self, route: int) -> bool:
        """Say whether a stage of a route lacks room that it has given away."""
        return any(self._excess(hold.stage) > 0 for hold in self._holds[route])

    def let_go(self) -> Iterator[Kept]:
        """Yield what must go now, so that every stage has spare room; stages are to be told."""
        if not any(used and self._lacks(stage) > 0 for stage, used in enumerate(self.used)):
            return
        leaving = [0] * len(self.used)
        for kept in self._going.values():
            for hold in self._holds[kept.route]:
                leaving[hold.stage] += kept.tokens
        for kept in list(self._kept.values()):
            if all(self._lacks(stage) <= gone for stage, gone in enumerate(leaving)):
                return
            stages = [hold.stage for hold in self._holds[kept.route]]
            is_needed = any(self._lacks(stage) > leaving[stage] for stage in stages)
            if is_needed and not self.is_read(kept.request):
                self._going[kept.request] = self._kept.pop(kept.request)
                self.prefixes.remove(kept.request)
                for stage in stages:
                    leaving[stage] += kept.tokens
                yield kept

    def land(self, request: int) -> None:
        """Note that the stages have let go of what a request left."""
        kept = self._going.pop(request, None)
        if kept is not None:
            self._add(kept, -kept.tokens)

    def lose(self, routes: Collection[int]) -> list[Kept]:
        """Take from the shelf what lies on these routes; its room is free after `free`."""
        lost = [
            kept for kept in (*self._kept.values(), *self._going.values()) if kept.route in routes
        ]
        for kept in lost:
            self._kept.pop(kept.request, None)
            self._going.pop(kept.request, None)
            self.prefixes.remove(kept.request)
        return lost

    def free(self, lost: Collection[Kept]) -> None:
        """Note that no stage holds any more what was lost."""
        for kept in lost:
            self._add(kept, -kept.tokens)

    def _excess(self, stage: int) -> int:
        return self._space.reserved[stage] + self.used[stage] - self._space.capacity[stage]

    def _lacks(self, stage: int) -> int:
        return self._excess(stage) + self._space.capacity[stage] // _SPARE

    def _add(self, kept: Kept, tokens: int) -> None:
        for hold in self._holds[kept.route]:
            self.used[hold.stage] += tokens
