"""The state of the plan: what it predicts, and what is seen, for /plan and the page."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import Final

from hexplan.plan import Edge, Plan, Route, Stage
from hexplan_runtime.applying.view import Current
from hexplan_runtime.engine.snapshot import EngineSnapshot
from hexplan_runtime.launch.startup import RankStats
from hexplan_runtime.serve.problems import Json, JsonObject

WINDOW_S: Final = 10.0
"""Rates are means of this long."""
EVERY_S: Final = 0.5
"""How often to look, at most."""


@dataclass(frozen=True, slots=True)
class _Look:
    at_s: float
    seen: EngineSnapshot


class PlanState:
    """Follows how many tokens pass each edge and route."""

    def __init__(self, current: Current, stats: tuple[RankStats, ...]) -> None:
        self._current = current
        self._plan = current.plan
        self._stats = stats
        self._looks: deque[_Look] = deque()
        self._lock = Lock()
        """Held by whoever adds a look: endpoints and the terminal both do."""

    def look(self) -> tuple[Plan, EngineSnapshot]:
        """Take note of where things stand, and return it with the plan that runs."""
        with self._lock:
            now_s, (plan, seen) = time.monotonic(), self._current.look()
            if plan is not self._plan:
                self._plan = plan
                self._looks.clear()
            if not self._looks or now_s - self._looks[-1].at_s >= EVERY_S:
                self._looks.append(_Look(now_s, seen))
            while len(self._looks) > 2 and now_s - self._looks[1].at_s >= WINDOW_S:
                self._looks.popleft()
            return plan, seen

    def tokens_per_s(self, seen: EngineSnapshot) -> float:
        """Return the rate of all tokens, prompts and output alike, over the last seconds."""
        return sum(self._rates([route.tokens for route in seen.routes], "routes"))

    def stage_tokens_per_s(self, seen: EngineSnapshot) -> dict[str, float]:
        """Return the rate of each stage over the last seconds, by its id."""
        found = dict.fromkeys((stage.id for stage in self._plan.stages), 0.0)
        rates = self._rates([edge.tokens for edge in seen.edges], "edges")
        for edge, rate in zip(seen.edges, rates, strict=True):
            if edge.target in found:
                found[edge.target] += rate
        return found

    def as_json(self) -> JsonObject:
        """Return all of it as data."""
        plan, seen = self.look()
        rates = self.stage_tokens_per_s(seen)
        return {
            "name": plan.cluster.name,
            "model": plan.model.name,
            "layers": plan.model.layers,
            "predicted_tokens_per_s": float(plan.predicted.tokens_per_s),
            "tokens_per_s": round(self.tokens_per_s(seen), 3),
            "running": seen.running,
            "waiting": seen.waiting,
            "replays": seen.replays,
            "window_s": WINDOW_S,
            "plans_applied": self._current.applied,
            "stages": [self._stage(stage, seen, rates[stage.id]) for stage in plan.stages],
            "edges": self._edges(seen),
            "routes": self._routes(seen),
        }

    def _stage(self, stage: Stage, seen: EngineSnapshot, rate: float) -> JsonObject:
        kv = next(one for one in seen.kv if one.stage == stage.id)
        weights = sum(rank.weights_bytes for rank in self._stats if rank.stage == stage.id)
        if self._current.applied:  # what its ranks have read is not told
            weights = sum(device.weights_bytes for device in stage.memory)
        through = [edge.tokens for edge in seen.edges if edge.target == stage.id]
        return {
            "id": stage.id,
            "host": stage.host,
            "devices": list(stage.devices),
            "layers": list(stage.layers),
            "weights_bytes": weights,
            "kv_tokens": kv.total_tokens,
            "kv_held_tokens": kv.held_tokens,
            "capacity_tokens_per_s": float(stage.capacity_tokens_per_s),
            "predicted_tokens_per_s": float(stage.load_tokens_per_s),
            "tokens": sum(through),
            "tokens_per_s": round(rate, 3),
            "generation": seen.generations[self._plan.stages.index(stage)],
        }

    def _edges(self, seen: EngineSnapshot) -> list[Json]:
        planned = {(edge.source, edge.target): edge for edge in self._plan.edges}
        rates = self._rates([edge.tokens for edge in seen.edges], "edges")
        leaving: dict[str, int] = {}
        for edge in seen.edges:
            leaving[edge.source] = leaving.get(edge.source, 0) + edge.tokens
        return [
            {
                "from": edge.source,
                "to": edge.target,
                **_predicted(planned.get((edge.source, edge.target))),
                "tokens": edge.tokens,
                "tokens_per_s": round(rate, 3),
                "share": _share(edge.tokens, leaving[edge.source]),
            }
            for edge, rate in zip(seen.edges, rates, strict=True)
        ]

    def _routes(self, seen: EngineSnapshot) -> list[Json]:
        total = sum(route.tokens for route in seen.routes)
        requests = sum(route.requests for route in seen.routes)
        rates = self._rates([route.tokens for route in seen.routes], "routes")
        return [
            {
                "hops": _hops(route),
                "weight": float(route.weight),
                "weight_now": seen.weight_now(one.route),
                "predicted_tokens_per_s": float(route.tokens_per_s),
                "tokens": one.tokens,
                "tokens_per_s": round(rate, 3),
                "share": _share(one.tokens, total),
                "requests": one.requests,
                "is_masked": one.route in seen.masked,
                "share_of_requests": _share(one.requests, requests),
            }
            for route, one, rate in zip(self._plan.routes, seen.routes, rates, strict=True)
        ]

    def _rates(self, tokens: list[int], what: str) -> list[float]:
        """Return the rate of each count since the oldest look."""
        if not self._looks:
            return [0.0] * len(tokens)
        oldest = self._looks[0]
        elapsed_s = time.monotonic() - oldest.at_s
        before = [one.tokens for one in getattr(oldest.seen, what)]
        if elapsed_s < EVERY_S:
            return [0.0] * len(tokens)
        return [(now - then) / elapsed_s for now, then in zip(tokens, before, strict=True)]


def _predicted(edge: Edge | None) -> JsonObject:
    if edge is None:
        return {"predicted_tokens_per_s": 0.0, "weight": 0.0}
    return {
        "predicted_tokens_per_s": float(edge.tokens_per_s),
        "weight": float(edge.weight),
        "enter_layer": edge.enter_layer,
    }


def _hops(route: Route) -> list[Json]:
    return [{"stage": hop.stage, "enter_layer": hop.enter_layer} for hop in route.hops]


def _share(part: int, whole: int) -> float | None:
    """Return a share; none is known before the first token."""
    return round(part / whole, 6) if whole else None
