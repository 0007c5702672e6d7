"""KV reservations: the parts of the KV caches that simulated requests keep."""

from __future__ import annotations

from collections.abc import Sequence

from hexplan.schedule.kv_growth import first_reservation
from hexplan.schedule.kv_space import KvSpace
from hexplan_solver.simulate.pipeline_model import PipelineModel, StageModel
from hexplan_solver.simulate.policy import Reservation
from hexplan_solver.simulate.request_route import RequestRoute
from hexplan_solver.simulate.request_state import RequestState


class KvReservations:
    """The KV caches of all stages, and the requests that hold parts of them.

    Where other stages decode, room is reserved there too from the admission on, and the prompt's KV
    stays where it was prefilled until all of it has moved.
    """

    def __init__(self, pipeline: PipelineModel, reservation: Reservation) -> None:
        self._reservation = reservation
        self._stages = pipeline.stages
        self._num_layers = pipeline.num_layers
        self._phases = {
            tuple(j for j, stage in enumerate(pipeline.stages) if stage.phase in ("both", phase))
            for phase in ("prefill", "decode")
        }
        capacity = [_capacity(stage, reservation) for stage in pipeline.stages]
        self.space = KvSpace(capacity, reservation.fill)

    def needed_tokens(self, request: RequestState) -> int:
        """Return the tokens to reserve; a request that was evicted once gets all that it needs."""
        return first_reservation(
            request.prompt_tokens,
            request.output_tokens,
            self._reservation.expected_output_tokens,
            is_again=request.restarts > 0,
        )

    def reserve(self, request: RequestState, route: RequestRoute) -> None:
        """Keep room for a request on its route."""
        tokens = self.needed_tokens(request)
        self.space.reserve(route.holds, tokens, request.prompt_tokens)
        request.route, request.reserved_tokens = route, tokens
        request.unmoved = request.prompt_tokens * route.moved_layers

    def release(self, request: RequestState) -> None:
        """Free what a request kept."""
        assert request.route is not None
        prompt_tokens = request.prompt_tokens if request.unmoved else 0
        self.space.release(request.route.holds, request.reserved_tokens, prompt_tokens)

    def release_moved(self, request: RequestState) -> None:
        """Free what a request kept on stages that only prefilled it."""
        assert request.route is not None
        self.space.release(request.route.holds, 0, request.prompt_tokens)

    def holds(self, request: RequestState) -> bool:
        """Say whether there is room for a request's context, which may be longer than expected."""
        if request.prompt_tokens + request.emitted <= request.reserved_tokens:
            return True
        assert request.route is not None
        if not self.space.grow(request.route.holds):
            return False
        request.reserved_tokens += 1
        return True

    def shares(self) -> tuple[float, ...]:
        """Return the share of each stage's KV cache that is reserved."""
        pairs = zip(self.space.reserved, self.space.capacity, strict=True)
        return tuple(used / total if total else 0.0 for used, total in pairs)

    def fullest_layer(self) -> float:
        """Return the largest share of a layer's KV cache that is reserved, in either phase."""
        return max(self._fullest_layer(stages) for stages in self._phases)

    def _fullest_layer(self, stages: Sequence[int]) -> float:
        used, total = [0.0] * self._num_layers, [0.0] * self._num_layers
        for stage in stages:
            first, end = self._stages[stage].layers
            for layer in range(first, end):
                used[layer] += self.space.reserved[stage] / (end - first)
                total[layer] += self.space.capacity[stage] / (end - first)
        return max(u / t for u, t in zip(used, total, strict=True) if t)


def _capacity(stage: StageModel, reservation: Reservation) -> int:
    """Return the tokens times layers of a stage's KV cache, as measured if the policy says so."""
    measured = stage.measured_kv_tokens if reservation.is_measured else None
    layers = stage.layers[1] - stage.layers[0]
    return layers * (stage.kv_tokens if measured is None else measured)
