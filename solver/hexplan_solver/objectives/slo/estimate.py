"""The largest rate at which requests keep a promise, by a mean-field model of steps.

Each stage runs step after step. A step holds the decodes of a micro-batch and, while a prompt waits
at the stage, a chunk of it. So the time between two tokens is a mean of steps with and without a
chunk, and a prompt waits for those before it as in a queue for one server. It is a guess that puts
candidates in order; simulations decide.

Routes are looked at one by one: where some are late, only requests on the others keep a promise.

Where a request is decoded on other stages than it is prefilled on, each stage has the steps of its
own phase, and the first decode waits for the prompt's KV.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from hexplan.constants import MAX_BATCH
from hexplan.schedule.limits import least_prompt_tokens
from hexplan.workload import Slo, Workload
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.objectives.slo.ways import Stop, Way, links_busy_s, stops_of, ways_of
from hexplan_solver.served.in_flight import requests_in_flight
from hexplan_solver.served.request import mean_request
from hexplan_solver.served.shares import shares_of
from hexplan_solver.simulate import PipelineModel, Policy


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
        prompts, shares = (shares_of(p) for p in (pipeline.of_prompts(), pipeline.of_decodes()))
        self._stops, position = stops_of(pipeline, prompts, shares)
        self._hops = shares.hops
        self._ways = ways_of(pipeline, position, self._request)
        self._links_busy_s = links_busy_s(pipeline, self._request) if pipeline.is_split else 0.0
        self._way_s = sum(way.share * way.token_s for way in self._ways)
        self._late = max(1e-6, 1 - attainment)
        self._spread = NormalDist().inv_cdf(min(attainment, 1 - 1e-6))
        sizes = self._request.prompt_sizes
        mean = sum(sizes) / len(sizes)
        # Round robin over equal routes makes the arrivals at each of them more regular.
        weights: Counter[tuple[int, ...]] = Counter()
        for route in pipeline.routes:
            weights[route.stages] += route.weight
        regular = sum(weight**2 for weight in weights.values()) / weights.total() ** 2
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
        times = [self._times(way, steps, rate) for way in self._ways]
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

    def _times(self, way: Way, steps: Sequence[_Step], rate: float) -> tuple[float, float]:
        """Return the time to the first token on a route, and from one to the next.

        A prompt waits for those before it at the busiest stage, and the first decode for its KV.
        """
        tokens_s = [steps[stop].token_s for stop in way.decode_stops]
        tpot_s = max(way.token_s + sum(tokens_s), self._hops * max(tokens_s))
        prompts = [steps[stop] for stop in way.stops]
        busiest = max(prompts, key=lambda step: step.busy)
        if busiest.busy >= 1:
            return math.inf, tpot_s
        # Kingman's formula for the mean wait; its tail is taken to be exponential.
        scale_s = busiest.service_s * self._varied / (2 * (1 - busiest.busy))
        wait_s = max(0.0, scale_s * math.log(max(busiest.busy, 1e-9) / self._late))
        first_s = way.prompt_s + sum(step.prompt_s for step in prompts)
        run_s = (busiest.chunks - 1) * busiest.prompt_s
        tpot_s += self._kv_late_s(way, busiest, rate) / self._request.decode_tokens
        return first_s + run_s + wait_s, tpot_s

    def _kv_late_s(self, way: Way, busiest: _Step, rate: float) -> float:
        """Return what the first decode waits for KV: that of all chunks but the last is ahead."""
        if not way.kv_s:
            return 0.0
        left = 1 - rate * self._links_busy_s
        if left <= 0:
            return math.inf
        taken_s = way.kv_s / left
        return max(taken_s / busiest.chunks, taken_s - busiest.service_s)

    def _step(self, stop: Stop, rate: float, tpot_s: float, token_s: float) -> _Step:
        batch = self._batch(stop, rate, tpot_s)
        room, prompt = self._room(batch), self._request.prompt_tokens
        # Short prompts share a step, which is full only with as many as there is room for.
        busy = rate * stop.prompt_share * prompt / room * stop.step_s(batch, room, self._request)
        prompt_s = stop.step_s(batch, min(room, prompt), self._request)
        return _Step(token_s, prompt_s, busy, max(1.0, prompt / room))

    def _batch(self, stop: Stop, rate: float, tpot_s: float) -> float:
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
            if not stop.share:
                times.append(0.0)
                continue
            batch = self._batch(stop, rate, tpot_s)
            if batch > self._decodes:
                return None
            chunks = rate * stop.prompt_share * self._request.prompt_tokens / self._room(batch)
            with_chunk = min(1.0, chunks * tpot_s / self._hops)
            many = batch + spread * math.sqrt(batch)
            plain_s = stop.step_s(many, 0, self._request)
            chunk_s = stop.step_s(many, self._room(batch), self._request)
            # In a chain, decodes also meet steps of prompts alone, in the mean half way through.
            met_s = (1 - 1 / self._hops) * min(1.0, chunks * chunk_s) * chunk_s / 2
            times.append(plain_s + with_chunk * (chunk_s - plain_s) + met_s)
        return times
