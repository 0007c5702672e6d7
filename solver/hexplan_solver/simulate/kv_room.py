"""KV room: who may enter, and what is reserved for whom."""

from __future__ import annotations

from hexplan_solver.simulate.parcel import Course, Request
from hexplan_solver.simulate.pipeline import Pipeline
from hexplan_solver.simulate.policy import Reservation


class KvRoom:
    """The KV caches of all stages, in tokens times layers.

    A request that enters in the middle of a stage's layers keeps nothing of the layers before.
    """

    def __init__(self, pipeline: Pipeline, reservation: Reservation) -> None:
        self._reservation = reservation
        self._stages = pipeline.stages
        self._num_layers = pipeline.num_layers
        self.capacity = [
            (stage.layers[1] - stage.layers[0])
            * (
                stage.measured_kv_tokens
                if reservation.is_measured and stage.measured_kv_tokens is not None
                else stage.kv_tokens
            )
            for stage in pipeline.stages
        ]
        self.limit = [int(capacity * reservation.fill) for capacity in self.capacity]
        """What admission may fill."""
        self.reserved = [0] * len(pipeline.stages)

    def needed_tokens(self, request: Request) -> int:
        """Return the tokens to reserve; a request that was put out once gets all that it needs."""
        expected = self._reservation.expected_output_tokens
        if expected is None or request.restarts:
            return request.prompt_tokens + request.output_tokens
        return request.prompt_tokens + expected

    def has_room(self, stage: int, layers: int, tokens: int) -> bool:
        """Say whether so many tokens of so many layers may be admitted to a stage."""
        return self.reserved[stage] + layers * tokens <= self.limit[stage]

    def admits(self, course: Course, tokens: int) -> bool:
        """Say whether every stage of a course has room for so many tokens."""
        return all(
            self.has_room(stage, layers, tokens)
            for stage, layers in zip(course.stages, course.held_layers, strict=True)
        )

    def could_admit(self, course: Course, tokens: int) -> bool:
        """Say whether every stage of a course would have room if it were empty."""
        return all(
            layers * tokens <= self.limit[stage]
            for stage, layers in zip(course.stages, course.held_layers, strict=True)
        )

    def reserve(self, request: Request, course: Course, tokens: int) -> None:
        """Keep room for a request."""
        request.course, request.reserved_tokens = course, tokens
        for stage, layers in zip(course.stages, course.held_layers, strict=True):
            self.reserved[stage] += layers * tokens
            assert self.reserved[stage] <= self.capacity[stage], "KV cache over capacity"

    def release(self, request: Request) -> None:
        """Free what a request kept."""
        assert request.course is not None
        for stage, layers in zip(request.course.stages, request.course.held_layers, strict=True):
            self.reserved[stage] -= layers * request.reserved_tokens
            assert self.reserved[stage] >= 0, "KV freed twice"

    def holds(self, request: Request) -> bool:
        """Say whether there is room for a request's context, which may be longer than expected."""
        if request.prompt_tokens + request.emitted <= request.reserved_tokens:
            return True
        course = request.course
        assert course is not None
        pairs = tuple(zip(course.stages, course.held_layers, strict=True))
        if any(self.reserved[s] + layers > self.capacity[s] for s, layers in pairs):
            return False
        for stage, layers in pairs:
            self.reserved[stage] += layers
        request.reserved_tokens += 1
        return True

    def shares(self) -> tuple[float, ...]:
        """Return the share of each stage's KV cache that is reserved."""
        pairs = zip(self.reserved, self.capacity, strict=True)
        return tuple(used / total if total else 0.0 for used, total in pairs)

    def fullest_layer(self) -> float:
        """Return the largest share of a layer's KV room, over all stages, that is reserved."""
        used, total = [0.0] * self._num_layers, [0.0] * self._num_layers
        for stage, reserved, capacity in zip(
            self._stages, self.reserved, self.capacity, strict=True
        ):
            first, end = stage.layers
            for layer in range(first, end):
                used[layer] += reserved / (end - first)
                total[layer] += capacity / (end - first)
        return max(u / t for u, t in zip(used, total, strict=True) if t)
