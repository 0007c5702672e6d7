"""The router: which course the next request takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.course import Course, Courses
from hexplan_solver.simulate.kv_room import KvRoom
from hexplan_solver.simulate.parcel import Request
from hexplan_solver.simulate.pipeline import Pipeline
from hexplan_solver.simulate.policy import Policy

Open = Callable[[int], bool]
"""Says whether a stage is up."""
FIRST_RESPONSE_S, RESPONSE_SHARE = 0.05, 0.8
"""What SWARM takes for a response time before the first, and the share of each in the moving
average: the parameters of Helix's artifact."""


class RouteRouter:
    """Smooth weighted round robin over the routes with room, as hexplan's runtime does it."""

    def __init__(self, pipeline: Pipeline, room: KvRoom, is_up: Open) -> None:
        courses = Courses(pipeline)
        self._courses = [courses.of(r.stages, r.decode_stages) for r in pipeline.routes]
        self._weights = [route.weight for route in pipeline.routes]
        self._credits = [0] * len(pipeline.routes)
        self._room, self._is_up = room, is_up

    def choose(self, request: Request) -> Course | None:
        """Return a course with room for a request, or nothing."""
        usable = [n for n, course in enumerate(self._courses) if self._is_open(course, request)]
        if not usable:
            return None
        for number in usable:
            self._credits[number] += self._weights[number]
        chosen = max(usable, key=lambda number: self._credits[number])
        self._credits[chosen] -= sum(self._weights[number] for number in usable)
        return self._courses[chosen]

    def _is_open(self, course: Course, request: Request) -> bool:
        is_up = all(self._is_up(held.stage) for held in course.held)
        return is_up and self._room.admits(course, request)

    def could_serve(self, request: Request) -> bool:
        """Say whether an idle pipeline would have room for a request."""
        return any(self._room.could_admit(course, request) for course in self._courses)


class EdgeRouter:
    """At each stage, the edge that will have the least work for its flow (Helix's scheduler).

    Interleaved weighted round robin over the edges that the flow uses; the work of a request is its
    tokens.
    """

    def __init__(self, pipeline: Pipeline, room: KvRoom, is_up: Open, min_share: float) -> None:
        self._courses = Courses(pipeline)
        self._stages = pipeline.stages
        self._room, self._is_up = room, is_up
        self._weights = [edge.weight for edge in pipeline.edges]
        self._leaving: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, edge in enumerate(pipeline.edges):
            self._leaving[edge.source].append((number, edge.target))
        for source, edges in self._leaving.items():
            least = min_share * sum(self._weights[edge] for edge, _ in edges)
            self._leaving[source] = [edge for edge in edges if self._weights[edge[0]] >= least]
        self._turns = [0.0] * len(pipeline.edges)
        """Per edge: the work that it has had, for its flow."""

    def choose(self, request: Request) -> Course | None:
        """Return a course with room for a request, or nothing."""
        tokens = self._room.needed_tokens(request)
        work = request.prompt_tokens + request.output_tokens
        chain: list[int] = []
        taken: list[int] = []
        at, layer = OUTSIDE, 0
        while True:
            best = self._best(at, layer, tokens, work)
            if best is None:
                return None
            edge, target = best
            taken.append(edge)
            if target == OUTSIDE:
                for edge in taken:
                    self._turns[edge] = self._next_turn(edge, work)
                return self._courses.of(tuple(chain))
            chain.append(target)
            at, layer = target, self._stages[target].layers[1]

    def _best(self, at: int, layer: int, tokens: int, work: int) -> tuple[int, int] | None:
        """Return the edge of the best rank, and its target, among those that may be taken."""
        best: tuple[int, int] | None = None
        least = 0.0
        for edge, target in self._leaving[at]:
            if target != OUTSIDE:
                held = self._stages[target].layers[1] - layer
                if not (self._is_up(target) and self._room.has_room(target, held, tokens)):
                    continue
            rank = self._rank(edge, work)
            if best is None or rank < least:
                best, least = (edge, target), rank
        return best

    def _rank(self, edge: int, work: int) -> float:
        """Return what the edge taken has least of."""
        return self._next_turn(edge, work)

    def _next_turn(self, edge: int, work: int) -> float:
        """Return the edge's turn after a request of so much work."""
        return self._turns[edge] + work / self._weights[edge]

    def could_serve(self, request: Request) -> bool:
        """Say whether an idle pipeline would have room for a request."""
        tokens = self._room.needed_tokens(request)
        layers = [OUTSIDE]
        seen: set[tuple[int, int]] = set()
        while layers:
            at = layers.pop()
            layer = 0 if at == OUTSIDE else self._stages[at].layers[1]
            for _, target in self._leaving[at]:
                if target == OUTSIDE:
                    return True
                held = self._stages[target].layers[1] - layer
                is_new = (at, target) not in seen
                if is_new and held * tokens <= self._room.limit[target]:
                    seen.add((at, target))
                    layers.append(target)
        return False


class ResponseRouter(EdgeRouter):
    """At each stage, the edge whose turn it is; those that answer quickly have more turns (SWARM).

    The next turn of an edge is as much later as its messages lately took from sending to the end of
    their step (Ryabinin et al., "SWARM Parallelism", ICML 2023, appendix C).
    """

    def __init__(self, pipeline: Pipeline, room: KvRoom, is_up: Open) -> None:
        super().__init__(pipeline, room, is_up, 0.0)
        self._lately_s = [FIRST_RESPONSE_S] * len(pipeline.edges)

    def hear(self, edge: int, seconds: float) -> None:
        """Take note of how long a message over an edge took."""
        self._lately_s[edge] += RESPONSE_SHARE * (seconds - self._lately_s[edge])

    def _rank(self, edge: int, work: int) -> float:
        return self._turns[edge]

    def _next_turn(self, edge: int, work: int) -> float:
        return self._turns[edge] + self._lately_s[edge]


Router = RouteRouter | EdgeRouter


def make_router(pipeline: Pipeline, policy: Policy, room: KvRoom, is_up: Open) -> Router:
    """Return the router of a policy.

    Raises
    ------
    ValueError
        If the policy wants routes and the pipeline has none, or edges and it is split.
    """
    if pipeline.is_split and policy.routing != "routes":
        raise ValueError("prefill and decode on different stages go by routes alone")
    if policy.routing == "edges":
        return EdgeRouter(pipeline, room, is_up, policy.min_edge_share)
    if policy.routing == "responses":
        return ResponseRouter(pipeline, room, is_up)
    if not pipeline.routes:
        raise ValueError("the pipeline has no routes, so the policy has to route by edges")
    return RouteRouter(pipeline, room, is_up)
