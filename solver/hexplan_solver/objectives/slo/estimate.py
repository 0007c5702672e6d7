"""The largest rate at which requests keep a promise, by a mean-field model of steps.

Each stage runs step after step. A step holds the decodes of a micro-batch and, while a prompt waits
at the stage, a chunk of it. So the time between two tokens is a mean of steps with and without a
chunk, and a prompt waits for those before it as in a queue for one server. It is a guess that puts
candidates in order; simulations decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
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

    def step_s(self, decodes: float, prompt: float, request: MeanRequest) -> float:
        """Return the time of a step with so many decodes and prompt tokens."""
        steps, batch, tokens = self.model.steps, max(1, round(decodes)), round(prompt)
        reach = tokens * request.prompt_tokens / 2
        context = int(batch * request.context_tokens)
        head_s = steps.head_s(batch) if self.is_last else 0.0
        return self.layers * steps.layer_s(tokens, reach, batch, context) + head_s


@dataclass(frozen=True, slots=True)
class _Times:
    """Times of a request in seconds, exceeded by as few requests as the promise allows."""

    ttft_s: float
    tpot_s: float


def promised_rate(pipeline: PipelineModel, workload: Workload, policy: Policy, slo: Slo) -> float:
    """Return the requests per second at which the times of requests reach a promise.

    It is 0 if one request by itself misses the promise.
    """
    model = _Model(pipeline, workload, policy, float(slo.attainment))

    def is_kept(rate: float) -> bool:
        times = model.at(rate)
        return times is not None and times.tpot_s <= slo.tpot_s and times.ttft_s <= slo.ttft_s

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
        self._stops = _stops(pipeline, shares)
        self._hops = shares.hops
        self._token_way_s, self._prompt_way_s = _ways(pipeline, shares, self._request)
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
        alone_s = sum(s.count * s.share * s.step_s(1, 0, self._request) for s in self._stops)
        self.most = self._in_flight / (self._request.decode_tokens * alone_s)
        """Requests per second that no pipeline exceeds whose KV cache is full."""

    def at(self, rate: float) -> _Times | None:
        """Return the times at a rate; None beyond capacity."""
        tpot_s = self._token_way_s + sum(
            stop.count * stop.share * stop.step_s(1, 0, self._request) for stop in self._stops
        )
        for _ in range(SLO_PARAMS.rounds):
            found = self._tpot_s(rate, tpot_s, 0.0)
            if found is None:
                return None
            tpot_s = (tpot_s + found) / 2
        late_s = self._tpot_s(rate, tpot_s, self._spread)
        ttft_s = self._ttft_s(rate, tpot_s)
        stay_s = self._request.decode_tokens * tpot_s + (ttft_s or 0.0)
        if late_s is None or ttft_s is None or rate * stay_s > self._in_flight:
            return None
        return _Times(ttft_s, late_s)

    def _batch(self, stop: _Stop, rate: float, tpot_s: float) -> float:
        """Return the decodes of a step: there are as many micro-batches as hops."""
        decoding = rate * stop.share * self._request.decode_tokens * tpot_s
        return decoding / self._hops

    def _room(self, batch: float) -> float:
        """Return the prompt tokens for which a step has room."""
        return max(self._chunk - batch, least_prompt_tokens(self._chunk))

    def _tpot_s(self, rate: float, tpot_s: float, spread: float) -> float | None:
        """Return the mean time between two tokens, where it was `tpot_s` so far.

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
            times.append(
                (stop.count * stop.share, plain_s + with_chunk * (chunk_s - plain_s) + met_s)
            )
        around_s = self._token_way_s + sum(share * step_s for share, step_s in times)
        return max(around_s, self._hops * max(step_s for _, step_s in times))

    def _ttft_s(self, rate: float, tpot_s: float) -> float | None:
        """Return the time to the first token, behind those that wait for the busiest stage."""
        first_s, busiest, service_s = self._prompt_way_s, 0.0, 0.0
        for stop in self._stops:
            batch = self._batch(stop, rate, tpot_s)
            room = self._room(batch)
            chunk_s = stop.step_s(batch, min(room, self._request.prompt_tokens), self._request)
            chunks = max(1.0, self._request.prompt_tokens / room)
            first_s += stop.count * stop.share * chunk_s
            busy = rate * stop.share * chunks * chunk_s
            if busy >= 1:
                return None
            if busy >= busiest:
                busiest, service_s = busy, chunks * chunk_s
                later_s = (chunks - 1) * chunk_s
        # Kingman's formula for the mean wait; its tail is taken to be exponential.
        scale_s = service_s * self._varied / (2 * (1 - busiest))
        wait_s = max(0.0, scale_s * math.log(max(busiest, 1e-9) / self._late))
        return first_s + later_s + wait_s


def _stops(pipeline: PipelineModel, shares: Shares) -> list[_Stop]:
    """Return the stages that requests visit, with those that are as fast and as busy as one."""
    found: dict[object, _Stop] = {}
    for stage, share, held in zip(pipeline.stages, shares.stages, shares.held_layers, strict=True):
        if share > 0:
            stop = _Stop(share, held / share, stage.layers[1] == pipeline.num_layers, stage)
            # Two steps, one of decodes and one of a prompt, tell stages of different speeds apart.
            speeds = stage.steps.layer_s(0, 0.0, 8, 8000), stage.steps.layer_s(256, 32768.0, 0, 0)
            key = round(share, ALIKE_DIGITS), round(stop.layers, ALIKE_DIGITS), stop.is_last, speeds
            alike = found.get(key)
            found[key] = stop if alike is None else replace(alike, count=alike.count + 1)
    return list(found.values())


def _ways(pipeline: PipelineModel, shares: Shares, request: MeanRequest) -> tuple[float, float]:
    """Return the seconds that the links take for a token around, and for a prompt."""
    token_s = prompt_s = 0.0
    for edge, share in zip(pipeline.edges, shares.edges, strict=True):
        narrowest = min([edge.bytes_per_s, *(pipeline.shared_bytes_per_s[i] for i in edge.shared)])
        one_s = edge.token_bytes / narrowest
        tokens = 1.0 if edge.target == OUTSIDE else request.prompt_tokens
        token_s += share * (edge.latency_s + one_s)
        prompt_s += share * (edge.latency_s + tokens * one_s)
    return token_s, prompt_s
