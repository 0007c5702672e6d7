"""The router: which route the next request takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from hexplan.schedule.kv_space import KvHold
from hexplan.schedule.routing import RouteChooser
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.kv_reservations import KvReservations
from hexplan_solver.simulate.params import SIMULATE_PARAMS
from hexplan_solver.simulate.pipeline_model import PipelineModel
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.request_route import RequestRoute, RequestRoutes
from hexplan_solver.simulate.request_state import RequestState

IsUp = Callable[[int], bool]
"""Says whether a stage is up."""


class RouteRouter:
    """Weighted round robin over the routes with room, as in the runtime."""

    def __init__(self, pipeline: PipelineModel, kv: KvReservations, is_up: IsUp) -> None:
        routes = RequestRoutes(pipeline)
        self._routes = [routes.of(r.stages, r.decode_stages) for r in pipeline.routes]
        self._chooser = RouteChooser(
            [route.weight for route in pipeline.routes],
            [route.holds for route in self._routes],
            kv.space,
        )
        self._kv, self._is_up = kv, is_up

    def choose(self, request: RequestState) -> RequestRoute | None:
        """Return a route with room for a request, or None."""
        tokens = self._kv.needed_tokens(request)
        chosen = self._chooser.choose(tokens, request.prompt_tokens, self._is_up)
        return None if chosen is None else self._routes[chosen]

    def could_serve(self, request: RequestState) -> bool:
        """Say whether an idle pipeline would have room for a request."""
        return self._chooser.could_serve(self._kv.needed_tokens(request), request.prompt_tokens)

    def open_routes(self) -> list[RequestRoute]:
        """Return the routes whose stages are all up, whoever has their room."""
        return [
            route for route in self._routes if all(self._is_up(hold.stage) for hold in route.holds)
        ]


class EdgeRouter:
    """At each stage, the edge that will have the least work for its flow (Helix's scheduler).

    Interleaved weighted round robin over the edges that the flow uses; the work of a request is its
    tokens.
    """

    def __init__(
        self, pipeline: PipelineModel, kv: KvReservations, is_up: IsUp, min_share: float
    ) -> None:
        self._routes = RequestRoutes(pipeline)
        self._stages = pipeline.stages
        self._kv, self._is_up = kv, is_up
        self._weights = [edge.weight for edge in pipeline.edges]
        self._leaving: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, edge in enumerate(pipeline.edges):
            self._leaving[edge.source].append((number, edge.target))
        for source, edges in self._leaving.items():
            least = min_share * sum(self._weights[edge] for edge, _ in edges)
            self._leaving[source] = [edge for edge in edges if self._weights[edge[0]] >= least]
        self._turns = [0.0] * len(pipeline.edges)
        """Per edge: the work that it has had, for its flow."""

    def choose(self, request: RequestState) -> RequestRoute | None:
        """Return a route with room for a request, or None."""
        tokens = self._kv.needed_tokens(request)
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
                return self._routes.of(tuple(chain))
            chain.append(target)
            at, layer = target, self._stages[target].layers[1]

    def _best(self, at: int, layer: int, tokens: int, work: int) -> tuple[int, int] | None:
        """Return the edge of the best rank, and its target, among those that may be taken."""
        best: tuple[int, int] | None = None
        least = 0.0
        for edge, target in self._leaving[at]:
            if target != OUTSIDE:
                hold = self._hold(target, layer)
                if not (self._is_up(target) and self._kv.space.has_room((hold,), tokens)):
                    continue
            rank = self._rank(edge, work)
            if best is None or rank < least:
                best, least = (edge, target), rank
        return best

    def _hold(self, stage: int, layer: int) -> KvHold:
        """Return what a request keeps on a stage that it enters at a layer."""
        return KvHold(stage, self._stages[stage].layers[1] - layer)

    def _rank(self, edge: int, work: int) -> float:
        """Return the figure by which edges are compared: the least is taken."""
        return self._next_turn(edge, work)

    def _next_turn(self, edge: int, work: int) -> float:
        """Return the edge's turn after a request of so much work."""
        return self._turns[edge] + work / self._weights[edge]

    def could_serve(self, request: RequestState) -> bool:
        """Say whether an idle pipeline would have room for a request."""
        tokens = self._kv.needed_tokens(request)
        layers = [OUTSIDE]
        seen: set[tuple[int, int]] = set()
        while layers:
            at = layers.pop()
            layer = 0 if at == OUTSIDE else self._stages[at].layers[1]
            for _, target in self._leaving[at]:
                if target == OUTSIDE:
                    return True
                is_new = (at, target) not in seen
                if is_new and self._kv.space.fits_when_empty((self._hold(target, layer),), tokens):
                    seen.add((at, target))
                    layers.append(target)
        return False


class ResponseRouter(EdgeRouter):
    """At each stage, the edge whose turn it is; those that answer quickly have more turns (SWARM).

    The next turn of an edge comes later by the time that its recent messages took, from sending to
    the end of their step (Ryabinin et al., "SWARM Parallelism", ICML 2023, appendix C).
    """

    def __init__(self, pipeline: PipelineModel, kv: KvReservations, is_up: IsUp) -> None:
        super().__init__(pipeline, kv, is_up, 0.0)
        self._response_s = [SIMULATE_PARAMS.first_response_s] * len(pipeline.edges)

    def record_response(self, edge: int, seconds: float) -> None:
        """Note how long a message over an edge took."""
        self._response_s[edge] += SIMULATE_PARAMS.response_share * (
            seconds - self._response_s[edge]
        )

    def _rank(self, edge: int, work: int) -> float:
        return self._turns[edge]

    def _next_turn(self, edge: int, work: int) -> float:
        return self._turns[edge] + self._response_s[edge]


Router = RouteRouter | EdgeRouter


def make_router(pipeline: PipelineModel, policy: Policy, kv: KvReservations, is_up: IsUp) -> Router:
    """Return the router of a policy.

    Raises
    ------
    ValueError
        If the policy wants routes and the pipeline has none, or edges and it is split.
    """
    if pipeline.is_split and policy.routing != "routes":
        raise ValueError("a pipeline split by prefill and decode needs routing by routes")
    if policy.routing == "edges":
        return EdgeRouter(pipeline, kv, is_up, policy.min_edge_share)
    if policy.routing == "responses":
        return ResponseRouter(pipeline, kv, is_up)
    if not pipeline.routes:
        raise ValueError("the pipeline has no routes, so the policy must route by edges")
    return RouteRouter(pipeline, kv, is_up)
