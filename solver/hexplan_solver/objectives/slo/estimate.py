"""The largest rate at which requests keep a promise, by a mean-field model of steps.

Each stage runs step after step. A step holds the decodes of a micro-batch and, while a prompt waits
at the stage, a chunk of it. So the time between two tokens is a mean of steps with and without a
chunk, and a prompt waits for those before it as in a queue for one server. It is a guess that puts
candidates in order; simulations decide.

Routes are looked at one by one: where some are late, only requests on the others keep a promise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import NormalDist

from hexplan.constants import MAX_BATCH
from hexplan.schedule.limits import least_prompt_tokens
from hexplan.workload import Slo, Workload
from hexplan_solver.flow.network import OUTSIDE
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.served.in_flight import requests_in_flight
from hexplan_solver.served.request import MeanRequest, mean_request
from hexplan_solver.served.shares import Shares, shares_of
from hexplan_solver.simulate import PipelineModel, Policy, StageModel

ALIKE_DIGITS = 6
"""Shares and layers that agree to so many digits count as equal: flows are rounded."""
WAY_DIGITS = 9
"""The same for the seconds that links take."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """A stage as the requests meet it."""

    share: float
    """Share of the requests that visit it."""
    layers: float
    """Layers that a visit runs."""
    is_last: bool
    model: StageModel
    count: int = 1
    """Stages that are met alike."""

    @property
    def visits(self) -> float:
        """Stages like it that a mean request visits."""
        return self.count * self.share

    def step_s(self, decodes: float, prompt: float, request: MeanRequest) -> float:
        """Return the time of a step with so many decodes and prompt tokens."""
        steps, batch, tokens = self.model.steps, max(1, round(decodes)), round(prompt)
        reach = tokens * request.prompt_tokens / 2
        context = int(batch * request.context_tokens)
        head_s = steps.head_s(batch) if self.is_last else 0.0
        return self.layers * steps.layer_s(tokens, reach, batch, context) + head_s


@dataclass(frozen=True, slots=True)
class _Way:
    """A route, with those that are like it."""

    share: float
    """Share of the requests that take it."""
    stops: tuple[int, ...]
    """Positions among the stops."""
    token_s: float
    """Seconds that its links take for a token, all the way around..."""
    prompt_s: float
    """...and for a prompt."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The times of a stop in seconds, at some rate."""

    token_s: float
    """What a token takes in it, on its way around."""
    prompt_s: float
    """A chunk of a prompt, by itself."""
    busy: float
    """Share of the time in which it runs prompts."""
    chunks: float
    """Chunks of a prompt: 1 or more."""

    @property
    def service_s(self) -> float:
        """What a prompt holds up those behind it."""
        return self.chunks * self.prompt_s


def promised_rate(pipeline: PipelineModel, workload: Workload, policy: Policy, slo: Slo) -> float:
    """Return the requests per second at which the times of requests reach a promise.

    It is 0 if one request by itself misses the promise.
    """
    model = _Model(pipeline, workload, policy, float(slo.attainment))

    def is_kept(rate: float) -> bool:
        return model.kept_at(rate, slo) >= float(slo.attainment) - 1e-9

    low, high = model.most * SLO_PARAMS.rare, model.most
    if not is_kept(low):
        return 0.0
    for _ in range(SLO_PARAMS.bisections):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if is_kept(middle) else (low, middle)
    return low


class _Model:
    """The steps of a pipeline, as a function of the rate of requests."""

    def __init__(
        self, pipeline: PipelineModel, workload: Workload, policy: Policy, attainment: float
    ) -> None:
        assert policy.chunk_tokens is not None, "prompts come in chunks"
        self._chunk = policy.chunk_tokens
        self._decodes = min(policy.max_decode_tokens, MAX_BATCH)
        self._request = mean_request(workload, policy)
        shares = shares_of(pipeline)
        self._stops, position = _stops(pipeline, shares)
        self._hops = shares.hops
        self._ways = _ways(pipeline, position, self._request)
        self._way_s = sum(way.share * way.token_s for way in self._ways)
        self._late = max(1e-6, 1 - attainment)
        self._spread = NormalDist().inv_cdf(min(attainment, 1 - 1e-6))
        sizes = self._request.prompt_sizes
        mean = sum(sizes) / len(sizes)
        # Round robin over equal routes makes the arrivals at each of them more regular.
        regular = sum(route.weight**2 for route in pipeline.routes) / (
            sum(route.weight for route in pipeline.routes) ** 2
        )
        self._varied = regular + sum((size / mean - 1) ** 2 for size in sizes) / len(sizes)
        self._in_flight = max(1.0, requests_in_flight(pipeline, shares, self._request, policy))
        alone_s = sum(s.visits * s.step_s(1, 0, self._request) for s in self._stops)
        self.most = self._in_flight / (self._request.decode_tokens * alone_s)
        """Requests per second that no pipeline exceeds whose KV cache is full."""

    def kept_at(self, rate: float, slo: Slo) -> float:
        """Return the share of the requests whose routes keep a promise at a rate.

        The times of a route are those that as few of its requests exceed as the promise allows.
        """
        tpot_s = self._way_s + sum(s.visits * s.step_s(1, 0, self._request) for s in self._stops)
        for _ in range(SLO_PARAMS.rounds):
            found = self._tokens_s(rate, tpot_s, 0.0)
            if found is None:
                return 0.0
            around_s = sum(s.visits * at_s for s, at_s in zip(self._stops, found, strict=True))
            tpot_s = (tpot_s + max(self._way_s + around_s, self._hops * max(found))) / 2
        late = self._tokens_s(rate, tpot_s, self._spread)
        if late is None:
            return 0.0
        steps = [
            self._step(stop, rate, tpot_s, at_s)
            for stop, at_s in zip(self._stops, late, strict=True)
        ]
        times = [self._times(way, [steps[stop] for stop in way.stops]) for way in self._ways]
        first_s = sum(
            way.share * ttft_s for way, (ttft_s, _) in zip(self._ways, times, strict=True)
        )
        if rate * (self._request.decode_tokens * tpot_s + first_s) > self._in_flight:
            return 0.0
        return sum(
            way.share
            for way, (ttft_s, late_s) in zip(self._ways, times, strict=True)
            if ttft_s <= slo.ttft_s and late_s <= slo.tpot_s
        )

    def _times(self, way: _Way, steps: Sequence[_Step]) -> tuple[float, float]:
        """Return the time to the first token on a route, and from one to the next.

        A prompt waits for those before it at the busiest stage.
        """
        tpot_s = way.token_s + sum(step.token_s for step in steps)
        tpot_s = max(tpot_s, self._hops * max(step.token_s for step in steps))
        busiest = max(steps, key=lambda step: step.busy)
        if busiest.busy >= 1:
            return math.inf, tpot_s
        # Kingman's formula for the mean wait; its tail is taken to be exponential.
        scale_s = busiest.service_s * self._varied / (2 * (1 - busiest.busy))
        wait_s = max(0.0, scale_s * math.log(max(busiest.busy, 1e-9) / self._late))
        first_s = way.prompt_s + sum(step.prompt_s for step in steps)
        return first_s + (busiest.chunks - 1) * busiest.prompt_s + wait_s, tpot_s

    def _step(self, stop: _Stop, rate: float, tpot_s: float, token_s: float) -> _Step:
        batch = self._batch(stop, rate, tpot_s)
        room, prompt = self._room(batch), self._request.prompt_tokens
        # Short prompts share a step, which is full only with as many as there is room for.
        busy = rate * stop.share * prompt / room * stop.step_s(batch, room, self._request)
        prompt_s = stop.step_s(batch, min(room, prompt), self._request)
        return _Step(token_s, prompt_s, busy, max(1.0, prompt / room))

    def _batch(self, stop: _Stop, rate: float, tpot_s: float) -> float:
        """Return the decodes of a step: there are as many micro-batches as hops."""
        decoding = rate * stop.share * self._request.decode_tokens * tpot_s
        return decoding / self._hops

    def _room(self, batch: float) -> float:
        """Return the prompt tokens for which a step has room."""
        return max(self._chunk - batch, least_prompt_tokens(self._chunk))

    def _tokens_s(self, rate: float, tpot_s: float, spread: float) -> list[float] | None:
        """Return what a token takes in each stop, where it was `tpot_s` all around so far.

        Parameters
        ----------
        spread
            Standard deviations by which the requests in flight exceed their mean.
        """
        times = []
        for stop in self._stops:
            batch = self._batch(stop, rate, tpot_s)
            if batch > self._decodes:
                return None
            chunks = rate * stop.share * self._request.prompt_tokens / self._room(batch)
            with_chunk = min(1.0, chunks * tpot_s / self._hops)
            many = batch + spread * math.sqrt(batch)
            plain_s = stop.step_s(many, 0, self._request)
            chunk_s = stop.step_s(many, self._room(batch), self._request)
            # In a chain, decodes also meet steps of prompts alone, in the mean half way through.
            met_s = (1 - 1 / self._hops) * min(1.0, chunks * chunk_s) * chunk_s / 2
            times.append(plain_s + with_chunk * (chunk_s - plain_s) + met_s)
        return times


def _stops(pipeline: PipelineModel, shares: Shares) -> tuple[list[_Stop], dict[int, int]]:
    """Return the stages that requests visit, with those that are as fast and as busy as one.

    Also return the position of each stage's stop.
    """
    found: dict[object, _Stop] = {}
    keys: dict[int, object] = {}
    visited = zip(pipeline.stages, shares.stages, shares.held_layers, strict=True)
    for index, (stage, share, held) in enumerate(visited):
        if share > 0:
            stop = _Stop(share, held / share, stage.layers[1] == pipeline.num_layers, stage)
            # Two steps, one of decodes and one of a prompt, tell stages of different speeds apart.
            speeds = stage.steps.layer_s(0, 0.0, 8, 8000), stage.steps.layer_s(256, 32768.0, 0, 0)
            key = round(share, ALIKE_DIGITS), round(stop.layers, ALIKE_DIGITS), stop.is_last, speeds
            alike = found.get(key)
            found[key] = stop if alike is None else replace(alike, count=alike.count + 1)
            keys[index] = key
    positions = {key: position for position, key in enumerate(found)}
    return list(found.values()), {index: positions[key] for index, key in keys.items()}


def _ways(pipeline: PipelineModel, position: Mapping[int, int], request: MeanRequest) -> list[_Way]:
    """Return the routes, those that are alike as one."""
    by_ends = {(edge.source, edge.target): edge for edge in pipeline.edges}
    found: Counter[tuple[tuple[int, ...], float, float]] = Counter()
    for route in pipeline.routes:
        ends = pairwise((OUTSIDE, *route.stages, OUTSIDE))
        token_s = prompt_s = 0.0
        for edge in (by_ends[pair] for pair in ends):
            shared = [pipeline.shared_bytes_per_s[i] for i in edge.shared]
            one_s = edge.token_bytes / min([edge.bytes_per_s, *shared])
            tokens = 1.0 if edge.target == OUTSIDE else request.prompt_tokens
            token_s += edge.latency_s + one_s
            prompt_s += edge.latency_s + tokens * one_s
        stops = tuple(position[stage] for stage in route.stages)
        found[stops, round(token_s, WAY_DIGITS), round(prompt_s, WAY_DIGITS)] += route.weight
    whole = found.total()
    return [_Way(weight / whole, *way) for way, weight in found.items()]
