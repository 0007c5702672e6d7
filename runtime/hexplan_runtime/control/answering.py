"""What a server answers its owner over the control socket."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from hexplan.errors import HexplanError, InputError
from hexplan.plan import Plan
from hexplan_runtime.control.messages import (
    Answer,
    Ask,
    RouteStatus,
    StageStatus,
    Status,
    Words,
)
from hexplan_runtime.engine.snapshot import EngineSnapshot


@dataclass(frozen=True, slots=True)
class Orders:
    """What the server does when told so."""

    stop: Callable[[], None]
    """Take no more requests, and end once those under way are over, or after the usual time."""
    wait_longer: Callable[[], None]
    """Let requests take as long as they like to end."""
    apply: Callable[[Ask], Answer] | None = None
    """Apply another plan, or say how far that is."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How the server is."""

    is_draining: bool
    obstacles: tuple[str, ...]
    """Why it is not ready."""
    engine: EngineSnapshot
    plan: Plan
    """The one that runs."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What the launch calls the plan's stages, where that differs."""
    notice: str | None = None
    """What becomes of the plan, if it is not what it was at the start."""


class Control:
    """Answers questions and passes on orders.

    Parameters
    ----------
    look
        Returns how the server is.
    words
        Returns what each process wrote last, with its name.
    """

    def __init__(
        self,
        look: Callable[[], Seen],
        words: Callable[[], Sequence[tuple[str, str]]],
        orders: Orders,
        url: str,
    ) -> None:
        self._look = look
        self._words = words
        self._orders = orders
        self._url = url

    def answer(self, ask: Ask) -> Answer:
        """Return what to say, and do what is asked."""
        if ask.ask == "status":
            return Answer(status=self._status())
        if ask.ask == "logs":
            return self._logs(ask.of)
        if ask.ask in ("apply", "applying"):
            return self._apply(ask)
        if ask.ask == "drain":
            self._orders.wait_longer()
        self._orders.stop()
        return Answer(status=self._status())

    def _status(self) -> Status:
        seen = self._look()
        generations = seen.engine.generations or (0,) * len(seen.engine.kv)
        stages = {stage.id: stage for stage in seen.plan.stages}
        arrived = Counter[str]()
        for edge in seen.engine.edges:
            arrived[edge.target] += edge.tokens
        return Status(
            pid=os.getpid(),
            url=self._url,
            state="draining" if seen.is_draining else "not ready" if seen.obstacles else "ready",
            obstacles=seen.obstacles,
            notice=seen.notice,
            running=seen.engine.running,
            waiting=seen.engine.waiting,
            stages=tuple(
                StageStatus(
                    stage=one.stage,
                    host=stages[one.stage].host,
                    kv_tokens=one.held_tokens,
                    kv_room=one.total_tokens,
                    generation=generation,
                    tokens=arrived[one.stage],
                    planned_tokens_per_s=float(stages[one.stage].load_tokens_per_s),
                )
                for one, generation in zip(seen.engine.kv, generations, strict=True)
            ),
            routes=tuple(
                RouteStatus(
                    stages=tuple(hop.stage for hop in route.hops),
                    weight=float(route.weight),
                    weight_now=seen.engine.weight_now(one.route),
                    requests=one.requests,
                    tokens=one.tokens,
                )
                for route, one in zip(seen.plan.routes, seen.engine.routes, strict=True)
            ),
            at_s=time.monotonic(),
        )

    def _apply(self, ask: Ask) -> Answer:
        if self._orders.apply is None:
            return Answer(problem="no plan can be applied to this launch", is_users=True)
        try:
            return self._orders.apply(ask)
        except HexplanError as error:
            is_users = isinstance(error, InputError)
            return Answer(problem=error.message, hint=error.hint, is_users=is_users)

    def _logs(self, of: str | None) -> Answer:
        """Return what processes wrote last; those of one host or stage if it is named."""
        seen = self._look()
        plan = seen.plan
        hosts, stages = ({one.host for one in plan.stages}, {one.id for one in plan.stages})
        if of is not None and of not in hosts | stages:
            known = ", ".join(sorted(hosts | stages))
            return Answer(problem=f"found no host or stage {of}, needed one of {known}")
        found = [
            Words(name=name, lines=tuple(text.splitlines()))
            for name, text in self._words()
            if of is None or _is_of(name, seen.names.get(of, of))
        ]
        return Answer(logs=tuple(found))


def _is_of(name: str, of: str) -> bool:
    """Say whether a process, by its name, belongs to a host or stage."""
    words = name.replace("(", " ").replace(",", " ").split()
    return of in words
