"""A candidate: a placement with step limits, and its promised rate by the model of steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from hexplan.schedule.limits import most_decodes
from hexplan.workload import Slo
from hexplan_solver.objectives.slo.estimate import promised_rate
from hexplan_solver.objectives.slo.params import SLO_PARAMS
from hexplan_solver.objectives.slo.splits import Split
from hexplan_solver.objectives.slo.ways import links_busy_s
from hexplan_solver.objectives.sustained.figures import draft_pipeline
from hexplan_solver.plans.draft import Draft
from hexplan_solver.served.params import SERVED_PARAMS
from hexplan_solver.served.request import mean_request
from hexplan_solver.served.step_limits import neighbours, widest
from hexplan_solver.simulate import CHUNKED, PipelineModel, Policy


@dataclass(frozen=True, slots=True)
class SloCandidate:
    """A placement with step limits, and its promised rate by the model of steps."""

    draft: Draft
    pipeline: PipelineModel
    policy: Policy
    guess: float
    """In requests/s."""
    carried: float = math.inf
    """Of a split: requests/s whose tokens and KV the links carry."""

    @property
    def is_split(self) -> bool:
        """Whether it prefills and decodes on different stages."""
        return self.pipeline.is_split

    @property
    def hops(self) -> float:
        """Stages of a mean request."""
        paths = self.draft.evaluated.flow.paths
        return sum(len(p.stages) * p.amount for p in paths) / sum(p.amount for p in paths)


def candidates_of(draft: Draft, slo: Slo) -> list[SloCandidate]:
    """Return a placement with each step limit, the largest rates by the model of steps first.

    The largest steps are those of a whole prompt, if there is workspace for it.
    """
    spec, pipeline = draft.evaluated.problem.spec, draft_pipeline(draft)
    policies = _halved(widest(spec, CHUNKED))
    found = [_candidate(draft, pipeline, policy, slo) for policy in policies]
    return sorted(found, key=lambda candidate: -candidate.guess)


def split_candidate(draft: Draft, split: Split, slo: Slo) -> SloCandidate:
    """Return a split with the largest steps: prompts delay no decodes there."""
    placed = replace(draft, evaluated=split.evaluated, handovers=split.pipeline.routes)
    policy = widest(split.evaluated.problem.spec, CHUNKED)
    return _candidate(placed, split.pipeline, policy, slo)


def retuned(candidate: SloCandidate, slo: Slo) -> Iterator[SloCandidate]:
    """Yield a candidate with larger and smaller steps."""
    spec = candidate.draft.evaluated.problem.spec
    for policy in neighbours(spec, candidate.policy):
        yield _candidate(candidate.draft, candidate.pipeline, policy, slo)


def _candidate(draft: Draft, pipeline: PipelineModel, policy: Policy, slo: Slo) -> SloCandidate:
    workload = draft.evaluated.problem.spec.workload
    guess = promised_rate(pipeline, workload, policy, slo)
    if not pipeline.is_split:
        return SloCandidate(draft, pipeline, policy, guess)
    busy_s = links_busy_s(pipeline, mean_request(workload, policy))
    carried = SLO_PARAMS.links_share / busy_s if busy_s else math.inf
    return SloCandidate(draft, pipeline, policy, guess, carried)


def _halved(policy: Policy) -> Iterator[Policy]:
    """Yield a policy, and the same with smaller steps."""
    tokens = policy.chunk_tokens
    for _ in range(SERVED_PARAMS.halvings + 1):
        if tokens is None or tokens < SERVED_PARAMS.least_tokens:
            return
        yield replace(policy, chunk_tokens=tokens, max_decode_tokens=most_decodes(tokens))
        tokens //= 2
