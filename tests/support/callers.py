"""Callers of an engine: they take the events of many requests, and check their order."""

from __future__ import annotations

from queue import SimpleQueue

from hexplan_runtime.engine.core import EngineCore
from hexplan_runtime.engine.outcomes import Deliver, Failed
from hexplan_runtime.request import TokenEvent


class Caller:
    """Takes the events of many requests, and checks that each request's are in order."""

    def __init__(self) -> None:
        self._events: SimpleQueue[tuple[int, TokenEvent | Failed]] = SimpleQueue()
        self.tokens: dict[int, list[int]] = {}
        self.ends: dict[int, TokenEvent | Failed] = {}

    def deliver_as(self, index: int) -> Deliver:
        """Return what takes a request's events."""
        self.tokens[index] = []
        return lambda event: self._events.put((index, event))

    def take(self, timeout_s: float = 60) -> int:
        """Wait for an event, and return whose it is."""
        index, event = self._events.get(timeout=timeout_s)
        assert index not in self.ends
        if isinstance(event, TokenEvent):
            self.tokens[index].append(event.token_id)
        if isinstance(event, Failed) or event.is_last:
            self.ends[index] = event
        return index


def is_idle(core: EngineCore) -> bool:
    """Say whether an engine has nothing to do, and holds no room for anybody."""
    seen = core.snapshot()
    return not (seen.running or seen.waiting or any(stage.held_tokens for stage in seen.kv))
