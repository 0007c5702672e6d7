"""Ways of requests as the model of steps sees them: which stages they meet, over which links."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.served.request import MeanRequest
from hexplan_solver.served.shares import Shares
from hexplan_solver.simulate import EdgeModel, PipelineModel, RouteModel, StageModel
from hexplan_solver.simulate.pipeline_model import kv_moves

ALIKE_DIGITS = 6
"""Shares and layers that agree to so many digits count as equal: flows are rounded."""
WAY_DIGITS = 9
"""The same for the seconds that links take."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stage as the requests meet it."""

    share: float
    """Share of the requests that are decoded there."""
    prompt_share: float
    """Share of those whose prompt runs there: the same, unless phases are split."""
    layers: float
    """Layers that a visit runs."""
    is_last: bool
    model: StageModel
    count: int = 1
    """Stages that are met alike."""

    @property
    def visits(self) -> float:
        """Stages like it that a mean request visits to be decoded."""
        return self.count * self.share

    def step_s(self, decodes: float, prompt: float, request: MeanRequest) -> float:
        """Return the time of a step with so many decodes and prompt tokens."""
        steps, tokens = self.model.steps, round(prompt)
        batch = max(1, round(decodes)) if self.share else 0
        reach = tokens * request.prompt_tokens / 2
        context = int(batch * request.context_tokens)
        head_s = steps.head_s(max(1, batch)) if self.is_last else 0.0
        return self.layers * steps.layer_s(tokens, reach, batch, context) + head_s


@dataclass(frozen=True, slots=True)
class Way:
    """A route, with those that are like it."""

    share: float
    """Share of the requests that take it."""
    stops: tuple[int, ...]
    """Positions among the stops, as prompts go..."""
    decode_stops: tuple[int, ...]
    """...and as decodes do."""
    token_s: float
    """Seconds that its links take for a token, all the way around..."""
    prompt_s: float
    """...and for a prompt."""
    kv_s: float
    """Seconds that they take for the KV of a prompt, where that has to move."""


def stops_of(
    pipeline: PipelineModel, prompts: Shares, decodes: Shares
) -> tuple[list[Stop], dict[int, int]]:
    """Return the stages that requests visit, with those that are as fast and as busy as one.

    Also return the position of each stage's stop.
    """
    found: dict[object, Stop] = {}
    keys: dict[int, object] = {}
    for index, stage in enumerate(pipeline.stages):
        share, prompt_share = decodes.stages[index], prompts.stages[index]
        if share or prompt_share:
            seen = decodes if share else prompts
            layers = seen.held_layers[index] / seen.stages[index]
            is_last = stage.layers[1] == pipeline.num_layers
            # Two steps, one of decodes and one of a prompt, tell stages of different speeds apart.
            speeds = stage.steps.layer_s(0, 0.0, 8, 8000), stage.steps.layer_s(256, 32768.0, 0, 0)
            figures = (round(n, ALIKE_DIGITS) for n in (share, prompt_share, layers))
            key = *figures, is_last, speeds
            alike = found.get(key)
            stop = alike or Stop(share, prompt_share, layers, is_last, stage, 0)
            found[key] = replace(stop, count=stop.count + 1)
            keys[index] = key
    positions = {key: position for position, key in enumerate(found)}
    return list(found.values()), {index: positions[key] for index, key in keys.items()}


def ways_of(
    pipeline: PipelineModel, position: Mapping[int, int], request: MeanRequest
) -> list[Way]:
    """Return the routes, those that are alike as one."""
    links = _Links(pipeline, request)
    found: Counter[tuple[tuple[int, ...], tuple[int, ...], float, float, float]] = Counter()
    for route in pipeline.routes:
        chains = route.stages, route.decode_stages or route.stages
        prefill, decode = (tuple(position[stage] for stage in chain) for chain in chains)
        prompt_s, token_s = links.prompt_s(chains[0]), links.token_s(chains[1])
        token_s, prompt_s, kv_s = (
            round(s, WAY_DIGITS) for s in (token_s, prompt_s, links.kv_s(route))
        )
        found[prefill, decode, token_s, prompt_s, kv_s] += route.weight
    whole = found.total()
    return [Way(weight / whole, *way) for way, weight in found.items()]


def links_busy_s(pipeline: PipelineModel, request: MeanRequest) -> float:
    """Return the seconds of the busiest link, NIC or trunk for a mean request, with its KV."""
    links = _Links(pipeline, request)
    whole = sum(route.weight for route in pipeline.routes)
    busy: defaultdict[object, float] = defaultdict(float)
    for route in pipeline.routes:
        for place, seconds in (*links.token_places_s(route), *links.kv_places_s(route)):
            busy[place] += seconds * route.weight / whole
    return max(busy.values(), default=0.0)


class _Links:
    """The seconds that messages of requests take over links."""

    def __init__(self, pipeline: PipelineModel, request: MeanRequest) -> None:
        self._pipeline, self._request = pipeline, request
        self._layers = [stage.layers for stage in pipeline.stages]
        self._by_ends = {(edge.source, edge.target): edge for edge in pipeline.edges}
        self._kv = {(edge.source, edge.target): edge for edge in pipeline.kv_edges}

    def token_s(self, chain: Sequence[int]) -> float:
        """Return what a token takes around a chain."""
        return sum(edge.latency_s + self._one_s(edge) for edge in self._around(chain))

    def prompt_s(self, chain: Sequence[int]) -> float:
        """Return what a prompt takes through a chain, and its first token out of it."""
        total_s = 0.0
        for edge in self._around(chain):
            tokens = 1.0 if edge.target == OUTSIDE else self._request.prompt_tokens
            total_s += edge.latency_s + tokens * self._one_s(edge)
        return total_s

    def kv_s(self, route: RouteModel) -> float:
        """Return what the KV of a prompt takes, over the busiest of its links."""
        busy: defaultdict[object, float] = defaultdict(float)
        for place, seconds in self.kv_places_s(route):
            busy[place] += seconds
        latencies = [edge.latency_s for edge, _ in self._moves(route)]
        return max(busy.values(), default=0.0) + max(latencies, default=0.0)

    def kv_places_s(self, route: RouteModel) -> Iterator[tuple[object, float]]:
        """Yield each link, NIC and trunk that KV passes, with the seconds that it takes there."""
        for edge, num_layers in self._moves(route):
            num_bytes = edge.token_bytes * num_layers * self._request.prompt_tokens
            yield from self._places_s(edge, ("kv", edge.source, edge.target), num_bytes)

    def token_places_s(self, route: RouteModel) -> Iterator[tuple[object, float]]:
        """Yield the same for tokens and activations."""
        request, decode = self._request, route.decode_stages or route.stages
        for chain, tokens in (
            (route.stages, request.prompt_tokens),
            (decode, request.decode_tokens),
        ):
            for edge in self._around(chain):
                ends_prompt = edge.target == OUTSIDE and chain is route.stages
                num_bytes = edge.token_bytes * (1.0 if ends_prompt else tokens)
                yield from self._places_s(edge, (edge.source, edge.target), num_bytes)

    def _places_s(
        self, edge: EdgeModel, name: object, num_bytes: float
    ) -> Iterator[tuple[object, float]]:
        yield name, num_bytes / edge.bytes_per_s
        for shared in edge.shared:
            yield shared, num_bytes / self._pipeline.shared_bytes_per_s[shared]

    def _moves(self, route: RouteModel) -> Iterator[tuple[EdgeModel, int]]:
        if route.decode_stages is not None:
            for move in kv_moves(self._layers, route.stages, route.decode_stages):
                yield self._kv[move.source, move.target], move.num_layers

    def _around(self, chain: Sequence[int]) -> list[EdgeModel]:
        return [self._by_ends[pair] for pair in pairwise((OUTSIDE, *chain, OUTSIDE))]

    def _one_s(self, edge: EdgeModel) -> float:
        shared = [self._pipeline.shared_bytes_per_s[i] for i in edge.shared]
        return edge.token_bytes / min([edge.bytes_per_s, *shared])
