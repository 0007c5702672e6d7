"""The entry: when decodes are sent into their routes, by the runtime's own rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hexplan.schedule.micro_batches import Loop, Move, RouteDecodes, Visit
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.simulate.pipeline_model import EdgeModel, PipelineModel, hops_of
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
    edges = [pipeline.edges[route.entry]]
    while edges[-1].target != OUTSIDE:
        edges.append(pipeline.edges[route.next_edge[edges[-1].target]])
    chain = tuple(edge.target for edge in edges[:-1])
    shares = _shares(pipeline, chain)
    layers = [stage.layers for stage in pipeline.stages]
    hops = hops_of(layers, chain)
    visits = [
        Visit(_step_s(pipeline, stage, enter), share)
        for (stage, (enter, _)), share in zip(hops, shares, strict=True)
    ]
    return Loop(visits, [_move(edge) for edge in edges])


def _shares(pipeline: PipelineModel, chain: tuple[int, ...]) -> list[float]:
    """Return the part of each stage's requests that take a chain; all where it is no route."""
    weights: dict[tuple[int, ...], int] = {}
    for route in pipeline.routes:
        stages = route.decode_stages or route.stages
        weights[stages] = weights.get(stages, 0) + route.weight
    own = weights.get(chain, 0)
    if not own:
        return [1.0] * len(chain)
    through = [
        sum(weight for other, weight in weights.items() if stage in other) for stage in chain
    ]
    return [own / weight for weight in through]


def _step_s(pipeline: PipelineModel, stage: int, enter: int) -> Callable[[int], float]:
    model = pipeline.stages[stage]
    num_layers, steps = model.layers[1] - enter, model.steps
    ends_model = model.layers[1] == pipeline.num_layers

    def step_s(decodes: int) -> float:
        layers_s = num_layers * steps.layer_s(0, 0, decodes, decodes * pipeline.context_tokens)
        head_s = steps.head_s(decodes) if ends_model else 0.0
        return layers_s + head_s + steps.step_s(decodes)

    return step_s


def _move(edge: EdgeModel) -> Move:
    """Return the connection; what other routes leave of cards and trunks is not known."""
    return Move(edge.latency_s, edge.token_bytes / edge.bytes_per_s)
