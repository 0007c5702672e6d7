"""The rehearsed rate: what a pipeline serves in a rehearsal, once its queues have settled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hexplan.workload import Workload
from hexplan_solver.served.in_flight import requests_in_flight
from hexplan_solver.served.rehearsal.params import REHEARSAL_PARAMS
from hexplan_solver.served.rehearsal.rehearsal import Feed, Rehearsal
from hexplan_solver.served.request import mean_request, prompt_quantiles, spread_lengths
from hexplan_solver.served.shares import shares_of
from hexplan_solver.simulate import Offline, PipelineModel, Policy


@dataclass(frozen=True, slots=True)
class RehearsedRate:
    """What a pipeline serves in a rehearsal."""

    decode_tokens_per_s: float
    requests_per_s: float
    in_flight: int
    """Requests at a time."""
    ttft_s: float
    """Mean time from the admission of a request to its first token; 0 if no prompt was through."""
    tpot_s: float
    """Mean time from one token to the next."""
    steps: int
    """Steps of stages that it took to find out."""


def can_be_rehearsed(pipeline: PipelineModel, policy: Policy) -> bool:
    """Say whether a rehearsal knows the rules: chunks, micro-batches, and the routes of a plan."""
    return (
        policy.chunk_tokens is not None
        and policy.is_paced
        and policy.routing == "routes"
        and bool(pipeline.routes)
        and not pipeline.is_split
    )


def rehearsed_rate(pipeline: PipelineModel, workload: Workload, policy: Policy) -> RehearsedRate:
    """Rehearse a pipeline with a full KV cache, and return the rate once its queues have settled.

    Raises
    ------
    ValueError
        If it cannot be rehearsed.
    """
    if not can_be_rehearsed(pipeline, policy):
        raise ValueError("a rehearsal needs chunks, micro-batches and the routes of a plan")
    params, request = REHEARSAL_PARAMS, mean_request(workload, policy)
    most = requests_in_flight(pipeline, shares_of(pipeline), request, policy)
    gap_s = Offline(spread_lengths(workload)).gap_s
    rehearsal = Rehearsal(pipeline, policy, request, Feed(most, gap_s, prompt_quantiles(workload)))
    in_flight = rehearsal.in_flight
    _settle(rehearsal)
    begun_s, decoded = rehearsal.now_s, rehearsal.decoded
    through, ttft_s = rehearsal.first_tokens, rehearsal.ttft_s
    turns = params.measured_turns * in_flight
    requests = params.measured_requests * request.decode_tokens
    rehearsal.run(decoded + max(turns, requests), params.most_steps)
    rate = (rehearsal.decoded - decoded) / max(rehearsal.now_s - begun_s, 1e-12)
    through = rehearsal.first_tokens - through
    mean_ttft_s = (rehearsal.ttft_s - ttft_s) / through if through else 0.0
    stay_s = in_flight * request.decode_tokens / rate if rate else 0.0
    return RehearsedRate(
        decode_tokens_per_s=rate,
        requests_per_s=rate / request.decode_tokens,
        in_flight=in_flight,
        ttft_s=mean_ttft_s,
        tpot_s=max(0.0, stay_s - mean_ttft_s) / request.decode_tokens,
        steps=rehearsal.steps,
    )


def _settle(rehearsal: Rehearsal) -> None:
    """Run until prompts no longer gather, and until no route gathers requests.

    All requests decode at first. Where the stages are too busy for as many prompts as end
    requests, prompts would gather for many turns, until few enough decode. So as many requests
    are cut short as would be too many if rounds stayed as long as they are.
    """
    params, in_flight = REHEARSAL_PARAMS, rehearsal.in_flight
    most_steps, block = params.most_steps // 3, params.block_turns * in_flight
    rehearsal.run(2 * block, most_steps)  # the first prompts get through
    seen = [_Standing.of(rehearsal)]
    for _ in range(params.most_blocks):
        rehearsal.run(rehearsal.decoded + block, most_steps)
        seen.append(_Standing.of(rehearsal))
        if rehearsal.steps >= most_steps:
            break
        surplus = seen[-1].surplus(seen[-2])
        if not surplus and len(seen) > params.calm_blocks:
            # Where answers are long, few requests end in a block, and prompts gather slowly.
            surplus = seen[-1].surplus(seen[-1 - params.calm_blocks])
        if surplus:
            rehearsal.cut_short(surplus)
            rehearsal.run(rehearsal.decoded + block, most_steps)
            seen = [_Standing.of(rehearsal)]
        elif len(seen) > params.calm_blocks and seen[-1].is_like(seen[-1 - params.calm_blocks]):
            break


@dataclass(frozen=True, slots=True)
class _Standing:
    """How things stand in a rehearsal."""

    routes: tuple[int, ...]
    """Requests on each route."""
    prompts: int
    first_tokens: int

    @staticmethod
    def of(rehearsal: Rehearsal) -> _Standing:
        return _Standing(
            tuple(rehearsal.routes.requests), rehearsal.prompts, rehearsal.first_tokens
        )

    def surplus(self, before: _Standing) -> float:
        """Return what part of the decodes is too many, if prompts have gathered."""
        gathered, through = self.prompts - before.prompts, self.first_tokens - before.first_tokens
        if gathered <= self._tolerance(gathered + through, REHEARSAL_PARAMS.doubt):
            return 0.0
        return gathered / (through + gathered)

    def is_like(self, before: _Standing) -> bool:
        """Say whether neither prompts nor the requests of a route have changed much."""
        pairs = zip(self.routes, before.routes, strict=True)
        moved = sum([max(0, now - then) for now, then in pairs])
        through = self.first_tokens - before.first_tokens
        return max(moved, abs(self.prompts - before.prompts)) <= self._tolerance(through)

    def _tolerance(self, counted: int, doubt: float = 1.0) -> float:
        """Return what of a change may be chance: the root of what was counted, times a factor."""
        chance = doubt * math.sqrt(max(0, counted))
        return max(REHEARSAL_PARAMS.gathering * sum(self.routes), chance)
