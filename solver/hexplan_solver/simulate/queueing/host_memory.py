"""Host memory: where the KV of requests is that made way, until they run again."""

from __future__ import annotations

from collections.abc import Iterable

from hexplan.schedule.kv_space import KvSpace
from hexplan_solver.simulate.pipeline_model import PipelineModel
from hexplan_solver.simulate.request_state import RequestState


class HostMemory:
    """The second tier of the KV caches.

    Parameters
    ----------
    share
        Its size, as a multiple of each stage's cache.
    """

    def __init__(self, pipeline: PipelineModel, space: KvSpace, share: float) -> None:
        self._space = KvSpace([int(share * amount) for amount in space.capacity])
        self._move_s = [stage.kv_move_s for stage in pipeline.stages]
        self.requests: dict[int, RequestState] = {}
        """Those whose KV is here."""

    def has_room(self, requests: Iterable[RequestState]) -> bool:
        """Say whether there is room for what some requests have together."""
        more = [0] * len(self._space.capacity)
        for request in requests:
            assert request.route is not None
            for hold in request.route.holds:
                more[hold.stage] += hold.layers * request.context_tokens
        amounts = zip(self._space.reserved, more, self._space.capacity, strict=True)
        return all(used + added <= capacity for used, added, capacity in amounts)

    def take(self, request: RequestState) -> bool:
        """Keep room for what a request has, and say whether there is some."""
        assert request.route is not None
        if not self._space.has_room(request.route.holds, request.context_tokens):
            return False
        self._space.reserve(request.route.holds, request.context_tokens)
        return True

    def give_back(self, request: RequestState) -> None:
        """Free the room of a request that has gone back, or is lost."""
        assert request.route is not None
        self._space.release(request.route.holds, request.context_tokens)
        self.requests.pop(request.number, None)

    def move_s(self, request: RequestState) -> float:
        """Return how long its KV takes here or back; all stages move theirs at once."""
        assert request.route is not None
        layers_s = [hold.layers * self._move_s[hold.stage] for hold in request.route.holds]
        return request.context_tokens * max(layers_s)
