"""The entry: when decodes are sent into their routes, by the runtime's own rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hexplan.schedule.micro_batches import Loop, Move, RouteDecodes
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.pipeline_model import EdgeModel, PipelineModel
from hexplan_solver.simulate.policy import Policy
from hexplan_solver.simulate.request_route import PhaseRoute
from hexplan_solver.simulate.request_state import RequestState

Sent = tuple[int, list[RequestState]]
"""The edge to a route's first stage, and the requests whose tokens go over it together."""


class EagerEntry:
    """Sends every decode at once, with all that come back at the same moment."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[RequestState]] = {}

    def wait(self, requests: Iterable[RequestState]) -> None:
        """Take requests whose next token is to be sent."""
        for request in requests:
            assert request.route is not None
            self._waiting.setdefault(request.route.decode.entry, []).append(request)

    def come_back(self, requests: Iterable[RequestState]) -> None:
        """Note that tokens are back."""

    def drop(self, requests: Iterable[RequestState]) -> None:
        """Forget requests that start over."""

    def take(self) -> Iterator[Sent]:
        """Yield what is to be sent now."""
        waiting, self._waiting = self._waiting, {}
        yield from waiting.items()


class PacedEntry:
    """Sends decodes in micro-batches, route by route."""

    def __init__(self, pipeline: PipelineModel, largest: int) -> None:
        self._pipeline, self._largest = pipeline, largest
        self._known: dict[PhaseRoute, RouteDecodes[RequestState]] = {}
        self._changed: dict[PhaseRoute, RouteDecodes[RequestState]] = {}

    def wait(self, requests: Iterable[RequestState]) -> None:
        """Take requests whose next token is to be sent."""
        for request in requests:
            self._of(request).wait(request)

    def come_back(self, requests: Iterable[RequestState]) -> None:
        """Note that tokens are back."""
        for request in requests:
            self._of(request).come_back(request)

    def drop(self, requests: Iterable[RequestState]) -> None:
        """Forget requests that start over."""
        for request in requests:
            self._of(request).drop(request)

    def take(self) -> Iterator[Sent]:
        """Yield what is to be sent now."""
        changed, self._changed = self._changed, {}
        for route, decodes in changed.items():
            for batch in decodes.take():
                yield route.entry, batch

    def _of(self, request: RequestState) -> RouteDecodes[RequestState]:
        assert request.route is not None
        route = request.route.decode
        decodes = self._known.get(route)
        if decodes is None:
            loop = loop_of(self._pipeline, route)
            decodes = self._known[route] = RouteDecodes(loop, self._largest)
        self._changed[route] = decodes
        return decodes


Entry = EagerEntry | PacedEntry


def make_entry(pipeline: PipelineModel, policy: Policy) -> Entry:
    """Return the entry of a policy."""
    if policy.is_paced:
        return PacedEntry(pipeline, policy.max_decode_tokens)
    return EagerEntry()


def loop_of(pipeline: PipelineModel, route: PhaseRoute) -> Loop:
    """Return the way of decodes through the stages of a route."""
    steps: list[Callable[[int], float]] = []
    moves: list[Move] = []
    edge, layer = pipeline.edges[route.entry], 0
    while edge.target != OUTSIDE:
        moves.append(_move(edge))
        steps.append(_step_s(pipeline, edge.target, layer))
        layer = pipeline.stages[edge.target].layers[1]
        edge = pipeline.edges[route.next_edge[edge.target]]
    return Loop(tuple(steps), (*moves, _move(edge)))


def _step_s(pipeline: PipelineModel, stage: int, enter: int) -> Callable[[int], float]:
    model = pipeline.stages[stage]
    num_layers, steps = model.layers[1] - enter, model.steps
    ends_model = model.layers[1] == pipeline.num_layers

    def step_s(decodes: int) -> float:
        layers_s = num_layers * steps.layer_s(0, 0, decodes, decodes * pipeline.context_tokens)
        return layers_s + (steps.head_s(decodes) if ends_model else 0.0)

    return step_s


def _move(edge: EdgeModel) -> Move:
    """Return the connection; what other routes leave of cards and trunks is not known."""
    return Move(edge.latency_s, edge.token_bytes / edge.bytes_per_s)
