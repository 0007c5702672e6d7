"""KV room: who may enter, and what is reserved for whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexplan_solver.simulate.course import Course
from hexplan_solver.simulate.parcel import Request
from hexplan_solver.simulate.pipeline import Pipeline
from hexplan_solver.simulate.policy import Reservation


class KvRoom:
    """The KV caches of all stages, in tokens times layers.

    A request that enters in the middle of a stage's layers keeps nothing of the layers before.
    Where other stages decode, its room is reserved there too from its admission on, and its
    prompt's KV stays where it was prefilled until all of it has moved.
    """

    def __init__(self, pipeline: Pipeline, reservation: Reservation) -> None:
        self._reservation = reservation
        self._stages = pipeline.stages
        self._num_layers = pipeline.num_layers
        self._phases = {
            tuple(j for j, stage in enumerate(pipeline.stages) if stage.phase in ("both", phase))
            for phase in ("prefill", "decode")
        }
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

    def admits(self, course: Course, request: Request) -> bool:
        """Say whether every stage of a course has room for a request."""
        needs = self._needs(course, request)
        return all(self.reserved[stage] + need <= self.limit[stage] for stage, need in needs)

    def could_admit(self, course: Course, request: Request) -> bool:
        """Say whether every stage of a course would have room if it were empty."""
        return all(need <= self.limit[stage] for stage, need in self._needs(course, request))

    def _needs(self, course: Course, request: Request) -> Iterator[tuple[int, int]]:
        tokens, prompt = self.needed_tokens(request), request.prompt_tokens
        return ((h.stage, h.layers * tokens + h.lent * prompt) for h in course.held)

    def reserve(self, request: Request, course: Course) -> None:
        """Keep room for a request."""
        for stage, need in self._needs(course, request):
            self.reserved[stage] += need
            assert self.reserved[stage] <= self.capacity[stage], "KV cache over capacity"
        request.course, request.reserved_tokens = course, self.needed_tokens(request)
        request.unmoved = request.prompt_tokens * course.lent_layers

    def release(self, request: Request) -> None:
        """Free what a request kept."""
        assert request.course is not None
        for held in request.course.held:
            self.reserved[held.stage] -= held.layers * request.reserved_tokens
            assert self.reserved[held.stage] >= 0, "KV freed twice"
        if request.unmoved:
            self.release_lent(request)

    def release_lent(self, request: Request) -> None:
        """Free what a request kept where its prompt was prefilled, and is decoded elsewhere."""
        assert request.course is not None
        for held in request.course.held:
            self.reserved[held.stage] -= held.lent * request.prompt_tokens
            assert self.reserved[held.stage] >= 0, "KV freed twice"

    def holds(self, request: Request) -> bool:
        """Say whether there is room for a request's context, which may be longer than expected."""
        if request.prompt_tokens + request.emitted <= request.reserved_tokens:
            return True
        course = request.course
        assert course is not None
        if any(self.reserved[h.stage] + h.layers > self.capacity[h.stage] for h in course.held):
            return False
        for held in course.held:
            self.reserved[held.stage] += held.layers
        request.reserved_tokens += 1
        return True

    def shares(self) -> tuple[float, ...]:
        """Return the share of each stage's KV cache that is reserved."""
        pairs = zip(self.reserved, self.capacity, strict=True)
        return tuple(used / total if total else 0.0 for used, total in pairs)

    def fullest_layer(self) -> float:
        """Return the largest share of a layer's KV room that is reserved, in either phase."""
        return max(self._fullest_layer(stages) for stages in self._phases)

    def _fullest_layer(self, stages: Sequence[int]) -> float:
        used, total = [0.0] * self._num_layers, [0.0] * self._num_layers
        for stage in stages:
            first, end = self._stages[stage].layers
            for layer in range(first, end):
                used[layer] += self.reserved[stage] / (end - first)
                total[layer] += self.capacity[stage] / (end - first)
        return max(u / t for u, t in zip(used, total, strict=True) if t)
